package reconcile_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// slowStore keeps snapshots so far away that no replay is done in time.
type slowStore struct {
	reconcile.Store
	asked atomic.Int64
}

func (s *slowStore) Snapshot(context.Context, string) ([]byte, bool, error) {
	s.asked.Add(1)
	return nil, false, context.DeadlineExceeded
}

// TestAReplayThatTakesTooLongIsMadeOnce: whoever proposes a policy must not have
// every look at it cost all the time that a replay may take.
func TestAReplayThatTakesTooLongIsMadeOnce(t *testing.T) {
	w := gated(t, "ready", explaining)
	slow := &slowStore{Store: w.store}
	w = rebuilt(t, w, func(c *reconcile.Config) { c.Store = slow })
	other := w.propose(1, map[string]string{"x": "1"})
	stricter := strings.Replace(policyFor("app", "app"), "creator: ci-bot}]}\npost", "creator: ci-bot}], approvals: 3}\npost", 1)
	w.run()
	w.hint(other)
	w.seen(other, "something to replay", func(c change.Change) bool { return c.Snapshot != "" })
	id := w.propose(9, map[string]string{reconcile.PolicyFile: stricter})
	w.hint(id)
	c := w.seen(id, "the replay", func(c change.Change) bool { return c.Replay != nil })
	if c.Replay.Head != c.Head || !c.Replay.Cut || c.Replay.Judged != 0 {
		t.Errorf("%+v", c.Replay)
	}
	w.explained(9, "not all of them in the time")
	asked := slow.asked.Load()
	w.change(id, func(p *openPull) { p.Draft = ref.Yes })
	w.hint(id)
	w.seen(id, "another look", func(c change.Change) bool { return len(c.Verdict) > 0 && c.Verdict[0].Code == "draft" })
	if again := slow.asked.Load(); again != asked {
		t.Errorf("it was made again: %d and %d snapshots", asked, again)
	}
}
