package gate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// approvers says who could approve in the forge's eyes.
func approversAre(logins ...string) change {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Approvers, s.ApproversRead = logins, ref.Yes }
}

func noReviews(s *gate.Snapshot, _ *gate.Policy) { s.Reviews = nil }

func security(people ...string) change {
	return demand(gate.Demand{Name: "security", From: gate.Who{People: people}})
}

func told(acts []gate.Act) []string {
	var out []string
	for _, a := range acts {
		out = append(out, fmt.Sprintf("%d of %s: %s [%s]", a.Count, strings.Join(a.Who, ","), a.Do, strings.Join(a.For, ",")))
	}
	return out
}

func TestActs(t *testing.T) {
	for _, row := range []struct {
		name   string
		differ change
		want   []string
	}{
		{"what merges needs no act", func(*gate.Snapshot, *gate.Policy) {}, nil},
		{"what is merged already has none", func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Merged = ref.Yes }, nil},
		{
			"where nobody knows who could approve, the reviewers are asked", noReviews,
			[]string{"2 of reviewers: approve aaaaaaaaaaaa [approvals]"},
		},
		{
			"those who could approve are named, without the author, the bot and whoever has approved",
			all(second(), approversAre("alice", "bob", "Carol", "slipway-bot", "dave")),
			[]string{"1 of bob,dave: approve aaaaaaaaaaaa [approvals]"},
		},
		{
			"whoever is excluded, or not declared, is not asked",
			all(second(), approversAre("bob", "dave", "zoe"), func(_ *gate.Snapshot, p *gate.Policy) { p.Excluded = gate.Who{People: []string{"dave"}} }),
			[]string{"1 of bob: approve aaaaaaaaaaaa [approvals]"},
		},
		{
			"two approvals of which one is by security are two, not three",
			all(noReviews, security("dave"), approversAre("alice", "bob", "dave")),
			[]string{"1 of dave: approve aaaaaaaaaaaa [approvals,demand:security]", "1 of alice,bob: approve aaaaaaaaaaaa [approvals]"},
		},
		{
			"two approvals that security alone can give are one act",
			all(noReviews, security("dave", "bob"), approversAre("bob", "dave")),
			[]string{"2 of bob,dave: approve aaaaaaaaaaaa [approvals,demand:security]"},
		},
		{
			"whoever is security and owner meets both with one approval",
			all(security("dave", "erin"), owned(rule("erin", "paula")), approversAre("dave", "erin", "paula")),
			[]string{"1 of erin: approve aaaaaaaaaaaa [demand:security,owners:/app/ @erin @paula]"},
		},
		{
			"where security and owners have nobody in common, both are asked",
			all(security("dave"), owned(rule("paula")), approversAre("dave", "paula")),
			[]string{"1 of dave: approve aaaaaaaaaaaa [demand:security]", "1 of paula: approve aaaaaaaaaaaa [owners:/app/ @paula]"},
		},
		{
			"an agent that would not raise the count is not asked",
			all(second(), approversAre("bob", "dave", "erin"), func(_ *gate.Snapshot, p *gate.Policy) {
				declare(p, map[string]gate.Principal{"alice": agent("m1", "", ""), "bob": agent("m1", "", ""), "dave": agent("m2", "", ""), "erin": {}})
			}),
			[]string{"1 of dave: approve aaaaaaaaaaaa [approvals]"},
		},
		{
			"where nobody who could is left, the operator is asked",
			all(second(), approversAre("alice", "carol")),
			[]string{"1 of operator: let more people approve it, or declare them in identities (slipway.yaml) [approvals]"},
		},
		{
			"whoever has approved and is only not declared is to be declared",
			all(approversAre("alice", "bob"), func(_ *gate.Snapshot, p *gate.Policy) { delete(p.Principals, "bob") }),
			[]string{"1 of operator: declare bob in identities (slipway.yaml) [approvals]"},
		},
		{
			"teams are named where nobody knows who could approve",
			demand(gate.Demand{Name: "security", From: gate.Who{Teams: []string{"acme/sec"}, Pools: []string{"red"}}}),
			[]string{"1 of acme/sec,pool red: approve aaaaaaaaaaaa [demand:security]", "1 of slipway: wait: the members of team acme/sec could not be read [demand:security]"},
		},
		{
			"whoever asks for changes and may approve does both with one act",
			all(second(review(9, "dave", gate.ReviewChangesRequested)), approversAre("bob", "dave")),
			[]string{"1 of dave: approve aaaaaaaaaaaa, which takes the change request back [veto,approvals]"},
		},
		{
			"what only whoever asks for changes could meet is not what another owner could",
			all(second(review(9, "dave", gate.ReviewChangesRequested)), owned(rule("dave"), gate.Ownership{Pattern: "*", Line: 1, Owners: []string{"erin"}}), approversAre("dave", "bob")),
			[]string{
				"1 of dave: approve aaaaaaaaaaaa, which takes the change request back [veto,approvals,owners:/app/ @dave]",
				"1 of operator: let more people approve for owners:* @erin [owners:* @erin]",
			},
		},
		{
			"whoever asks for changes and may not approve withdraws it",
			all(approversAre("alice", "bob"), func(s *gate.Snapshot, p *gate.Policy) {
				p.Vetoers = gate.Who{People: []string{"vera"}}
				s.Reviews = append(s.Reviews, review(9, "vera", gate.ReviewChangesRequested))
			}),
			[]string{"1 of vera: withdraw the change request [veto]"},
		},
		{
			"a failed check is fixed by a push, and the new head wants all approvals",
			all(approversAre("alice", "bob", "dave"), more(status(20, apiContext, gate.StateFailure, "scanner", ""))),
			[]string{`1 of author: push a fix of check "scan" [check:scan]`, "2 of alice,bob,dave: approve the new head [approvals]"},
		},
		{
			"all that needs a push needs one",
			all(more(status(20, apiContext, gate.StateFailure, "scanner", "")), func(s *gate.Snapshot, p *gate.Policy) {
				s.Pull.Mergeable, s.UpToDate, p.UpToDate = ref.No, ref.No, true
			}),
			[]string{`1 of author: rebase onto main, and push a fix of check "scan" [conflict,base,check:scan]`, "2 of reviewers: approve the new head [approvals]"},
		},
		{
			"a request and an emergency are made anew on a new head",
			burning(freezes(window(now.Add(time.Hour))), func(s *gate.Snapshot, p *gate.Policy) {
				s.Pull.Mergeable, p.OnRequest, s.Asked = ref.No, true, &gate.Asked{By: "carol", Head: head}
			}),
			[]string{
				"1 of author: rebase onto main [conflict]", "1 of erin: declare the emergency on the new head [freeze:night]",
				"2 of reviewers: approve the new head [approvals]", "1 of author,reviewers: write /merge when ready [request]",
			},
		},
		{
			"what CI does by itself is waited for",
			all(more(status(20, ciContext, gate.StatePending, "", "/x"))),
			[]string{`1 of ci: wait for check "ci / test (pull_request)" [check:ci / test (pull_request)]`},
		},
		{
			"a check that never came is reported by whom the policy names",
			statuses(ready().Checks.Statuses[0]),
			[]string{`1 of scanner: report check "scan" [check:scan]`},
		},
		{
			"a draft is marked ready, a label removed, a hold lifted",
			all(holds(gate.Hold{By: "bob"}), func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft, s.Pull.Labels = ref.Yes, []string{"hold"} }),
			[]string{
				"1 of author: mark it ready for review [draft]", `1 of whoever set the label: remove the label "hold" [hold]`,
				"1 of bob,operator: lift the hold of bob [hold]",
			},
		},
		{
			"a freeze ends by itself", freezes(window(now.Add(time.Hour))),
			[]string{"1 of time: wait until 2026-03-01 13:00 UTC for the freeze night to end [freeze:night]"},
		},
		{"a frozen branch is the operator's", frozen("x"), []string{"1 of operator: lift the freeze of main [frozen]"}},
		{
			"a closed one is reopened", func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Open = ref.No },
			[]string{"1 of author: reopen it [open]"},
		},
		{
			"a faulty policy is mended on the base", func(_ *gate.Snapshot, p *gate.Policy) { p.Faults = []string{"a", "b"} },
			[]string{"1 of operator: mend the policy on main [policy]"},
		},
		{
			"an unmapped e-mail is added to an account", func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].Author = "" },
			[]string{`1 of author: add the e-mail "carol@acme.example" to an account [identities]`},
		},
		{"a condition is the author's", condition(ref.No, ""), []string{"1 of author: change it so that the condition small holds [condition:small]"}},
		{
			"a line of CODEOWNERS that nobody can meet is the operator's", owned(rule("carol")),
			[]string{"1 of operator: give line 3 of CODEOWNERS (/app/) another owner [owners:/app/ @carol]"},
		},
		{
			"what could not be read is waited for", func(s *gate.Snapshot, _ *gate.Policy) { s.ReviewsRead = ref.Unknown },
			[]string{"1 of slipway: wait: its reviews could not be read [approvals,veto]"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, p := ready(), policy()
			row.differ(&s, &p)
			if got := told(gate.Evaluate(s, p, now).Acts); !slices.Equal(got, row.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
		})
	}
}

func TestRequirementsShowEverythingInOrder(t *testing.T) {
	s, p := whole()
	v := gate.Evaluate(s, p, now)
	var got []string
	for _, r := range v.Requirements {
		got = append(got, fmt.Sprintf("%s|%s|%s", r.Key, r.State, r.Says))
		if r.Title == "" || len(r.Who) > 0 || !r.Since.IsZero() {
			t.Errorf("%+v", r)
		}
	}
	want := []string{
		"open|met|", "draft|met|", "conflict|met|", "base|met|", "linear|met|", "hold|met|", "policy|met|", "identities|met|",
		"check:ci / test (pull_request)|met|green", "check:scan|met|green",
		"check:docs|optional|no changed file is among its paths",
		`check:lint|optional|check "lint" has not come; the nearest that did is "scan"`,
		"approvals|met|alice, bob", "veto|met|", "person|met|approved by alice",
		"demand:security|met|approved by alice", "demand:a person|met|approved by alice",
		"owners|met|", "owners:/app/ @bob|met|approved by bob",
		"condition:small|met|", "freeze:night|met|", "frozen|met|", "request|met|carol asked for it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if v.Outcome != gate.Merge || len(v.Checks) != 2 {
		t.Errorf("%s, %d checks: %v", v.Outcome, len(v.Checks), v.Reasons)
	}
}

func TestARequirementSaysHowItStands(t *testing.T) {
	for _, row := range []struct {
		name   string
		differ change
		key    string
		state  gate.Progress
		says   string
		who    string
	}{
		{"what waits is unmet", second(), "approvals", gate.Unmet, "1 of 2 approvals on aaaaaaaaaaaa", "reviewers"},
		{"what somebody must change is violated", func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.No }, "conflict", gate.Violated, "it does not merge cleanly into main", "author"},
		{"what is not known is unknown", func(s *gate.Snapshot, _ *gate.Policy) { s.ReviewsRead = ref.Unknown }, "veto", gate.Unread, "its reviews could not be read", "slipway"},
		{"approvals without the commits are unknown", func(s *gate.Snapshot, _ *gate.Policy) { s.CommitsRead = ref.Unknown }, "approvals", gate.Unread, "its commits could not be read", "slipway"},
		{
			"what is missing is said before what is not known",
			func(s *gate.Snapshot, _ *gate.Policy) { s.Reviews[1].Eligible = ref.Unknown },
			"approvals", gate.Unmet, "1 of 2 approvals on aaaaaaaaaaaa; not counted: bob (unknown whether allowed)", "reviewers,slipway",
		},
		{"mergeability is not asked of a draft", func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft, s.Pull.Mergeable = ref.Yes, ref.Unknown }, "conflict", gate.NotNeeded, "not asked of a draft", ""},
		{"a demand that does not stand is not needed", demand(gate.Demand{Name: "db", Paths: []string{"db/**"}}), "demand:db", gate.NotNeeded, "not asked of what it changes", ""},
		{
			"those who could approve are named", all(second(), approversAre("dave", "alice", "bob")),
			"approvals", gate.Unmet, "1 of 2 approvals on aaaaaaaaaaaa", "bob,dave",
		},
		{
			"those who could meet a demand are named", all(security("dave", "zoe"), approversAre("dave", "bob")),
			"demand:security", gate.Unmet, "0 of 1 approvals for security", "dave",
		},
		{
			"an optional check that is green is met",
			all(more(status(30, "lint", gate.StateSuccess, "linter", "")), func(_ *gate.Snapshot, p *gate.Policy) {
				p.Checks = append(p.Checks, gate.CheckRule{Context: "lint", Creator: "linter", Optional: true})
			}),
			"check:lint", gate.Met, "green", "",
		},
		{"a base without CODEOWNERS is told", all(owned(), func(s *gate.Snapshot, _ *gate.Policy) { s.OwnedRead = ref.No }), "owners", gate.Met, "main has no CODEOWNERS file", ""},
		{"a change that nobody owns is told", owned(), "owners", gate.Met, "nobody owns what it changes", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, p := ready(), policy()
			row.differ(&s, &p)
			got := requirement(t, gate.Evaluate(s, p, now), row.key)
			if got.State != row.state || got.Says != row.says || strings.Join(got.Who, ",") != row.who {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Each demand can be met by one agent or another, and only some of the choices
// leave four models with four operators.
func TestTheFewestAgentsAreFoundBehindADemand(t *testing.T) {
	s, p := ready(), policy()
	s.Reviews, p.OperatorOnce, p.Approvals = nil, true, 4
	p.Principals = persons("carol")
	declare(&p, map[string]gate.Principal{
		"pia": agent("m2", "o2", ""), "pat": agent("m2", "o1", ""), "pim": agent("m1", "o4", ""), "abe": agent("m3", "o3", ""),
		"ada": agent("m1", "o1", ""), "axl": agent("m1", "o1", ""), "uma": agent("m4", "o2", ""),
	})
	approversAre(crowd...)(&s, &p)
	for i, from := range [][]string{{"pat", "pia"}, {"pim", "pia"}, {"pia", "pat", "abe", "axl", "uma"}} {
		demand(gate.Demand{Name: fmt.Sprint("d", i), From: gate.Who{People: from}})(&s, &p)
	}
	n := 0
	v := gate.Evaluate(s, p, now)
	for _, a := range v.Acts {
		n += a.Count
	}
	if n != 4 {
		t.Errorf("%d approvals are asked for, and four do: %v", n, told(v.Acts))
	}
}
