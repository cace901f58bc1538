package main

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/reconcile"
)

// slow is something that answers when it is let.
type slow struct {
	asked atomic.Int64
	began chan context.Context
	let   chan []reconcile.Finding
}

func newSlow() *slow {
	return &slow{began: make(chan context.Context, 10), let: make(chan []reconcile.Finding)}
}

func (s *slow) ask(ctx context.Context) []reconcile.Finding {
	s.asked.Add(1)
	s.began <- ctx
	return <-s.let
}

func down(fault string) []reconcile.Finding { return []reconcile.Finding{{Fault: fault}} }

// asking asks in the background.
func asking(ctx context.Context, f *fresh) <-chan []reconcile.Finding {
	out := make(chan []reconcile.Finding, 1)
	go func() { out <- f.answer(ctx) }()
	return out
}

func wantFault(t *testing.T, found []reconcile.Finding, want string) {
	t.Helper()
	switch {
	case want == "" && len(found) > 0, want != "" && (len(found) != 1 || found[0].Fault != want):
		t.Errorf("found %+v, want %q", found, want)
	}
}

// clock is a time that stands until it is moved.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time       { return time.Unix(1_000_000, c.at.Load()) }
func (c *clock) move(d time.Duration) { c.at.Add(int64(d)) }

func TestWhoHangsUpSpoilsNoAnswer(t *testing.T) {
	s := newSlow()
	f := &fresh{keep: time.Minute, now: time.Now, ask: s.ask}
	ctx, hangUp := context.WithCancel(t.Context())
	first := asking(ctx, f)
	under := <-s.began
	hangUp()
	if under.Err() != nil {
		t.Error("the question ended with its caller")
	}
	if at, ok := under.Deadline(); !ok || time.Until(at) > patience {
		t.Errorf("the question may take until %v (%v)", at, ok)
	}
	s.let <- nil
	wantFault(t, <-first, "")
	wantFault(t, f.answer(t.Context()), "")
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestManyAtOnceAskOnce(t *testing.T) {
	s := newSlow()
	f := &fresh{keep: time.Minute, now: time.Now, ask: s.ask}
	all := []<-chan []reconcile.Finding{asking(t.Context(), f)}
	<-s.began
	for range 20 {
		all = append(all, asking(t.Context(), f))
	}
	s.let <- down("the forge")
	for _, one := range all {
		wantFault(t, <-one, "the forge")
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestWhileItIsAskedAgainTheAnswerBeforeIsGiven(t *testing.T) {
	s, c := newSlow(), &clock{}
	f := &fresh{keep: 3 * time.Second, now: c.now, ask: s.ask}
	first := asking(t.Context(), f)
	<-s.began
	s.let <- down("before")
	wantFault(t, <-first, "before")

	c.move(4 * time.Second)
	second := asking(t.Context(), f)
	<-s.began
	wantFault(t, f.answer(t.Context()), "before")

	c.move(time.Hour) // an answer of an hour ago is none
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantFault(t, f.answer(ended), "the question whether it is ready was not answered in time")
	third := asking(t.Context(), f)

	s.let <- nil
	wantFault(t, <-second, "")
	wantFault(t, <-third, "")
	if n := s.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}
