package storetest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// failer is what *testing.T and *rapid.T share.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func want[T any](t failer, got, want T, what string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s differs (-want +got):\n%s", what, d)
	}
}

func wantFault(t failer, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want an error of kind %d", kind)
	}
	if got := fault.KindOf(err); got != kind {
		t.Fatalf("error of kind %d, want %d: %v", got, kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("error does not mention %q: %v", w, err)
		}
	}
}

// revision reads the revision of a change, 0 when there is none.
func revision(t *testing.T, s Store, id ref.PullID) int64 {
	t.Helper()
	c, _, err := s.Change(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c.Rev
}
