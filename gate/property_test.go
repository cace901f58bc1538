package gate_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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
	if rapid.Bool().Draw(t, "whole") {
		s, p = whole()
	}
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
	func(t *rapid.T, s *gate.Snapshot, p *gate.Policy) {
		*pick(t, "fact", factsOf(s, *p)) = pick(t, "is", facts)
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
		p.Principals = pick(t, "people", []map[string]gate.Principal{{}, persons("alice", "bob", "carol"), persons("dave")})
	},
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Principals[pick(t, "agent", []string{"alice", "bob", "carol", "dave"})] = agent(
			pick(t, "model", []string{"m1", "M1", "m2", ""}), pick(t, "operator", []string{"o1", "o2", ""}), "")
	},
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.OperatorOnce = rapid.Bool().Draw(t, "operator once")
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Pusher, s.PusherRead = pick(t, "pusher", logins), pick(t, "pusher read", facts)
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Retargeted = pick(t, "retargeted", []time.Time{{}, now.Add(-time.Hour), now.Add(-2 * time.Hour)})
	},
	func(t *rapid.T, s *gate.Snapshot, p *gate.Policy) {
		p.Demands = append(p.Demands, gate.Demand{
			Name: "drawn", Count: rapid.IntRange(0, 3).Draw(t, "count"), Person: rapid.Bool().Draw(t, "person"),
			Paths: pick(t, "paths", [][]string{nil, {"app/**"}, {"docs/**"}}), From: pick(t, "from", []gate.Who{{}, {People: []string{"dave", "Bob"}}, {Teams: []string{"acme/x"}}}),
		})
	},
	func(t *rapid.T, s *gate.Snapshot, p *gate.Policy) {
		p.Emergency = gate.EmergencyRule{By: gate.Who{People: []string{"erin"}}, Waives: []string{"demand", "owners", "freeze", "hold", "condition", "base", "approvals", "check"}}
		s.Emergency = &gate.Emergency{By: "erin", Reason: "it burns", Head: pick(t, "emergency on", heads)}
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Files = pick(t, "files", [][]gate.File{nil, {{Path: "docs/x.md", Added: 400}}, {{Path: "x", Previous: "app/x"}}})
	},
	func(t *rapid.T, s *gate.Snapshot, p *gate.Policy) { pick(t, "objection", objections)(t, s, p) },
	crew, crew,
}

// objections are what can only be against a merge.
var objections = []func(*rapid.T, *gate.Snapshot, *gate.Policy){
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Reviews = append(s.Reviews, review(nextID(s), pick(t, "who objects", logins), gate.ReviewChangesRequested))
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Checks.Statuses = append(s.Checks.Statuses, status(
			nextID(s), pick(t, "context", contexts), gate.StateFailure, pick(t, "creator", logins), pick(t, "url", []string{"/runs/1/jobs/0", "/runs/9/jobs/0"}),
		))
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		j := job(rapid.Int64Range(1, 3).Draw(t, "run"), rapid.Int64Range(1, 3).Draw(t, "attempt"), gate.StateFailure)
		s.Checks.Jobs = append(s.Checks.Jobs, j)
	},
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Holds = append(s.Holds, gate.Hold{By: "dave"}) },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Pull.Labels = append([]string{"Hold"}, s.Pull.Labels...)
	},
	func(_ *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Freezes = append(p.Freezes[:len(p.Freezes):len(p.Freezes)], window(now.Add(time.Hour)))
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		c := gate.Commit{SHA: older, Author: pick(t, "unmapped author", []string{"", "carol"}), Parents: 1}
		s.Commits = append(s.Commits[:len(s.Commits):len(s.Commits)], c)
	},
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Frozen = "its tree was another" },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft = ref.Yes },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Crew.Registered = ref.No },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Crew = gate.Crew{} },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.No },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.UpToDate = ref.No },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.OwnersFaults = []string{"CODEOWNERS:1: no"} },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.HeadPolicyFaults = []string{"no"} },
	func(_ *rapid.T, _ *gate.Snapshot, p *gate.Policy) { p.Faults = []string{"no"} },
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Demands = append(p.Demands[:len(p.Demands):len(p.Demands)], gate.Demand{Name: "more", From: gate.Who{People: []string{pick(t, "wanted", logins)}}})
	},
	func(t *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Owned = append(s.Owned[:len(s.Owned):len(s.Owned)], gate.Ownership{Pattern: "*", Line: 9, Owners: []string{pick(t, "owner", logins)}})
	},
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		condition(pick(t, "holds", []ref.Fact{ref.No, ref.Unknown}), "")(nil, p)
	},
	func(_ *rapid.T, s *gate.Snapshot, p *gate.Policy) { p.OnRequest, s.Asked = true, nil },
	func(t *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Excluded.People = append(p.Excluded.People[:len(p.Excluded.People):len(p.Excluded.People)], pick(t, "excluded", logins))
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

// factsOf are all facts of a snapshot that the policy asks for, but for those
// of its reviews.
func factsOf(s *gate.Snapshot, p gate.Policy) []*ref.Fact {
	facts := []*ref.Fact{
		&s.Pull.Open, &s.Pull.Merged, &s.Pull.Draft, &s.Pull.Mergeable, &s.CommitsRead, &s.ReviewsRead,
		&s.WorkflowsChanged, &s.Checks.StatusesRead, &s.Checks.JobsRead, &s.FrozenRead,
	}
	if p.UpToDate {
		facts = append(facts, &s.UpToDate)
	}
	if p.Owners.Required {
		facts = append(facts, &s.OwnedRead)
	}
	limited := p.Owners.Required && s.OwnedRead == ref.Yes
	for _, c := range p.Checks {
		limited = limited || len(c.Paths) > 0 && !c.Optional
	}
	for _, d := range p.Demands {
		limited = limited || len(d.Paths) > 0 || d.Lines > 0
	}
	if limited {
		facts = append(facts, &s.FilesRead)
	}
	if facts = append(facts, &s.Crew.Read); crews(s) {
		facts = append(facts, &s.Crew.Registered)
	}
	return facts
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
		for _, f := range factsOf(&s, p) {
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
		if crews(&s) && s.Crew.Registered != ref.Yes {
			t.Fatalf("merges a head that no attempt registered")
		}
		if s.Checks.SHA != s.Pull.Head || !allCame(s, p) {
			t.Fatalf("merges without required checks of its head")
		}
	})
	if merged == 0 {
		t.Fatal("no merge came up, so nothing was tried")
	}
}

// allCame says, in another way than the gate, whether some check is required of
// the change and each that is has come and succeeded at least once.
func allCame(s gate.Snapshot, p gate.Policy) bool {
	required := 0
	for _, r := range p.Checks {
		touched := len(r.Paths) == 0 || slices.ContainsFunc(s.Files, func(f gate.File) bool { return strings.HasPrefix(f.Path+f.Previous, "docs/") })
		if r.Optional || !touched {
			continue
		}
		required++
		if !slices.ContainsFunc(s.Checks.Statuses, func(c gate.Status) bool { return c.Context == r.Context && c.State == gate.StateSuccess }) {
			return false
		}
		if r.Workflow != "" && !slices.ContainsFunc(s.Checks.Jobs, func(j gate.Job) bool { return j.Head == s.Pull.Head && j.State == gate.StateSuccess }) {
			return false
		}
	}
	return required > 0
}

// approvers counts, in another way than the gate, the people who approved this
// head last, had no part in it and are independent of each other: it tries
// every set of them. Ids rise through the list.
func approvers(s gate.Snapshot, p gate.Policy) int {
	last := map[string]gate.Review{}
	for _, r := range s.Reviews {
		if r.State == gate.ReviewApproved || r.State == gate.ReviewChangesRequested || r.State == gate.ReviewDismissed {
			last[strings.ToLower(r.Reviewer)] = r
		}
	}
	involved := []string{s.Pull.Author, p.Bot, ""}
	if s.PusherRead == ref.Yes {
		involved = append(involved, s.Pusher)
	}
	for _, c := range s.Commits {
		involved = append(involved, c.Author, c.Committer)
		for _, co := range c.CoAuthors {
			involved = append(involved, co.Login)
		}
	}
	for _, who := range involved {
		delete(last, strings.ToLower(who))
	}
	author := principal(s, p, s.Pull.Author)
	var set []gate.Principal
	for who, r := range last {
		given := r.State == gate.ReviewApproved && r.Commit == s.Pull.Head && r.ObservedHead == s.Pull.Head && r.Official == ref.Yes && r.Eligible == ref.Yes
		late := s.Retargeted.IsZero() || r.At.After(s.Retargeted.Add(time.Second-1))
		is := principal(s, p, who)
		fit := is.Kind == gate.KindPerson || is.Kind == gate.KindAgent && is.Model != "" && (!p.OperatorOnce || is.Operator != "") &&
			(author.Kind == gate.KindPerson || author.Kind == gate.KindAgent && author.Model != "" && !strings.EqualFold(author.Model, is.Model))
		if given && late && fit {
			set = append(set, is)
		}
	}
	most := 0
	for mask := range 1 << len(set) {
		n, models, operators := 0, map[string]bool{}, map[string]bool{}
		for i, is := range set {
			if mask&(1<<i) == 0 {
				continue
			}
			n++
			if is.Kind == gate.KindPerson {
				continue
			}
			if model, operator := strings.ToLower(is.Model), strings.ToLower(is.Operator); models[model] || p.OperatorOnce && operators[operator] {
				n = -len(set)
			} else {
				models[model], operators[operator] = true, true
			}
		}
		most = max(most, n)
	}
	return most
}

func principal(s gate.Snapshot, p gate.Policy, who string) gate.Principal {
	if member(&s, who) {
		is := s.Crew.Members[strings.ToLower(who)]
		is.Kind = gate.KindAgent
		return is
	}
	is := p.Principals[strings.ToLower(who)]
	for _, team := range p.PeopleTeams {
		if is.Kind == gate.KindUnknown && slices.Contains(s.Teams[team], strings.ToLower(who)) {
			is.Kind = gate.KindPerson
		}
	}
	return is
}

func TestUnknownNeverMerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		p.Principals["erin"] = gate.Principal{Kind: gate.KindPerson}
		if !slices.Contains(s.Teams["acme/core"], "erin") && s.Teams != nil {
			s.Teams["acme/core"] = append(s.Teams["acme/core"], "erin")
		}
		erin := approval(nextID(&s), "erin") // who has no other part in it
		erin.Commit, erin.ObservedHead = s.Pull.Head, s.Pull.Head
		s.Reviews = append(s.Reviews, erin)
		last := &s.Reviews[len(s.Reviews)-1]
		all := append(factsOf(&s, p), &last.Official, &last.Eligible)
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

func TestAnObjectionNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		before := gate.Evaluate(s, p, now)
		pick(t, "objection", objections)(t, &s, &p)
		after := gate.Evaluate(s, p, now)
		if after.Outcome == gate.Merge && before.Outcome != gate.Merge {
			t.Fatalf("an objection made it merge; before: %v", before.Reasons)
		}
	})
}

func TestAnOlderFailureNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		before := gate.Evaluate(s, p, now)
		id := rapid.Int64Range(1, 500).Draw(t, "id")
		if slices.ContainsFunc(s.Checks.Statuses, func(have gate.Status) bool { return have.ID == id }) {
			t.Skip("ids are distinct")
		}
		s.Checks.Statuses = append(s.Checks.Statuses, status(
			id, pick(t, "context", contexts), gate.StateFailure, pick(t, "creator", logins), pick(t, "url", []string{"/runs/1/jobs/0", "/runs/9/jobs/0"}),
		))
		if after := gate.Evaluate(s, p, now); after.Outcome == gate.Merge && before.Outcome != gate.Merge {
			t.Fatalf("a failing status made it merge; before: %v", before.Reasons)
		}
	})
}

// TestAnEmergencyWaivesNoProof compares with the same without the emergency:
// what is missing of approvals, checks and all else that is no free decision
// stays missing.
func TestAnEmergencyWaivesNoProof(t *testing.T) {
	waived := 0
	rapid.Check(t, func(t *rapid.T) {
		s, p := world(t)
		burning()(&s, &p)
		s.Emergency.Head = s.Pull.Head
		with := gate.Evaluate(s, p, now)
		s.Emergency = nil
		without := gate.Evaluate(s, p, now)
		if with.Waived {
			waived++
		}
		for _, r := range without.Reasons {
			switch r.Code {
			case gate.CodeFreeze, gate.CodeCondition, gate.CodeDemand, gate.CodeOwners, gate.CodeOutdated, gate.CodeHold:
				continue
			}
			if !slices.ContainsFunc(with.Reasons, func(q gate.Reason) bool { return q.Sentence == r.Sentence }) {
				t.Fatalf("an emergency waives %+v", r)
			}
		}
	})
	if waived == 0 {
		t.Fatal("nothing was ever waived, so nothing was tried")
	}
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
		shuffled.Approvers = rapid.Permutation(s.Approvers).Draw(t, "approvers")
		shuffled.Pull.Labels = rapid.Permutation(s.Pull.Labels).Draw(t, "labels")
		if other := gate.Evaluate(shuffled, p, now); !reflect.DeepEqual(v, other) {
			t.Fatalf("the order of the lists changed the verdict:\n%+v\n%+v", v, other)
		}
	})
}
