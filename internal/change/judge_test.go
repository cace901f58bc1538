package change

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/ref"
)

// mergedWorld is one whose change was merged on a verdict and observed so.
func mergedWorld(t *testing.T) (*world, Change) {
	t.Helper()
	w := newWorld()
	w.checks = green(landed1)
	c, action := Decide(New(id), w.observe(), plan(), start)
	if _, ok := action.(Merge); !ok {
		t.Fatalf("got %#v", action)
	}
	w.act(action)
	return w, c
}

func TestM6NothingIsReleasedBeforeWhatLandedIsVerified(t *testing.T) {
	w, c := mergedWorld(t)
	c, action := Decide(c, w.observe(), plan(), start)
	v, ok := action.(VerifyLanding)
	if !ok || v.Merge != landed1 || v.Head != head || v.Method != "squash" || v.Commits != 1 {
		t.Fatalf("got %#v", action)
	}
	if !c.Releasable || c.Gate(Merged).State != Waiting {
		t.Fatalf("releasable %v, merged gate %s", c.Releasable, c.Gate(Merged).State)
	}
	c.Landed = &Landed{Equal: ref.Unknown, Why: "the mirror has no such commit"}
	if c, action = Decide(c, w.observe(), plan(), start); Verb(action) != "merge.verify" {
		t.Fatalf("with an unknown landing: %#v", action)
	}
	if _, action = Decide(kept(c, action), w.observe(), plan(), start); Verb(action) != "version.reserve" {
		t.Fatalf("with a receipt: %#v", action)
	}
}

func TestM6WhatLandedOtherwiseIsHeldForGood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.checks = green(landed1)
		c, action := Decide(New(id), w.observe(), plan(), start)
		w.act(action)
		c, _ = Decide(c, w.observe(), plan(), start)
		c.Landed = &Landed{Equal: ref.No, Why: "the trees differ in main.go"}
		for range rapid.IntRange(1, 5).Draw(t, "looks") {
			if rapid.Bool().Draw(t, "a version was reserved") {
				w.release = &Release{Tag: "v0.1.0", Position: 1}
			}
			if c, action = Decide(c, w.observe(), plan(), start); action != nil {
				t.Fatalf("got %#v", action)
			}
			if g := c.Gate(Merged); g.State != Failed || c.Outcome != Open {
				t.Fatalf("merged gate %s, outcome %q", g.State, c.Outcome)
			}
		}
	})
}

func TestAHeldChangeEndsOnceAHealthyVersionContainsIt(t *testing.T) {
	w, c := mergedWorld(t)
	c, _ = Decide(c, w.observe(), plan(), start)
	c.Landed = &Landed{Equal: ref.No, Why: "the trees differ"}
	w.newerHealthy = &deployer.Release{Version: "v0.2.0", Merge: newer}
	if c, _ = Decide(c, w.observe(), plan(), start); c.Outcome != OutcomeSupersede {
		t.Fatalf("outcome %q", c.Outcome)
	}
}

func TestWhatWasReleasedWithoutAReceiptIsNotHeldBack(t *testing.T) {
	w, c := mergedWorld(t)
	w.release = &Release{Tag: "v0.1.0", Position: 1, Offered: ref.Pin{Repository: "registry.test/acme/app", Tag: "v0.1.0", Digest: digest}}
	if c, action := Decide(c, w.observe(), plan(), start); Verb(action) == "merge.verify" || c.Gate(Merged).State != Passed {
		t.Fatalf("got %#v, merged gate %s", action, c.Gate(Merged).State)
	}
}

func TestTheIntentIsOfWhatWasJudgedLast(t *testing.T) {
	w := newWorld()
	c, _ := Decide(New(id), w.observe(), plan(), start)
	o := w.observe()
	o.Snapshot, o.Verdict.Approvals = "later", []gate.Approval{{Login: "carol", ReviewID: 7}}
	c, _ = Decide(c, o, plan(), start.Add(time.Minute))
	if c.Intent.Snapshot != "later" || len(c.Intent.Approvals) != 1 || !c.Intent.At.Equal(start) {
		t.Fatalf("%+v", c.Intent)
	}
}

func TestSinceWhenARequirementWaits(t *testing.T) {
	w := newWorld()
	w.judged = false
	look := func(c Change, at time.Time, head ref.SHA, states map[string]gate.Progress) Change {
		o := w.observe()
		o.Pull.Head, o.Verdict.Head = head, head
		for _, key := range []string{"approvals", "check:ci"} {
			o.Verdict.Requirements = append(o.Verdict.Requirements, gate.Requirement{Key: key, State: states[key]})
		}
		c, _ = Decide(c, o, plan(), at)
		return c
	}
	since := func(c Change, i int) time.Time { return c.Requirements[i].Since }
	c := look(New(id), start, head, map[string]gate.Progress{"check:ci": gate.Met})
	if !since(c, 0).Equal(start) || !since(c, 1).IsZero() {
		t.Fatalf("at first: %+v", c.Requirements)
	}
	later := start.Add(time.Hour)
	c = look(c, later, head, map[string]gate.Progress{"check:ci": gate.Violated, "approvals": gate.Violated})
	if !since(c, 0).Equal(start) || !since(c, 1).Equal(later) {
		t.Fatalf("while one waits and the other begins to: %+v", c.Requirements)
	}
	c = look(c, later.Add(time.Hour), other, nil)
	if !since(c, 0).Equal(later.Add(time.Hour)) || !since(c, 1).Equal(later.Add(time.Hour)) {
		t.Fatalf("on a new head: %+v", c.Requirements)
	}
}

func TestWhatWasAskedIsOfOneHeadAndBase(t *testing.T) {
	cases := map[string]struct {
		change func(p *gate.PullRequest)
		kept   bool
	}{
		"it stays while both stay": {func(*gate.PullRequest) {}, true},
		"a push ends it":           {func(p *gate.PullRequest) { p.Head = other }, false},
		"another base ends it":     {func(p *gate.PullRequest) { p.Base = "release" }, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.judged = false
			c, _ := Decide(New(id), w.observe(), plan(), start)
			c.Asked = &gate.Asked{By: "alice", Head: head}
			c.Emergency = &gate.Emergency{By: "ann", Head: head}
			c.Holds = []gate.Hold{{By: "bob"}}
			o := w.observe()
			tc.change(&o.Pull)
			c, _ = Decide(c, o, plan(), start)
			if (c.Asked != nil) != tc.kept || (c.Emergency != nil) != tc.kept || len(c.Holds) != 1 {
				t.Fatalf("asked %v, emergency %v, holds %v", c.Asked, c.Emergency, c.Holds)
			}
		})
	}
}

func TestWhatIsToBeSaidIsSaidOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, want := New(id), map[string]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			key := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "key")
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				c, want[key] = c.WithAnswer(Answer{Key: key}), true
			case 1:
				c = c.Answered(key)
				delete(want, key)
			default:
				c = c.Paused(key, "the forge is down", start)
			}
		}
		if len(c.Talk.Answers) != len(want) {
			t.Fatalf("%d answers, want %d", len(c.Talk.Answers), len(want))
		}
		for _, a := range c.Talk.Answers {
			if !want[a.Key] || (a.Pause.Times > 0 && !a.Pause.Until.After(start)) {
				t.Fatalf("%+v", a)
			}
		}
	})
}

func TestAPushRightAfterTheMergeTakesNoEvidenceAway(t *testing.T) {
	w, c := mergedWorld(t)
	judged := *c.Gate(Reviewed)
	w.mergedHead = other // the branch lives on, and its author went on as well
	c, _ = Decide(c, w.observe(), plan(), start.Add(time.Minute))
	if c.Head != head || c.MergeSHA != landed1 || c.Unjudged {
		t.Fatalf("head %s, merge %s, unjudged %v", c.Head, c.MergeSHA, c.Unjudged)
	}
	if got := c.Gate(Reviewed); got.State != Passed || !reflect.DeepEqual(got.Evidence, judged.Evidence) {
		t.Errorf("the gate of the reviews is %+v, was %+v", got, judged)
	}
}
