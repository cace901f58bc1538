package github

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/github"
)

// site is a working server with a repository: alice, bob and carol write, the
// bot administers, mallory has no right. What does not fit GitHub's published
// description fails the test.
type site struct {
	*github.Server
	t    *testing.T
	repo ref.RepoID
	who  map[string]*github.Account

	mu       sync.Mutex
	violated []error
	unread   []error
	calls    []string
}

// Described is what the stand-in is held against, with every webhook. It is read
// once for all tests of the package, because that takes a second, and many more
// where races are looked for.
var Described = sync.OnceValues(func() (*github.Description, error) { return github.Describe("", true) })

// appKey is the private key of the tests' Apps, made once: primes take long to
// find where races are looked for.
var appKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func start(t *testing.T) *site {
	t.Helper()
	api, err := Described()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, repo: someRepo(), who: map[string]*github.Account{}}
	s.Server = must(github.Start(t.Context(), github.Config{Dir: t.TempDir(), API: api, OnViolation: func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.violated = append(s.violated, err)
	}}))(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		for _, v := range s.violated {
			t.Errorf("against GitHub's description: %v", v)
		}
	})
	s.CreateOrg("acme")
	for _, login := range []string{"alice", "bob", "carol", "slipway", "mallory"} {
		s.who[login] = s.CreateUser(login)
	}
	if err := s.CreateRepo(s.repo, false); err != nil {
		t.Fatal(err)
	}
	for login, right := range map[string]string{"alice": "write", "bob": "write", "carol": "maintain", "slipway": "admin"} {
		s.SetCollaborator(s.repo, login, right)
	}
	return s
}

// client is the bot's.
func (s *site) client(adjust ...func(*Config)) *Client {
	s.t.Helper()
	// One of its own, so that a connection which was opened and never used does
	// not keep the server from stopping.
	line := http.DefaultTransport.(*http.Transport).Clone()
	s.t.Cleanup(line.CloseIdleConnections)
	c := Config{
		HTTPClient: &http.Client{Transport: line},
		URL:        s.URL(), Login: "slipway", Token: func() (string, error) { return s.who["slipway"].Token, nil },
		Spacing: time.Millisecond,
		OnUnread: func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.unread = append(s.unread, err)
		},
		OnCall: func(method, route string, status int, _ time.Duration) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.calls = append(s.calls, fmt.Sprint(method, " ", route, " ", status))
		},
	}
	for _, a := range adjust {
		a(&c)
	}
	return must(New(c))(s.t)
}

// taken hands out the calls made so far.
func (s *site) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// nothingUnread fails the test if a fact could not be read.
func (s *site) nothingUnread() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.unread {
		s.t.Errorf("unread: %v", err)
	}
}

// as makes a call on the repository as somebody.
func (s *site) as(login, method, path string, in any) map[string]any {
	s.t.Helper()
	var out map[string]any
	if err := s.Call(s.t.Context(), s.who[login].Token, method, "/repos/"+s.repo.String()+path, in, &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *site) push(login, branch string, c github.Commit) ref.SHA {
	s.t.Helper()
	return must(s.Push(s.repo, login, branch, c))(s.t)
}

// change opens alice's pull request that adds a file, and gives its head.
func (s *site) change(branch string) (ref.PullID, ref.SHA) {
	s.t.Helper()
	head := s.push("alice", branch, github.Commit{Message: "Add " + branch, Files: map[string]string{branch + ".txt": "one\ntwo\n"}})
	made := s.as("alice", "POST", "/pulls", map[string]any{"title": "Add " + branch, "head": branch, "base": "main", "body": "For all."})
	return ref.PullID{Repo: s.repo, Number: int64(made["number"].(float64))}, head
}

func (s *site) review(login string, id ref.PullID, event string) {
	s.t.Helper()
	s.as(login, "POST", fmt.Sprintf("/pulls/%d/reviews", id.Number), map[string]any{"event": event, "body": "because"})
}

func (s *site) look(c *Client, id ref.PullID, want reconcile.Want) reconcile.Look {
	s.t.Helper()
	return must(c.Look(s.t.Context(), id, want))(s.t)
}

// installedApp makes an App and gives how to speak as it.
func (s *site) installedApp(permissions map[string]string, repositories ...string) func(*Config) {
	s.t.Helper()
	key := must(appKey())(s.t)
	app := s.CreateApp("slipway-app", "acme", permissions, &key.PublicKey)
	encoded := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return func(c *Config) {
		c.Login, c.Token = "slipway-app[bot]", nil
		c.App = &App{ID: app.ID, Installation: app.Installation, PrivateKey: func() (string, error) { return string(encoded), nil }, Repositories: repositories}
	}
}
