package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// TestAPullRequestThatIsNotThere: what an event names and the repository does
// not have is looked at once, and what was deleted there ends closed.
func TestAPullRequestThatIsNotThere(t *testing.T) {
	resting := func(w *world) bool {
		next, err := w.store.Next(w.Context(), reconcile.KindChange)
		if err != nil {
			w.Fatal(err)
		}
		return next.IsZero()
	}
	t.Run("one of which nothing is recorded is looked at once", func(t *testing.T) {
		w := gated(t, "ready")
		w.run()
		w.hint(pull(4711))
		w.until("the look", func() bool { return w.forge.questions(pull(4711)) > 0 && resting(w) })
		if n := w.forge.questions(pull(4711)); n != 1 {
			t.Errorf("it was asked after %d times", n)
		}
		if c := w.stored(pull(4711)); c.Rev != 0 || w.log.count("level=ERROR") > 0 {
			t.Errorf("it is recorded as %+v, with %d errors", c, w.log.count("level=ERROR"))
		}
	})
	t.Run("one that may be there and cannot be seen is looked at again", func(t *testing.T) {
		w := gated(t, "ready")
		w.forge.hidden = errors.New("404 not found")
		w.run()
		w.hint(pull(4711))
		w.until("the error", func() bool { return w.log.count("level=ERROR") > 0 && !resting(w) })
	})
	t.Run("one that was deleted ends closed, and is looked at no more until it is back", func(t *testing.T) {
		w := gated(t, "ready")
		id := w.propose(1, map[string]string{"x": "1"})
		w.run()
		w.hint(id)
		w.seen(id, "the record", func(c change.Change) bool { return len(c.Verdict) > 0 })
		deleted := w.take(id)
		w.hint(id)
		c := w.seen(id, "its end", func(c change.Change) bool { return c.Outcome != change.Open })
		if c.Outcome != change.OutcomeClosed || !strings.Contains(c.Gate(change.Merged).Reason, "deleted") || c.Ended.IsZero() {
			t.Errorf("it ended %s: %+v", c.Outcome, c.Gate(change.Merged))
		}
		if told := w.entries("change.ended"); len(told) != 1 || told[0].Subject != id.String() {
			t.Errorf("the journal tells %+v", told)
		}
		w.until("its rest", func() bool { return resting(w) })
		w.forge.mutex.Lock()
		w.forge.open[id] = deleted
		w.forge.mutex.Unlock()
		w.hint(id)
		w.seen(id, "it open again", func(c change.Change) bool { return c.Outcome == change.Open && c.Ended.IsZero() })
	})
	t.Run("one that the list still shows does not end", func(t *testing.T) {
		w := gated(t, "ready")
		id := w.propose(1, map[string]string{"x": "1"})
		contrary := &contraryForge{forge: w.forge}
		w = rebuilt(t, w, func(c *reconcile.Config) { c.Repositories[0].Forge = contrary })
		w.run()
		w.hint(id)
		w.seen(id, "the record", func(c change.Change) bool { return len(c.Verdict) > 0 })
		w.forge.mutex.Lock()
		contrary.lists = []reconcile.Brief{{ID: id}}
		w.forge.mutex.Unlock()
		w.take(id)
		w.hint(id)
		w.until("the error", func() bool { return w.log.count("is not there when it is read") > 0 })
		if c := w.stored(id); c.Outcome != change.Open {
			t.Errorf("it ended %s", c.Outcome)
		}
	})
}

// TestABranchWaitsForNoDeletedMerge: what was about to be merged and is gone
// from the forge does not keep the branch from being accounted for.
func TestABranchWaitsForNoDeletedMerge(t *testing.T) {
	w := newWorld(t)
	first := w.history.push("main", "feat: first", nil)
	w.keep(reconcile.Write{Cursor: &reconcile.Cursor{Branch: mainBranch, To: first}})
	w.intended(7, ref.SHA(strings.Repeat("7", 40)), 1)
	w.history.push("main", "feat: stranger", nil)
	w.run()
	w.until("the push to be told", func() bool { return len(w.entries("push.unjudged")) == 1 })
	if c := w.stored(pull(7)); c.Outcome != change.OutcomeClosed || c.Intent != nil {
		t.Errorf("it is %s with %+v", c.Outcome, c.Intent)
	}
}

// take deletes a pull request in the forge.
func (w *world) take(id ref.PullID) *openPull {
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	p := w.forge.open[id]
	delete(w.forge.open, id)
	return p
}

// contraryForge lists what it may no longer have.
type contraryForge struct {
	*forge
	lists []reconcile.Brief
}

func (f *contraryForge) OpenPulls(ctx context.Context, repo ref.RepoID) ([]reconcile.Brief, error) {
	f.mutex.Lock()
	lists := f.lists
	f.mutex.Unlock()
	if lists != nil {
		return lists, nil
	}
	return f.forge.OpenPulls(ctx, repo)
}
