package store

import (
	"fmt"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

func TestTheJournalIsAppendOnlyForEverybody(t *testing.T) {
	path := place(t)
	s := mustOpen(t, path)
	note(t, s, 3)
	for name, query := range map[string]string{
		"an entry is not changed":              "UPDATE journal SET reason = 'another' WHERE seq = 2",
		"an entry is not removed":              "DELETE FROM journal WHERE seq = 3",
		"an entry is not replaced":             "INSERT OR REPLACE INTO journal SELECT 2, at, actor, action, subject, identity, reason, data, prev, hash FROM journal WHERE seq = 3",
		"an entry is not put far behind":       "INSERT INTO journal SELECT 9, at, actor, action, subject, identity, reason, data, prev, hash FROM journal WHERE seq = 3",
		"an entry is not put before the first": "INSERT INTO journal SELECT 0, at, actor, action, subject, identity, reason, data, prev, hash FROM journal WHERE seq = 3",
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, tryScript(t, path, query), "append-only")
			if seq, _, err := s.VerifyJournal(t.Context()); seq != 3 || err != nil {
				t.Fatalf("%d entries verified: %v", seq, err)
			}
		})
	}
}

func TestABrokenChainIsSeenWhereItBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		whole int64
		words string
	}{
		"a changed reason":   {"UPDATE journal SET reason = 'another' WHERE seq = 4", 3, "entry 4 was changed"},
		"a changed time":     {"UPDATE journal SET at = at + 1 WHERE seq = 1", 0, "entry 1 was changed"},
		"a changed hash":     {"UPDATE journal SET hash = (SELECT hash FROM journal WHERE seq = 1) WHERE seq = 2", 1, "entry 2 was changed"},
		"a changed link":     {"UPDATE journal SET prev = '' WHERE seq = 5", 4, "entry 5 does not continue"},
		"changed data":       {`UPDATE journal SET data = '{"k":"v"}' WHERE seq = 2`, 1, "entry 2 was changed"},
		"a removed entry":    {"DELETE FROM journal WHERE seq = 3", 2, "1 missing"},
		"a removed start":    {"DELETE FROM journal WHERE seq < 3", 0, "2 missing"},
		"two swapped actors": {"UPDATE journal SET actor = CASE seq WHEN 1 THEN 'b' ELSE 'a' END WHERE seq < 3", 0, "entry 1 was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			path := place(t)
			s := mustOpen(t, path)
			note(t, s, 5)
			whole := hashAt(t, s, c.whole)
			for _, q := range []string{"DROP TRIGGER journal_keeps_entries", "DROP TRIGGER journal_loses_nothing", c.query} {
				if err := tryScript(t, path, q); err != nil {
					t.Fatal(err)
				}
			}
			seq, hash, err := s.VerifyJournal(t.Context())
			wantError(t, err, c.words)
			if fault.KindOf(err) != fault.Permanent {
				t.Errorf("of kind %d: %v", fault.KindOf(err), err)
			}
			if seq != c.whole || hash != whole {
				t.Errorf("whole up to %d %q, want %d %q", seq, hash, c.whole, whole)
			}
		})
	}
}

// note writes n entries.
func note(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		e := journal.Entry{Actor: "slipway", Action: "noted", Subject: fmt.Sprint("thing ", i), Reason: "because"}
		if err := s.Commit(t.Context(), reconcile.Write{Journal: []journal.Entry{e}}); err != nil {
			t.Fatal(err)
		}
	}
}

// hashAt is the hash of one entry, "" before the first.
func hashAt(t *testing.T, s *Store, seq int64) string {
	t.Helper()
	if seq == 0 {
		return ""
	}
	entries, err := s.Entries(t.Context(), seq-1, 1)
	if err != nil || len(entries) != 1 {
		t.Fatalf("read %d entries: %v", len(entries), err)
	}
	return entries[0].Hash
}
