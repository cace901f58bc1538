package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/pools"
)

func TestAClaimWaitsForWorkAndIsWokenByIt(t *testing.T) {
	d := newDock(t)
	got := make(chan *dispatcher.Grant, 1)
	go func() {
		g, err := d.Claim(t.Context(), at("builder-lite-0"), dispatcher.ClaimRequest{Request: "one", Wait: 50})
		if err != nil {
			t.Error(err)
		}
		got <- g
	}()
	d.until("a first match finds nothing", func() bool { n, _ := d.watch.count(); return n == 1 && d.Waiting() == 1 })
	item := d.submit("Mend the pump")
	g := <-got
	if g == nil || g.Item != item.ID || g.Assignment.Model != "alpha-1" || g.Branch != fmt.Sprintf("work/%d-builder-lite-0", item.ID) || g.Lease != 60 || g.Beat != 20 || g.Currency != "USD" || g.Try != 1 {
		t.Fatalf("%+v", g)
	}
	if n, _ := d.watch.count(); n != 2 {
		t.Errorf("%d matches, want the one that found nothing and the one that found it", n)
	}
}

func TestNobodyIsAskedWhileThereIsNothingToDo(t *testing.T) {
	d := newDock(t)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			g, err := d.Claim(t.Context(), pools.Address{Role: "builder", Tier: "lite", Replica: n}, dispatcher.ClaimRequest{Request: fmt.Sprint(n), Wait: 1})
			if g != nil || err != nil {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	d.until("all wait", func() bool { return d.Waiting() == 4 })
	began, before := d.watch.count()
	wg.Wait()
	matches, calls := d.watch.count()
	if matches-began > 4 || calls-before > 6 {
		t.Errorf("in a second in which nothing happened the store was asked %d times, with %d matches", calls-before, matches-began)
	}
}

func TestWhatNobodyIsThereToTakeIsGivenBackAtOnce(t *testing.T) {
	d := newDock(t)
	item := d.submit("Mend the pump")
	matching, release := make(chan struct{}), make(chan struct{})
	d.watch.hold(sync.OnceFunc(func() { close(matching); <-release }))
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := d.Claim(ctx, at("builder-lite-0"), dispatcher.ClaimRequest{Request: "one", Wait: 50})
		left <- err
	}()
	<-matching
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("who left got %v", err)
	}
	close(release)
	g := d.claim("builder-lite-1")
	if g.Item != item.ID || g.Try != 1 {
		t.Errorf("the next got %+v: what was given back counts as no try", g)
	}
	w, _, err := d.Work(t.Context(), item.ID)
	if err != nil || len(w.Attempts) != 2 || w.Attempts[0].Outcome != dispatcher.Returned || w.Item.Tries != 0 {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestANewerPollTakesThePlaceOfTheOlder(t *testing.T) {
	d := newDock(t)
	older := make(chan *dispatcher.Grant, 1)
	go func() {
		g, err := d.Claim(t.Context(), at("builder-lite-0"), dispatcher.ClaimRequest{Request: "older", Wait: 50})
		if err != nil {
			t.Error(err)
		}
		older <- g
	}()
	d.until("the older waits", func() bool { return d.Waiting() == 1 })
	newer := make(chan *dispatcher.Grant, 1)
	go func() {
		g, err := d.Claim(t.Context(), at("builder-lite-0"), dispatcher.ClaimRequest{Request: "newer", Wait: 50})
		if err != nil {
			t.Error(err)
		}
		newer <- g
	}()
	if g := <-older; g != nil {
		t.Fatalf("the older got %+v", g)
	}
	item := d.submit("Mend the pump")
	if g := <-newer; g == nil || g.Item != item.ID {
		t.Fatalf("the newer got %+v", g)
	}
}

func TestTheSameRequestGivesTheSameAttempt(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	d.submit("Mend the valve")
	ask := dispatcher.ClaimRequest{Request: "once", Wait: 50}
	first, err := d.Claim(t.Context(), at("builder-lite-0"), ask)
	if err != nil || first == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := d.Claim(t.Context(), at("builder-lite-0"), ask)
	if err != nil || again == nil || again.Attempt != first.Attempt || again.Token != first.Token {
		t.Fatalf("again: %+v, %v; first %+v", again, err, first)
	}
	d.run()
	after, err := d.Claim(t.Context(), at("builder-lite-0"), ask)
	if err != nil || after == nil || after.Attempt != first.Attempt {
		t.Fatalf("after a restart: %+v, %v", after, err)
	}
	other, err := d.Claim(t.Context(), at("builder-lite-1"), ask)
	if err != nil || other == nil || other.Attempt == first.Attempt {
		t.Fatalf("another coordinate with a request of that name: %+v, %v", other, err)
	}
	if err := d.Fail(t.Context(), first.Builder, first.Attempt, dispatcher.Failure{Beat: dispatcher.Beat{Token: first.Token}, Reason: "it rained"}); err != nil {
		t.Fatal(err)
	}
	if g, err := d.Claim(t.Context(), at("builder-lite-0"), ask); g != nil || !errors.Is(err, dispatcher.ErrStale) {
		t.Fatalf("once it has ended: %+v, %v", g, err)
	}
}

func TestFiftyWhoAskAtOnceGetTwoHundredItemsOnceEach(t *testing.T) {
	const builders, items = 50, 200
	d := newDock(t)
	s := fleet()
	s.Pools[0].Replicas = builders
	for n := range builders {
		s.Replicas[pools.Address{Role: "builder", Tier: "lite", Replica: n}] = "alpha"
	}
	if _, _, err := d.Apply(t.Context(), "olga", "more", s); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[dispatcher.ItemID]int{}
	working, enough := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for n := range builders {
		wg.Go(func() {
			as := pools.Address{Role: "builder", Tier: "lite", Replica: n}
			for k := 0; working.Err() == nil; k++ {
				g, err := d.Claim(working, as, dispatcher.ClaimRequest{Request: fmt.Sprint(k), Wait: 50})
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", as, err)
				}
				if g == nil {
					continue
				}
				mu.Lock()
				got[g.Item]++
				mu.Unlock()
				if err := d.Fail(t.Context(), as, g.Attempt, dispatcher.Failure{Beat: dispatcher.Beat{Token: g.Token}, Reason: "it cannot be done", Final: true}); err != nil {
					t.Errorf("%s: %v", as, err)
				}
			}
		})
	}
	all := make([]dispatcher.Item, items)
	var submitting sync.WaitGroup
	for part := range slices.Chunk(all, items/10) {
		submitting.Go(func() {
			for n := range part {
				part[n] = d.submit("a part")
			}
		})
	}
	submitting.Wait()
	d.until("all are done with", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= items })
	enough()
	wg.Wait()
	for _, i := range all {
		if got[i.ID] != 1 {
			t.Errorf("item %d was given %d times", i.ID, got[i.ID])
		}
	}
}

func TestALeaseThatEndsBringsItsItemBack(t *testing.T) {
	d := newDock(t, func(c *dispatcher.Config) { c.Lease = 300 * time.Millisecond })
	item := d.submit("Mend the pump")
	dead := d.claim("builder-lite-0")
	began := time.Now()
	g := d.claim("builder-lite-1")
	if g.Item != item.ID || g.Token <= dead.Token || g.Try != 2 {
		t.Fatalf("%+v after %+v", g, dead)
	}
	if late := time.Since(began); late > 5*time.Second {
		t.Errorf("it came back after %s", late)
	}
	_, err := d.Beat(t.Context(), dead.Builder, dead.Attempt, dispatcher.Beat{Token: dead.Token})
	if !errors.Is(err, dispatcher.ErrStale) || len(d.told("refused.work.heartbeat")) != 1 {
		t.Errorf("the dead one's heartbeat: %v", err)
	}
}

func TestAnotherDispatcherOverTheStoreGoesOn(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	waiting := d.submit("Mend the valve")
	g := d.claim("builder-lite-0")
	d.run()
	p, err := d.Beat(t.Context(), g.Builder, g.Attempt, dispatcher.Beat{Token: g.Token, Phase: dispatcher.Running})
	if err != nil || p.StandDown != "" || !p.Until.After(g.Until) {
		t.Fatalf("a heartbeat to the next server: %+v, %v", p, err)
	}
	if next := d.claim("builder-lite-1"); next.Item != waiting.ID {
		t.Errorf("what waited is given by the next server: %+v", next)
	}
	// A lease that ends while nobody keeps the time ends with the next server.
	d.run(func(c *dispatcher.Config) { c.Lease = 100 * time.Millisecond })
	short := d.submit("Mend the hull")
	lost := d.claim("builder-lite-2")
	d.stop()
	d.until("the lease is over", func() bool { return time.Now().After(lost.Until) })
	d.run()
	if back := d.claim("builder-lite-3"); back.Item != short.ID {
		t.Errorf("%+v", back)
	}
}

func TestWhoWaitsWhenItEndsGetsNothing(t *testing.T) {
	d := newDock(t)
	got := make(chan *dispatcher.Grant, 1)
	go func() {
		g, err := d.Claim(t.Context(), at("builder-lite-0"), dispatcher.ClaimRequest{Request: "one", Wait: 50})
		if err != nil {
			t.Error(err)
		}
		got <- g
	}()
	d.until("it waits", func() bool { return d.Waiting() == 1 })
	d.stop()
	if g := <-got; g != nil {
		t.Errorf("%+v", g)
	}
	d.nothing("builder-lite-1") // nor does it wait for one that has ended
}

func TestAClaimThatMakesNoSenseIsRefusedWithEveryFault(t *testing.T) {
	d := newDock(t)
	for _, test := range []struct {
		ask  dispatcher.ClaimRequest
		says string
	}{
		{dispatcher.ClaimRequest{Wait: 56}, "request: has 0 bytes, and needs 1 to 100\nwait: 56 is not between 0 and 55 seconds"},
		{dispatcher.ClaimRequest{Request: "a\x00b\xff", Wait: -1}, "request: holds something else than the printable characters of ASCII\nwait: -1 is not between 0 and 55 seconds"},
	} {
		_, err := d.Claim(t.Context(), at("builder-lite-0"), test.ask)
		if err == nil || fault.KindOf(err) != fault.Permanent || err.Error() != test.says {
			t.Errorf("%v", err)
		}
	}
}

func TestWhoIsKeptFromWorkByALimitIsWokenWhenThatEnds(t *testing.T) {
	d := newDock(t)
	s := fleet()
	s.Pools[0].Limit = 1
	if _, _, err := d.Apply(t.Context(), "olga", "file", s); err != nil {
		t.Fatal(err)
	}
	d.submit("Mend the pump")
	second := d.submit("Mend the valve")
	first := d.claim("builder-lite-0")
	began, _ := d.watch.count()
	got := make(chan *dispatcher.Grant, 1)
	go func() {
		g, err := d.Claim(t.Context(), at("builder-lite-1"), dispatcher.ClaimRequest{Request: "waits", Wait: 50})
		if err != nil {
			t.Error(err)
		}
		got <- g
	}()
	d.until("a match has nothing for it", func() bool { n, _ := d.watch.count(); return n > began && d.Waiting() == 1 })
	if err := d.Fail(t.Context(), first.Builder, first.Attempt, dispatcher.Failure{Beat: dispatcher.Beat{Token: first.Token}, Reason: "it cannot be done", Final: true}); err != nil {
		t.Fatal(err)
	}
	if g := <-got; g == nil || g.Item != second.ID {
		t.Errorf("%+v", g)
	}
}

func TestOneClaimThatCannotBeWrittenDoesNotStandInTheWayOfOthers(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	d.submit("Mend the valve")
	waiting, release := make(chan struct{}), make(chan struct{})
	d.watch.hold(sync.OnceFunc(func() { close(waiting); <-release }))
	d.watch.poison(at("builder-lite-1"))
	ask := func(name string) chan error {
		answer := make(chan error, 1)
		go func() {
			g, err := d.Claim(t.Context(), at(name), dispatcher.ClaimRequest{Request: "one", Wait: 50})
			if g == nil && err == nil {
				err = errors.New("nothing")
			}
			answer <- err
		}()
		return answer
	}
	zero := ask("builder-lite-0")
	<-waiting
	// These two are matched together, after the first.
	one := ask("builder-lite-1")
	d.until("it waits", func() bool { return d.Waiting() == 2 })
	two := ask("builder-lite-2")
	d.until("they wait", func() bool { return d.Waiting() == 3 })
	close(release)
	if err := <-zero; err != nil {
		t.Error(err)
	}
	if err := <-one; !errors.Is(err, errPoison) {
		t.Errorf("the poisoned one got %v", err)
	}
	if err := <-two; err != nil {
		t.Errorf("the one beside it got %v", err)
	}
}
