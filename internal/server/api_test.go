package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

const atTarget = "targets/acme/app/production/"

// route is one way into the API, and what an operator gets there.
type route struct {
	method, path, body string
	operator           int
	// order says that it changes something: a reader may not.
	order bool
}

func routes() []route {
	return []route{
		{method: http.MethodGet, path: "changes", operator: 200},
		{method: http.MethodGet, path: "changes/acme/app/1", operator: 200},
		{method: http.MethodGet, path: "targets", operator: 200},
		{method: http.MethodGet, path: atTarget + "takeover", operator: 200},
		{method: http.MethodGet, path: "journal", operator: 200},
		{method: http.MethodGet, path: "journal/verify", operator: 200},
		{method: http.MethodGet, path: "doctor", operator: 200},
		{method: http.MethodPost, path: atTarget + "hold", body: `{"reason":"test"}`, operator: 202, order: true},
		{method: http.MethodPost, path: atTarget + "resume", body: `{"reason":"test"}`, operator: 409, order: true},
		{method: http.MethodPost, path: atTarget + "rollback", body: `{"reason":"test"}`, operator: 409, order: true},
		{method: http.MethodPost, path: atTarget + "takeover", body: `{"reason":"test"}`, operator: 409, order: true},
		{method: http.MethodPost, path: "changes/acme/app/1/hold", body: `{"reason":"test"}`, operator: 202, order: true},
		{method: http.MethodPost, path: "changes/acme/app/1/unhold", body: `{}`, operator: 409, order: true},
		{method: http.MethodPost, path: "changes/acme/app/1/merge", body: `{}`, operator: 409, order: true},
		{method: http.MethodPost, path: "changes/acme/app/1/retry", body: `{}`, operator: 202, order: true},
		{method: http.MethodGet, path: "canaries", operator: 200},
		{method: http.MethodPost, path: "canaries/acme/app/run", body: `{}`, operator: 202, order: true},
		{method: http.MethodPost, path: "canaries/acme/other/run", body: `{}`, operator: 409, order: true},
		{method: http.MethodPost, path: "branches/unfreeze", body: `{"repo":"acme/app","branch":"main","reason":"test"}`, operator: 409, order: true},
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	for _, r := range routes() {
		w := newWorld(t)
		w.commit(reconcile.Write{Change: &change.Change{ID: ref.PullID{Repo: app, Number: 1}}})
		reader := 200
		if r.order {
			reader = 403
		}
		for _, c := range []struct {
			who, secret string
			want        int
		}{
			{"nobody", "", 401},
			{"who guesses", "guess", 401},
			{"who has the webhooks' secret", hookSecret, 401},
			{"a reader", readerSecret, reader},
			{"an operator", operatorSecret, r.operator},
		} {
			t.Run(c.who+" at "+r.method+" "+r.path, func(t *testing.T) {
				before := w.target()
				got := w.call(r.method, r.path, c.secret, r.body)
				if got.status != c.want {
					t.Fatalf("answered %d %s, want %d", got.status, got.body, c.want)
				}
				if got.status < 400 {
					return
				}
				if got.error() == "" || got.header.Get("Content-Type") != "application/json" {
					t.Errorf("the refusal says nothing: %q", got.body)
				}
				if (got.header.Get("WWW-Authenticate") != "") != (got.status == 401) {
					t.Errorf("WWW-Authenticate is %q", got.header.Get("WWW-Authenticate"))
				}
				if diff := cmp.Diff(before, w.target()); diff != "" {
					t.Errorf("what was refused changed the target:\n%s", diff)
				}
			})
		}
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		rule, header string
		want         int
	}{
		{"a bearer's token", "Bearer " + readerSecret, 200},
		{"the same without its scheme", readerSecret, 401},
		{"an empty one", "Bearer ", 401},
		{"one with more after it", "Bearer " + readerSecret + "x", 401},
		{"a part of one", "Bearer " + readerSecret[:5], 401},
		{"another scheme", "Basic " + readerSecret, 401},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := w.send(http.MethodGet, "/api/v1/targets", http.Header{"Authorization": {c.header}}, nil); got.status != c.want {
				t.Errorf("answered %d, want %d", got.status, c.want)
			}
		})
	}
	none := newWorld(t, func(w *world) { w.Tokens = nil })
	if got := none.call(http.MethodGet, "targets", "", ""); got.status != 401 {
		t.Errorf("a server without tokens answers %d", got.status)
	}
}

func TestRefusalsByRoleAreJournalled(t *testing.T) {
	w := newWorld(t)
	var want []string
	for _, verb := range []string{"hold", "resume", "rollback", "takeover"} {
		if got := w.call(http.MethodPost, atTarget+verb, readerSecret, `{"reason":"test"}`); got.status != 403 || !strings.Contains(got.error(), "board is reader; deploy."+verb+" is for: operator") {
			t.Errorf("%s is answered %d %s", verb, got.status, got.body)
		}
		want = append(want, "board refused.deploy."+verb+" acme/app/production")
	}
	if got := w.journalled(); !slices.Equal(got, want) {
		t.Errorf("journalled %q, want %q", got, want)
	}

	// Who has no token has no name: that would let anybody fill the journal.
	w.call(http.MethodPost, atTarget+"hold", "guess", "")
	if got := w.journalled(); len(got) != len(want) {
		t.Errorf("journalled %q", got)
	}

	w.store.Close()
	if got := w.call(http.MethodPost, atTarget+"hold", readerSecret, ""); got.status != 403 {
		t.Errorf("without a journal it is answered %d", got.status)
	}
}

// TestTheSameRefusalIsCounted: a page that asks each second with a token that
// may not does not fill the journal, and none of its refusals is lost.
func TestTheSameRefusalIsCounted(t *testing.T) {
	var shift atomic.Int64 // how far the server's clock is ahead
	w := newWorld(t, func(w *world) { w.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) } })
	hold := func(times int, target string) {
		t.Helper()
		for range times {
			if got := w.call(http.MethodPost, "targets/acme/app/"+target+"/hold", readerSecret, ""); got.status != 403 {
				t.Fatalf("answered %d %s", got.status, got.body)
			}
		}
	}
	told := func(rule string, want ...string) {
		t.Helper()
		entries, err := w.store.Entries(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			_, count, _ := strings.Cut(e.Reason, "operator")
			count, _, _ = strings.Cut(count, " since")
			got = append(got, e.Subject+count)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
	hold(5, "production")
	hold(1, "staging")
	told("each subject is told at once, and once", "acme/app/production", "acme/app/staging")
	shift.Add(int64(time.Minute))
	hold(2, "production")
	told("a minute later those since are told by their number", "acme/app/production", "acme/app/staging", "acme/app/production (4 more")
	shift.Add(int64(time.Minute))
	hold(1, "staging")
	told("and those after, and what had ceased is told anew", "acme/app/production", "acme/app/staging", "acme/app/production (4 more", "acme/app/production (2 more", "acme/app/staging")
}

func TestManySubjectsAreRefusedTogether(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.call(http.MethodPost, fmt.Sprintf("targets/acme/app/e%d/hold", i), readerSecret, "")
	}
	got := w.journalled()
	if len(got) != 21 || got[20] != "board refused.deploy.hold other subjects" {
		t.Errorf("%d entries, the last %q", len(got), got[len(got)-1])
	}
}

func TestScopesAndExpiryNarrowAToken(t *testing.T) {
	now := time.Now()
	operator := authz.Actor{Name: "ci", Roles: []authz.Role{authz.Operator}, Scopes: []authz.Verb{authz.ReplayPolicy}, Expires: now.Add(time.Hour)}
	for _, c := range []struct {
		rule         string
		at           time.Time
		method, path string
		want         int
		says         string
	}{
		{"what the scopes do not name is refused", now, http.MethodPost, atTarget + "hold", 403, "its scopes are policy.replay"},
		{"reading too", now, http.MethodGet, "changes", 403, "its scopes are policy.replay"},
		{"what they name is let through", now, http.MethodPost, "policy/replay", 400, "could not be read"},
		{"after its time nothing is", now.Add(time.Hour), http.MethodPost, "policy/replay", 403, "has expired"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				w.Tokens, w.Now = []server.Token{server.NewToken(operator, "scoped")}, func() time.Time { return c.at }
			})
			if got := w.call(c.method, c.path, "scoped", "{"); got.status != c.want || !strings.Contains(got.error(), c.says) {
				t.Errorf("answered %d %s, want %d and %q", got.status, got.body, c.want, c.says)
			}
		})
	}
}

func TestOrders(t *testing.T) {
	w := newWorld(t)
	if got := w.call(http.MethodPost, atTarget+"hold", operatorSecret, `{"reason":"migration"}`); got.status != 202 {
		t.Fatalf("hold is answered %d %s", got.status, got.body)
	}
	if h := w.target().Hold; h == nil || h.By != "ops" || h.Reason != "migration" {
		t.Errorf("the hold is %+v", h)
	}
	if got := w.call(http.MethodPost, atTarget+"resume", operatorSecret, `{"reason":"done"}`); got.status != 202 || w.target().Hold != nil {
		t.Errorf("resume is answered %d %s", got.status, got.body)
	}
	if got := w.call(http.MethodPost, atTarget+"resume", operatorSecret, `{"reason":"again"}`); got.status != 409 {
		t.Errorf("a second resume is answered %d %s", got.status, got.body)
	}
	want := []string{"ops order.hold acme/app/production", "ops order.resume acme/app/production", "ops refused.order.resume acme/app/production"}
	if got := w.journalled(); !slices.Equal(got, want) {
		t.Errorf("journalled %q, want %q", got, want)
	}
	if got := w.due(); !slices.Equal(got, []string{"target acme/app/production"}) {
		t.Errorf("due are %q", got)
	}
}

func TestConsentIsToWhatWasShown(t *testing.T) {
	w := newWorld(t)
	shown, err := w.client(readerSecret).Inspect(t.Context(), production)
	if err != nil || shown != w.engine.offered {
		t.Fatalf("shown is %+v, %v", shown, err)
	}
	ops := w.client(operatorSecret)
	if err := ops.Order(t.Context(), production, "takeover", server.Order{Reason: "onboarding", Seen: &shown}); err != nil || w.engine.seen != shown {
		t.Errorf("seen is %+v, %v", w.engine.seen, err)
	}
	err = ops.Order(t.Context(), production, "takeover", server.Order{Reason: "onboarding"})
	if err == nil || w.engine.seen != (reconcile.Offered{}) {
		t.Errorf("consent to nothing: %+v, %v", w.engine.seen, err)
	}
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	hold := atTarget + "hold"
	for _, c := range []struct {
		rule, method, path, body string
		want                     int
		says                     string
	}{
		{"an order that is no JSON", http.MethodPost, hold, "hold it", 400, "could not be read"},
		{"an order with an unknown key", http.MethodPost, hold, `{"reason":"x","force":true}`, 400, "force"},
		{"an order over 64 KiB", http.MethodPost, hold, `{"reason":"` + strings.Repeat("x", 64<<10) + `"}`, 400, "too large"},
		{"an order to what is no target", http.MethodPost, "targets/ac%20me/app/production/hold", "{}", 400, "ac me"},
		{"an order to a repository that is not served", http.MethodPost, "targets/acme/other/production/hold", `{"reason":"x"}`, 409, "not served"},
		{"an order to a target that is not there", http.MethodPost, "targets/acme/app/staging/hold", `{"reason":"x"}`, 409, "no target"},
		{"an order without a reason", http.MethodPost, hold, `{"reason":"  "}`, 400, "why"},
		{"two orders in one", http.MethodPost, hold, `{"reason":"x"}{"reason":"y"}`, 400, "one JSON object"},
		{"a reason that is no text", http.MethodPost, hold, `{"reason":7}`, 400, "reason"},
		{"changes of what is no repository", http.MethodGet, "changes?repo=acme", "", 400, "acme"},
		{"a change that is no number", http.MethodGet, "changes/acme/app/one", "", 400, "one"},
		{"a change that is not known", http.MethodGet, "changes/acme/app/9", "", 404, "acme/app#9 is not known"},
		{"a page of none", http.MethodGet, "journal?limit=0", "", 400, "limit"},
		{"a page of too many", http.MethodGet, "journal?limit=1001", "", 400, "limit"},
		{"a page after no number", http.MethodGet, "journal?after=x", "", 400, "after"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := w.call(c.method, c.path, operatorSecret, c.body)
			if got.status != c.want || !strings.Contains(got.error(), c.says) {
				t.Errorf("answered %d %s, want %d and %q", got.status, got.body, c.want, c.says)
			}
		})
	}
	if got := w.call(http.MethodGet, hold, operatorSecret, ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("an order that is a GET is answered %d", got.status)
	}
	if got := w.call(http.MethodPost, atTarget+"explode", operatorSecret, ""); got.status != http.StatusNotFound {
		t.Errorf("an unknown order is answered %d", got.status)
	}
}

func TestWhatIsOursMayPass(t *testing.T) {
	w := newWorld(t)
	w.engine.err = errors.New("cluster main is down")
	if got := w.call(http.MethodGet, atTarget+"takeover", readerSecret, ""); got.status != 503 || got.error() != "cluster main is down" {
		t.Errorf("a cluster that is down is answered %d %s", got.status, got.body)
	}
	w.store.Close()
	for _, r := range routes() {
		if r.path == "doctor" || r.path == atTarget+"takeover" || strings.HasPrefix(r.path, "canaries") {
			continue // they do not read the store here
		}
		if got := w.call(r.method, r.path, operatorSecret, r.body); got.status != 503 || got.error() == "" {
			t.Errorf("%s %s without a store is answered %d %s", r.method, r.path, got.status, got.body)
		}
	}
}

func TestHealth(t *testing.T) {
	var wrong []reconcile.Finding
	w := newWorld(t, func(w *world) {
		w.Ready = func(context.Context) []reconcile.Finding { return wrong }
	})
	if got := w.send(http.MethodGet, "/readyz", nil, nil); got.status != 200 {
		t.Errorf("ready is answered %d %s", got.status, got.body)
	}
	wrong = []reconcile.Finding{{Area: "cluster main", Fault: "it does not answer"}}
	if got := w.send(http.MethodGet, "/readyz", nil, nil); got.status != 503 || !strings.Contains(got.body, "cluster main") {
		t.Errorf("not ready is answered %d %s", got.status, got.body)
	}
	if got := w.send(http.MethodGet, "/healthz", nil, nil); got.status != 200 {
		t.Errorf("alive is answered %d %s", got.status, got.body)
	}
	if got := w.send(http.MethodGet, "/metrics", nil, nil); got.status != 200 || !strings.Contains(got.body, "go_goroutines") {
		t.Errorf("metrics are answered %d", got.status)
	}
}
