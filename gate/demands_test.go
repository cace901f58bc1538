package gate_test

import (
	"testing"

	"slipway/gate"
	"slipway/internal/ref"
)

func demand(d gate.Demand, more ...func(*gate.Snapshot, *gate.Policy)) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, p *gate.Policy) {
		p.Demands = append(p.Demands, d)
		for _, m := range more {
			m(s, p)
		}
	}
}

func files(list ...gate.File) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Files = list }
}

func filesUnread(s *gate.Snapshot, _ *gate.Policy) { s.Files, s.FilesRead = nil, ref.Unknown }

func TestDemands(t *testing.T) {
	wanted, unsure := []gate.Code{gate.CodeDemand}, []gate.Code{gate.CodeDemand, gate.CodeUnknown}
	paula := gate.Who{People: []string{"Paula"}}
	byPaula := func(s *gate.Snapshot, _ *gate.Policy) { s.Reviews = append(s.Reviews, approval(3, "paula")) }
	judge(t, []situation{
		{
			name:   "a demand that nobody met waits for those it names",
			differ: demand(gate.Demand{Name: "security", From: paula, Count: 1}),
			want:   gate.Wait, codes: wanted, says: "0 of 1 approvals for security", who: "Paula",
		},
		{
			name:   "a demand that was met asks for no more",
			differ: demand(gate.Demand{Name: "security", From: paula, Count: 1}, byPaula),
			want:   gate.Merge,
		},
		{
			name:   "a demand without a count wants one approval",
			differ: demand(gate.Demand{Name: "security", From: paula}),
			want:   gate.Wait, codes: wanted, says: "0 of 1",
		},
		{
			name: "an approval that does not count meets no demand",
			differ: demand(gate.Demand{Name: "security", From: paula}, func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, with(approval(3, "paula"), func(r *gate.Review) { r.Commit = older }))
			}),
			want: gate.Wait, codes: wanted,
		},
		{
			name:   "two are wanted, and one is one",
			differ: demand(gate.Demand{Name: "security", From: gate.Who{People: []string{"paula", "alice"}}, Count: 2}),
			want:   gate.Wait, codes: wanted, says: "1 of 2 approvals for security",
		},
		{
			name:   "one approval meets two demands",
			differ: demand(gate.Demand{Name: "security", From: paula}, demand(gate.Demand{Name: "money", From: paula}), byPaula),
			want:   gate.Merge,
		},
		{
			name: "an approval that is not among the independent ones meets a demand all the same",
			differ: demand(gate.Demand{Name: "robots", From: gate.Who{Pools: []string{"red"}}}, func(s *gate.Snapshot, p *gate.Policy) {
				p.Principals["dave"], p.Principals["alice"] = agent("m1", "", "red"), agent("m1", "", "blue")
				s.Reviews = append(s.Reviews, approval(3, "dave"), approval(4, "erin"))
			}),
			want: gate.Merge,
		},
		{
			name: "a demand by team is met by a member",
			differ: demand(gate.Demand{Name: "security", From: gate.Who{Teams: []string{"Acme/Sec"}}}, func(s *gate.Snapshot, _ *gate.Policy) {
				s.Teams = map[string][]string{"acme/sec": {"Alice"}}
			}),
			want: gate.Merge,
		},
		{
			name:   "a demand by a team that was not read is unknown, and the team is named",
			differ: demand(gate.Demand{Name: "security", From: gate.Who{Teams: []string{"acme/sec"}}}),
			want:   gate.Wait, codes: unsure, says: "0 of 1", who: "acme/sec",
		},
		{
			name:   "a demand that the author alone could meet can never be met",
			differ: demand(gate.Demand{Name: "security", From: gate.Who{People: []string{"carol"}}}),
			want:   gate.Block, codes: wanted, says: "there are not enough people who could give them", who: "operator",
		},
		{
			name: "a demand for more people than there are can never be met",
			differ: demand(gate.Demand{Name: "security", From: gate.Who{Teams: []string{"acme/sec"}}, Count: 2}, func(s *gate.Snapshot, _ *gate.Policy) {
				s.Teams = map[string][]string{"acme/sec": {"alice", "carol", "slipway-bot"}}
			}),
			want: gate.Block, codes: wanted, says: "1 of 2",
		},
		{
			name:   "a person is wanted, and two persons approved",
			differ: demand(gate.Demand{Name: "a person", Person: true}),
			want:   gate.Merge,
		},
		{
			name:   "a person is wanted, and agents approved",
			differ: demand(gate.Demand{Name: "a person", Person: true}, agents(agent("m1", "", ""), agent("m2", "", ""))),
			want:   gate.Wait, codes: wanted, says: "0 of 1 approvals for a person", who: "dave,erin,paula",
		},
		{
			name: "a person is wanted, and none is declared",
			differ: demand(gate.Demand{Name: "a person", Person: true}, func(_ *gate.Snapshot, p *gate.Policy) {
				p.Principals = map[string]gate.Principal{"alice": agent("m1", "", ""), "bob": agent("m2", "", ""), "carol": agent("m3", "", "")}
			}),
			want: gate.Block, codes: wanted, who: "operator",
		},
		{
			name: "a person of a team is wanted, and an agent of it approved",
			differ: demand(gate.Demand{Name: "security", Person: true, From: gate.Who{Teams: []string{"acme/sec"}}}, func(s *gate.Snapshot, p *gate.Policy) {
				p.Principals["alice"] = agent("m1", "", "")
				s.Teams = map[string][]string{"acme/sec": {"alice", "paula"}}
			}),
			want: gate.Wait, codes: wanted, who: "acme/sec",
		},
		{
			name:   "whoever counts will do where a demand names nobody",
			differ: demand(gate.Demand{Name: "three", Count: 3}),
			want:   gate.Wait, codes: wanted, says: "2 of 3 approvals for three", who: "reviewers",
		},
		{
			name:   "a demand by path stands when a file matches",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"x/**", "app/*.go"}}),
			want:   gate.Wait, codes: wanted, says: "(it changes app/main.go)",
		},
		{
			name:   "a demand by path does not stand when none matches",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"db/**"}}),
			want:   gate.Merge,
		},
		{
			name:   "a file that was moved away from the path matches",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"db/**"}}, files(gate.File{Path: "x.sql", Previous: "db/x.sql"})),
			want:   gate.Wait, codes: wanted, says: "db/x.sql",
		},
		{
			name:   "a glob with stars matches at any depth",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"**/*.sql"}}, files(gate.File{Path: "x.sql"})),
			want:   gate.Wait, codes: wanted,
		},
		{
			name:   "a glob does not match a longer name",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"**/*.sql"}}, files(gate.File{Path: "x.sqlx"})),
			want:   gate.Merge,
		},
		{
			name:   "a glob with alternatives matches each",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"{db,sql}/**"}}, files(gate.File{Path: "sql/a/b"})),
			want:   gate.Wait, codes: wanted,
		},
		{
			name:   "a glob of a whole folder matches a file in its place",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"db/**"}}, files(gate.File{Path: "db"})),
			want:   gate.Wait, codes: wanted,
		},
		{
			name:   "a glob that cannot be read blocks",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"db/[a"}}),
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: `the glob "db/[a" cannot be read`, who: "operator",
		},
		{
			name:   "a demand by path waits for the files, and for the approval",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"db/**"}}, filesUnread),
			want:   gate.Wait, codes: unsure,
		},
		{
			name:   "a demand by path that is met waits for the files all the same",
			differ: demand(gate.Demand{Name: "db", From: paula, Paths: []string{"db/**"}}, filesUnread, byPaula),
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "its changed files could not be read",
		},
		{
			name:   "a demand by size stands from its limit on",
			differ: demand(gate.Demand{Name: "large", From: paula, Lines: 12}),
			want:   gate.Wait, codes: wanted, says: "(it changes 12 lines)",
		},
		{
			name:   "a demand by size does not stand below its limit",
			differ: demand(gate.Demand{Name: "large", From: paula, Lines: 13}),
			want:   gate.Merge,
		},
		{
			name:   "a demand by size waits for the files",
			differ: demand(gate.Demand{Name: "large", From: paula, Lines: 1}, filesUnread, byPaula),
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "its changed files",
		},
		{
			name:   "a demand by path and size stands only with both",
			differ: demand(gate.Demand{Name: "large", From: paula, Lines: 13, Paths: []string{"app/**"}}),
			want:   gate.Merge,
		},
		{
			name:   "files that were not read do not matter where no rule asks for them",
			differ: filesUnread,
			want:   gate.Merge,
		},
		{
			name: "a change of workflow files that a member of a team of persons approved merges",
			differ: agents(agent("m1", "", ""), gate.Principal{}, func(s *gate.Snapshot, p *gate.Policy) {
				s.WorkflowsChanged = ref.Yes
				p.PeopleTeams, s.Teams = []string{"acme/people"}, map[string][]string{"acme/people": {"bob"}}
			}),
			want: gate.Merge,
		},
		{
			name: "where a team of persons was not read, nobody says that there is no person",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				s.WorkflowsChanged = ref.Yes
				p.PeopleTeams = []string{"acme/people"}
				p.Principals = map[string]gate.Principal{"alice": agent("m1", "", ""), "bob": agent("m2", "", ""), "carol": agent("m3", "", "")}
			},
			want: gate.Wait, codes: []gate.Code{gate.CodePerson}, who: "a person",
		},
	})
}

func owned(list ...gate.Ownership) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, p *gate.Policy) { p.Owners.Required, s.Owned, s.OwnedRead = true, list, ref.Yes }
}

func rule(owners ...string) gate.Ownership {
	return gate.Ownership{Pattern: "/app/", Line: 3, Paths: []string{"app/main.go"}, Owners: owners}
}

func TestOwners(t *testing.T) {
	wanted := []gate.Code{gate.CodeOwners}
	both := func(a, b func(*gate.Snapshot, *gate.Policy)) func(*gate.Snapshot, *gate.Policy) {
		return func(s *gate.Snapshot, p *gate.Policy) { a(s, p); b(s, p) }
	}
	unmapped := rule()
	unmapped.Unmapped = []string{"x@acme.example"}
	mixed := rule("carol")
	mixed.Unmapped = []string{"x@acme.example"}
	judge(t, []situation{
		{name: "an owner who approved is enough", differ: owned(rule("Alice")), want: gate.Merge},
		{name: "one of several owners is enough", differ: owned(rule("dave", "bob")), want: gate.Merge},
		{
			name: "an owner who did not approve is waited for", differ: owned(rule("dave")),
			want: gate.Wait, codes: wanted, says: "no owner of app/main.go has approved; line 3 of CODEOWNERS (/app/)", who: "dave",
		},
		{
			name: "each rule wants one of its own owners", differ: owned(rule("alice"), gate.Ownership{Pattern: "*", Line: 1, Owners: []string{"dave"}}),
			want: gate.Wait, codes: wanted, says: "line 1",
		},
		{
			name:   "owners are not asked for where the policy does not",
			differ: both(owned(rule("dave")), func(_ *gate.Snapshot, p *gate.Policy) { p.Owners.Required = false }),
			want:   gate.Merge,
		},
		{
			name: "a member of an owning team is an owner",
			differ: both(owned(rule("Acme/Core")), func(s *gate.Snapshot, _ *gate.Policy) {
				s.Teams = map[string][]string{"acme/core": {"bob"}}
			}),
			want: gate.Merge,
		},
		{
			name: "an owning team that was not read is unknown, and named", differ: owned(rule("acme/core")),
			want: gate.Wait, codes: []gate.Code{gate.CodeOwners, gate.CodeUnknown}, who: "acme/core",
		},
		{
			name: "an owning team that was not read does not matter where another owner approved", differ: owned(rule("acme/core", "alice")),
			want: gate.Merge,
		},
		{
			name: "the author owns it with another, who must approve", differ: owned(rule("carol", "dave")),
			want: gate.Wait, codes: wanted, who: "carol,dave",
		},
		{
			name: "where the author is the only owner, the line is named", differ: owned(rule("Carol")),
			want: gate.Block, codes: wanted, says: "line 3 of CODEOWNERS (/app/): no owner could approve; not Carol (opened it)", who: "operator",
		},
		{
			name:   "where the only owner wrote a commit, the line is named",
			differ: both(owned(rule("dave")), func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].Author = "dave" }),
			want:   gate.Block, codes: wanted, says: "dave (wrote part of it)",
		},
		{
			name:   "where nobody of the owning team could, the line is named",
			differ: both(owned(rule("acme/core")), func(s *gate.Snapshot, _ *gate.Policy) { s.Teams = map[string][]string{"acme/core": {"carol"}} }),
			want:   gate.Block, codes: wanted, says: "acme/core (nobody of it could)",
		},
		{
			name: "owners that belong to nobody known block", differ: owned(unmapped),
			want: gate.Block, codes: wanted, says: "is owned by nobody known: x@acme.example",
		},
		{
			name: "an owner that belongs to nobody known is named beside the author", differ: owned(mixed),
			want: gate.Block, codes: wanted, says: "x@acme.example (belongs to nobody known)",
		},
		{name: "a rule without owners asks for nobody", differ: owned(rule()), want: gate.Merge},
		{name: "a change that nobody owns asks for nobody", differ: owned(), want: gate.Merge},
		{
			name:   "without a CODEOWNERS file nobody is asked",
			differ: both(owned(), func(s *gate.Snapshot, _ *gate.Policy) { s.OwnedRead = ref.No }),
			want:   gate.Merge,
		},
		{
			name:   "a CODEOWNERS file that was not read is unknown",
			differ: both(owned(), func(s *gate.Snapshot, _ *gate.Policy) { s.OwnedRead = ref.Unknown }),
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "who owns what it changes could not be read",
		},
		{
			name: "ownership without the files is unknown", differ: both(owned(), filesUnread),
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "its changed files could not be read",
		},
		{
			name:   "a faulty CODEOWNERS file blocks, with the place",
			differ: both(owned(), func(s *gate.Snapshot, _ *gate.Policy) { s.OwnersFaults = []string{"CODEOWNERS:4: no such team"} }),
			want:   gate.Block, codes: wanted, says: "CODEOWNERS:4: no such team", who: "operator",
		},
		{
			name: "the approval of an owner on an older head does not count",
			differ: both(owned(rule("dave")), func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, with(approval(3, "dave"), func(r *gate.Review) { r.ObservedHead = older }))
			}),
			want: gate.Wait, codes: wanted,
		},
	})
}
