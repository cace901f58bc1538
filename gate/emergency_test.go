package gate_test

import (
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// burning is a valid emergency by erin that may waive everything that can be.
func burning(changes ...change) change {
	return func(s *gate.Snapshot, p *gate.Policy) {
		p.Emergency = gate.EmergencyRule{
			By: gate.Who{People: []string{"Erin"}, Teams: []string{"acme/duty"}},
			Waives: []string{
				"freeze", "condition", "demand", "owners", "base", "hold", // these may be
				"approvals", "check", "veto", "draft", "conflict", "policy", "identities", "registered", "frozen", "person", "open", "linear", "request", "emergency",
			},
		}
		s.Emergency = &gate.Emergency{By: "erin", Reason: "it burns", Head: head, At: now}
		all(changes...)(s, p)
	}
}

func TestEmergencyWaives(t *testing.T) {
	judge(t, []situation{
		{name: "an emergency waives a freeze", differ: burning(freezes(window(now.Add(time.Hour)))), want: gate.Merge},
		{name: "an emergency waives a condition", differ: burning(condition(ref.No, "")), want: gate.Merge},
		{name: "an emergency waives a demand", differ: burning(demand(gate.Demand{Name: "security", From: gate.Who{People: []string{"paula"}}})), want: gate.Merge},
		{name: "an emergency waives owners", differ: burning(owned(rule("dave"))), want: gate.Merge},
		{name: "an emergency waives a hold", differ: burning(holds(gate.Hold{By: "bob"})), want: gate.Merge},
		{
			name:   "an emergency waives a head without the tip of its base",
			differ: burning(func(s *gate.Snapshot, p *gate.Policy) { p.UpToDate, s.UpToDate = true, ref.No }),
			want:   gate.Merge,
		},
		{
			name:   "an emergency waives only what the policy lets it",
			differ: burning(freezes(window(now.Add(time.Hour))), condition(ref.No, ""), func(_ *gate.Snapshot, p *gate.Policy) { p.Emergency.Waives = []string{"freeze"} }),
			want:   gate.Block, codes: []gate.Code{gate.CodeCondition},
		},
		{
			name: "an emergency never waives approvals", differ: burning(second()),
			want: gate.Wait, codes: []gate.Code{gate.CodeApprovals},
		},
		{
			name: "an emergency never waives a check", differ: burning(statuses(ready().Checks.Statuses[0])),
			want: gate.Wait, codes: []gate.Code{gate.CodeCheckMissing},
		},
		{
			name: "an emergency never waives a veto",
			differ: burning(func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, review(9, "dave", gate.ReviewChangesRequested))
			}),
			want: gate.Block, codes: []gate.Code{gate.CodeVeto},
		},
		{
			name: "an emergency never waives a draft", differ: burning(func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft = ref.Yes }),
			want: gate.Wait, codes: []gate.Code{gate.CodeDraft},
		},
		{
			name: "an emergency never waives a conflict", differ: burning(func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.No }),
			want: gate.Block, codes: []gate.Code{gate.CodeConflict},
		},
		{
			name: "an emergency never waives a fault of the policy", differ: burning(func(_ *gate.Snapshot, p *gate.Policy) { p.Faults = []string{"no"} }),
			want: gate.Block, codes: []gate.Code{gate.CodePolicy},
		},
		{
			name: "an emergency never waives an unmapped identity", differ: burning(func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].Author = "" }),
			want: gate.Block, codes: []gate.Code{gate.CodeUnmappedIdentity},
		},
		{
			name: "an emergency never waives a frozen branch", differ: burning(frozen("bad landing")),
			want: gate.Block, codes: []gate.Code{gate.CodeFrozen},
		},
		{
			name: "an emergency never waives the person who must approve workflow files",
			differ: burning(func(s *gate.Snapshot, p *gate.Policy) {
				s.WorkflowsChanged = ref.Yes
				p.Principals["alice"], p.Principals["bob"] = agent("m1", "", ""), agent("m2", "", "")
			}),
			want: gate.Wait, codes: []gate.Code{gate.CodePerson},
		},
		{
			name: "an emergency never waives what is not known", differ: burning(condition(ref.Unknown, "why not")),
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown},
		},
		{
			name:   "an emergency waives the demand and leaves the files unknown",
			differ: burning(demand(gate.Demand{Name: "db", From: gate.Who{People: []string{"paula"}}, Paths: []string{"db/**"}}), filesUnread),
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown},
		},
		{
			name:   "an emergency never waives a merge commit",
			differ: burning(func(s *gate.Snapshot, p *gate.Policy) { p.Linear, s.Commits[0].Parents = true, 2 }),
			want:   gate.Block, codes: []gate.Code{gate.CodeNotLinear},
		},
		{
			name: "an emergency with nothing to waive changes nothing", differ: burning(), want: gate.Merge,
		},
	})
}

func TestWhoMayDeclareAnEmergency(t *testing.T) {
	waived := []gate.Code{gate.CodeFreeze}
	in := func(differ func(s *gate.Snapshot, p *gate.Policy, e *gate.Emergency)) change {
		return burning(freezes(window(now.Add(time.Hour))), func(s *gate.Snapshot, p *gate.Policy) { differ(s, p, s.Emergency) })
	}
	judge(t, []situation{
		{
			name:   "somebody whom the policy does not name declares none",
			differ: in(func(_ *gate.Snapshot, _ *gate.Policy, e *gate.Emergency) { e.By = "dave" }),
			want:   gate.Wait, codes: waived,
		},
		{
			name: "nobody declares none",
			differ: in(func(_ *gate.Snapshot, p *gate.Policy, e *gate.Emergency) {
				e.By, p.Emergency.By.People = "", []string{""}
			}),
			want: gate.Wait, codes: waived,
		},
		{
			name: "a member of a named team declares one",
			differ: in(func(s *gate.Snapshot, _ *gate.Policy, e *gate.Emergency) {
				e.By, s.Teams = "Dave", map[string][]string{"acme/duty": {"dave"}}
			}),
			want: gate.Merge,
		},
		{
			name:   "whoever may be of a team that was not read declares none",
			differ: in(func(_ *gate.Snapshot, p *gate.Policy, _ *gate.Emergency) { p.Emergency.By.People = nil }),
			want:   gate.Wait, codes: waived,
		},
		{
			name: "an agent of a named pool declares none",
			differ: in(func(_ *gate.Snapshot, p *gate.Policy, _ *gate.Emergency) {
				p.Principals["erin"], p.Emergency.By = agent("m1", "acme", "red"), gate.Who{Pools: []string{"red"}}
			}),
			want: gate.Wait, codes: waived,
		},
		{
			name: "an agent that is named declares none",
			differ: in(func(_ *gate.Snapshot, p *gate.Policy, _ *gate.Emergency) {
				p.Principals["erin"] = agent("m1", "acme", "")
			}),
			want: gate.Wait, codes: waived,
		},
		{
			name:   "an emergency without a reason is none",
			differ: in(func(_ *gate.Snapshot, _ *gate.Policy, e *gate.Emergency) { e.Reason = "" }),
			want:   gate.Wait, codes: waived,
		},
		{
			name:   "an emergency on an older head is none on this one",
			differ: in(func(_ *gate.Snapshot, _ *gate.Policy, e *gate.Emergency) { e.Head = older }),
			want:   gate.Wait, codes: waived,
		},
		{
			name: "the author declares none",
			differ: in(func(_ *gate.Snapshot, p *gate.Policy, e *gate.Emergency) {
				e.By, p.Emergency.By.People = "Carol", []string{"carol"}
			}),
			want: gate.Wait, codes: waived,
		},
		{
			name:   "whoever wrote a commit declares none",
			differ: in(func(s *gate.Snapshot, _ *gate.Policy, _ *gate.Emergency) { s.Commits[0].Committer = "erin" }),
			want:   gate.Wait, codes: waived,
		},
		{
			name:   "whoever pushed the head declares none",
			differ: in(func(s *gate.Snapshot, _ *gate.Policy, _ *gate.Emergency) { s.Pusher, s.PusherRead = "erin", ref.Yes }),
			want:   gate.Wait, codes: waived,
		},
		{
			name:   "Slipway declares none",
			differ: in(func(_ *gate.Snapshot, p *gate.Policy, _ *gate.Emergency) { p.Bot = "erin" }),
			want:   gate.Wait, codes: waived,
		},
		{
			name:   "without the commits nobody knows whether who declares it wrote them",
			differ: in(func(s *gate.Snapshot, _ *gate.Policy, _ *gate.Emergency) { s.CommitsRead = ref.Unknown }),
			want:   gate.Wait, codes: []gate.Code{gate.CodeFreeze, gate.CodeUnknown},
		},
	})
}

func TestAWaiverShows(t *testing.T) {
	s, p := ready(), policy()
	burning(freezes(window(now.Add(time.Hour))), demand(gate.Demand{Name: "security", From: gate.Who{People: []string{"paula"}}}))(&s, &p)
	v := gate.Evaluate(s, p, now)
	if v.Outcome != gate.Merge || !v.Waived || !v.Recheck.IsZero() {
		t.Fatalf("%s, waived %v, recheck %v: %v", v.Outcome, v.Waived, v.Recheck, v.Reasons)
	}
	if r := requirement(t, v, "freeze:night"); r.State != gate.Waived || r.Says != "the freeze night is on: nobody is up, until 2026-03-01 13:00 UTC" {
		t.Errorf("the freeze is %+v", r)
	}
	if r := requirement(t, v, "demand:security"); r.State != gate.Waived {
		t.Errorf("the demand is %+v", r)
	}
	if r := requirement(t, v, "emergency"); r.State != gate.NotNeeded || r.Says != "erin: it burns" {
		t.Errorf("the emergency is %+v", r)
	}
	if _, text := v.Status(); text != "2 of 2 required checks are green, 2 approvals count, and an emergency waives the rest" {
		t.Errorf("the status says %q", text)
	}
	s.Emergency.Reason = ""
	v = gate.Evaluate(s, p, now)
	if r := requirement(t, v, "emergency"); v.Waived || r.Says != "it does not count: erin gave no reason" {
		t.Errorf("waived %v by %+v", v.Waived, r)
	}
}

func requirement(t *testing.T, v gate.Verdict, key string) gate.Requirement {
	t.Helper()
	for _, r := range v.Requirements {
		if r.Key == key {
			return r
		}
	}
	t.Fatalf("no requirement %q among %+v", key, v.Requirements)
	return gate.Requirement{}
}
