package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"slipway/internal/ref"
	"slipway/pools"
)

// failedPause is what follows a failure of the store or of a forge.
const failedPause = time.Second

// Run brings items to the coordinates that ask, keeps the time of leases and
// deadlines, and follows pull requests and issues, until ctx ends. Then it waits
// for what is under way, answers whoever still asks with nothing, and returns
// nil.
func (d *Dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer d.desk.close()
		d.attend(ctx)
	})
	wg.Go(func() { d.keepTime(ctx) })
	wg.Go(func() { follow(ctx, d.looks, handled(d, "look", d.look)) })
	wg.Go(func() { follow(ctx, d.repos, handled(d, "look at the issues", d.issue)) })
	wg.Go(func() { d.repeat(ctx) })
	wg.Wait()
	return nil
}

// Look is a hint that the record of a pull request has moved. It costs nothing,
// and many of one pull request are one look: its items follow it, it is given
// the reviews that it lacks, and those of older heads are withdrawn.
func (d *Dispatcher) Look(ctx context.Context, pull ref.PullID) error {
	d.looks.add(pull)
	return ctx.Err()
}

// Issue is a hint that the labelled issues of a repository may have changed.
func (d *Dispatcher) Issue(ctx context.Context, repo ref.RepoID) error {
	if d.Issues[repo] != nil && len(d.Labels) > 0 {
		d.repos.add(repo)
	}
	return ctx.Err()
}

// transact runs one step in one transaction. What the step refuses is committed
// to the journal all the same.
func (d *Dispatcher) transact(ctx context.Context, scope Scope, step func(View) (Write, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var now time.Time
	var w Write
	var refused error
	err := d.Store.Transact(ctx, scope, func(v View) (Write, error) {
		now = v.Now
		w, refused = step(v)
		return w, nil
	})
	if err != nil {
		return err
	}
	d.heed(now, w)
	return refused
}

// heed does what follows from a transaction in this process: it wakes whoever
// has to look again, and counts. What is lost of it comes with a resync.
func (d *Dispatcher) heed(now time.Time, w Write) {
	d.clock.set(now)
	d.looks.add(w.Look...)
	var freed []pools.Address
	for _, a := range w.Attempts {
		if a.Outcome == Live {
			d.clock.sooner(a.Until)
			d.clock.sooner(a.Deadline)
			continue
		}
		freed = append(freed, a.Address)
		for _, i := range w.Items {
			if i.ID == a.Item && i.Kind == Review {
				d.looks.add(i.Pull) // others may have its model again
			}
		}
		d.Meter.Ended(a.Address.Pool(), a.Outcome)
	}
	for _, i := range w.Items {
		for _, at := range []time.Time{i.Deadline, i.Raise, i.NotBefore} {
			if at.After(now) && !i.over() {
				d.clock.sooner(at)
			}
		}
		if i.State == Done && issueNumber(i) != 0 && i.Told.Before(i.Ended) {
			d.repos.add(i.Repo)
		}
	}
	for _, e := range w.Journal {
		switch e.Action {
		case "work.dead":
			for _, i := range w.Items {
				if subject(i.ID) == e.Subject {
					d.Meter.Dead(i.Kind)
				}
			}
			d.Log.Warn("work is given up", "item", e.Subject, "reason", e.Reason)
		case "work.model_differs":
			if a, err := pools.ReadAddress(e.Identity); err == nil {
				d.Meter.Differed(a.Pool())
			}
			d.Log.Error("another model than the assigned one", "builder", e.Identity, "item", e.Subject, "reason", e.Reason)
		}
	}
	if w.Set != nil {
		d.desk.again()
	}
	d.desk.freed(freed)
}

// follow handles hints one after the other, until ctx ends.
func follow[T comparable](ctx context.Context, h *hints[T], handle func(context.Context, T)) {
	for {
		t, ok := h.next()
		if ok && ctx.Err() == nil {
			handle(ctx, t)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-h.woken:
		}
	}
}

// repeat hints at everything that is unfinished, at first and then ever so
// often, so that a hint that was lost costs no more than that.
func (d *Dispatcher) repeat(ctx context.Context) {
	every := time.NewTicker(d.Resync)
	defer every.Stop()
	for {
		if err := d.resync(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("resync of the work", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// recent is how many of the items that are done a resync still follows: a change
// can be rolled back after it was healthy.
const recent = 100

func (d *Dispatcher) resync(ctx context.Context) error {
	var faults []error
	if d.Unfinished != nil && d.Reviews.On {
		pulls, err := d.Unfinished(ctx)
		d.looks.add(pulls...)
		faults = append(faults, err)
	}
	for _, f := range []Filter{{Kind: Build, States: []State{Ready, Working, Landing}}, {Kind: Build, States: []State{Done}, Limit: recent}} {
		attempts, err := d.Store.Attempts(ctx, f)
		faults = append(faults, err)
		for _, a := range attempts {
			if !a.Pull.IsZero() {
				d.looks.add(a.Pull)
			}
		}
	}
	open, err := d.Store.Items(ctx, Filter{States: []State{Ready, Working, Landing}})
	faults = append(faults, err)
	depth := map[string]int{}
	for _, i := range open {
		if !i.Pull.IsZero() {
			d.looks.add(i.Pull)
		}
		if i.State == Ready {
			depth[i.Lane()]++
		}
	}
	d.Meter.Waiting(depth)
	for repo := range d.Issues {
		faults = append(faults, d.Issue(ctx, repo))
	}
	return errors.Join(append(faults, d.tellRefusals(ctx), d.tellStuck(ctx))...)
}

// handled is a handler whose errors and panics are logged: the next resync tries
// again, and one poisoned thing must not end the rest.
func handled[T fmt.Stringer](d *Dispatcher, what string, handle func(context.Context, T) error) func(context.Context, T) {
	return func(ctx context.Context, t T) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				d.Log.Error(what, "of", t, "panic", r, "stack", string(debug.Stack()))
			}
		}()
		if err := handle(ctx, t); err != nil && ctx.Err() == nil {
			d.Log.Warn(what, "of", t, "error", strings.TrimSpace(err.Error()))
		}
	}
}
