package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"slipway/cmd/slipway/internal/board"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// show draws the progress: a board that is redrawn in place on a terminal, a
// line per event elsewhere.
type show struct {
	w     io.Writer
	live  bool
	width int
	board *board.Board
	read  func() ([]change.Change, error)
	lines int // of the board as drawn last
	past  map[ref.PullID]bool
	told  map[string]bool
}

func newShow(w io.Writer, live bool, width int, read func() ([]change.Change, error)) *show {
	return &show{w: w, live: live, width: max(width, 1), board: board.New(w, width), read: read, past: map[ref.PullID]bool{}, told: map[string]bool{}}
}

func (s *show) say(text string) {
	fmt.Fprintln(s.w, text)
	if s.live {
		fmt.Fprintln(s.w)
	}
}

// draw reads the changes and shows what is new. Changes of earlier scenes stay
// where they were drawn.
func (s *show) draw() ([]change.Change, error) {
	changes, err := s.read()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if !s.live {
		for i := len(changes) - 1; i >= 0; i-- {
			s.tell(changes[i])
		}
		return changes, nil
	}
	var fresh []change.Change
	for _, c := range changes {
		if !s.past[c.ID] {
			fresh = append(fresh, c)
		}
	}
	body := s.board.Changes(fresh, now) + "\n" + s.board.Legend()
	text := body
	if s.lines > 0 {
		text = fmt.Sprintf("\x1b[%dA\x1b[J", s.lines) + body
	}
	s.lines = 0
	for line := range strings.Lines(body) {
		s.lines += max(1, (lipgloss.Width(strings.TrimSuffix(line, "\n"))+s.width-1)/s.width) // a long line takes several rows
	}
	_, err = io.WriteString(s.w, text)
	return changes, err
}

// rest leaves the board as it stands and begins a new one below.
func (s *show) rest() {
	if changes, err := s.draw(); err == nil {
		for _, c := range changes {
			s.past[c.ID] = true
		}
	}
	s.lines = 0
	fmt.Fprintln(s.w)
}

// tell prints each gate's state once, in plain lines.
func (s *show) tell(c change.Change) {
	for _, g := range c.Gates {
		if g.State == change.Waiting || g.At.IsZero() {
			continue
		}
		line := fmt.Sprintf("%s  %-13s %-9s %6s", c.ID, g.Name, g.State, board.Duration(g.At.Sub(c.Opened)))
		if g.Reason != "" {
			line += "  " + board.Text(g.Reason)
		}
		s.once(line)
	}
	if r := c.Revert; r != nil && !r.Pull.IsZero() {
		s.once(fmt.Sprintf("%s  revert: %s", c.ID, r.Pull))
	}
	if c.Outcome != change.Open {
		s.once(strings.TrimSpace(fmt.Sprintf("%s  %s %s", c.ID, c.Outcome, c.Version)))
	}
}

func (s *show) once(line string) {
	if !s.told[line] {
		s.told[line] = true
		fmt.Fprintln(s.w, line)
	}
}
