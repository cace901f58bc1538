package board_test

import (
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"pgregory.net/rapid"

	"slipway/cmd/slipway/internal/board"
)

func TestWrapKeepsToTheWidthAndLosesNoWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zäö/#-]{1,30}`), 1, 40).Draw(t, "words")
		width, indent := rapid.IntRange(45, 120).Draw(t, "width"), rapid.IntRange(0, 25).Draw(t, "indent")
		got := board.Wrap(strings.Join(words, " "), width, indent)
		for i, line := range strings.Split(got, "\n") {
			if i == 0 {
				line = strings.Repeat(" ", indent) + line
			}
			if w := runewidth.StringWidth(line); w > width {
				t.Fatalf("a line of %d columns, more than %d: %q", w, width, line)
			}
			if !strings.HasPrefix(line, strings.Repeat(" ", indent)) {
				t.Fatalf("line %d does not begin in column %d: %q", i, indent, line)
			}
		}
		if squeezed := strings.Join(strings.Fields(got), ""); squeezed != strings.Join(words, "") {
			t.Fatalf("%q became %q", words, got)
		}
	})
}
