package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func (w *world) looks() int {
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	n := 0
	for _, asked := range w.forge.asked {
		n += asked
	}
	return n
}

func (w *world) calls() (lists, checks int) {
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	return w.forge.lists, w.forge.checked
}

// quick looks at what moves every second.
func quick(_ *world, c *reconcile.Config) { c.Active, c.Idle = time.Second, time.Second }

// dueIn says whether nothing about pull requests is due within a time.
func (w *world) quiet(within time.Duration) bool {
	next, err := w.store.Next(w.Context(), reconcile.KindChange)
	return err == nil && (next.IsZero() || time.Until(next) > within)
}

// TestB6AResyncWithNothingNewCostsListsAndStatusReads stops an engine that knows
// all its changes, and starts another over the same store.
func TestB6AResyncWithNothingNewCostsListsAndStatusReads(t *testing.T) {
	const people, checks = 16, 4
	var w *world
	ctx := newStop(t)
	w = gated(t, "ready")
	for n := int64(1); n <= people+checks; n++ {
		id := w.propose(n, map[string]string{fmt.Sprint(n): "1"})
		w.satisfy(id)
		w.change(id, func(p *openPull) {
			if n <= people {
				p.reviews = nil // waits for people alone
			} else {
				p.statuses[0].State = gate.StatePending // waits for checks alone
			}
		})
	}
	ctx.run(w)
	w.until("all changes to be known and settled", func() bool {
		known, err := w.store.Changes(t.Context(), reconcile.Filter{Repo: app, Unfinished: true})
		if err != nil || len(known) != people+checks {
			return false
		}
		for _, c := range known {
			if c.Fingerprint == "" {
				return false
			}
		}
		return w.quiet(10 * time.Second)
	})
	ctx.end()

	w = rebuilt(t, w, func(c *reconcile.Config) { c.Rate = 1000 })
	before, lists, read := w.looks(), 0, 0
	lists, read = w.calls()
	w.keep(reconcile.Write{Due: []reconcile.Due{{Key: reconcile.RepoKey(app), At: time.Now()}}})
	ctx.run(w)
	w.until("a list", func() bool { now, _ := w.calls(); return now > lists })
	w.until("quiet", func() bool { return w.quiet(10 * time.Second) })
	ctx.end()
	after, nowRead := w.calls()
	if got := w.looks() - before; got != 0 {
		t.Errorf("%d whole looks where nothing was new", got)
	}
	if got, most := after-lists, 2*(people+checks+49)/50; got > most {
		t.Errorf("%d list calls", got)
	}
	if got := nowRead - read; got > checks {
		t.Errorf("%d status reads for %d changes that wait for checks", got, checks)
	}
}

func TestWhatWaitsForChecksCostsOneStatusReadUntilTheyMove(t *testing.T) {
	w := gated(t, "ready", quick)
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.change(id, func(p *openPull) { p.statuses[0].State = gate.StatePending })
	w.run()
	w.until("three status reads", func() bool { _, checks := w.calls(); return checks >= 3 })
	if looks := w.looks(); looks > 4 {
		t.Errorf("%d whole looks beside them", looks)
	}
	// Nobody says that it turned green.
	w.forge.mutex.Lock()
	w.forge.open[id].statuses[0].State = gate.StateSuccess
	w.forge.mutex.Unlock()
	w.seen(id, "the merge without any hint", func(c change.Change) bool { return c.MergeSHA != "" })
}

func TestALostWebhookCostsOneRound(t *testing.T) {
	w := gated(t, "ready", quick)
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.seen(id, "the first look without a hint", func(c change.Change) bool { return len(c.Verdict) > 0 })
	w.satisfy(id)
	w.seen(id, "the merge without a hint", func(c change.Change) bool { return c.MergeSHA != "" })
}

func TestM7AHintAboutPeopleReopensTheQuestion(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.change(id, func(p *openPull) {
		old := *p
		old.remembered, old.reviews = nil, nil
		p.remembered = &old // what the forge's adapter remembers is from before
	})
	w.run()
	w.hint(id)
	w.seen(id, "the verdict on what is remembered", func(c change.Change) bool { return len(c.Verdict) > 0 })
	if _, err := w.engine.Accept(t.Context(), reconcile.Hint{Repo: app, People: true}); err != nil {
		t.Fatal(err)
	}
	w.seen(id, "the merge", func(c change.Change) bool { return c.MergeSHA != "" })
}

func TestAStormOfEventsIsFewLooks(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	began := time.Now()
	for range 200 {
		w.hint(id)
	}
	last := w.comment(id, "alice", "the last word")
	w.hint(id)
	w.seen(id, "the last event", func(c change.Change) bool { return c.Talk.Heard == last })
	if most := int(time.Since(began)/time.Second) + 3; w.looks() > most {
		t.Errorf("%d looks in %s", w.looks(), time.Since(began))
	}
}

func TestTheOwnersOfTheBaseAreJudged(t *testing.T) {
	read := 0
	w := gated(t, "ready", func(_ *world, c *reconcile.Config) {
		c.Repositories[0].OwnersFiles = []string{"CODEOWNERS", ".gitea/CODEOWNERS"}
		c.Repositories[0].Owners = func(data []byte) (reconcile.OwnersRules, []string) {
			read++
			return ownedBy(data), nil
		}
		parse := c.Policy
		c.Policy = func(id ref.RepoID, where string, data []byte, found bool) change.Plan {
			p := parse(id, where, data, found)
			p.Gate.Owners.Required = true
			return p
		}
	})
	w.history.push("main", "owners", map[string]string{".gitea/CODEOWNERS": "acme/sre"})
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	w.hint(id)
	c := w.seen(id, "the verdict", func(c change.Change) bool { return len(c.Verdict) > 0 })
	if c.Verdict[0].Code != gate.CodeOwners {
		t.Fatalf("%+v", c.Verdict)
	}
	w.change(id, func(p *openPull) {
		p.reviews = append(p.reviews, gate.Review{ID: 200, Reviewer: "sam", State: gate.ReviewApproved, Commit: p.Head, Official: ref.Yes, Eligible: ref.Yes})
	})
	w.hint(id)
	w.seen(id, "the merge once a member of the owning team approved", func(c change.Change) bool { return c.MergeSHA != "" })
	if read != 1 {
		t.Errorf("CODEOWNERS of one commit was read %d times", read)
	}
}

// ownedBy owns everything.
type ownedBy string

func (o ownedBy) Of(files []gate.File) []gate.Ownership {
	own := gate.Ownership{Pattern: "*", Line: 1, Owners: []string{string(o)}}
	for _, f := range files {
		own.Paths = append(own.Paths, f.Path)
	}
	return []gate.Ownership{own}
}
