package reconcile_test

import (
	"context"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// TestWhatWasSaidBeforeTheMergeIsCalledForHolds: also when the intent stands.
func TestWhatWasSaidBeforeTheMergeIsCalledForHolds(t *testing.T) {
	tests := map[string]func(w *world, id ref.PullID) error{
		"a hold": func(w *world, id ref.PullID) error {
			return w.engine.Order(context.WithoutCancel(w.Context()), id, authz.Actor{Name: "olga", Roles: []authz.Role{authz.Operator}}, authz.Hold, "stop")
		},
		"a label": func(w *world, id ref.PullID) error {
			w.change(id, func(p *openPull) { p.Labels = []string{"release/minor", "hold"} })
			return nil
		},
		"a draft": func(w *world, id ref.PullID) error {
			w.change(id, func(p *openPull) { p.Draft = ref.Yes })
			return nil
		},
		"a freeze": func(w *world, id ref.PullID) error {
			return w.store.Commit(context.WithoutCancel(w.Context()), reconcile.Write{Freeze: &reconcile.BranchFreeze{Branch: mainBranch, Reason: "look first", At: time.Now()}})
		},
	}
	for name, say := range tests {
		t.Run(name, func(t *testing.T) {
			w := gated(t, "ready")
			id := w.propose(1, map[string]string{"x": "1"})
			w.satisfy(id)
			late := &lateForge{forge: w.forge, say: func() error { return say(w, id) }}
			w = rebuilt(t, w, func(c *reconcile.Config) { c.Repositories[0].Forge = late })
			w.run()
			w.hint(id)
			c := w.seen(id, "the hold or the freeze", func(c change.Change) bool {
				return c.MergeSHA != "" || len(c.Verdict) > 0 && (c.Verdict[0].Code == gate.CodeHold || c.Verdict[0].Code == gate.CodeFrozen || c.Verdict[0].Code == gate.CodeDraft)
			})
			if c.MergeSHA != "" || w.forge.merges > 0 {
				t.Fatal("it was merged all the same")
			}
		})
	}
}

// lateForge says something between the intent and the merge, once.
type lateForge struct {
	*forge
	say  func() error
	said bool
}

func (f *lateForge) PostStatus(ctx context.Context, repo ref.RepoID, p change.Posted) error {
	if p.State == gate.StateSuccess && !f.said {
		f.said = true
		if err := f.say(); err != nil {
			return err
		}
	}
	return f.forge.PostStatus(ctx, repo, p)
}
