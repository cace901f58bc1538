package dispatcher_test

import (
	"errors"
	"strings"
	"testing"

	"slipway/dispatcher"
	"slipway/internal/fault"
)

func TestACancelledItemReachesItsBuilderWithTheNextHeartbeat(t *testing.T) {
	d := newDock(t)
	item := d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	if err := d.Cancel(t.Context(), "olga", item.ID, "not any more"); err != nil {
		t.Fatal(err)
	}
	p, err := d.Beat(t.Context(), g.Builder, g.Attempt, dispatcher.Beat{Token: g.Token})
	if err != nil || !strings.Contains(p.StandDown, "not any more") {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := d.Beat(t.Context(), g.Builder, g.Attempt, dispatcher.Beat{Token: g.Token, Stopped: true}); err != nil {
		t.Fatal(err)
	}
	w, _, err := d.Work(t.Context(), item.ID)
	if err != nil || w.Item.State != dispatcher.Cancelled || w.Attempts[0].Outcome != dispatcher.StoodDown {
		t.Errorf("%+v, %v", w, err)
	}
	if err := d.Retry(t.Context(), "olga", item.ID, "the spec was mended"); err != nil {
		t.Fatal(err)
	}
	if told := d.told("work.retried"); len(told) != 1 || told[0].Reason != "the spec was mended" || told[0].Data["was"] != "cancelled by olga: not any more" {
		t.Errorf("the journal tells %+v", told)
	}
	if again := d.claim("builder-lite-0"); again.Item != item.ID || again.Token <= g.Token {
		t.Errorf("%+v", again)
	}
}

func TestNobodyTakesAKeyThatIsSlipwaysOwn(t *testing.T) {
	d := newDock(t)
	for _, key := range []string{"issue acme/app#3", "review acme/app#5 at " + string(head(1)) + " 1"} {
		_, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Repo: app, Title: "Mend the pump", Key: key})
		if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "key: Slipway itself gives") {
			t.Errorf("%s is told as %v", key, err)
		}
	}
	if told := d.told("refused.work.submit"); len(told) != 2 || len(d.items(dispatcher.Filter{})) != 0 {
		t.Errorf("the journal tells %+v", told)
	}
}

func TestACallForWhatIsNotOnesOwnIsRefusedAndJournalled(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	for name, test := range map[string]struct {
		call func() error
		want error
		told string
	}{
		"a heartbeat for another's attempt": {func() error {
			_, err := d.Beat(t.Context(), at("builder-lite-1"), g.Attempt, dispatcher.Beat{Token: g.Token})
			return err
		}, dispatcher.ErrForeign, "refused.work.heartbeat"},
		"a registration with a stale token": {func() error {
			return d.Register(t.Context(), g.Builder, g.Attempt, dispatcher.Registration{Token: g.Token - 1, Pull: pull, Head: head(1)})
		}, dispatcher.ErrStale, "refused.work.register"},
		"a completion with a stale token": {func() error {
			return d.Complete(t.Context(), g.Builder, g.Attempt, dispatcher.Completion{Beat: dispatcher.Beat{Token: g.Token + 1}})
		}, dispatcher.ErrStale, "refused.work.complete"},
		"a failure of another's": {func() error {
			return d.Fail(t.Context(), at("reviewer-lite-0"), g.Attempt, dispatcher.Failure{Beat: dispatcher.Beat{Token: g.Token}})
		}, dispatcher.ErrForeign, "refused.work.fail"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.call(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if told := d.told(test.told); len(told) != 1 || told[0].Reason == "" {
				t.Errorf("the journal says %+v", told)
			}
		})
	}
	if _, err := d.Beat(t.Context(), g.Builder, 99, dispatcher.Beat{}); !errors.Is(err, dispatcher.ErrUnknown) {
		t.Errorf("an attempt that is not there: %v", err)
	}
}

func TestASubmissionIsRefusedWithEveryFaultAndJournalled(t *testing.T) {
	d := newDock(t)
	_, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Repo: app, Selector: "builder-heavy", Priority: "soon", Shape: "none"})
	if fault.KindOf(err) != fault.Permanent {
		t.Fatalf("%v", err)
	}
	for _, part := range []string{"title: ", "priority: ", "selector: ", "shape: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %q", err, part)
		}
	}
	if told := d.told("refused.work.submit"); len(told) != 1 || told[0].Actor != "sam" {
		t.Errorf("%+v", told)
	}
}

func TestACordonedCoordinateGetsNothingUntilItIsLetAgain(t *testing.T) {
	d := newDock(t)
	a := at("builder-lite-0")
	if err := d.Cordon(t.Context(), "olga", a, false, "its disk"); err != nil {
		t.Fatal(err)
	}
	item, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Repo: app, Title: "Mend the pump", Selector: a.String()})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.item(item.ID); got.Reason != "nothing can take it: cordoned: builder-lite-0" {
		t.Errorf("it waits, and says %q", got.Reason)
	}
	d.nothing("builder-lite-0")
	got := make(chan *dispatcher.Grant, 1)
	go func() {
		g, err := d.Claim(t.Context(), a, dispatcher.ClaimRequest{Request: "waits", Wait: 50})
		if err != nil {
			t.Error(err)
		}
		got <- g
	}()
	d.until("it waits", func() bool { return d.Waiting() == 1 })
	if err := d.Uncordon(t.Context(), "olga", a, "its disk was changed"); err != nil {
		t.Fatal(err)
	}
	if told := d.told("work.uncordoned"); len(told) != 1 || told[0].Reason != "its disk was changed" || told[0].Data["was"] == "" {
		t.Errorf("the journal tells %+v", told)
	}
	if g := <-got; g == nil || g.Item != item.ID {
		t.Errorf("%+v", g)
	}
	seats, err := d.Seats(t.Context())
	if err != nil || len(seats) != 7 || seats[0].Address != a || seats[0].Live == 0 {
		t.Errorf("all coordinates are listed, also those that never came: %+v, %v", seats, err)
	}
}

func TestAPoolConfigIsPutInForceOnlyWhenItMeansSomethingElse(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	d.submit("Mend the valve")
	before := d.claim("builder-lite-0")
	same := fleet()
	same.Source = "# a comment\nthe fleet"
	if s, changes, err := d.Apply(t.Context(), "olga", "file", same); err != nil || len(changes) != 0 || s.Number != 1 {
		t.Fatalf("the same again: %d, %+v, %v", s.Number, changes, err)
	}
	other := fleet()
	other.Replicas[at("builder-lite-0")] = "beta"
	other.Replicas[at("builder-lite-1")] = "beta"
	s, changes, err := d.Apply(t.Context(), "olga", "swap", other)
	if err != nil || s.Number != 2 || len(changes) != 2 {
		t.Fatalf("a swap: %d, %+v, %v", s.Number, changes, err)
	}
	if g := d.claim("builder-lite-1"); g.Assignment.Model != "beta-1" {
		t.Errorf("the next attempt runs %s", g.Assignment.Model)
	}
	w, _, err := d.Work(t.Context(), before.Item)
	if err != nil || w.Attempts[0].Assignment.Model != "alpha-1" {
		t.Errorf("P2: the running one runs %+v, %v", w.Attempts[0].Assignment, err)
	}
	told := d.told("pools.applied")
	if len(told) != 2 || told[1].Actor != "olga" || told[1].Reason != "swap" || told[1].Data["number"] != "2" || !strings.Contains(told[1].Data["changes"], "builder-lite-0") {
		t.Errorf("%+v", told)
	}
	if sets, err := d.History(t.Context(), 9); err != nil || len(sets) != 2 || sets[0].Number != 2 || sets[0].Why != "swap" {
		t.Errorf("%+v, %v", sets, err)
	}
}
