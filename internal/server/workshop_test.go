package server_test

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
	"slipway/internal/server"
	"slipway/pools"
)

// workshop is a dispatcher in memory: it keeps what it is given, leases one item
// to one coordinate, and lets each test say what it refuses.
type workshop struct {
	mu       sync.Mutex
	works    []dispatcher.Work
	sets     []dispatcher.StoredSet
	seats    []dispatcher.Seat
	offered  chan struct{} // closed and made anew when an item comes
	said     []string      // what was ordered, by whom
	refuse   error         // of the next call
	claiming chan struct{} // gets one for each claim that began to wait
	left     chan error    // gets why each claim ended without work

	credentials []dispatcher.Credential
}

func newWorkshop() *workshop {
	return &workshop{offered: make(chan struct{}), claiming: make(chan struct{}, 100), left: make(chan error, 100)}
}

func (s *workshop) say(format string, args ...any) error {
	s.said = append(s.said, fmt.Sprintf(format, args...))
	err := s.refuse
	s.refuse = nil
	return err
}

func (s *workshop) Claim(ctx context.Context, as pools.Address, r dispatcher.ClaimRequest) (*dispatcher.Grant, error) {
	limit, stop := context.WithTimeout(ctx, time.Duration(r.Wait)*time.Second)
	defer stop()
	for {
		s.mu.Lock()
		if err := s.say("claim %s %s", as, r.Request); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		grant, offered := s.grant(as, r.Request), s.offered
		s.mu.Unlock()
		if grant != nil {
			return grant, nil
		}
		s.claiming <- struct{}{}
		select {
		case <-offered:
		case <-limit.Done():
			s.left <- ctx.Err() // nil: its own time was over
			return nil, ctx.Err()
		}
	}
}

func (s *workshop) grant(as pools.Address, request string) *dispatcher.Grant {
	for i := range s.works {
		w := &s.works[i]
		if w.Item.State != dispatcher.Ready || !w.Item.Selector.Matches(as) {
			continue
		}
		now := time.Now().UTC()
		w.Item.State, w.Item.Token = dispatcher.Working, w.Item.Token+1
		id := dispatcher.AttemptID(100 + len(w.Attempts) + 10*i)
		w.Attempts = append(w.Attempts, dispatcher.Attempt{
			ID: id, Item: w.Item.ID, Address: as, Token: w.Item.Token, Request: request, Started: now, Until: now.Add(time.Minute),
			Assignment: pools.Assignment{Name: "a", Provider: "p", Model: "m", Prompt: pools.Prompt{File: "a.md", Text: "be brief"}}, Branch: "work/1-builder-lite-0",
		})
		return &dispatcher.Grant{
			Attempt: id, Token: w.Item.Token, Item: w.Item.ID, Builder: as, Kind: w.Item.Kind, Repo: w.Item.Repo, Title: w.Item.Title, Try: 1,
			Config: w.Attempts[0].Assignment.Hash(), Assignment: w.Attempts[0].Assignment, Currency: "EUR", Until: now.Add(time.Minute), Beat: 20, Lease: 60, Deadline: now.Add(time.Hour),
		}
	}
	return nil
}

// held is an attempt that a coordinate may speak for.
func (s *workshop) held(as pools.Address, id dispatcher.AttemptID, token int64) (*dispatcher.Attempt, error) {
	for i := range s.works {
		for j := range s.works[i].Attempts {
			a := &s.works[i].Attempts[j]
			switch {
			case a.ID != id:
			case a.Address != as:
				return nil, fmt.Errorf("attempt %d: %w", id, dispatcher.ErrForeign)
			case a.Token != token || a.Outcome != dispatcher.Live:
				return nil, fmt.Errorf("attempt %d: %w", id, dispatcher.ErrStale)
			default:
				return a, nil
			}
		}
	}
	return nil, fmt.Errorf("attempt %d: %w", id, dispatcher.ErrUnknown)
}

func (s *workshop) Beat(_ context.Context, as pools.Address, id dispatcher.AttemptID, b dispatcher.Beat) (dispatcher.Pulse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("beat %s %d %+v", as, id, b); err != nil {
		return dispatcher.Pulse{}, err
	}
	a, err := s.held(as, id, b.Token)
	if err != nil {
		return dispatcher.Pulse{}, err
	}
	return dispatcher.Pulse{Until: a.Until.Add(time.Minute), StandDown: a.StandDown}, nil
}

func (s *workshop) Register(_ context.Context, as pools.Address, id dispatcher.AttemptID, r dispatcher.Registration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("register %s %d %s %s", as, id, r.Pull, r.Head); err != nil {
		return err
	}
	a, err := s.held(as, id, r.Token)
	if err == nil {
		a.Pull, a.Head = r.Pull, r.Head
	}
	return err
}

func (s *workshop) Complete(_ context.Context, as pools.Address, id dispatcher.AttemptID, c dispatcher.Completion) error {
	return s.end(as, id, c.Token, dispatcher.Finished, "complete %s %d %s", as, id, c.Summary)
}

func (s *workshop) Fail(_ context.Context, as pools.Address, id dispatcher.AttemptID, f dispatcher.Failure) error {
	return s.end(as, id, f.Token, dispatcher.Failed, "fail %s %d %s %t", as, id, f.Reason, f.Final)
}

func (s *workshop) end(as pools.Address, id dispatcher.AttemptID, token int64, o dispatcher.Outcome, format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say(format, args...); err != nil {
		return err
	}
	a, err := s.held(as, id, token)
	if err == nil {
		a.Outcome = o
	}
	return err
}

func (s *workshop) Submit(_ context.Context, by string, sub dispatcher.Submission) (dispatcher.Item, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("submit by %s", by); err != nil {
		return dispatcher.Item{}, false, err
	}
	for _, w := range s.works {
		if sub.Key != "" && w.Item.Key == sub.Key {
			return w.Item, true, nil
		}
	}
	sel, err := pools.ReadSelector(sub.Selector)
	if err != nil {
		return dispatcher.Item{}, false, fault.AsPermanent(errors.Join(err, errors.New("and the budget is too high")))
	}
	now := time.Now().UTC()
	i := dispatcher.Item{
		ID: dispatcher.ItemID(len(s.works) + 1), Kind: dispatcher.Build, Repo: sub.Repo, Key: sub.Key, Title: sub.Title, Spec: sub.Spec,
		Selector: sel, Level: dispatcher.Normal, Mode: dispatcher.Single, Budget: sub.Budget, Submitter: by, Submitted: now, State: dispatcher.Ready, Since: now,
	}
	s.works = append(s.works, dispatcher.Work{Item: i})
	close(s.offered)
	s.offered = make(chan struct{})
	return i, false, nil
}

func (s *workshop) Cancel(_ context.Context, by string, id dispatcher.ItemID, reason string) error {
	return s.order("cancel %d by %s: %s", id, by, reason)
}

func (s *workshop) Retry(_ context.Context, by string, id dispatcher.ItemID, reason string) error {
	return s.order("retry %d by %s: %s", id, by, reason)
}

func (s *workshop) Cordon(_ context.Context, by string, a pools.Address, drain bool, reason string) error {
	return s.order("cordon %s by %s, drain %t: %s", a, by, drain, reason)
}

func (s *workshop) Uncordon(_ context.Context, by string, a pools.Address, reason string) error {
	return s.order("uncordon %s by %s: %s", a, by, reason)
}

func (s *workshop) order(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.say(format, args...)
}

func (s *workshop) Work(_ context.Context, id dispatcher.ItemID) (dispatcher.Work, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.works {
		if w.Item.ID == id {
			return dispatcher.Work{Item: w.Item, Attempts: slices.Clone(w.Attempts)}, true, nil
		}
	}
	return dispatcher.Work{}, false, nil
}

func (s *workshop) Items(_ context.Context, f dispatcher.Filter) ([]dispatcher.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("items %+v", f); err != nil {
		return nil, err
	}
	var out []dispatcher.Item
	for _, w := range slices.Backward(s.works) {
		out = append(out, w.Item)
	}
	return out, nil
}

func (s *workshop) Attempts(_ context.Context, f dispatcher.Filter) ([]dispatcher.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("attempts %+v", f); err != nil {
		return nil, err
	}
	var out []dispatcher.Attempt
	for _, w := range slices.Backward(s.works) {
		out = append(out, w.Attempts...)
	}
	return out, nil
}

func (s *workshop) Seats(context.Context) ([]dispatcher.Seat, error) { return s.seats, nil }

func (s *workshop) Set(context.Context) (dispatcher.StoredSet, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("set"); err != nil || len(s.sets) == 0 {
		return dispatcher.StoredSet{}, false, err
	}
	return s.sets[len(s.sets)-1], true, nil
}

func (s *workshop) History(_ context.Context, n int) ([]dispatcher.StoredSet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("history %d", n); err != nil {
		return nil, err
	}
	out := slices.Clone(s.sets)
	slices.Reverse(out)
	return out[:min(n, len(out))], nil
}

// heard is what was ordered so far.
func (s *workshop) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.said)
}

// file is a pool config's file in memory.
type file struct {
	mu      sync.Mutex
	said    []string
	becomes server.Swapped
	refuse  error
	faults  []string
}

func (f *file) Swap(_ context.Context, by string, o server.SwapOrder) (server.Swapped, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf("swap by %s: %+v", by, o))
	return f.becomes, f.refuse
}

func (f *file) Rollback(_ context.Context, by string, number int64) (server.Swapped, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf("rollback by %s to %d", by, number))
	return f.becomes, f.refuse
}

func (f *file) Faults() []string { return f.faults }

// credentials are those of coordinates, by hash.
type credentials struct {
	mu  sync.Mutex
	of  map[string]dispatcher.Credential
	err error
}

func (c *credentials) find(_ context.Context, hash string) (dispatcher.Credential, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.of[hash]
	return found, ok, c.err
}

// mint gives a coordinate a credential.
func (c *credentials) mint(t *testing.T, address string, change ...func(*dispatcher.Credential)) (secret string) {
	t.Helper()
	a, err := pools.ReadAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	secret, made, err := dispatcher.NewCredential(a, time.Now(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	hash := made.Hash
	for _, f := range change {
		f(&made)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[hash] = made
	return secret
}

func (s *workshop) Enrol(_ context.Context, by string, c dispatcher.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.say("enrol %s by %s", c.Address, by); err != nil {
		return err
	}
	s.credentials = append(s.credentials, c)
	return nil
}

func (s *workshop) Revoke(_ context.Context, by, hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.say("revoke %s by %s", hash, by)
}

func (s *workshop) Credentials(context.Context) ([]dispatcher.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.credentials), nil
}
