package gate_test

import (
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

type change = func(*gate.Snapshot, *gate.Policy)

// all makes several changes one.
func all(changes ...change) change {
	return func(s *gate.Snapshot, p *gate.Policy) {
		for _, c := range changes {
			c(s, p)
		}
	}
}

func freezes(list ...gate.Freeze) change {
	return func(_ *gate.Snapshot, p *gate.Policy) { p.Freezes = list }
}

func condition(f ref.Fact, why string) change {
	return func(_ *gate.Snapshot, p *gate.Policy) {
		p.Conditions = append(p.Conditions, gate.Condition{
			Name: "small", Sentence: "it is larger than anybody reads",
			Holds: func(gate.Snapshot) (ref.Fact, string) { return f, why },
		})
	}
}

func holds(list ...gate.Hold) change {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Holds = list }
}

func frozen(why string) change {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Frozen = why }
}

func TestFreezesAndConditions(t *testing.T) {
	paris := time.FixedZone("CET", 3600)
	endless := gate.Freeze{Name: "stop", Active: func(time.Time) (bool, time.Time) { return true, time.Time{} }}
	judge(t, []situation{
		{
			name: "while a freeze is on nothing merges, and it says until when", differ: freezes(window(now.Add(time.Hour))),
			want: gate.Wait, codes: []gate.Code{gate.CodeFreeze}, says: "the freeze night is on: nobody is up, until 2026-03-01 13:00 UTC", who: "time",
		},
		{
			name: "the end of a freeze is told in its own time zone", differ: freezes(window(now.Add(time.Hour).In(paris))),
			want: gate.Wait, codes: []gate.Code{gate.CodeFreeze}, says: "until 2026-03-01 14:00 CET",
		},
		{name: "at the moment a freeze ends it is over", differ: freezes(window(now)), want: gate.Merge},
		{
			name: "a freeze without an end is the operator's to end", differ: freezes(endless),
			want: gate.Wait, codes: []gate.Code{gate.CodeFreeze}, says: "the freeze stop is on", who: "operator",
		},
		{
			name: "each freeze that is on is a reason", differ: freezes(endless, window(now.Add(1)), window(now)),
			want: gate.Wait, codes: []gate.Code{gate.CodeFreeze, gate.CodeFreeze},
		},
		{
			name: "a freeze that cannot be asked is unknown", differ: freezes(gate.Freeze{Name: "night"}),
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "whether the freeze night is on",
		},
		{
			name: "a branch that was frozen after a bad landing takes nothing", differ: frozen("its tree was another"),
			want: gate.Block, codes: []gate.Code{gate.CodeFrozen}, says: "main is frozen: its tree was another", who: "operator",
		},
		{
			name:   "not knowing whether the branch is frozen never merges",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.FrozenRead = ref.Unknown },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "whether main is frozen could not be read",
		},
		{name: "a condition that holds keeps nothing", differ: condition(ref.Yes, ""), want: gate.Merge},
		{
			name: "a condition that does not hold blocks with its sentence", differ: condition(ref.No, ""),
			want: gate.Block, codes: []gate.Code{gate.CodeCondition}, says: "it is larger than anybody reads", who: "author",
		},
		{
			name:   "a condition without a sentence is named",
			differ: all(condition(ref.No, ""), func(_ *gate.Snapshot, p *gate.Policy) { p.Conditions[0].Sentence = "" }),
			want:   gate.Block, codes: []gate.Code{gate.CodeCondition}, says: "the condition small does not hold",
		},
		{
			name: "a condition that cannot be judged is unknown, and says why", differ: condition(ref.Unknown, "no such key: files"),
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "the condition small cannot be judged: no such key: files",
		},
		{
			name:   "a condition that was not compiled is unknown",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Conditions = []gate.Condition{{Name: "small"}} },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "it was not compiled",
		},
		{
			name: "every condition must hold", differ: all(condition(ref.Yes, ""), condition(ref.No, "")),
			want: gate.Block, codes: []gate.Code{gate.CodeCondition},
		},
		{
			name: "a condition sees the snapshot",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				s.Pull.Title = "feat: x"
				p.Conditions = []gate.Condition{{Name: "titled", Holds: func(s gate.Snapshot) (ref.Fact, string) { return ref.Known(s.Pull.Title == "feat: x"), "" }}}
			},
			want: gate.Merge,
		},
	})
}

func TestBaseAndHolds(t *testing.T) {
	judge(t, []situation{
		{
			name:   "a head without the tip of its base blocks where the policy wants it",
			differ: func(s *gate.Snapshot, p *gate.Policy) { p.UpToDate, s.UpToDate = true, ref.No },
			want:   gate.Block, codes: []gate.Code{gate.CodeOutdated}, says: "it does not contain the tip of main", who: "author",
		},
		{
			name:   "a head with the tip of its base merges",
			differ: func(s *gate.Snapshot, p *gate.Policy) { p.UpToDate, s.UpToDate = true, ref.Yes },
			want:   gate.Merge,
		},
		{
			name:   "not knowing whether it contains the tip never merges where the policy wants it",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.UpToDate = true },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "whether it contains the tip of its base",
		},
		{
			name:   "a head without the tip of its base merges where nobody asks",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.UpToDate = ref.No },
			want:   gate.Merge,
		},
		{
			name:   "a merge commit blocks where the history is to be linear",
			differ: func(s *gate.Snapshot, p *gate.Policy) { p.Linear, s.Commits[0].Parents = true, 2 },
			want:   gate.Block, codes: []gate.Code{gate.CodeNotLinear}, says: "commit bbbbbbbbbbbb is a merge commit", who: "author",
		},
		{
			name: "several merge commits are one reason",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Linear, s.Commits[0].Parents, s.Commits[1].Parents = true, 2, 3
			},
			want: gate.Block, codes: []gate.Code{gate.CodeNotLinear}, says: "(and 1 more)",
		},
		{
			name:   "a linear history merges",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Linear = true },
			want:   gate.Merge,
		},
		{
			name:   "not knowing how many parents a commit has never merges where it matters",
			differ: func(s *gate.Snapshot, p *gate.Policy) { p.Linear, s.Commits[1].Parents = true, 0 },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "how many parents commit aaaaaaaaaaaa has",
		},
		{
			name:   "a merge commit merges where nobody asks",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].Parents = 2 },
			want:   gate.Merge,
		},
		{
			name: "a hold by command names who set it, and why", differ: holds(gate.Hold{By: "bob", Reason: "after the launch"}),
			want: gate.Wait, codes: []gate.Code{gate.CodeHold}, says: "bob holds it: after the launch", who: "bob,operator",
		},
		{
			name: "a hold without a reason holds", differ: holds(gate.Hold{By: "bob"}),
			want: gate.Wait, codes: []gate.Code{gate.CodeHold}, says: "bob holds it",
		},
		{
			name: "a hold by nobody known holds", differ: holds(gate.Hold{}),
			want: gate.Wait, codes: []gate.Code{gate.CodeHold}, says: "somebody holds it", who: "operator",
		},
		{
			name: "whom the operators are named after is not named twice", differ: holds(gate.Hold{By: "Operator"}),
			want: gate.Wait, codes: []gate.Code{gate.CodeHold}, says: "Operator holds it", who: "operator",
		},
		{
			name: "every hold is a reason", differ: all(holds(gate.Hold{By: "bob"}, gate.Hold{By: "dave"}), func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Labels = []string{"hold"} }),
			want: gate.Wait, codes: []gate.Code{gate.CodeHold, gate.CodeHold, gate.CodeHold},
		},
		{
			name:   "where a merge is on request, nobody's request is waited for",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.OnRequest = true },
			want:   gate.Wait, codes: []gate.Code{gate.CodeNotAsked}, says: "nobody asked for its merge", who: "author,reviewers",
		},
		{
			name: "a request for this head merges",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.OnRequest, s.Asked = true, &gate.Asked{By: "carol", Head: head}
			},
			want: gate.Merge,
		},
		{
			name: "a request for an older head is none for this one",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.OnRequest, s.Asked = true, &gate.Asked{By: "carol", Head: older}
			},
			want: gate.Wait, codes: []gate.Code{gate.CodeNotAsked}, says: "carol asked for the merge of another head",
		},
		{
			name: "a request does not replace an approval",
			differ: all(second(), func(s *gate.Snapshot, p *gate.Policy) {
				p.OnRequest, s.Asked = true, &gate.Asked{By: "dave", Head: head}
			}),
			want: gate.Wait, codes: []gate.Code{gate.CodeApprovals},
		},
		{
			name:   "a pull request that would break the policy file blocks",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.HeadPolicyFaults = []string{".slipway.yaml:3: no"} },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "it would break the policy: .slipway.yaml:3: no", who: "author",
		},
	})
}

func TestOptionalAndLimitedChecks(t *testing.T) {
	extra := func(r gate.CheckRule) change {
		return func(_ *gate.Snapshot, p *gate.Policy) { p.Checks = append(p.Checks, r) }
	}
	limit := func(paths ...string) change {
		return func(_ *gate.Snapshot, p *gate.Policy) {
			for i := range p.Checks {
				p.Checks[i].Paths = paths
			}
		}
	}
	docs := gate.CheckRule{Context: "docs", Creator: "docs-bot", Paths: []string{"docs/**"}}
	judge(t, []situation{
		{
			name: "an optional check that never came keeps nothing", differ: extra(gate.CheckRule{Context: "lint", Creator: "linter", Optional: true}),
			want: gate.Merge,
		},
		{
			name:   "an optional check that failed keeps nothing",
			differ: all(extra(gate.CheckRule{Context: "lint", Creator: "linter", Optional: true}), more(status(30, "lint", gate.StateFailure, "linter", ""))),
			want:   gate.Merge,
		},
		{
			name:   "optional checks alone are no required check",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Checks[0].Optional, p.Checks[1].Optional = true, true },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "the policy requires no check (gate.checks)",
		},
		{name: "a check of paths that are not touched is not required", differ: extra(docs), want: gate.Merge},
		{
			name: "a check of paths that are touched is required", differ: all(extra(docs), files(gate.File{Path: "docs/a/b.md"})),
			want: gate.Wait, codes: []gate.Code{gate.CodeCheckMissing}, says: `check "docs" has not come`, who: "docs-bot",
		},
		{
			name: "a check of paths that a file was moved out of is required", differ: all(extra(docs), files(gate.File{Path: "a.md", Previous: "docs/a.md"})),
			want: gate.Wait, codes: []gate.Code{gate.CodeCheckMissing},
		},
		{
			name:   "a check of paths that failed where they are touched blocks",
			differ: all(extra(docs), files(gate.File{Path: "docs/a.md"}), more(status(30, "docs", gate.StateFailure, "docs-bot", ""))),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed},
		},
		{
			name:   "a check of paths that failed where they are not touched keeps nothing",
			differ: all(extra(docs), more(status(30, "docs", gate.StateFailure, "docs-bot", ""))),
			want:   gate.Merge,
		},
		{
			name:   "a check of paths is unknown without the files, and required",
			differ: all(extra(docs), filesUnread),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing, gate.CodeUnknown},
		},
		{
			name:   "a green check of paths without the files is unknown still",
			differ: all(extra(docs), filesUnread, more(status(30, "docs", gate.StateSuccess, "docs-bot", ""))),
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "its changed files could not be read",
		},
		{
			name:   "an optional check of paths without the files keeps nothing",
			differ: all(extra(docs), filesUnread, func(_ *gate.Snapshot, p *gate.Policy) { p.Checks[2].Optional = true }),
			want:   gate.Merge,
		},
		{
			name: "a change that no check is required of is no green one", differ: limit("db/**"),
			want: gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "the policy requires no check of what it changes (gate.checks)", who: "operator",
		},
		{name: "a change that every check is limited to merges", differ: limit("app/**"), want: gate.Merge},
		{
			name: "a change without files is not tested by checks of paths", differ: all(limit("**"), files()),
			want: gate.Block, codes: []gate.Code{gate.CodePolicy},
		},
		{
			name: "a glob of a check that cannot be read blocks", differ: limit("app/**", "{a"),
			want: gate.Block, codes: []gate.Code{gate.CodePolicy}, says: `the glob "{a" cannot be read`,
		},
		{
			name:   "a required check beside an optional one of the same context is required",
			differ: all(extra(gate.CheckRule{Context: apiContext, Creator: "scanner", Optional: true}), statuses(ready().Checks.Statuses[0])),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing},
		},
	})
}
