package onboard_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/onboard"
)

// TestWhatIsStricterStays: nothing that the forge asks for beyond the policy is
// taken away unless somebody says so.
func TestWhatIsStricterStays(t *testing.T) {
	for name, change := range map[string]func(*onboard.Protection){
		"approvals":  func(p *onboard.Protection) { p.Approvals = 3 },
		"checks":     func(p *onboard.Protection) { p.Checks = []string{"ci / test (pull_request)", "audit"} },
		"up to date": func(p *onboard.Protection) { p.UpToDate = true },
	} {
		t.Run(name, func(t *testing.T) {
			want := onboard.Derive(facts())
			w := drifted(t, want, func(w *world) {
				p := *w.forge.Rule.Is
				change(&p)
				p.ForcePush = true // what is weaker does not make it go
				w.forge.Rule = onboard.Read(&p)
			})
			strict, writes := *w.forge.Rule.Is, w.writes
			for _, o := range w.apply(want) {
				if o.Done || o.Fault == "" {
					t.Errorf("%+v", o)
				}
			}
			if diff := cmp.Diff(strict, *w.forge.Rule.Is); diff != "" || w.writes != writes {
				t.Errorf("%d writes: %s", w.writes-writes, diff)
			}
			want.Loosen = true
			w.apply(want)
			if left := keys(w.plan(want)); len(left) > 0 {
				t.Errorf("left after it was loosened: %q", left)
			}
		})
	}
}
