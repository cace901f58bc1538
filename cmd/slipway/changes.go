package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

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
	return cmd
}

func newExplain(from *source) *cobra.Command {
	return &cobra.Command{
		Use:     "explain OWNER/REPO#N",
		Short:   "Say why a change is where it is, and who can move it",
		Example: "  slipway explain 'acme/app#1'",
		Args:    exactly(1, "one pull request, OWNER/REPO#N"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := ref.ParsePull(args[0])
			if err != nil {
				return usageError{err}
			}
			reader, done, err := from.reader(cmd)
			if err != nil {
				return err
			}
			defer done()
			c, found, err := reader.Change(cmd.Context(), id)
			if err != nil {
				return err
			}
			if !found {
				return fmt.Errorf("%s is not known here: is the repository served, and is the pull request to its branch?", id)
			}
			if from.json {
				return printJSON(cmd.OutOrStdout(), c)
			}
			return explain(cmd.OutOrStdout(), c, time.Now())
		},
	}
}

// explain prints the board of one change, then each gate with its evidence.
func explain(w io.Writer, c change.Change, now time.Time) error {
	var out strings.Builder
	out.WriteString(board.New(w, terminalWidth(w)).Change(c, now) + "\n")
	for _, g := range c.Gates {
		fmt.Fprintf(&out, "%-14s %-9s %s\n", g.Name, g.State, board.Text(evidence(g)))
		if g.Reason != "" {
			fmt.Fprintf(&out, "%24s %s\n", "", board.Text(g.Reason))
		}
		if g.State == change.Waiting && !g.Deadline.IsZero() && c.Outcome == change.Open {
			late := ""
			if g.Overdue {
				late = ", overdue"
			}
			fmt.Fprintf(&out, "%24s owner %s, deadline %s%s\n", "", board.Text(g.Owner), g.Deadline.Local().Format(time.DateTime), late)
		}
	}
	if len(c.Verdict) > 0 {
		out.WriteString("\nIt is not merged because\n")
		for _, r := range c.Verdict {
			who := ""
			if len(r.Who) > 0 {
				who = "  (" + strings.Join(r.Who, ", ") + ")"
			}
			fmt.Fprintf(&out, "  - %s%s\n", board.Text(r.Sentence), board.Text(who))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// evidence is what a gate rests on, in a line.
func evidence(g change.Gate) string {
	e := g.Evidence
	var parts []string
	add := func(format string, v any, ok bool) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, v))
		}
	}
	add("head %s", e.Head.Short(), e.Head != "" && e.MergeSHA == "")
	add("merge commit %s", e.MergeSHA.Short(), e.MergeSHA != "")
	add("by %s", e.MergedBy, e.MergedBy != "")
	for _, a := range e.Approvals {
		add("approved by %s", a.Login, true)
	}
	for _, c := range e.Checks {
		add("%s", c.Context+" "+string(c.State), true)
	}
	add("tag %s", e.Tag, e.Tag != "")
	add("%s", e.Digest, e.Digest != "" && e.Image == "")
	add("%s", e.Image, e.Image != "")
	for _, p := range e.Pods {
		add("%s", strings.TrimSpace(p.Name+" "+ref.SHA(p.Revision).Short()), true)
	}
	add("superseded by %s", e.SupersededBy, e.SupersededBy != "")
	add("restored to %s", e.RestoredTo, e.RestoredTo != "")
	return strings.Join(parts, ", ")
}

// terminalWidth is the width to draw for: the terminal's, else 80 columns.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}
