package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/config"
	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/internal/store"
	"slipway/pools"
)

const poolText = `# who runs what
roles: [builder, reviewer]
tiers: [lite]
currency: USD
assignments:
  quick:   {provider: acme, model: small-1, prompt: p.md, prices: {input: 1, output: 2}}
  careful: {provider: acme, model: large-2, prompt: p.md, prices: {input: 3, output: 15}, budget: 5}
  slow:    {provider: other, model: large-2, prompt: p.md, prices: {input: 3, output: 15}}
replicas:
  builder-lite-0: quick   # the first
  builder-lite-1: quick
`

// plot is a pool config in a folder, with the dispatcher that it is put in force
// in.
type plot struct {
	*testing.T
	*poolsFile
	store      *store.Store
	dispatcher *dispatcher.Dispatcher
	refuses    error // what the dispatcher says to the next set
}

func (p *plot) Apply(ctx context.Context, by, why string, s pools.Set) (pools.Set, []pools.Change, error) {
	if err := p.refuses; err != nil {
		p.refuses = nil
		return pools.Set{}, nil, err
	}
	return p.dispatcher.Apply(ctx, by, why, s)
}

func (p *plot) Set(ctx context.Context) (dispatcher.StoredSet, bool, error) {
	return p.dispatcher.Set(ctx)
}

func (p *plot) History(ctx context.Context, n int) ([]dispatcher.StoredSet, error) {
	return p.dispatcher.History(ctx, n)
}

func newPlot(t *testing.T) *plot {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "slipway.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	log := slog.New(slog.DiscardHandler)
	p := &plot{T: t, store: st, dispatcher: dispatcher.New(dispatcher.Config{
		Store: st, Changes: st, Log: log, Login: pools.Address.String,
		Serves: func(id ref.RepoID) (string, bool) {
			if id.String() != "acme/app" {
				return "", false
			}
			return "main", true
		},
	})}
	path := filepath.Join(t.TempDir(), config.PoolsFile)
	p.poolsFile = newPoolsFile(poolsWiring{
		path: path, sets: p, also: func(pools.Set) []config.Fault { return nil }, count: func(int) {}, log: log,
		every: 10 * time.Millisecond, again: time.Millisecond,
		note: func(ctx context.Context, e journal.Entry) error {
			return st.Commit(ctx, reconcile.Write{Journal: []journal.Entry{e}})
		},
	})
	p.write(config.PoolsFile, poolText)
	p.write("p.md", "be brief\n")
	if err := p.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *plot) write(name, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.folder(), name), []byte(text), 0o640); err != nil {
		p.Fatal(err)
	}
}

func (p *plot) read(name string) string {
	p.Helper()
	data, err := os.ReadFile(filepath.Join(p.folder(), name))
	if err != nil {
		p.Fatal(err)
	}
	return string(data)
}

func (p *plot) inForce() dispatcher.StoredSet {
	p.Helper()
	s, _, err := p.dispatcher.Set(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return s
}

// journalled are the actions of the journal about pools, with their reasons.
func (p *plot) journalled() (all []journal.Entry) {
	p.Helper()
	all, err := p.store.Entries(p.Context(), 0, 1000)
	if err != nil {
		p.Fatal(err)
	}
	return all
}

func actions(entries []journal.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.Actor+" "+e.Action+" "+e.Subject)
	}
	return out
}

func seat(s string) pools.Address {
	a, err := pools.ReadAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestASwapWritesOneLineAndIsInForceAtOnce(t *testing.T) {
	p := newPlot(t)
	o := server.SwapOrder{Address: seat("builder-lite-0"), Assignment: "careful", DryRun: true}
	planned, err := p.Swap(t.Context(), "ops", o)
	if err != nil || planned.Result != server.Planned || planned.Number != 1 || p.read(config.PoolsFile) != poolText || p.inForce().Number != 1 {
		t.Fatalf("a dry run: %+v, %v", planned, err)
	}
	o.DryRun = false
	done, err := p.Swap(t.Context(), "ops", o)
	if err != nil || done.Result != server.Applied || done.Number != 2 || done.Diff != planned.Diff {
		t.Fatalf("%+v, %v", done, err)
	}
	want := strings.Replace(poolText, "builder-lite-0: quick ", "builder-lite-0: careful ", 1)
	if got := p.read(config.PoolsFile); got != want {
		t.Errorf("the file holds\n%s", got)
	}
	if info, err := os.Stat(p.path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(p.folder()); err != nil || len(left) != 2 {
		t.Errorf("there lies %v, %v", left, err)
	}
	if s := p.inForce(); s.Number != 2 || s.By != "ops" || s.Why != "swap" || s.Replicas[o.Address] != "careful" || s.Source != want {
		t.Errorf("in force is %d by %s (%s)", s.Number, s.By, s.Why)
	}
	entries := p.journalled()
	if got := actions(entries); !slices.Equal(got, []string{"slipway pools.applied pools", "ops pools.swap builder-lite-0", "ops pools.applied pools"}) {
		t.Errorf("journalled %q", got)
	}
	if got := entries[1].Data["diff"]; got != "-  builder-lite-0: quick   # the first\n+  builder-lite-0: careful   # the first" {
		t.Errorf("the journal has %q", got)
	}
	if err := p.Take(t.Context()); err != nil || p.inForce().Number != 2 {
		t.Errorf("the file read again is another set: %d, %v", p.inForce().Number, err)
	}
	if again, err := p.Swap(t.Context(), "ops", o); err != nil || again.Result != server.Unchanged || again.Number != 2 {
		t.Errorf("once more: %+v, %v", again, err)
	}
}

func TestWhatCannotBeSwapped(t *testing.T) {
	for _, c := range []struct {
		rule string
		o    server.SwapOrder
		text string
		says []string
	}{
		{"a coordinate that there is not", server.SwapOrder{Address: seat("builder-lite-7"), Assignment: "careful"}, poolText, []string{"no such coordinate"}},
		{"an assignment that there is not", server.SwapOrder{Address: seat("builder-lite-0"), Assignment: "best"}, poolText, []string{"no such assignment"}},
		{"a model that nobody has", server.SwapOrder{Address: seat("builder-lite-0"), Provider: "acme", Model: "huge-9"}, poolText, []string{"no assignment runs huge-9 of acme", "small-1"}},
		{"a model that several have", server.SwapOrder{Address: seat("builder-lite-0"), Model: "large-2"}, poolText, []string{"2 assignments run large-2", "careful, slow"}},
		{"a file with faults, each of which is told", server.SwapOrder{Address: seat("builder-lite-0"), Assignment: "careful"},
			strings.NewReplacer("USD", "dollars", "input: 1", "input: -1").Replace(poolText), []string{":4: ", ":6: "}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p := newPlot(t)
			p.write(config.PoolsFile, c.text)
			_, err := p.Swap(t.Context(), "ops", c.o)
			if fault.KindOf(err) != fault.Permanent {
				t.Fatalf("%v, want a final error", err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("it does not say %q: %v", s, err)
				}
			}
			if p.read(config.PoolsFile) != c.text || p.inForce().Number != 1 {
				t.Error("what was refused changed something")
			}
			if got := actions(p.journalled()); !slices.Contains(got, "ops refused.pools.swap "+c.o.Address.String()) {
				t.Errorf("journalled %q", got)
			}
		})
	}
}

// TestWhatIsMountedIsPatched: a ConfigMap is a link that leads elsewhere; what
// is written there is lost, or cannot be.
func TestWhatIsMountedIsPatched(t *testing.T) {
	p := newPlot(t)
	mounted := filepath.Join(p.folder(), "..data")
	if err := os.Mkdir(mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.path, filepath.Join(mounted, config.PoolsFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..data", config.PoolsFile), p.path); err != nil {
		t.Fatal(err)
	}
	done, err := p.Swap(t.Context(), "ops", server.SwapOrder{Address: seat("builder-lite-1"), Provider: "other", Model: "large-2"})
	if err != nil || done.Result != server.Patch || done.Number != 1 || !strings.Contains(done.Reason, "ConfigMap") {
		t.Fatalf("%+v, %v", done, err)
	}
	if p.read(config.PoolsFile) != poolText || p.inForce().Number != 1 {
		t.Error("something was changed")
	}
	want := strings.Replace(poolText, "builder-lite-1: quick", "builder-lite-1: slow", 1)
	if got := applied(t, done.Diff, map[string]string{config.PoolsFile: poolText})[config.PoolsFile]; got != want {
		t.Errorf("the patch makes\n%s", got)
	}
	if got := actions(p.journalled()); !slices.Equal(got, []string{"slipway pools.applied pools", "ops refused.pools.swap builder-lite-1"}) {
		t.Errorf("journalled %q", got)
	}
	if left, err := filepath.Glob(filepath.Join(p.folder(), ".slipway-*")); err != nil || len(left) > 0 {
		t.Errorf("there lies %q, %v", left, err)
	}
}

func TestTwoSwapsAtOnceAreBothMade(t *testing.T) {
	p := newPlot(t)
	var both sync.WaitGroup
	for _, a := range []string{"builder-lite-0", "builder-lite-1"} {
		both.Go(func() {
			if _, err := p.Swap(t.Context(), "ops", server.SwapOrder{Address: seat(a), Assignment: "slow"}); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if s := p.inForce(); s.Number != 3 || s.Replicas[seat("builder-lite-0")] != "slow" || s.Replicas[seat("builder-lite-1")] != "slow" {
		t.Errorf("in force is %d: %v", s.Number, s.Replicas)
	}
}

// TestP3AFileWithFaultsChangesNothing, and one that the store did not take is
// put in force as soon as it does.
func TestP3AFileWithFaultsChangesNothing(t *testing.T) {
	p := newPlot(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Watch(ctx) }()
	until := func(what string, so func() bool) {
		t.Helper()
		limit := time.NewTimer(time.Minute)
		defer limit.Stop()
		look := time.NewTicker(2 * time.Millisecond)
		defer look.Stop()
		for !so() {
			select {
			case <-look.C:
			case <-limit.C:
				t.Fatalf("in vain: %s", what)
			}
		}
	}
	p.write(config.PoolsFile, strings.NewReplacer("USD", "dollars", "input: 1", "input: -1").Replace(poolText))
	until("both faults are told", func() bool { return len(p.Faults()) == 2 })
	refusals := func() (all []journal.Entry) {
		for _, e := range p.journalled() {
			if e.Action == "refused.pools.apply" {
				all = append(all, e)
			}
		}
		return all
	}
	until("the journal tells of both", func() bool { // what is half written is refused as well
		told := refusals()
		return len(told) > 0 && strings.Contains(told[len(told)-1].Reason, "dollars") && strings.Contains(told[len(told)-1].Reason, "-1")
	})
	said := len(refusals())
	if err := p.Take(ctx); err != nil {
		t.Fatal(err)
	}
	if told := refusals(); len(told) != said || told[0].Actor != "slipway" {
		t.Errorf("read again, the journal tells %+v", told)
	}
	if s := p.inForce(); s.Number != 1 {
		t.Errorf("in force is %d", s.Number)
	}
	done, err := p.begin(ctx) // nobody applies anything now
	if err != nil {
		t.Fatal(err)
	}
	p.refuses = errors.New("the store is away")
	done()
	p.write(config.PoolsFile, strings.Replace(poolText, "USD", "EUR", 1))
	until("the mended file is in force", func() bool { return p.inForce().Currency == "EUR" })
	if p.refuses != nil || len(p.Faults()) > 0 {
		t.Errorf("faults are %q", p.Faults())
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestA1WhatCannotBeJournalledIsNotDone(t *testing.T) {
	p := newPlot(t)
	p.note = func(context.Context, journal.Entry) error { return errors.New("the store is away") }
	if done, err := p.Swap(t.Context(), "ops", server.SwapOrder{Address: seat("builder-lite-0"), Assignment: "slow"}); err == nil || fault.KindOf(err) == fault.Permanent {
		t.Errorf("%+v, %v: want an error that may pass", done, err)
	}
	if p.read(config.PoolsFile) != poolText || p.inForce().Number != 1 {
		t.Error("something was changed")
	}
	if left, err := os.ReadDir(p.folder()); err != nil || len(left) != 2 {
		t.Errorf("there lies %v, %v", left, err)
	}
}
