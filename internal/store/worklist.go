package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/dispatcher"
)

const (
	workOf = `SELECT 0 AS part, id, '' AS assignment, schema, document FROM items WHERE id = $1
		UNION ALL SELECT 1, id, assignment, schema, document FROM attempts WHERE item = $1 ORDER BY part, id`
	selectItems    = "SELECT schema, document FROM items"
	selectAttempts = "SELECT assignment, schema, document FROM attempts"
	latestFirst    = " ORDER BY id DESC"
	// A delay that is over changes nothing by itself: what it kept back is among
	// what is ready.
	nextDue = `SELECT coalesce(min(at), 0) FROM (
			SELECT min(due_at) AS at FROM items WHERE due_at IS NOT NULL
			UNION ALL SELECT min(due_at) FROM attempts WHERE due_at IS NOT NULL
			UNION ALL SELECT min(not_before) FROM items WHERE state = 'ready' AND not_before > 0 AND not_before > `
)

// Work is an item with its attempts, oldest first, as they stood at one moment.
func (r *Reader) Work(ctx context.Context, id dispatcher.ItemID) (w dispatcher.Work, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var hashes []string
	err = r.rows(ctx, workOf, []any{int64(id)}, func(rows scanner) error {
		var part, number int64
		var hash string
		var d document
		if err := rows.Scan(&part, &number, &hash, &d.schema, &d.text); err != nil {
			return err
		}
		if part == 0 {
			found = true
			w.Item, err = decode[dispatcher.Item](d)
			return err
		}
		a, err := decode[attemptDocument](d)
		w.Attempts, hashes = append(w.Attempts, a.Attempt), append(hashes, hash)
		return err
	})
	if err != nil {
		return dispatcher.Work{}, false, fmt.Errorf("read item %d: %w", id, err)
	}
	runs, err := r.memory.assignments(ctx, r, hashes)
	if err != nil {
		return dispatcher.Work{}, false, fmt.Errorf("read item %d: %w", id, err)
	}
	for n := range w.Attempts {
		w.Attempts[n].Assignment = runs[hashes[n]]
	}
	return w, found, nil
}

// Items lists items, newest first. An address or Live chooses those with such an
// attempt.
func (r *Reader) Items(ctx context.Context, f dispatcher.Filter) ([]dispatcher.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	query, args := itemsQuery(f)
	items, err := itemRows(ctx, r, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	return items, nil
}

// Attempts lists attempts, newest first. A repository, states and a kind are
// those of the item.
func (r *Reader) Attempts(ctx context.Context, f dispatcher.Filter) ([]dispatcher.Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	query, args := attemptsQuery(f)
	attempts, err := r.memory.attempts(ctx, r, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	return attempts, nil
}

// Seats lists the coordinates that were ever known, by address.
func (r *Reader) Seats(ctx context.Context) ([]dispatcher.Seat, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	seats, err := seatRows(ctx, r, seatsOf)
	if err != nil {
		return nil, fmt.Errorf("list seats: %w", err)
	}
	slices.SortFunc(seats, func(a, b dispatcher.Seat) int { return a.Address.Compare(b.Address) })
	return seats, nil
}

// Due is when the next lease, deadline, rise or delay ends; zero: nothing waits
// for time alone. It is by the store's clock, as View.Now is. What has ended already is due until it was dealt with, but a
// delay that is over: who reads Due before looking for what is ready misses
// none.
func (r *Reader) Due(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var at int64
	if _, err := r.row(ctx, dueQuery(r.dialect), []any{micros(r.now())}, &at); err != nil {
		return time.Time{}, fmt.Errorf("read when work is due: %w", err)
	}
	if at == 0 {
		return time.Time{}, nil
	}
	return moment(at), nil
}

func dueQuery(d dialect) string {
	return nextDue + "coalesce(" + d.clock + ", $1)) AS times WHERE at IS NOT NULL"
}

func itemsQuery(f dispatcher.Filter) (query string, args []any) {
	var w where
	w.item(f, f.Pull.IsZero())
	if !f.Pull.IsZero() {
		w.add("pull = ? AND pull <> ''", pullName(f.Pull))
	}
	if !f.Address.IsZero() || f.Live {
		attempts := where{args: w.args}
		attempts.attempt(f)
		w.args = attempts.args
		w.add("id IN (SELECT item FROM attempts" + attempts.String() + ")")
	}
	return selectItems + w.String() + latestFirst + limitOf(f), w.args
}

func attemptsQuery(f dispatcher.Filter) (query string, args []any) {
	var w where
	if f.Live {
		// The few that are live are found first, and then put in order.
		live := where{}
		live.attempt(f)
		w.args = live.args
		w.add("id IN (SELECT id FROM attempts" + live.String() + ")")
	} else {
		w.attempt(f)
	}
	if !f.Pull.IsZero() {
		w.add("pull = ? AND pull <> ''", pullName(f.Pull))
	}
	if !f.Repo.IsZero() || f.Kind != "" || len(f.States) > 0 {
		items := where{parts: []string{"items.id = attempts.item"}, args: w.args}
		items.item(f, false)
		w.args = items.args
		w.add("EXISTS (SELECT 1 FROM items" + items.String() + ")")
	}
	return selectAttempts + w.String() + latestFirst + limitOf(f), w.args
}

// item adds what a filter asks of an item. lead says that nothing else leads to
// fewer rows.
func (w *where) item(f dispatcher.Filter, lead bool) {
	open := len(f.States) > 0
	var names []any
	for _, s := range f.States {
		names = append(names, string(s))
		open = open && isOpen(s)
	}
	if !f.Repo.IsZero() {
		w.add("repo = ?", f.Repo.String())
	}
	if f.Kind != "" {
		w.add("kind = ?", string(f.Kind))
	}
	if open && lead {
		w.add("open = 1")
	}
	if len(names) > 0 {
		w.add("state IN (?"+strings.Repeat(", ?", len(names)-1)+")", names...)
	}
}

// attempt adds what a filter asks of an attempt.
func (w *where) attempt(f dispatcher.Filter) {
	if f.Live {
		w.add("live = 1")
	}
	if !f.Address.IsZero() {
		w.add("pool = ? AND address = ?", f.Address.Pool().String(), f.Address.String())
	}
}

func limitOf(f dispatcher.Filter) string {
	if f.Limit < 1 {
		return ""
	}
	return fmt.Sprint(" LIMIT ", f.Limit)
}

// row reads one row into dest; found is false when there is none.
func (r *Reader) row(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	err = r.db.QueryRowContext(ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// rows reads all rows, each with one call of scan.
func (r *Reader) rows(ctx context.Context, query string, args []any, scan func(scanner) error) error {
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}
