// Package storetest says, as tests, what a store must do. Every
// implementation of the store's ports passes the same suite.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Store is what the suite asks of an implementation.
type Store interface {
	reconcile.Store
	reconcile.Queue
	dispatcher.Store
	Accept(ctx context.Context, keys []reconcile.Due) error
	Entries(ctx context.Context, after int64, limit int) ([]journal.Entry, error)
	VerifyJournal(ctx context.Context) (seq int64, hash string, err error)
	Ping(ctx context.Context) error
	Close() error
}

// Open opens one store, made empty, with a clock. After Close it can be called
// again and finds what was kept.
type Open func(now func() time.Time) (Store, error)

// Place gives another, empty store with each call.
type Place func(t *testing.T) Open

// Run runs the whole suite.
func Run(t *testing.T, place Place) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Place){
		"changes":  testChanges,
		"targets":  testTargets,
		"releases": testReleases,
		"reviews":  testReviews,
		"cursors":  testCursors,
		"freezes":  testFreezes,
		"snapshot": testSnapshots,
		"ages":     testSnapshotAges,
		"journal":  testJournal,
		"fence":    testFence,
		"write":    testWrite,
		"queue":    testQueue,
		"model":    testModel,
		"workers":  testWorkers,
		"reopen":   testReopen,
		"works":    testWorkKept,
		"scopes":   testWorkScopes,
		"writes":   testWorkWrites,
		"refused":  testWorkRefused,
		"times":    testWorkTimes,
		"lists":    testWorkLists,
		"pools":    testWorkPools,
		"rivals":   testWorkRivals,
		"again":    testWorkReopen,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for its own disk writes
			test(t, place)
		})
	}
}

// Clock is a clock that moves only when told to.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock starts a clock at a round time.
func NewClock() *Clock {
	return &Clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance moves the time and gives the new one.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// start opens a new store for one test and closes it after.
func start(t *testing.T, place Place) (Store, *Clock) {
	t.Helper()
	clock := NewClock()
	s, err := place(t)(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, clock
}

func commit(t testing.TB, s Store, w reconcile.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), w); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// refuse wants the write refused with an error of that kind that mentions all
// of the words.
func refuse(t testing.TB, s Store, w reconcile.Write, kind fault.Kind, words ...string) {
	t.Helper()
	wantFault(t, s.Commit(t.Context(), w), kind, words...)
}

func repo(name string) ref.RepoID { return ref.RepoID{Owner: "acme", Name: name} }

func pull(name string, number int64) ref.PullID { return ref.PullID{Repo: repo(name), Number: number} }

func branch(name, branch string) ref.BranchID { return ref.BranchID{Repo: repo(name), Name: branch} }

// sha is a commit id made from a word.
func sha(word string) ref.SHA {
	sum := sha256.Sum256([]byte(word))
	return ref.SHA(hex.EncodeToString(sum[:20]))
}

func simple(number int64) change.Change {
	return change.Change{ID: pull("app", number), Title: fmt.Sprintf("change %d", number), Base: "main", Head: sha(fmt.Sprint("head ", number))}
}

func snapshot(body string) *reconcile.Snapshot {
	sum := sha256.Sum256([]byte(body))
	return &reconcile.Snapshot{Hash: hex.EncodeToString(sum[:]), Body: []byte(body)}
}
