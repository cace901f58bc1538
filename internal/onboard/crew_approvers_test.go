package onboard_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/onboard"
)

// TestReviewersOfThePoolsStandOnTheList has the forge count the approvals that
// the gate counts.
func TestReviewersOfThePoolsStandOnTheList(t *testing.T) {
	crew := []onboard.Hand{{"builder-lite-0", "builder-lite", false}, {"reviewer-heavy-0", "reviewer-heavy", true}, {"reviewer-lite-0", "reviewer-lite", true}}
	for _, c := range []struct {
		name   string
		policy gate.Policy
		want   []string
	}{
		{"those of a pool that the policy names", gate.Policy{Approvers: gate.Who{People: []string{"ada"}, Pools: []string{"reviewer-heavy"}}}, []string{"ada", "reviewer-heavy-0"}},
		{"a builder only where the policy says so", gate.Policy{Approvers: gate.Who{Pools: []string{"builder-lite"}}}, []string{"builder-lite-0"}},
		{"all who review, where it names nobody", gate.Policy{Principals: map[string]gate.Principal{"ada": {Kind: gate.KindPerson}}}, []string{"ada", "reviewer-heavy-0", "reviewer-lite-0"}},
		{"none of a pool that it excludes", gate.Policy{Excluded: gate.Who{Pools: []string{"reviewer-lite"}}}, []string{"reviewer-heavy-0"}},
		{"none where it names others", gate.Policy{Approvers: gate.Who{People: []string{"ada"}}}, []string{"ada"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := onboard.Facts{Branch: "main", Crew: crew}
			facts.Plan.Gate = c.policy
			if diff := cmp.Diff(c.want, onboard.Derive(facts).Rule.Approvers); diff != "" {
				t.Error(diff)
			}
		})
	}
}
