package board

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"slipway/internal/change"
	"slipway/internal/ref"
)

func TestColours(t *testing.T) {
	c := change.Change{ID: ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: 1}, Title: "feat: a", Outcome: change.OutcomeHealthy}
	for _, row := range []struct {
		rule, force, none string
		colours           bool
	}{
		{"none where it is no terminal", "", "", false},
		{"where they are forced", "1", "", true},
		{"none with NO_COLOR, forced or not", "1", "1", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			t.Setenv("TERM", "xterm")
			t.Setenv("CLICOLOR", "")
			t.Setenv("CLICOLOR_FORCE", row.force)
			t.Setenv("NO_COLOR", row.none)
			text := New(&bytes.Buffer{}, 80).Change(c, time.Now())
			if strings.Contains(text, "\x1b") != row.colours {
				t.Errorf("%q", text)
			}
			if !strings.Contains(text, "acme/app#1") || !strings.Contains(text, "healthy") {
				t.Errorf("%q", text)
			}
		})
	}
}

func TestLines(t *testing.T) {
	for _, row := range []struct{ rule, text, want string }{
		{"lines are kept", "one\ntwo\n", "one\ntwo\n"},
		{"control characters are not", "a\x1b[2J\u009b\x07b\rc\td", "a[2Jb c d"},
		{"nor what turns the text around", "a\u202eb\u2066c", "abc"},
		{"nothing is nothing", "", ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := Lines(row.text); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
