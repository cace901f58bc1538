package gate_test

import (
	"testing"

	"slipway/gate"
	"slipway/internal/ref"
)

// declare changes what is declared of people.
func declare(p *gate.Policy, who map[string]gate.Principal) {
	for login, principal := range who {
		p.Principals[login] = principal
	}
}

// agents makes alice and bob agents, as they are given.
func agents(alice, bob gate.Principal, more ...func(*gate.Snapshot, *gate.Policy)) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, p *gate.Policy) {
		declare(p, map[string]gate.Principal{"alice": alice, "bob": bob})
		for _, m := range more {
			m(s, p)
		}
	}
}

func authored(by gate.Principal) func(*gate.Snapshot, *gate.Policy) {
	return func(_ *gate.Snapshot, p *gate.Policy) { p.Principals["carol"] = by }
}

func operatorOnce(_ *gate.Snapshot, p *gate.Policy) { p.OperatorOnce = true }

func TestIndependence(t *testing.T) {
	short := []gate.Code{gate.CodeApprovals}
	person := gate.Principal{Kind: gate.KindPerson}
	judge(t, []situation{
		{
			name:   "two agents with two models are independent",
			differ: agents(agent("m1", "acme", ""), agent("m2", "acme", "")),
			want:   gate.Merge,
		},
		{
			name:   "two agents with one model are one",
			differ: agents(agent("m1", "acme", ""), agent("m1", "other", "")),
			want:   gate.Wait, codes: short, says: "1 of 2 approvals on aaaaaaaaaaaa; not counted: bob (runs the same model as alice)",
		},
		{
			name:   "models differ by more than case",
			differ: agents(agent("m1", "acme", ""), agent("M1", "other", "")),
			want:   gate.Wait, codes: short, says: "1 of 2",
		},
		{
			name:   "a person and an agent are independent",
			differ: agents(person, agent("m1", "acme", "")),
			want:   gate.Merge,
		},
		{
			name:   "an agent without a model does not count",
			differ: agents(person, agent("", "acme", "")),
			want:   gate.Wait, codes: short, says: "bob (is an agent whose model is not declared)",
		},
		{
			name:   "an agent without an operator counts where operators do not matter",
			differ: agents(person, agent("m1", "", "")),
			want:   gate.Merge,
		},
		{
			name:   "an agent without an operator does not count where operators count once",
			differ: agents(person, agent("m1", "", ""), operatorOnce),
			want:   gate.Wait, codes: short, says: "bob (is an agent whose operator is not declared)",
		},
		{
			name:   "two agents of one operator count once where so configured",
			differ: agents(agent("m1", "acme", ""), agent("m2", "Acme", ""), operatorOnce),
			want:   gate.Wait, codes: short, says: "bob (has the operator of alice)",
		},
		{
			name:   "two agents of two operators count where operators count once",
			differ: agents(agent("m1", "acme", ""), agent("m2", "other", ""), operatorOnce),
			want:   gate.Merge,
		},
		{
			name:   "operators that count once do not concern persons",
			differ: operatorOnce,
			want:   gate.Merge,
		},
		{
			name: "where models and operators cross, as many count as can",
			differ: agents(agent("m1", "o1", ""), agent("m1", "o2", ""), operatorOnce, func(s *gate.Snapshot, p *gate.Policy) {
				p.Principals["dave"] = agent("m2", "o1", "")
				s.Reviews = append(s.Reviews, approval(3, "dave"))
			}),
			want: gate.Merge,
		},
		{
			name: "three agents of two models are two",
			differ: agents(agent("m1", "o1", ""), agent("m2", "o1", ""), func(s *gate.Snapshot, p *gate.Policy) {
				p.Approvals = 3
				p.Principals["dave"] = agent("m2", "o2", "")
				s.Reviews = append(s.Reviews, approval(3, "dave"))
			}),
			want: gate.Wait, codes: short, says: "2 of 3 approvals on aaaaaaaaaaaa; not counted: dave (runs the same model as bob)",
		},
		{
			name: "somebody who is neither person nor agent does not count",
			differ: func(_ *gate.Snapshot, p *gate.Policy) {
				delete(p.Principals, "bob")
			},
			want: gate.Wait, codes: short, says: "bob is declared neither a person nor an agent (identities in slipway.yaml)",
		},
		{
			name: "a principal whose kind is not declared does not count, whatever else is",
			differ: func(_ *gate.Snapshot, p *gate.Policy) {
				p.Principals["bob"] = gate.Principal{Model: "m1", Operator: "acme"}
			},
			want: gate.Wait, codes: short, says: "declared neither",
		},
		{
			name: "a member of a team of persons is a person",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				delete(p.Principals, "bob")
				p.PeopleTeams, s.Teams = []string{"Acme/People"}, map[string][]string{"acme/people": {"BOB"}}
			},
			want: gate.Merge,
		},
		{
			name: "a member of a team of persons who is declared an agent is an agent",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Principals["bob"] = agent("", "acme", "")
				p.PeopleTeams, s.Teams = []string{"acme/people"}, map[string][]string{"acme/people": {"bob"}}
			},
			want: gate.Wait, codes: short, says: "model is not declared",
		},
		{
			name: "whoever is in no team of persons is no person by it",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				delete(p.Principals, "bob")
				p.PeopleTeams, s.Teams = []string{"acme/people"}, map[string][]string{"acme/people": {"dave"}}
			},
			want: gate.Wait, codes: short, says: "declared neither",
		},
		{
			name: "a team of persons that was not read leaves it unknown, and is named",
			differ: func(_ *gate.Snapshot, p *gate.Policy) {
				delete(p.Principals, "bob")
				p.PeopleTeams = []string{"acme/people"}
			},
			want: gate.Wait, codes: []gate.Code{gate.CodeApprovals, gate.CodeUnknown}, says: "bob (unknown whether a person)",
		},
		{
			name: "a team of persons that was not read does not matter to whoever is in another",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				delete(p.Principals, "bob")
				p.PeopleTeams, s.Teams = []string{"acme/more", "acme/people"}, map[string][]string{"acme/people": {"bob"}}
			},
			want: gate.Merge,
		},
	})
}

func TestIndependenceOfTheAuthor(t *testing.T) {
	short := []gate.Code{gate.CodeApprovals}
	two := func(more ...func(*gate.Snapshot, *gate.Policy)) func(*gate.Snapshot, *gate.Policy) {
		return agents(agent("m1", "acme", ""), agent("m2", "acme", ""), more...)
	}
	judge(t, []situation{
		{
			name:   "agents may approve what an agent with a third model wrote",
			differ: two(authored(agent("m3", "acme", ""))),
			want:   gate.Merge,
		},
		{
			name:   "an agent that runs the author's model does not count",
			differ: two(authored(agent("M2", "other", ""))),
			want:   gate.Wait, codes: short, says: "bob (runs the model of carol, who wrote part of it)",
		},
		{
			name:   "where the author is an agent without a model, no agent counts",
			differ: two(authored(agent("", "acme", ""))),
			want:   gate.Wait, codes: short, says: "0 of 2",
		},
		{
			name:   "where the author is neither person nor agent, no agent counts",
			differ: two(authored(gate.Principal{})),
			want:   gate.Wait, codes: short, says: "alice (is an agent, and carol is declared neither a person nor an agent)",
		},
		{
			name: "where the author's team was not read, no agent counts, and the team is named",
			differ: two(authored(gate.Principal{}), func(_ *gate.Snapshot, p *gate.Policy) {
				p.PeopleTeams = []string{"acme/people"}
			}),
			want: gate.Wait, codes: []gate.Code{gate.CodeApprovals, gate.CodeUnknown}, says: "0 of 2",
		},
		{
			name:   "persons may approve what nobody knows the kind of wrote",
			differ: authored(gate.Principal{}),
			want:   gate.Merge,
		},
		{
			name:   "persons may approve what an agent without a model wrote",
			differ: authored(agent("", "", "")),
			want:   gate.Merge,
		},
		{
			name: "an agent that runs the model of another agent who wrote a commit does not count",
			differ: two(func(s *gate.Snapshot, p *gate.Policy) {
				s.Commits[0].Author = "Builder"
				p.Principals["builder"] = agent("m1", "acme", "")
			}),
			want: gate.Wait, codes: short, says: "alice (runs the model of builder, who wrote part of it)",
		},
		{
			name: "a commit by an agent without a model keeps agents from counting",
			differ: two(func(s *gate.Snapshot, p *gate.Policy) {
				s.Commits[0].CoAuthors = []gate.CoAuthor{{Login: "builder"}}
				p.Principals["builder"] = agent("", "acme", "")
			}),
			want: gate.Wait, codes: short, says: "the model of builder, who wrote part of it, is not declared",
		},
		{
			name:   "a commit by somebody who is neither person nor agent keeps agents from counting",
			differ: two(func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].Author = "Stranger" }),
			want:   gate.Wait, codes: short, says: "alice (is an agent, and stranger, who wrote part of it, is declared neither a person nor an agent)",
		},
		{
			name:   "a co-author who is neither person nor agent does as well",
			differ: two(func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].CoAuthors = []gate.CoAuthor{{Login: "stranger"}} }),
			want:   gate.Wait, codes: short, says: "0 of 2",
		},
		{
			name: "where the team of a commit's author was not read, no agent counts, and the team is named",
			differ: two(func(s *gate.Snapshot, p *gate.Policy) {
				s.Commits[0].Committer, p.PeopleTeams = "stranger", []string{"acme/people"}
			}),
			want: gate.Wait, codes: []gate.Code{gate.CodeApprovals, gate.CodeUnknown}, says: "0 of 2",
		},
		{
			name: "an agent that runs the model of the agent who pushed the head does not count",
			differ: two(func(s *gate.Snapshot, p *gate.Policy) {
				s.Pusher, s.PusherRead, p.Principals["builder"] = "Builder", ref.Yes, agent("m1", "acme", "")
			}),
			want: gate.Wait, codes: short, says: "alice (runs the model of builder, who pushed its head)",
		},
		{
			name:   "what Slipway itself pushed keeps no agent from counting",
			differ: two(func(s *gate.Snapshot, _ *gate.Policy) { s.Pusher, s.PusherRead = "slipway-bot", ref.Yes }),
			want:   gate.Merge,
		},
		{
			name:   "persons may approve what a stranger wrote a commit of",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].Author = "stranger" },
			want:   gate.Merge,
		},
		{
			name:   "an agent's approval, or two from one model, does not satisfy the gate beside no person",
			differ: agents(agent("m1", "acme", ""), agent("m1", "acme", "")),
			want:   gate.Wait, codes: short, says: "1 of 2",
		},
	})
}

func TestWhoMayApprove(t *testing.T) {
	short := []gate.Code{gate.CodeApprovals}
	unsure := []gate.Code{gate.CodeApprovals, gate.CodeUnknown}
	judge(t, []situation{
		{
			name:   "whoever pushed the head does not approve it",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pusher, s.PusherRead = "Bob", ref.Yes },
			want:   gate.Wait, codes: short, says: "bob (pushed its head)",
		},
		{
			name:   "a pusher who approved nothing takes nothing away",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pusher, s.PusherRead = "carol", ref.Yes },
			want:   gate.Merge,
		},
		{
			name:   "a pusher that the forge does not tell excludes nobody but the author",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pusher, s.PusherRead = "bob", ref.Unknown },
			want:   gate.Merge,
		},
		{
			name:   "an approval before the base was changed does not count",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Retargeted = now },
			want:   gate.Wait, codes: short, says: "alice (given before the base was changed)",
		},
		{
			name:   "an approval in the very second in which the base was changed does not count",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Retargeted = s.Reviews[0].At },
			want:   gate.Wait, codes: short, says: "0 of 2",
		},
		{
			name: "an approval after the base was changed counts",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Retargeted = s.Reviews[0].At.Add(-1e9)
			},
			want: gate.Merge,
		},
		{
			name: "an approval of unknown time does not count once the base was changed",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Retargeted = s.Reviews[0].At.Add(-1e9)
				s.Reviews[1].At = now.AddDate(-3000, 0, 0)
			},
			want: gate.Wait, codes: short, says: "bob (given before the base was changed)",
		},
		{
			name:   "the policy's approvers alone count",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Approvers = gate.Who{People: []string{"ALICE", "dave"}} },
			want:   gate.Wait, codes: short, says: "bob (is not among the approvers)",
		},
		{
			name:   "the policy's approvers do count",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Approvers = gate.Who{People: []string{"alice", "bob"}} },
			want:   gate.Merge,
		},
		{
			name: "approvers are chosen by team",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Approvers, s.Teams = gate.Who{Teams: []string{"Acme/Core"}}, map[string][]string{"acme/core": {"alice", "Bob"}}
			},
			want: gate.Merge,
		},
		{
			name: "a team of approvers that was not read leaves it unknown, and is named",
			differ: func(_ *gate.Snapshot, p *gate.Policy) {
				p.Approvers = gate.Who{People: []string{"alice"}, Teams: []string{"acme/core"}}
			},
			want: gate.Wait, codes: unsure, says: "bob (unknown whether among the approvers)",
		},
		{
			name: "agents are chosen by pool",
			differ: agents(agent("m1", "", "red"), agent("m2", "", "red"), func(_ *gate.Snapshot, p *gate.Policy) {
				p.Approvers = gate.Who{Pools: []string{"red"}}
			}),
			want: gate.Merge,
		},
		{
			name: "an agent of another pool is not chosen",
			differ: agents(agent("m1", "", "red"), agent("m2", "", "blue"), func(_ *gate.Snapshot, p *gate.Policy) {
				p.Approvers = gate.Who{Pools: []string{"red"}}
			}),
			want: gate.Wait, codes: short, says: "bob (is not among the approvers)",
		},
		{
			name: "an agent of no declared pool is not chosen",
			differ: agents(agent("m1", "", "red"), agent("m2", "", ""), func(_ *gate.Snapshot, p *gate.Policy) {
				p.Approvers = gate.Who{Pools: []string{"red"}}
			}),
			want: gate.Wait, codes: short, says: "bob (is an agent of no declared pool)",
		},
		{
			name: "a person is in no pool",
			differ: func(_ *gate.Snapshot, p *gate.Policy) {
				p.Principals["bob"] = gate.Principal{Kind: gate.KindPerson, Pool: "red"}
				p.Approvers = gate.Who{People: []string{"alice"}, Pools: []string{"red"}}
			},
			want: gate.Wait, codes: short, says: "bob (is not among the approvers)",
		},
		{
			name:   "the excluded do not count",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Excluded = gate.Who{People: []string{"Bob"}} },
			want:   gate.Wait, codes: short, says: "bob (is excluded)",
		},
		{
			name: "the excluded do not count though they are among the approvers",
			differ: func(_ *gate.Snapshot, p *gate.Policy) {
				p.Approvers, p.Excluded = gate.Who{People: []string{"alice", "bob"}}, gate.Who{People: []string{"bob"}}
			},
			want: gate.Wait, codes: short, says: "bob (is excluded)",
		},
		{
			name:   "an excluded team that was not read leaves it unknown, and is named",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Excluded = gate.Who{Teams: []string{"acme/new"}} },
			want:   gate.Wait, codes: unsure, says: "alice (unknown whether excluded)",
		},
		{
			name: "members of an excluded team do not count",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Excluded, s.Teams = gate.Who{Teams: []string{"acme/new"}}, map[string][]string{"acme/new": {"bob"}}
			},
			want: gate.Wait, codes: short, says: "bob (is excluded)",
		},
		{
			name: "an agent whose pool is not declared may be of the excluded one",
			differ: agents(agent("m1", "", "blue"), agent("m2", "", ""), func(_ *gate.Snapshot, p *gate.Policy) {
				p.Excluded = gate.Who{Pools: []string{"red"}}
			}),
			want: gate.Wait, codes: short, says: "bob (is an agent of no declared pool)",
		},
		{
			name: "a change request of a vetoer blocks, though their approval would not count",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Vetoers = gate.Who{People: []string{"Vera"}}
				s.Reviews = append(s.Reviews, with(review(9, "vera", gate.ReviewChangesRequested), func(r *gate.Review) { r.Eligible, r.Official = ref.No, ref.No }))
			},
			want: gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "vera asks for changes", who: "vera",
		},
		{
			name: "a change request of whoever may be a vetoer blocks",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Vetoers = gate.Who{Teams: []string{"acme/vetoers"}}
				s.Reviews = append(s.Reviews, with(review(9, "vera", gate.ReviewChangesRequested), func(r *gate.Review) { r.Eligible = ref.No }))
			},
			want: gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "whether that counts could not be read",
		},
		{
			name: "vetoers do not take the veto from those who may approve",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Vetoers = gate.Who{People: []string{"vera"}}
				s.Reviews = append(s.Reviews, review(9, "dave", gate.ReviewChangesRequested))
			},
			want: gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "dave",
		},
		{
			name: "a vetoer's withdrawn change request blocks nothing",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Vetoers = gate.Who{People: []string{"vera"}}
				s.Reviews = append(s.Reviews, review(9, "vera", gate.ReviewDismissed))
			},
			want: gate.Merge,
		},
	})
}
