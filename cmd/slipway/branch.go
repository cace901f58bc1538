package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/ref"
	"slipway/internal/server"
)

func newBranch(from *source) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "branch",
		Short:   "Let merges to a frozen branch go on",
		Example: "  slipway branch unfreeze acme/app main --reason 'looked at: a hook rewrote the tree'",
		Args:    exactly(0, "a subcommand"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var reason string
	unfreeze := &cobra.Command{
		Use:     "unfreeze OWNER/REPO BRANCH",
		Short:   "Let merges go on to a branch that was frozen because what landed was not what was judged",
		Example: cmd.Example,
		Args:    exactly(2, "a repository and a branch, OWNER/REPO BRANCH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := ref.ParseBranch(args[0] + "@" + args[1])
			if err != nil {
				return usageError{err}
			}
			client, err := from.client()
			if err != nil {
				return err
			}
			if err := client.Unfreeze(cmd.Context(), server.UnfreezeOrder{Repo: b.Repo.String(), Branch: b.Name, Reason: reason}); err != nil {
				return err
			}
			if from.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"branch": b.String(), "result": "accepted"})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is frozen no more.\n", b)
			return err
		},
	}
	unfreeze.Flags().StringVar(&reason, "reason", "", "why, for the journal (needed)")
	cmd.AddCommand(unfreeze)
	return cmd
}
