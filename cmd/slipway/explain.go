package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/cmd/slipway/internal/board"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

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

// explain prints the board of one change, then each gate with its evidence, and
// while it is not merged all that is asked of it, and the way there.
func explain(w io.Writer, c change.Change, now time.Time) error {
	var out strings.Builder
	out.WriteString(board.New(w, terminalWidth(w)).Change(c, now) + "\n")
	const column = 25 // where the third one begins
	page := pageOf(w)
	for _, g := range c.Gates {
		fmt.Fprintf(&out, "%-14s %-9s %s\n", g.Name, g.State, page.wrap(evidence(g), column))
		if g.Reason != "" {
			fmt.Fprintf(&out, "%24s %s\n", "", page.wrap(g.Reason, column))
		}
		if g.State == change.Waiting && !g.Deadline.IsZero() && c.Outcome == change.Open {
			late := ""
			if g.Overdue {
				late = ", overdue"
			}
			owed := fmt.Sprintf("owner %s, deadline %s%s", g.Owner, g.Deadline.Local().Format(time.DateTime), late)
			fmt.Fprintf(&out, "%24s %s\n", "", page.wrap(owed, column))
		}
	}
	out.WriteString(page.wanted(c, now))
	_, err := io.WriteString(w, out.String())
	return err
}

// page is how wide a terminal is, in columns; 0 is no terminal, where a line is
// left whole for whatever reads it.
type page int

func pageOf(w io.Writer) page {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return page(width)
		}
	}
	return 0
}

// wrap breaks a text that begins in a column.
func (p page) wrap(text string, column int) string {
	if p == 0 {
		return board.Text(text)
	}
	return board.Wrap(text, int(p), column)
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
		add("approved by %s", approver(a), true)
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

// approver is who gave an approval, an agent with its model.
func approver(a gate.Approval) string {
	if a.Model == "" {
		return a.Login
	}
	return a.Login + " (" + a.Model + ")"
}

// wanted is what the policy asks of a change that is not merged, and the
// smallest set of acts that would merge it.
func (p page) wanted(c change.Change, now time.Time) string {
	if c.MergeSHA != "" || c.Outcome != change.Open || len(c.Requirements) == 0 {
		return ""
	}
	var out strings.Builder
	out.WriteString("\nWhat the policy asks for\n")
	for _, r := range c.Requirements {
		fmt.Fprintf(&out, "  %s %s\n", progressMark(r.State), board.Text(r.Title))
		if r.State == gate.Met || r.State == gate.NotNeeded {
			continue
		}
		if r.Says != "" {
			fmt.Fprintf(&out, "      %s\n", p.wrap(r.Says, 6))
		}
		var tail []string
		if len(r.Who) > 0 {
			tail = append(tail, "up to "+strings.Join(named(c, r.Who), ", "))
		}
		if !r.Since.IsZero() {
			tail = append(tail, "for "+board.Duration(now.Sub(r.Since)))
		}
		if len(tail) > 0 {
			fmt.Fprintf(&out, "      %s\n", p.wrap(strings.Join(tail, ", "), 6))
		}
	}
	if len(c.Acts) > 0 {
		out.WriteString("\nThe least that would merge it\n")
	}
	for i, a := range c.Acts {
		who := strings.Join(named(c, a.Who), " or ")
		if a.Count > 1 {
			who = fmt.Sprintf("%d of %s", a.Count, strings.Join(named(c, a.Who), ", "))
		}
		fmt.Fprintf(&out, "  %d. %s\n", i+1, p.wrap(who+": "+a.Do, 5))
	}
	return out.String()
}

// named has the author's login beside the role.
func named(c change.Change, who []string) []string {
	out := slices.Clone(who)
	for i, w := range out {
		if w == "author" && c.Author != "" {
			out[i] = c.Author + " (author)"
		}
	}
	return out
}

func progressMark(p gate.Progress) string {
	switch p {
	case gate.Met:
		return "✔"
	case gate.Violated:
		return "✖"
	case gate.Unread:
		return "?"
	case gate.Waived:
		return "!"
	case gate.NotNeeded:
		return "–"
	default:
		return "◐"
	}
}
