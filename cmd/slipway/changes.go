package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

func newChanges(from *source) *cobra.Command {
	var open bool
	var repo string
	cmd := &cobra.Command{
		Use:     "changes",
		Short:   "Show the board: every change and its eight gates",
		Example: "  slipway changes --open\n  slipway changes --repo acme/app --json",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := reconcile.Filter{Unfinished: open, Limit: server.MostChanges}
			if repo != "" {
				id, err := ref.ParseRepo(repo)
				if err != nil {
					return usageError{err}
				}
				f.Repo = id
			}
			reader, done, err := from.reader(cmd)
			if err != nil {
				return err
			}
			defer done()
			changes, err := reader.Changes(cmd.Context(), f)
			if err != nil {
				return err
			}
			if len(changes) >= server.MostChanges {
				fmt.Fprintf(cmd.ErrOrStderr(), "slipway: only %d changes are shown, and there may be more: narrow it with --open or --repo\n", len(changes))
			}
			if from.json {
				if changes == nil {
					changes = []change.Change{}
				}
				return printJSON(cmd.OutOrStdout(), changes)
			}
			b := board.New(cmd.OutOrStdout(), terminalWidth(cmd.OutOrStdout()))
			_, err = fmt.Fprint(cmd.OutOrStdout(), b.Changes(changes, time.Now()))
			return err
		},
	}
	cmd.Flags().BoolVar(&open, "open", false, "only those that have not ended")
	cmd.Flags().StringVar(&repo, "repo", "", "only those of OWNER/REPO")
	cmd.AddCommand(
		changeOrder(from, "hold", "Keep a pull request from merging until unhold", "slipway changes hold 'acme/app#1' --reason 'after the launch'", "held"),
		changeOrder(from, "unhold", "Lift the holds that were set by command", "slipway changes unhold 'acme/app#1'", "no longer held"),
		changeOrder(from, "merge", "Ask for the merge of the head as it is, once it is ready", "slipway changes merge 'acme/app#1'", "asked for"),
		changeOrder(from, "retry", "Have what was refused tried again at once", "slipway changes retry 'acme/app#1'", "tried again"),
	)
	return cmd
}

// terminalWidth is the width to draw for: the terminal's, else 80 columns.
func terminalWidth(w io.Writer) int {
	if p := pageOf(w); p > 0 {
		return int(p)
	}
	return 80
}

// changeOrder is one order to a change.
func changeOrder(from *source, verb, short, example, done string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     verb + " OWNER/REPO#N",
		Short:   short,
		Example: "  " + example,
		Args:    exactly(1, "one pull request, OWNER/REPO#N"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := ref.ParsePull(args[0])
			if err != nil {
				return usageError{err}
			}
			client, err := from.client()
			if err != nil {
				return err
			}
			if err := client.OrderChange(cmd.Context(), id, verb, server.ChangeOrder{Reason: reason}); err != nil {
				return err
			}
			if from.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"change": id.String(), "order": verb, "result": "accepted"})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s; `slipway explain '%s'` shows what comes of it.\n", id, done, id)
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the journal and for people")
	return cmd
}
