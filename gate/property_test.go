package gate_test

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipway/gate"
	"slipway/internal/ref"
)

var (
	logins   = []string{"alice", "bob", "Bob", "carol", "dave", "scanner", "slipway-bot", ""}
	contexts = []string{ciContext, "ci / test (push)", apiContext, "Scan", gate.StatusContext}
	states   = []gate.State{gate.StateSuccess, gate.StateSuccess, gate.StatePending, gate.StateFailure, gate.StateSkipped, gate.StateUnknown}
	spoken   = []gate.ReviewState{gate.ReviewApproved, gate.ReviewApproved, gate.ReviewChangesRequested, gate.ReviewCommented, gate.ReviewDismissed, gate.ReviewNone}
	heads    = []ref.SHA{head, head, head, older, ""}
	facts    = []ref.Fact{ref.Yes, ref.Yes, ref.Yes, ref.No, ref.Unknown}
)

func pick[T any](t *rapid.T, label string, from []T) T { return rapid.SampledFrom(from).Draw(t, label) }

// world is a pull request that would merge, with up to four things changed, so
// that both answers of the gate come up.
func world(t *rapid.T) (gate.Snapshot, gate.Policy) {
	s, p := ready(), policy()
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		rapid.SampledFrom(changes).Draw(t, "change")(t, &s, &p)
	}
	return s, p
}

var changes = []func(*rapid.T, *gate.Snapshot, *gate.Policy){
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		r := approval(nextID(s), pick(t, "reviewer", logins))
		r.State, r.Commit, r.ObservedHead = pick(t, "spoke", spoken), pick(t, "commit", heads), pick(t, "observed", heads)
		r.Official, r.Eligible = pick(t, "official", facts), pick(t, "eligible", facts)
		s.Reviews = append(s.Reviews, r)
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Reviews = s.Reviews[rapid.IntRange(0, len(s.Reviews)).Draw(t, "reviews left out"):]
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Checks.Statuses = append(s.Checks.Statuses, status(
			nextID(s), pick(t, "context", contexts), pick(t, "state", states), pick(t, "creator", logins),
			pick(t, "url", []string{"/runs/1/jobs/0", "/runs/2/jobs/0"}),
		))
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Checks.Statuses = s.Checks.Statuses[rapid.IntRange(0, len(s.Checks.Statuses)).Draw(t, "statuses left out"):]
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		j := job(rapid.Int64Range(1, 3).Draw(t, "run"), rapid.Int64Range(1, 3).Draw(t, "attempt"), pick(t, "state", states))
		j.Head, j.Event = pick(t, "head", heads), pick(t, "event", []string{"pull_request", "push"})
		s.Checks.Jobs = append(s.Checks.Jobs, j)
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		c := gate.Commit{SHA: older, Author: pick(t, "author", logins), Committer: pick(t, "committer", logins)}
		c.CoAuthors = []gate.CoAuthor{{Login: pick(t, "co-author", logins)}}
		s.Commits = append(s.Commits, c)
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Pull.Author = pick(t, "author", logins) },
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Pull.Labels = pick(t, "labels", [][]string{nil, {"bug"}, {"HOLD"}})
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		*pick(t, "fact", factsOf(s)) = pick(t, "is", facts)
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Pull.Head = pick(t, "head", heads) },
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Checks.SHA = pick(t, "checked", heads) },
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Approvals = rapid.IntRange(-1, 3).Draw(t, "approvals")
	},
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Checks = p.Checks[:rapid.IntRange(0, len(p.Checks)).Draw(t, "rules")]
	},
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Principals = pick(t, "people", []map[string]gate.Principal{nil, persons("alice", "bob", "carol"), persons("dave")})
	},
}

// nextID is higher than every id so far.
func nextID(s *gate.Snapshot) int64 {
	id := int64(20)
	for _, r := range s.Reviews {
		id = max(id, r.ID+1)
	}
	for _, c := range s.Checks.Statuses {
		id = max(id, c.ID+1)
	}
	return id
}

// factsOf are all facts of a snapshot, but for those of its reviews.
func factsOf(s *gate.Snapshot) []*ref.Fact {
	return []*ref.Fact{
		&s.Pull.Open, &s.Pull.Merged, &s.Pull.Draft, &s.Pull.Mergeable, &s.CommitsRead, &s.ReviewsRead,
		&s.WorkflowsChanged, &s.Checks.StatusesRead, &s.Checks.JobsRead,
	}
}

func TestMergeMeansEveryRuleHolds(t *testing.T) {
	merged := 0
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		v := gate.Evaluate(s, p, now)
		if (v.Outcome == gate.Merge) != (len(v.Reasons) == 0) {
			t.Fatalf("%s with the reasons %v", v.Outcome, v.Reasons)
		}
		if v.Head != s.Pull.Head {
			t.Fatalf("judged %q, answered about %q", s.Pull.Head, v.Head)
		}
		if v.Outcome != gate.Merge {
			return
		}
		merged++
		for _, f := range factsOf(&s) {
			if *f == ref.Unknown {
				t.Fatalf("merges on an unknown fact: %+v", s)
			}
		}
		if s.Pull.Head == "" || s.Pull.Open != ref.Yes || s.Pull.Merged != ref.No || s.Pull.Draft != ref.No || s.Pull.Mergeable != ref.Yes {
			t.Fatalf("merges what cannot be merged: %+v", s.Pull)
		}
		if n := approvers(s, p); n < max(2, p.Approvals) {
			t.Fatalf("merges with %d approvers: %+v", n, s.Reviews)
		}
		if len(p.Checks) == 0 || s.Checks.SHA != s.Pull.Head {
			t.Fatalf("merges without required checks of its head")
		}
	})
	if merged == 0 {
		t.Fatal("no merge came up, so nothing was tried")
	}
}

// approvers counts, in another way than the gate, the people who approved this
// head last, and had no part in it. Ids rise through the list.
func approvers(s gate.Snapshot, p gate.Policy) int {
	last := map[string]gate.Review{}
	for _, r := range s.Reviews {
		if r.State == gate.ReviewApproved || r.State == gate.ReviewChangesRequested || r.State == gate.ReviewDismissed {
			last[strings.ToLower(r.Reviewer)] = r
		}
	}
	involved := []string{s.Pull.Author, p.Bot, ""}
	for _, c := range s.Commits {
		involved = append(involved, c.Author, c.Committer)
		for _, co := range c.CoAuthors {
			involved = append(involved, co.Login)
		}
	}
	for _, who := range involved {
		delete(last, strings.ToLower(who))
	}
	n := 0
	for _, r := range last {
		if r.State == gate.ReviewApproved && r.Commit == s.Pull.Head && r.ObservedHead == s.Pull.Head && r.Official == ref.Yes && r.Eligible == ref.Yes {
			n++
		}
	}
	return n
}

func TestUnknownNeverMerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		erin := approval(nextID(&s), "erin") // who has no other part in it
		erin.Commit, erin.ObservedHead = s.Pull.Head, s.Pull.Head
		s.Reviews = append(s.Reviews, erin)
		last := &s.Reviews[len(s.Reviews)-1]
		all := append(factsOf(&s), &last.Official, &last.Eligible)
		before := gate.Evaluate(s, p, now)
		*pick(t, "fact", all) = ref.Unknown
		v := gate.Evaluate(s, p, now)
		if v.Outcome == gate.Merge {
			t.Fatalf("merges on an unknown fact: %+v", s)
		}
		if before.Outcome != gate.Merge {
			return
		}
		for _, r := range v.Reasons {
			if r.Code == gate.CodeUnknown && r.Sentence != "" {
				return
			}
		}
		t.Fatalf("an unknown fact is not named: %v", v.Reasons)
	})
}

func TestABadSignNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		before := gate.Evaluate(s, p, now)
		if rapid.Bool().Draw(t, "veto") {
			who := pick(t, "who", logins)
			s.Reviews = append(s.Reviews, review(50, who, gate.ReviewChangesRequested))
		} else {
			id := rapid.Int64Range(1, 500).Draw(t, "id")
			for _, have := range s.Checks.Statuses {
				if have.ID == id {
					t.Skip("ids are distinct")
				}
			}
			s.Checks.Statuses = append(s.Checks.Statuses, status(
				id, pick(t, "context", contexts), gate.StateFailure, pick(t, "creator", logins), pick(t, "url", []string{"/runs/1/jobs/0", "/runs/9/jobs/0"}),
			))
		}
		after := gate.Evaluate(s, p, now)
		if after.Outcome == gate.Merge && before.Outcome != gate.Merge {
			t.Fatalf("a failing status or a change request made it merge; before: %v", before.Reasons)
		}
	})
}

func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		v := gate.Evaluate(s, p, now)
		if again := gate.Evaluate(s, p, now); !reflect.DeepEqual(v, again) {
			t.Fatalf("twice the same gave two verdicts:\n%+v\n%+v", v, again)
		}
		shuffled := s
		shuffled.Reviews = rapid.Permutation(s.Reviews).Draw(t, "reviews")
		shuffled.Checks.Statuses = rapid.Permutation(s.Checks.Statuses).Draw(t, "statuses")
		shuffled.Checks.Jobs = rapid.Permutation(s.Checks.Jobs).Draw(t, "jobs")
		shuffled.Pull.Labels = rapid.Permutation(s.Pull.Labels).Draw(t, "labels")
		if other := gate.Evaluate(shuffled, p, now); !reflect.DeepEqual(v, other) {
			t.Fatalf("the order of the lists changed the verdict:\n%+v\n%+v", v, other)
		}
	})
}
