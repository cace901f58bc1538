package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

// policyLimit is the largest policy file, in bytes.
const policyLimit = 1 << 20

func newReplay(from *source) *cobra.Command {
	var file, since string
	var limit int
	cmd := &cobra.Command{
		Use:   "replay OWNER/REPO --policy FILE",
		Short: "Judge past pull requests by another policy, and list every verdict that would differ",
		Long: "Judge what was known of each pull request when Slipway looked at it last, by the policy in FILE and by the one in force.\n" +
			"It exits with 0 when no verdict would differ, else with 1.",
		Example: "  slipway policy replay acme/app --policy .slipway.yaml --since 30d",
		Args:    exactly(1, "one repository, OWNER/REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			order, err := replayOrder(args[0], file, since, limit, time.Now())
			if err != nil {
				return usageError{err}
			}
			client, err := from.client()
			if err != nil {
				return err
			}
			replay, err := client.Replay(cmd.Context(), order)
			if err != nil {
				return err
			}
			if len(replay.Faults) > 0 {
				return usageError{fmt.Errorf("faults in %s, %d in all\n%s", file, len(replay.Faults), strings.Join(replay.Faults, "\n"))}
			}
			if from.json {
				err = printJSON(cmd.OutOrStdout(), replay)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), replayed(replay))
			}
			if err == nil && len(replay.Differ) > 0 {
				return silentError{exitRefused}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&file, "policy", "", "the policy file to try (needed)")
	cmd.Flags().StringVar(&since, "since", "30d", "how far back: 12h, 30d or a time in RFC 3339")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many pull requests, the newest (default: 1000)")
	return cmd
}

func replayOrder(repo, file, since string, limit int, now time.Time) (server.ReplayOrder, error) {
	id, err := ref.ParseRepo(repo)
	if err != nil {
		return server.ReplayOrder{}, err
	}
	if file == "" {
		return server.ReplayOrder{}, errors.New("slipway policy replay wants --policy FILE: the policy to try")
	}
	at, err := ago(since, now)
	if err != nil {
		return server.ReplayOrder{}, fmt.Errorf("--since: %w", err)
	}
	f, err := os.Open(file) //nolint:gosec // the caller names the file to read
	if err != nil {
		return server.ReplayOrder{}, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, policyLimit+1))
	switch {
	case err != nil:
		return server.ReplayOrder{}, err
	case len(data) > policyLimit:
		return server.ReplayOrder{}, fmt.Errorf("%s is larger than %d bytes", file, policyLimit)
	}
	return server.ReplayOrder{Repo: id.String(), Policy: string(data), Since: at, Limit: limit}, nil
}

// ago reads a time: RFC 3339, or how long ago, in days too.
func ago(s string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 36500 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-01-31T00:00:00Z nor how long ago, such as 12h or 30d", s)
}

// replayed is a replay for people.
func replayed(r reconcile.Replay) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %d judged, %d would be judged otherwise.\n", r.Repo, r.Judged, len(r.Differ))
	for _, d := range r.Differ {
		fmt.Fprintf(&out, "\n%s  %s\n", d.Change, board.Text(d.Title))
		fmt.Fprintf(&out, "  was       %s\n", judged(d.Was))
		fmt.Fprintf(&out, "  would be  %s\n", judged(d.Would))
	}
	return out.String()
}

func judged(j reconcile.Judgement) string {
	if len(j.Reasons) == 0 {
		return j.Outcome
	}
	return j.Outcome + ": " + board.Text(strings.Join(sentences(j.Reasons), "; "))
}

func sentences(reasons []change.Reason) []string {
	var out []string
	for _, r := range reasons {
		out = append(out, r.Sentence)
	}
	return out
}
