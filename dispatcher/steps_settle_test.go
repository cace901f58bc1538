package dispatcher

import (
	"errors"
	"strings"
	"testing"
	"time"

	"slipway/internal/change"
)

func TestABuildIsDoneOnlyWhenItsChangeHasEndedWell(t *testing.T) {
	for _, test := range []struct {
		rule    string
		shows   []landing
		state   State
		outcome Outcome
		by      bool // accepted
		says    string
	}{
		{"an open pull request is no end", []landing{{Head: headOf(1)}}, Landing, Finished, false, ""},
		{"a merge is accepted, and not done", []landing{{Merged: true, Merge: headOf(9)}}, Landing, Finished, true, ""},
		{"a healthy change is done", []landing{{Merged: true}, {Merged: true, Outcome: change.OutcomeHealthy}}, Done, Shipped, true, "healthy"},
		{"a healthy change is done, though nobody saw it merge", []landing{{Merged: true, Outcome: change.OutcomeHealthy}}, Done, Shipped, true, "healthy"},
		{"a superseded one is done", []landing{{Merged: true, Outcome: change.OutcomeSupersede}}, Done, Shipped, true, "superseded"},
		{"a simulated one is done", []landing{{Merged: true, Outcome: change.OutcomeSimulated}}, Done, Shipped, true, "simulated"},
		{"one that was rolled back is offered again", []landing{{Merged: true}, {Merged: true, Outcome: change.OutcomeRolled}}, Ready, Failed, false, "rolled back"},
		{"one that was healthy and was then rolled back too", []landing{{Merged: true, Outcome: change.OutcomeHealthy}, {Merged: true, Outcome: change.OutcomeRolled}}, Ready, Failed, false, "rolled back"},
		{"one that was closed is offered again", []landing{{Outcome: change.OutcomeClosed}}, Ready, Failed, false, "closed"},
		{"one that was closed and was merged after all is accepted", []landing{{Outcome: change.OutcomeClosed}, {Merged: true}}, Landing, Failed, true, ""},
		{"another pull request settles nothing", []landing{{Pull: pullOf(2), Merged: true, Outcome: change.OutcomeHealthy}}, Landing, Finished, false, ""},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.want("ann", Submission{})
			y.land(y.claim("builder-lite-0"), 1, 1)
			for _, l := range test.shows {
				if l.Pull.IsZero() {
					l.Pull = pullOf(1)
				}
				for range 2 { // the same facts a second time change nothing
					before := len(y.journal)
					was := y.works[0].Item
					y.settle(1, l)
					if was.State == y.item(1).State && was.Accepted == y.item(1).Accepted && len(y.journal) != before {
						t.Errorf("it was said twice: %+v", y.journal[before:])
					}
				}
			}
			i := y.stands(1, test.state)
			if a := y.attempt(1); a.Outcome != test.outcome || (i.AcceptedBy != nil) != test.by || (i.Accepted == 1) != test.by || !strings.Contains(i.Reason, test.says) {
				t.Errorf("the item is %+v, and its attempt %+v", i, a)
			}
			if test.by && *i.AcceptedBy != at("builder-lite-0") {
				t.Errorf("it was accepted by %s", i.AcceptedBy)
			}
		})
	}
}

func TestWhatWasNotReadSettlesNothing(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	y.land(y.claim("builder-lite-0"), 1, 1)
	unread := landing{Pull: pullOf(1), Merged: true, Outcome: change.OutcomeHealthy}
	y.transact(Scope{Items: []ItemID{1}}, func(v View) Write {
		w, err := settle(v, y.t, 1, unread)
		if err != nil {
			t.Error(err)
		}
		return w
	})
	y.stands(1, Landing)
	if _, err := settle(y.view(Scope{}), y.t, 1, unread); !errors.Is(err, ErrUnknown) {
		t.Errorf("an item that is not in the view: %v", err)
	}
}

func TestW1AnEarlierAttemptThatMergesTakesTheItem(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	one := y.claim("builder-lite-0")
	if err := y.register(one, 1, 1); err != nil {
		t.Fatal(err)
	}
	y.pass(testTerms.lease) // it dies
	two := y.claim("builder-lite-1")
	if err := y.register(two, 2, 2); err != nil {
		t.Fatal(err)
	}
	y.settle(1, landing{Pull: pullOf(1), Merged: true, Merge: headOf(8)})
	if i := y.stands(1, Landing); i.Accepted != one.Attempt.ID {
		t.Fatalf("the item is %+v", i)
	}
	p, err := y.beat(two, Beat{})
	if err != nil || !strings.Contains(p.StandDown, "accepted from builder-lite-0") {
		t.Fatalf("the other was told %q, %v", p.StandDown, err)
	}
	if _, err := y.beat(two, Beat{Stopped: true}); err != nil {
		t.Fatal(err)
	}
	y.stands(1, Landing)
	y.settle(1, landing{Pull: pullOf(2), Outcome: change.OutcomeClosed}) // the loser's
	y.stands(1, Landing)
	y.settle(1, landing{Pull: pullOf(1), Merged: true, Outcome: change.OutcomeHealthy})
	if i := y.stands(1, Done); y.attempt(1).Outcome != Shipped || y.attempt(2).Outcome != StoodDown || i.Accepted != 1 {
		t.Errorf("the attempts are %+v", y.works[0].Attempts)
	}
}

func TestW2AnItemGoesToTheAttemptWhoseWorkMerged(t *testing.T) {
	for _, test := range []struct {
		rule    string
		second  string // who goes on with the pull request, and with which head
		head    int
		shows   landing
		by      AttemptID
		outcome Outcome // of the second
	}{
		{"the head that merged is the first one's", "builder-lite-0", 2, landing{Head: headOf(1), Merged: true}, 1, Finished},
		{"the head that merged is the second one's", "builder-lite-0", 2, landing{Head: headOf(2), Merged: true}, 2, Finished},
		{"both registered it", "builder-lite-0", 1, landing{Head: headOf(1), Merged: true}, 2, Finished},
		{"whoever did not open it gets nothing for it", "builder-lite-1", 1, landing{Head: headOf(1), Merged: true, Opener: at("builder-lite-0")}, 1, Finished},
		{"nor for another head of it", "builder-lite-1", 2, landing{Head: headOf(2), Merged: true, Opener: at("builder-lite-0")}, 1, Finished},
		{"what was closed is the end of whoever waits for it", "builder-lite-1", 1, landing{Head: headOf(1), Outcome: change.OutcomeClosed, Opener: at("builder-lite-0")}, 0, Failed},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.want("ann", Submission{})
			if err := y.register(y.claim("builder-lite-0"), 1, 1); err != nil {
				t.Fatal(err)
			}
			y.pass(testTerms.lease) // it dies
			y.land(y.claim(test.second), 1, test.head)
			test.shows.Pull = pullOf(1)
			y.settle(1, test.shows)
			if i := y.item(1); i.Accepted != test.by || y.attempt(2).Outcome != test.outcome {
				t.Errorf("the item is %+v, and the second attempt %+v", i, y.attempt(2))
			}
		})
	}
}

func TestALiveAttemptCompletesBeforeItShips(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	c := y.claim("builder-lite-0")
	if err := y.register(c, 1, 1); err != nil {
		t.Fatal(err)
	}
	healthy := landing{Pull: pullOf(1), Merged: true, Outcome: change.OutcomeHealthy}
	y.settle(1, healthy)
	if i := y.stands(1, Working); i.Accepted != 1 || y.attempt(1).StandDown != "" {
		t.Fatalf("the item is %+v", i)
	}
	if err := y.complete(c, Completion{}); err != nil {
		t.Fatal(err)
	}
	y.settle(1, healthy)
	y.stands(1, Done)
}

func TestAReviewIsDoneWhenItIsSeenOnItsHead(t *testing.T) {
	by := func(name string, head int) landing {
		return landing{Pull: pullOf(7), Head: headOf(7), Reviewed: []sighting{{at(name), headOf(head)}}}
	}
	for _, test := range []struct {
		rule  string
		shows landing
		after time.Duration
		state State
		says  string
	}{
		{"seen", by("reviewer-lite-0", 7), 0, Done, "seen"},
		{"another's is not it", by("reviewer-lite-1", 7), 0, Landing, ""},
		{"one on another head is not it", by("reviewer-lite-0", 6), 0, Landing, ""},
		{"seen, though the pull request was closed since", landing{Pull: pullOf(7), Outcome: change.OutcomeClosed, Reviewed: by("reviewer-lite-0", 7).Reviewed}, 0, Done, "seen"},
		{"not seen yet", landing{Pull: pullOf(7), Head: headOf(7)}, testTerms.sight - time.Second, Landing, ""},
		{"not seen for too long", landing{Pull: pullOf(7), Head: headOf(7)}, testTerms.sight, Ready, "no review by reviewer-lite-0 was seen"},
		{"the head moved", landing{Pull: pullOf(7), Head: headOf(8)}, 0, Cancelled, "the head moved to " + string(headOf(8))},
		{"closed", landing{Pull: pullOf(7), Outcome: change.OutcomeClosed}, 0, Cancelled, "was closed"},
		{"merged", landing{Pull: pullOf(7), Head: headOf(7), Merged: true}, 0, Cancelled, "was merged"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.review(7, 7)
			y.land(y.claim("reviewer-lite-0"), 7, 7)
			y.now = y.now.Add(test.after)
			y.settle(1, test.shows)
			if i := y.stands(1, test.state); !strings.Contains(i.Reason, test.says) {
				t.Errorf("the reason is %q", i.Reason)
			}
			entries := len(y.journal)
			if y.settle(1, test.shows); len(y.journal) != entries {
				t.Errorf("it was said twice: %+v", y.journal[entries:])
			}
		})
	}
}

func TestAReviewWhosePurposeIsGoneIsStoppedAndOneThatWasGivenCounts(t *testing.T) {
	y := newYard(t)
	y.review(7, 7)
	c := y.claim("reviewer-lite-0")
	if err := y.register(c, 7, 7); err != nil {
		t.Fatal(err)
	}
	y.settle(1, landing{Pull: pullOf(7), Head: headOf(8)})
	y.stands(1, Cancelled)
	if p, err := y.beat(c, Beat{}); err != nil || !strings.Contains(p.StandDown, "the head moved") {
		t.Fatalf("it was told %q, %v", p.StandDown, err)
	}
	// A review by one that never registered the head is somebody else's doing.
	y.review(8, 8)
	c = y.claim("reviewer-lite-1")
	if err := y.failed(c, Failure{Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	y.settle(2, landing{Pull: pullOf(8), Head: headOf(8), Reviewed: []sighting{{at("reviewer-lite-1"), headOf(8)}}})
	y.stands(2, Ready)
	// One that died after its review was sent needs no second.
	y.review(9, 9)
	c = y.claim("reviewer-lite-1")
	if err := y.register(c, 9, 9); err != nil {
		t.Fatal(err)
	}
	y.pass(testTerms.lease)
	y.stands(3, Ready)
	y.settle(3, landing{Pull: pullOf(9), Head: headOf(9), Reviewed: []sighting{{at("reviewer-lite-1"), headOf(9)}}})
	if i := y.stands(3, Done); i.Accepted != c.Attempt.ID || y.attempt(c.Attempt.ID).Outcome != Shipped {
		t.Errorf("the item is %+v", i)
	}
}

func TestWhatHasMergedOnlyHasToArrive(t *testing.T) {
	merged := landing{Pull: pullOf(1), Merged: true}
	for _, test := range []struct {
		rule string
		ends func(*yard, claim) error
	}{
		{"its worker says that it failed", func(y *yard, c claim) error { return y.failed(c, Failure{Reason: "the push was refused"}) }},
		{"its worker says that it cannot be done", func(y *yard, c claim) error { return y.failed(c, Failure{Reason: "no", Final: true}) }},
		{"its worker dies", func(y *yard, _ claim) error { y.pass(testTerms.lease); return nil }},
		{"its worker stops by itself", func(y *yard, c claim) error { _, err := y.beat(c, Beat{Stopped: true}); return err }},
		{"somebody cancels it and thinks better of it", func(y *yard, c claim) error {
			y.land(c, 1, 1)
			if err := y.cancel(1, "no"); err != nil {
				return err
			}
			return y.retryAfter(merged)
		}},
	} {
		for name, end := range map[string]struct {
			outcome change.Outcome
			state   State
		}{"healthy": {change.OutcomeHealthy, Done}, "rolled back": {change.OutcomeRolled, Ready}} {
			t.Run(test.rule+": "+name, func(t *testing.T) {
				y := newYard(t)
				y.want("ann", Submission{})
				c := y.claim("builder-lite-0")
				if err := y.register(c, 1, 1); err != nil {
					t.Fatal(err)
				}
				if test.rule != "somebody cancels it and thinks better of it" {
					y.settle(1, merged)
				}
				if err := test.ends(y, c); err != nil {
					t.Fatal(err)
				}
				if i := y.stands(1, Landing); i.Accepted != c.Attempt.ID {
					t.Fatalf("the item is %+v", i)
				}
				y.settle(1, landing{Pull: pullOf(1), Merged: true, Outcome: end.outcome})
				y.stands(1, end.state)
			})
		}
	}
}

// retryAfter has the first item's pull request show something, and offers it
// again.
func (y *yard) retryAfter(l landing) error {
	y.settle(1, l)
	y.stands(1, Cancelled)
	return y.retry(1)
}

func TestARollbackWaitsForWhoIsToStandDown(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	one := y.claim("builder-lite-0")
	if err := y.register(one, 1, 1); err != nil {
		t.Fatal(err)
	}
	y.pass(testTerms.lease)
	two := y.claim("builder-lite-1")
	y.settle(1, landing{Pull: pullOf(1), Merged: true})
	y.settle(1, landing{Pull: pullOf(1), Merged: true, Outcome: change.OutcomeRolled})
	y.stands(1, Working)
	if _, err := y.beat(two, Beat{Stopped: true}); err != nil {
		t.Fatal(err)
	}
	if i := y.item(1); i.State != Ready || i.Tries != 2 || !strings.Contains(i.Reason, "rolled back") {
		t.Errorf("the item is %+v", i)
	}
}
