package forgetest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// scene is a place with the adapter to look at it.
type scene struct {
	Place
	forge reconcile.Forge
	dir   string // a clone; "" before the first push
}

// commit is one commit to be pushed.
type commit struct {
	message string
	files   map[string]string
	moved   map[string]string // old path to new
	removed []string
	mail    string // the author's, if not the pusher's own
	merges  string // a branch to take in with this commit
}

func set(t *testing.T, w World, name string, r Rules) *scene {
	t.Helper()
	p := w.Place(t, name, r)
	return &scene{Place: p, forge: p.Forge(t), dir: t.TempDir()}
}

// patience is how long anything may take. Where a forge does not tell a conflict
// from a check for one, an adapter waits half of it before it says so.
const patience = time.Minute

// eventually looks again and again, ever more seldom, until yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pause := 10 * time.Millisecond
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(pause):
			pause = min(2*pause, 500*time.Millisecond)
		}
	}
}

// git runs git in the clone and gives what it says.
func (s *scene) git(t *testing.T, who Person, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...) //nolint:gosec // the suite's own words
	cmd.Dir = s.dir
	mail := string(who) + "@" + MailDomain
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME="+string(who), "GIT_AUTHOR_EMAIL="+mail, "GIT_COMMITTER_NAME="+string(who), "GIT_COMMITTER_EMAIL="+mail)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits and pushes, to a branch that is made from main if it is new.
func (s *scene) push(t *testing.T, who Person, branch string, c commit) ref.SHA {
	t.Helper()
	if _, err := os.Stat(filepath.Join(s.dir, ".git")); err != nil {
		s.git(t, who, "init", "-q", "--initial-branch=unborn")
	}
	s.git(t, who, "fetch", "-q", s.Remote(who), "+refs/heads/*:refs/remotes/origin/*")
	from := "refs/remotes/origin/" + branch
	if s.git(t, who, "for-each-ref", from) == "" {
		from = "refs/remotes/origin/main"
	}
	s.git(t, who, "checkout", "-q", "-f", "-B", "work", from)
	if c.merges != "" {
		s.git(t, who, "merge", "-q", "--no-commit", "--no-ff", "refs/remotes/origin/"+c.merges)
	}
	for path, content := range c.files {
		full := filepath.Join(s.dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range c.moved {
		s.git(t, who, "mv", from, to)
	}
	for _, path := range c.removed {
		s.git(t, who, "rm", "-q", path)
	}
	s.git(t, who, "add", "-A")
	args := []string{"commit", "-q", "--allow-empty", "-m", c.message}
	if c.mail != "" {
		args = append(args, "--author=Somebody <"+c.mail+">")
	}
	s.git(t, who, args...)
	s.git(t, who, "push", "-q", s.Remote(who), "HEAD:refs/heads/"+branch)
	return ref.SHA(s.git(t, who, "rev-parse", "HEAD"))
}

// change opens a pull request by Alice with one commit of one file, and waits
// until it is known to merge.
func (s *scene) change(t *testing.T, branch string) (ref.PullID, ref.SHA) {
	t.Helper()
	head := s.push(t, Alice, branch, commit{message: "feat: " + branch, files: map[string]string{branch + ".txt": branch + "\n"}})
	id := s.Open(t, Alice, branch, "main", "feat: "+branch, false)
	s.settled(t, id)
	return id, head
}

// settled waits until the forge knows that the pull request merges.
func (s *scene) settled(t *testing.T, id ref.PullID) gate.PullRequest {
	t.Helper()
	var p gate.PullRequest
	eventually(t, "it is known to merge", func() bool {
		p = s.pull(t, id)
		return p.Mergeable == ref.Yes
	})
	return p
}

func (s *scene) pull(t *testing.T, id ref.PullID) gate.PullRequest {
	t.Helper()
	return must(s.forge.Pull(t.Context(), id))(t)
}

// look looks anew, again while the head is moving.
func (s *scene) look(t *testing.T, id ref.PullID, want ...reconcile.Want) reconcile.Look {
	t.Helper()
	w := reconcile.Want{Fresh: true}
	if len(want) > 0 {
		w = want[0]
		w.Fresh = true
	}
	var l reconcile.Look
	eventually(t, "the head stands still", func() bool {
		var err error
		l, err = s.forge.Look(t.Context(), id, w)
		if err != nil && fault.KindOf(err) != fault.Changed {
			t.Fatal(err)
		}
		return err == nil
	})
	return l
}

// merge merges, as soon as the forge no longer asks for patience.
func (s *scene) merge(t *testing.T, call reconcile.MergeCall) error {
	t.Helper()
	var err error
	eventually(t, "the merge is answered", func() bool {
		err = s.forge.Merge(t.Context(), call)
		return err == nil || !strings.Contains(strings.ToLower(err.Error()), "try again later")
	})
	return err
}

func (s *scene) tip(t *testing.T, branch string) ref.SHA {
	t.Helper()
	return must(s.forge.Branch(t.Context(), ref.BranchID{Repo: s.ID(), Name: branch}))(t)
}

func squash(id ref.PullID, head ref.SHA) reconcile.MergeCall {
	return reconcile.MergeCall{ID: id, Head: head, Method: "squash", Title: "A title", Message: "A message"}
}

// must fails the test on an error: must(f())(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused asks for a refusal of a kind that names what it is about.
func refused(t *testing.T, err error, kind fault.Kind, about string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was not refused")
	}
	if fault.KindOf(err) != kind {
		t.Errorf("the refusal is of kind %d, want %d: %v", fault.KindOf(err), kind, err)
	}
	if !strings.Contains(err.Error(), about) {
		t.Errorf("the refusal does not name %s: %v", about, err)
	}
}
