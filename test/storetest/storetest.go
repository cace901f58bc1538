// Package storetest gives tests a store of their own without the work of making
// one.
package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"slipway/internal/store"
)

// Open opens a store as it is when it was just made. It is closed when the test
// ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	content, err := blank()
	if err != nil {
		t.Fatalf("make a store to copy: %v", err)
	}
	path := filepath.Join(t.TempDir(), "slipway.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// blank is the file of a store that was just made. To bring the schema forward
// takes four times what it takes to open one that is there, and some packages
// open hundreds.
var blank = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "slipway-store-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "slipway.db")
	s, err := store.Open(context.Background(), store.Options{Path: path})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // made here
})
