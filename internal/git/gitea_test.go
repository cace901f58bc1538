package git

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// gitea is a real one with one writer and the bot, as onboarding leaves it.
type gitea struct {
	*server.Server
	alice, bot server.Account
}

// work is a repository of it with a clone that pushes as alice.
type work struct {
	*gitea
	t    *testing.T
	repo ref.RepoID
	dir  string
	// into and from are the branches of the pull request there: the clone's main
	// and topic.
	into, from string
}

// TestRealGitea compares what Gitea itself merges, and keeps notes there.
func TestRealGitea(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Gitea")
	}
	g := startGitea(t)
	for name, test := range map[string]func(*testing.T){"Landed": g.testLanded, "Tampered": g.testTampered, "Note": g.testNote} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func (g *gitea) testLanded(t *testing.T) {
	all := g.work(t, "landed")
	for _, method := range []string{"squash", "merge", "rebase"} {
		for _, test := range []struct {
			rule    string
			moved   bool // the base has moved on since the head branched
			updated bool // the head then merged the base
			commits int
		}{
			{"on the base that the head branched from", false, false, 2},
			{"on a base that has moved on", true, false, 2},
			{"of a head that merged its base", true, true, 3},
		} {
			t.Run(method+" "+test.rule, func(t *testing.T) {
				t.Parallel()
				w := all.beside(t, method+"-"+strings.ReplaceAll(test.rule, " ", "-"))
				w.topic()
				if test.moved {
					w.base()
				}
				if test.updated {
					w.git("checkout", "-q", "topic")
					w.git("merge", "-q", "--no-edit", "main")
				}
				w.push()
				after, head := w.sha("main"), w.sha("topic")
				merge := w.land(head, method)
				got, err := w.mirrors().Landed(deadline(t), w.repo, reconcile.Landing{Merge: merge, Head: head, Method: method, Commits: test.commits, After: after})
				if err != nil || got.Equal != ref.Yes || got.Parent != after {
					t.Errorf("got %+v, %v; want equal on %s", got, err, after)
				}
			})
		}
	}
}

// testTampered has what landed replaced by somebody who may push.
func (g *gitea) testTampered(t *testing.T) {
	all := g.work(t, "tampered")
	for method, replace := range map[string]func(w *work, merge ref.SHA){
		"squash": func(w *work, merge ref.SHA) {
			w.git("checkout", "-q", string(merge))
			w.write("evil.go", "package evil\n")
			w.git("add", "-A")
			w.git("commit", "-q", "--amend", "--no-edit")
		},
		"merge": func(w *work, merge ref.SHA) {
			w.git("checkout", "-q", string(merge))
			w.write("evil.go", "package evil\n")
			w.git("add", "-A")
			w.git("commit", "-q", "--amend", "--no-edit")
		},
		"rebase": func(w *work, merge ref.SHA) {
			w.git("checkout", "-q", string(merge)+"~1")
			w.write("evil.go", "package evil\n")
			w.git("add", "-A")
			w.git("commit", "-q", "--amend", "--no-edit")
			w.git("cherry-pick", string(merge))
		},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := all.beside(t, method)
			w.topic()
			w.base()
			w.push()
			after, head := w.sha("main"), w.sha("topic")
			merge := w.land(head, method)
			w.git("fetch", "-q", "origin")
			replace(w, merge)
			tampered := w.sha("HEAD")
			w.git("push", "-q", "--force", "origin", "HEAD:"+w.into)
			m := w.mirrors()
			got, err := m.Landed(deadline(t), w.repo, reconcile.Landing{Merge: tampered, Head: head, Method: method, Commits: 2, After: after})
			if err != nil || got.Equal != ref.No || !strings.Contains(got.Why, "evil.go") {
				t.Errorf("got %+v, %v; want it told apart by evil.go", got, err)
			}
			got, err = m.Landed(deadline(t), w.repo, reconcile.Landing{Merge: merge, Head: head, Method: method, Commits: 2, After: after})
			if err != nil || got.Equal != ref.Yes {
				t.Errorf("what was there before: got %+v, %v", got, err)
			}
		})
	}
}

func (g *gitea) testNote(t *testing.T) {
	w := g.work(t, "note")
	commit := w.sha("main")
	for range 2 {
		if err := w.mirrors().Note(deadline(t), w.repo, commit, "{\"a\": 1}\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.mirrors().Note(deadline(t), w.repo, commit, "other"); fault.KindOf(err) != fault.Permanent {
		t.Errorf("got %v", err)
	}
	w.git("fetch", "-q", "origin", noteRef+":"+noteRef)
	if got := w.git("notes", "--ref=slipway", "show", string(commit)); got != `{"a": 1}` {
		t.Errorf("it says %q", got)
	}
	if n := w.git("rev-list", "--count", noteRef); n != "1" {
		t.Errorf("%s commits", n)
	}
}

func startGitea(t *testing.T) *gitea {
	t.Helper()
	binaries, err := server.FindBinaries("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Config{Binaries: binaries, Dir: t.TempDir(), Tuned: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	g := &gitea{Server: s}
	for login, account := range map[string]*server.Account{"alice": &g.alice, "slipway": &g.bot} {
		kind, scope := server.Person, "all"
		if login == "slipway" {
			kind, scope = server.Bot, "write:repository"
		}
		if *account, err = s.CreateUser(t.Context(), login, kind); err != nil {
			t.Fatal(err)
		}
		if account.Token, err = s.Token(t.Context(), *account, scope); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CreateOrg(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	return g
}

// work makes a repository whose main branch holds all kinds of files.
func (g *gitea) work(t *testing.T, name string) *work {
	t.Helper()
	w := &work{gitea: g, t: t, repo: ref.RepoID{Owner: "acme", Name: name}, dir: t.TempDir()}
	w.must(g.CreateRepo(t.Context(), "acme", name, true))
	w.must(g.SetCollaborator(t.Context(), "acme", name, "alice", server.Write))
	w.must(g.SetCollaborator(t.Context(), "acme", name, "slipway", server.Admin))
	w.git("clone", "-q", strings.Replace(g.URL(), "http://", "http://alice:"+g.alice.Password+"@", 1)+"/acme/"+name+".git", ".")
	w.write("code.go", numbered(nil))
	w.write("old name.txt", numbered(map[int]string{0: "moves"}))
	w.write("picture.bin", "\x00\x01\x02")
	w.write("windows.txt", "a\r\nb\r\nc\r\n")
	w.write(".gitattributes", "*.txt text eol=crlf\n*.bin filter=lfs diff=lfs merge=lfs -text\n")
	w.git("add", "-A")
	w.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",module")
	w.git("commit", "-q", "-m", "start")
	w.git("push", "-q", "origin", "main")
	return w
}

// beside is a clone as it stands, whose branches have names of their own there:
// Gitea spends half a second on each repository, and each push to one.
func (w *work) beside(t *testing.T, name string) *work {
	t.Helper()
	own := &work{gitea: w.gitea, t: t, repo: w.repo, dir: t.TempDir(), into: name, from: name + "-topic"}
	own.must(os.CopyFS(own.dir, os.DirFS(w.dir)))
	return own
}

func (w *work) push() {
	w.t.Helper()
	w.git("push", "-q", "origin", "main:refs/heads/"+w.into, "topic:refs/heads/"+w.from)
}

// topic makes two commits on a branch: a change with a rename, and one more.
// They are no other topic's.
func (w *work) topic() {
	w.git("checkout", "-q", "-b", "topic", "main")
	w.write("code.go", numbered(map[int]string{20: "one"}))
	w.git("mv", "old name.txt", "new name.txt")
	w.git("add", "code.go")
	w.git("commit", "-q", "-m", "one of "+w.from)
	w.write("code.go", numbered(map[int]string{20: "two", 25: "two"}))
	w.write("picture.bin", "\x00\x03")
	w.write("windows.txt", "a\r\nb\r\nc\r\nd\r\n")
	w.git("add", "code.go", "picture.bin", "windows.txt")
	w.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("2", 40)+",module")
	w.git("commit", "-q", "-m", "two of "+w.from)
}

// base moves main on, in the same file elsewhere. What the topic renames it
// leaves alone: with a git before 2.40 Gitea itself sees no renames.
func (w *work) base() {
	w.git("checkout", "-q", "main")
	w.write("code.go", numbered(map[int]string{2: "base"}))
	w.write("more/new.txt", "base\n")
	w.git("add", "code.go", "more")
	w.git("commit", "-q", "-m", "base")
}

// land opens a pull request, has Gitea merge it and drop its branch, and gives
// the commit that it names.
func (w *work) land(head ref.SHA, method string) ref.SHA {
	w.t.Helper()
	var pull struct {
		Number int     `json:"number"`
		Merge  ref.SHA `json:"merge_commit_sha"`
	}
	path := "/repos/" + w.repo.String() + "/pulls"
	w.must(w.Call(w.t.Context(), w.alice.Token, http.MethodPost, path, map[string]string{"head": w.from, "base": w.into, "title": "t"}, &pull))
	path += "/" + itoa(pull.Number)
	in := map[string]any{"Do": method, "head_commit_id": head, "delete_branch_after_merge": true, "MergeTitleField": "landed"}
	if method == "rebase" {
		delete(in, "MergeTitleField")
	}
	w.eventually("it is merged", func() bool {
		err := w.Call(w.t.Context(), w.bot.Token, http.MethodPost, path+"/merge", in, nil)
		refused := (*server.Refusal)(nil)
		if errors.As(err, &refused) && strings.Contains(err.Error(), "try again later") {
			return false
		}
		w.must(err)
		return true
	})
	w.must(w.Call(w.t.Context(), w.bot.Token, http.MethodGet, path, nil, &pull))
	if pull.Merge == "" {
		w.t.Fatal("it names no commit")
	}
	return pull.Merge
}

// mirrors are new ones, with the bot's token.
func (w *work) mirrors() *Mirrors {
	w.t.Helper()
	g, err := New(Config{
		Dir: filepath.Join(w.t.TempDir(), "mirrors"),
		Remote: func(repo ref.RepoID) (Remote, error) {
			return Remote{URL: w.URL() + "/" + repo.String() + ".git", Username: "slipway", Token: w.bot.Token}, nil
		},
		Name: "slipway", Email: "slipway@example.com", Timeout: time.Minute,
	})
	w.must(err)
	return g
}

func (w *work) write(name, content string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(filepath.Join(w.dir, name)), 0o750))
	w.must(os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600))
}

func (w *work) sha(name string) ref.SHA { return ref.SHA(w.git("rev-parse", name)) }

func (w *work) git(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", args...)
	cmd.Dir = w.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=alice", "GIT_AUTHOR_EMAIL=" + w.alice.Email, "GIT_COMMITTER_NAME=alice", "GIT_COMMITTER_EMAIL=" + w.alice.Email,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *work) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually looks again and again until yes, at most a minute.
func (w *work) eventually(what string, yes func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			w.t.Fatalf("not within a minute: %s", what)
		case <-tick.C:
		}
	}
}
