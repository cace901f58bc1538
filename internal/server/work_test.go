package server_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/pools"
)

func TestA2WhoMayDoWhatAboutWork(t *testing.T) {
	const body = `{"repository":"acme/app","title":"a","selector":"builder-lite"}`
	w := newWorld(t)
	w.file.becomes = server.Swapped{Result: server.Applied, Number: 2}
	w.submit("one of the submitter's own")
	if _, _, err := w.client(operatorSecret).Submit(t.Context(), submission("one of somebody else's")); err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		verb, method, path, body    string
		reader, submitter, operator int
	}{
		{"work.read", http.MethodGet, "work/items", "", 200, 200, 200},
		{"work.read", http.MethodGet, "work/items/1", "", 200, 200, 200},
		{"work.read", http.MethodGet, "work/attempts", "", 200, 200, 200},
		{"work.submit", http.MethodPost, "work/items", body, 403, 201, 201},
		{"work.cancel", http.MethodPost, "work/items/1/cancel", `{"reason":"x"}`, 403, 202, 202},
		{"work.cancel", http.MethodPost, "work/items/2/cancel", `{"reason":"x"}`, 403, 403, 202},
		{"work.retry", http.MethodPost, "work/items/1/retry", `{}`, 403, 403, 202},
		{"read", http.MethodGet, "pools", "", 200, 403, 200},
		{"read", http.MethodGet, "pools/history", "", 200, 403, 200},
		{"pools.swap", http.MethodPost, "pools/swap", `{"address":"builder-lite-0","assignment":"b"}`, 403, 403, 200},
		{"pools.rollback", http.MethodPost, "pools/rollback", `{}`, 403, 403, 200},
		{"pools.cordon", http.MethodPost, "pools/seats/builder-lite-0/cordon", `{"reason":"x"}`, 403, 403, 202},
		{"pools.cordon", http.MethodPost, "pools/seats/builder-lite-0/uncordon", `{}`, 403, 403, 202},
	} {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			heard := len(w.shop.heard())
			for _, who := range []struct {
				name, secret string
				want         int
			}{{"board", readerSecret, r.reader}, {"ci", submitterSecret, r.submitter}, {"ops", operatorSecret, r.operator}} {
				got := w.call(r.method, r.path, who.secret, r.body)
				if got.status != who.want {
					t.Errorf("%s is answered %d %s, want %d", who.name, got.status, got.body, who.want)
				}
				if said := w.journalled(); got.status == 403 && !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, who.name+" refused."+r.verb+" ") }) {
					t.Errorf("the refusal of %s is not journalled: %q", who.name, said)
				}
				if told := w.shop.heard(); got.status == 403 && len(told) > heard {
					t.Errorf("%s was refused, and the dispatcher heard %q", who.name, told)
				}
				heard = len(w.shop.heard())
			}
		})
	}
}

func TestAServerWithoutPoolsSaysSo(t *testing.T) {
	w := newWorld(t, func(w *world) { w.Work, w.Pools, w.Credential = nil, nil, nil })
	for _, route := range routesOfWork(t) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", "1", "{address}", builder0, apiPath+"/", "").Replace(path)
		if path == "openapi.yaml" {
			continue
		}
		if got := w.call(method, path, operatorSecret, "{}"); got.status != 404 || !strings.Contains(got.body, `"code":"no_pools"`) || !strings.Contains(got.error(), "pools.file") {
			t.Errorf("%s is answered %d %s", route, got.status, got.body)
		}
	}
}

func TestSubmit(t *testing.T) {
	w := newWorld(t)
	c := w.client(submitterSecret)
	sub := submission("fix the login")
	sub.Key = "ticket 5"
	sub.Deadline = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	first, existed, err := c.Submit(t.Context(), sub)
	if err != nil || existed || first.ID != 1 || first.Submitter != "ci" || first.Budget != sub.Budget || first.Title != sub.Title {
		t.Fatalf("%+v, %t, %v", first, existed, err)
	}
	again, existed, err := c.Submit(t.Context(), sub)
	if err != nil || !existed || again.ID != first.ID {
		t.Errorf("a key that is there gives its item: %+v, %t, %v", again, existed, err)
	}
	sub.Key, sub.Selector = "", "builder-huge"
	w.shop.refuse = fault.AsPermanent(errors.Join(errors.New("there is no tier huge"), errors.New("the deadline is over")))
	got := w.call(http.MethodPost, "work/items", submitterSecret, `{"repository":"acme/app","title":"a","selector":"builder-huge"}`)
	if got.status != 400 || !strings.Contains(got.body, `"faults":["there is no tier huge","the deadline is over"]`) {
		t.Errorf("every fault is named by itself: %d %s", got.status, got.body)
	}
	w.shop.refuse = errors.New("the store is away")
	if got := w.call(http.MethodPost, "work/items", submitterSecret, `{"repository":"acme/app","title":"a"}`); got.status != 503 {
		t.Errorf("what may pass is answered %d %s", got.status, got.body)
	}
}

func TestBadRequestsAboutWork(t *testing.T) {
	w := newWorld(t)
	w.submit("a")
	heard := len(w.shop.heard())
	for _, c := range []struct {
		rule, method, path, body string
		want                     int
		says                     string
	}{
		{"an item over 1 MiB", http.MethodPost, "work/items", `{"spec":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "too large"},
		{"an item with an unknown key", http.MethodPost, "work/items", `{"title":"a","model":"m"}`, 400, "model"},
		{"an item for what is no repository", http.MethodPost, "work/items", `{"repository":"acme","title":"a"}`, 400, "acme"},
		{"an item with a budget below nought", http.MethodPost, "work/items", `{"repository":"acme/app","title":"a","budget":-1}`, 400, "-1"},
		{"an item with a deadline that is no time", http.MethodPost, "work/items", `{"repository":"acme/app","title":"a","deadline":"soon"}`, 400, "soon"},
		{"items of a state that there is not", http.MethodGet, "work/items?state=ready,open", "", 400, `no state "open": want ready, working`},
		{"items of a kind that there is not", http.MethodGet, "work/items?kind=deploy", "", 400, `no kind "deploy"`},
		{"items of what is no repository", http.MethodGet, "work/items?repo=acme", "", 400, "acme"},
		{"items by a key that there is not", http.MethodGet, "work/items?submitter=ci", "", 400, "no submitter here"},
		{"no items", http.MethodGet, "work/items?limit=0", "", 400, "limit is 1 to 1000"},
		{"too many items", http.MethodGet, "work/items?limit=1001", "", 400, "limit is 1 to 1000"},
		{"items by two limits", http.MethodGet, "work/items?limit=1&limit=2", "", 400, "limit is given 2 times"},
		{"every fault of a query is named", http.MethodGet, "work/items?limit=0&kind=x", "", 400, "limit is 1 to 1000\nthere is no kind"},
		{"attempts of what is no coordinate", http.MethodGet, "work/attempts?address=builder", "", 400, "builder"},
		{"attempts that are perhaps live", http.MethodGet, "work/attempts?live=perhaps", "", 400, "perhaps"},
		{"attempts of what is no pull request", http.MethodGet, "work/attempts?pull=acme/app", "", 400, "acme/app"},
		{"an item that is no number", http.MethodGet, "work/items/one", "", 400, `"one"`},
		{"an item that is not there", http.MethodGet, "work/items/9", "", 404, "item 9 is not known here"},
		{"the withdrawal of an item that is not there", http.MethodPost, "work/items/9/cancel", `{"reason":"x"}`, 404, "item 9"},
		{"a withdrawal without a reason", http.MethodPost, "work/items/1/cancel", `{"reason":" "}`, 400, "why"},
		{"another try of an item that is not there", http.MethodPost, "work/items/9/retry", `{}`, 404, "item 9"},
		{"a swap of nobody", http.MethodPost, "pools/swap", `{"model":"m"}`, 400, "which coordinate"},
		{"a swap of what is no coordinate", http.MethodPost, "pools/swap", `{"address":"builder-lite","model":"m"}`, 400, "builder-lite"},
		{"a swap to nothing", http.MethodPost, "pools/swap", `{"address":"builder-lite-0"}`, 400, "a provider and a model"},
		{"a swap to two things", http.MethodPost, "pools/swap", `{"address":"builder-lite-0","model":"m","assignment":"a"}`, 400, "in their place"},
		{"a rollback to below nought", http.MethodPost, "pools/rollback", `{"number":-1}`, 400, "number"},
		{"a cordon of what is no coordinate", http.MethodPost, "pools/seats/builder/cordon", `{"reason":"x"}`, 400, "builder"},
		{"a cordon without a reason", http.MethodPost, "pools/seats/builder-lite-0/cordon", `{}`, 400, "why"},
		{"too much history", http.MethodGet, "pools/history?limit=101", "", 400, "limit is 1 to 100"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := w.call(c.method, c.path, operatorSecret, c.body)
			if got.status != c.want || !strings.Contains(got.error(), c.says) {
				t.Errorf("answered %d %.300s, want %d and %q", got.status, got.body, c.want, c.says)
			}
		})
	}
	if got := w.shop.heard()[heard:]; len(got) > 0 || len(w.file.said) > 0 {
		t.Errorf("the dispatcher was asked %q, the file %q", got, w.file.said)
	}
}

// TestAFilterArrivesAsItWasGiven, from a client to the dispatcher.
func TestAFilterArrivesAsItWasGiven(t *testing.T) {
	w := newWorld(t)
	c := w.client(readerSecret)
	a := pools.Address{Role: "builder", Tier: "lite", Replica: 3}
	pull := ref.PullID{Repo: app, Number: 7}
	items := dispatcher.Filter{Repo: app, States: []dispatcher.State{dispatcher.Ready, dispatcher.Dead}, Kind: dispatcher.Review, Pull: pull, Limit: 7}
	if _, err := c.Items(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	attempts := dispatcher.Filter{Repo: app, Pull: pull, Address: a, Live: true, Limit: 1000}
	if _, err := c.Attempts(t.Context(), attempts); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Items(t.Context(), dispatcher.Filter{}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"items {Repo:acme/app States:[ready dead] Kind:review Pull:acme/app#7 Address: Live:false Limit:7}",
		"attempts {Repo:acme/app States:[] Kind: Pull:acme/app#7 Address:builder-lite-3 Live:true Limit:1000}",
		"items {Repo: States:[] Kind: Pull: Address: Live:false Limit:100}",
	}
	got := w.shop.heard()
	for i := range got {
		got[i] = strings.ReplaceAll(strings.ReplaceAll(got[i], "Repo:/ ", "Repo: "), "Pull:/#0 ", "Pull: ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestW2NobodyReadsATokenFromTheAPI: what a claim gave is its coordinate's alone.
func TestW2NobodyReadsATokenFromTheAPI(t *testing.T) {
	w := newWorld(t)
	w.submit("a")
	if g, err := w.client(w.keys.mint(t, builder0)).Claim(t.Context(), dispatcher.ClaimRequest{Request: "the claim's key"}); err != nil || g == nil {
		t.Fatal(g, err)
	}
	for _, path := range []string{"work/items", "work/items/1", "work/attempts"} {
		got := w.call(http.MethodGet, path, operatorSecret, "")
		for _, secret := range []string{"the claim's key", "be brief", `"token":1`} {
			if strings.Contains(got.body, secret) {
				t.Errorf("%s tells %s", path, secret)
			}
		}
	}
	if kept, _, _ := w.shop.Work(t.Context(), 1); kept.Attempts[0].Token != 1 {
		t.Errorf("what is kept was changed: %+v", kept.Attempts[0])
	}
}

func TestOrdersAboutWork(t *testing.T) {
	w := newWorld(t)
	item := w.submit("a")
	ops := w.client(operatorSecret)
	a := pools.Address{Role: "builder", Tier: "lite"}
	heard := len(w.shop.heard())
	for _, do := range []func() error{
		func() error { return ops.Cancel(t.Context(), item.ID, "no longer wanted") },
		func() error { return ops.Retry(t.Context(), item.ID, "the network was down") },
		func() error {
			return ops.Cordon(t.Context(), a, server.CordonOrder{Reason: "it is slow", Drain: true})
		},
		func() error { return ops.Uncordon(t.Context(), a, "it is quick again") },
	} {
		if err := do(); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"cancel 1 by ops: no longer wanted", "retry 1 by ops: the network was down",
		"cordon builder-lite-0 by ops, drain true: it is slow", "uncordon builder-lite-0 by ops: it is quick again",
	}
	if diff := cmp.Diff(want, w.shop.heard()[heard:]); diff != "" {
		t.Error(diff)
	}
	w.shop.refuse = fault.AsPermanent(errors.New("item 1 is done"))
	if got := w.call(http.MethodPost, "work/items/1/retry", operatorSecret, "{}"); got.status != 409 || got.error() != "item 1 is done" {
		t.Errorf("what cannot be is answered %d %s", got.status, got.body)
	}
	w.shop.refuse = dispatcher.ErrUnknown
	if got := w.call(http.MethodPost, "pools/seats/builder-lite-9/uncordon", operatorSecret, "{}"); got.status != 404 {
		t.Errorf("a coordinate that there is not is answered %d %s", got.status, got.body)
	}
	if err := authz.CheckOwn(authz.Actor{Name: "ci", Roles: []authz.Role{authz.Submitter}}, authz.WorkCancel, item.Submitter, time.Now()); err != nil {
		t.Errorf("the item is not its submitter's own: %v", err)
	}
}
