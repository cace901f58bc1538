package dispatcher

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/pools"
)

func TestW2AStaleOrForeignCallIsRefusedAndJournalledAndChangesNothing(t *testing.T) {
	calls := map[string]func(*yard, claim) error{
		"heartbeat": func(y *yard, c claim) error {
			_, err := y.beat(c, Beat{Phase: Running, Amount: 1_000_000})
			return err
		},
		"register": func(y *yard, c claim) error { return y.register(c, 9, 9) },
		"complete": func(y *yard, c claim) error { return y.complete(c, Completion{}) },
		"fail":     func(y *yard, c claim) error { return y.failed(c, Failure{Reason: "no"}) },
	}
	for _, test := range []struct {
		rule  string
		spoil func(*yard, *claim)
		want  error
	}{
		{"an older token", func(_ *yard, c *claim) { c.Attempt.Token-- }, ErrStale},
		{"a token that was never given", func(_ *yard, c *claim) { c.Attempt.Token++ }, ErrStale},
		{"another coordinate", func(_ *yard, c *claim) { c.Attempt.Address = at("builder-lite-1") }, ErrForeign},
		{"a lease that is over and that nobody has ended yet", func(y *yard, _ *claim) { y.now = y.now.Add(testTerms.lease) }, ErrStale},
		{"a lease that was ended", func(y *yard, _ *claim) { y.pass(testTerms.lease) }, ErrStale},
		{"an item that another has since", func(y *yard, _ *claim) {
			y.pass(testTerms.lease)
			y.claim("builder-lite-2")
		}, ErrStale},
	} {
		for name, call := range calls {
			t.Run(test.rule+": "+name, func(t *testing.T) {
				y := newYard(t)
				y.want("ann", Submission{})
				c := y.claim("builder-lite-0")
				if err := y.register(c, 1, 1); err != nil {
					t.Fatal(err)
				}
				test.spoil(y, &c)
				works, spends, entries := y.works[0], len(y.spends), len(y.journal)
				if err := call(y, c); !errors.Is(err, test.want) {
					t.Fatalf("the call came to %v", err)
				}
				if !reflect.DeepEqual(works, y.works[0]) || spends != len(y.spends) {
					t.Errorf("it changed something: %+v", y.works[0])
				}
				if len(y.journal) != entries+1 || y.journal[entries].Action != "refused.work."+name || y.journal[entries].Subject != "item 1" {
					t.Errorf("the journal says %+v", y.journal[entries:])
				}
			})
		}
	}
}

func TestALeaseIsHeldOnByHeartbeatsAndNeverShortened(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	c := y.claim("builder-lite-0")
	for range 10 {
		y.pass(testTerms.lease - time.Second)
		p, err := y.beat(c, Beat{})
		if err != nil || !p.Until.Equal(y.now.Add(testTerms.lease)) || p.StandDown != "" {
			t.Fatalf("the heartbeat was answered %+v, %v", p, err)
		}
	}
	y.t.lease = time.Second // of a server with other terms
	if p, err := y.beat(c, Beat{}); err != nil || p.Until.Before(y.now.Add(testTerms.lease)) {
		t.Fatalf("the lease was shortened: %+v, %v", p, err)
	}
}

func TestPhasesGoForwardOnlyAndAreKeptWithTheirTimes(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	c := y.claim("builder-lite-0")
	for _, p := range []Phase{"", Preparing, Preparing, Running, Running, Publishing} {
		y.pass(time.Second)
		if _, err := y.beat(c, Beat{Phase: p}); err != nil {
			t.Fatal(err)
		}
	}
	for _, back := range []Phase{Claimed, Preparing, Running} {
		was := y.attempt(1)
		y.now = y.now.Add(time.Second)
		if _, err := y.beat(c, Beat{Phase: back, Amount: 1_000_000}); fault.KindOf(err) != fault.Permanent || errors.Is(err, ErrStale) || !strings.Contains(err.Error(), string(back)) {
			t.Errorf("back to %s was answered %v", back, err)
		}
		if err := y.complete(c, Completion{Beat: Beat{Phase: back}}); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), string(back)) {
			t.Errorf("a completion back at %s was answered %v", back, err)
		}
		if !reflect.DeepEqual(was, y.attempt(1)) {
			t.Errorf("back to %s changed the attempt: %+v", back, y.attempt(1))
		}
	}
	var got []string
	for _, p := range y.attempt(1).Phases {
		got = append(got, string(p.Phase))
	}
	if strings.Join(got, " ") != "claimed preparing running publishing" {
		t.Errorf("the phases are %v", got)
	}
	for _, bad := range []Beat{{Phase: Completed}, {Phase: "resting"}, {Amount: -1}, {Tokens: pools.Tokens{Output: -1}}} {
		if _, err := y.beat(c, bad); fault.KindOf(err) != fault.Permanent || errors.Is(err, ErrStale) {
			t.Errorf("%+v was answered %v", bad, err)
		}
	}
}

func TestAnAttemptThatIsOverItsTimeOrBudgetIsStoodDown(t *testing.T) {
	for _, test := range []struct {
		rule  string
		over  func(*yard, claim) (Pulse, error)
		says  string
		state State
	}{
		{"its deadline", func(y *yard, c claim) (Pulse, error) {
			for y.now.Before(c.Attempt.Deadline) {
				y.now = y.now.Add(testTerms.beat)
				if p, err := y.beat(c, Beat{}); err != nil || p.StandDown != "" {
					return p, err
				}
			}
			return Pulse{}, nil
		}, "deadline", Ready},
		{"its budget, by its own amount", func(y *yard, c claim) (Pulse, error) { return y.beat(c, Beat{Amount: 2_000_000}) }, "budget of 2 ", Ready},
		{"its budget, by tokens and prices", func(y *yard, c claim) (Pulse, error) {
			return y.beat(c, Beat{Tokens: pools.Tokens{Input: 1_000_000, Output: 500_000}})
		}, "budget of 2 ", Ready},
		{"its item was cancelled", func(y *yard, c claim) (Pulse, error) {
			if err := y.cancel(1, "not needed"); err != nil {
				return Pulse{}, err
			}
			return y.beat(c, Beat{})
		}, "cancelled by olga: not needed", Cancelled},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.want("ann", Submission{})
			c := y.claim("builder-lite-0")
			p, err := test.over(y, c)
			if err != nil || !strings.Contains(p.StandDown, test.says) {
				t.Fatalf("it was told %q, %v", p.StandDown, err)
			}
			if got := y.ask("builder-lite-0"); len(got) != 0 {
				t.Fatalf("it got more work before it had stopped: %+v", got)
			}
			// It is told the same until it acknowledges, and its lease is not held on.
			first := p.Until
			y.now = y.now.Add(time.Second)
			if p, err = y.beat(c, Beat{Amount: 2_500_000}); err != nil || p.StandDown == "" || !p.Until.Equal(first) {
				t.Fatalf("it was told %+v, %v", p, err)
			}
			if err := y.complete(c, Completion{}); !errors.Is(err, ErrStale) {
				t.Fatalf("a completion after a stand-down came to %v", err)
			}
			a := y.attempt(1)
			if a.Outcome != StoodDown || a.Acknowledged.IsZero() || a.SpentAfter == 0 || a.SpentAfter > 2_500_000 {
				t.Errorf("the attempt is %+v", a)
			}
			y.stands(1, test.state)
			if _, err := y.beat(c, Beat{Stopped: true}); err != nil {
				t.Errorf("an acknowledgement sent again came to %v", err)
			}
		})
	}
}

func TestW4WhoNeverAcknowledgesLosesItsLeaseAllTheSame(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	c := y.claim("builder-lite-0")
	if err := y.cancel(1, ""); err != nil {
		t.Fatal(err)
	}
	end := y.now.Add(3 * testTerms.lease)
	for y.now.Before(end) {
		y.pass(testTerms.beat)
		if _, err := y.beat(c, Beat{}); err != nil {
			if a := y.attempt(1); a.Outcome != StoodDown || !a.Acknowledged.IsZero() {
				t.Fatalf("the attempt is %+v", a)
			}
			y.stands(1, Cancelled)
			return
		}
	}
	t.Fatal("it goes on beating for ever")
}

func TestW2AnAttemptCompletesOnlyWithItsEvidence(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	y.review(7, 7)
	build, review := y.claim("builder-lite-0"), y.claim("reviewer-lite-0")
	for _, test := range []struct {
		rule string
		do   func() error
		says string
	}{
		{"a build without a pull request", func() error { return y.complete(build, Completion{}) }, "registered no pull request"},
		{"a review without its head", func() error { return y.complete(review, Completion{Verdict: "approved"}) }, "registered no pull request"},
		{"a review of another head", func() error { return y.register(review, 7, 8) }, "asked of acme/app#7 at"},
		{"a review of another pull request", func() error { return y.register(review, 8, 7) }, "asked of acme/app#7 at"},
		{"a review that says nothing known", func() error {
			if err := y.register(review, 7, 7); err != nil {
				return err
			}
			return y.complete(review, Completion{Verdict: "fine"})
		}, "approved, changes_requested or commented"},
	} {
		if err := test.do(); err == nil || !strings.Contains(err.Error(), test.says) || fault.KindOf(err) != fault.Permanent {
			t.Errorf("%s: %v", test.rule, err)
		}
	}
	y.stands(1, Working)
	y.stands(2, Working)
	y.land(build, 1, 1)
	if err := y.complete(review, Completion{Verdict: "changes_requested"}); err != nil {
		t.Fatal(err)
	}
	y.stands(1, Landing)
	y.stands(2, Landing)
	if a := y.attempt(1); a.Outcome != Finished || !a.passed(Completed) || a.Reserved == 0 || y.item(1).Reserved != 0 {
		t.Errorf("the attempt is %+v of %+v", a, y.item(1))
	}
	// The answer was lost: the same call again is as good as the first.
	entries := len(y.journal)
	if err := y.complete(build, Completion{}); err != nil || len(y.journal) != entries {
		t.Errorf("completed again: %v", err)
	}
}

func TestW2APullRequestBelongsToOneItem(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	y.want("ann", Submission{})
	one, two := y.claim("builder-lite-0"), y.claim("builder-lite-1")
	if err := y.register(one, 5, 1); err != nil {
		t.Fatal(err)
	}
	if err := y.register(two, 5, 2); err == nil || !strings.Contains(err.Error(), "item 1") {
		t.Fatalf("another item's pull request was registered: %v", err)
	}
	// A newer head of one's own is no other thing, and both stand in the journal.
	if err := y.register(one, 5, 3); err != nil || y.attempt(1).Head != headOf(3) {
		t.Fatalf("registered %+v, %v", y.attempt(1), err)
	}
	entries := len(y.journal)
	if err := y.register(one, 5, 3); err != nil || len(y.journal) != entries {
		t.Fatalf("the same head again: %v", err)
	}
	if y.said("work.registered") != 2 || y.journal[entries-1].Data["before"] != string(headOf(1)) {
		t.Errorf("the journal says %+v", y.journal)
	}
	// The same coordinate goes on with what it left open.
	if err := y.failed(one, Failure{Reason: "the disk is full"}); err != nil {
		t.Fatal(err)
	}
	y.pass(time.Minute)
	again := y.claim("builder-lite-0")
	if g := grant(y.t, again, y.works[0].Attempts, "EUR"); g.Pull != pullOf(5) || g.Head != headOf(3) || g.Try != 2 || g.Token != 2 {
		t.Errorf("the grant is %+v", g)
	}
}

func TestAFailureRestsLongerEachTimeAndEndsInADeadLetter(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{Attempts: 3})
	var rests []time.Duration
	for range 3 {
		c := y.claim("builder-lite-0")
		if err := y.failed(c, Failure{Reason: "the tests hang"}); err != nil {
			t.Fatal(err)
		}
		if err := y.failed(c, Failure{Reason: "the tests hang"}); err != nil {
			t.Fatalf("the same failure again: %v", err)
		}
		if i := y.item(1); i.State == Ready {
			if got := y.ask("builder-lite-1"); len(got) != 0 {
				t.Fatalf("it was offered before its time: %+v", got)
			}
			rests = append(rests, i.NotBefore.Sub(y.now))
			y.now = i.NotBefore
		}
	}
	if !reflect.DeepEqual(rests, []time.Duration{30 * time.Second, time.Minute}) {
		t.Errorf("it rested %v", rests)
	}
	if i := y.stands(1, Dead); i.Tries != 3 || !strings.Contains(i.Reason, "the tests hang") || i.Ended.IsZero() {
		t.Errorf("the item is %+v", i)
	}
	if err := y.retry(1); err != nil || y.item(1).Tries != 0 {
		t.Fatalf("offered again: %v, %+v", err, y.item(1))
	}
	if err := y.failed(y.claim("builder-lite-0"), Failure{Reason: "the spec contradicts itself", Final: true}); err != nil {
		t.Fatal(err)
	}
	if i := y.stands(1, Dead); !strings.Contains(i.Reason, "cannot be done: the spec contradicts itself") {
		t.Errorf("the reason is %q", i.Reason)
	}
	if d := testTerms.after(40); d != testTerms.longest {
		t.Errorf("after forty failures it rests %s", d)
	}
}

func TestAModelThatIsNotTheAssignedOneIsSaidOnce(t *testing.T) {
	for _, test := range []struct {
		rule     string
		reports  []string
		alarms   int
		observed string
	}{
		{"none is no difference", []string{""}, 0, ""},
		{"the same in another case is no difference", []string{"ACME/Small"}, 0, "ACME/Small"},
		{"without its provider it is no difference", []string{"small"}, 0, "small"},
		{"with another provider before it, it is one", []string{"else/small"}, 1, "else/small"},
		{"another is one", []string{"acme/large"}, 1, "acme/large"},
		{"another is said once", []string{"acme/small", "acme/large", "ACME/large", "acme/large"}, 1, "acme/large"},
		{"a name that only ends alike is another", []string{"x-small"}, 1, "x-small"},
		{"a difference is not forgotten", []string{"acme/large", "acme/small"}, 1, "acme/large"},
		{"a second other one is said too", []string{"acme/large", "tiny"}, 2, "tiny"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.want("ann", Submission{})
			c := y.claim("builder-lite-0")
			for _, m := range test.reports {
				if _, err := y.beat(c, Beat{Model: m}); err != nil {
					t.Fatal(err)
				}
			}
			if a := y.attempt(1); y.said("work.model_differs") != test.alarms || a.Observed != test.observed {
				t.Errorf("%d alarms, and %q was observed", y.said("work.model_differs"), a.Observed)
			}
		})
	}
}
