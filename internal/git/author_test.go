package git

import (
	"context"
	"errors"
	"strings"
	"testing"

	"slipway/internal/ref"
)

func TestRevertIsWrittenByWhoeverTheForgeKnows(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two")
	asked := 0
	who := func(_ context.Context, repo ref.RepoID) (string, string, error) {
		asked++
		if repo != app {
			t.Errorf("asked about %s", repo)
		}
		return "bot", "7+bot@noreply.example.com", nil
	}
	g := f.mirrors(func(c *Config) { c.Name, c.Email, c.Author = "", "", who })
	if err := g.Revert(deadline(t), mainBranch, shas[1], "revert", "Revert two"); err != nil {
		t.Fatal(err)
	}
	if got := b.git("log", "-1", "--format=%an <%ae> %cn <%ce>", "revert"); strings.TrimSpace(got) != "bot <7+bot@noreply.example.com> bot <7+bot@noreply.example.com>" {
		t.Errorf("written by %s", got)
	}
	if asked == 0 {
		t.Error("nobody was asked who writes it")
	}
}

func TestRevertNeedsAnAuthor(t *testing.T) {
	for _, test := range []struct {
		rule        string
		name, email string
		err         error
	}{
		{"that can be read", "", "", errors.New("the forge is down")},
		{"with a name", "", "bot@example.com", nil},
		{"with an address", "bot", "", nil},
		{"of one line", "bot\nx", "bot@example.com", nil},
	} {
		t.Run(test.rule, func(t *testing.T) {
			f := newForge(t)
			b := f.create(app)
			shas := b.line("one", "two")
			g := f.mirrors(func(c *Config) {
				c.Author = func(context.Context, ref.RepoID) (string, string, error) { return test.name, test.email, test.err }
			})
			if err := g.Revert(deadline(t), mainBranch, shas[1], "revert", "Revert two"); err == nil {
				t.Error("it was reverted")
			}
			if tip := b.tip("revert"); tip != "" {
				t.Errorf("a branch was made at %s", tip)
			}
		})
	}
}
