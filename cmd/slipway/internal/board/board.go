// Package board draws changes and their eight gates for a terminal. It is
// given records and a width and gives back text; it reads nothing.
package board

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/lipgloss"
	"github.com/mattn/go-runewidth"

	"slipway/internal/change"
)

// Board draws for one output.
type Board struct {
	width  int
	styles styles
}

type styles struct {
	title, dim, good, bad, busy, other lipgloss.Style
}

// New draws for w, in colours if w is a terminal that shows them; width is in
// columns.
func New(w io.Writer, width int) *Board {
	r := lipgloss.NewRenderer(w)
	style := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return &Board{width: max(width, 40), styles: styles{
		title: r.NewStyle().Bold(true),
		dim:   r.NewStyle().Faint(true),
		good:  style("2"),
		bad:   style("1"),
		busy:  style("3"),
		other: style("6"),
	}}
}

// Changes draws them one below the other, newest last; times of waiting gates
// are told as of now.
func (b *Board) Changes(changes []change.Change, now time.Time) string {
	if len(changes) == 0 {
		return b.styles.dim.Render("No changes.") + "\n"
	}
	var out strings.Builder
	for i := len(changes) - 1; i >= 0; i-- {
		out.WriteString(b.Change(changes[i], now))
		if i > 0 {
			out.WriteString("\n")
		}
	}
	return out.String()
}

// Change draws one change: its name and outcome, its gates with the time each
// took since the pull request was opened, and what it waits for.
func (b *Board) Change(c change.Change, now time.Time) string {
	var out strings.Builder
	end := b.outcome(c)
	if c.Version != "" {
		end = c.Version + "  " + end
	}
	name := c.ID.String() + "  "
	room := b.width - lipgloss.Width(name) - lipgloss.Width(end) - 2
	title := ""
	if room >= 8 {
		title = runewidth.Truncate(Text(c.Title), room, "…")
	}
	pad := max(b.width-lipgloss.Width(name)-runewidth.StringWidth(title)-lipgloss.Width(end), 1)
	out.WriteString(b.styles.title.Render(name) + title + strings.Repeat(" ", pad) + end + "\n")
	out.WriteString(b.gates(c, now))
	for _, line := range b.waits(c) {
		out.WriteString("  " + line + "\n")
	}
	return out.String()
}

// Legend explains the marks.
func (b *Board) Legend() string {
	parts := []string{
		b.styles.good.Render("✔") + " passed", b.styles.bad.Render("✖") + " failed", b.styles.busy.Render("◐") + " its turn",
		b.styles.dim.Render("·") + " not yet", b.styles.other.Render("↷") + " skipped", b.styles.other.Render("≈") + " simulated",
	}
	return strings.Join(parts, "   ") + "\n"
}

// gates draws the eight in one row, or in two where the terminal is narrow.
func (b *Board) gates(c change.Change, now time.Time) string {
	total := 2
	for _, g := range c.Gates {
		total += cell(g.Name)
	}
	perRow := len(c.Gates)
	if b.width < total {
		perRow = 4
	}
	current := c.Current()
	var out strings.Builder
	for row := range slices.Chunk(c.Gates, max(perRow, 1)) {
		var names, times strings.Builder
		for _, g := range row {
			turn := current != nil && current.Name == g.Name && c.Outcome == change.Open
			mark, style := b.mark(g, turn)
			names.WriteString(pad(style.Render(mark)+" "+short(g.Name), cell(g.Name)))
			times.WriteString(pad("  "+b.styles.dim.Render(took(c, g, turn, now)), cell(g.Name)))
		}
		out.WriteString("  " + strings.TrimRight(names.String(), " ") + "\n  " + strings.TrimRight(times.String(), " ") + "\n")
	}
	return out.String()
}

func (b *Board) mark(g change.Gate, turn bool) (string, lipgloss.Style) {
	switch g.State {
	case change.Passed:
		return "✔", b.styles.good
	case change.Failed:
		return "✖", b.styles.bad
	case change.Skipped:
		return "↷", b.styles.other
	case change.Simulated:
		return "≈", b.styles.other
	}
	if turn {
		return "◐", b.styles.busy
	}
	return "·", b.styles.dim
}

func (b *Board) outcome(c change.Change) string {
	switch c.Outcome {
	case change.OutcomeHealthy:
		return b.styles.good.Render("healthy")
	case change.OutcomeRolled:
		return b.styles.bad.Render("rolled back")
	case change.OutcomeSimulated:
		return b.styles.other.Render("simulated")
	case change.Open:
		return b.styles.busy.Render("under way")
	default:
		return b.styles.dim.Render(string(c.Outcome))
	}
}

// waits says what the change waits for, or what became of it.
func (b *Board) waits(c change.Change) []string {
	var lines []string
	add := func(style lipgloss.Style, s string) {
		lines = append(lines, style.Render(runewidth.Truncate(Text(s), b.width-2, "…")))
	}
	for _, g := range c.Gates {
		switch {
		case g.State == change.Failed && g.Reason != "":
			add(b.styles.bad, short(g.Name)+": "+g.Reason)
		case g.State == change.Simulated && g.Reason != "":
			add(b.styles.other, short(g.Name)+": "+g.Reason)
		}
	}
	if g := c.Current(); g != nil && g.State == change.Waiting && g.Reason != "" && c.Outcome == change.Open {
		text := short(g.Name) + ": " + g.Reason
		if g.Overdue {
			add(b.styles.bad, text+" (overdue)")
		} else {
			add(b.styles.dim, text)
		}
	}
	if c.Refusal != nil {
		add(b.styles.bad, "refused: "+c.Refusal.Reason)
	}
	if r := c.Revert; r != nil {
		switch {
		case !r.Pull.IsZero():
			add(b.styles.other, "revert: "+r.Pull.String())
		case r.State == change.RevertImpossible:
			add(b.styles.bad, "no revert: "+r.Reason)
		}
	}
	return lines
}

// took is the time from the opening of the pull request to the gate.
func took(c change.Change, g change.Gate, turn bool, now time.Time) string {
	switch {
	case !g.At.IsZero() && !c.Opened.IsZero():
		return Duration(g.At.Sub(c.Opened))
	case turn && !c.Opened.IsZero():
		return Duration(now.Sub(c.Opened)) + "…"
	default:
		return ""
	}
}

// Duration tells a time to two or three figures: 4.2s, 3m20s, 2h05m.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}

// Text makes words from outside harmless for a terminal: no control or format
// characters, one line.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		default:
			return r
		}
	}, s)
}

// Lines does the same and keeps the lines as they are.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n")
}

// Wrap breaks text between words into lines of at most width columns, and words
// that are longer than a line within. The lines after the first begin with
// indent spaces; the first is taken to begin there as well.
func Wrap(text string, width, indent int) string {
	limit := max(width-indent, 20)
	var out strings.Builder
	column := 0
	for _, word := range strings.Fields(Text(text)) {
		for n, part := range strings.Split(runewidth.Wrap(word, limit), "\n") {
			need := runewidth.StringWidth(part)
			switch {
			case column == 0:
			case n > 0 || column+1+need > limit:
				out.WriteString("\n" + strings.Repeat(" ", indent))
				column = 0
			default:
				out.WriteByte(' ')
				column++
			}
			out.WriteString(part)
			column += need
		}
	}
	return out.String()
}

func short(n change.GateName) string {
	if n == change.PostMergeCI {
		return "ci"
	}
	return string(n)
}

// cell is the width of a gate's column: its mark, its name or a time, a gap.
func cell(n change.GateName) int { return max(len(short(n)), 6) + 3 }

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-lipgloss.Width(s), 0))
}
