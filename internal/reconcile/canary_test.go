package reconcile_test

import (
	"testing"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// TestNoCanaryIsMerged: what comes from a canary's branch is stopped though it
// has all that the policy asks, whoever asks for it; nothing is written under
// it, and it ends closed.
func TestNoCanaryIsMerged(t *testing.T) {
	w := gated(t, "asked", explaining)
	id := w.propose(1, map[string]string{"x": "1"})
	w.change(id, func(p *openPull) { p.HeadBranch = gate.CanaryPrefix + "control-1" })
	w.satisfy(id)
	w.run()
	w.hint(id)
	w.seen(id, "to wait for whoever asks", func(c change.Change) bool { return len(c.Verdict) == 1 && c.Verdict[0].Code == gate.CodeNotAsked })
	w.comment(id, "alice", "/merge when ready")
	w.hint(id)
	stopped := func(c change.Change) bool { return len(c.Verdict) == 1 && c.Verdict[0].Code == gate.CodeCanary }
	c := w.seen(id, "it to be stopped as a canary", stopped)
	if c.Intent != nil || c.Gate(change.Reviewed).State != change.Failed {
		t.Errorf("it stands at %+v, to be merged as %+v", c.Gate(change.Reviewed), c.Intent)
	}
	w.change(id, func(p *openPull) { p.Open = ref.No })
	w.hint(id)
	c = w.seen(id, "its end", func(c change.Change) bool { return c.Outcome != change.Open })
	if c.Outcome != change.OutcomeClosed || c.MergeSHA != "" || !stopped(c) {
		t.Errorf("it ended %s: %+v", c.Outcome, c)
	}
	if n := w.stickies(1); n != 0 {
		t.Errorf("%d comments explain it", n)
	}
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	if w.forge.merges != 0 {
		t.Errorf("the forge was asked to merge %d times", w.forge.merges)
	}
}
