package reconcile

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

func TestB3AtMostOneLookASecondWhateverTheEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, id := newPace(0), ref.PullID{Number: 1}
		start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		now, looks, retry := start, 0, time.Time{}
		for i := range rapid.IntRange(1, 200).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			at := p.wait(id, false, now)
			if at.IsZero() {
				looks++
			} else if retry = at; !at.After(now) || at.Sub(now) > interval {
				t.Fatalf("told at %s to wait until %s", now, at)
			}
			if i == 0 && looks != 1 {
				t.Fatal("the first event waits")
			}
			if most := int(now.Sub(start)/time.Second) + 2; looks > most {
				t.Fatalf("%d looks in %s", looks, now.Sub(start))
			}
		}
		if !retry.IsZero() && retry.After(now) && !p.wait(id, false, retry).IsZero() {
			t.Fatal("the look is not made when it was said to be")
		}
	})
}

func TestAnEventMakesAChangeDueWhenItMayBeLookedAt(t *testing.T) {
	p, id, now := newPace(0), ref.PullID{Number: 1}, time.Now()
	for n := range credit + 1 {
		if at := p.next(id, now); at.Equal(now) != (n < credit) {
			t.Fatalf("after %d looks: in %s", n, at.Sub(now))
		}
		if n < credit {
			p.wait(id, false, now)
		}
	}
	if p.wait(id, true, now); !p.next(id, now).Equal(now) {
		t.Fatal("the steps after a merge wait")
	}
}

func TestALookThatFollowsFromTheLastOneWaitsForNothing(t *testing.T) {
	p, id, now := newPace(0), ref.PullID{Number: 1}, time.Now()
	for range 2 {
		if at := p.wait(id, false, now); !at.IsZero() {
			t.Fatal("within the credit")
		}
	}
	if at := p.wait(id, false, now); at.IsZero() {
		t.Fatal("beyond the credit")
	}
	p.follows(id)
	if at := p.wait(id, false, now); !at.IsZero() {
		t.Fatal("what followed waited")
	}
	if at := p.wait(id, false, now); at.IsZero() {
		t.Fatal("it follows once")
	}
}

func TestTheResyncKeepsItsRate(t *testing.T) {
	p, now := newPace(5), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var started []time.Time
	waiting := map[ref.PullID]time.Time{}
	for n := range int64(20) {
		id := ref.PullID{Number: n}
		if at := p.slot(id, now); at.IsZero() {
			started = append(started, now)
		} else {
			waiting[id] = at
		}
	}
	for id, at := range waiting {
		if again := p.slot(id, at.Add(-time.Millisecond)); !again.Equal(at) {
			t.Fatalf("asked too early: %s instead of %s", again, at)
		}
		if again := p.slot(id, at); !again.IsZero() {
			t.Fatalf("its place is gone: %s", again)
		}
		started = append(started, at)
	}
	seconds := map[int64]int{}
	for _, at := range started {
		seconds[at.Unix()]++
	}
	if len(started) != 20 || len(seconds) != 4 {
		t.Fatalf("looks by second: %v", seconds)
	}
}

func TestTheBudgetBoundsEveryHour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBudget(rapid.IntRange(1, 5).Draw(t, "budget"))
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var written []time.Time
		told := 0
		for range rapid.IntRange(1, 100).Draw(t, "wishes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "minutes")) * time.Minute)
			at, first := b.wait("gitea", 0, now)
			if first {
				told++
			}
			if !at.IsZero() {
				if !at.After(now) {
					t.Fatalf("told at %s to wait until %s", now, at)
				}
				continue
			}
			b.spend("gitea", now)
			if written = append(written, now); len(written) > b.most && now.Sub(written[len(written)-1-b.most]) < time.Hour {
				t.Fatalf("%d within an hour", b.most+1)
			}
			if at, _ := b.wait("another", 0, now); !at.IsZero() {
				t.Fatal("another forge's budget is its own")
			}
		}
		if told > len(written) {
			t.Fatalf("told %d times for %d comments", told, len(written))
		}
	})
}

func TestDuesAreSpread(t *testing.T) {
	e, now := New(Config{Rate: 2}), time.Now()
	var due []Due
	for n := range 10 {
		due = append(due, Due{Key(fmt.Sprint(n)), now})
	}
	for i, d := range e.spread(due, 4, now) {
		want := now
		if i >= 4 {
			want = now.Add(time.Duration(i-3) * 500 * time.Millisecond)
		}
		if !d.At.Equal(want) {
			t.Errorf("%d is due %s after the start", i, d.At.Sub(now))
		}
	}
}

func TestWhenAVerdictIsLookedAtAgain(t *testing.T) {
	e, now, key := New(Config{}), time.Now(), ChangeKey(ref.PullID{Number: 1})
	opens := gate.Verdict{Recheck: now.Add(62 * time.Hour), Reasons: []gate.Reason{{Code: gate.CodeFreeze}}}
	if at := e.recheck(key, opens, now); at.Sub(opens.Recheck) != time.Millisecond {
		t.Errorf("a window that ends in 62 hours is looked at in %s", at.Sub(now))
	}
	computing := gate.Verdict{Recheck: now.Add(2 * time.Second), Reasons: []gate.Reason{{Code: gate.CodeUnknown}}}
	var last time.Duration
	for i := range 10 {
		pause := e.recheck(key, computing, now).Sub(now)
		if pause < last || pause > 8*time.Second || (i == 0 && pause != firstRecheck) {
			t.Errorf("look %d after %s, before it %s", i, pause, last)
		}
		last = pause
	}
	if !e.rechecking(key) {
		t.Error("it is not known to be polled")
	}
	if at := e.recheck(key, gate.Verdict{}, now); !at.IsZero() || e.rechecking(key) {
		t.Errorf("nothing asks for a look, and there is one at %s", at)
	}
}

func TestWhatASilentChangeCosts(t *testing.T) {
	e := New(Config{Active: time.Second, Idle: time.Minute, Full: time.Hour})
	waits := func(codes ...gate.Code) change.Change {
		c := change.New(ref.PullID{Number: 1})
		for _, code := range codes {
			c.Verdict = append(c.Verdict, change.Reason{Code: code})
		}
		return c
	}
	merged := waits()
	merged.MergeSHA = "m"
	cases := map[string]struct {
		c    change.Change
		want time.Duration
	}{
		"what was merged moves by itself":            {merged, time.Second},
		"an unknown fact may be known soon":          {waits(gate.CodeApprovals, gate.CodeUnknown), time.Second},
		"a pending check alone is asked about":       {waits(gate.CodeCheckPending), time.Second},
		"a red check is somebody's to mend":          {waits(gate.CodeCheckFailed), time.Minute},
		"what waits for people is left to the list":  {waits(gate.CodeApprovals, gate.CodeHold), time.Hour},
		"so is what waits for people and for checks": {waits(gate.CodeApprovals, gate.CodeCheckPending), time.Hour},
		"what was never judged is looked at soon":    {waits(), time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := e.interval(tc.c); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestOnlyTheRequiredChecksMakeADifference(t *testing.T) {
	rules := []gate.CheckRule{{Context: "ci", Creator: "ci-bot"}, {Context: "w", Workflow: "w.yml", Job: "test"}}
	at := func(state gate.State, extra ...gate.Job) gate.Checks {
		return gate.Checks{SHA: "s", StatusesRead: ref.Yes, JobsRead: ref.Yes, Jobs: extra,
			Statuses: []gate.Status{{ID: 1, Context: "ci", State: state, Creator: "ci-bot"}, {ID: 2, Context: gate.StatusContext, State: state}}}
	}
	if !sameChecks(rules, at(gate.StatePending, gate.Job{Workflow: "other.yml", Name: "x"}), at(gate.StatePending)) {
		t.Error("a job that no rule names made a difference")
	}
	if sameChecks(rules, at(gate.StateSuccess), at(gate.StatePending)) {
		t.Error("green is as pending")
	}
	unread := at(gate.StatePending)
	unread.JobsRead = ref.Unknown
	if sameChecks(rules, unread, at(gate.StatePending)) {
		t.Error("unread is as read")
	}
}
