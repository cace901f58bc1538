package change

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/ref"
)

const (
	head    = ref.SHA("1111111111111111111111111111111111111111")
	other   = ref.SHA("2222222222222222222222222222222222222222")
	landed1 = ref.SHA("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	newer   = ref.SHA("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
	digest  = ref.Digest("sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc")
	strange = ref.Digest("sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd")
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	repo  = ref.RepoID{Owner: "acme", Name: "app"}
	id    = ref.PullID{Repo: repo, Number: 1}
	where = ref.TargetID{Repo: repo, Environment: "production"}
)

func plan() Plan {
	return Plan{
		Gate:      gate.Policy{Bot: "slipway-bot"},
		Merge:     MergePlan{Method: "squash"},
		PostMerge: []gate.CheckRule{{Context: "post", Creator: "ci"}},
		Deadlines: Deadlines{Review: time.Hour, PostMergeCI: time.Hour, Image: time.Hour, Rollout: time.Hour, Health: time.Hour},
	}
}

func green(sha ref.SHA) gate.Checks {
	return gate.Checks{SHA: sha, StatusesRead: ref.Yes, JobsRead: ref.Yes,
		Statuses: []gate.Status{{ID: 1, Context: "post", Creator: "ci", State: gate.StateSuccess}}}
}

// world is what Decide acts on: it does what it is told, and counts.
type world struct {
	open, merged bool
	judged       bool
	mergedHead   ref.SHA
	mergedBy     string
	posted       Posted
	checks       gate.Checks
	release      *Release
	tag          TagFact
	page         PageFact
	image        ImageFact
	target       deployer.Target
	newerHealthy *deployer.Release
	revert       RevertFact
	done         map[string]int
}

func newWorld() *world {
	return &world{open: true, judged: true, tag: TagFact{Exists: ref.No}, page: PageFact{Exists: ref.No},
		image: ImageFact{Repository: "registry.test/acme/app", Exists: ref.No}, revert: RevertFact{Found: ref.No},
		target: deployer.Target{ID: where}, done: map[string]int{}}
}

func (w *world) observe() Observation {
	o := Observation{
		Pull: gate.PullRequest{ID: id, Title: "feat: x", Author: "alice", Head: head, Base: "main",
			Open: ref.Known(w.open), Merged: ref.Known(w.merged), Opened: start},
		Posted: w.posted, PostMerge: w.checks, Release: w.release, Tag: w.tag, Page: w.page, Image: w.image,
		Target: w.target, NewerHealthy: w.newerHealthy, Revert: w.revert, Snapshot: "snap",
	}
	o.Verdict = gate.Verdict{Head: head, Reasons: []gate.Reason{{Code: gate.CodeApprovals, Sentence: "two approvals are missing"}}}
	if w.judged {
		o.Verdict = gate.Verdict{Outcome: gate.Merge, Head: head}
	}
	if w.merged {
		o.Pull.MergeSHA, o.Pull.MergedBy, o.Pull.MergedAt, o.Pull.Head = landed1, w.mergedBy, start.Add(time.Minute), w.mergedHead
	}
	return o
}

func (w *world) act(a Action) {
	w.done[fmt.Sprintf("%T", a)]++
	switch a := a.(type) {
	case PostStatus:
		w.posted = a.Posted
	case Merge:
		w.merged, w.open, w.mergedHead, w.mergedBy = true, false, a.Intent.Head, "slipway-bot"
	case ReserveVersion:
		w.release = &Release{Tag: "v0.1.0", Position: 1}
	case CreateTag:
		w.tag = TagFact{Exists: ref.Yes, Commit: a.Commit}
	case PublishRelease:
		w.page = PageFact{Exists: ref.Yes, URL: "http://forge.test/release"}
	case BuildImage:
		w.image.Built = digest
	case PushImage:
		w.image.Exists, w.image.Digest = ref.Yes, a.Digest
	case OfferRelease:
		w.release.Offered = a.Pin
	case OpenRevert:
		w.revert = RevertFact{Found: ref.Yes, Pull: ref.PullID{Repo: repo, Number: 2}, State: RevertOpen}
	}
}

func (w *world) deploy(phase deployer.Phase) {
	d := deployer.Deployment{Release: deployer.Release{Version: "v0.1.0", Merge: landed1}, Image: "registry.test/acme/app:v0.1.0", Phase: phase,
		At: start, Ended: start.Add(2 * time.Minute), Reason: "the pods crash"}
	if phase == deployer.PhaseHealthy || phase == deployer.PhaseSimulated {
		d.Rolled = start.Add(time.Minute)
	}
	w.target.Current = &d
	if phase == deployer.PhaseRolledBack {
		back := deployer.Deployment{Image: "registry.test/acme/app:before", Back: true, Of: "v0.1.0", By: "slipway", Phase: deployer.PhaseHealthy}
		w.target.Current, w.target.Past = &back, []deployer.Deployment{d}
	}
}

// kept is the record after an action that writes to it in its own transaction.
func kept(c Change, a Action) Change {
	if v, ok := a.(VerifyLanding); ok {
		c.Landed, c.Receipt = &Landed{Equal: ref.Yes, Tree: other}, &Receipt{Merge: v.Merge, Head: v.Head}
	}
	return c
}

// settle looks until nothing is left to do.
func settle(t interface {
	Helper()
	Fatalf(string, ...any)
}, c Change, w *world) Change {
	t.Helper()
	for range 50 {
		next, action := Decide(c, w.observe(), plan(), start)
		if action == nil && reflect.DeepEqual(c, next) {
			return next
		}
		if c = next; action != nil {
			w.act(action)
			c = kept(c, action)
		}
	}
	t.Fatalf("the change does not come to rest: %+v", c)
	return c
}

func TestAChangeGoesThroughAllEightGates(t *testing.T) {
	w := newWorld()
	w.checks = green(landed1)
	c := settle(t, New(id), w)
	if got := c.Gate(Image).State; got != Passed {
		t.Fatalf("image gate: %s (%s)", got, c.Gate(Image).Reason)
	}
	w.deploy(deployer.PhaseHealthy)
	c = settle(t, c, w)
	if c.Outcome != OutcomeHealthy {
		t.Fatalf("outcome %q, gates %+v", c.Outcome, c.Gates)
	}
	for _, g := range c.Gates {
		if g.State != Passed || g.At.IsZero() {
			t.Errorf("gate %s: %s at %v", g.Name, g.State, g.At)
		}
	}
	for name, n := range w.done {
		if n != 1 {
			t.Errorf("%s was done %d times", name, n)
		}
	}
}

func TestEndings(t *testing.T) {
	cases := map[string]struct {
		world   func(w *world)
		outcome Outcome
		gate    GateName
		state   GateState
	}{
		"a pull request closed unmerged ends closed":      {func(w *world) { w.open = false }, OutcomeClosed, Merged, Waiting},
		"fake nodes end simulated, never healthy":         {func(w *world) { w.checks = green(landed1); w.deploy(deployer.PhaseSimulated) }, OutcomeSimulated, Health, Simulated},
		"a bad rollout ends rolled back, with its revert": {func(w *world) { w.checks = green(landed1); w.deploy(deployer.PhaseRolledBack) }, OutcomeRolled, Rollout, Failed},
		"a failed rollout with no way back stays open":    {func(w *world) { w.checks = green(landed1); w.deploy(deployer.PhaseFailed) }, Open, Rollout, Failed},
		"a newer healthy version that contains it supersedes it": {func(w *world) {
			w.checks = green(landed1)
			w.newerHealthy = &deployer.Release{Version: "v0.2.0", Merge: newer}
		}, OutcomeSupersede, Image, Skipped},
		"a failing post-merge check stops it before the tag": {func(w *world) { w.checks = green(landed1); w.checks.Statuses[0].State = gate.StateFailure }, Open, PostMergeCI, Failed},
		"checks read on another commit are no checks":        {func(w *world) { w.checks = green(other) }, Open, PostMergeCI, Waiting},
		"a tag that names another commit stops it":           {func(w *world) { w.checks = green(landed1); w.tag = TagFact{Exists: ref.Yes, Commit: other} }, Open, Image, Failed},
		"an image in the registry that was not built here stops it": {func(w *world) {
			w.checks = green(landed1)
			w.image.Exists, w.image.Digest = ref.Yes, strange
		}, Open, Image, Failed},
		"a merge by hand is not released by itself": {func(w *world) {
			w.merged, w.open, w.mergedHead, w.mergedBy, w.checks = true, false, head, "mallory", green(landed1)
		}, Open, Reviewed, Failed},
		"a failed rollout ends superseded once a newer healthy version contains it": {func(w *world) {
			w.checks = green(landed1)
			w.deploy(deployer.PhaseFailed)
			w.newerHealthy = &deployer.Release{Version: "v0.2.0", Merge: newer}
			w.release = &Release{Tag: "v0.1.0", Position: 1, Offered: ref.Pin{Repository: "registry.test/acme/app", Tag: "v0.1.0", Digest: digest}}
		}, OutcomeSupersede, Rollout, Failed},
		"an unread tag waits": {func(w *world) { w.checks = green(landed1); w.tag = TagFact{} }, Open, Image, Waiting},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c.world(w)
			got := settle(t, New(id), w)
			if got.Outcome != c.outcome || got.Gate(c.gate).State != c.state {
				t.Fatalf("outcome %q, gate %s %s (%s); want %q, %s", got.Outcome, c.gate, got.Gate(c.gate).State, got.Gate(c.gate).Reason, c.outcome, c.state)
			}
		})
	}
}

func TestM1AMergeNamesTheJudgedHead(t *testing.T) {
	w := newWorld()
	o := w.observe()
	o.Verdict.Head = other
	c, action := Decide(New(id), o, plan(), start)
	if _, merges := action.(Merge); merges || c.Intent != nil {
		t.Fatalf("a verdict about %s led to %T on %s", other, action, head)
	}
	c, action = Decide(New(id), w.observe(), plan(), start)
	m, ok := action.(Merge)
	if !ok || m.Intent.Head != head || c.Intent == nil || c.Intent.Head != head {
		t.Fatalf("got %#v, intent %+v", action, c.Intent)
	}
}

func TestAPushTakesTheIntentBack(t *testing.T) {
	w := newWorld()
	c, _ := Decide(New(id), w.observe(), plan(), start)
	w.judged = false
	c, _ = Decide(c, w.observe(), plan(), start)
	if c.Intent != nil || c.Gate(Reviewed).State == Passed {
		t.Fatalf("the intent survived: %+v, %s", c.Intent, c.Gate(Reviewed).State)
	}
}

func TestWhoMergedDecidesWhetherItWasJudged(t *testing.T) {
	cases := map[string]struct {
		intent   bool
		by       string
		head     ref.SHA
		unjudged bool
	}{
		"the bot merged what it intended":                      {true, "slipway-bot", head, false},
		"a login's case says nothing":                          {true, "Slipway-Bot", head, false},
		"a push to the branch after the merge changes nothing": {true, "slipway-bot", other, false},
		"somebody else was quicker than the bot":               {true, "mallory", head, true},
		"the bot's account merged what was never judged":       {false, "slipway-bot", head, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.judged = tc.intent
			c, _ := Decide(New(id), w.observe(), plan(), start)
			w.merged, w.open, w.mergedHead, w.mergedBy = true, false, tc.head, tc.by
			c, _ = Decide(c, w.observe(), plan(), start)
			if c.Unjudged != tc.unjudged || c.Head == "" || (!tc.unjudged && c.Head != head) {
				t.Fatalf("unjudged %v, head %s", c.Unjudged, c.Head)
			}
		})
	}
}

func TestAReopenedPullRequestGoesOn(t *testing.T) {
	w := newWorld()
	w.open, w.judged = false, false
	c := settle(t, New(id), w)
	if c.Outcome != OutcomeClosed {
		t.Fatalf("outcome %q", c.Outcome)
	}
	w.open = true
	if c = settle(t, c, w); c.Outcome != Open || !c.Ended.IsZero() || c.Posted.Head != head {
		t.Fatalf("reopened: outcome %q, ended %v, posted %+v", c.Outcome, c.Ended, c.Posted)
	}
}

func TestARefusedMergeIsToldAndNotRepeated(t *testing.T) {
	w := newWorld()
	c, action := Decide(New(id), w.observe(), plan(), start)
	c = c.WithRefusal(action, "squash is not allowed here", start)
	c, action = Decide(c, w.observe(), plan(), start.Add(time.Second))
	posts, ok := action.(PostStatus)
	if !ok || posts.Posted.State != gate.StateFailure || !strings.Contains(posts.Posted.Text, "squash is not allowed") {
		t.Fatalf("got %#v", action)
	}
	w.act(action)
	if c, action = Decide(c, w.observe(), plan(), start.Add(2*time.Second)); action != nil {
		t.Fatalf("within the pause: %#v", action)
	}
	if c, action = Decide(c, w.observe(), plan(), start.Add(firstPause)); Verb(action) != "merge" {
		t.Fatalf("after the pause: %#v", action)
	}
	again := c.WithRefusal(action, "still not", start.Add(firstPause))
	if again.Refusal.Times != 2 || again.Refusal.Until.Sub(again.Refusal.At) != 2*firstPause {
		t.Fatalf("%+v", again.Refusal)
	}
}

func TestAFaultyPolicyOnTheMergeCommitReleasesNothing(t *testing.T) {
	w := newWorld()
	w.checks = green(landed1)
	c, _ := Decide(New(id), w.observe(), plan(), start)
	w.act(Merge{Intent: *c.Intent})
	p := plan()
	p.Faults = []string{".slipway.yaml:3: no such key"}
	c, action := Decide(c, w.observe(), p, start)
	c, action = Decide(kept(c, action), w.observe(), p, start)
	if action != nil || c.Gate(PostMergeCI).State != Failed || c.Releasable {
		t.Fatalf("%#v, %+v", action, c.Gate(PostMergeCI))
	}
}

func TestAPersonsRollbackTakesAHealthyChangeBack(t *testing.T) {
	w := newWorld()
	w.checks = green(landed1)
	c := settle(t, New(id), w)
	w.deploy(deployer.PhaseHealthy)
	c = settle(t, c, w)
	w.deploy(deployer.PhaseRolledBack)
	w.target.Current.By = "ops"
	c = settle(t, c, w)
	if c.Outcome != OutcomeRolled || c.Revert != nil {
		t.Fatalf("outcome %q, revert %+v", c.Outcome, c.Revert)
	}
}

func TestAGateGoesOverdueOnce(t *testing.T) {
	w := newWorld()
	w.judged = false
	c, _ := Decide(New(id), w.observe(), plan(), start)
	g := c.Gate(Reviewed)
	if g.Overdue || !g.Deadline.Equal(start.Add(time.Hour)) {
		t.Fatalf("deadline %v, overdue %v", g.Deadline, g.Overdue)
	}
	c, _ = Decide(c, w.observe(), plan(), start.Add(2*time.Hour))
	if !c.Gate(Reviewed).Overdue {
		t.Fatal("an hour past its deadline it is not overdue")
	}
}

// TestA5KilledAnywhereNothingIsDoneTwice kills the loop before or after any
// record and any action: what the world shows decides, so each effect happens
// once.
func TestA5KilledAnywhereNothingIsDoneTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.checks = green(landed1)
		stored := New(id)
		for range 200 {
			next, action := Decide(stored, w.observe(), plan(), start)
			again, same := Decide(next, w.observe(), plan(), start)
			if !reflect.DeepEqual(next, again) || fmt.Sprintf("%#v", action) != fmt.Sprintf("%#v", same) {
				t.Fatalf("not stable on the same facts:\n%+v\n%+v", next, again)
			}
			if rapid.IntRange(0, 3).Draw(t, "killed before the record") == 0 {
				continue
			}
			stored = next
			if action == nil {
				if w.release != nil && !w.release.Offered.IsZero() && w.target.Current == nil {
					w.deploy(deployer.PhaseHealthy)
				}
				if stored.Outcome != Open {
					break
				}
				continue
			}
			if rapid.IntRange(0, 3).Draw(t, "killed before the action") == 0 {
				continue
			}
			w.act(action)
			stored = kept(stored, action)
		}
		if stored.Outcome != OutcomeHealthy {
			t.Fatalf("outcome %q: %+v", stored.Outcome, stored.Gates)
		}
		for name, n := range w.done {
			if n != 1 {
				t.Fatalf("%s was done %d times", name, n)
			}
		}
	})
}
