package postgres

import (
	"context"
	"errors"
	"testing"

	"slipway/test/servers"
)

// ForTest runs a server until the test ends. Where PostgreSQL cannot be had, it
// skips the test and says why.
func ForTest(t testing.TB) *Server {
	t.Helper()
	programs, err := Find("")
	if errors.Is(err, servers.ErrNotBuilt) {
		t.Skipf("NOT TESTED over PostgreSQL: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), programs, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return s
}
