package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/dispatcher"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

// TestAClientReadsWhatTheStoreHolds holds that a command reads the same from a
// server and beside its store.
func TestAClientReadsWhatTheStoreHolds(t *testing.T) {
	findings := []reconcile.Finding{{Area: "cluster main", Fault: "it does not answer", Mend: "start it"}}
	w := newWorld(t, func(w *world) { w.Doctor = func(context.Context) []reconcile.Finding { return findings } })
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	one := change.Change{ID: ref.PullID{Repo: app, Number: 1}, Title: "feat: \u00e4 <b>", Outcome: change.OutcomeHealthy, Opened: at}
	two := change.Change{ID: ref.PullID{Repo: app, Number: 2}, Title: "fix: b", Opened: at}
	other := change.Change{ID: ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "other"}, Number: 3}, Opened: at}
	for _, c := range []change.Change{one, two, other} {
		w.commit(reconcile.Write{Change: &c})
	}
	held := w.target().WithHold("ops", "migration", at)
	w.commit(reconcile.Write{Target: &held, Journal: []journal.Entry{
		{At: at, Actor: "ops", Action: "order.hold", Subject: production.String(), Data: map[string]string{"k": "v"}},
		{At: at, Actor: "ops", Action: "order.resume", Subject: production.String()},
	}})
	c := w.client(readerSecret)

	for _, f := range []reconcile.Filter{{}, {Unfinished: true}, {Repo: app}, {Repo: app, Unfinished: true}} {
		same(t, "changes", func(r server.Reader) (any, error) { return r.Changes(t.Context(), f) }, w.store, c)
	}
	for _, number := range []int64{1, 9} {
		same(t, "a change", func(r server.Reader) (any, error) {
			got, found, err := r.Change(t.Context(), ref.PullID{Repo: app, Number: number})
			return struct {
				Change change.Change
				Found  bool
			}{got, found}, err
		}, w.store, c)
	}
	same(t, "targets", func(r server.Reader) (any, error) { return r.Targets(t.Context()) }, w.store, c)
	same(t, "entries", func(r server.Reader) (any, error) { return r.Entries(t.Context(), 0, 100) }, w.store, c)
	same(t, "a page of entries", func(r server.Reader) (any, error) { return r.Entries(t.Context(), 1, 1) }, w.store, c)

	if got, err := c.Doctor(t.Context()); err != nil || !cmp.Equal(got, findings) {
		t.Errorf("the doctor finds %+v, %v", got, err)
	}
	if targets, err := c.Targets(t.Context()); err != nil || len(targets) != 1 || targets[0].Hold == nil {
		t.Errorf("targets are %+v, %v", targets, err)
	}
}

func same(t *testing.T, what string, read func(server.Reader) (any, error), direct, through server.Reader) {
	t.Helper()
	want, err := read(direct)
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(through)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differ:\n%s", what, diff)
	}
}

func TestAClientOfAnEmptyStoreGetsEmptyLists(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"changes", "journal", "doctor"} {
		if got := w.call(http.MethodGet, path, readerSecret, ""); got.body != "[]" {
			t.Errorf("%s is answered %s", path, got.body)
		}
	}
}

func TestAClientOrders(t *testing.T) {
	w := newWorld(t)
	ops := w.client(operatorSecret)
	if err := ops.Order(t.Context(), production, "hold", server.Order{Reason: "migration"}); err != nil {
		t.Fatal(err)
	}
	if h := w.target().Hold; h == nil || h.By != "ops" {
		t.Errorf("the hold is %+v", h)
	}
	for _, c := range []struct {
		rule, secret, verb string
		id                 ref.TargetID
		says               string
	}{
		{"what a role may not is said", readerSecret, "hold", production, "board is reader"},
		{"what the engine refuses is said", operatorSecret, "rollback", production, "roll back acme/app/production"},
		{"what is not there is said", operatorSecret, "hold", ref.TargetID{Repo: app, Environment: "staging"}, "no target"},
		{"a wrong token is said", "guess", "hold", production, "does not know the token"},
		{"no token is said, with its mend", "", "hold", production, "SLIPWAY_TOKEN"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if err := w.client(c.secret).Order(t.Context(), c.id, c.verb, server.Order{Reason: "x"}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		rule, address string
		ok            bool
	}{
		{"http", "http://127.0.0.1:8480", true},
		{"https under a path", "https://slipway.example/base/", true},
		{"without a scheme", "127.0.0.1:8480", false},
		{"of another scheme", "ftp://slipway.example", false},
		{"without a host", "http://", false},
		{"none", "", false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if _, err := server.NewClient(c.address, ""); (err == nil) != c.ok {
				t.Errorf("%q: %v", c.address, err)
			}
		})
	}
}

func TestTheTokenGoesToTheServerThatWasNamed(t *testing.T) {
	stolen := make(chan string, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen <- r.Header.Get("Authorization")
	}))
	t.Cleanup(thief.Close)
	lure := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(lure.Close)
	c, err := server.NewClient(lure.URL, operatorSecret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Targets(t.Context()); err == nil {
		t.Error("the redirect was followed")
	}
	select {
	case got := <-stolen:
		t.Errorf("it was asked, with %q", got)
	default:
	}
}

func TestAnswersOfSomethingElse(t *testing.T) {
	for _, c := range []struct {
		rule, body string
		status     int
		says       string
	}{
		{"a page that is no JSON", "<html>hello</html>", 200, "invalid character"},
		{"an error that is no JSON", "Bad Gateway", 502, "Bad Gateway"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			t.Cleanup(other.Close)
			client, err := server.NewClient(other.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Targets(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestWhenToAskAgainIsKept(t *testing.T) {
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		rule, after string
		status      int
		when        time.Duration // from now, to a minute; 0: it does not say
		kind        fault.Kind
	}{
		{"seconds", "120", 503, 2 * time.Minute, fault.Later},
		{"a time", soon.UTC().Format(http.TimeFormat), 429, time.Hour, fault.Later},
		{"nothing", "", 503, 0, fault.Later},
		{"what is neither", "-1", 503, 0, fault.Later},
		{"what is final stays so", "90", 403, 0, fault.Permanent},
	} {
		t.Run(c.rule, func(t *testing.T) {
			busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", c.after)
				w.WriteHeader(c.status)
			}))
			t.Cleanup(busy.Close)
			client, err := server.NewClient(busy.URL, "slipway_w_x")
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Claim(t.Context(), dispatcher.ClaimRequest{Request: "a"})
			at, asked := fault.When(err)
			if asked != (c.when > 0) || asked && time.Until(at).Round(time.Minute) != c.when.Round(time.Minute) || fault.KindOf(err) != c.kind {
				t.Errorf("it says %v, %v (%v)", at, asked, err)
			}
		})
	}
}
