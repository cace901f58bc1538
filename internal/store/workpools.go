package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/pools"
)

const (
	latestSets = "SELECT id, at, made_by, why, hash FROM pool_sets ORDER BY id DESC LIMIT $1"
	setWith    = "SELECT schema, document FROM pool_sets WHERE id = $1"
	insertSet  = "INSERT INTO pool_sets (id, at, made_by, why, hash, schema, document) VALUES ($1, $2, $3, $4, $5, $6, $7)"

	selectCredentials = "SELECT hash, address, created, expires, revoked FROM credentials" //nolint:gosec // a query
	upsertCredential  = `INSERT INTO credentials (hash, address, created, expires, revoked) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (hash) DO UPDATE SET address = excluded.address, created = excluded.created, expires = excluded.expires, revoked = excluded.revoked`
)

// Set is the pool config in force; found is false before the first. What it
// holds is shared: nobody may change it.
func (r *Reader) Set(ctx context.Context) (s dispatcher.StoredSet, found bool, err error) {
	sets, err := r.History(ctx, 1)
	if err != nil || len(sets) == 0 {
		return dispatcher.StoredSet{}, false, err
	}
	return sets[0], true, nil
}

// History lists the last n pool configs, newest first. What they hold is
// shared, as Set's is.
func (r *Reader) History(ctx context.Context, n int) ([]dispatcher.StoredSet, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	sets, err := r.memory.latest(ctx, r, n)
	if err != nil {
		return nil, fmt.Errorf("read the pool configs: %w", err)
	}
	return sets, nil
}

// Credential is the one with a hash; found is false for none.
func (r *Reader) Credential(ctx context.Context, hash string) (c dispatcher.Credential, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	some, err := credentials(ctx, r, selectCredentials+" WHERE hash = $1", text(hash))
	if err != nil || len(some) == 0 {
		return dispatcher.Credential{}, false, err
	}
	return some[0], true, nil
}

// Credentials lists all of them, by address and age.
func (r *Reader) Credentials(ctx context.Context) ([]dispatcher.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := credentials(ctx, r, selectCredentials+" ORDER BY created, hash")
	slices.SortStableFunc(all, func(a, b dispatcher.Credential) int { return a.Address.Compare(b.Address) })
	return all, err
}

// setInForce is the last pool config, within a transaction.
func (s *Store) setInForce(ctx context.Context, tx *session, wanted bool) (*dispatcher.StoredSet, error) {
	if !wanted {
		return nil, nil //nolint:nilnil // the view says nil for what was not asked for
	}
	sets, err := s.memory.latest(ctx, tx, 1)
	if err != nil {
		return nil, fmt.Errorf("the pool config: %w", err)
	}
	if len(sets) == 0 {
		return nil, nil //nolint:nilnil // the view says nil before the first
	}
	return &sets[0], nil
}

// latest are the last n pool configs, newest first.
func (m *memory) latest(ctx context.Context, r reading, n int) ([]dispatcher.StoredSet, error) {
	var sets []dispatcher.StoredSet
	var hashes []string
	err := r.rows(ctx, latestSets, []any{max(0, n)}, func(rows scanner) error {
		var s dispatcher.StoredSet
		var hash string
		var at int64
		err := rows.Scan(&s.Number, &at, &s.By, &s.Why, &hash)
		s.At = moment(at)
		sets, hashes = append(sets, s), append(hashes, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range sets {
		number := sets[i].Number
		set, err := m.set(hashes[i], func() (document, error) {
			var d document
			found, err := r.row(ctx, setWith, []any{number}, &d.schema, &d.text)
			if err == nil && !found {
				err = errors.New("it is gone")
			}
			return d, err
		})
		if err != nil {
			return nil, fmt.Errorf("pool config %d: %w", number, err)
		}
		set.Number = number
		sets[i].Set = set
	}
	return sets, nil
}

// writeSet puts a pool config in force under the next number.
func writeSet(ctx context.Context, tx *session, s *dispatcher.StoredSet) error {
	if s == nil {
		return nil
	}
	kept := s.Set
	kept.Number = 0
	d, err := encode(kept)
	if err != nil {
		return fault.AsPermanent(fmt.Errorf("keep a pool config: %w", err))
	}
	ids, err := number[int64](ctx, tx, "pool_sets", 1, func(int) bool { return true })
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, insertSet, ids[0], micros(s.At), text(s.By), text(s.Why), hashed(d), d.schema, d.text); err != nil {
		return fmt.Errorf("keep pool config %d: %w", ids[0], err)
	}
	return nil
}

func writeCredentials(ctx context.Context, tx *session, all []dispatcher.Credential) error {
	for _, c := range all {
		if c.Hash == "" || c.Address.IsZero() {
			return fault.AsPermanent(fmt.Errorf("keep a credential of %q: it needs a hash and a coordinate", c.Address))
		}
		_, err := tx.exec(ctx, upsertCredential, text(c.Hash), c.Address.String(), since(c.Created), since(c.Expires), since(c.Revoked))
		if err != nil {
			return fmt.Errorf("keep a credential of %s: %w", c.Address, err)
		}
	}
	return nil
}

func credentials(ctx context.Context, r reading, query string, args ...any) ([]dispatcher.Credential, error) {
	var all []dispatcher.Credential
	err := r.rows(ctx, query, args, func(rows scanner) error {
		var c dispatcher.Credential
		var address string
		var created, expires, revoked int64
		if err := rows.Scan(&c.Hash, &address, &created, &expires, &revoked); err != nil {
			return err
		}
		c.Created, c.Expires, c.Revoked = until(created), until(expires), until(revoked)
		a, err := pools.ReadAddress(address)
		c.Address = a
		all = append(all, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return all, nil
}

// since is a time as a column that may not be null holds it; 0 for never.
func since(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

// until is the time that such a column holds.
func until(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return moment(us)
}
