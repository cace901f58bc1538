package gitea

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// The least scopes of a token that do everything (docs/security.md).
var leastScopes = []string{"write:repository", "write:issue"}

// world is a real Gitea with its people. Every test has a repository of its own.
type world struct {
	*server.Server
	bot      server.Account // administers each repository
	alice    server.Account // writes
	carol    server.Account // stands on the whitelist, reads
	dave     server.Account // likewise
	outsider server.Account // has no right
	ci       server.Account // posts statuses
}

// repository is one test's, with the bot's client for it.
type repository struct {
	*world
	t      testing.TB
	id     ref.RepoID
	client *Client
	calls  *calls
}

// calls counts what OnCall and OnUnread tell.
type calls struct {
	mu     sync.Mutex
	routes []string
	unread []error
}

func TestRealGitea(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Gitea")
	}
	w := start(t)
	for name, test := range map[string]func(*testing.T){
		"Conformance": w.testConformance,
		"Guard":       w.testGuard,
		"Snapshot":    w.testSnapshot,
		"Look":        w.testLook,
		"Calls":       w.testCalls,
		"Remembered":  w.testRemembered,
		"Acts":        w.testActs,
		"Teams":       w.testTeams,
		"Talk":        w.testTalk,
		"Files":       w.testFiles,
		"ManyRows":    w.testManyStatuses,
		"MayWrite":    w.testRememberedRights,
		"Fork":        w.testFork,
		"Checks":      w.testChecks,
		"Reviews":     w.testReviews,
		"Eligible":    w.testEligible,
		"Merge":       w.testMerge,
		"MergeRules":  w.testMergeRules,
		"Release":     w.testRelease,
		"Revert":      w.testRevert,
		"Contents":    w.testContents,
		"Deliveries":  w.testDeliveries,
		"Rights":      w.testRights,
		"Hand":        w.testHand,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// start runs a Gitea with a CI runner, makes the people, and stops both in the
// end.
func start(t testing.TB) *world {
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
	runner, err := s.StartRunner(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runner.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w := &world{Server: s}
	for login, account := range map[string]*server.Account{
		"slipway": &w.bot, "alice": &w.alice, "carol": &w.carol, "dave": &w.dave, "outsider": &w.outsider, "ci": &w.ci,
	} {
		kind := server.Person
		scopes := []string{"all"}
		if login == "slipway" {
			kind, scopes = server.Bot, leastScopes
		}
		if *account, err = s.CreateUser(t.Context(), login, kind); err != nil {
			t.Fatal(err)
		}
		if account.Token, err = s.Token(t.Context(), *account, scopes...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CreateOrg(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	return w
}

// repository makes one as onboarding would leave it: the bot administers it
// under block_admin_merge_override, the reviewers read it as a team and stand
// on the whitelist, version tags are the bot's.
func (w *world) repository(t testing.TB, name string, adjust ...func(*server.BranchRule)) *repository {
	t.Helper()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(w.CreateRepo(t.Context(), "acme", name, true))
	do(w.CreateTeam(t.Context(), "acme", server.Team{
		Name:         "reviewers-" + name,
		Units:        map[string]string{"repo.code": "read", "repo.pulls": "read"},
		Repositories: []string{name},
		Members:      []string{"carol", "dave"},
	}))
	do(w.SetCollaborator(t.Context(), "acme", name, "slipway", server.Admin))
	do(w.SetCollaborator(t.Context(), "acme", name, "alice", server.Write))
	do(w.SetCollaborator(t.Context(), "acme", name, "ci", server.Write))
	rule := server.BranchRule{
		Name:                     "main",
		EnableMergeWhitelist:     true,
		MergeWhitelist:           []string{"slipway"},
		EnableApprovalsWhitelist: true,
		ApprovalsWhitelist:       []string{"carol", "dave"},
		BlockAdminMergeOverride:  true,
	}
	for _, a := range adjust {
		a(&rule)
	}
	do(w.ProtectBranch(t.Context(), "acme", name, rule))
	do(w.ProtectTags(t.Context(), "acme", name, "v*", "slipway"))
	return w.as(t, ref.RepoID{Owner: "acme", Name: name}, w.bot)
}

// openToPush lets who may write push to the base.
func openToPush(b *server.BranchRule) { b.EnablePush = true }

// as gives a client for a repository with an account's token.
func (w *world) as(t testing.TB, id ref.RepoID, who server.Account) *repository {
	t.Helper()
	r := &repository{world: w, t: t, id: id, calls: &calls{}}
	var err error
	r.client, err = New(Config{
		URL:      w.URL(),
		Login:    who.Login,
		Token:    func() (string, error) { return who.Token, nil },
		OnCall:   r.calls.called,
		OnUnread: r.calls.failed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run is a subtest that fails by itself.
func (r *repository) run(t *testing.T, name string, test func(*testing.T, *repository)) {
	t.Run(name, func(t *testing.T) {
		own := *r
		own.t = t
		test(t, &own)
	})
}

// do makes a call of the API as somebody.
func (r *repository) do(who server.Account, method, path string, in, out any) {
	r.t.Helper()
	if err := r.Call(r.t.Context(), who.Token, method, "/repos/"+r.id.String()+path, in, out); err != nil {
		r.t.Fatal(err)
	}
}

// file is a commit of one file.
type file struct {
	path    string
	content string
	message string
	mail    string // the author's, if not the account's own
}

// commit adds or changes a file on a branch, which is made from main if it is
// new, and returns the commit.
func (r *repository) commit(who server.Account, branch string, f file) ref.SHA {
	r.t.Helper()
	in := map[string]any{
		"branch":  branch,
		"content": base64.StdEncoding.EncodeToString([]byte(f.content)),
		"message": f.message,
	}
	if f.mail != "" {
		in["author"] = map[string]string{"name": "Somebody", "email": f.mail}
	}
	if _, err := r.client.Branch(r.t.Context(), ref.BranchID{Repo: r.id, Name: branch}); err != nil {
		in["branch"], in["new_branch"] = "main", branch
	}
	method := http.MethodPost
	var old struct {
		SHA string `json:"sha"`
	}
	err := r.Call(r.t.Context(), who.Token, http.MethodGet, "/repos/"+r.id.String()+"/contents/"+f.path+"?ref="+in["branch"].(string), nil, &old)
	if err == nil {
		method, in["sha"] = http.MethodPut, old.SHA
	}
	var made struct {
		Commit struct {
			SHA ref.SHA `json:"sha"`
		} `json:"commit"`
	}
	r.do(who, method, "/contents/"+f.path, in, &made)
	return made.Commit.SHA
}

// open opens a pull request from a branch to main.
func (r *repository) open(who server.Account, branch, title string) ref.PullID {
	r.t.Helper()
	var made struct {
		Number int64 `json:"number"`
	}
	r.do(who, http.MethodPost, "/pulls", map[string]string{"head": branch, "base": "main", "title": title}, &made)
	return ref.PullID{Repo: r.id, Number: made.Number}
}

// change opens a pull request by alice with one commit and waits until it can
// be merged.
func (r *repository) change(branch string) (ref.PullID, ref.SHA) {
	r.t.Helper()
	head := r.commit(r.alice, branch, file{path: branch + ".txt", content: branch, message: "feat: " + branch})
	id := r.open(r.alice, branch, "feat: "+branch)
	r.settled(id)
	return id, head
}

// settled waits until the forge has checked the pull request for conflicts.
func (r *repository) settled(id ref.PullID) gate.PullRequest {
	r.t.Helper()
	var pull gate.PullRequest
	r.eventually("it can be merged", func() bool {
		pull = must(r.client.Pull(r.t.Context(), id))(r.t)
		return pull.Mergeable == ref.Yes
	})
	return pull
}

func (r *repository) review(who server.Account, id ref.PullID, on ref.SHA, event string) int64 {
	r.t.Helper()
	var made struct {
		ID int64 `json:"id"`
	}
	r.do(who, http.MethodPost, fmt.Sprintf("/pulls/%d/reviews", id.Number),
		map[string]any{"event": event, "commit_id": on, "body": "so I say"}, &made)
	return made.ID
}

// snapshot looks without what is remembered.
func (r *repository) snapshot(id ref.PullID) gate.Snapshot {
	r.t.Helper()
	return r.look(id, reconcile.Want{Fresh: true}).Snapshot
}

// freshly looks without what is remembered.
func freshly(ctx context.Context, c *Client, id ref.PullID) (gate.Snapshot, error) {
	look, err := c.Look(ctx, id, reconcile.Want{Fresh: true})
	return look.Snapshot, err
}

// merge merges as soon as Gitea no longer asks for patience.
func (r *repository) merge(call reconcile.MergeCall) error {
	r.t.Helper()
	var err error
	r.eventually("the merge is answered", func() bool {
		err = r.client.Merge(r.t.Context(), call)
		patience := err != nil && strings.Contains(err.Error(), "Please try again later")
		if patience && fault.KindOf(err) != fault.Changed {
			r.t.Fatal(err)
		}
		return !patience
	})
	return err
}

// eventually looks again and again, ever more seldom, until yes; at most half a
// minute.
func (r *repository) eventually(what string, yes func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	pause := 20 * time.Millisecond
	for !yes() {
		select {
		case <-ctx.Done():
			r.t.Fatalf("not within half a minute: %s", what)
		case <-time.After(pause):
			pause = min(2*pause, 400*time.Millisecond)
		}
	}
}

func (c *calls) called(method, route string, _ int, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.routes = append(c.routes, method+" "+route)
}

func (c *calls) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread = append(c.unread, err)
}

func (c *calls) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.routes, c.unread = nil, nil
}

func (c *calls) seen() (routes []string, unread error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.routes), errors.Join(c.unread...)
}

// must fails the test on an error: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantFault asks for a refusal of a kind with words in it.
func wantFault(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was not refused")
	}
	if fault.KindOf(err) != kind {
		t.Errorf("the refusal is of kind %d, want %d: %v", fault.KindOf(err), kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the refusal lacks %q: %v", w, err)
		}
	}
}
