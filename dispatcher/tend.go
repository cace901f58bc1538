package dispatcher

import (
	"context"
	"sync"
	"time"
)

const (
	// mostOverdue is how many items are dealt with in one transaction whose time
	// is over.
	mostOverdue = 100
	// leastWait is between two looks at what is due.
	leastWait = 5 * time.Millisecond
)

// clock is what this process knows of the store's time and of what is due.
type clock struct {
	now   func() time.Time
	woken chan struct{} // capacity 1: something changed below

	mu    sync.Mutex
	ahead time.Duration // of the store's clock
	// due is when the next thing is, by the store's clock; zero: nothing known.
	due time.Time
	// doubted says that there may be something sooner that nobody knows of.
	doubted bool
}

// newClock is one that knows nothing yet.
func newClock(now func() time.Time) *clock {
	return &clock{now: now, woken: make(chan struct{}, 1), doubted: true}
}

// set takes over what the store's clock shows.
func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = now.Sub(c.now())
}

// show is the time by the store's clock, as far as this process knows.
func (c *clock) show() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Add(c.ahead)
}

// sooner says that something is due at a time; the zero time says nothing.
func (c *clock) sooner(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !at.IsZero() && (c.due.IsZero() || at.Before(c.due)) {
		c.due = at
		poke(c.woken)
	}
}

// doubt says that something may be due sooner, and nobody knows when.
func (c *clock) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted = true
	poke(c.woken)
}

// left is how long it is until something is due, most at the most; 0 and less is
// by now, or whenever there is a doubt.
func (c *clock) left(most time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.doubted:
		return 0
	case c.due.IsZero():
		return most
	default:
		return min(most, c.due.Sub(c.now().Add(c.ahead)))
	}
}

// forget begins a look at what is due: it says whether something was by now, and
// whatever is told of from here on counts for the next.
func (c *clock) forget() (came bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	came = !c.due.IsZero() && !c.due.After(c.now().Add(c.ahead))
	c.due, c.doubted = time.Time{}, false
	return came
}

// keepTime ends what time ends, when it does. It asks the store at the latest
// after half a lease: so whatever another server leaves behind that dies is
// known before its lease has ended.
func (d *Dispatcher) keepTime(ctx context.Context) {
	most := d.terms.lease / 2
	asked := d.Now()
	for ctx.Err() == nil {
		if wait := min(d.clock.left(most), most-d.Now().Sub(asked)); wait > 0 {
			d.sleep(ctx, wait)
			continue
		}
		asked = d.Now()
		if err := d.tend(context.WithoutCancel(ctx)); err != nil {
			d.Log.Error("keep the time of the work", "error", err)
			rest(ctx, failedPause)
			d.clock.doubt()
			continue
		}
		rest(ctx, leastWait)
	}
}

// sleep waits for a time, or until something is due sooner.
func (d *Dispatcher) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.clock.woken:
	case <-timer.C:
	}
}

// tend asks what is due, and ends what is over.
func (d *Dispatcher) tend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if d.clock.forget() {
		d.desk.again() // what rested until now can be had
	}
	due, err := d.Store.Due(ctx)
	if err != nil {
		return err
	}
	if d.clock.sooner(due); d.clock.left(time.Second) > 0 {
		return nil
	}
	for ended := mostOverdue; ended == mostOverdue; {
		err := d.transact(ctx, Scope{Overdue: mostOverdue}, func(v View) (Write, error) {
			ended = len(v.Works)
			return overdue(v, d.terms), nil
		})
		if err != nil {
			return err
		}
	}
	d.clock.forget()
	if due, err = d.Store.Due(ctx); err != nil {
		return err
	}
	if d.clock.sooner(due); d.clock.left(time.Second) <= 0 {
		rest(ctx, failedPause/10) // another server has it in hand
	}
	return nil
}
