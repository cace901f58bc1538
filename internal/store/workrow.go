package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"slipway/dispatcher"
	"slipway/pools"
)

// reading is what reads, from the pool of readers or within a transaction.
type reading interface {
	row(ctx context.Context, query string, args []any, dest ...any) (found bool, err error)
	rows(ctx context.Context, query string, args []any, scan func(scanner) error) error
}

// attemptDocument is an attempt as it is kept: what it runs stands elsewhere,
// once for all that run it.
type attemptDocument struct {
	dispatcher.Attempt
	Assignment *struct{} `json:"assignment,omitempty"`
}

// seatDocument is a seat as it is kept: its live attempt is told by the
// attempts.
type seatDocument struct {
	dispatcher.Seat
	Live *struct{} `json:"live,omitempty"`
}

// How many assignments and pool configs are remembered.
const (
	mostAssignments = 1000
	mostSets        = 8
)

// memory keeps assignments and pool configs in their read form, by the hash of
// their documents: what stands under a hash cannot change. The zero value
// remembers nothing yet.
type memory struct {
	mu       sync.Mutex
	assigned map[string]pools.Assignment
	hashes   map[pools.Assignment]string
	sets     map[string]pools.Set
}

// attempts reads attempts whole. The query gives assignment, schema and
// document.
func (m *memory) attempts(ctx context.Context, r reading, query string, args ...any) ([]dispatcher.Attempt, error) {
	var all []dispatcher.Attempt
	var hashes []string
	err := r.rows(ctx, query, args, func(rows scanner) error {
		var hash string
		var d document
		if err := rows.Scan(&hash, &d.schema, &d.text); err != nil {
			return err
		}
		a, err := decode[attemptDocument](d)
		all, hashes = append(all, a.Attempt), append(hashes, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	runs, err := m.assignments(ctx, r, hashes)
	if err != nil {
		return nil, err
	}
	for n := range all {
		all[n].Assignment = runs[hashes[n]]
	}
	return all, nil
}

// assignments are those with the hashes, read where they are not remembered.
func (m *memory) assignments(ctx context.Context, r reading, hashes []string) (map[string]pools.Assignment, error) {
	found := map[string]pools.Assignment{}
	missing := map[string]bool{}
	m.mu.Lock()
	for _, h := range hashes {
		if a, ok := m.assigned[h]; ok {
			found[h] = a
		} else {
			missing[h] = true
		}
	}
	m.mu.Unlock()
	for h := range missing {
		var d document
		ok, err := r.row(ctx, "SELECT schema, document FROM assignments WHERE hash = $1", []any{h}, &d.schema, &d.text)
		if err == nil && !ok {
			err = errors.New("it is gone")
		}
		if err == nil {
			found[h], err = decode[pools.Assignment](d)
		}
		if err != nil {
			return nil, fmt.Errorf("assignment %s: %w", h, err)
		}
		m.learn(h, found[h])
	}
	return found, nil
}

func (m *memory) learn(hash string, a pools.Assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.assigned) >= mostAssignments || m.assigned == nil {
		m.assigned, m.hashes = map[string]pools.Assignment{}, map[pools.Assignment]string{}
	}
	m.assigned[hash], m.hashes[a] = a, hash
}

// hash is the hash of an assignment, if it is remembered.
func (m *memory) hash(a pools.Assignment) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.hashes[a]
	return h, ok
}

// set is the pool config with the hash; load gives its document where it is not
// remembered.
func (m *memory) set(hash string, load func() (document, error)) (pools.Set, error) {
	m.mu.Lock()
	set, ok := m.sets[hash]
	m.mu.Unlock()
	if ok {
		return set, nil
	}
	d, err := load()
	if err != nil {
		return pools.Set{}, err
	}
	if set, err = decode[pools.Set](d); err != nil {
		return pools.Set{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sets) >= mostSets || m.sets == nil {
		m.sets = map[string]pools.Set{}
	}
	m.sets[hash] = set
	return set, nil
}

// itemRows reads items. The query gives schema and document.
func itemRows(ctx context.Context, r reading, query string, args ...any) ([]dispatcher.Item, error) {
	var all []dispatcher.Item
	err := r.rows(ctx, query, args, func(rows scanner) error {
		var d document
		if err := rows.Scan(&d.schema, &d.text); err != nil {
			return err
		}
		i, err := decode[dispatcher.Item](d)
		all = append(all, i)
		return err
	})
	return all, err
}

// seatRows reads seats. The query gives schema, document and the live attempt.
func seatRows(ctx context.Context, r reading, query string, args ...any) ([]dispatcher.Seat, error) {
	var all []dispatcher.Seat
	err := r.rows(ctx, query, args, func(rows scanner) error {
		var d document
		var live int64
		if err := rows.Scan(&d.schema, &d.text, &live); err != nil {
			return err
		}
		s, err := decode[seatDocument](d)
		s.Seat.Live = dispatcher.AttemptID(live)
		all = append(all, s.Seat)
		return err
	})
	return all, err
}

// encodeRow is encode for a value whose slices and pointers are the store's own
// or hold no time: it reads nothing back.
func encodeRow[T any](v T) (document, error) {
	settle(reflect.ValueOf(&v))
	raw, err := json.Marshal(v)
	if err != nil {
		return document{}, err
	}
	return document{schema: documentSchema, text: string(raw)}, nil
}

// hashed is a document with the hash of its text.
func hashed(d document) string {
	sum := sha256.Sum256([]byte(d.text))
	return hex.EncodeToString(sum[:])
}
