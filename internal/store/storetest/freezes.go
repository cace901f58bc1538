package storetest

import (
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testFreezes(t *testing.T, place Place) {
	s, clock := start(t, place)
	main := branch("app", "main")
	first := reconcile.BranchFreeze{Branch: main, Reason: "the landed tree is another one", At: clock.Now()}
	stands := func(t *testing.T, b ref.BranchID, f *reconcile.BranchFreeze) {
		t.Helper()
		got, err := s.Freeze(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, f, "freeze of "+b.String())
	}
	stands(t, main, nil)
	t.Run("to lift what does not stand is no error", func(t *testing.T) {
		commit(t, s, reconcile.Write{Freeze: &reconcile.BranchFreeze{Branch: main, Lifted: true}})
		stands(t, main, nil)
	})
	t.Run("a freeze stands, and a second one leaves it", func(t *testing.T) {
		commit(t, s, reconcile.Write{Freeze: &first})
		commit(t, s, reconcile.Write{Freeze: &reconcile.BranchFreeze{Branch: main, Reason: "another", At: clock.Advance(time.Hour)}})
		stands(t, main, &first)
	})
	t.Run("each branch of each repository has its own", func(t *testing.T) {
		stands(t, branch("app", "next"), nil)
		stands(t, branch("two", "main"), nil)
	})
	t.Run("lifted, it is gone, and can be set anew", func(t *testing.T) {
		commit(t, s, reconcile.Write{Freeze: &reconcile.BranchFreeze{Branch: main, Lifted: true}})
		stands(t, main, nil)
		again := reconcile.BranchFreeze{Branch: main, Reason: "again", At: clock.Now()}
		commit(t, s, reconcile.Write{Freeze: &again})
		stands(t, main, &again)
	})
	t.Run("its time is kept in UTC to the microsecond", func(t *testing.T) {
		next := branch("app", "next")
		at := time.Date(2026, 3, 1, 13, 0, 0, 123456789, time.FixedZone("", 3600))
		commit(t, s, reconcile.Write{Freeze: &reconcile.BranchFreeze{Branch: next, Reason: "x", At: at}})
		stands(t, next, &reconcile.BranchFreeze{Branch: next, Reason: "x", At: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)})
	})
	t.Run("one without a branch or a reason is refused", func(t *testing.T) {
		refuse(t, s, reconcile.Write{Freeze: &reconcile.BranchFreeze{Reason: "x"}}, fault.Permanent, "name")
		refuse(t, s, reconcile.Write{Freeze: &reconcile.BranchFreeze{Branch: main}}, fault.Permanent, "reason")
		refuse(t, s, reconcile.Write{Freeze: &reconcile.BranchFreeze{Lifted: true}}, fault.Permanent, "name")
	})
}
