package gitea

import (
	"testing"

	"slipway/gate"
	"slipway/internal/ref"
)

func TestWhetherABranchAsksForTheGatesStatus(t *testing.T) {
	for name, test := range map[string]struct {
		rule rule
		want ref.Fact
	}{
		"a rule that asks for no status does not":                         {rule{Contexts: []string{gate.StatusContext}}, ref.No},
		"a rule that asks for other statuses does not":                    {rule{Statuses: true, Contexts: []string{"ci / test (pull_request)"}}, ref.No},
		"a rule that names it does":                                       {rule{Statuses: true, Contexts: []string{"ci", gate.StatusContext}}, ref.Yes},
		"a pattern may mean it, and only the server knows":                {rule{Statuses: true, Contexts: []string{"ci", "slip*"}}, ref.Unknown},
		"a rule without a context wants all that were posted to be green": {rule{Statuses: true}, ref.Unknown},
	} {
		if got := test.rule.asks(gate.StatusContext); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
