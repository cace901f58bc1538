package gate_test

import (
	"fmt"
	"testing"

	"slipway/gate"
)

// large is a pull request with n required checks, each reported by a run and
// its status, and n reviews; it merges.
func large(n int) (gate.Snapshot, gate.Policy) {
	s, p := ready(), policy()
	p.Checks, s.Checks.Statuses, s.Checks.Jobs, s.Reviews = nil, nil, nil, nil
	for i := range n {
		name := fmt.Sprintf("test-%d", i)
		context := fmt.Sprintf("ci / %s (pull_request)", name)
		p.Checks = append(p.Checks, gate.CheckRule{Context: context, Workflow: workflow, Job: name, Event: "pull_request"})
		url := fmt.Sprintf("/runs/1/jobs/%d", i)
		s.Checks.Statuses = append(s.Checks.Statuses,
			status(int64(2*i), context, gate.StatePending, "", url),
			status(int64(2*i+1), context, gate.StateSuccess, "", url),
		)
		j := job(1, 1, gate.StateSuccess)
		j.Name, j.URL = name, url
		s.Checks.Jobs = append(s.Checks.Jobs, j)
		reviewer := fmt.Sprintf("reviewer-%d", i)
		s.Reviews = append(s.Reviews, approval(int64(i), reviewer))
		p.Principals[reviewer] = gate.Principal{Kind: gate.KindPerson}
	}
	return s, p
}

func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		s, p := large(n)
		if v := gate.Evaluate(s, p, now); v.Outcome != gate.Merge {
			b.Fatalf("%s: %v", v.Outcome, v.Reasons)
		}
		b.Run(fmt.Sprintf("checks=%d,reviews=%d", n, n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				gate.Evaluate(s, p, now)
			}
		})
	}
	s, p := large(20)
	for i := range s.Checks.Statuses {
		s.Checks.Statuses[i].Context += "!"
	}
	b.Run("checks=20,none came", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			gate.Evaluate(s, p, now)
		}
	})
}
