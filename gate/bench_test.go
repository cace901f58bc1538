package gate_test

import (
	"fmt"
	"testing"

	"slipway/gate"
	"slipway/internal/ref"
)

// large is a pull request with n required checks, each reported by a run and
// its status, n reviews and ten times as many files, under a policy with
// demands, owners and conditions; it merges.
func large(n int) (gate.Snapshot, gate.Policy) {
	s, p := whole()
	s.Checks.Statuses, s.Checks.Jobs, s.Reviews, s.Files = nil, nil, nil, nil
	p.Checks, p.Approvers = nil, gate.Who{Teams: []string{"acme/core"}}
	var team []string
	for i := range n {
		name := fmt.Sprintf("test-%d", i)
		context := fmt.Sprintf("ci / %s (pull_request)", name)
		p.Checks = append(p.Checks, gate.CheckRule{Context: context, Workflow: workflow, Job: name, Event: "pull_request"})
		if i%4 == 0 {
			p.Checks[i].Paths = []string{fmt.Sprintf("service-%d/**", i), "**/*.proto", "app/**"}
		}
		url := fmt.Sprintf("/runs/1/jobs/%d", i)
		s.Checks.Statuses = append(s.Checks.Statuses,
			status(int64(2*i), context, gate.StatePending, "", url),
			status(int64(2*i+1), context, gate.StateSuccess, "", url),
		)
		j := job(1, 1, gate.StateSuccess)
		j.Name, j.URL = name, url
		s.Checks.Jobs = append(s.Checks.Jobs, j)
		reviewer := fmt.Sprintf("reviewer-%d", i)
		team = append(team, reviewer)
		s.Reviews = append(s.Reviews, approval(int64(i), reviewer))
		p.Principals[reviewer] = gate.Principal{Kind: gate.KindPerson}
		if i%2 == 0 {
			p.Principals[reviewer] = agent(fmt.Sprintf("model-%d", i), fmt.Sprintf("operator-%d", i), "red")
		}
	}
	s.Teams["acme/core"] = team
	for i := range 10 * n {
		s.Files = append(s.Files, gate.File{Path: fmt.Sprintf("service-%d/internal/part/file-%d.go", i/12, i), Added: 7, Deleted: 3})
	}
	s.Files = append(s.Files, gate.File{Path: "app/api.proto", Added: 1})
	p.Demands = []gate.Demand{
		{Name: "security", Paths: []string{"**/auth/**", "**/*.pem", "app/**"}, From: gate.Who{Teams: []string{"acme/core"}}, Count: 2},
		{Name: "database", Paths: []string{"db/**", "**/migrations/*.sql"}, From: gate.Who{People: team[:1]}},
		{Name: "a person", Lines: 100, Person: true},
		{Name: "robots", From: gate.Who{Pools: []string{"red"}}, Count: 2},
	}
	s.Owned = nil
	for i := range n / 2 {
		s.Owned = append(s.Owned, gate.Ownership{Pattern: fmt.Sprintf("/service-%d/", i), Line: i + 1, Owners: []string{team[i], "acme/core"}})
	}
	p.Conditions = nil // the fixture's wants few files
	for range 3 {
		p.Conditions = append(p.Conditions, gate.Condition{Name: fmt.Sprint("c", len(p.Conditions)), Holds: func(s gate.Snapshot) (ref.Fact, string) {
			return ref.Known(len(s.Files) > 0), ""
		}})
	}
	s.Approvers = append(team, "erin", "paula", "dave")
	return s, p
}

func BenchmarkEvaluate(b *testing.B) {
	run := func(name string, s gate.Snapshot, p gate.Policy, want gate.Outcome) {
		if v := gate.Evaluate(s, p, now); v.Outcome != want {
			b.Fatalf("%s: %s: %v", name, v.Outcome, v.Reasons)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				gate.Evaluate(s, p, now)
			}
		})
	}
	for _, n := range []int{20, 200, 2000} {
		s, p := large(n)
		run(fmt.Sprintf("checks=%d,reviews=%d,files=%d", n, n, 10*n), s, p, gate.Merge)
	}
	s, p := large(20)
	s.Reviews = nil
	run("nobody approved", s, p, gate.Wait)
	s, p = large(20)
	for i := range s.Checks.Statuses {
		s.Checks.Statuses[i].Context += "!"
	}
	run("no check came", s, p, gate.Wait)
}
