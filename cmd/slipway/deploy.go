package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/deployer"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

func newDeploy(from *source) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deploy",
		Short:   "Show what runs where, and move it by hand",
		Example: "  slipway deploy status\n  slipway deploy hold acme/app/production --reason 'migration under way'",
		Args:    exactly(0, "one of its commands"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeployStatus(from), newRollback(from), newHold(from), newResume(from), newTakeOver(from))
	return cmd
}

func newDeployStatus(from *source) *cobra.Command {
	return &cobra.Command{
		Use:     "status [OWNER/REPO/ENVIRONMENT]",
		Short:   "Show what each target runs, and why it does not move",
		Example: "  slipway deploy status\n  slipway deploy status acme/app/production --json",
		Args:    between(0, 1, "at most one target, OWNER/REPO/ENVIRONMENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			reader, done, err := from.reader(cmd)
			if err != nil {
				return err
			}
			defer done()
			targets, err := reader.Targets(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if targets, err = only(targets, args[0]); err != nil {
					return err
				}
			}
			if from.json {
				if targets == nil {
					targets = []deployer.Target{}
				}
				return printJSON(cmd.OutOrStdout(), targets)
			}
			return printTargets(cmd.OutOrStdout(), targets)
		},
	}
}

func newRollback(from *source) *cobra.Command {
	var to string
	cmd := orderCommand(from, "rollback", "Go back to a version that was healthy; nothing is deployed again until resume",
		"  slipway deploy rollback acme/app/production --reason 'errors at checkout'\n  slipway deploy rollback acme/app/production --to v1.4.2 --reason 'slow'",
		func() server.Order { return server.Order{Version: to} })
	cmd.Flags().StringVar(&to, "to", "", "the version to go back to (default: the last healthy one before the current)")
	return cmd
}

func newHold(from *source) *cobra.Command {
	return orderCommand(from, "hold", "Keep a target as it is until resume",
		"  slipway deploy hold acme/app/production --reason 'migration under way'", func() server.Order { return server.Order{} })
}

func newResume(from *source) *cobra.Command {
	var allow string
	cmd := orderCommand(from, "resume", "Let a target move again",
		"  slipway deploy resume acme/app/production --reason 'fixed'\n  slipway deploy resume acme/app/production --allow v1.5.0 --reason 'it was the database'",
		func() server.Order { return server.Order{Allow: allow} })
	cmd.Flags().StringVar(&allow, "allow", "", "a barred version that may return")
	return cmd
}

// takeover is what was found, and what came of it: offered, accepted, or
// nothing to do.
type takeover struct {
	reconcile.Offered
	Target string `json:"target"`
	Result string `json:"result"`
}

func (t takeover) text() string {
	found := fmt.Sprintf("%s: %s runs %s; the field is owned by %s.\n", t.Target, board.Text(t.Place), board.Text(t.Image), board.Text(t.Owner))
	switch t.Result {
	case "accepted":
		return found + fmt.Sprintf("Consent recorded; `slipway deploy status %s` shows what comes of it.\n", t.Target)
	case "offered":
		return found + "Slipway would become its owner. Give --yes to consent.\n"
	default:
		return found + "Slipway owns it already; there is nothing to do.\n"
	}
}

func newTakeOver(from *source) *cobra.Command {
	var yes bool
	var reason string
	cmd := &cobra.Command{
		Use:     "takeover OWNER/REPO/ENVIRONMENT",
		Short:   "Make Slipway the owner of the image field of a target, once",
		Example: "  slipway deploy takeover acme/app/production\n  slipway deploy takeover acme/app/production --yes --reason 'onboarding'",
		Args:    exactly(1, "one target, OWNER/REPO/ENVIRONMENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, client, err := targetAndClient(from, args[0])
			if err != nil {
				return err
			}
			found, err := client.Inspect(cmd.Context(), id)
			if err != nil {
				return err
			}
			offer := takeover{Offered: found, Target: id.String(), Result: "offered"}
			switch {
			case found.Taken:
				offer.Result = "nothing to do"
			case yes:
				// The server has the last word: it refuses if anything is not as shown.
				if err := client.Order(cmd.Context(), id, "takeover", server.Order{Reason: reason, Seen: &found}); err != nil {
					return err
				}
				offer.Result = "accepted"
			}
			if from.json {
				err = printJSON(cmd.OutOrStdout(), offer)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), offer.text())
			}
			if err == nil && offer.Result == "offered" {
				return silentError{exitRefused}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "consent")
	cmd.Flags().StringVar(&reason, "reason", "consent on the command line", "why, for the journal")
	return cmd
}

func orderCommand(from *source, verb, short, example string, order func() server.Order) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     verb + " OWNER/REPO/ENVIRONMENT",
		Short:   short,
		Example: example,
		Args:    exactly(1, "one target, OWNER/REPO/ENVIRONMENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, client, err := targetAndClient(from, args[0])
			if err != nil {
				return err
			}
			if strings.TrimSpace(reason) == "" {
				return usageError{fmt.Errorf("%s wants --reason: the journal keeps why", cmd.CommandPath())}
			}
			o := order()
			o.Reason = reason
			if err := client.Order(cmd.Context(), id, verb, o); err != nil {
				return err
			}
			if from.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"target": id.String(), "order": verb, "result": "accepted"})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s accepted; `slipway deploy status %s` shows what comes of it\n", id, verb, id)
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the journal (required)")
	return cmd
}

func targetAndClient(from *source, arg string) (ref.TargetID, *server.Client, error) {
	id, err := ref.ParseTarget(arg)
	if err != nil {
		return id, nil, usageError{err}
	}
	client, err := from.client()
	return id, client, err
}

func only(targets []deployer.Target, name string) ([]deployer.Target, error) {
	id, err := ref.ParseTarget(name)
	if err != nil {
		return nil, usageError{err}
	}
	for _, t := range targets {
		if t.ID == id {
			return []deployer.Target{t}, nil
		}
	}
	return nil, fmt.Errorf("there is no target %s", id)
}

func printTargets(w io.Writer, targets []deployer.Target) error {
	var out strings.Builder
	if len(targets) == 0 {
		out.WriteString("No targets yet: one appears when it is taken over, or with the first release.\n")
	}
	for _, t := range targets {
		fmt.Fprintf(&out, "%s\n", t.ID)
		row := func(name, text string) {
			if text != "" {
				fmt.Fprintf(&out, "  %-10s %s\n", name, board.Text(text))
			}
		}
		if d := t.Current; d != nil {
			text := string(d.Phase) + " since " + d.At.Local().Format(time.DateTime)
			if d.Back {
				text += ", back from " + d.Of
			}
			row("runs", strings.TrimSpace(d.Release.Version+" "+d.Image))
			row("state", text)
			row("because", d.Reason)
		} else {
			row("runs", "nothing that Slipway pinned")
		}
		if t.Hold != nil {
			row("held", "by "+t.Hold.By+": "+t.Hold.Reason)
		}
		for _, b := range t.Barred {
			if b.Lifted == "" {
				row("barred", b.Version+" "+string(b.Digest)+": "+b.Reason)
			}
		}
		row("waits", t.Reason)
		row("drift", t.Drift)
		row("denied", t.Denied)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
