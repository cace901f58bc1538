package gitea

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

const secretToken = "0123456789abcdef-the-token"

var (
	someRepo   = ref.RepoID{Owner: "acme", Name: "app"}
	somePull   = ref.PullID{Repo: someRepo, Number: 1}
	someCommit = ref.SHA(strings.Repeat("1", 40))
)

// answered gives a client for a server that answers as told. It stands for what
// no real Gitea can be made to do.
func answered(t *testing.T, answer http.HandlerFunc, adjust ...func(*Config)) *Client {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	c := Config{URL: s.URL, Login: "slipway", Token: func() (string, error) { return secretToken, nil }}
	for _, a := range adjust {
		a(&c)
	}
	return must(New(c))(t)
}

func TestNew(t *testing.T) {
	token := func() (string, error) { return secretToken, nil }
	tests := []struct {
		name   string
		config Config
		fault  string // "": none
	}{
		{"a site is enough", Config{URL: "https://git.example", Login: "slipway", Token: token}, ""},
		{"a site below a path is taken", Config{URL: "http://git.example/gitea/", Login: "slipway", Token: token}, ""},
		{"credentials in the URL are refused", Config{URL: "https://bot:hunter2@git.example", Login: "slipway", Token: token}, "credentials"},
		{"a URL that cannot be read is refused", Config{URL: "https://bot:hunter2@git.example/%zz", Login: "slipway", Token: token}, "cannot be read"},
		{"another scheme is refused", Config{URL: "ssh://git.example", Login: "slipway", Token: token}, "http://"},
		{"a URL without a host is refused", Config{URL: "https:///x", Login: "slipway", Token: token}, "host"},
		{"a query is refused", Config{URL: "https://git.example?token=hunter2", Login: "slipway", Token: token}, "path"},
		{"without a login it is refused", Config{URL: "https://git.example", Token: token}, "login"},
		{"without a token it is refused", Config{URL: "https://git.example", Login: "slipway"}, "token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.config)
			switch {
			case test.fault == "" && err != nil:
				t.Error(err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want %q", err, test.fault)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

func TestTheTokenGoesToItsSiteAlone(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Error("the token came to another site")
		}
	}))
	defer other.Close()
	var here atomic.Int64
	var target string
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		here.Add(1)
		if got := r.Header.Values("Authorization"); len(got) != 1 || got[0] != "token "+secretToken {
			t.Errorf("the site was given %q", got)
		}
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	})
	for name, to := range map[string]string{"another site": other.URL + "/api/v1/repos/acme/app", "this site": c.base + "/api/v1/repos/acme/moved"} {
		target = to
		here.Store(0)
		_, err := c.Pull(t.Context(), somePull)
		wantFault(t, err, fault.Permanent, "acme/app#1", "307")
		err = c.PostStatus(t.Context(), someRepo, change.Posted{Head: someCommit, State: "success"})
		wantFault(t, err, fault.Permanent, "307")
		if here.Load() != 2 || elsewhere.Load() != 0 {
			t.Errorf("a redirect to %s was followed: %d calls here, %d elsewhere", name, here.Load(), elsewhere.Load())
		}
	}
}

func TestNoErrorCarriesTheToken(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"a server that repeats what it was sent": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, `{"message":"bad header `+r.Header.Get("Authorization")+`"}`, http.StatusInternalServerError)
		},
		"a server that hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a server that answers nonsense": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>")
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			c := answered(t, answer)
			_, err := freshly(t.Context(), c, somePull)
			wantFault(t, err, fault.Later, "acme/app#1")
			if strings.Contains(err.Error(), secretToken) {
				t.Errorf("the token is in %v", err)
			}
		})
	}
}

func TestToken(t *testing.T) {
	var calls atomic.Int64
	answer := func(http.ResponseWriter, *http.Request) { calls.Add(1) }
	tests := []struct {
		name  string
		token func() (string, error)
	}{
		{"a token that cannot be read makes no call", func() (string, error) { return "", errors.New("no such file") }},
		{"an empty token makes no call", func() (string, error) { return " \n", nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := answered(t, answer, func(c *Config) { c.Token = test.token })
			_, err := c.Pull(t.Context(), somePull)
			wantFault(t, err, fault.Later, "get the token")
			if calls.Load() != 0 {
				t.Error("it called")
			}
		})
	}
	t.Run("a token is asked for anew each time, and its end of line is no part of it", func(t *testing.T) {
		var given []string
		n := 0
		c := answered(t, func(w http.ResponseWriter, r *http.Request) { given = append(given, r.Header.Get("Authorization")) },
			func(c *Config) {
				c.Token = func() (string, error) { n++; return fmt.Sprintf("t%d\n", n), nil }
			})
		for range 2 {
			_, _ = c.Pull(t.Context(), somePull) // the answer is empty
		}
		if strings.Join(given, ",") != "token t1,token t2" {
			t.Errorf("got %q", given)
		}
	})
}

func TestAnswersAreLimited(t *testing.T) {
	chunk := []byte(`"` + strings.Repeat("x", 1<<20))
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		for range answerLimit/len(chunk) + 2 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := c.Pull(t.Context(), somePull)
	wantFault(t, err, fault.Permanent, "acme/app#1", "longer than")
}

func TestAServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	c := answered(t, func(http.ResponseWriter, *http.Request) { <-release }, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	defer close(release)
	wantFault(t, c.Merge(t.Context(), squash(somePull, someCommit)), fault.Later, "acme/app#1")
}

func TestOnCall(t *testing.T) {
	type call struct {
		method, route string
		status        int
	}
	var calls []call
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusTeapot) }, func(c *Config) {
		c.OnCall = func(method, route string, status int, took time.Duration) {
			if took <= 0 {
				t.Errorf("%s took %s", route, took)
			}
			calls = append(calls, call{method, route, status})
		}
	})
	_ = c.Merge(t.Context(), squash(somePull, someCommit))
	want := call{http.MethodPost, "repos/*/*/pulls/*/merge", http.StatusTeapot}
	if len(calls) != 1 || calls[0] != want {
		t.Errorf("got %v", calls)
	}
}

func TestRoute(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/repos/acme/app":                               "repos/*/*",
		"/api/v1/repos/pulls/merge/pulls/7":                    "repos/*/*/pulls/*",
		"/gitea/api/v1/repos/acme/app/pulls/7/commits":         "repos/*/*/pulls/*/commits",
		"/api/v1/repos/acme/app/contents-ext/.gitea/workflows": "repos/*/*/contents-ext/*",
		"/api/v1/repos/acme/app/branches/fix/merge":            "repos/*/*/branches/*",
		"/api/v1/repos/acme/app/releases/tags/v1.0.0":          "repos/*/*/releases/tags/*",
		"/api/v1/repos/acme/app/actions/runs/5/jobs":           "repos/*/*/actions/runs/*/jobs",
		"/api/v1/teams/4/members":                              "teams/*/members",
	} {
		if got := route(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
