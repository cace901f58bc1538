package dispatcher

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/journal"
	"slipway/pools"
)

const (
	// longestChanges is how much of what a pool config changes the journal keeps,
	// in characters.
	longestChanges = 8000
	// mostStuck is how many items are looked at in one transaction for whether
	// anybody can take them.
	mostStuck = 500
)

// Apply puts a pool config in force under the next number, and says what it
// changes. One that means what the one in force does changes nothing. Attempts
// go on with what they were given (P2), also those of a coordinate that is gone:
// it merely gets no more.
func (d *Dispatcher) Apply(ctx context.Context, by, why string, s pools.Set) (pools.Set, []pools.Change, error) {
	var changes []pools.Change
	var inForce pools.Set
	err := d.transact(ctx, Scope{Set: true}, func(v View) (Write, error) {
		var w Write
		w, inForce, changes = putInForce(v, by, why, s)
		return w, nil
	})
	if err != nil {
		return pools.Set{}, nil, fmt.Errorf("put a pool config in force: %w", err)
	}
	if len(changes) == 0 {
		return inForce, nil, nil
	}
	d.Log.Info("pool config", "number", inForce.Number, "by", by, "why", why, "changes", len(changes))
	return inForce, changes, d.tellStuck(ctx)
}

// Set is the pool config in force; found is false before the first. What it
// holds is shared: nobody may change it.
func (d *Dispatcher) Set(ctx context.Context) (s StoredSet, found bool, err error) {
	return d.Store.Set(ctx)
}

// History lists the last n pool configs, newest first.
func (d *Dispatcher) History(ctx context.Context, n int) ([]StoredSet, error) {
	return d.Store.History(ctx, n)
}

// putInForce is the step of Apply: it reads the Set.
func putInForce(v View, by, why string, s pools.Set) (Write, pools.Set, []pools.Change) {
	var old pools.Set
	if v.Set != nil {
		old = v.Set.Set
		if old.Hash() == s.Hash() {
			return Write{}, old, nil
		}
	}
	s.Number = old.Number + 1
	changes := pools.Diff(old, s)
	said := make([]string, len(changes))
	for n, c := range changes {
		said[n] = c.Text
	}
	return Write{
		Set: &StoredSet{Set: s, At: v.Now, By: by, Why: why},
		Journal: []journal.Entry{{
			At: v.Now, Actor: by, Action: "pools.applied", Subject: "pools", Identity: s.Hash(), Reason: why,
			Data: map[string]string{"number": strconv.FormatInt(s.Number, 10), "before": strconv.FormatInt(old.Number, 10), "changes": clip(strings.Join(said, "; "), longestChanges)},
		}},
	}, s, changes
}

// tellStuck looks which of the items that are ready nothing can take, and writes
// what they wait for.
func (d *Dispatcher) tellStuck(ctx context.Context) error {
	items, err := d.Store.Items(ctx, Filter{States: []State{Ready}})
	if err != nil || len(items) == 0 {
		return err
	}
	set, found, err := d.Store.Set(ctx)
	if err != nil || !found {
		return err
	}
	for part := range slices.Chunk(items, mostStuck) {
		scope := Scope{Seats: set.Addresses(), Load: true, Set: true}
		for _, i := range part {
			scope.Items = append(scope.Items, i.ID)
		}
		if err := d.transact(ctx, scope, func(v View) (Write, error) { return stuck(v, d.terms), nil }); err != nil {
			return fmt.Errorf("look what nothing can take: %w", err)
		}
	}
	return nil
}
