package worker

import (
	"context"
	"time"

	"slipway/dispatcher"
)

// longestAttempt ends an attempt for which the server names no deadline.
const longestAttempt = 24 * time.Hour

// keep sends heartbeats until ctx ends, and breaks the attempt off when it is
// no longer the worker's: told to stand down, refused, past its deadline, or
// out of reach of the server for a whole lease. Every time is counted by this
// machine's monotonic clock, from before a call was made, so that a clock that
// is wrong ends nothing too late.
func (a *attempt) keep(ctx context.Context, broken context.CancelCauseFunc) {
	every := time.Duration(max(a.grant.Beat, 1)) * a.pace.second
	deadline := time.NewTimer(a.remaining())
	defer deadline.Stop()
	over := time.NewTimer(time.Until(a.leaseEnd()))
	defer over.Stop()
	next := time.NewTimer(every)
	defer next.Stop()
	for tries := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-deadline.C:
			broken(errDeadline)
			return
		case <-over.C:
			broken(errAway)
			return
		case <-a.phased:
		case <-next.C:
		}
		asked := time.Now()
		timed, cancel := context.WithTimeout(ctx, min(a.pace.call, time.Until(a.leaseEnd())))
		pulse, err := a.Desk.Beat(timed, a.grant.Attempt, a.beat())
		cancel()
		switch {
		case err == nil && pulse.StandDown != "":
			broken(standDown{line(pulse.StandDown, 500)})
			return
		case err == nil:
			tries = 0
			a.renew(asked)
			over.Reset(time.Until(a.leaseEnd()))
			next.Reset(every)
		case isOver(err):
			broken(errLost)
			return
		default:
			next.Reset(a.patience(tries, err))
			tries++
		}
	}
}

// renew moves the end of the lease to a whole lease after a call was made.
func (a *attempt) renew(asked time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if until := asked.Add(a.lease); until.After(a.until) {
		a.until = until
	}
}

// remaining is how long until the deadline. The server's time now follows from
// its own times, so that this machine's clock does not matter.
func (a *attempt) remaining() time.Duration {
	g := a.grant
	if g.Deadline.IsZero() || g.Until.IsZero() {
		return longestAttempt
	}
	ahead := g.Deadline.Sub(g.Until).Seconds()*float64(a.pace.second) + float64(a.lease)
	return time.Duration(min(ahead, float64(longestAttempt))) - time.Since(a.begun)
}

// settled has the server take the completion.
func (a *attempt) settled(ctx context.Context) error { return a.persist(ctx, a.complete) }

func (a *attempt) complete(ctx context.Context) error {
	return a.Desk.Complete(ctx, a.grant.Attempt, dispatcher.Completion{Beat: a.beat(), Summary: a.summary, Verdict: a.verdict})
}
