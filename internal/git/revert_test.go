package git

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

var mainBranch = ref.BranchID{Repo: app, Name: "main"}

// numbered is a file of numbered lines with some of them replaced.
func numbered(replace map[int]string) string {
	var text strings.Builder
	for i := range 30 {
		line, ok := replace[i]
		if !ok {
			line = "line " + strings.Repeat("x", i)
		}
		text.WriteString(line + "\n")
	}
	return text.String()
}

func TestRevert(t *testing.T) {
	f := newForge(t)
	tests := []struct {
		rule string
		// build makes main and returns the commit to undo.
		build func(b *bare) ref.SHA
		want  map[string]string // the tree afterwards, nil for an error
		names string            // what the error names
	}{
		{"the tip", func(b *bare) ref.SHA {
			return b.line("one", "two")[1]
		}, map[string]string{"file": "one"}, ""},
		{"a commit below others", func(b *bare) ref.SHA {
			one := b.commit("one", map[string]string{"a": numbered(nil), "gone": "x"})
			two := b.commit("two", map[string]string{"a": numbered(map[int]string{3: "bad"}), "new": "n"}, one)
			b.branch("main", b.commit("three", map[string]string{"a": numbered(map[int]string{3: "bad", 25: "good"}), "new": "n"}, two))
			return two
		}, map[string]string{"a": numbered(map[int]string{25: "good"}), "gone": "x"}, ""},
		{"a file that was renamed since", func(b *bare) ref.SHA {
			one := b.commit("one", map[string]string{"a": numbered(nil)})
			two := b.commit("two", map[string]string{"a": numbered(map[int]string{3: "bad"})}, one)
			b.branch("main", b.commit("three", map[string]string{"dir/b": numbered(map[int]string{3: "bad"})}, two))
			return two
		}, map[string]string{"dir/": "", "dir/b": numbered(nil)}, ""},
		{"the root", func(b *bare) ref.SHA {
			one := b.commit("one", map[string]string{"a": "1"})
			b.branch("main", b.commit("two", map[string]string{"a": "1", "b": "2"}, one))
			return one
		}, map[string]string{"b": "2"}, ""},
		{"a merge, against its first parent", func(b *bare) ref.SHA {
			root := b.commit("root", map[string]string{"a": "1"})
			left := b.commit("left", map[string]string{"a": "1", "left": "l"}, root)
			right := b.commit("right", map[string]string{"a": "1", "right": "r"}, root)
			merge := b.commit("merge", map[string]string{"a": "1", "left": "l", "right": "r"}, left, right)
			b.branch("main", merge)
			return merge
		}, map[string]string{"a": "1", "left": "l"}, ""},
		{"an executable bit and a link", func(b *bare) ref.SHA {
			one := b.commit("one", map[string]string{"a": "100755:x", "l": "120000:a"})
			two := b.commit("two", map[string]string{"a": "x", "l": "120000:b"}, one)
			b.branch("main", two)
			return two
		}, map[string]string{"*a": "x", "l": "->a"}, ""},
		{"a line that changed since is a conflict", func(b *bare) ref.SHA {
			two := b.line("one", "two", "three")[1]
			return two
		}, nil, `"file"`},
		{"a file that is gone since is a conflict", func(b *bare) ref.SHA {
			one := b.commit("one", map[string]string{"a\nb": numbered(nil)})
			two := b.commit("two", map[string]string{"a\nb": numbered(map[int]string{3: "bad"})}, one)
			b.branch("main", b.commit("three", map[string]string{"c": "1"}, two))
			return two
		}, nil, `"a\nb"`},
		{"what is undone already leaves nothing to undo", func(b *bare) ref.SHA {
			one := b.commit("one", map[string]string{"file": "one"})
			two := b.commit("two", map[string]string{"file": "two"}, one)
			b.branch("main", b.commit("three", map[string]string{"file": "one"}, two))
			return two
		}, nil, "nothing left to undo"},
		{"a commit of another branch", func(b *bare) ref.SHA {
			one := b.line("one")[0]
			b.branch("other", b.commit("two", map[string]string{"file": "two"}, one))
			return b.tip("other")
		}, nil, "does not contain"},
	}
	for i, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			repo := ref.RepoID{Owner: "acme", Name: "case-" + string(rune('a'+i))}
			b := f.create(repo)
			bad := test.build(b)
			base := b.tip("main")
			g := f.mirrors()
			err := g.Revert(deadline(t), ref.BranchID{Repo: repo, Name: "main"}, bad, "slipway/revert-7", "Revert \"x\"\n\nIt crashed.")
			made := b.tip("slipway/revert-7")
			if test.want == nil {
				if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), test.names) || made != "" {
					t.Errorf("got %v, branch at %q; want a permanent error that names %s, and no branch", err, made, test.names)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if _, err := g.Export(deadline(t), repo, made, dir); err != nil {
				t.Fatal(err)
			}
			got := read(t, dir)
			for name, content := range test.want {
				if got[name] != content {
					t.Errorf("%s holds %q; want %q", name, got[name], content)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("got %d files; want %d: %v", len(got), len(test.want), got)
			}
			commits, err := g.Between(deadline(t), repo, base, made)
			if err != nil || len(commits) != 1 {
				t.Fatalf("on top of the base stand %v, %v", commits, err)
			}
			c := commits[0]
			if c.Subject != `Revert "x"` || c.Body != "It crashed.\n\nThis reverts commit "+string(bad)+".\n" || c.Author != "Slipway" ||
				!slices.Equal(c.Parents, []ref.SHA{base}) {
				t.Errorf("the commit is %+v", c)
			}
			if b.tip("main") != base {
				t.Error("the base moved")
			}
		})
	}
}

// TestRevertAgreesWithGit compares the tree with that of git's own revert.
func TestRevertAgreesWithGit(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	one := b.commit("one", map[string]string{"a": numbered(nil), "b": "b", "c/d": numbered(map[int]string{9: "d"})})
	two := b.commit("two", map[string]string{"a": numbered(map[int]string{1: "p", 20: "q"}), "b2": "b", "c/d": numbered(map[int]string{9: "e"}), "n": "n"}, one)
	three := b.commit("three", map[string]string{"a": numbered(map[int]string{1: "p", 11: "r", 20: "q"}), "b2": "b", "moved/d": numbered(map[int]string{9: "e"}), "n": "n", "z": "z"}, two)
	b.branch("main", three)
	if err := f.mirrors().Revert(deadline(t), mainBranch, two, "ours", "Revert two"); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(t.TempDir(), "work")
	b.command("", "clone", "--quiet", b.dir, work)
	b.command("", "-C", work, "revert", "--no-edit", string(two))
	want := b.command("", "-C", work, "rev-parse", "HEAD^{tree}")
	if got := b.git("rev-parse", "ours^{tree}"); got != want {
		t.Errorf("got the tree %s; git's revert makes %s", got, want)
	}
}

func TestRevertTwiceIsOne(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two", "three")
	g := f.mirrors()
	ctx := deadline(t)
	revert := func(commit ref.SHA, branch string) error {
		return g.Revert(ctx, mainBranch, commit, branch, "Revert it")
	}
	if err := revert(shas[2], "revert"); err != nil {
		t.Fatal(err)
	}
	first := b.tip("revert")
	if err := revert(shas[2], "revert"); err != nil || b.tip("revert") != first {
		t.Errorf("again: %v, the branch moved: %t", err, b.tip("revert") != first)
	}
	onTop := b.commit("a person's addition", map[string]string{"file": "two", "more": "x"}, first)
	b.branch("revert", onTop)
	if err := revert(shas[2], "revert"); err != nil || b.tip("revert") != onTop {
		t.Errorf("with a person's commit on top: %v", err)
	}
	if err := revert(shas[1], "revert"); fault.KindOf(err) != fault.Permanent || b.tip("revert") != onTop {
		t.Errorf("of another commit: %v; want a permanent error", err)
	}
	b.branch("taken", shas[0])
	if err := revert(shas[2], "taken"); fault.KindOf(err) != fault.Permanent || b.tip("taken") != shas[0] {
		t.Errorf("a branch of another purpose: %v; want a permanent error", err)
	}
	// The base holds a revert of it; the branch of that name does not.
	b.branch("main", b.commit("Revert three\n\n"+change.RevertLine(shas[2]), map[string]string{"file": "two"}, shas[2]))
	b.branch("old", shas[2])
	if err := revert(shas[2], "old"); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a branch without a revert of its own: %v; want a permanent error", err)
	}
}

func TestRevertRefusesNamesThatAreNone(t *testing.T) {
	f := newForge(t)
	shas := f.create(app).line("one", "two")
	g := f.mirrors()
	for _, name := range []string{"--upload-pack=touch /tmp/x", "-d", "a b", "a:refs/heads/main", "", "../main"} {
		for _, b := range []ref.BranchID{{Repo: app, Name: name}, mainBranch} {
			branch := name
			if b != mainBranch {
				branch = "fine"
			}
			if err := g.Revert(deadline(t), b, shas[1], branch, "x"); fault.KindOf(err) != fault.Permanent {
				t.Errorf("base %q, branch %q: %v; want a permanent error", b.Name, branch, err)
			}
		}
	}
	if requests, _ := f.seen(); len(requests) != 0 {
		t.Errorf("the forge was asked: %v", requests)
	}
}

func TestPushRefusedByTheForge(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two")
	hook := filepath.Join(b.dir, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho 'branch is protected' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := f.mirrors().Revert(deadline(t), mainBranch, shas[1], "revert", "x")
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "branch is protected") {
		t.Errorf("got %v; want a permanent error with the forge's words", err)
	}
}

func TestPushWhoseAnswerWasLost(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two")
	g := f.mirrors()
	f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack") {
			next.ServeHTTP(httptest.NewRecorder(), r)
			http.Error(w, "gateway", http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
	if err := g.Revert(deadline(t), mainBranch, shas[1], "revert", "x"); err != nil {
		t.Errorf("got %v; want success, for the branch is there", err)
	}
	if b.tip("revert") == "" {
		t.Error("there is no branch")
	}
}

func TestPushThatSomebodyElseWon(t *testing.T) {
	for _, test := range []struct {
		rule         string
		by           string
		method, when string
		ok           bool
	}{
		{"with the same revert", "Revert\n\n%", http.MethodPost, "git-receive-pack", true},
		{"with something else, at the last moment", "Other work", http.MethodPost, "git-receive-pack", false},
		{"with something else, before git looks", "Other work", http.MethodGet, "git-receive-pack", false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			f := newForge(t)
			b := f.create(app)
			shas := b.line("one", "two")
			f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.Contains(r.URL.String(), test.when) && r.Method == test.method && b.tip("revert") == "" {
					b.branch("revert", b.commit(strings.ReplaceAll(test.by, "%", change.RevertLine(shas[1])), map[string]string{"file": "one"}, shas[1]))
				}
				next.ServeHTTP(w, r)
			})
			err := f.mirrors().Revert(deadline(t), mainBranch, shas[1], "revert", "x")
			if (err == nil) != test.ok || !test.ok && fault.KindOf(err) != fault.Permanent {
				t.Errorf("got %v; want success: %t", err, test.ok)
			}
			if n := b.git("rev-list", "--count", string(shas[1])+"..revert"); n != "1" {
				t.Errorf("the branch has %s commits of its own", n)
			}
		})
	}
}

func TestPushToAForgeThatIsDown(t *testing.T) {
	f := newForge(t)
	shas := f.create(app).line("one", "two")
	f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.String(), "git-receive-pack") {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
	err := f.mirrors().Revert(deadline(t), mainBranch, shas[1], "revert", "x")
	if err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("got %v; want an error to try later", err)
	}
}

func TestRevertMessage(t *testing.T) {
	sha := ref.SHA(strings.Repeat("a", 40))
	line := "This reverts commit " + string(sha) + "."
	for _, test := range []struct{ rule, message, want string }{
		{"the line is added", "Revert x", "Revert x\n\n" + line + "\n"},
		{"the line is not added twice", "Revert x\n\n" + line + "\n\nWhy.", "Revert x\n\n" + line + "\n\nWhy.\n"},
		{"a body in front stays", "Revert x\nWhy.\n", "Revert x\n\nWhy.\n\n" + line + "\n"},
		{"no message", "", "Revert aaaaaaaaaaaa\n\n" + line + "\n"},
		{"what no message may hold is taken out", "a\x00b\xff", "ab\uFFFD\n\n" + line + "\n"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			if got := revertMessage(test.message, sha); got != test.want {
				t.Errorf("got %q; want %q", got, test.want)
			}
		})
	}
}

func TestConflictsAreListedToALimit(t *testing.T) {
	paths := make([]string, 25)
	for i := range paths {
		paths[i] = "p"
	}
	if got := quoted(paths); strings.Count(got, `"p"`) != 20 || !strings.HasSuffix(got, " and 5 more") {
		t.Errorf("got %s", got)
	}
}
