package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
)

// attempt is one grant while it is worked on.
type attempt struct {
	*Worker
	grant *dispatcher.Grant
	begun time.Time
	lease time.Duration
	bench bench
	// phased is signalled when the phase has changed; capacity 1.
	phased chan struct{}

	// What is said with the completion.
	summary string
	verdict string
	// whole says that all was done, and that only the server has to hear of it.
	whole bool

	mu    sync.Mutex
	phase dispatcher.Phase
	until time.Time // when the lease ends, by this machine's monotonic clock
	spent usage     // as reported last
}

// end is how an attempt ended, as the worker sees it.
type end int

const (
	failed   end = iota // for a reason that was told to the server
	ended               // the server has its completion
	stopped             // by the server's word, which was acknowledged
	lost                // its lease is over, or belongs to somebody else
	withdrew            // the worker itself was told to stop
)

// The reasons for which an attempt is broken off.
var (
	errLost     = errors.New("the server takes the attempt for over")
	errAway     = errors.New("the lease has ended: the server could not be reached in time")
	errDeadline = errors.New("the attempt's deadline has passed")
)

// standDown is the server's word to stop.
type standDown struct{ why string }

func (s standDown) Error() string { return "told to stand down: " + s.why }

// failure is why an attempt failed, for the server and for people.
type failure struct {
	reason string
	output string // the end of what the command printed
}

func (f failure) Error() string { return f.reason }

// attempt takes a grant up. Its lease is counted from the answer, for the claim
// may have waited; the first heartbeat, which follows at once, counts it from
// before it was sent.
func (w *Worker) attempt(g *dispatcher.Grant, answered time.Time) *attempt {
	lease := g.Lease
	if lease <= 0 {
		lease = 3 * g.Beat
	}
	a := &attempt{Worker: w, grant: g, begun: answered, phased: make(chan struct{}, 1), phase: dispatcher.Claimed}
	a.lease = time.Duration(max(lease, 1)) * w.pace.second
	a.until = answered.Add(a.lease)
	return a
}

// work works on what was granted, from the claim to the end. Whatever happens,
// the command is gone and the worktree removed when it returns.
func (w *Worker) work(ctx context.Context, g *dispatcher.Grant) end {
	a := w.attempt(g, time.Now())
	a.tell(Event{What: "claimed", Reason: line(g.Title, 200)})
	running, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { a.keep(running, cancel) })
	err := a.carryOut(running)
	if err == nil {
		a.whole = true
		// The heartbeats go on until the server has it.
		err = a.settled(running)
	}
	cause := context.Cause(running)
	cancel(nil)
	wg.Wait()
	result := a.conclude(ctx, err, cause)
	if a.bench.dir != "" {
		if err := remove(a.bench.dir); err != nil {
			a.tell(Event{What: "note", Reason: "the worktree cannot be removed whole: " + err.Error()})
		}
	}
	return result
}

// conclude tells the server how it ended, unless the server knows.
func (a *attempt) conclude(ctx context.Context, err, cause error) end {
	if err == nil {
		a.tell(Event{What: "done", Seconds: a.took()})
		return ended
	}
	var down standDown
	switch {
	case errors.As(cause, &down):
		a.acknowledge(ctx)
		a.tell(Event{What: "stood_down", Reason: down.why, Seconds: a.took()})
		return stopped
	case errors.Is(cause, errLost), errors.Is(cause, errAway), isOver(err):
		why := cause
		if why == nil {
			why = err
		}
		a.tell(Event{What: "lost", Reason: why.Error(), Seconds: a.took()})
		return lost
	case errors.Is(cause, errDeadline):
		err = failure{reason: cause.Error()}
	case ctx.Err() != nil && a.whole && a.insist(ctx, a.complete) == nil:
		a.tell(Event{What: "done", Seconds: a.took()})
		return ended
	case ctx.Err() != nil:
		reason := "the worker was told to stop"
		if failErr := a.handBack(ctx, reason); failErr != nil {
			reason += ", and the server could not be told: " + failErr.Error()
		}
		a.tell(Event{What: "stopped", Reason: reason, Seconds: a.took()})
		return withdrew
	}
	var f failure
	if !errors.As(err, &f) {
		f.reason = err.Error()
	}
	told := f.reason
	if f.output != "" {
		told += "\n" + lastOf(f.output, reasonLimit)
	}
	if failErr := a.fail(ctx, told); failErr != nil {
		f.reason += " (and the server could not be told: " + failErr.Error() + ")"
	}
	a.tell(Event{What: "failed", Reason: f.reason, Output: f.output, Seconds: a.took()})
	return failed
}

// carryOut prepares, runs the command and publishes what came of it.
func (a *attempt) carryOut(ctx context.Context) error {
	if err := a.plausible(); err != nil {
		return err
	}
	switch a.grant.Kind {
	case dispatcher.Build:
		return a.build(ctx)
	case dispatcher.Review:
		return a.reviewIt(ctx)
	default:
		return failure{reason: fmt.Sprintf("this worker does not know work of the kind %q", line(string(a.grant.Kind), 40))}
	}
}

// plausible refuses a grant that is not this coordinate's.
func (a *attempt) plausible() error {
	g := a.grant
	branch := fmt.Sprintf("work/%d-%s", g.Item, a.Address)
	switch {
	case g.Builder != a.Address:
		return failure{reason: fmt.Sprintf("the grant is for %s, and this is %s", g.Builder, a.Address)}
	case g.Kind == dispatcher.Build && g.Branch != branch:
		return failure{reason: fmt.Sprintf("the grant names the branch %q in place of %s", line(g.Branch, 80), branch)}
	case g.Kind == dispatcher.Build && g.Base == "":
		return failure{reason: "the grant names no base branch"}
	case g.Kind == dispatcher.Review && (g.Pull.IsZero() || g.Head == ""):
		return failure{reason: "the grant names no pull request and head to review"}
	}
	return nil
}

// enter goes over to a phase, which the next heartbeat tells at once.
func (a *attempt) enter(p dispatcher.Phase) {
	a.mu.Lock()
	a.phase = p
	a.mu.Unlock()
	select {
	case a.phased <- struct{}{}:
	default: // a heartbeat is due anyhow
	}
	a.tell(Event{What: string(p)})
}

// beat is the next heartbeat.
func (a *attempt) beat() dispatcher.Beat {
	spent, err := a.reported(false)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil || spent != (usage{}) {
		a.spent = spent
	}
	return dispatcher.Beat{Token: a.grant.Token, Phase: a.phase, Tokens: a.spent.Tokens, Amount: a.spent.Amount, Model: a.spent.Model}
}

// reported reads what the command has reported so far.
func (a *attempt) reported(finished bool) (usage, error) {
	a.mu.Lock()
	made := a.bench
	a.mu.Unlock()
	if made.dir == "" {
		return usage{}, nil
	}
	data, err := read(made.report(), reportLimit)
	if err != nil {
		return usage{}, err
	}
	return parseReport(data, a.grant.Assignment.Model, finished)
}

// fail tells the server that the attempt failed.
func (a *attempt) fail(ctx context.Context, reason string) error {
	return a.giveUp(ctx, dispatcher.Failure{Reason: a.mask(strings.ToValidUTF8(reason, "\uFFFD"))})
}

// handBack gives the attempt back, because the worker was told to stop.
func (a *attempt) handBack(ctx context.Context, reason string) error {
	return a.giveUp(ctx, dispatcher.Failure{Reason: reason, Returned: true})
}

func (a *attempt) giveUp(ctx context.Context, f dispatcher.Failure) error {
	f.Beat = a.beat()
	return a.insist(ctx, func(ctx context.Context) error { return a.Desk.Fail(ctx, a.grant.Attempt, f) })
}

// acknowledge says that the command is gone.
func (a *attempt) acknowledge(ctx context.Context) {
	b := a.beat()
	b.Stopped = true
	err := a.insist(ctx, func(ctx context.Context) error {
		_, err := a.Desk.Beat(ctx, a.grant.Attempt, b)
		return err
	})
	if err != nil {
		a.tell(Event{What: "note", Reason: "the stand-down could not be acknowledged: " + err.Error()})
	}
}

// insist makes a last call until it is answered, within the time for settling
// and the lease, whichever is longer to go: also after ctx has ended.
func (a *attempt) insist(ctx context.Context, call func(context.Context) error) error {
	limit := a.pace.settle
	if ctx.Err() == nil {
		limit = max(limit, time.Until(a.leaseEnd()))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return a.persist(last, call)
}

// persist makes a call until it is answered or ctx ends. An answer that the
// server will not change its mind about is one.
func (a *attempt) persist(ctx context.Context, call func(context.Context) error) error {
	for tries := 0; ; tries++ {
		timed, cancel := context.WithTimeout(ctx, a.pace.call)
		err := call(timed)
		cancel()
		if err == nil || isOver(err) || fault.KindOf(err) == fault.Permanent {
			return err
		}
		if !rest(ctx, a.patience(tries, err)) {
			return err
		}
	}
}

// isOver says whether the server takes the attempt for ended, or for another's.
func isOver(err error) bool {
	return errors.Is(err, dispatcher.ErrStale) || errors.Is(err, dispatcher.ErrForeign) || errors.Is(err, dispatcher.ErrUnknown)
}

// patience is the pause before another try. What the server asks for is kept to,
// but for a last try before the lease ends.
func (a *attempt) patience(tries int, err error) time.Duration {
	pause := a.pause(tries, err)
	if _, asked := fault.When(err); !asked {
		return min(pause, a.lease/6)
	}
	return min(pause, max(time.Until(a.leaseEnd())-a.lease/10, a.lease/10))
}

func (a *attempt) leaseEnd() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.until
}

func (a *attempt) took() float64 { return time.Since(a.begun).Seconds() }

func (a *attempt) tell(e Event) {
	e.Item, e.Attempt, e.Kind = a.grant.Item, a.grant.Attempt, a.grant.Kind
	if e.Repo.IsZero() {
		e.Repo = a.grant.Repo
	}
	a.Worker.tell(e)
}
