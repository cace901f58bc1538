package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/pools"
)

const (
	updateItem = `UPDATE items SET state = $1, lane = $2, raised = $3, rank = $4, not_before = $5, due_at = $6, schema = $7, document = $8
		WHERE id = $9`
	turnItem = `UPDATE items SET state = $1, lane = $2, raised = $3, rank = $4, not_before = $5, due_at = $6, schema = $7, document = $8, open = $10
		WHERE id = $9`
	insertItem = `INSERT INTO items (state, lane, raised, rank, not_before, due_at, schema, document, id, open, key, repo, kind, pull, flow)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	keysGiven     = "SELECT 'item ' || id || ' has the key ' || key FROM items WHERE key IN "
	requestsGiven = "SELECT 'attempt ' || id || ' has the request ' || request FROM attempts WHERE request <> '' AND request IN "
	insertAttempt = `INSERT INTO attempts (live, due_at, pull, schema, document, id, item, token, request, pool, address, assignment)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	updateAttempt    = `UPDATE attempts SET live = $1, due_at = $2, pull = $3, schema = $4, document = $5 WHERE id = $6`
	insertAssignment = `INSERT INTO assignments (hash, schema, document) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	upsertSeat       = `INSERT INTO seats (address, pool, schema, document) VALUES ($1, $2, $3, $4)
		ON CONFLICT (address) DO UPDATE SET schema = excluded.schema, document = excluded.document`
	addSpend = `INSERT INTO spends (pool, day, spent, reserved) VALUES ($1, $2, $3, $4)
		ON CONFLICT (day, pool) DO UPDATE SET spent = spends.spent + excluded.spent, reserved = spends.reserved + excluded.reserved`
)

// writeItems writes items, and gives the numbers of the new ones.
func writeItems(ctx context.Context, tx *session, items []dispatcher.Item, known shown) ([]dispatcher.ItemID, error) {
	var keys []string
	numbered, err := number[dispatcher.ItemID](ctx, tx, "items", len(items), func(n int) bool {
		if items[n].ID == 0 && items[n].Key != "" {
			keys = append(keys, text(items[n].Key))
		}
		return items[n].ID == 0
	})
	if err != nil {
		return nil, err
	}
	if err := unused(ctx, tx, keysGiven, keys); err != nil {
		return nil, err
	}
	next := numbered
	for _, i := range items {
		query := updateItem
		switch {
		case i.ID == 0:
			query = insertItem
			i.ID, next = next[0], next[1:]
		case isOpen(i.State) != known.open[i.ID]:
			query = turnItem
		}
		if err := writeItem(ctx, tx, query, i); err != nil {
			return nil, fmt.Errorf("write item %d: %w", i.ID, err)
		}
	}
	return numbered, nil
}

func writeItem(ctx context.Context, tx *session, query string, i dispatcher.Item) error {
	d, err := encodeRow(i)
	if err != nil {
		return fault.AsPermanent(err)
	}
	var notBefore int64
	if !i.NotBefore.IsZero() {
		notBefore = micros(i.NotBefore)
	}
	args := []any{string(i.State), text(i.Lane()), int64(i.Raised), i.Rank, notBefore, itemDue(i), d.schema, d.text, int64(i.ID)}
	if query != updateItem {
		args = append(args, bit(isOpen(i.State)))
	}
	if query == insertItem {
		var key any
		if i.Key != "" {
			key = text(i.Key)
		}
		args = append(args, key, i.Repo.String(), string(i.Kind), pullName(i.Pull), text(i.Flow()))
	}
	_, err = tx.exec(ctx, query, args...)
	return err
}

// isOpen says whether something will still become of an item.
func isOpen(s dispatcher.State) bool {
	return s == dispatcher.Ready || s == dispatcher.Working || s == dispatcher.Landing
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// itemDue is when time alone changes an item; nil: never. One that waits rises,
// and every one that is open has its deadline.
func itemDue(i dispatcher.Item) any {
	switch i.State {
	case dispatcher.Ready:
		return earliest(i.Deadline, i.Raise)
	case dispatcher.Working, dispatcher.Landing:
		return earliest(i.Deadline)
	default:
		return nil
	}
}

// attemptDue is when time alone changes a live attempt: it is told to stop at
// its deadline, once, and its lease ends.
func attemptDue(a dispatcher.Attempt) any {
	switch {
	case a.Outcome != dispatcher.Live:
		return nil
	case a.StandDown != "":
		return micros(a.Until)
	default:
		return earliest(a.Until, a.Deadline)
	}
}

func earliest(times ...time.Time) any {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if first.IsZero() {
		return nil
	}
	return micros(first)
}

// writeAttempts writes attempts, and gives the numbers of the new ones. fresh
// are the new items.
func (s *Store) writeAttempts(ctx context.Context, tx *session, attempts []dispatcher.Attempt, fresh []dispatcher.ItemID) ([]dispatcher.AttemptID, error) {
	var requests []string
	numbered, err := number[dispatcher.AttemptID](ctx, tx, "attempts", len(attempts), func(n int) bool {
		if attempts[n].ID == 0 && attempts[n].Request != "" {
			requests = append(requests, text(attempts[n].Request))
		}
		return attempts[n].ID == 0
	})
	if err != nil {
		return nil, err
	}
	if err := unused(ctx, tx, requestsGiven, requests); err != nil {
		return nil, err
	}
	written := map[string]bool{}
	next := numbered
	for _, a := range attempts {
		isNew := a.ID == 0
		if isNew {
			a.ID, next = next[0], next[1:]
		}
		if isNew && a.Item == 0 {
			a.Item = fresh[len(fresh)-1]
		}
		a.Phases = slices.Clone(a.Phases)
		d, err := encodeRow(attemptDocument{Attempt: a})
		if err != nil {
			return nil, fault.AsPermanent(fmt.Errorf("write attempt %d: %w", a.ID, err))
		}
		args := []any{bit(a.Outcome == dispatcher.Live), attemptDue(a), pullName(a.Pull), d.schema, d.text, int64(a.ID)}
		query := updateAttempt
		if isNew {
			hash, err := s.writeAssignment(ctx, tx, a.Assignment, written)
			if err != nil {
				return nil, fmt.Errorf("write the assignment of attempt %d: %w", a.ID, err)
			}
			query = insertAttempt
			args = append(args, int64(a.Item), a.Token, text(a.Request), a.Address.Pool().String(), a.Address.String(), hash)
		}
		if _, err := tx.exec(ctx, query, args...); err != nil {
			return nil, fmt.Errorf("write attempt %d: %w", a.ID, err)
		}
	}
	return numbered, nil
}

// writeAssignment keeps what an attempt runs, and gives its hash. What is
// remembered may have been read in a transaction that failed later, so only
// what this one has written is not written again.
func (s *Store) writeAssignment(ctx context.Context, tx *session, a pools.Assignment, written map[string]bool) (string, error) {
	if hash, ok := s.memory.hash(a); ok && written[hash] {
		return hash, nil
	}
	d, err := encodeRow(a)
	if err != nil {
		return "", fault.AsPermanent(err)
	}
	hash := hashed(d)
	if !written[hash] {
		if _, err := tx.exec(ctx, insertAssignment, hash, d.schema, d.text); err != nil {
			return "", err
		}
		written[hash] = true
	}
	s.memory.learn(hash, a)
	return hash, nil
}

func writeSeats(ctx context.Context, tx *session, seats []dispatcher.Seat) error {
	for _, s := range slices.SortedFunc(slices.Values(seats), func(a, b dispatcher.Seat) int { return a.Address.Compare(b.Address) }) {
		d, err := encodeRow(seatDocument{Seat: s})
		if err != nil {
			return fault.AsPermanent(fmt.Errorf("write seat %s: %w", s.Address, err))
		}
		if _, err := tx.exec(ctx, upsertSeat, s.Address.String(), s.Address.Pool().String(), d.schema, d.text); err != nil {
			return fmt.Errorf("write seat %s: %w", s.Address, err)
		}
	}
	return nil
}

// writeSpends adds what was spent, each pool's day once and in one order.
func writeSpends(ctx context.Context, tx *session, spends []dispatcher.Spend) error {
	type account struct{ day, pool string }
	sums := map[account]dispatcher.Spend{}
	for _, s := range spends {
		a := account{day: s.Day, pool: s.Pool.String()}
		sum := sums[a]
		sum.Spent += s.Spent
		sum.Reserved += s.Reserved
		sums[a] = sum
	}
	order := slices.SortedFunc(maps.Keys(sums), func(a, b account) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.pool, b.pool))
	})
	for _, a := range order {
		if _, err := time.Parse(time.DateOnly, a.day); err != nil {
			return fault.AsPermanent(fmt.Errorf("add to what %s spent: %w", a.pool, err))
		}
		if _, err := tx.exec(ctx, addSpend, a.pool, a.day, int64(sums[a].Spent), int64(sums[a].Reserved)); err != nil {
			return fmt.Errorf("add to what %s spent on %s: %w", a.pool, a.day, err)
		}
	}
	return nil
}

// writeAside makes pull requests due and, last of all, seals the entries. Those
// about items without a number get those of the new ones, in order.
func writeAside(ctx context.Context, tx *session, w dispatcher.Write, fresh []dispatcher.ItemID, now time.Time) error {
	p := prepared{journal: plain(w.Journal)}
	about := 0
	for n := range p.journal {
		if e := &p.journal[n]; e.Subject == dispatcher.NewItem && len(fresh) > 0 {
			e.Subject = fmt.Sprint("item ", fresh[min(about, len(fresh)-1)])
			about++
		}
	}
	for _, id := range w.Look {
		p.due = append(p.due, reconcile.Due{Key: reconcile.ChangeKey(id), At: tx.local()})
	}
	p.due = timed(p.due, tx.local())
	if err := p.writeDue(ctx, tx); err != nil {
		return err
	}
	return p.writeJournal(ctx, tx)
}

// number gives new numbers of a table, rising, to those of n rows that are new.
func number[ID ~int64](ctx context.Context, tx *session, table string, n int, isNew func(int) bool) ([]ID, error) {
	var ids []ID
	for i := range n {
		if isNew(i) {
			ids = append(ids, 0)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := tx.hold(ctx, workHeld); err != nil {
		return nil, err
	}
	var last int64
	if _, err := tx.row(ctx, "SELECT coalesce(max(id), 0) FROM "+table, nil, &last); err != nil {
		return nil, fmt.Errorf("number %s: %w", table, err)
	}
	for i := range ids {
		ids[i] = ID(last + int64(i) + 1)
	}
	return ids, nil
}

// unused refuses names that something has, or that are given twice.
func unused(ctx context.Context, tx *session, query string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) < len(names) {
		return fault.AsPermanent(fmt.Errorf("a name is given twice among %q", names))
	}
	var taken string
	found, err := tx.row(ctx, query+tx.words, []any{jsonList(names)}, &taken)
	if err != nil {
		return fmt.Errorf("look for names that are taken: %w", err)
	}
	if found {
		return fault.AsChanged(errors.New(taken))
	}
	return nil
}
