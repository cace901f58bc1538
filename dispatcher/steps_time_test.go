package dispatcher

import (
	"errors"
	"strings"
	"testing"
	"time"

	"slipway/internal/change"
	"slipway/pools"
)

func TestW3WhatADeadBuilderHeldIsOfferedAgainAtTheEndOfItsLease(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	y.claim("builder-lite-0")
	y.pass(testTerms.lease - time.Nanosecond)
	y.stands(1, Working)
	y.pass(time.Nanosecond)
	i := y.stands(1, Ready)
	if a := y.attempt(1); a.Outcome != Expired || i.Tries != 1 || i.Reserved != 0 || !i.NotBefore.IsZero() || !strings.Contains(i.Reason, "builder-lite-0 was not heard of") {
		t.Fatalf("the item is %+v, and its attempt %+v", i, a)
	}
	entries := len(y.journal)
	y.pass(time.Second)
	if len(y.journal) != entries {
		t.Errorf("it was said twice: %+v", y.journal[entries:])
	}
	if c := y.claim("builder-lite-0"); c.Attempt.Token != 2 {
		t.Errorf("the next attempt is %+v", c.Attempt)
	}
	y.pass(testTerms.lease)
	y.claim("builder-lite-1")
	y.pass(testTerms.lease)
	if i := y.stands(1, Dead); i.Tries != 3 || !strings.Contains(i.Reason, "attempt 3 of 3") {
		t.Errorf("the item is %+v", i)
	}
}

func TestAnItemIsGivenUpAtItsDeadlineUnlessItHasMerged(t *testing.T) {
	for _, test := range []struct {
		rule  string
		until func(*yard)
		state State
	}{
		{"while it waits", func(*yard) {}, Dead},
		{"while somebody works on it", func(y *yard) { y.claim("builder-lite-0") }, Dead},
		{"while its pull request is open", func(y *yard) { y.land(y.claim("builder-lite-0"), 1, 1) }, Dead},
		{"not once it has merged", func(y *yard) {
			y.land(y.claim("builder-lite-0"), 1, 1)
			y.settle(1, landing{Pull: pullOf(1), Merged: true})
		}, Landing},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.want("ann", Submission{Deadline: y.now.Add(30 * time.Second)})
			test.until(y)
			y.pass(30 * time.Second)
			i := y.stands(1, test.state)
			if test.state == Dead && !strings.Contains(i.Reason, "its deadline of 2026-03-02T09:00:30Z is over") {
				t.Errorf("the reason is %q", i.Reason)
			}
			for _, a := range y.all() {
				if a.Outcome == Live && !strings.Contains(a.StandDown, "deadline") {
					t.Errorf("nobody told %+v", a)
				}
			}
			if y.late(y.works[0]) {
				t.Error("it stays due for ever")
			}
			// What merges late is done all the same.
			if len(y.all()) > 0 && y.attempt(1).Outcome == Finished {
				y.settle(1, landing{Pull: pullOf(1), Merged: true, Outcome: change.OutcomeHealthy})
				y.stands(1, Done)
			}
		})
	}
}

func TestAnAttemptWithoutAHeartbeatIsStoodDownAtItsDeadline(t *testing.T) {
	y := newYard(t)
	y.set.Pools[1].Deadline = 30 * time.Second
	y.want("ann", Submission{})
	c := y.claim("builder-lite-0")
	y.pass(30 * time.Second)
	if a := y.attempt(1); a.Outcome != Live || !strings.Contains(a.StandDown, "deadline") || !a.Told.IsZero() {
		t.Fatalf("the attempt is %+v", a)
	}
	if p, err := y.beat(c, Beat{}); err != nil || p.StandDown == "" || y.said("work.told") != 1 {
		t.Fatalf("it was told %+v, %v", p, err)
	}
	if err := y.failed(c, Failure{Reason: "stopped as told"}); err != nil {
		t.Fatal(err)
	}
	if i := y.stands(1, Ready); y.attempt(1).Outcome != StoodDown || i.Tries != 1 {
		t.Errorf("the item is %+v", i)
	}
}

func TestWhatWaitsRisesALevelEachIntervalUpToTheHighest(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{Priority: "low", Selector: "builder-lite"})
	for _, want := range []Level{Normal, High, Highest, Highest} {
		y.pass(testTerms.rise - time.Nanosecond)
		if got := y.item(1).Raised; got != max(want-1, Low) && got != want {
			t.Fatalf("it is on %s early", got)
		}
		y.pass(time.Nanosecond)
		if i := y.item(1); i.Raised != want || i.Level != Low {
			t.Fatalf("it is on %s and not on %s", i.Raised, want)
		}
	}
	if !y.item(1).Raise.IsZero() || y.said("work.raised") != 3 {
		t.Errorf("the item is %+v, raised %d times", y.item(1), y.said("work.raised"))
	}
	// What nobody looked at for long rises all that it missed, and time that it
	// did not wait does not count.
	y.want("ann", Submission{Priority: "lowest", Selector: "builder-heavy"})
	y.now = y.now.Add(2*testTerms.rise + time.Minute)
	y.tend()
	if i := y.item(2); i.Raised != Normal || !i.Raise.Equal(y.now.Add(testTerms.rise-time.Minute)) {
		t.Errorf("it is on %s until %s", i.Raised, i.Raise)
	}
	y.claim("builder-heavy-0")
	if i := y.item(2); !i.Raise.IsZero() {
		t.Errorf("it rises while it is worked on: %+v", i)
	}
}

func TestPeopleCancelAndRetry(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{Budget: 3_000_000})
	c := y.claim("builder-lite-0")
	for range 2 {
		if err := y.cancel(1, "wrong repository"); err != nil {
			t.Fatal(err)
		}
	}
	if y.said("work.cancelled") != 1 || y.said("work.stood_down") != 1 {
		t.Errorf("the journal says %+v", y.journal)
	}
	if err := y.retry(1); err == nil || !strings.Contains(err.Error(), "builder-lite-0 has not stopped yet") {
		t.Fatalf("retried while somebody works: %v", err)
	}
	if _, err := y.beat(c, Beat{Stopped: true, Amount: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	if i := y.stands(1, Cancelled); i.Spent != 1_000_000 || i.Reserved != 0 || !strings.Contains(i.Reason, "cancelled by olga: wrong repository") {
		t.Errorf("the item is %+v", i)
	}
	if err := y.retry(1); err != nil {
		t.Fatal(err)
	}
	if i := y.stands(1, Ready); i.Tries != 0 || i.Raised != Normal || i.Reason != "" || !i.Ended.IsZero() || i.Raise.IsZero() {
		t.Errorf("the item is %+v", i)
	}
	for _, test := range []struct {
		rule string
		set  func()
		do   func() error
		says string
	}{
		{"one that waits is not retried", func() {}, func() error { return y.retry(1) }, "it is ready"},
		{"one that is done is not cancelled", func() { y.works[0].Item.State = Done }, func() error { return y.cancel(1, "") }, "it is done"},
		{"one that has spent its budget is not retried", func() { y.works[0].Item.State, y.works[0].Item.Spent = Dead, 3_000_000 }, func() error { return y.retry(1) }, "its budget of 3 is used up"},
		{"one whose deadline is over is not retried", func() { y.works[0].Item.Deadline = y.now }, func() error { return y.retry(1) }, "its deadline is over"},
	} {
		test.set()
		refusals := y.said("refused.work.retry") + y.said("refused.work.cancel")
		if err := test.do(); err == nil || !strings.Contains(err.Error(), test.says) || y.said("refused.work.retry")+y.said("refused.work.cancel") != refusals+1 {
			t.Errorf("%s: %v", test.rule, err)
		}
	}
	if err := y.cancel(9, ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("what is not there was cancelled: %v", err)
	}
	if err := y.retry(9); !errors.Is(err, ErrUnknown) {
		t.Errorf("what is not there was retried: %v", err)
	}
}

func TestACordonedCoordinateEndsWhatItHasAndGetsNoMore(t *testing.T) {
	y := newYard(t)
	y.many(2, Submission{})
	c := y.claim("builder-lite-0")
	for range 2 {
		if err := y.cordon("builder-lite-0", true); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := y.beat(c, Beat{}); err != nil || p.StandDown != "" {
		t.Fatalf("it was told %+v, %v", p, err)
	}
	y.land(c, 1, 1)
	if got := y.ask("builder-lite-0"); len(got) != 0 {
		t.Fatalf("it got %+v", got)
	}
	if s := y.seats[at("builder-lite-0")]; !s.Cordoned || s.By != "olga" || s.Epoch != 1 {
		t.Errorf("the seat is %+v", s)
	}
	for range 2 {
		if err := y.cordon("builder-lite-0", false); err != nil {
			t.Fatal(err)
		}
	}
	y.claim("builder-lite-0")
	if y.said("work.drained") != 1 || y.said("work.uncordoned") != 1 {
		t.Errorf("the journal says %+v", y.journal)
	}
	if err := y.cordon("builder-lite-9", true); err == nil || !strings.Contains(err.Error(), "no coordinate is builder-lite-9") || y.said("refused.work.cordon") != 1 {
		t.Errorf("what is not there was cordoned: %v", err)
	}
}

func TestAnItemThatNothingCanTakeSaysWhy(t *testing.T) {
	for _, test := range []struct {
		rule string
		want Submission
		set  func(*yard)
		says string
		mend func(*yard)
	}{
		{"a busy coordinate takes it in time", Submission{Selector: "builder-heavy"}, func(y *yard) {
			y.want("ann", Submission{Selector: "builder-heavy", Priority: "high"})
			y.claim("builder-heavy-0")
		}, "", nil},
		{"all cordoned", Submission{Selector: "builder-heavy"}, func(y *yard) {
			if err := y.cordon("builder-heavy-0", true); err != nil {
				y.fail("%v", err)
			}
		}, "cordoned: builder-heavy-0", func(y *yard) {
			if err := y.cordon("builder-heavy-0", false); err != nil {
				y.fail("%v", err)
			}
		}},
		{"the coordinate is gone", Submission{Selector: "builder-lite-2"}, func(y *yard) {
			y.swap("builder-lite-2", "other")
			delete(y.set.Replicas, at("builder-lite-2"))
			y.set.Pools[1].Replicas = 2
		}, "no coordinate is builder-lite-2; there are builder-heavy-0, builder-lite-0 to builder-lite-1", func(y *yard) { y.ledger.set = fixture() }},
		{"the pool's day is used up", Submission{Selector: "builder-lite"}, func(y *yard) { y.spentToday("builder-lite-0", 20_000_000, 0) },
			"the pool's budget of the day is used up for builder-lite-0, builder-lite-1, builder-lite-2", func(y *yard) { y.now = y.now.Add(24 * time.Hour) }},
		{"its own budget is used up", Submission{Budget: 1}, func(y *yard) { y.works[0].Item.Spent = 1 }, "its budget of 0.000001 is used up", nil},
		{"every model is to be avoided", Submission{}, func(y *yard) { y.works[0].Item.Avoid = []string{"small", "large", "other-one"} }, "has a model that must not take it", func(y *yard) {
			y.set.Assignments["other"] = pools.Assignment{Name: "other", Model: "new"}
		}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.want("ann", test.want)
			test.set(y)
			for range 2 {
				y.stuck()
			}
			i := y.stands(1, Ready)
			if test.says == "" {
				if i.Reason != "" {
					t.Errorf("the reason is %q", i.Reason)
				}
				return
			}
			if i.Reason == "" || !strings.HasPrefix(i.Reason, waits) || !strings.Contains(i.Reason, test.says) || y.said("work.stuck") != 1 {
				t.Errorf("the reason is %q, said %d times", i.Reason, y.said("work.stuck"))
			}
			if test.mend == nil {
				return
			}
			test.mend(y)
			if y.stuck(); y.item(1).Reason != "" || y.said("work.unstuck") != 1 {
				t.Errorf("the reason is still %q", y.item(1).Reason)
			}
		})
	}
}
