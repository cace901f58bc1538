package git

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// lent is a repository that Checkout made, in the hands of somebody.
type lent struct {
	t   *testing.T
	dir string
}

func lend(t *testing.T, g *Mirrors, commit ref.SHA, branch string) *lent {
	t.Helper()
	l := &lent{t: t, dir: filepath.Join(t.TempDir(), "tree")}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := g.Fetch(deadline(t), app); err != nil {
		t.Fatal(err)
	}
	if err := g.Checkout(deadline(t), app, commit, branch, l.dir); err != nil {
		t.Fatal(err)
	}
	return l
}

// git runs git as a command in the worktree would: with the repository's own
// configuration.
func (l *lent) git(args ...string) string {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), "git", args...)
	cmd.Dir = l.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.t.TempDir(), "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes a file and commits it.
func (l *lent) commit(name, content string) ref.SHA {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.git("add", "--", name)
	l.git("commit", "-q", "--allow-empty", "-m", "change "+name)
	return ref.SHA(l.git("rev-parse", "HEAD"))
}

func TestCheckout(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	line := b.line("one", "two")
	b.branch("other", line[0])
	g := f.mirrors()
	l := lend(t, g, line[1], "work/1-builder-lite-0")
	if got := l.git("symbolic-ref", "--short", "HEAD"); got != "work/1-builder-lite-0" {
		t.Errorf("it is on %s", got)
	}
	if got := l.git("rev-parse", "HEAD", "origin/main", "origin/other"); got != string(line[1]+"\n"+line[1]+"\n"+line[0]) {
		t.Errorf("it knows %s", got)
	}
	if got := l.git("status", "--porcelain"); got != "" {
		t.Errorf("it is not clean: %s", got)
	}
	if got := l.git("config", "user.name") + " " + l.git("config", "user.email") + " " + l.git("remote", "get-url", "origin"); got != "Slipway slipway@example.com "+f.url+"/acme/app.git" {
		t.Errorf("it is configured as %s", got)
	}
	text, err := os.ReadFile(filepath.Join(l.dir, ".git", "config"))
	if err != nil || shows(string(text)) {
		t.Errorf("its configuration shows a secret: %s, %v", text, err)
	}
	l.commit("file", "three")
	if out := b.git("for-each-ref", "--format=%(refname)"); strings.Contains(out, "work/") {
		t.Errorf("a commit there reached the forge: %s", out)
	}
	if tip, err := g.Tip(deadline(t), ref.BranchID{Repo: app, Name: "main"}); err != nil || tip != line[1] {
		t.Errorf("the mirror's tip is %s, %v", tip, err)
	}
	if tip, err := g.Tip(deadline(t), ref.BranchID{Repo: app, Name: "none"}); err != nil || tip != "" {
		t.Errorf("a branch that is not there stands at %q, %v", tip, err)
	}
	if detached := lend(t, g, line[0], ""); detached.git("rev-parse", "--abbrev-ref", "HEAD") != "HEAD" {
		t.Error("without a branch it is on one")
	}
	if err := g.Checkout(deadline(t), app, line[0], "", l.dir); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a folder with something in it was taken: %v", err)
	}
}

func TestTakeAndPush(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	base := b.line("one", "two")[1]
	g := f.mirrors()
	branch := ref.BranchID{Repo: app, Name: "work/1-builder-lite-0"}
	l := lend(t, g, base, branch.Name)
	l.commit("file", "three")
	head := l.commit("more", "more")
	if err := g.Take(deadline(t), app, l.dir, base, head); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(l.dir); err != nil { // what was taken stands by itself
		t.Fatal(err)
	}
	for range 2 { // the second finds it done
		if err := g.Push(deadline(t), branch, head, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.tip(branch.Name); got != head {
		t.Errorf("the branch stands at %q", got)
	}
	commits, err := g.Between(deadline(t), app, base, head)
	if err != nil || len(commits) != 2 || commits[1].Author != "Slipway" {
		t.Errorf("the mirror knows %+v, %v", commits, err)
	}

	again := lend(t, g, base, branch.Name)
	other := again.commit("file", "another way")
	if err := g.Take(deadline(t), app, again.dir, base, other); err != nil {
		t.Fatal(err)
	}
	if err := g.Push(deadline(t), branch, other, ""); fault.KindOf(err) != fault.Changed {
		t.Errorf("a branch that is there was taken for new: %v", err)
	}
	if err := g.Push(deadline(t), branch, other, base); fault.KindOf(err) != fault.Changed {
		t.Errorf("a branch that was moved was pushed over: %v", err)
	}
	if got := b.tip(branch.Name); got != head {
		t.Errorf("the branch was moved to %q", got)
	}
	if err := g.Push(deadline(t), branch, other, head); err != nil || b.tip(branch.Name) != other {
		t.Errorf("where it was expected it was not replaced: %v", err)
	}
}

func TestTakeRefuses(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	line := b.line("one", "two")
	base := line[1]
	g := f.mirrors()
	for _, c := range []struct {
		rule string
		make func(l *lent) ref.SHA
		says string
	}{
		{"no commit", func(*lent) ref.SHA { return base }, "no commit on top"},
		{"commits that change nothing together", func(l *lent) ref.SHA {
			l.commit("file", "three")
			return l.commit("file", "two")
		}, "change nothing"},
		{"a history of its own", func(l *lent) ref.SHA {
			l.git("checkout", "-q", "--orphan", "new")
			return l.commit("file", "new")
		}, "does not stand on"},
		{"an older base", func(l *lent) ref.SHA {
			l.git("reset", "-q", "--hard", string(line[0]))
			return l.commit("file", "new")
		}, "does not stand on"},
		{"a commit that is not there", func(*lent) ref.SHA { return ref.SHA(strings.Repeat("1", 40)) }, "cannot be read"},
		{"a repository that is gone", func(l *lent) ref.SHA {
			head := l.commit("file", "three")
			if err := os.RemoveAll(filepath.Join(l.dir, ".git")); err != nil {
				l.t.Fatal(err)
			}
			return head
		}, "no repository"},
		{"a file whose object is gone", func(l *lent) ref.SHA {
			head := l.commit("file", "three")
			blob := l.git("rev-parse", "HEAD:file")
			if err := os.Remove(filepath.Join(l.dir, ".git", "objects", blob[:2], blob[2:])); err != nil {
				l.t.Fatal(err)
			}
			return head
		}, "cannot be read"},
		{"an object that is not what it is called", func(l *lent) ref.SHA {
			head := l.commit("file", "three")
			path := func(id string) string { return filepath.Join(l.dir, ".git", "objects", id[:2], id[2:]) }
			other := l.git("hash-object", "-w", "--", ".git/config")
			text, err := os.ReadFile(path(other))
			if err == nil {
				err = os.Remove(path(l.git("rev-parse", "HEAD:file")))
			}
			if err == nil {
				err = os.WriteFile(path(l.git("rev-parse", "HEAD:file")), text, 0o600)
			}
			if err != nil {
				l.t.Fatal(err)
			}
			return head
		}, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			l := lend(t, g, base, "work/1-builder-lite-0")
			l.t = t
			err := g.Take(deadline(t), app, l.dir, base, c.make(l))
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestTakeObeysNothing has a repository configure all that git would run.
func TestTakeObeysNothing(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	base := b.line("one", "two")[1]
	g := f.mirrors()
	l := lend(t, g, base, "work/1-builder-lite-0")
	head := l.commit("file", "three")
	ran := filepath.Join(t.TempDir(), "ran")
	trap := filepath.Join(t.TempDir(), "trap")
	if err := os.WriteFile(trap, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700); err != nil { //nolint:gosec // it has to be run
		t.Fatal(err)
	}
	for _, key := range []string{"core.fsmonitor", "core.sshCommand", "core.pager", "core.alternateRefsCommand", "diff.external",
		"uploadpack.packObjectsHook", "filter.x.clean", "filter.x.process", "gpg.program", "remote.origin.uploadpack", "remote.origin.receivepack", "credential.helper"} {
		l.git("config", key, trap)
	}
	for key, value := range map[string]string{"extensions.partialClone": "origin", "remote.origin.promisor": "true",
		"remote.origin.pushurl": "ext::" + trap, "url.ext::" + trap + " .insteadOf": "http://", "protocol.ext.allow": "always"} {
		l.git("config", key, value)
	}
	hooks := filepath.Join(l.dir, ".git", "hooks")
	if err := os.MkdirAll(hooks, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, hook := range []string{"pre-push", "reference-transaction", "post-checkout", "post-index-change"} {
		if err := os.Symlink(trap, filepath.Join(hooks, hook)); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Take(deadline(t), app, l.dir, base, head); err != nil {
		t.Fatal(err)
	}
	if err := g.Push(deadline(t), ref.BranchID{Repo: app, Name: "work/1-builder-lite-0"}, head, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ran); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the repository configures was run: %v", err)
	}
	if got := b.tip("work/1-builder-lite-0"); got != head {
		t.Errorf("the branch stands at %q", got)
	}
	l.git("status") // which obeys
	if _, err := os.Stat(ran); err != nil {
		t.Errorf("the trap does not work: %v", err)
	}
}

// TestNothingThatWasPutIntoAMirrorTakesEffect holds that a command with the
// worker's own user, which may write to the mirror while it runs, has no git of
// the worker's run a program later, or take its credential elsewhere.
func TestNothingThatWasPutIntoAMirrorTakesEffect(t *testing.T) {
	const branch = "work/1-builder-lite-0"
	const plain = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
	for _, test := range []struct {
		rule string
		put  func(mirror, ran string) map[string]string
	}{
		{"a proxy", func(mirror, _ string) map[string]string {
			return map[string]string{mirror + "/config": plain + "[http]\n\tproxy = http://127.0.0.1:1\n"}
		}},
		{"a program", func(mirror, ran string) map[string]string {
			return map[string]string{
				mirror + "/config":                  plain + "\talternateRefsCommand = \"env > " + ran + " #\"\n",
				mirror + "/objects/info/alternates": filepath.Join(filepath.Dir(ran), "tree", ".git", "objects") + "\n",
			}
		}},
		{"another folder", func(mirror, ran string) map[string]string {
			return map[string]string{mirror + "/commondir": ran + "-other\n"}
		}},
		{"a folder in a file's place", func(mirror, _ string) map[string]string {
			if err := os.RemoveAll(mirror + "/config"); err != nil {
				t.Fatal(err)
			}
			return map[string]string{mirror + "/config/x": ""}
		}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			f := newForge(t)
			b := f.create(app)
			line := b.line("one")
			g := f.mirrors()
			l := lend(t, g, line[0], branch)
			m, err := g.mirror(app)
			if err != nil {
				t.Fatal(err)
			}
			ran, head := filepath.Join(filepath.Dir(l.dir), "ran"), l.commit("a", "b")
			for _, step := range []struct {
				name string
				do   func() error
			}{
				{"fetch", func() error { return g.Fetch(deadline(t), app) }},
				{"take", func() error { return g.Take(deadline(t), app, l.dir, line[0], head) }},
				{"push", func() error { return g.Push(deadline(t), ref.BranchID{Repo: app, Name: branch}, head, "") }},
			} {
				for path, text := range test.put(m.path, ran) {
					if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
						t.Fatal(err)
					}
				}
				if err := step.do(); err != nil {
					t.Errorf("%s: %v", step.name, err)
				}
				if seen, err := os.ReadFile(ran); err == nil {
					t.Errorf("%s ran a program, which saw the credential: %v", step.name, strings.Contains(string(seen), "Authorization"))
				}
			}
			if got := b.tip(branch); got != head {
				t.Errorf("the branch stands at %s", got)
			}
		})
	}
}
