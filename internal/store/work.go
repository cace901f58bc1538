package store

import (
	"context"
	"fmt"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/pools"
)

var _ dispatcher.Store = (*Store)(nil)

// outcome is what became of a transaction on the work.
type outcome struct {
	news     news
	items    []dispatcher.ItemID    // the new ones
	attempts []dispatcher.AttemptID // the new ones
	numbered func([]dispatcher.ItemID, []dispatcher.AttemptID)
}

// shown is what decide was shown, and may therefore write.
type shown struct {
	items    map[dispatcher.ItemID]itemIdentity
	attempts map[dispatcher.AttemptID]attemptIdentity
	seats    map[pools.Address]bool
	open     map[dispatcher.ItemID]bool
}

// itemIdentity is what of an item never changes.
type itemIdentity struct {
	repo      ref.RepoID
	kind      dispatcher.Kind
	key       string
	pull      ref.PullID
	submitter string
}

// attemptIdentity is what of an attempt never changes (P2, W2).
type attemptIdentity struct {
	item       dispatcher.ItemID
	address    pools.Address
	token      int64
	request    string
	assignment pools.Assignment
}

// Transact lets decide rule over what scope names; see dispatcher.Store. A write
// of something that decide was not shown is fault.Permanent, as is one that
// changes whose an item or an attempt is; a key or a request that has been given
// meanwhile is fault.Changed. decide runs where everything is written: while it
// thinks, nothing else is.
func (s *Store) Transact(ctx context.Context, scope dispatcher.Scope, decide func(dispatcher.View) (dispatcher.Write, error)) error {
	var done outcome
	err := s.do(ctx, func(ctx context.Context, tx *session) (news, error) {
		view, err := s.view(ctx, tx, scope)
		if err != nil {
			return 0, fmt.Errorf("read the work: %w", err)
		}
		known := remember(view, scope)
		w, err := decide(view)
		if err != nil {
			return 0, err
		}
		done, err = s.carryOut(ctx, tx, w, known, view.Now)
		return done.news, err
	})
	if err != nil {
		return err
	}
	if done.numbered != nil {
		done.numbered(done.items, done.attempts)
	}
	return nil
}

// Offered is signalled after items became ready. One signal may stand for many.
func (s *Store) Offered() <-chan struct{} {
	_, offers := s.signals()
	return offers
}

// carryOut does what w says, and numbers what is new.
func (s *Store) carryOut(ctx context.Context, tx *session, w dispatcher.Write, known shown, now time.Time) (outcome, error) {
	if err := known.allow(w); err != nil {
		return outcome{}, fault.AsPermanent(fmt.Errorf("write the work: %w", err))
	}
	o := outcome{numbered: w.Numbered, news: newsOf(w)}
	for _, step := range []func() error{
		func() (err error) { o.items, err = writeItems(ctx, tx, w.Items, known); return err },
		func() (err error) { o.attempts, err = s.writeAttempts(ctx, tx, w.Attempts, o.items); return err },
		func() error { return writeSeats(ctx, tx, w.Seats) },
		func() error { return writeSpends(ctx, tx, w.Spends) },
		func() error { return writeSet(ctx, tx, w.Set) },
		func() error { return writeCredentials(ctx, tx, w.Credentials) },
		func() error { return writeAside(ctx, tx, w, o.items, now) },
	} {
		if err := step(); err != nil {
			return outcome{}, err
		}
	}
	return o, nil
}

// remember keeps what decide will be shown, before it can change any of it.
func remember(v dispatcher.View, scope dispatcher.Scope) shown {
	known := shown{
		items:    make(map[dispatcher.ItemID]itemIdentity, len(v.Works)+len(v.Ready)),
		attempts: map[dispatcher.AttemptID]attemptIdentity{},
		seats:    make(map[pools.Address]bool, len(scope.Seats)),
		open:     make(map[dispatcher.ItemID]bool, len(v.Works)+len(v.Ready)),
	}
	for _, w := range v.Works {
		known.items[w.Item.ID], known.open[w.Item.ID] = identify(w.Item), isOpen(w.Item.State)
		for _, a := range w.Attempts {
			known.attempts[a.ID] = identifyAttempt(a)
		}
	}
	for _, i := range v.Ready {
		known.items[i.ID], known.open[i.ID] = identify(i), isOpen(i.State)
	}
	for _, a := range scope.Seats {
		known.seats[a] = true
	}
	return known
}

// allow refuses to write what decide did not see, what another server could
// have changed meanwhile, and what could not be read back.
func (k shown) allow(w dispatcher.Write) error {
	fresh := false
	items := map[dispatcher.ItemID]bool{}
	for _, i := range w.Items {
		if err := k.allowItem(i, items); err != nil {
			return err
		}
		fresh = fresh || i.ID == 0
	}
	attempts := map[dispatcher.AttemptID]bool{}
	for _, a := range w.Attempts {
		if err := k.allowAttempt(a, attempts, fresh); err != nil {
			return err
		}
	}
	seats := map[pools.Address]bool{}
	for _, s := range w.Seats {
		if !k.seats[s.Address] || seats[s.Address] {
			return fmt.Errorf("seat %q was not asked for, or is written twice", s.Address)
		}
		seats[s.Address] = true
	}
	return nil
}

func (k shown) allowItem(i dispatcher.Item, written map[dispatcher.ItemID]bool) error {
	if i.Budget < 0 || i.Spent < 0 || i.Reserved < 0 {
		return fmt.Errorf("item %d: an amount below 0", i.ID)
	}
	if i.Repo.IsZero() || i.Kind == "" || i.State == "" {
		return fmt.Errorf("item %d: it needs a repository, a kind and a state", i.ID)
	}
	if i.ID == 0 {
		return nil
	}
	was, ok := k.items[i.ID]
	switch {
	case !ok:
		return fmt.Errorf("item %d was not shown", i.ID)
	case was != identify(i):
		return fmt.Errorf("item %d: its repository, kind, key, pull request and submitter stay", i.ID)
	case written[i.ID]:
		return fmt.Errorf("item %d is written twice", i.ID)
	}
	written[i.ID] = true
	return nil
}

func (k shown) allowAttempt(a dispatcher.Attempt, written map[dispatcher.AttemptID]bool, fresh bool) error {
	if a.Reserved < 0 || a.Cost.Amount < 0 || a.SpentAfter < 0 {
		return fmt.Errorf("attempt %d: an amount below 0", a.ID)
	}
	if a.ID == 0 {
		_, ok := k.items[a.Item]
		switch {
		case a.Address.IsZero():
			return fmt.Errorf("a new attempt at item %d has no coordinate", a.Item)
		case a.Item == 0 && !fresh:
			return fmt.Errorf("a new attempt of %s has no item", a.Address)
		case a.Item != 0 && !ok:
			return fmt.Errorf("a new attempt of %s: item %d was not shown", a.Address, a.Item)
		}
		return nil
	}
	was, ok := k.attempts[a.ID]
	switch {
	case !ok:
		return fmt.Errorf("attempt %d was not shown", a.ID)
	case was != identifyAttempt(a):
		return fmt.Errorf("attempt %d: its item, coordinate, token, request and assignment stay", a.ID)
	case written[a.ID]:
		return fmt.Errorf("attempt %d is written twice", a.ID)
	}
	written[a.ID] = true
	return nil
}

func identify(i dispatcher.Item) itemIdentity {
	return itemIdentity{repo: i.Repo, kind: i.Kind, key: i.Key, pull: i.Pull, submitter: i.Submitter}
}

func identifyAttempt(a dispatcher.Attempt) attemptIdentity {
	return attemptIdentity{item: a.Item, address: a.Address, token: a.Token, request: a.Request, assignment: a.Assignment}
}

// newsOf says who is to be told of w.
func newsOf(w dispatcher.Write) news {
	var n news
	if len(w.Look) > 0 {
		n |= keysDue
	}
	for _, i := range w.Items {
		if i.State == dispatcher.Ready {
			n |= itemsReady
		}
	}
	return n
}
