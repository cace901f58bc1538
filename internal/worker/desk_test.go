//go:build unix

package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/ref"
	"slipway/pools"
)

// memory is a server's desk that keeps the rules of the worker protocol: one
// live attempt, a token that has to be right, a lease that ends, a registration
// before a completion. Its time is the machine's own.
type memory struct {
	t     testing.TB
	lease time.Duration
	skew  time.Duration // of the server's clock

	mu        sync.Mutex
	offered   []*dispatcher.Grant
	requests  map[string]*dispatcher.Grant
	woken     chan struct{}
	live      map[dispatcher.AttemptID]*held
	away      error // what every call is answered with, if anything
	standDown string
	calls     []string
	asked     dispatcher.ClaimRequest // the last claim
	beats     []dispatcher.Beat
}

// held is an attempt as the desk knows it.
type held struct {
	grant      *dispatcher.Grant
	until      time.Time
	registered []dispatcher.Registration
	completed  *dispatcher.Completion
	failed     *dispatcher.Failure
	stopped    bool
}

func newMemory(t testing.TB, lease time.Duration) *memory {
	return &memory{t: t, lease: lease, requests: map[string]*dispatcher.Grant{}, woken: make(chan struct{}, 1), live: map[dispatcher.AttemptID]*held{}}
}

// offer has a grant claimed next.
func (m *memory) offer(g dispatcher.Grant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offered = append(m.offered, &g)
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// attempt is a copy of what is known of an attempt.
func (m *memory) attempt(id dispatcher.AttemptID) held {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.live[id]; h != nil {
		return *h
	}
	return held{}
}

func (m *memory) Claim(ctx context.Context, r dispatcher.ClaimRequest) (*dispatcher.Grant, error) {
	limit := time.NewTimer(time.Duration(r.Wait) * time.Second)
	defer limit.Stop()
	for {
		m.mu.Lock()
		m.calls, m.asked = append(m.calls, "claim "+r.Request), r
		err, g := m.away, m.requests[r.Request]
		if err == nil && g == nil && len(m.offered) > 0 {
			g, m.offered = m.offered[0], m.offered[1:]
			g.Until, g.Lease = time.Now().Add(m.skew).Add(m.lease/hurry*time.Second), int(m.lease/hurry)
			m.requests[r.Request] = g
			m.live[g.Attempt] = &held{grant: g, until: time.Now().Add(m.lease)}
		}
		m.mu.Unlock()
		if err != nil || g != nil {
			if err != nil {
				g = nil
			}
			return g, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit.C:
			return nil, nil
		case <-m.woken:
		}
	}
}

// hold finds the attempt that a call may speak for.
func (m *memory) hold(call string, id dispatcher.AttemptID, token int64) (*held, error) {
	m.calls = append(m.calls, fmt.Sprintf("%s %d", call, id))
	if m.away != nil {
		return nil, m.away
	}
	h := m.live[id]
	switch {
	case h == nil:
		return nil, dispatcher.ErrUnknown
	case h.grant.Token != token, !time.Now().Before(h.until), h.completed != nil, h.failed != nil, h.stopped:
		return nil, dispatcher.ErrStale
	}
	return h, nil
}

func (m *memory) Beat(_ context.Context, id dispatcher.AttemptID, b dispatcher.Beat) (dispatcher.Pulse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.hold("beat", id, b.Token)
	if err != nil {
		return dispatcher.Pulse{}, err
	}
	m.beats = append(m.beats, b)
	h.stopped = b.Stopped
	h.until = time.Now().Add(m.lease)
	return dispatcher.Pulse{Until: h.until, StandDown: m.standDown}, nil
}

func (m *memory) Register(_ context.Context, id dispatcher.AttemptID, r dispatcher.Registration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.hold("register", id, r.Token)
	if err == nil {
		h.registered = append(h.registered, r)
	}
	return err
}

func (m *memory) Complete(_ context.Context, id dispatcher.AttemptID, c dispatcher.Completion) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.hold("complete", id, c.Token)
	if err != nil {
		return err
	}
	if len(h.registered) == 0 {
		return errors.New("nothing was registered")
	}
	h.completed = &c
	return nil
}

func (m *memory) Fail(_ context.Context, id dispatcher.AttemptID, f dispatcher.Failure) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.hold("fail", id, f.Token)
	if err == nil {
		h.failed = &f
	}
	return err
}

// hurry is how long a second of the protocol is in the tests.
const hurry = 20 * time.Millisecond

// eventLog keeps a worker's events.
type eventLog struct {
	mu   sync.Mutex
	list []Event
}

func (l *eventLog) tell(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

func (l *eventLog) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.list, func(e Event) bool { return e.What == what })
}

func (l *eventLog) of(what string) Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.list {
		if e.What == what {
			return e
		}
	}
	return Event{}
}

var (
	app   = ref.RepoID{Owner: "acme", Name: "app"}
	lite0 = pools.Address{Role: "builder", Tier: "lite"}
)

// flakyDesk loses the answer of every call that it is asked for the first time.
type flakyDesk struct {
	*memory
	mu       sync.Mutex
	lost     map[string]bool
	requests []string
}

var errLostAnswer = errors.New("the connection was cut")

func (f *flakyDesk) lose(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil {
		f.lost = map[string]bool{}
	}
	if f.lost[call] {
		return nil
	}
	f.lost[call] = true
	return errLostAnswer
}

func (f *flakyDesk) Claim(ctx context.Context, r dispatcher.ClaimRequest) (*dispatcher.Grant, error) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Request)
	f.mu.Unlock()
	g, err := f.memory.Claim(ctx, r)
	if lost := f.lose("claim"); lost != nil {
		return nil, lost
	}
	return g, err
}

func (f *flakyDesk) Register(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Registration) error {
	err := f.memory.Register(ctx, id, r)
	if lost := f.lose("register"); lost != nil {
		return lost
	}
	return err
}

// flakyForge does what it is asked, and loses the first answer of each write.
type flakyForge struct {
	Forge
	opened, reviewed bool
}

func (f *flakyForge) OpenPull(ctx context.Context, repo ref.RepoID, branch, base, title, body string) (ref.PullID, error) {
	id, err := f.Forge.OpenPull(ctx, repo, branch, base, title, body)
	if !f.opened && err == nil {
		f.opened = true
		return ref.PullID{}, errLostAnswer
	}
	return id, err
}

func (f *flakyForge) Review(ctx context.Context, id ref.PullID, head ref.SHA, state gate.ReviewState, body string) error {
	err := f.Forge.Review(ctx, id, head, state, body)
	if !f.reviewed && err == nil {
		f.reviewed = true
		return errLostAnswer
	}
	return err
}
