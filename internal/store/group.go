package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// largestGroup bounds one transaction, and so how long its last write waits.
const largestGroup = 512

// patience is how long a caller whose context has ended still waits for a
// write that is being committed, because knowing beats not knowing.
const patience = 5 * time.Second

// errClosed is what a write meets after Close.
var errClosed = errors.New("the store is closed")

// group commits writes together: one goroutine takes all that wait and carries
// them out in one transaction, each behind a savepoint of its own, so that one
// disk flush serves all and a refused write hurts no other.
type group struct {
	woken  chan struct{} // capacity 1
	offers chan struct{} // capacity 1
	nudge  chan struct{} // capacity 1: something waits, or closed was set
	ended  chan struct{}
	mu     sync.Mutex
	queue  []*job
	closed bool
}

// job is one write on its way.
type job struct {
	apply func(ctx context.Context, s *session) (news, error)
	news  news
	err   error
	done  chan struct{}
}

// startGroup uses the session, and nobody else may, until stop.
func startGroup(s *session) *group {
	g := &group{
		woken:  make(chan struct{}, 1),
		offers: make(chan struct{}, 1),
		nudge:  make(chan struct{}, 1),
		ended:  make(chan struct{}),
	}
	go func() {
		defer close(g.ended)
		g.run(s)
	}()
	return g
}

// do returns once the write is durable, or with why nothing of it was done.
// Only an error that says so leaves that open.
func (g *group) do(ctx context.Context, apply func(context.Context, *session) (news, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{apply: apply, done: make(chan struct{})}
	if err := g.enqueue(j); err != nil {
		return err
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
	}
	if g.withdraw(j) {
		return ctx.Err()
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-j.done:
		return j.err
	case <-limit.C:
		return fmt.Errorf("the write may or may not have been committed: %w", ctx.Err())
	}
}

// stop commits what waits, refuses what comes later, and waits for the end.
func (g *group) stop() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	wake(g.nudge)
	<-g.ended
}

func (g *group) enqueue(j *job) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	g.queue = append(g.queue, j)
	wake(g.nudge)
	return nil
}

// withdraw takes a job back that nobody has begun.
func (g *group) withdraw(j *job) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, waiting := range g.queue {
		if waiting == j {
			g.queue = slices.Delete(g.queue, i, i+1)
			return true
		}
	}
	return false
}

// take removes the jobs of the next transaction. more is false at the end.
func (g *group) take() (jobs []*job, more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.queue), largestGroup)
	jobs = append(jobs, g.queue[:n]...)
	g.queue = slices.Delete(g.queue, 0, n)
	return jobs, n > 0 || !g.closed
}

// waiting is how many jobs wait; closed, that no more will come.
func (g *group) waiting() (n int, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue), g.closed
}

func (g *group) run(s *session) {
	// A write that was begun is finished whoever goes away meanwhile: the
	// statements are bounded by the busy timeout, not by a caller.
	ctx := context.Background()
	for {
		jobs, more := g.take()
		if !more {
			return
		}
		if len(jobs) == 0 {
			<-g.nudge
			continue
		}
		began := time.Now()
		if err := s.transact(ctx, jobs); err != nil {
			for _, j := range jobs {
				j.news, j.err = 0, err
			}
		}
		g.answer(jobs)
		g.gather(len(jobs), time.Since(began)/4)
	}
}

// answer tells whoever waits for keys or items, and then the callers: one that
// was answered can count on the signal.
func (g *group) answer(jobs []*job) {
	var all news
	for _, j := range jobs {
		all |= j.news
	}
	all.tell(g.woken, g.offers)
	for _, j := range jobs {
		close(j.done)
	}
}

// gather lets those just answered come back with their next write. Without it
// a group of many and a group of the one that was first take turns, and half
// of the flushes serve one write. It waits for a group as large as the last,
// and no longer than limit, a part of what that one took.
func (g *group) gather(last int, limit time.Duration) {
	runtime.Gosched()
	if last == 1 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		if n, closed := g.waiting(); n >= last || closed {
			return
		}
		select {
		case <-g.nudge:
		case <-timer.C:
			return
		}
	}
}
