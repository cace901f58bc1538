package github_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/forge/github"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/forgetest"
	server "slipway/test/servers/github"
)

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a stand-in for GitHub")
	}
	t.Run("with a token", func(t *testing.T) { forgetest.Run(t, newWorld(t, false)) })
	// How a commit or a file reads does not depend on who reads it. That an App may
	// read each of them, TestAnAppDoesItAll says.
	t.Run("as an App", func(t *testing.T) { forgetest.RunIdentity(t, newWorld(t, true)) })
}

// permissions are the least with which an App does everything
// (docs/security.md).
func permissions() map[string]string {
	return map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "statuses": "write",
		"checks": "read", "actions": "read", "members": "read",
	}
}

// world is a stand-in for GitHub with its people. The bot has a token, or is an
// App.
type world struct {
	*server.Server
	people map[forgetest.Person]*server.Account
	admin  *server.Account
	login  string // the bot's
	token  string // "" for an App
	app    *github.App
}

func newWorld(t *testing.T, asApp bool) *world {
	t.Helper()
	api, err := github.Described()
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), API: api, OnViolation: func(err error) { t.Errorf("violation: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	s.CreateOrg("acme")
	w := &world{Server: s, admin: s.CreateUser("admin"), people: map[forgetest.Person]*server.Account{}}
	if asApp {
		w.install(t)
	} else {
		bot := s.CreateUser("slipway")
		w.login, w.token = bot.Login, bot.Token
	}
	for _, who := range []forgetest.Person{forgetest.Alice, forgetest.Carol, forgetest.Dave, forgetest.CI, forgetest.Outsider} {
		w.people[who] = s.CreateUser(string(who))
	}
	return w
}

// install makes the bot an App.
func (w *world) install(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	made := w.CreateApp("slipway", "acme", permissions(), &key.PublicKey)
	w.login = "slipway[bot]"
	w.app = &github.App{ID: made.ID, Installation: made.Installation, PrivateKey: func() (string, error) { return string(text), nil }}
}

// place is one repository of it.
type place struct {
	*world
	id ref.RepoID

	mutex     sync.Mutex
	workflows []server.Run
	started   map[ref.SHA]bool
}

// Place makes a repository whose main asks for what the rules say: in a classic
// protection, or where the bot is an App in a ruleset.
func (w *world) Place(t *testing.T, name string, r forgetest.Rules) forgetest.Place {
	t.Helper()
	p := &place{world: w, id: ref.RepoID{Owner: "acme", Name: name}, started: map[ref.SHA]bool{}}
	if err := w.CreateRepo(p.id, false); err != nil {
		t.Fatal(err)
	}
	w.SetCollaborator(p.id, "admin", "admin")
	if w.app == nil {
		w.SetCollaborator(p.id, w.login, "write")
	}
	for _, who := range []forgetest.Person{forgetest.Alice, forgetest.Carol, forgetest.Dave, forgetest.CI} {
		w.SetCollaborator(p.id, string(who), "write")
	}
	w.CreateTeam("acme", "reviewers-"+name, "write", []string{name}, []string{"carol", "dave"})
	if r.Approvals == 0 && len(r.Contexts) == 0 {
		return p
	}
	if w.app != nil {
		p.rule(t, r)
		return p
	}
	p.do(t, w.admin, http.MethodPut, "/branches/main/protection", map[string]any{
		"required_status_checks":        map[string]any{"strict": false, "contexts": r.Contexts},
		"required_pull_request_reviews": map[string]any{"required_approving_review_count": r.Approvals},
		"enforce_admins":                true, "restrictions": nil,
	}, nil)
	return p
}

// rule makes a ruleset.
func (p *place) rule(t *testing.T, r forgetest.Rules) {
	t.Helper()
	checks := []map[string]string{}
	for _, c := range r.Contexts {
		checks = append(checks, map[string]string{"context": c})
	}
	p.do(t, p.admin, http.MethodPost, "/rulesets", map[string]any{
		"name": "main", "target": "branch", "enforcement": "active",
		"conditions": map[string]any{"ref_name": map[string]any{"include": []string{"~DEFAULT_BRANCH"}, "exclude": []string{}}},
		"rules": []map[string]any{
			{"type": "required_status_checks", "parameters": map[string]any{"strict_required_status_checks_policy": false, "required_status_checks": checks}},
			{"type": "pull_request", "parameters": map[string]any{"required_approving_review_count": r.Approvals, "dismiss_stale_reviews_on_push": false,
				"require_code_owner_review": false, "require_last_push_approval": false, "required_review_thread_resolution": false}},
		},
	}, nil)
}

func (p *place) ID() ref.RepoID { return p.id }

func (p *place) Bot() string { return p.login }

func (p *place) Page() int { return 100 }

func (p *place) Forge(t *testing.T) reconcile.Forge {
	if p.app != nil {
		return p.as(t, github.Config{App: p.app})
	}
	return p.as(t, github.Config{Token: func() (string, error) { return p.token, nil }})
}

// Stranger has a token that nobody gave out, or an App's id that nobody has.
func (p *place) Stranger(t *testing.T) reconcile.Forge {
	if p.app != nil {
		other := *p.app
		other.ID++
		return p.as(t, github.Config{App: &other})
	}
	return p.as(t, github.Config{Token: func() (string, error) { return "worthless", nil }})
}

func (p *place) as(t *testing.T, c github.Config) *github.Client {
	t.Helper()
	c.URL, c.Login, c.Spacing = p.URL(), p.login, time.Millisecond
	c.OnUnread = func(err error) { t.Logf("unread: %v", err) }
	client, err := github.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (p *place) Remote(who forgetest.Person) string {
	return strings.Replace(p.URL(), "http://", "http://"+string(who)+":"+p.people[who].Token+"@", 1) + "/" + p.id.String() + ".git"
}

func (p *place) Open(t *testing.T, who forgetest.Person, branch, base, title string, draft bool) ref.PullID {
	t.Helper()
	var made struct{ Number int64 }
	p.do(t, p.people[who], http.MethodPost, "/pulls", map[string]any{"head": branch, "base": base, "title": title, "draft": draft}, &made)
	return ref.PullID{Repo: p.id, Number: made.Number}
}

func (p *place) Close(t *testing.T, id ref.PullID) {
	t.Helper()
	p.do(t, p.admin, http.MethodPatch, pull(id), map[string]string{"state": "closed"}, nil)
}

func (p *place) Retarget(t *testing.T, who forgetest.Person, id ref.PullID, base string) {
	t.Helper()
	p.do(t, p.people[who], http.MethodPatch, pull(id), map[string]string{"base": base}, nil)
}

func (p *place) Label(t *testing.T, id ref.PullID, name string) {
	t.Helper()
	p.do(t, p.people[forgetest.Alice], http.MethodPost, issue(id)+"/labels", map[string]any{"labels": []string{name}}, nil)
}

func (p *place) Comment(t *testing.T, who forgetest.Person, id ref.PullID, text string) int64 {
	t.Helper()
	var made struct{ ID int64 }
	p.do(t, p.people[who], http.MethodPost, issue(id)+"/comments", map[string]string{"body": text}, &made)
	return made.ID
}

func (p *place) Review(t *testing.T, who forgetest.Person, id ref.PullID, on ref.SHA, s gate.ReviewState) int64 {
	t.Helper()
	event := map[gate.ReviewState]string{gate.ReviewApproved: "APPROVE", gate.ReviewChangesRequested: "REQUEST_CHANGES", gate.ReviewCommented: "COMMENT"}[s]
	var made struct{ ID int64 }
	p.do(t, p.people[who], http.MethodPost, pull(id)+"/reviews", map[string]string{"event": event, "commit_id": string(on), "body": "so I say"}, &made)
	return made.ID
}

func (p *place) Dismiss(t *testing.T, id ref.PullID, review int64) {
	t.Helper()
	p.do(t, p.admin, http.MethodPut, fmt.Sprintf("%s/reviews/%d/dismissals", pull(id), review), map[string]string{"message": "no more"}, nil)
}

func (p *place) Team(*testing.T) string { return "acme/reviewers-" + p.id.Name }

func (p *place) Status(t *testing.T, who forgetest.Person, on ref.SHA, context string, s gate.State) {
	t.Helper()
	p.do(t, p.people[who], http.MethodPost, "/statuses/"+string(on), map[string]string{"state": string(s), "context": context}, nil)
}

func (p *place) Workflow(t *testing.T, name string, jobs map[string]gate.State) string {
	t.Helper()
	w := server.Run{Workflow: name, Path: ".github/workflows/" + name + ".yml", Event: "pull_request"}
	for job, end := range jobs {
		w.Jobs = append(w.Jobs, server.Job{Name: job, Conclusion: string(end)})
	}
	if _, err := p.Push(p.id, "alice", "main", server.Commit{Message: "ci: " + name, Files: map[string]string{w.Path: "name: " + name + "\non: pull_request\n"}}); err != nil {
		t.Fatal(err)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.workflows = append(p.workflows, w)
	return w.Path
}

func (p *place) Ran(t *testing.T, id ref.PullID, head ref.SHA) {
	t.Helper()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.started[head] {
		return
	}
	p.started[head] = true
	for _, w := range p.workflows {
		w.SHA, w.Branch = head, "feat"
		p.RunCI(id.Repo, w)
	}
}

func (p *place) do(t *testing.T, who *server.Account, method, path string, in, out any) {
	t.Helper()
	if err := p.Call(t.Context(), who.Token, method, "/repos/"+p.id.String()+path, in, out); err != nil {
		t.Fatal(err)
	}
}

func pull(id ref.PullID) string { return fmt.Sprintf("/pulls/%d", id.Number) }

func issue(id ref.PullID) string { return fmt.Sprintf("/issues/%d", id.Number) }
