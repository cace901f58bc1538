package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
)

// A key can be claimed when its lease ends, or else when it is due.
// What kinds are asked for stands between spaces; none is all.
const (
	ofKinds   = `(?1 = '' OR instr(?1, ' ' || substr(key, 1, instr(key, ' '))) > 0)`
	nextReady = `SELECT coalesce(held_until, due_at) FROM queue
	             WHERE coalesce(held_until, due_at) > 0 AND ` + ofKinds + ` ORDER BY coalesce(held_until, due_at) LIMIT 1`
	readyKeys = `SELECT key, token + 1, seq, failures FROM queue
	             WHERE coalesce(held_until, due_at) <= ?2 AND ` + ofKinds + ` ORDER BY coalesce(held_until, due_at), key LIMIT ?3`
)

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
	err := s.group.do(ctx, func(ctx context.Context, tx *session) (bool, error) {
		var err error
		claims, err = claim(ctx, tx, now, n, now.Add(lease), kinds)
		return false, err
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
	var again any
	if !next.IsZero() {
		again = micros(next)
	}
	err := s.group.do(ctx, func(ctx context.Context, tx *session) (bool, error) {
		var due sql.NullInt64
		found, err := tx.row(ctx,
			`UPDATE queue SET
			     held_until = NULL,
			     due_at     = coalesce(min(due_at, ?1), due_at, ?1),
			     failures   = CASE WHEN ?2 THEN failures + 1 ELSE 0 END
			 WHERE key = ?3 AND token = ?4 AND held_until IS NOT NULL
			 RETURNING due_at`,
			[]any{again, failed, string(c.Key), c.Token}, &due)
		if err != nil {
			return false, err
		}
		if !found {
			return false, fault.AsChanged(fmt.Errorf("claim %d is no longer live", c.Token))
		}
		return due.Valid, nil
	})
	if err != nil {
		return fmt.Errorf("give back %s: %w", c.Key, err)
	}
	return nil
}

// FreeClaims makes due at once what was held when an earlier server ended, so
// that nobody sits out its leases. It is for the one server that holds this
// store, before it claims anything: the store's lock says that the earlier one
// has ended.
func (s *Store) FreeClaims(ctx context.Context) error {
	now := micros(s.now())
	err := s.group.do(ctx, func(ctx context.Context, tx *session) (bool, error) {
		_, err := tx.exec(ctx, `UPDATE queue SET held_until = NULL, due_at = min(coalesce(due_at, ?1), ?1) WHERE held_until IS NOT NULL`, now)
		return true, err
	})
	if err != nil {
		return fmt.Errorf("free the claims of an earlier server: %w", err)
	}
	return nil
}

// Woken is signalled after keys were made due, by a commit or by Done. One
// signal may stand for many.
func (s *Store) Woken() <-chan struct{} { return s.group.woken }

// Next is when the next key is due or its lease ends; zero when none is.
func (r *Reader) Next(ctx context.Context, kinds ...reconcile.Kind) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var at int64
	err := r.db.QueryRowContext(ctx, nextReady, words(kinds)).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the queue: %w", err)
	}
	return moment(at), nil
}

func claim(ctx context.Context, tx *session, now time.Time, n int, until time.Time, kinds []reconcile.Kind) ([]reconcile.Claim, error) {
	var claims []reconcile.Claim
	err := tx.rows(ctx, readyKeys, []any{words(kinds), micros(now), n},
		func(rows *sql.Rows) error {
			c := reconcile.Claim{Until: moment(micros(until))}
			err := rows.Scan(&c.Key, &c.Token, &c.Seq, &c.Failures)
			claims = append(claims, c)
			return err
		})
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		// A due time still to come was set while an earlier claim held the key.
		_, err := tx.exec(ctx,
			`UPDATE queue SET held_until = ?1, token = ?2, due_at = CASE WHEN due_at > ?3 THEN due_at END WHERE key = ?4`,
			micros(until), c.Token, micros(now), string(c.Key))
		if err != nil {
			return nil, fmt.Errorf("hold %s: %w", c.Key, err)
		}
	}
	return claims, nil
}

// timed gives the keys that name no time the present one: a zero time would
// come out of the database as "never".
func timed(due []reconcile.Due, now time.Time) []reconcile.Due {
	out := make([]reconcile.Due, 0, len(due))
	for _, d := range due {
		if d.At.IsZero() {
			d.At = now
		}
		out = append(out, d)
	}
	return out
}

func (p *prepared) writeDue(ctx context.Context, tx *session) error {
	for _, d := range p.due {
		_, err := tx.exec(ctx,
			`INSERT INTO queue (key, due_at, seq, token, failures) VALUES (?, ?, 1, 0, 0)
			 ON CONFLICT (key) DO UPDATE SET
			     due_at = min(coalesce(due_at, excluded.due_at), excluded.due_at),
			     seq    = seq + 1`,
			string(d.Key), micros(d.At))
		if err != nil {
			return fmt.Errorf("make %s due: %w", d.Key, err)
		}
	}
	return nil
}

// words are the kinds as the queries take them.
func words(kinds []reconcile.Kind) string {
	if len(kinds) == 0 {
		return ""
	}
	all := " "
	for _, k := range kinds {
		all += string(k) + " "
	}
	return all
}
