package gate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/gate"
	"slipway/internal/ref"
)

var (
	newer = sha("c")
	crowd = []string{"pia", "pat", "pim", "abe", "ada", "axl", "uma"}
)

// crowded is a pull request of which every fact is known, among a small crowd
// of persons, agents and one of whom nothing is declared.
func crowded(t *rapid.T) (gate.Snapshot, gate.Policy) {
	s, p := ready(), policy()
	p.Principals = persons("pia", "pat", "pim", "carol")
	robots := pick(t, "robots", [][]string{{"abe", "ada", "axl"}, {"abe", "ada", "axl", "pat", "pim"}})
	for _, who := range robots {
		p.Principals[who] = agent(pick(t, "model", []string{"m1", "m2", "m3", ""}), pick(t, "operator", []string{"o1", "o2", "O1"}), pick(t, "pool", []string{"red", "blue"}))
	}
	p.Approvals = rapid.IntRange(0, 4).Draw(t, "approvals")
	p.OperatorOnce = rapid.Bool().Draw(t, "operator once")
	s.Pull.Author = pick(t, "author", []string{"carol", "carol", "carol", "abe", "pia"})
	s.Teams = map[string][]string{
		"acme/security": some(t, "security", crowd), "acme/owners": some(t, "owners", crowd),
	}
	s.Approvers, s.ApproversRead = some(t, "approvers", crowd), ref.Yes
	p.Demands, p.Owners.Required = nil, true
	for i := range rapid.IntRange(0, 2).Draw(t, "demands") {
		d := gate.Demand{Name: fmt.Sprint("d", i), Count: rapid.IntRange(0, 2).Draw(t, "count"), Person: rapid.Bool().Draw(t, "person")}
		d.From = pick(t, "from", []gate.Who{{}, {Teams: []string{"Acme/Security"}}, {People: []string{"Pia", "abe"}}, {Pools: []string{"red"}, People: []string{"pat"}}})
		p.Demands = append(p.Demands, d)
	}
	s.OwnedRead = ref.Yes
	for i := range rapid.IntRange(0, 2).Draw(t, "owned") {
		s.Owned = append(s.Owned, gate.Ownership{
			Pattern: fmt.Sprint("/dir", i, "/"), Line: i + 1, Paths: []string{"dir/x"},
			Owners: pick(t, "owners", [][]string{{"pim"}, {"acme/owners"}, {"pia", "acme/owners"}, {"carol", "pat"}}),
		})
	}
	s.Reviews = nil
	for _, who := range some(t, "reviewers", crowd) {
		r := approval(nextID(&s), who)
		r.State = pick(t, "spoke", spoken)
		if rapid.Bool().Draw(t, "stale") {
			r.Commit, r.ObservedHead = older, older
		}
		s.Reviews = append(s.Reviews, r)
	}
	if rapid.Bool().Draw(t, "pools") {
		manned(t, &s)
	}
	switch pick(t, "chooser", []string{"", "", "excluded", "approvers", "pusher"}) {
	case "excluded":
		p.Excluded = gate.Who{People: []string{pick(t, "excluded", crowd)}}
	case "approvers":
		p.Approvers = gate.Who{People: some(t, "approvers of the policy", crowd)}
	case "pusher":
		s.Pusher, s.PusherRead = pick(t, "pusher", crowd), ref.Yes
	}
	return s, p
}

// manned has some of the crowd, or the author, be coordinates of pools.
func manned(t *rapid.T, s *gate.Snapshot) {
	s.Crew = gate.Crew{Read: ref.Yes, Registered: pick(t, "registered", []ref.Fact{ref.Yes, ref.No}), Members: map[string]gate.Principal{}}
	for _, who := range some(t, "members", []string{"abe", "ada", "axl", "carol"}) {
		s.Crew.Members[who] = agent(pick(t, "attempted", []string{"m1", "m2", ""}), pick(t, "operator", []string{"o1", "o2"}), pick(t, "pool", []string{"red", "blue"}))
	}
}

// some are a part of a list, in its order.
func some(t *rapid.T, label string, from []string) []string {
	mask := rapid.IntRange(0, 1<<len(from)-1).Draw(t, label)
	var out []string
	for i, x := range from {
		if mask&(1<<i) != 0 {
			out = append(out, x)
		}
	}
	return out
}

// ails are what else may keep a pull request from merging.
var ails = []func(*rapid.T, *gate.Snapshot, *gate.Policy){
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft = ref.Yes },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Pull.Open = ref.No },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Pull.Labels = []string{"Hold"} },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Holds = []gate.Hold{{By: "pia", Reason: "demo"}} },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Frozen = "the tree was another" },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) {
		s.Checks.Statuses = s.Checks.Statuses[:min(len(s.Checks.Statuses), 1)]
	},
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Checks.Statuses, s.Checks.Jobs = nil, nil },
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.WorkflowsChanged = ref.Yes },
	func(_ *rapid.T, _ *gate.Snapshot, p *gate.Policy) { p.OnRequest = true },
	func(_ *rapid.T, s *gate.Snapshot, p *gate.Policy) {
		p.OnRequest, s.Asked = true, &gate.Asked{By: "carol", Head: head}
	},
	func(_ *rapid.T, s *gate.Snapshot, _ *gate.Policy) { s.Commits[0].Author = "" },
	func(_ *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Freezes = []gate.Freeze{window(now.Add(time.Hour))}
	},
	func(_ *rapid.T, _ *gate.Snapshot, p *gate.Policy) {
		p.Conditions = []gate.Condition{{Name: "titled", Sentence: "it has no title", Holds: func(s gate.Snapshot) (ref.Fact, string) {
			return ref.Known(s.Pull.Title != ""), ""
		}}}
	},
	func(_ *rapid.T, s *gate.Snapshot, p *gate.Policy) {
		p.Emergency = gate.EmergencyRule{By: gate.Who{People: []string{"erin"}}, Waives: []string{"demand", "owners", "freeze"}}
		s.Emergency = &gate.Emergency{By: "erin", Reason: "it burns", Head: head}
	},
}

// sores are what only a push can mend.
var sores = []func(*gate.Snapshot, *gate.Policy){
	func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.No },
	func(s *gate.Snapshot, p *gate.Policy) { p.UpToDate, s.UpToDate = true, ref.No },
	func(s *gate.Snapshot, p *gate.Policy) { p.Linear, s.Commits[0].Parents = true, 2 },
	func(s *gate.Snapshot, _ *gate.Policy) { s.HeadPolicyFaults = []string{"x"} },
	func(s *gate.Snapshot, _ *gate.Policy) {
		s.Checks.Statuses = append(s.Checks.Statuses, status(nextID(s), apiContext, gate.StateFailure, "scanner", ""))
	},
}

// window is a freeze that is on until a time.
func window(end time.Time) gate.Freeze {
	return gate.Freeze{Name: "night", Reason: "nobody is up", Active: func(now time.Time) (bool, time.Time) {
		if now.Before(end) {
			return true, end
		}
		return false, time.Time{}
	}}
}

func TestActsLeadToTheMerge(t *testing.T) {
	led, combined := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s, p := crowded(t)
		for range rapid.IntRange(0, 3).Draw(t, "ails") {
			pick(t, "ail", ails)(t, &s, &p)
		}
		if s.Pusher == "" {
			for range rapid.IntRange(0, 2).Draw(t, "sores") {
				pick(t, "sore", sores)(&s, &p)
			}
		}
		v := gate.Evaluate(s, p, now)
		if (v.Outcome == gate.Merge) != (len(v.Acts) == 0) {
			t.Fatalf("%s with the acts %+v", v.Outcome, v.Acts)
		}
		w := doing{t: t, s: s, p: p, now: now}
		approvals := 0
		for _, a := range v.Acts {
			approvals += w.do(a)
			if strings.HasPrefix(a.Do, "approve") && len(a.For) > 1 {
				combined++
			}
		}
		then := gate.Evaluate(w.s, w.p, w.now)
		if w.lacking && crews(&s) && !member(&s, s.Pull.Author) {
			return // who is lacking is judged beside whoever pushed, and that is somebody else afterwards
		}
		if w.lacking {
			// It says that too few people are left: then nobody's approval may do.
			for _, who := range w.s.Approvers {
				w.approve(who)
			}
			if then = gate.Evaluate(w.s, w.p, w.now); then.Outcome == gate.Merge {
				t.Fatalf("people are said to be lacking, and are not: %+v", v.Acts)
			}
			return
		}
		if then.Outcome != gate.Merge {
			t.Fatalf("all acts were done, and it does not merge: %+v\nbefore %v\nafter %v", v.Acts, v.Reasons, then.Reasons)
		}
		led++
		if approvals > 0 && fewer(&w, approvals) {
			t.Fatalf("%d approvals are asked for, and fewer do: %+v", approvals, v.Acts)
		}
	})
	if led == 0 || combined == 0 {
		t.Fatalf("%d worlds led to a merge, %d acts met two requirements: nothing was tried", led, combined)
	}
}

// TestFewestAgents asks the same where agents alone can approve, so that each
// choice for a demand bears on the count.
func TestFewestAgents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := ready(), policy()
		s.Reviews, s.Approvers, s.ApproversRead = nil, crowd, ref.Yes
		p.Principals, p.OperatorOnce = persons("carol"), rapid.Bool().Draw(t, "operator once")
		p.Approvals = rapid.IntRange(3, 5).Draw(t, "approvals")
		for _, who := range crowd {
			p.Principals[who] = agent(pick(t, "model", []string{"m1", "m2", "m3", "m4", "m5"}), pick(t, "operator", []string{"o1", "o2", "o3", "o4", "o5"}), "")
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "demands") {
			p.Demands = append(p.Demands, gate.Demand{Name: fmt.Sprint("d", i), From: gate.Who{People: append(some(t, "from", crowd), "pia")}})
		}
		v := gate.Evaluate(s, p, now)
		w := doing{t: t, s: s, p: p, now: now}
		approvals := 0
		for _, a := range v.Acts {
			approvals += w.do(a)
		}
		if w.lacking {
			return
		}
		if then := gate.Evaluate(w.s, w.p, w.now); then.Outcome != gate.Merge {
			t.Fatalf("all acts were done, and it does not merge: %+v: %v", v.Acts, then.Reasons)
		}
		if fewer(&w, approvals) {
			t.Fatalf("%d approvals are asked for, and fewer do: %+v", approvals, v.Acts)
		}
	})
}

// fewer says whether any smaller set of the crowd would have done, all other
// acts being the same.
func fewer(w *doing, n int) bool {
	for mask := range 1 << len(crowd) {
		x := doing{t: w.t, s: w.first(), p: w.p, now: w.now}
		given := 0
		for i, who := range crowd {
			if mask&(1<<i) != 0 && slices.Contains(x.s.Approvers, who) {
				x.approve(who)
				given++
			}
		}
		if given < n && gate.Evaluate(x.s, x.p, x.now).Outcome == gate.Merge {
			return true
		}
	}
	return false
}

// doing carries acts out.
type doing struct {
	t       *rapid.T
	s       gate.Snapshot
	p       gate.Policy
	now     time.Time
	given   []int64 // approvals, by review id
	lacking bool
}

// first is the world with all acts done but for the approvals.
func (w *doing) first() gate.Snapshot {
	s := w.s
	s.Reviews = slices.DeleteFunc(slices.Clone(s.Reviews), func(r gate.Review) bool { return slices.Contains(w.given, r.ID) })
	return s
}

// approve is an approval on the head; a coordinate's that has said nothing there
// yet comes of an attempt, which is given a model that nobody else runs.
func (w *doing) approve(who string) {
	is, member := w.s.Crew.Members[who]
	spoke := slices.ContainsFunc(w.s.Reviews, func(r gate.Review) bool {
		return r.Reviewer == who && r.Commit == w.s.Pull.Head && r.State != gate.ReviewCommented && r.State != gate.ReviewNone
	})
	if member && is.Model == "" && !spoke && who != w.s.Pull.Author && who != w.s.Pusher {
		is.Model = "other than " + who + " ran"
		w.s.Crew.Members = maps.Clone(w.s.Crew.Members)
		w.s.Crew.Members[who] = is
	}
	r := approval(nextID(&w.s), who)
	r.Commit, r.ObservedHead, r.At = w.s.Pull.Head, w.s.Pull.Head, now.Add(time.Hour)
	w.s.Reviews = append(slices.Clone(w.s.Reviews), r)
	w.given = append(w.given, r.ID)
}

// do carries one act out, by anybody it names, and says how many approvals
// that took.
func (w *doing) do(a gate.Act) int {
	starts := func(with string) bool { return strings.HasPrefix(a.Do, with) }
	switch {
	case starts("approve"):
		if len(a.Who) < a.Count {
			w.t.Fatalf("%d of %v cannot approve", a.Count, a.Who)
		}
		for _, who := range rapid.Permutation(a.Who).Draw(w.t, "who")[:a.Count] {
			w.approve(who)
		}
		return a.Count
	case starts("rebase onto"), starts("push a fix"), starts("push another head"), starts("mend the policy file"):
		w.push()
	case starts("register"):
		w.s.Crew.Registered = ref.Yes
	case starts("mark it ready"):
		w.s.Pull.Draft = ref.No
	case starts("reopen"):
		w.s.Pull.Open = ref.Yes
	case starts("remove the label"):
		w.s.Pull.Labels = nil
	case starts("lift the hold of pia"):
		w.s.Holds = nil
	case starts("lift the freeze"):
		w.s.Frozen = ""
	case starts("write /merge when ready"):
		w.s.Asked = &gate.Asked{By: "carol", Head: w.s.Pull.Head}
	case starts("add the e-mail"):
		w.s.Commits = slices.Clone(w.s.Commits)
		w.s.Commits[0].Author = "carol"
	case starts("wait until 2026-03-01 13:00 UTC"):
		w.now = now.Add(time.Hour)
	case starts("change it so that the condition titled"):
		w.s.Pull.Title = "a title"
	case starts("wait for check"), starts("report check"):
		w.report()
	case starts("withdraw the change request"):
		r := review(nextID(&w.s), a.Who[0], gate.ReviewDismissed)
		w.s.Reviews = append(slices.Clone(w.s.Reviews), r)
	case starts("declare the emergency"):
		e := *w.s.Emergency
		e.Head = w.s.Pull.Head
		w.s.Emergency = &e
	case starts("let more people"), starts("give line"), starts("declare "):
		w.lacking = true
	default:
		w.t.Fatalf("nobody knows how to %q", a.Do)
	}
	return 0
}

// report has every check come, and green.
func (w *doing) report() {
	green := ready().Checks
	green.SHA = w.s.Pull.Head
	for i := range green.Jobs {
		green.Jobs[i].Head = w.s.Pull.Head
	}
	w.s.Checks = green
}

// push makes a new head on the tip of the base, that CI finds green.
func (w *doing) push() {
	w.s.Pull.Head, w.s.Pull.Mergeable, w.s.UpToDate, w.s.HeadPolicyFaults = newer, ref.Yes, ref.Yes, nil
	w.s.Commits = slices.Clone(w.s.Commits)
	w.s.Commits[0].Parents, w.s.Commits[1].SHA = 1, newer
	w.s.Pusher, w.s.PusherRead = w.s.Pull.Author, ref.Yes
	w.s.Crew.Registered = ref.No
	w.report()
}
