package gate_test

import (
	"slices"
	"testing"

	"slipway/gate"
	"slipway/internal/ref"
)

// second replaces bob's approval, so that one that counts is left.
func second(reviews ...gate.Review) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Reviews = append(s.Reviews[:1:1], reviews...) }
}

func with(r gate.Review, differ func(*gate.Review)) gate.Review {
	differ(&r)
	return r
}

func TestApprovals(t *testing.T) {
	short := []gate.Code{gate.CodeApprovals}
	judge(t, []situation{
		{
			name:   "one approval is not two",
			differ: second(),
			want:   gate.Wait, codes: short, says: "1 of 2 approvals on aaaaaaaaaaaa", who: "reviewers",
		},
		{
			name:   "one person approving twice is one",
			differ: second(approval(2, "Alice"), approval(3, "ALICE")),
			want:   gate.Wait, codes: short, says: "1 of 2",
		},
		{
			name:   "an approval on an older head does not count",
			differ: second(with(approval(2, "bob"), func(r *gate.Review) { r.Commit = older })),
			want:   gate.Wait, codes: short, says: "bob (given on another commit)",
		},
		{
			name:   "an approval seen before the push does not count, though the forge moved it to the new head",
			differ: second(with(approval(2, "bob"), func(r *gate.Review) { r.ObservedHead = older })),
			want:   gate.Wait, codes: short, says: "bob (given before this head)",
		},
		{
			name:   "an approval that was never observed does not count",
			differ: second(with(approval(2, "bob"), func(r *gate.Review) { r.ObservedHead = "" })),
			want:   gate.Wait, codes: short,
		},
		{
			name:   "an approval without a commit does not count",
			differ: second(with(approval(2, "bob"), func(r *gate.Review) { r.Commit = "" })),
			want:   gate.Wait, codes: short,
		},
		{
			name:   "an approval that is not official does not count",
			differ: second(with(approval(2, "bob"), func(r *gate.Review) { r.Official = ref.No })),
			want:   gate.Wait, codes: short, says: "bob (may not approve)",
		},
		{
			name:   "an approval by someone who lost the right does not count",
			differ: second(with(approval(2, "bob"), func(r *gate.Review) { r.Eligible = ref.No })),
			want:   gate.Wait, codes: short, says: "bob (may not approve)",
		},
		{
			name:   "an approval whose right is unknown does not count, and is named",
			differ: second(with(approval(2, "bob"), func(r *gate.Review) { r.Eligible = ref.Unknown })),
			want:   gate.Wait, codes: []gate.Code{gate.CodeApprovals, gate.CodeUnknown}, says: "bob (unknown whether allowed)",
		},
		{
			name: "a third approval whose right is unknown keeps it from merging",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, with(approval(3, "dave"), func(r *gate.Review) { r.Official = ref.Unknown }))
			},
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "whether dave may approve",
		},
		{
			name: "a third approval that does not count does no harm",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, with(approval(3, "dave"), func(r *gate.Review) { r.Eligible = ref.No }))
			},
			want: gate.Merge,
		},
		{
			name:   "the author's approval does not count",
			differ: second(approval(2, "Carol")),
			want:   gate.Wait, codes: short, says: "Carol (opened it)",
		},
		{
			name: "the approval of a commit's author does not count",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Commits[0].Author = "BOB"
			},
			want: gate.Wait, codes: short, says: "bob (wrote part of it)",
		},
		{
			name:   "the approval of a commit's committer does not count",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Commits[1].Committer = "bob" },
			want:   gate.Wait, codes: short, says: "bob (wrote part of it)",
		},
		{
			name: "the approval of a mapped co-author does not count",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Commits[1].CoAuthors = []gate.CoAuthor{{Login: "bob", Email: "bob@acme.example"}}
			},
			want: gate.Wait, codes: short, says: "bob (wrote part of it)",
		},
		{
			name: "a co-author who maps to nobody blocks nothing",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Commits[1].CoAuthors = []gate.CoAuthor{{Email: "model@vendor.example"}}
			},
			want: gate.Merge,
		},
		{
			name:   "Slipway's own approval does not count",
			differ: second(approval(2, "Slipway-Bot")),
			want:   gate.Wait, codes: short, says: "Slipway-Bot (is Slipway)",
		},
		{
			name:   "an approval by nobody does not count",
			differ: second(approval(2, "")),
			want:   gate.Wait, codes: short,
		},
		{
			name:   "a dismissed approval does not count",
			differ: second(approval(2, "bob"), review(3, "bob", gate.ReviewDismissed)),
			want:   gate.Wait, codes: short,
		},
		{
			name:   "a comment after an approval replaces nothing",
			differ: second(approval(2, "bob"), review(3, "bob", gate.ReviewCommented)),
			want:   gate.Merge,
		},
		{
			name:   "the latest review is the one with the highest id, not the last in the list",
			differ: second(approval(3, "bob"), review(2, "bob", gate.ReviewDismissed)),
			want:   gate.Merge,
		},
		{
			name:   "three are needed where the policy says three",
			differ: func(_ *gate.Snapshot, p *gate.Policy) { p.Approvals = 3 },
			want:   gate.Wait, codes: short, says: "2 of 3",
		},
		{
			name: "reviews that could not be read leave the approvals uncounted",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.ReviewsRead, s.Reviews = ref.Unknown, nil
			},
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "its reviews could not be read",
		},
	})
}

func TestVeto(t *testing.T) {
	veto := func(differ func(*gate.Review)) func(*gate.Snapshot, *gate.Policy) {
		return func(s *gate.Snapshot, _ *gate.Policy) {
			s.Reviews = append(s.Reviews, with(review(9, "dave", gate.ReviewChangesRequested), differ))
		}
	}
	judge(t, []situation{
		{
			name:   "a change request blocks, and names who made it",
			differ: veto(func(*gate.Review) {}),
			want:   gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "dave asks for changes", who: "dave",
		},
		{
			name:   "a change request on an older head blocks still",
			differ: veto(func(r *gate.Review) { r.Commit, r.ObservedHead = older, older }),
			want:   gate.Block, codes: []gate.Code{gate.CodeVeto},
		},
		{
			name:   "a change request by someone whose right is unknown blocks",
			differ: veto(func(r *gate.Review) { r.Eligible = ref.Unknown }),
			want:   gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "whether that counts could not be read",
		},
		{
			name:   "a change request of which nobody knows whether it is official blocks",
			differ: veto(func(r *gate.Review) { r.Official = ref.Unknown }),
			want:   gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "dave asks for changes", who: "dave",
		},
		{
			name:   "a change request by someone who may not review does not block",
			differ: veto(func(r *gate.Review) { r.Eligible = ref.No }),
			want:   gate.Merge,
		},
		{
			name:   "a change request that the forge counts no more, as when its reviewer was asked for another review, blocks still",
			differ: veto(func(r *gate.Review) { r.Official = ref.No }),
			want:   gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "dave asks for changes", who: "dave",
		},
		{
			name:   "a change request that is not official, by someone whose right is unknown, blocks",
			differ: veto(func(r *gate.Review) { r.Official, r.Eligible = ref.No, ref.Unknown }),
			want:   gate.Block, codes: []gate.Code{gate.CodeVeto}, says: "whether that counts could not be read",
		},
		{
			name:   "a dismissed change request does not block",
			differ: veto(func(r *gate.Review) { r.State = gate.ReviewDismissed }),
			want:   gate.Merge,
		},
		{
			name: "an approval after a change request lifts it",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, review(8, "dave", gate.ReviewChangesRequested), approval(9, "dave"))
			},
			want: gate.Merge,
		},
		{
			name: "a comment after a change request lifts nothing",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, review(8, "dave", gate.ReviewChangesRequested), review(9, "dave", gate.ReviewCommented))
			},
			want: gate.Block, codes: []gate.Code{gate.CodeVeto},
		},
		{
			name: "an approver who then asks for changes vetoes and approves no more",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Reviews = append(s.Reviews, review(9, "Bob", gate.ReviewChangesRequested))
			},
			want: gate.Block, codes: []gate.Code{gate.CodeVeto, gate.CodeApprovals},
		},
	})
}

func TestIdentities(t *testing.T) {
	judge(t, []situation{
		{
			name: "a commit whose author maps to nobody blocks, with e-mail and commit",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Commits[0].Author, s.Commits[0].AuthorEmail = "", "alice@home.example"
			},
			want: gate.Block, codes: []gate.Code{gate.CodeUnmappedIdentity}, who: "author",
			says: `"alice@home.example" of commit bbbbbbbbbbbb belongs to no account`,
		},
		{
			name: "a committer who maps to nobody blocks",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Commits[1].Committer, s.Commits[1].CommitterEmail = "", "ci@laptop"
			},
			want: gate.Block, codes: []gate.Code{gate.CodeUnmappedIdentity}, says: `"ci@laptop"`,
		},
		{
			name: "a committer who maps to nobody blocks, though the author has the same e-mail",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Commits[1].Committer = ""
			},
			want: gate.Block, codes: []gate.Code{gate.CodeUnmappedIdentity}, says: `"carol@acme.example"`,
		},
		{
			name: "an author and a committer who map to nobody are two reasons",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Commits[1].Author, s.Commits[1].Committer, s.Commits[1].CommitterEmail = "", "", "ci@laptop"
			},
			want: gate.Block, codes: []gate.Code{gate.CodeUnmappedIdentity, gate.CodeUnmappedIdentity},
		},
		{
			name: "one e-mail on many commits is one reason",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				for i := range s.Commits {
					s.Commits[i].Author, s.Commits[i].Committer = "", ""
				}
			},
			want: gate.Block, codes: []gate.Code{gate.CodeUnmappedIdentity}, says: "(and 1 more)",
		},
		{
			name: "commits that could not be read leave the approvals uncounted",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.CommitsRead, s.Reviews = ref.Unknown, nil
			},
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "its commits could not be read",
		},
		{
			name:   "an author who is not known never merges",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Author = "" },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "who opened it",
		},
	})
}

func TestApprovalsAreListedOnlyWhenAllIsRead(t *testing.T) {
	s := ready()
	got := gate.Evaluate(s, policy(), now).Approvals
	want := []gate.Approval{{Login: "alice", ReviewID: 1, Commit: head, Kind: gate.KindPerson}, {Login: "bob", ReviewID: 2, Commit: head, Kind: gate.KindPerson}}
	if !slices.Equal(got, want) {
		t.Errorf("approvals %v, want %v", got, want)
	}
	for name, fact := range map[string]*ref.Fact{"reviews": &s.ReviewsRead, "commits": &s.CommitsRead} {
		*fact = ref.Unknown
		if got := gate.Evaluate(s, policy(), now).Approvals; len(got) != 0 {
			t.Errorf("approvals %v though the %s were not read", got, name)
		}
		*fact = ref.Yes
	}
}
