package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
)

// The times of the queue's table are of the store's clock. Those of its callers
// are of their own, which may be ahead or behind.

// readyAt is when a key can be claimed: when its lease ends, or else when it is
// due.
const readyAt = "coalesce(held_until, due_at)"

// Claim takes up to n keys that are due and not held, longest ready first. A
// key whose lease has ended is ready since then, under a higher token.
func (s *Store) Claim(ctx context.Context, now time.Time, n int, lease time.Duration, kinds ...reconcile.Kind) ([]reconcile.Claim, error) {
	if lease < time.Microsecond {
		return nil, fault.AsPermanent(fmt.Errorf("claim keys: a lease of %s is none", lease))
	}
	if n < 1 {
		return nil, nil
	}
	var claims []reconcile.Claim
	err := s.do(ctx, func(ctx context.Context, tx *session) (news, error) {
		var err error
		claims, err = claim(ctx, tx, now, n, lease, kinds)
		return 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim keys: %w", err)
	}
	return claims, nil
}

// Done gives a claim back; see reconcile.Queue. Where the key was made due
// while it was held, it is due at that time or at next, whichever is earlier.
// A claim whose lease has ended is still taken back if nobody claimed the key
// since; any other is fault.Changed, and nothing is changed.
func (s *Store) Done(ctx context.Context, c reconcile.Claim, next time.Time, failed bool) error {
	var more int
	if failed {
		more = 1
	}
	err := s.do(ctx, func(ctx context.Context, tx *session) (news, error) {
		var again, due sql.NullInt64
		if !next.IsZero() {
			ahead, err := tx.ahead(ctx)
			if err != nil {
				return 0, err
			}
			again = sql.NullInt64{Int64: micros(next.Add(ahead)), Valid: true}
		}
		found, err := tx.row(ctx,
			`UPDATE queue SET
			     held_until = NULL,
			     due_at     = CASE WHEN due_at <= coalesce($1, due_at) THEN due_at ELSE $1 END,
			     failures   = (failures + $2) * $2
			 WHERE key = $3 AND token = $4 AND held_until IS NOT NULL
			 RETURNING due_at`,
			[]any{again, more, string(c.Key), c.Token}, &due)
		if err != nil {
			return 0, err
		}
		if !found {
			return 0, fault.AsChanged(fmt.Errorf("claim %d is no longer live", c.Token))
		}
		if !due.Valid {
			return 0, nil
		}
		return keysDue, nil
	})
	if err != nil {
		return fmt.Errorf("give back %s: %w", c.Key, err)
	}
	return nil
}

// FreeClaims makes due at once what was held when an earlier server ended, so
// that nobody sits out its leases. A server calls it before it claims anything:
// the lock that it holds says that the earlier one has ended. Where several
// servers have the store open, the claims of the others stay: of them nobody
// knows whether they have ended, and leases end by themselves.
func (s *Store) FreeClaims(ctx context.Context) error {
	err := s.do(ctx, func(ctx context.Context, tx *session) (news, error) {
		now, err := tx.now(ctx)
		if err != nil {
			return 0, err
		}
		query := "UPDATE queue SET held_until = NULL, due_at = CASE WHEN due_at < $1 THEN due_at ELSE $1 END WHERE held_until IS NOT NULL"
		args := []any{micros(now)}
		if tx.holder != "" {
			query += " AND holder = $2"
			args = append(args, tx.holder)
		}
		_, err = tx.exec(ctx, query, args...)
		return keysDue, err
	})
	if err != nil {
		return fmt.Errorf("free the claims of an earlier server: %w", err)
	}
	return nil
}

// Woken is signalled after keys were made due, by a commit or by Done. One
// signal may stand for many.
func (s *Store) Woken() <-chan struct{} {
	woken, _ := s.signals()
	return woken
}

// Next is when the next key is due or its lease ends; zero when none is.
func (r *Reader) Next(ctx context.Context, kinds ...reconcile.Kind) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	query, args := nextReady(r.dialect, kinds)
	var at int64
	var clock sql.NullInt64
	err := r.db.QueryRowContext(ctx, query, args...).Scan(&at, &clock)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the queue: %w", err)
	}
	if clock.Valid {
		at -= clock.Int64 - micros(r.now())
	}
	return moment(at), nil
}

func nextReady(d dialect, kinds []reconcile.Kind) (query string, args []any) {
	w := ofKinds(kinds)
	w.add(readyAt + " > 0")
	return "SELECT " + readyAt + ", " + d.clock + " FROM queue" + w.String() + " ORDER BY " + readyAt + " LIMIT 1", w.args
}

func readyKeys(d dialect, kinds []reconcile.Kind, at int64, n int) (query string, args []any) {
	w := ofKinds(kinds)
	w.add(readyAt+" <= ?", at)
	return "SELECT key, token + 1, seq, failures FROM queue" + w.String() + " ORDER BY " + readyAt + ", key LIMIT " + fmt.Sprint(n) + d.skipLocked, w.args
}

// ofKinds is the condition that a key is of one of the kinds; none is all.
func ofKinds(kinds []reconcile.Kind) (w where) {
	if len(kinds) == 0 {
		return w
	}
	var either []string
	var args []any
	for _, k := range kinds {
		either = append(either, "key LIKE ?")
		args = append(args, string(k)+" %")
	}
	w.add("("+strings.Join(either, " OR ")+")", args...)
	return w
}

// claim takes keys. now is the caller's; the lease runs by the store's clock, and
// for others it does not end before it ends for the caller.
func claim(ctx context.Context, tx *session, now time.Time, n int, lease time.Duration, kinds []reconcile.Kind) ([]reconcile.Claim, error) {
	clock, err := tx.instant(ctx)
	if err != nil {
		return nil, err
	}
	until := moment(micros(now.Add(lease)))
	query, args := readyKeys(tx.dialect, kinds, micros(now.Add(clock.ahead)), n)
	var claims []reconcile.Claim
	err = tx.rows(ctx, query, args, func(rows scanner) error {
		c := reconcile.Claim{Until: until}
		err := rows.Scan(&c.Key, &c.Token, &c.Seq, &c.Failures)
		claims = append(claims, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		// A due time still to come was set while an earlier claim held the key.
		set := "held_until = $1, token = $2, due_at = CASE WHEN due_at > $3 THEN due_at END"
		args := []any{micros(until.Add(clock.ahead + clock.doubt)), c.Token, micros(now.Add(clock.ahead)), string(c.Key)}
		if tx.holder != "" {
			set += ", holder = $5"
			args = append(args, tx.holder)
		}
		if _, err := tx.exec(ctx, "UPDATE queue SET "+set+" WHERE key = $4", args...); err != nil {
			return nil, fmt.Errorf("hold %s: %w", c.Key, err)
		}
	}
	return claims, nil
}

// timed gives the keys that name no time the present one, because a zero time
// would come out of the database as "never", and puts them into one order.
func timed(due []reconcile.Due, now time.Time) []reconcile.Due {
	out := make([]reconcile.Due, 0, len(due))
	for _, d := range due {
		if d.At.IsZero() {
			d.At = now
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b reconcile.Due) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// holdKeys keeps other servers from the keys that the write is about, all of
// them in one order, so that two servers cannot wait for each other's.
func (p *prepared) holdKeys(ctx context.Context, tx *session) error {
	if tx.forUpdate == "" || (p.fence == nil && len(p.due) == 0) {
		return nil
	}
	var keys []string
	for _, d := range p.due {
		keys = append(keys, string(d.Key))
	}
	if p.fence != nil {
		keys = append(keys, string(p.fence.Key))
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	query := "SELECT key FROM queue WHERE key IN " + tx.words + " ORDER BY key" + tx.forUpdate
	if err := tx.rows(ctx, query, []any{string(list)}, func(rows scanner) error { return nil }); err != nil {
		return fmt.Errorf("hold %s: %w", strings.Join(keys, ", "), err)
	}
	return nil
}

func (p *prepared) writeDue(ctx context.Context, tx *session) error {
	if len(p.due) == 0 {
		return nil
	}
	ahead, err := tx.ahead(ctx)
	if err != nil {
		return err
	}
	for _, d := range p.due {
		_, err := tx.exec(ctx,
			`INSERT INTO queue (key, due_at, seq, token, failures) VALUES ($1, $2, 1, 0, 0)
			 ON CONFLICT (key) DO UPDATE SET
			     due_at = CASE WHEN queue.due_at <= excluded.due_at THEN queue.due_at ELSE excluded.due_at END,
			     seq    = queue.seq + 1`,
			string(d.Key), micros(d.At.Add(ahead)))
		if err != nil {
			return fmt.Errorf("make %s due: %w", d.Key, err)
		}
	}
	return nil
}
