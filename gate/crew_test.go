package gate_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipway/gate"
	"slipway/internal/ref"
)

// crewed has builder-lite-0 open the pull request, in an attempt that ran m0
// and registered its head. What more is said of others goes before what is
// declared of them.
func crewed(more map[string]gate.Principal, differ ...func(*gate.Snapshot, *gate.Policy)) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, p *gate.Policy) {
		s.Pull.Author = "builder-lite-0"
		for i := range s.Commits {
			s.Commits[i].Author, s.Commits[i].Committer = "builder-lite-0", "builder-lite-0"
		}
		s.Crew = gate.Crew{Read: ref.Yes, Registered: ref.Yes, Members: map[string]gate.Principal{"builder-lite-0": agent("m0", "acme", "builder-lite")}}
		for who, is := range more {
			s.Crew.Members[who] = is
		}
		for _, d := range differ {
			d(s, p)
		}
	}
}

// intruded has builder-lite-0 push the head of a pull request that a person
// opened and is named as the author of.
func intruded(differ ...func(*gate.Snapshot, *gate.Policy)) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, p *gate.Policy) {
		s.Crew = gate.Crew{Read: ref.Yes, Registered: ref.No, Members: map[string]gate.Principal{"builder-lite-0": agent("", "acme", "builder-lite")}}
		s.Pusher, s.PusherRead = "Builder-Lite-0", ref.Yes
		for _, d := range differ {
			d(s, p)
		}
	}
}

// reviewed has others than alice and bob approve.
func reviewed(by ...string) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, _ *gate.Policy) {
		s.Reviews = nil
		for i, who := range by {
			s.Reviews = append(s.Reviews, approval(int64(i+1), who))
		}
	}
}

func reviewer(model string) gate.Principal { return agent(model, "acme", "reviewer-lite") }

func TestM4AReviewersModelIsThatOfItsAttempt(t *testing.T) {
	short := []gate.Code{gate.CodeApprovals}
	two := reviewed("reviewer-lite-0", "reviewer-lite-1")
	judge(t, []situation{
		{
			name:   "two coordinates whose attempts ran two models are two",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1"), "reviewer-lite-1": reviewer("m2")}, two),
			want:   gate.Merge,
		},
		{
			name:   "two whose attempts ran one model are one",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1"), "reviewer-lite-1": reviewer("M1")}, two),
			want:   gate.Wait, codes: short, says: "1 of 2 approvals on aaaaaaaaaaaa; not counted: reviewer-lite-1 (runs the same model as reviewer-lite-0)",
		},
		{
			name: "a third of another model makes up for it",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1"), "reviewer-lite-1": reviewer("m1"), "reviewer-lite-2": reviewer("m2")},
				reviewed("reviewer-lite-0", "reviewer-lite-1", "reviewer-lite-2")),
			want: gate.Merge,
		},
		{
			name:   "the model of the author's attempt never counts",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m0"), "reviewer-lite-1": reviewer("m2")}, two),
			want:   gate.Wait, codes: short, says: "reviewer-lite-0 (runs the model of builder-lite-0, who wrote part of it)",
		},
		{
			name:   "a review that no attempt stands behind does not count",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer(""), "reviewer-lite-1": reviewer("m2")}, two),
			want:   gate.Wait, codes: short, says: "reviewer-lite-0 (is of a pool, and no attempt of its own tells its model)",
		},
		{
			name: "beside an author whose attempts tell no model no agent counts",
			differ: crewed(map[string]gate.Principal{"builder-lite-0": agent("", "acme", "builder-lite"), "reviewer-lite-0": reviewer("m1")},
				reviewed("alice", "reviewer-lite-0")),
			want: gate.Wait, codes: short, says: "reviewer-lite-0 (is an agent, and the model of builder-lite-0, who wrote part of it, is not known)",
		},
		{
			name:   "and persons do",
			differ: crewed(map[string]gate.Principal{"builder-lite-0": agent("", "acme", "builder-lite")}),
			want:   gate.Merge,
		},
		{
			name: "the attempt goes before what is declared of its login",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1"), "reviewer-lite-1": reviewer("m1")}, two, func(_ *gate.Snapshot, p *gate.Policy) {
				declare(p, map[string]gate.Principal{"reviewer-lite-0": agent("m8", "x", ""), "reviewer-lite-1": {Kind: gate.KindPerson}})
			}),
			want: gate.Wait, codes: short, says: "reviewer-lite-1 (runs the same model as reviewer-lite-0)",
		},
		{
			name: "a coordinate is an agent whatever team it is in, and whatever it is called",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": {Kind: gate.KindPerson, Model: "m1"}, "reviewer-lite-1": {Model: "m1"}}, two, func(s *gate.Snapshot, p *gate.Policy) {
				p.PeopleTeams, s.Teams = []string{"acme/people"}, map[string][]string{"acme/people": {"reviewer-lite-1"}}
			}),
			want: gate.Wait, codes: short, says: "1 of 2",
		},
		{
			name: "its pool can be chosen",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1"), "reviewer-lite-1": agent("m2", "acme", "reviewer-heavy")}, two, func(_ *gate.Snapshot, p *gate.Policy) {
				p.Approvers = gate.Who{Pools: []string{"reviewer-lite"}}
			}),
			want: gate.Wait, codes: short, says: "reviewer-lite-1 (is not among the approvers)",
		},
		{
			name: "operators that count once are those of the pools",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1"), "reviewer-lite-1": reviewer("m2")}, two, func(_ *gate.Snapshot, p *gate.Policy) {
				p.OperatorOnce = true
			}),
			want: gate.Wait, codes: short, says: "has the operator of reviewer-lite-0",
		},
		{
			name: "a login is a coordinate's in whatever case it is written",
			differ: crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1"), "reviewer-lite-1": reviewer("m1")},
				reviewed("Reviewer-Lite-0", "REVIEWER-LITE-1")),
			want: gate.Wait, codes: short, says: "1 of 2",
		},
		{
			name: "without pools nothing that is said of any counts",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Crew.Members = map[string]gate.Principal{"alice": reviewer("m1"), "bob": reviewer("m1"), "carol": agent("", "", "")}
			},
			want: gate.Merge,
		},
	})
}

func TestW2AnUnregisteredHeadBlocks(t *testing.T) {
	blocked := []gate.Code{gate.CodeUnregistered}
	is := func(f ref.Fact) func(*gate.Snapshot, *gate.Policy) {
		return func(s *gate.Snapshot, _ *gate.Policy) { s.Crew.Registered = f }
	}
	judge(t, []situation{
		{name: "a head that an attempt of its author registered merges", differ: crewed(nil), want: gate.Merge},
		{
			name: "one that none did is blocked, though two persons approved it", differ: crewed(nil, is(ref.No)),
			want: gate.Block, codes: blocked, says: "the head aaaaaaaaaaaa was not registered by an attempt of builder-lite-0", who: "builder-lite-0,operator",
		},
		{
			name: "one of which that is not known waits", differ: crewed(nil, is(ref.Unknown)),
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "whether its head is that of an attempt of builder-lite-0 could not be read", who: "slipway",
		},
		{
			name: "an author of no pool registers nothing",
			differ: crewed(nil, is(ref.No), func(s *gate.Snapshot, _ *gate.Policy) {
				delete(s.Crew.Members, "builder-lite-0")
				s.Pull.Author = "carol"
				for i := range s.Commits {
					s.Commits[i].Author, s.Commits[i].Committer = "carol", "carol"
				}
			}),
			want: gate.Merge,
		},
		{
			name: "one that a coordinate pushed to a person's is blocked, though two persons approved it", differ: intruded(is(ref.No)),
			want: gate.Block, codes: blocked, says: "the head aaaaaaaaaaaa was pushed by Builder-Lite-0, and was not registered by an attempt", who: "author",
		},
		{
			name: "so it is whoever is named as the author of its commits",
			differ: intruded(is(ref.No), func(s *gate.Snapshot, _ *gate.Policy) {
				for i := range s.Commits {
					s.Commits[i].Author, s.Commits[i].Committer = "builder-lite-0", "carol"
				}
			}),
			want: gate.Block, codes: blocked,
		},
		{
			name: "one of which it is not known whether an attempt registered it waits", differ: intruded(is(ref.Unknown)),
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "whether its head is that of an attempt of Builder-Lite-0 could not be read", who: "slipway",
		},
		{name: "one that an attempt registered merges, whoever opened it", differ: intruded(is(ref.Yes)), want: gate.Merge},
		{
			name:   "who pushed it, and was not read, is nobody",
			differ: intruded(is(ref.No), func(s *gate.Snapshot, _ *gate.Policy) { s.PusherRead = ref.Unknown }),
			want:   gate.Merge,
		},
		{
			name:   "a person's push to a person's registers nothing",
			differ: intruded(is(ref.No), func(s *gate.Snapshot, _ *gate.Policy) { s.Pusher = "carol" }),
			want:   gate.Merge,
		},
		{
			name: "a coordinate's push to another coordinate's counts as an attempt of the author's does",
			differ: crewed(map[string]gate.Principal{"builder-lite-1": agent("m5", "acme", "builder-lite")}, func(s *gate.Snapshot, _ *gate.Policy) {
				s.Pusher, s.PusherRead = "builder-lite-1", ref.Yes
			}),
			want: gate.Merge,
		},
		{
			name: "an emergency waives nothing of a coordinate's push",
			differ: intruded(is(ref.No), func(s *gate.Snapshot, p *gate.Policy) {
				burning()(s, p)
				p.Emergency.Waives = append(p.Emergency.Waives, "registered")
				s.Emergency.Head = s.Pull.Head
			}),
			want: gate.Block, codes: blocked,
		},
		{
			name: "an emergency waives none of it",
			differ: crewed(nil, is(ref.No), func(s *gate.Snapshot, p *gate.Policy) {
				burning()(s, p)
				p.Emergency.Waives = append(p.Emergency.Waives, "registered")
				s.Emergency.Head = s.Pull.Head
			}),
			want: gate.Block, codes: blocked,
		},
		{
			name: "who takes part and could not be read waits", differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Crew.Read = ref.Unknown },
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "who of the pools takes part could not be read",
		},
		{
			name: "a snapshot that says nothing of it waits", differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Crew = gate.Crew{} },
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown},
		},
	})
}

func TestAnApprovalTellsItsModel(t *testing.T) {
	s, p := ready(), policy()
	crewed(map[string]gate.Principal{"reviewer-lite-0": reviewer("m1")}, reviewed("alice", "reviewer-lite-0"))(&s, &p)
	v := gate.Evaluate(s, p, now)
	want := []gate.Approval{{Login: "alice", ReviewID: 1, Commit: head, Kind: gate.KindPerson}, {Login: "reviewer-lite-0", ReviewID: 2, Commit: head, Kind: gate.KindAgent, Model: "m1"}}
	if !reflect.DeepEqual(v.Approvals, want) {
		t.Errorf("approvals %+v, want %+v", v.Approvals, want)
	}
	if got := requirement(t, v, "approvals").Says; got != "alice, reviewer-lite-0 (m1)" {
		t.Errorf("it says %q", got)
	}
	if got := requirement(t, v, "registered"); got.State != gate.Met || got.Says != "registered by an attempt of builder-lite-0" {
		t.Errorf("registered: %+v", got)
	}
}

func TestActsOfACrew(t *testing.T) {
	said := func(v gate.Verdict) string {
		var all []string
		for _, a := range v.Acts {
			all = append(all, a.Do+" by "+strings.Join(a.Who, ","))
		}
		return strings.Join(all, "; ")
	}
	idle := map[string]gate.Principal{"reviewer-lite-0": reviewer(""), "reviewer-lite-1": reviewer("")}
	asked := func(s *gate.Snapshot, _ *gate.Policy) {
		s.Approvers, s.ApproversRead = []string{"reviewer-lite-0", "reviewer-lite-1"}, ref.Yes
	}
	rows := []struct {
		name   string
		differ func(*gate.Snapshot, *gate.Policy)
		want   string
	}{
		{
			"an unregistered head is to be registered, by whose it is or whoever looks after it",
			crewed(nil, func(s *gate.Snapshot, _ *gate.Policy) { s.Crew.Registered = ref.No }),
			"register aaaaaaaaaaaa by a live attempt by builder-lite-0,operator",
		},
		{
			"a coordinate that has not reviewed yet may do so, in an attempt of another model",
			crewed(idle, reviewed(), asked),
			"approve aaaaaaaaaaaa by reviewer-lite-0; approve aaaaaaaaaaaa by reviewer-lite-1",
		},
		{
			"one that approved in no attempt is not asked for the same again",
			crewed(idle, reviewed("reviewer-lite-0"), asked),
			"let more people approve it, or declare them in identities (slipway.yaml) by operator; approve aaaaaaaaaaaa by reviewer-lite-1",
		},
		{
			"what a coordinate pushed to a person's is to be pushed by somebody else",
			intruded(func(s *gate.Snapshot, _ *gate.Policy) {
				s.Approvers, s.ApproversRead = []string{"alice", "bob"}, ref.Yes
			}),
			"push another head than Builder-Lite-0's by author; approve the new head by alice,bob",
		},
		{
			"a new head is to be registered anew",
			crewed(nil, func(s *gate.Snapshot, _ *gate.Policy) {
				s.Pull.Mergeable = ref.No
				s.Approvers, s.ApproversRead = []string{"alice", "bob"}, ref.Yes
			}),
			"rebase onto main by author; register the new head by a live attempt by builder-lite-0; approve the new head by alice,bob",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s, p := ready(), policy()
			row.differ(&s, &p)
			if got := said(gate.Evaluate(s, p, now)); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// TestASnapshotFromBeforeThePoolsIsJudgedAsItWas: a replay over what was kept
// before there were any must not find that a fact is missing everywhere.
func TestASnapshotFromBeforeThePoolsIsJudgedAsItWas(t *testing.T) {
	kept, err := json.Marshal(ready())
	if err != nil {
		t.Fatal(err)
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(kept, &parts); err != nil || parts["Crew"] == nil {
		t.Fatalf("a kept snapshot has no crew (%v): %s", err, kept)
	}
	delete(parts, "Crew")
	old, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name string
		body string
		want gate.Crew
	}{
		{"one without a crew had none", string(old), gate.Crew{Read: ref.No}},
		{"one whose crew was not read stays so", `{"Crew":{"read":"unknown","registered":"unknown"}}`, gate.Crew{}},
		{"one with a crew keeps it", `{"Crew":{"read":"yes","members":{"builder-lite-0":{"Kind":"agent","Model":"m0"}},"registered":"no"}}`,
			gate.Crew{Read: ref.Yes, Registered: ref.No, Members: map[string]gate.Principal{"builder-lite-0": {Kind: gate.KindAgent, Model: "m0"}}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := gate.Snapshot{Crew: gate.Crew{Read: ref.Yes}}
			if err := json.Unmarshal([]byte(row.body), &s); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(s.Crew, row.want) {
				t.Errorf("crew %+v, want %+v", s.Crew, row.want)
			}
		})
	}
	var s gate.Snapshot
	if err := json.Unmarshal(old, &s); err != nil {
		t.Fatal(err)
	}
	if v := gate.Evaluate(s, policy(), now); v.Outcome != gate.Merge {
		t.Errorf("%s: %v", v.Outcome, v.Reasons)
	}
}

// crew draws who of those there are is of a pool.
func crew(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
	s.Crew = gate.Crew{Read: pick(t, "crew read", facts), Registered: pick(t, "registered", facts), Members: map[string]gate.Principal{}}
	for _, who := range []string{"alice", "bob", "carol", "dave"} {
		if rapid.Bool().Draw(t, who+" is a member") {
			s.Crew.Members[who] = gate.Principal{Kind: pick(t, "kind", []gate.Kind{gate.KindAgent, gate.KindPerson, gate.KindUnknown}),
				Model: pick(t, "model", []string{"m1", "M1", "m2", ""}), Operator: pick(t, "operator", []string{"o1", "o2", ""}), Pool: "red"}
		}
	}
}

func member(s *gate.Snapshot, who string) bool {
	_, is := s.Crew.Members[strings.ToLower(who)]
	return is && s.Crew.Read == ref.Yes
}

// crews says whether a coordinate opened it or is known to have pushed its head.
func crews(s *gate.Snapshot) bool {
	return member(s, s.Pull.Author) || s.PusherRead == ref.Yes && member(s, s.Pusher)
}
