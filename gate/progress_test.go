package gate_test

import (
	"encoding/json"
	"testing"

	"slipway/gate"
)

func TestAnUnmetRequirementSaysThatItWaits(t *testing.T) {
	for p, want := range map[gate.Progress]string{
		gate.Unmet: `"waiting"`, gate.Met: `"met"`, gate.Violated: `"violated"`, gate.Unread: `"unknown"`, gate.Waived: `"waived"`, gate.NotNeeded: `"optional"`,
	} {
		b, err := json.Marshal(p)
		if err != nil || string(b) != want {
			t.Errorf("%q is written %s (%v), want %s", p, b, err, want)
		}
		var back gate.Progress
		if err := json.Unmarshal(b, &back); err != nil || back != p {
			t.Errorf("%s is read %q (%v), want %q", b, back, err, p)
		}
	}
}
