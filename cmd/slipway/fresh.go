package main

import (
	"context"
	"sync"
	"time"

	"slipway/internal/reconcile"
)

// patience is how long everything that Slipway depends on has to answer.
const patience = 10 * time.Second

// fresh keeps an answer for a while, so that whoever asks often costs the
// forges nothing. One question is under way at a time: whoever comes meanwhile
// gets the answer before, or waits for it where there is none or it is old. The
// question runs to its end or its timeout, whoever asked and hung up.
type fresh struct {
	keep time.Duration
	now  func() time.Time
	ask  func(context.Context) []reconcile.Finding

	mu    sync.Mutex
	at    time.Time // of last; zero when there is none
	last  []reconcile.Finding
	under chan struct{} // closed when the question under way is answered; nil when none is
}

// answer is empty when nothing is wrong.
func (f *fresh) answer(ctx context.Context) []reconcile.Finding {
	for {
		f.mu.Lock()
		age, known, under := f.now().Sub(f.at), !f.at.IsZero(), f.under
		switch {
		case known && (age <= f.keep || under != nil && age <= f.keep+patience):
			defer f.mu.Unlock()
			return f.last
		case under == nil:
			f.under = make(chan struct{})
			f.mu.Unlock()
			return f.renew(ctx)
		}
		f.mu.Unlock()
		select {
		case <-under:
		case <-ctx.Done():
			return []reconcile.Finding{{Area: "slipway", Fault: "the question whether it is ready was not answered in time"}}
		}
	}
}

// renew asks, as the only one.
func (f *fresh) renew(ctx context.Context) (found []reconcile.Finding) {
	answered := false
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if answered { // and did not panic
			f.at, f.last = f.now(), found
		}
		close(f.under)
		f.under = nil
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	found = f.ask(ctx)
	answered = true
	return found
}
