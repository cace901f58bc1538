package github_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"slipway/internal/ref"
	"slipway/test/servers/github"
)

// site is a server with a repository and its people: alice writes, carol and
// dave too, bot administers, outsider has no right.
type site struct {
	*github.Server
	t    *testing.T
	repo ref.RepoID
	who  map[string]*github.Account

	mutex      sync.Mutex
	violations []error
}

func start(t *testing.T, api *github.Description) *site {
	t.Helper()
	s := &site{t: t, repo: ref.RepoID{Owner: "acme", Name: "app"}, who: map[string]*github.Account{}}
	var err error
	s.Server, err = github.Start(t.Context(), github.Config{Dir: t.TempDir(), API: api, OnViolation: s.violated})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		for _, v := range s.taken() {
			t.Errorf("violation: %v", v)
		}
	})
	s.CreateOrg("acme")
	for _, login := range []string{"alice", "carol", "dave", "bot", "outsider"} {
		s.who[login] = s.CreateUser(login)
	}
	if err := s.CreateRepo(s.repo, false); err != nil {
		t.Fatal(err)
	}
	for login, right := range map[string]string{"alice": "write", "carol": "write", "dave": "write", "bot": "admin"} {
		s.SetCollaborator(s.repo, login, right)
	}
	return s
}

func (s *site) violated(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.violations = append(s.violations, err)
}

// taken hands out the violations so far; those left in the end fail the test.
func (s *site) taken() []error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	list := s.violations
	s.violations = nil
	return list
}

// as makes a call as somebody and gives the answer, a list or an object.
func (s *site) as(login, method, path string, in any) any {
	s.t.Helper()
	var out any
	if err := s.Call(s.t.Context(), s.token(login), method, "/repos/"+s.repo.String()+path, in, &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// status makes a call and gives the status of its answer.
func (s *site) status(login, method, path string, in any) int {
	s.t.Helper()
	err := s.Call(s.t.Context(), s.token(login), method, "/repos/"+s.repo.String()+path, in, nil)
	if err == nil {
		return http.StatusOK
	}
	var refused *github.Refusal
	if !errors.As(err, &refused) {
		s.t.Fatal(err)
	}
	return refused.Status
}

func (s *site) token(login string) string {
	if login == "" {
		return ""
	}
	return s.who[login].Token
}

func (s *site) push(login, branch string, c github.Commit) ref.SHA {
	s.t.Helper()
	sha, err := s.Push(s.repo, login, branch, c)
	if err != nil {
		s.t.Fatal(err)
	}
	return sha
}

// field walks into an answer.
func field(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			o, _ := v.(map[string]any)
			v = o[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

// description is read once: it takes a third of a second.
var description = sync.OnceValues(func() (*github.Description, error) { return github.Describe("", true) })

func described(t *testing.T) *github.Description {
	t.Helper()
	api, err := description()
	if err != nil {
		t.Fatal(err)
	}
	return api
}

type m = map[string]any

func number(v any) string {
	switch n := v.(type) {
	case float64:
		return strconv.FormatInt(int64(n), 10)
	case int64:
		return strconv.FormatInt(n, 10)
	default:
		return ""
	}
}
