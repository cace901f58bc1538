package gate_test

import (
	"slices"
	"testing"

	"slipway/gate"
)

func TestACanaryIsCaught(t *testing.T) {
	for _, test := range []struct {
		name   string
		branch string
		differ func(*gate.Snapshot)
		canary bool
		want   gate.Outcome
		codes  []gate.Code
	}{
		{"what would merge is blocked instead", gate.CanaryPrefix + "control-1", func(*gate.Snapshot) {}, true, gate.Block, []gate.Code{gate.CodeCanary}},
		{"what is blocked keeps its own reason alone", gate.CanaryPrefix + "held-1", func(s *gate.Snapshot) { s.Pull.Labels = []string{"hold"} }, true, gate.Wait, []gate.Code{gate.CodeHold}},
		{"a branch that only contains the prefix is none", "feat/" + gate.CanaryPrefix + "x", func(*gate.Snapshot) {}, false, gate.Merge, nil},
		{"a branch without a name is none", "", func(*gate.Snapshot) {}, false, gate.Merge, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := ready()
			s.Pull.HeadBranch = test.branch
			test.differ(&s)
			v := gate.Evaluate(s, policy(), now)
			if s.Pull.Canary() != test.canary {
				t.Errorf("a canary: %t", s.Pull.Canary())
			}
			if s.Pull.Canary() {
				v = v.Caught()
			}
			if v.Outcome != test.want || !slices.Equal(codes(v), test.codes) {
				t.Errorf("got %s %q, want %s %q", v.Outcome, codes(v), test.want, test.codes)
			}
			if v.Head != s.Pull.Head {
				t.Errorf("it is about %s", v.Head)
			}
		})
	}
}

func TestToCatchAltersNoOtherVerdict(t *testing.T) {
	v := gate.Evaluate(ready(), policy(), now)
	if caught := v.Caught(); caught.Outcome != gate.Block || v.Outcome != gate.Merge || len(v.Reasons) != 0 {
		t.Errorf("caught as %s; the verdict became %s %v", caught.Outcome, v.Outcome, v.Reasons)
	}
}
