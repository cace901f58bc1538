package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"slipway/internal/store"
	"slipway/internal/store/storetest"
)

// TestConformance holds the store to what its ports promise: R1 (one merge,
// one version), W2's fences, A1's chain, and a queue that loses no due.
func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Open {
		path := filepath.Join(t.TempDir(), "slipway.db")
		return func(now func() time.Time) (storetest.Store, error) {
			return store.Open(t.Context(), store.Options{Path: path, Now: now})
		}
	})
}
