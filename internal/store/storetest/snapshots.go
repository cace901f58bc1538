package storetest

import (
	"fmt"
	"testing"
	"time"

	"slipway/internal/change"
	"slipway/internal/reconcile"
)

// testSnapshotAges: what a change rests on stays, the rest goes in time.
func testSnapshotAges(t *testing.T, place Place) {
	s, clock := start(t, place)
	there := func(t *testing.T, body string, is bool) {
		t.Helper()
		_, found, err := s.Snapshot(t.Context(), snapshot(body).Hash)
		if err != nil {
			t.Fatal(err)
		}
		want(t, found, is, "presence of snapshot "+body)
	}
	keep := func(body string) { commit(t, s, reconcile.Write{Snapshot: snapshot(body)}) }
	judged, merged := simple(1), simple(2)
	judged.Snapshot = snapshot("judged").Hash
	merged.Snapshot = snapshot("later").Hash
	merged.Intent = &change.MergeIntent{Head: merged.Head, Base: "main", Snapshot: snapshot("intended").Hash}
	for _, c := range []*change.Change{&judged, &merged} {
		commit(t, s, reconcile.Write{Change: c})
	}
	for _, body := range []string{"judged", "later", "intended", "nobody's", "again"} {
		keep(body)
	}
	for i := range 450 {
		keep(fmt.Sprint("many ", i))
	}
	clock.Advance(20 * 24 * time.Hour)
	keep("again")
	keep("younger")
	t.Run("before its time nothing goes", func(t *testing.T) { there(t, "nobody's", true) })

	clock.Advance(11 * 24 * time.Hour)
	for i := range 5 {
		keep(fmt.Sprint("a write ", i))
	}
	t.Run("what nobody rests on goes, also when it is much", func(t *testing.T) {
		there(t, "nobody's", false)
		there(t, "many 0", false)
		there(t, "many 449", false)
	})
	t.Run("what a change was judged on stays", func(t *testing.T) { there(t, "judged", true); there(t, "later", true) })
	t.Run("what a change was merged on stays", func(t *testing.T) { there(t, "intended", true) })
	t.Run("what was kept again meanwhile stays", func(t *testing.T) { there(t, "again", true); there(t, "younger", true) })

	t.Run("what a change rests on no longer goes", func(t *testing.T) {
		judged.Rev, judged.Snapshot = 1, snapshot("judged anew").Hash
		commit(t, s, reconcile.Write{Change: &judged, Snapshot: snapshot("judged anew")})
		clock.Advance(2 * time.Hour)
		keep("one more")
		there(t, "judged", false)
		there(t, "judged anew", true)
	})
}
