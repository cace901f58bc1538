package gate_test

import (
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

func TestEvaluatePull(t *testing.T) {
	judge(t, []situation{
		{
			name:   "a green pull request with two approvals merges",
			differ: func(*gate.Snapshot, *gate.Policy) {},
			want:   gate.Merge,
		},
		{
			name:   "nothing read at all never merges",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { *s = gate.Snapshot{} },
			want:   gate.Wait,
			codes: []gate.Code{
				gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown,
				gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown,
			},
		},
		{
			name:   "a draft waits for its author",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft = ref.Yes },
			want:   gate.Wait, codes: []gate.Code{gate.CodeDraft}, says: "draft", who: "author",
		},
		{
			name:   "a closed one is blocked",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Open = ref.No },
			want:   gate.Block, codes: []gate.Code{gate.CodeClosed}, says: "closed",
		},
		{
			name:   "one that a person merged by hand is not merged again",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Open, s.Pull.Merged = ref.No, ref.Yes },
			want:   gate.Block, codes: []gate.Code{gate.CodeClosed}, says: "merged already",
		},
		{
			name:   "a conflict is the author's to mend",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.No },
			want:   gate.Block, codes: []gate.Code{gate.CodeConflict}, says: "cleanly into main", who: "author",
		},
		{
			name:   "a forge that still computes mergeability is waited for",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.Unknown },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "the forge is still computing whether it merges cleanly",
		},
		{
			name:   "a hold label waits and is named, whatever its case",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Labels = []string{"bug", "Hold"} },
			want:   gate.Wait, codes: []gate.Code{gate.CodeHold}, says: `"Hold"`, who: "whoever set the label",
		},
		{
			name:   "another label holds nothing",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Labels = []string{"holder"} },
			want:   gate.Merge,
		},
		{
			name:   "a head that is not known never merges",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Head = "" },
			want:   gate.Wait,
			codes:  []gate.Code{gate.CodeApprovals, gate.CodeUnknown, gate.CodeUnknown, gate.CodeUnknown},
		},
		{
			name:   "checks of another commit are no checks of this head",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Checks.SHA = older },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "the checks on its head commit could not be read",
		},
		{
			name:   "commits read before the head moved do not tell who wrote it",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Commits = s.Commits[:1] },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "the commits up to its head could not be read",
		},
	})
}

func TestEvaluatePolicy(t *testing.T) {
	judge(t, []situation{
		{
			name:   "no required check is a fault of the policy, not a pass",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Checks = nil },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "requires no check", who: "operator",
		},
		{
			name:   "each fault of the policy file is a reason",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Faults = []string{"b.yaml:2: no", "b.yaml:1: no"} },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy, gate.CodePolicy}, says: "b.yaml:1: no",
		},
		{
			name:   "the zero policy merges nothing",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { *p = gate.Policy{} },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy, gate.CodePolicy, gate.CodeApprovals},
		},
		{
			name:   "without its own login Slipway cannot leave its approval out",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Bot = "" },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "its own login",
		},
		{
			name: "fewer than two approvals cannot be asked for",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Approvals = -1
				s.Reviews = s.Reviews[:1]
			},
			want: gate.Wait, codes: []gate.Code{gate.CodeApprovals}, says: "1 of 2 approvals",
		},
		{
			name:   "a rule that names neither creator nor workflow is never green",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Checks[1].Creator = "" },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "either a creator or a workflow",
		},
		{
			name:   "a rule that names both is never green",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Checks[0].Creator = "scanner" },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "either a creator or a workflow",
		},
		{
			name:   "a workflow rule without its job is never green",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Checks[0].Job = "" },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "the job and the event",
		},
		{
			name:   "Slipway's own status is no check",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Checks[1].Context = gate.StatusContext },
			want:   gate.Block, codes: []gate.Code{gate.CodePolicy}, says: "cannot be a required check",
		},
	})
}

func TestEvaluateWorkflowFiles(t *testing.T) {
	changed := func(s *gate.Snapshot) { s.WorkflowsChanged = ref.Yes }
	judge(t, []situation{
		{
			name:   "a change of workflow files that a declared person approved merges",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { changed(s) },
			want:   gate.Merge,
		},
		{
			name: "two approvals under agents' accounts do not do for workflow files",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				changed(s)
				p.Principals = map[string]gate.Principal{
					"alice": agent("m1", "acme", ""), "bob": agent("m2", "acme", ""), "carol": {Kind: gate.KindPerson}, "paula": {Kind: gate.KindPerson},
				}
			},
			want: gate.Wait, codes: []gate.Code{gate.CodePerson}, says: "a person must approve", who: "paula",
		},
		{
			name: "a person's approval that does not count does not do either",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				changed(s)
				p.Principals["alice"], p.Principals["bob"] = agent("m1", "acme", ""), agent("m2", "acme", "")
				old := approval(3, "paula")
				old.Commit = older
				s.Reviews = append(s.Reviews, old)
			},
			want: gate.Wait, codes: []gate.Code{gate.CodePerson},
		},
		{
			name: "where no person is declared, nobody can approve it",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				changed(s)
				p.Principals = map[string]gate.Principal{
					"alice": agent("m1", "acme", ""), "bob": agent("m2", "acme", ""), "carol": agent("m3", "acme", ""),
				}
			},
			want: gate.Block, codes: []gate.Code{gate.CodePerson}, says: "no declared person", who: "operator",
		},
		{
			name: "where the only person wrote it, nobody can approve it",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				changed(s)
				p.Principals = map[string]gate.Principal{
					"alice": agent("m1", "acme", ""), "bob": agent("m2", "acme", ""), "carol": {Kind: gate.KindPerson},
				}
			},
			want: gate.Block, codes: []gate.Code{gate.CodePerson}, says: "no declared person",
		},
		{
			name:   "not knowing whether workflow files change never merges",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.WorkflowsChanged = ref.Unknown },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "whether it changes CI workflows",
		},
	})
}

func TestRecheck(t *testing.T) {
	for _, row := range []struct {
		name   string
		differ change
		want   time.Duration // 0: never
	}{
		{"what merges needs no other look", func(*gate.Snapshot, *gate.Policy) {}, 0},
		{"a missing approval comes with an event", func(s *gate.Snapshot, _ *gate.Policy) { s.Reviews = nil }, 0},
		{"mergeability comes without an event, soon", func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.Unknown }, 2 * time.Second},
		{"a failed read is read again", func(s *gate.Snapshot, _ *gate.Policy) { s.ReviewsRead = ref.Unknown }, 10 * time.Second},
		{"the sooner look wins", func(s *gate.Snapshot, _ *gate.Policy) {
			s.ReviewsRead, s.Pull.Mergeable = ref.Unknown, ref.Unknown
		}, 2 * time.Second},
		{"a freeze ends without an event, the first of them first", freezes(window(now.Add(2*time.Hour)), window(now.Add(time.Hour))), time.Hour},
		{"a freeze that is to come needs no look at what waits for others", all(noReviews, freezes(window(now))), 0},
		{"what an emergency waives needs no other look", burning(freezes(window(now.Add(time.Hour)))), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, p := ready(), policy()
			row.differ(&s, &p)
			want := time.Time{}
			if row.want > 0 {
				want = now.Add(row.want)
			}
			if got := gate.Evaluate(s, p, now).Recheck; !got.Equal(want) {
				t.Errorf("recheck at %v, want %v", got, want)
			}
		})
	}
}
