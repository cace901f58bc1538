package dispatcher_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/store"
	"slipway/pools"
)

var (
	app  = ref.RepoID{Owner: "acme", Name: "app"}
	pull = ref.PullID{Repo: app, Number: 5}
)

func at(s string) pools.Address {
	a, err := pools.ReadAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func head(n int) ref.SHA { return ref.SHA(fmt.Sprintf("%040x", n)) }

// fleet is a pool config with four builders of one model, and three reviewers of
// three.
func fleet() pools.Set {
	s := pools.Set{
		Vocabulary: pools.Vocabulary{Roles: []string{"builder", "reviewer"}, Tiers: []string{"lite"}}, Currency: "USD",
		Pools: []pools.Pool{
			{Name: pools.PoolName{Role: "builder", Tier: "lite"}, Replicas: 4, Operator: "olga"},
			{Name: pools.PoolName{Role: "reviewer", Tier: "lite"}, Replicas: 3, Operator: "olga"},
		},
		Assignments: map[string]pools.Assignment{}, Replicas: map[pools.Address]string{}, Source: "the fleet",
	}
	for _, name := range []string{"alpha", "beta", "gamma"} {
		s.Assignments[name] = pools.Assignment{Name: name, Provider: "works", Model: name + "-1", Prompt: pools.Prompt{File: "p.md", Hash: "p", Text: "build"}}
	}
	for n := range 4 {
		s.Replicas[pools.Address{Role: "builder", Tier: "lite", Replica: n}] = "alpha"
	}
	for n, name := range []string{"alpha", "beta", "gamma"} {
		s.Replicas[pools.Address{Role: "reviewer", Tier: "lite", Replica: n}] = name
	}
	return s
}

// dock is a dispatcher at work over a real store.
type dock struct {
	*dispatcher.Dispatcher
	t      *testing.T
	path   string
	store  *store.Store
	ahead  atomic.Int64 // of the store's clock
	watch  *watch
	stop   func()
	claims int
}

// newDock opens a store and runs a dispatcher over it with the fleet in force.
func newDock(t *testing.T, with ...func(*dispatcher.Config)) *dock {
	t.Helper()
	d := &dock{t: t, path: filepath.Join(t.TempDir(), "slipway.db")}
	s, err := store.Open(t.Context(), store.Options{Path: d.path, Now: func() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	d.store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	d.run(with...)
	if _, _, err := d.Apply(t.Context(), "olga", "file", fleet()); err != nil {
		t.Fatal(err)
	}
	return d
}

// run starts a dispatcher over the dock's store, in place of the one before.
func (d *dock) run(with ...func(*dispatcher.Config)) {
	if d.stop != nil {
		d.stop()
	}
	d.watch = &watch{Store: d.store}
	c := dispatcher.Config{
		Store: d.watch, Changes: d.store, Log: slog.New(slog.DiscardHandler),
		Serves: func(r ref.RepoID) (string, bool) { return "main", r == app },
		Login:  pools.Address.String,
	}
	for _, w := range with {
		w(&c)
	}
	d.Dispatcher = dispatcher.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	running := d.Dispatcher
	go func() { ended <- running.Run(ctx) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			d.t.Error(err)
		}
	})
	d.t.Cleanup(d.stop)
}

// watch is a store that counts what it is asked, and can be held up.
type watch struct {
	dispatcher.Store
	mu      sync.Mutex
	matches int
	calls   int
	// before is called before each match.
	before func()
	// poisoned is a coordinate whose claims are refused for good.
	poisoned pools.Address
}

var errPoison = errors.New("it cannot be written")

func (w *watch) Transact(ctx context.Context, s dispatcher.Scope, decide func(dispatcher.View) (dispatcher.Write, error)) error {
	w.mu.Lock()
	w.calls++
	hold := w.before
	if len(s.Ready) == 0 {
		hold = nil
	}
	poisoned := len(s.Ready) > 0 && slices.Contains(s.Seats, w.poisoned)
	w.mu.Unlock()
	if hold != nil {
		hold()
	}
	if poisoned {
		return fault.AsPermanent(errPoison)
	}
	err := w.Store.Transact(ctx, s, decide)
	if len(s.Ready) > 0 {
		w.mu.Lock()
		w.matches++
		w.mu.Unlock()
	}
	return err
}

func (w *watch) Due(ctx context.Context) (time.Time, error) {
	w.mu.Lock()
	w.calls++
	w.mu.Unlock()
	return w.Store.Due(ctx)
}

func (w *watch) count() (matches, calls int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.matches, w.calls
}

func (w *watch) hold(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = f
}

func (w *watch) poison(a pools.Address) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.poisoned = a
}

// until waits for what must come to be.
func (d *dock) until(what string, so func() bool) {
	d.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit.C:
			d.t.Fatalf("never: %s", what)
		}
	}
}

func (d *dock) submit(title string) dispatcher.Item {
	d.t.Helper()
	i, existed, err := d.Submit(d.t.Context(), "sam", dispatcher.Submission{Repo: app, Title: title})
	if err != nil || existed {
		d.t.Errorf("submit %s: %v, existed %v", title, err, existed)
	}
	return i
}

// claim is what a coordinate gets, which must be something.
func (d *dock) claim(name string) *dispatcher.Grant {
	d.t.Helper()
	d.claims++
	g, err := d.Claim(d.t.Context(), at(name), dispatcher.ClaimRequest{Request: fmt.Sprintf("claim %d", d.claims), Wait: 50})
	if err != nil || g == nil {
		d.t.Fatalf("%s claims: %v, %v", name, g, err)
	}
	return g
}

// nothing wants a coordinate to get nothing.
func (d *dock) nothing(name string) {
	d.t.Helper()
	d.claims++
	g, err := d.Claim(d.t.Context(), at(name), dispatcher.ClaimRequest{Request: fmt.Sprintf("claim %d", d.claims)})
	if err != nil || g != nil {
		d.t.Fatalf("%s claims, and should get nothing: %+v, %v", name, g, err)
	}
}

// finish registers the pull request and completes.
func (d *dock) finish(g *dispatcher.Grant, id ref.PullID, h ref.SHA, verdict string) {
	d.t.Helper()
	if err := d.Register(d.t.Context(), g.Builder, g.Attempt, dispatcher.Registration{Token: g.Token, Pull: id, Head: h}); err != nil {
		d.t.Fatal(err)
	}
	if err := d.Complete(d.t.Context(), g.Builder, g.Attempt, dispatcher.Completion{Beat: dispatcher.Beat{Token: g.Token}, Verdict: verdict}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dock) item(id dispatcher.ItemID) dispatcher.Item {
	d.t.Helper()
	w, found, err := d.Work(d.t.Context(), id)
	if err != nil || !found {
		d.t.Fatalf("item %d: found %v, %v", id, found, err)
	}
	return w.Item
}

func (d *dock) items(f dispatcher.Filter) []dispatcher.Item {
	d.t.Helper()
	list, err := d.Items(d.t.Context(), f)
	if err != nil {
		d.t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b dispatcher.Item) int { return int(a.ID - b.ID) })
	return list
}

// told are the journal's entries of an action.
func (d *dock) told(action string) []journal.Entry {
	d.t.Helper()
	var out []journal.Entry
	entries, err := d.store.Entries(d.t.Context(), 0, 10_000)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Action, action) {
			out = append(out, e)
		}
	}
	return out
}

// judged stores the record of the pull request at a head, with the reviews that
// were seen and how many approvals it lacks.
func (d *dock) judged(c change.Change, lacks int, reviews ...gate.Review) change.Change {
	d.t.Helper()
	if c.ID.IsZero() {
		c.ID = pull
	}
	c.Title, c.Base = "Mend the pump", "main"
	snapshot := gate.Snapshot{Pull: gate.PullRequest{ID: c.ID, Head: c.Head, Author: c.Author}, Reviews: reviews}
	body, err := json.Marshal(snapshot)
	if err != nil {
		d.t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	c.Snapshot = hex.EncodeToString(sum[:])
	c.Requirements = []gate.Requirement{{Key: "draft", State: gate.Met}, {Key: "check:test", State: gate.Unmet}, {Key: "approvals", State: gate.Met}}
	if lacks > 0 {
		c.Requirements[2].State, c.Requirements[2].Lacks = gate.Unmet, lacks
	}
	w := reconcile.Write{Change: &c, Snapshot: &reconcile.Snapshot{Hash: c.Snapshot, Body: body}}
	if err := d.store.Commit(d.t.Context(), w); err != nil {
		d.t.Fatal(err)
	}
	stored, _, err := d.store.Change(d.t.Context(), c.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	return stored
}
