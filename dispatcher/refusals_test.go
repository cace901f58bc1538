package dispatcher_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/dispatcher"
)

// beats sends heartbeats that are refused, all at a time.
func (d *dock) beats(g *dispatcher.Grant, n int, off int64) {
	d.t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, err := d.Beat(d.t.Context(), g.Builder, g.Attempt, dispatcher.Beat{Token: g.Token + off})
			if !errors.Is(err, dispatcher.ErrStale) {
				d.t.Errorf("a stale heartbeat came to %v", err)
			}
		})
	}
	wg.Wait()
}

func TestTheSameRefusalIsJournalledOnceAMinuteWithItsNumber(t *testing.T) {
	d := newDock(t, func(c *dispatcher.Config) { c.Lease, c.Resync = time.Hour, time.Hour })
	d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	d.beats(g, 50, 1)
	told := d.told("refused.work.heartbeat")
	if len(told) != 1 || told[0].Actor != "builder-lite-0" || told[0].Subject != "item 1" {
		t.Fatalf("the journal tells %+v", told)
	}
	// Another call is another refusal.
	for range 3 {
		_ = d.Fail(t.Context(), g.Builder, g.Attempt, dispatcher.Failure{Beat: dispatcher.Beat{Token: g.Token + 1}, Reason: "no"})
	}
	if told := d.told("refused.work.fail"); len(told) != 1 {
		t.Errorf("the journal tells %+v of another call", told)
	}
	// So is another coordinate's.
	for range 3 {
		_, _ = d.Beat(t.Context(), at("builder-lite-1"), g.Attempt, dispatcher.Beat{Token: g.Token})
	}
	if told := d.told("refused.work.heartbeat"); len(told) != 2 {
		t.Errorf("the journal tells %+v of another coordinate", told)
	}
	d.ahead.Add(int64(time.Minute))
	d.beats(g, 10, 1)
	told = d.told("refused.work.heartbeat")
	if len(told) != 3 || !strings.Contains(told[2].Reason, "(49 more since ") {
		t.Fatalf("a minute later the journal tells %+v", told)
	}
	// What nobody repeats is told with the next resync.
	d.ahead.Add(int64(time.Minute))
	d.beats(g, 1, 1)
	d.beats(g, 4, 1)
	d.ahead.Add(int64(time.Minute))
	if _, err := d.Beat(t.Context(), g.Builder, g.Attempt, dispatcher.Beat{Token: g.Token}); err != nil {
		t.Fatal(err) // the clock is known now
	}
	for range 2 {
		if err := d.ResyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var last []string
	for _, e := range d.told("refused.work.heartbeat") {
		if e.Actor == "builder-lite-0" {
			last = append(last, e.Reason)
		}
	}
	if len(last) != 4 || !strings.Contains(last[2], "(9 more since ") || !strings.Contains(last[3], "(4 more since ") {
		t.Errorf("the journal tells %q", last)
	}
}

func TestRefusalsForEverOtherReasonsAreBoundedToo(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	for n := range 60 {
		r := dispatcher.Registration{Token: g.Token, Pull: pull, Head: "x"}
		r.Head += head(n)
		if err := d.Register(t.Context(), g.Builder, g.Attempt, r); err == nil {
			t.Fatal("it is registered")
		}
	}
	if told := d.told("refused.work.register"); len(told) > 21 {
		t.Errorf("the journal tells of %d refusals", len(told))
	}
}
