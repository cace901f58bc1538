package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
	"slipway/pools"
)

const (
	// readyItems waits for a lock of no other transaction; see session.
	readyItems = `SELECT schema, document FROM items
		WHERE lane = $1 AND state = 'ready' AND not_before <= $2 ORDER BY raised DESC, rank, id LIMIT $3`
	filledLanes  = ` SELECT name FROM asked WHERE EXISTS (SELECT 1 FROM items WHERE lane = name AND state = 'ready')`
	overdueItems = `SELECT id FROM (
			SELECT id, due_at FROM (SELECT id, due_at FROM items WHERE due_at <= $1 ORDER BY due_at LIMIT $2) AS late_items
			UNION ALL
			SELECT item, due_at FROM (SELECT item, due_at FROM attempts WHERE due_at <= $1 ORDER BY due_at LIMIT $2) AS late_attempts
		) AS late GROUP BY id ORDER BY min(due_at), id LIMIT $2`
	lastOfFlow = "SELECT coalesce(max(rank), 0) FROM items WHERE lane = $1 AND flow = $2 AND state = 'ready'"
	// The index of what is ready goes by level first.
	frontOfLane = `SELECT coalesce(min(front), 0) FROM (
			SELECT min(rank) AS front FROM items WHERE lane = $1 AND raised = 0 AND state = 'ready'
			UNION ALL SELECT min(rank) FROM items WHERE lane = $1 AND raised = 1 AND state = 'ready'
			UNION ALL SELECT min(rank) FROM items WHERE lane = $1 AND raised = 2 AND state = 'ready'
			UNION ALL SELECT min(rank) FROM items WHERE lane = $1 AND raised = 3 AND state = 'ready'
			UNION ALL SELECT min(rank) FROM items WHERE lane = $1 AND raised = 4 AND state = 'ready'
		) AS fronts`
	itemOfKey       = "SELECT id FROM items WHERE key = $1"
	itemOfAttempt   = "SELECT item FROM attempts WHERE id = $1"
	itemsOfRequests = "SELECT item FROM attempts WHERE request <> '' AND request IN "
	itemsOf         = "SELECT schema, document FROM items WHERE id IN "
	attemptsOf      = "SELECT assignment, schema, document FROM attempts WHERE item IN "
	liveOfPools     = "SELECT pool, count(*) FROM attempts WHERE live = 1 GROUP BY pool"
	spendsOf        = "SELECT pool, spent, reserved FROM spends WHERE day = $1 ORDER BY pool"
	seatsOf         = `SELECT schema, document, coalesce((SELECT max(id) FROM attempts
			WHERE live = 1 AND attempts.pool = seats.pool AND attempts.address = seats.address), 0) FROM seats`
)

// workHeld is the name under which work is numbered and counted. Whoever holds
// it holds it before any row.
const workHeld = "work"

// dayOf is a day as budgets count them.
func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// view reads what scope names, and keeps others from changing it until the
// transaction ends. Its Now is read when nothing is waited for any more: so it is
// later than that of every transaction which had a part of it before.
func (s *Store) view(ctx context.Context, tx *session, scope dispatcher.Scope) (v dispatcher.View, err error) {
	if scope.Key != "" || len(scope.Ready) > 0 || scope.Flow != nil || scope.Load {
		// What is counted here changes with every claim and submission.
		if err := tx.hold(ctx, workHeld); err != nil {
			return v, err
		}
	}
	if err := holdSeats(ctx, tx, scope.Seats); err != nil {
		return v, err
	}
	for _, part := range []func() error{
		func() (err error) { now, err := tx.now(ctx); v.Now = moment(micros(now)); return err },
		func() (err error) { v.Works, err = s.worksOf(ctx, tx, scope, v.Now); return err },
		func() (err error) { v.Ready, err = ready(ctx, tx, scope, v.Now); return err },
		func() (err error) { v.Front, v.Last, err = ranks(ctx, tx, scope.Flow); return err },
		func() (err error) { v.Seats, err = seats(ctx, tx, scope.Seats); return err },
		func() (err error) { v.Now, err = later(ctx, tx, v.Now); return err },
		func() (err error) { v.Live, v.Spends, err = load(ctx, tx, scope.Load, v.Now); return err },
		func() (err error) { v.Set, err = s.setInForce(ctx, tx, scope.Set); return err },
	} {
		if err := part(); err != nil {
			return v, err
		}
	}
	return v, nil
}

// later is the store's clock now. A session reads it once, where the transaction
// begins; where others write too, it has been waiting for them since.
func later(ctx context.Context, tx *session, began time.Time) (time.Time, error) {
	if tx.forUpdate == "" {
		return began, nil // nobody else writes
	}
	var at sql.NullInt64
	if _, err := tx.row(ctx, "SELECT "+tx.dialect.clock, nil, &at); err != nil || !at.Valid {
		return began, err
	}
	return moment(at.Int64), nil
}

// worksOf are the items that a scope names, with their attempts, by id.
func (s *Store) worksOf(ctx context.Context, tx *session, scope dispatcher.Scope, now time.Time) ([]dispatcher.Work, error) {
	named, err := namedItems(ctx, tx, scope)
	if err != nil {
		return nil, err
	}
	items, err := readItems(ctx, tx, named, tx.forUpdate)
	if err != nil {
		return nil, err
	}
	if scope.Overdue > 0 {
		late, err := numbersOf(ctx, tx, overdueItems, micros(now), scope.Overdue)
		if err != nil {
			return nil, err
		}
		late = slices.DeleteFunc(late, func(id int64) bool { return slices.Contains(named, id) })
		more, err := readItems(ctx, tx, late, tx.skipLocked)
		if err != nil {
			return nil, err
		}
		items = append(items, more...)
	}
	if len(items) == 0 {
		return nil, nil
	}
	slices.SortFunc(items, func(a, b dispatcher.Item) int { return int(a.ID - b.ID) })
	works := make([]dispatcher.Work, len(items))
	place := make(map[dispatcher.ItemID]*dispatcher.Work, len(items))
	ids := make([]int64, len(items))
	for n, i := range items {
		works[n].Item, ids[n] = i, int64(i.ID)
		place[i.ID] = &works[n]
	}
	attempts, err := s.memory.attempts(ctx, tx, attemptsOf+tx.numbers+" ORDER BY id", jsonList(ids))
	if err != nil {
		return nil, err
	}
	for _, a := range attempts {
		w := place[a.Item]
		w.Attempts = append(w.Attempts, a)
	}
	return works, nil
}

// namedItems are the items that Items, Key, Attempt and the requests name.
func namedItems(ctx context.Context, tx *session, scope dispatcher.Scope) ([]int64, error) {
	var all []int64
	for _, id := range scope.Items {
		all = append(all, int64(id))
	}
	add := func(query string, args ...any) error {
		found, err := numbersOf(ctx, tx, query, args...)
		all = append(all, found...)
		return err
	}
	if scope.Key != "" {
		if err := add(itemOfKey, text(scope.Key)); err != nil {
			return nil, err
		}
	}
	if scope.Attempt != 0 {
		if err := add(itemOfAttempt, int64(scope.Attempt)); err != nil {
			return nil, err
		}
	}
	requests := slices.Clone(scope.Requests)
	if scope.Request != "" {
		requests = append(requests, scope.Request)
	}
	if len(requests) > 0 {
		if err := add(itemsOfRequests+tx.words, jsonList(requests)); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// readItems reads items by id; lock is what keeps others from them.
func readItems(ctx context.Context, tx *session, ids []int64, lock string) ([]dispatcher.Item, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return itemRows(ctx, tx, itemsOf+tx.numbers+" ORDER BY id"+lock, jsonList(ids))
}

// ready are the items to be offered, lane by lane.
func ready(ctx context.Context, tx *session, scope dispatcher.Scope, now time.Time) ([]dispatcher.Item, error) {
	var all []dispatcher.Item
	if scope.PerLane < 1 {
		return nil, nil
	}
	filled, err := lanesWithWork(ctx, tx, scope.Ready)
	if err != nil {
		return nil, err
	}
	for _, lane := range scope.Ready {
		if !filled[text(lane)] {
			continue
		}
		delete(filled, text(lane)) // each once
		items, err := itemRows(ctx, tx, readyItems+tx.skipLocked, text(lane), micros(now), scope.PerLane)
		if err != nil {
			return nil, fmt.Errorf("lane %s: %w", lane, err)
		}
		all = append(all, items...)
	}
	return all, nil
}

// lanesWithWork are those of the lanes in which something waits. A coordinate
// may take from many lanes, and most are empty.
func lanesWithWork(ctx context.Context, tx *session, lanes []string) (map[string]bool, error) {
	if len(lanes) == 0 {
		return nil, nil
	}
	filled := map[string]bool{}
	err := tx.rows(ctx, "WITH asked(name) AS "+tx.words+filledLanes, []any{jsonList(lanes)}, func(rows scanner) error {
		var lane string
		err := rows.Scan(&lane)
		filled[lane] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lanes: %w", err)
	}
	return filled, nil
}

func ranks(ctx context.Context, tx *session, f *dispatcher.FlowID) (front, last int64, err error) {
	if f == nil {
		return 0, 0, nil
	}
	if _, err = tx.row(ctx, frontOfLane, []any{text(f.Lane)}, &front); err != nil {
		return 0, 0, fmt.Errorf("lane %s: %w", f.Lane, err)
	}
	if _, err = tx.row(ctx, lastOfFlow, []any{text(f.Lane), text(f.Flow)}, &last); err != nil {
		return 0, 0, fmt.Errorf("flow %s of lane %s: %w", f.Flow, f.Lane, err)
	}
	return front, last, nil
}

// holdSeats keeps others from the coordinates, by name: one that nobody knew yet
// has no row to be held by.
func holdSeats(ctx context.Context, tx *session, of []pools.Address) error {
	if tx.lone == nil {
		return nil
	}
	for _, a := range slices.SortedFunc(slices.Values(of), pools.Address.Compare) {
		if err := tx.hold(ctx, "seat "+a.String()); err != nil {
			return err
		}
	}
	return nil
}

// seats reads those of the coordinates that are known.
func seats(ctx context.Context, tx *session, of []pools.Address) ([]dispatcher.Seat, error) {
	if len(of) == 0 {
		return nil, nil
	}
	found, err := seatRows(ctx, tx, seatsOf+" WHERE address IN "+tx.words+" ORDER BY address"+tx.forUpdate, jsonList(of))
	if err != nil {
		return nil, fmt.Errorf("seats: %w", err)
	}
	return found, nil
}

func load(ctx context.Context, tx *session, wanted bool, now time.Time) (map[pools.PoolName]int, []dispatcher.Spend, error) {
	if !wanted {
		return nil, nil, nil
	}
	live := map[pools.PoolName]int{}
	err := tx.rows(ctx, liveOfPools, nil, func(rows scanner) error {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		pool, err := poolOf(name)
		live[pool] = n
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("live attempts: %w", err)
	}
	var spends []dispatcher.Spend
	day := dayOf(now)
	err = tx.rows(ctx, spendsOf, []any{day}, func(rows scanner) error {
		var name string
		s := dispatcher.Spend{Day: day}
		err := rows.Scan(&name, &s.Spent, &s.Reserved)
		if err == nil {
			s.Pool, err = poolOf(name)
		}
		spends = append(spends, s)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("spent on %s: %w", day, err)
	}
	return live, spends, nil
}

func poolOf(name string) (p pools.PoolName, err error) {
	err = p.UnmarshalText([]byte(name))
	return p, err
}

// pullName is a pull request as the columns hold it; "" for none.
func pullName(id ref.PullID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// jsonList is a list as a query takes it.
func jsonList[T int64 | string | pools.Address](list []T) string {
	raw, err := json.Marshal(list)
	if err != nil {
		return "[]" // no number, text or address is ever refused
	}
	return text(string(raw))
}

// numbersOf is the one column of a query's rows.
func numbersOf(ctx context.Context, tx reading, query string, args ...any) ([]int64, error) {
	var all []int64
	err := tx.rows(ctx, query, args, func(rows scanner) error {
		var n int64
		err := rows.Scan(&n)
		all = append(all, n)
		return err
	})
	return all, err
}
