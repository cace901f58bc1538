package reconcile_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// BenchmarkB6 counts the calls of one resync of 10,000 unfinished changes with
// nothing new, by an engine that was started again: a fifth of them wait for
// checks alone, the others for people. The clock is put on by as much as lies
// between two resyncs, so that all is due that time alone makes due.
func BenchmarkB6(b *testing.B) {
	const unfinished, waiting, rate = 10_000, 2_000, 500
	for b.Loop() {
		var ahead atomic.Int64 // by how much the clock was put on
		calls := &counting{}
		w := gated(b, "ready", func(w *world, c *reconcile.Config) {
			calls.forge = w.forge
			c.Repositories[0].Forge = calls
			c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			c.Workers = 64
		})
		for n := int64(1); n <= unfinished; n++ {
			id := w.propose(n, map[string]string{"x": "1"})
			w.satisfy(id)
			w.change(id, func(p *openPull) {
				if n <= waiting {
					p.statuses[0].State = gate.StatePending
				} else {
					p.reviews = nil
				}
			})
		}
		engine := newStop(b)
		engine.run(w)
		w.within(20*time.Minute, "all changes to be known and settled", func() bool {
			if !w.quiet(time.Minute) {
				return false
			}
			known, err := w.store.Changes(b.Context(), reconcile.Filter{Repo: app, Unfinished: true})
			w.none(err)
			settled := len(known) == unfinished
			for _, c := range known {
				settled = settled && c.Fingerprint != "" && c.Outcome == change.Open
			}
			return settled
		})
		engine.end()

		ahead.Store(int64(w.conf.Active + time.Minute))
		w = rebuilt(b, w, func(c *reconcile.Config) { c.Rate = rate })
		calls.reset()
		began := time.Now()
		engine.run(w)
		w.within(10*time.Minute, "the resync", func() bool {
			return calls.lists.Load() > 0 && w.quiet(time.Duration(ahead.Load())+time.Minute)
		})
		engine.end()
		b.ReportMetric(float64(calls.lists.Load())/(unfinished/50), "lists/50")
		b.ReportMetric(float64(calls.reads.Load())/waiting, "reads/waiting")
		b.ReportMetric(float64(calls.others.Load()), "others")
		b.ReportMetric(float64(calls.once.Load()), "once") // about the branch and its policy, however many changes
		b.ReportMetric(float64(calls.reads.Load())/time.Since(began).Seconds(), "reads/s")
		b.ReportMetric(0, "ns/op")
	}
}

// counting is a forge that counts what is asked of it; that any other call is
// made at all ends the benchmark, for its forge has none.
type counting struct {
	*forge
	lists, reads, once, others atomic.Int64
}

func (f *counting) reset() {
	for _, n := range []*atomic.Int64{&f.lists, &f.reads, &f.once, &f.others} {
		n.Store(0)
	}
}

func (f *counting) OpenPulls(ctx context.Context, repo ref.RepoID) ([]reconcile.Brief, error) {
	list, err := f.forge.OpenPulls(ctx, repo)
	f.lists.Add(int64(len(list)+49) / 50) // a forge gives fifty with each call
	return list, err
}

func (f *counting) Checks(ctx context.Context, repo ref.RepoID, sha ref.SHA) (gate.Checks, error) {
	f.reads.Add(1)
	return f.forge.Checks(ctx, repo, sha)
}

func (f *counting) Look(ctx context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	f.others.Add(1)
	return f.forge.Look(ctx, id, want)
}

func (f *counting) Pull(ctx context.Context, id ref.PullID) (gate.PullRequest, error) {
	f.others.Add(1)
	return f.forge.Pull(ctx, id)
}

func (f *counting) Branch(ctx context.Context, b ref.BranchID) (ref.SHA, error) {
	f.once.Add(1)
	return f.forge.Branch(ctx, b)
}

func (f *counting) File(ctx context.Context, repo ref.RepoID, at ref.SHA, path string) ([]byte, bool, error) {
	f.once.Add(1)
	return f.forge.File(ctx, repo, at, path)
}

func (f *counting) PostStatus(ctx context.Context, repo ref.RepoID, p change.Posted) error {
	f.others.Add(1)
	return f.forge.PostStatus(ctx, repo, p)
}

func (f *counting) Comment(ctx context.Context, id ref.PullID, text string) (int64, error) {
	f.others.Add(1)
	return f.forge.Comment(ctx, id, text)
}

func (f *counting) EditComment(ctx context.Context, id ref.PullID, comment int64, text string) error {
	f.others.Add(1)
	return f.forge.EditComment(ctx, id, comment, text)
}

// within asks again until the answer is yes.
func (w *world) within(limit time.Duration, what string, yes func() bool) {
	w.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !yes(); <-tick.C {
		if time.Now().After(end) {
			w.Fatalf("waited %s in vain for %s", limit, what)
		}
	}
}

func (w *world) none(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
