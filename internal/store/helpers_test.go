package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// place is a path for a store in a directory of its own.
func place(t testing.TB) string { return filepath.Join(t.TempDir(), "slipway.db") }

func mustOpen(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func mustRead(t *testing.T, path string) *Reader {
	t.Helper()
	r, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// fill makes a store with changes 1 to n and closes it.
func fill(t *testing.T, path string, n int64) {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		put(t, s, i+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s *Store, number int64) {
	t.Helper()
	c := change.Change{ID: pullID(number), Title: strings.Repeat("long ", 100)}
	if err := s.Commit(t.Context(), reconcile.Write{Change: &c}); err != nil {
		t.Fatal(err)
	}
}

// wantPut wants changes 1 to n and no other.
func wantPut(t *testing.T, r *Reader, n int64) {
	t.Helper()
	list, err := r.Changes(t.Context(), reconcile.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(list)) != n || (n > 0 && list[0].ID != pullID(n)) {
		t.Fatalf("%d changes, want %d", len(list), n)
	}
}

func pullID(number int64) ref.PullID {
	return ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: number}
}

// script runs SQL as somebody else would.
func script(t *testing.T, path, query string) {
	t.Helper()
	if err := tryScript(t, path, query); err != nil {
		t.Fatal(err)
	}
}

func tryScript(t *testing.T, path, query string) error {
	t.Helper()
	db, err := connect(path, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), query)
	return err
}

// limit keeps the database from growing over a number of pages, or its
// present size if that is more: to SQLite that is a full disk.
func limit(t *testing.T, s *Store, pages int) {
	t.Helper()
	err := s.do(t.Context(), func(ctx context.Context, tx *session) (news, error) {
		var now int
		_, err := tx.row(ctx, fmt.Sprint("PRAGMA max_page_count = ", pages), nil, &now)
		return 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// plan is how SQLite would carry out the query.
func plan(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	rows, err := s.Reader.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	err = each(rows, func(rows scanner) error {
		var id, parent, unused int
		var step string
		err := rows.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("in vain: %s", what)
		}
	}
}

func snapshot(body string) *reconcile.Snapshot {
	sum := sha256.Sum256([]byte(body))
	return &reconcile.Snapshot{Hash: hex.EncodeToString(sum[:]), Body: []byte(body)}
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error does not mention %q: %v", w, err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// liteOf is the engine of a store on SQLite.
func liteOf(s *Store) *lite { return s.engine.(*lite) }
