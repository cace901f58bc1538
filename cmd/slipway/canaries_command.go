package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/internal/canary"
	"slipway/internal/ref"
	"slipway/internal/server"
)

func newCanaries(from *source) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "canaries",
		Short:   "Show what became of the pull requests that must stay blocked, or let them out now",
		Example: "  slipway canaries\n  slipway canaries run acme/canary",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := from.client()
			if err != nil {
				return err
			}
			all, err := client.Canaries(cmd.Context())
			if err != nil {
				return err
			}
			if from.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			if len(all) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "No repository is lent to canaries: slipway.yaml names them under canaries.")
			}
			for _, a := range all {
				printAviary(cmd.OutOrStdout(), a)
			}
			return nil
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "run OWNER/REPO",
		Short:   "Let the canaries out now, and wait for what becomes of them",
		Long:    "Let the canaries out now, and wait for what becomes of them: exit 0 if every rule that could be tried held.",
		Example: "  slipway canaries run acme/canary",
		Args:    exactly(1, "a repository, OWNER/REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := ref.ParseRepo(args[0])
			if err != nil {
				return usageError{err}
			}
			client, err := from.client()
			if err != nil {
				return err
			}
			a, err := roundOf(cmd.Context(), client, repo)
			if err != nil {
				return err
			}
			if from.json {
				err = printJSON(cmd.OutOrStdout(), a.Last)
			} else {
				printAviary(cmd.OutOrStdout(), a)
			}
			if err == nil && len(a.Last.Findings) > 0 {
				return silentError{exitRefused}
			}
			return err
		},
	})
	return cmd
}

// roundOf has a round made, and waits for its end.
func roundOf(ctx context.Context, client *server.Client, repo ref.RepoID) (server.Aviary, error) {
	begun, err := client.RunCanaries(ctx, repo)
	if err != nil {
		return begun, err
	}
	ctx, cancel := context.WithTimeout(ctx, canaryPatience+5*time.Minute)
	defer cancel()
	for {
		if !pause(ctx, time.Second) {
			return begun, fmt.Errorf("the round in %s goes on without this command: `slipway canaries` shows its end: %w", repo, ctx.Err())
		}
		all, err := client.Canaries(ctx)
		if err != nil {
			return begun, err
		}
		i := slices.IndexFunc(all, func(a server.Aviary) bool { return a.Repo == repo })
		switch {
		case i < 0 || !all[i].Running && all[i].Rounds <= begun.Rounds:
			return begun, fmt.Errorf("the round in %s was cut off: was the server stopped?", repo)
		case all[i].Rounds > begun.Rounds && all[i].Last != nil:
			return all[i], nil
		}
	}
}

func printAviary(w io.Writer, a server.Aviary) {
	next := "never"
	if !a.Next.IsZero() {
		next = a.Next.UTC().Format(time.RFC3339)
	}
	if a.Running {
		next = "under way"
	}
	fmt.Fprintf(w, "%s · next round: %s\n", a.Repo, next)
	if a.Last == nil {
		fmt.Fprintln(w, "  no round since the server started: the journal has those before (canary.round, canary.alarm)")
		return
	}
	fmt.Fprintf(w, "  last round: %s, in %s\n", a.Last.Began.UTC().Format(time.RFC3339), a.Last.Ended.Sub(a.Last.Began).Round(time.Second))
	if len(a.Last.Held) > 0 {
		fmt.Fprintf(w, "  ✔ held: %s\n", strings.Join(a.Last.Held, ", "))
	}
	lines := func(mark string, list []canary.Finding) {
		for _, f := range list {
			about := f.Rule
			if !f.Pull.IsZero() {
				about += " (" + f.Pull.String() + ")"
			}
			fmt.Fprintf(w, "  %s %s\n", mark, board.Text(strings.TrimPrefix(about+": "+f.Says, ": ")))
		}
	}
	lines("– not tried:", a.Last.Untried)
	lines("✖", a.Last.Findings)
}
