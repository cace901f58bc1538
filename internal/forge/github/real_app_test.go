package github

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/github"
)

// granted are the permissions of docs/github.md, but for those of onboarding.
func granted() map[string]string {
	return map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "statuses": "write",
		"checks": "read", "actions": "read", "members": "read",
	}
}

func TestAnAppDoesItAll(t *testing.T) {
	s := start(t)
	s.CreateTeam("acme", "security", "read", []string{"app"}, []string{"bob"})
	c := s.client(s.installedApp(granted(), "app"))
	ctx := t.Context()
	id, head := s.change("feature")
	s.review("bob", id, "APPROVE")
	s.RunCI(s.repo, github.Run{Workflow: "CI", Path: ".github/workflows/ci.yml", Event: "pull_request", Branch: "feature", SHA: head, Jobs: []github.Job{{Name: "test", Conclusion: "success"}}})
	l := s.settled(c, id, reconcile.Want{Fresh: true, Approvers: true, Teams: []string{"acme/security"}})
	sn := l.Snapshot
	for name, f := range map[string]ref.Fact{
		"commits": sn.CommitsRead, "reviews": sn.ReviewsRead, "statuses": sn.Checks.StatusesRead, "jobs": sn.Checks.JobsRead,
		"files": sn.FilesRead, "comments": l.CommentsRead, "pusher": sn.PusherRead, "eligible": sn.Reviews[0].Eligible, "approvers": sn.ApproversRead,
	} {
		if f != ref.Yes {
			t.Errorf("%s: %s", name, f)
		}
	}
	name, email, err := c.Self(ctx)
	if err != nil || name != "slipway-app[bot]" || !strings.HasSuffix(email, "+slipway-app[bot]@users.noreply.127.0.0.1") {
		t.Errorf("it is %s <%s>, %v", name, email, err)
	}
	comment := must(c.Comment(ctx, id, "Ready."))(t)
	for _, err := range []error{
		c.EditComment(ctx, id, comment, "Merging."),
		c.React(ctx, id, comment, reconcile.ReactionDone),
		c.PostStatus(ctx, s.repo, change.Posted{Head: head, State: gate.StateSuccess, Text: "ready"}),
		c.Merge(ctx, reconcile.MergeCall{ID: id, Head: head, Method: "squash", Title: "Add it", DeleteBranch: true}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if calls := s.taken(); countOf(calls, "POST app/installations/*/access_tokens") != 1 {
		t.Errorf("one token is enough for an hour: %q", calls)
	}
	s.nothingUnread()
}

func TestAnAppWithoutARightIsToldSo(t *testing.T) {
	s := start(t)
	rights := granted()
	delete(rights, "statuses")
	c := s.client(s.installedApp(rights))
	_, head := s.change("feature")
	err := c.PostStatus(t.Context(), s.repo, change.Posted{Head: head, State: gate.StateSuccess})
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "not accessible by integration") {
		t.Errorf("got %v", err)
	}
}

func TestAnAppWithoutATokenIsToldWhy(t *testing.T) {
	tests := []struct {
		name   string
		adjust func(*App)
		fault  string
	}{
		{"a repository that the installation does not have", func(a *App) { a.Repositories = []string{"app", "other"} }, "repository that does not exist"},
		{"another installation", func(a *App) { a.Installation += 100 }, "no installation token"},
		{"another App", func(a *App) { a.ID += 100 }, "integration not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			app := s.installedApp(granted())
			c := s.client(app, func(c *Config) { test.adjust(c.App) })
			_, err := c.Branch(t.Context(), ref.BranchID{Repo: s.repo, Name: "main"})
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// renewing answers as GitHub would, with tokens that live as long as told.
func renewing(t *testing.T, life time.Duration) (c *Client, tokens func() int) {
	t.Helper()
	made := 0
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	encoded := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	c = answered(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			made++
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":"ghs_%d","expires_at":%q}`, made, time.Now().Add(life).Format(time.RFC3339))
			return
		}
		if want := fmt.Sprintf("Bearer ghs_%d", made); r.Header.Get("Authorization") != want {
			t.Errorf("authorised by %q, want %q", r.Header.Get("Authorization"), want)
		}
		_, _ = w.Write([]byte(branchBody))
	}, func(c *Config) {
		c.Token, c.App = nil, &App{ID: 1, Installation: 2, PrivateKey: func() (string, error) { return encoded, nil }}
	})
	return c, func() int { return made }
}

func TestATokenIsRenewedBeforeItEnds(t *testing.T) {
	for _, test := range []struct {
		life time.Duration
		want int // tokens for three calls
	}{{time.Hour, 1}, {30 * time.Second, 3}} {
		c, tokens := renewing(t, test.life)
		for range 3 {
			if _, err := c.Branch(t.Context(), main()); err != nil {
				t.Fatal(err)
			}
		}
		if tokens() != test.want {
			t.Errorf("%d tokens that live %s for three calls, want %d", tokens(), test.life, test.want)
		}
	}
}

func TestATokenThatIsLimitedSaysWhen(t *testing.T) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	encoded := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "40")
		w.WriteHeader(http.StatusTooManyRequests)
	}, func(c *Config) {
		c.Token, c.App = nil, &App{ID: 1, Installation: 2, PrivateKey: func() (string, error) { return encoded, nil }}
	})
	_, err := c.Branch(t.Context(), main())
	when, ok := fault.When(err)
	if left := time.Until(when); !ok || left < 30*time.Second || left > 40*time.Second {
		t.Errorf("in %s: %v", left, err)
	}
}

func TestNew(t *testing.T) {
	token := func() (string, error) { return secretToken, nil }
	key := func(s string) func() (string, error) { return func() (string, error) { return s, nil } }
	tests := []struct {
		name   string
		config Config
		fault  string // "": none
	}{
		{"github.com is where it speaks to", Config{Login: "slipway", Token: token}, ""},
		{"an Enterprise Server is taken", Config{URL: "https://git.example/api/v3/", Login: "slipway", Token: token}, ""},
		{"credentials in the URL are refused", Config{URL: "https://bot:hunter2@git.example", Login: "slipway", Token: token}, "credentials"},
		{"a URL that cannot be read is refused", Config{URL: "https://bot:hunter2@git.example/%zz", Login: "slipway", Token: token}, "cannot be read"},
		{"another scheme is refused", Config{URL: "ssh://git.example", Login: "slipway", Token: token}, "http://"},
		{"a query is refused", Config{URL: "https://git.example?token=hunter2", Login: "slipway", Token: token}, "path"},
		{"without a login it is refused", Config{Token: token}, "login"},
		{"without a token and an App it is refused", Config{Login: "slipway"}, "either"},
		{"with both it is refused", Config{Login: "slipway", Token: token, App: &App{}}, "either"},
		{"an App without its ids is refused", Config{Login: "x[bot]", App: &App{PrivateKey: key("x")}}, "installation's id"},
		{"a key that is none is refused", Config{Login: "x[bot]", App: &App{ID: 1, Installation: 2, PrivateKey: key("hunter2")}}, "RSA key in PEM"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.config)
			switch {
			case test.fault == "" && err != nil:
				t.Error(err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v", err)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("it repeats a secret: %v", err)
			}
		})
	}
}

func TestTheServersLimitsAreKept(t *testing.T) {
	s := start(t)
	c := s.client()
	branch := ref.BranchID{Repo: s.repo, Name: "main"}
	s.Slow("slipway", time.Second, 1)
	if _, err := c.Branch(t.Context(), branch); err != nil {
		t.Errorf("after a second it goes on: %v", err)
	}
	until := time.Now().Add(20 * time.Minute)
	s.Exhaust("slipway", until)
	_, err := s.client().Branch(t.Context(), branch)
	when, ok := fault.When(err)
	if off := when.Sub(until); !ok || off < -2*time.Second || off > 3*time.Second {
		t.Errorf("it says %s, want %s: %v", when, until, err)
	}
}
