//go:build linux

package worker

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/forge/gitea"
	"slipway/internal/git"
	"slipway/internal/ref"
	"slipway/pools"
	server "slipway/test/servers/gitea"
)

// credential is the coordinate's secret at the server, in every test.
const credential = "slipway_w_not-for-the-command"

// longLease is one that no slow machine lets end.
const longLease = 500 * hurry

// yard is a real Gitea with a builder, a reviewer and a person.
type yard struct {
	*server.Server
	builder, reviewer, alice server.Account
	items                    atomic.Int64
}

// site is a test's own item there, all in one repository, with a worker's parts.
type site struct {
	*yard
	t    *testing.T
	repo ref.RepoID
	item dispatcher.ItemID
	base ref.SHA // the tip of main
	desk *memory
	log  *eventLog
	dir  string // where the worker has its folder
}

func startYard(t *testing.T) *yard {
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
	y := &yard{Server: s}
	for login, account := range map[string]*server.Account{"builder-lite-0": &y.builder, "reviewer-lite-0": &y.reviewer, "alice": &y.alice} {
		if *account, err = s.CreateUser(t.Context(), login, server.Person); err != nil {
			t.Fatal(err)
		}
		if account.Token, err = s.Token(t.Context(), *account, "write:repository", "read:user"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CreateOrg(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRepo(t.Context(), "acme", "app", true); err != nil {
		t.Fatal(err)
	}
	for _, a := range []server.Account{y.builder, y.alice} {
		if err := s.SetCollaborator(t.Context(), "acme", "app", a.Login, server.Write); err != nil {
			t.Fatal(err)
		}
	}
	return y
}

func (y *yard) site(t *testing.T) *site {
	t.Helper()
	s := &site{yard: y, t: t, repo: app, item: dispatcher.ItemID(y.items.Add(1)), desk: newMemory(t, longLease), log: &eventLog{}, dir: t.TempDir()}
	s.base = s.tip("main")
	return s
}

// branch is the one that a build of the item pushes, topic that of a pull
// request of alice's.
func (s *site) branch() string { return fmt.Sprintf("work/%d-builder-lite-0", s.item) }
func (s *site) topic() string  { return fmt.Sprintf("topic-%d", s.item) }

// worker is a worker as an account, with a command.
func (s *site) worker(as server.Account, command ...string) *Worker {
	s.t.Helper()
	address, err := pools.ReadAddress(as.Login)
	s.must(err)
	room, err := OpenRoom(s.dir, address)
	s.must(err)
	s.t.Cleanup(func() { room.Close() })
	client, err := gitea.New(gitea.Config{URL: s.URL(), Login: as.Login, Token: func() (string, error) { return as.Token, nil }})
	s.must(err)
	mirrors, err := git.New(git.Config{
		Dir: filepath.Join(room.Dir(), "mirrors"),
		Remote: func(id ref.RepoID) (git.Remote, error) {
			return git.Remote{URL: s.URL() + "/" + id.String() + ".git", Username: as.Login, Token: as.Token}, nil
		},
		Author: func(ctx context.Context, _ ref.RepoID) (string, string, error) { return client.Self(ctx) },
	})
	s.must(err)
	w, err := New(Config{
		Address: address, Room: room, Command: command, Supervisor: self(s.t, "supervise"),
		Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=C.UTF-8"},
		Desk:    s.desk, Git: mirrors, Forge: client, Identity: client.Self,
		Secrets: func() []string { return []string{credential, as.Token} },
		Grace:   200 * time.Millisecond, Once: true, Tell: s.log.tell,
	})
	s.must(err)
	w.pace = pace{second: hurry, poll: 1, first: 5 * time.Millisecond, most: 50 * time.Millisecond, call: 10 * time.Second, settle: 5 * time.Second}
	return w
}

// build is a build as the server grants it.
func (s *site) build(attempt dispatcher.AttemptID) dispatcher.Grant {
	return dispatcher.Grant{
		Attempt: attempt, Token: 7000 + int64(attempt), Item: s.item, Builder: lite0, Kind: dispatcher.Build, Repo: s.repo, Base: "main",
		Branch: s.branch(), Title: "Make a  file\n(and more)", Spec: "Make made.txt.", Try: 1,
		Assignment: pools.Assignment{Name: "a", Provider: "acme", Model: "m-1", Prompt: pools.Prompt{Text: "Be brief."}, Parameters: `{"t":1}`},
		Budget:     2_500_000, Currency: "EUR", Beat: 5,
	}
}

func (s *site) review(attempt dispatcher.AttemptID, pull ref.PullID, head ref.SHA) dispatcher.Grant {
	g := s.build(attempt)
	g.Kind, g.Builder, g.Branch, g.Base, g.Pull, g.Head = dispatcher.Review, pools.Address{Role: "reviewer", Tier: "lite"}, "", "", pull, head
	return g
}

// run has the worker do one grant.
func (s *site) run(w *Worker, g dispatcher.Grant) error {
	s.t.Helper()
	s.desk.offer(g)
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	err := w.Run(ctx)
	if ctx.Err() != nil {
		s.t.Fatal("it does not come to an end")
	}
	s.clean(w)
	return err
}

// clean makes sure that nothing of an attempt is left.
func (s *site) clean(w *Worker) {
	s.t.Helper()
	left, err := os.ReadDir(filepath.Join(w.Room.Dir(), "attempts"))
	if err != nil || len(left) > 0 {
		s.t.Errorf("it left %v, %v", left, err)
	}
}

// failed runs a grant that has to fail, and gives the reason.
func (s *site) failed(w *Worker, g dispatcher.Grant) string {
	s.t.Helper()
	if err := s.run(w, g); err == nil {
		s.t.Error("it says that it ended well")
	}
	f := s.desk.attempt(g.Attempt).failed
	if f == nil {
		s.t.Fatalf("it did not fail: %+v", s.log.list)
	}
	return f.Reason
}

// tip is where a branch stands; "" for nowhere.
func (s *site) tip(branch string) ref.SHA {
	s.t.Helper()
	var b struct {
		Commit struct {
			ID ref.SHA `json:"id"`
		} `json:"commit"`
	}
	if err := s.Call(s.t.Context(), s.alice.Token, http.MethodGet, "/repos/"+s.repo.String()+"/branches/"+branch, nil, &b); err != nil {
		return ""
	}
	return b.Commit.ID
}

// text is a file of a branch.
func (s *site) text(branch, path string) string {
	s.t.Helper()
	client, err := s.Client(s.t.Context(), s.alice.Token)
	s.must(err)
	data, _, err := client.GetFile("acme", "app", branch, path)
	s.must(err)
	return string(data)
}

// pullRequest is one as its reader sees it.
type pullRequest struct {
	Number int64  `json:"number"`
	Title  string `json:"title"`
	Body   string `json:"body"`
	State  string `json:"state"`
	User   struct {
		Login string `json:"login"`
	} `json:"user"`
	Head struct {
		SHA ref.SHA `json:"sha"`
		Ref string  `json:"ref"`
	} `json:"head"`
}

// pulls are those from the branch of the item.
func (s *site) pulls() []pullRequest {
	s.t.Helper()
	return slices.DeleteFunc(s.all(), func(p pullRequest) bool { return p.Head.Ref != s.branch() })
}

func (s *site) all() (list []pullRequest) {
	s.t.Helper()
	s.must(s.Call(s.t.Context(), s.alice.Token, http.MethodGet, "/repos/"+s.repo.String()+"/pulls?state=all", nil, &list))
	return list
}

// commit writes a file to a branch as somebody, and makes the branch.
func (s *site) commit(as server.Account, branch, path string) ref.SHA {
	s.t.Helper()
	in := map[string]any{"content": "eA==", "message": "add " + path, "branch": branch}
	if s.tip(branch) == "" {
		in["branch"], in["new_branch"] = "main", branch
	}
	var out struct {
		Commit struct {
			SHA ref.SHA `json:"sha"`
		} `json:"commit"`
	}
	s.must(s.Call(s.t.Context(), as.Token, http.MethodPost, "/repos/"+s.repo.String()+"/contents/"+path, in, &out))
	return out.Commit.SHA
}

// proposed is a pull request of alice's.
func (s *site) proposed() (ref.PullID, ref.SHA) {
	s.t.Helper()
	head := s.commit(s.alice, s.topic(), s.topic()+".txt")
	var made pullRequest
	s.must(s.Call(s.t.Context(), s.alice.Token, http.MethodPost, "/repos/"+s.repo.String()+"/pulls", map[string]string{"head": s.topic(), "base": "main", "title": "feat: topic"}, &made))
	return ref.PullID{Repo: s.repo, Number: made.Number}, head
}

// given is a review as its reader sees it.
type given struct {
	State  string  `json:"state"`
	Body   string  `json:"body"`
	Commit ref.SHA `json:"commit_id"`
	User   struct {
		Login string `json:"login"`
	} `json:"user"`
}

func (s *site) reviews(pull ref.PullID) (list []given) {
	s.t.Helper()
	s.must(s.Call(s.t.Context(), s.alice.Token, http.MethodGet, fmt.Sprintf("/repos/%s/pulls/%d/reviews", s.repo, pull.Number), nil, &list))
	return list
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// script is a command that is a shell's script.
func (s *site) script(text string) []string { return []string{"/bin/sh", "-eu", "-c", text} }

// pushedAnything says whether the branch of the item is at the forge.
func (s *site) pushedAnything() bool { return s.tip(s.branch()) != "" }

// silent says whether none of the secrets is in a text, in any form.
func (s *site) silent(text string) bool {
	forms := []string{credential, "7001"}
	for _, a := range []server.Account{s.builder, s.reviewer} {
		forms = append(forms, a.Token, basic(a))
	}
	return !slices.ContainsFunc(forms, func(f string) bool { return strings.Contains(text, f) })
}

func basic(a server.Account) string {
	out, err := exec.Command("sh", "-c", "printf %s \"$0\" | base64 -w0", a.Login+":"+a.Token).Output()
	if err != nil {
		return "no base64"
	}
	return string(out)
}
