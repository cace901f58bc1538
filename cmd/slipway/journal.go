package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/internal/journal"
	"slipway/internal/server"
)

func newJournal(from *source) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "journal",
		Short:   "Read the append-only journal, and check that nobody changed it",
		Example: "  slipway journal list --subject 'acme/app#1'\n  slipway journal verify",
		Args:    exactly(0, "one of its commands"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newJournalList(from), newJournalVerify(from))
	return cmd
}

func newJournalList(from *source) *cobra.Command {
	var subject string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List who did what, on which identity, and why",
		Example: "  slipway journal list --subject 'acme/app#1'",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			reader, done, err := from.reader(cmd)
			if err != nil {
				return err
			}
			defer done()
			out := []journal.Entry{}
			for after := int64(0); ; {
				page, err := reader.Entries(cmd.Context(), after, 500)
				if err != nil {
					return err
				}
				if len(page) == 0 {
					break
				}
				for _, e := range page {
					if subject == "" || e.Subject == subject {
						out = append(out, e)
					}
				}
				after = page[len(page)-1].Seq
			}
			if from.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			if len(out) == 0 && subject != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "slipway: the journal says nothing about %q: a subject is written like acme/app#1, acme/app or acme/app/production\n", board.Text(subject))
			}
			for _, e := range out {
				what := strings.TrimSpace(strings.Join([]string{e.Data["gate"], e.Identity, e.Reason}, " "))
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%6d  %s  %-10s %-18s %-22s %s\n", e.Seq, e.At.Local().Format(time.DateTime),
					board.Text(e.Actor), e.Action, board.Text(e.Subject), board.Text(what))
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&subject, "subject", "", "only entries about this change or target")
	return cmd
}

func newJournalVerify(from *source) *cobra.Command {
	return &cobra.Command{
		Use:     "verify",
		Short:   "Check the hash chain of the whole journal",
		Example: "  slipway journal verify --config slipway.yaml",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			reader, done, err := from.reader(cmd)
			if err != nil {
				return err
			}
			defer done()
			v, err := server.Verify(cmd.Context(), reader)
			if err != nil {
				return err
			}
			if from.json {
				if err := printJSON(cmd.OutOrStdout(), v); err != nil {
					return err
				}
			} else if v.Broken == "" {
				fmt.Fprintf(cmd.OutOrStdout(), "whole: %d entries, head %s\n", v.Entries, v.Head)
			}
			if v.Broken != "" {
				return fmt.Errorf("the journal is whole up to entry %d and broken after it: %s", v.Entries, v.Broken)
			}
			return nil
		},
	}
}
