//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/config"
	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// The test binary runs itself as a child that can be killed or starved.
const (
	childEnv = "SLIPWAY_STORE_TEST_CHILD" // what to do
	pathEnv  = "SLIPWAY_STORE_TEST_PATH"  // on which store
)

// workers write side by side in a child, each its own things.
const workers = 4

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "write":
		err = childWrites(os.Getenv(pathEnv))
	case "starve":
		err = childStarves(os.Getenv(pathEnv))
	default:
		err = fmt.Errorf("no child is called %q", os.Getenv(childEnv))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childWrites writes without end, and reports each write that was answered.
func childWrites(path string) error {
	fmt.Println("begin 0 0")
	s, err := openEither(path)
	if err != nil {
		return err
	}
	fmt.Println("open 0 0")
	faults := make(chan error, workers)
	for w := range int64(workers) {
		go func() {
			for {
				n, err := writeNext(s, w, "")
				if err != nil {
					faults <- err
					return
				}
				if _, err := fmt.Printf("ack %d %d\n", w, n); err != nil {
					faults <- err
					return
				}
			}
		}()
	}
	return <-faults
}

// openEither opens the store at a path, or at a connection string.
func openEither(place string) (*Store, error) {
	if strings.HasPrefix(place, "postgres://") {
		return OpenPostgres(context.Background(), PostgresOptions{DSN: config.NewSecret(place)})
	}
	return Open(context.Background(), Options{Path: place})
}

// writeNext does the next whole write of a worker: what it is follows from the
// worker and the number alone. ballast goes into the snapshot.
func writeNext(s *Store, worker int64, ballast string) (n int64, err error) {
	ctx := context.Background()
	c, _, err := s.Change(ctx, pullID(worker+1))
	if err != nil {
		return 0, err
	}
	n = c.Rev + 1
	return n, s.Commit(ctx, wholeWrite(worker, n, ballast))
}

func wholeWrite(worker, n int64, ballast string) reconcile.Write {
	id := pullID(worker + 1)
	entry := journal.Entry{At: time.Unix(n, 0), Actor: "child", Action: "first", Subject: id.String(), Identity: fmt.Sprint(n)}
	second := entry
	second.Action = "second"
	return reconcile.Write{
		Change:   &change.Change{ID: id, Rev: n - 1, Title: fmt.Sprint(n)},
		Target:   &deployer.Target{ID: workerTarget(worker), Rev: n - 1},
		Release:  &reconcile.Release{Branch: workerBranch(worker), Position: n, Merge: ref.SHA(fmt.Sprintf("%d-%d", worker, n)), Version: fmt.Sprintf("%d.%d.0", worker, n)},
		Reviews:  &reconcile.ReviewsSeen{Pull: id, Head: "h", IDs: []int64{n}},
		Cursor:   &reconcile.Cursor{Branch: workerBranch(worker), From: workerCursor(n - 1), To: workerCursor(n)},
		Snapshot: workerSnapshot(worker, n, ballast),
		Journal:  []journal.Entry{entry, second},
		Due:      []reconcile.Due{{Key: reconcile.ChangeKey(id), At: time.Unix(n, 0)}},
	}
}

func workerTarget(worker int64) ref.TargetID {
	return ref.TargetID{Repo: pullID(1).Repo, Environment: fmt.Sprint("env", worker)}
}

func workerBranch(worker int64) ref.BranchID {
	return ref.BranchID{Repo: pullID(1).Repo, Name: fmt.Sprint("branch", worker)}
}

func workerCursor(n int64) ref.SHA {
	if n == 0 {
		return ""
	}
	return ref.SHA(fmt.Sprint("commit ", n))
}

func workerSnapshot(worker, n int64, ballast string) *reconcile.Snapshot {
	return snapshot(fmt.Sprint("snapshot ", worker, " ", n, " ", ballast))
}

// wantWhole wants of each worker exactly its first n writes, each whole, with
// n at least what was answered; and the journal's chain. It returns the ns.
func wantWhole(t *testing.T, s *Store, answered map[int64]int64, ballast string) map[int64]int64 {
	t.Helper()
	ctx := t.Context()
	found := map[int64]int64{}
	var total int64
	for w := range int64(workers) {
		c, _, err := s.Change(ctx, pullID(w+1))
		if err != nil {
			t.Fatal(err)
		}
		n := c.Rev
		if n < answered[w] {
			t.Errorf("worker %d: write %d was answered and %d are there", w, answered[w], n)
		}
		target, err := s.Target(ctx, workerTarget(w))
		if err != nil {
			t.Fatal(err)
		}
		releases, err := s.Releases(ctx, workerBranch(w))
		if err != nil {
			t.Fatal(err)
		}
		reviews, err := s.Reviews(ctx, pullID(w+1))
		if err != nil {
			t.Fatal(err)
		}
		var seq int64
		err = s.Reader.db.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM queue WHERE key = $1", string(reconcile.ChangeKey(pullID(w+1)))).Scan(&seq)
		if err != nil {
			t.Fatal(err)
		}
		cursor, err := s.Cursor(ctx, workerBranch(w))
		if err != nil {
			t.Fatal(err)
		}
		want(t, fmt.Sprint("cursor of worker ", w), cursor, workerCursor(n))
		want(t, fmt.Sprint("parts of worker ", w), []int64{target.Rev, int64(len(releases)), int64(len(reviews)), seq}, []int64{n, n, n, n})
		for i := int64(1); i <= n+1; i++ {
			_, there, err := s.Snapshot(ctx, workerSnapshot(w, i, ballast).Hash)
			if err != nil {
				t.Fatal(err)
			}
			if there != (i <= n) {
				t.Errorf("worker %d: snapshot %d of %d: %v", w, i, n, there)
			}
		}
		found[w], total = n, total+n
	}
	wantPairs(t, s, total)
	return found
}

// wantPairs wants the two entries of each write together and each worker's in
// the order of its writes.
func wantPairs(t *testing.T, s *Store, total int64) {
	t.Helper()
	if seq, _, err := s.VerifyJournal(t.Context()); err != nil || seq != 2*total {
		t.Fatalf("journal verified up to %d, want %d: %v", seq, 2*total, err)
	}
	last := map[string]int64{}
	for after := int64(0); after < 2*total; after += 2 {
		pair, err := s.Entries(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		a, b := pair[0], pair[1]
		last[a.Subject]++
		n := fmt.Sprint(last[a.Subject])
		if a.Action != "first" || b.Action != "second" || a.Subject != b.Subject || a.Identity != n || b.Identity != n {
			t.Fatalf("entries %d and %d are not write %s of %s: %+v %+v", a.Seq, b.Seq, n, a.Subject, a, b)
		}
	}
}

// inParallel runs f for each worker.
func inParallel(f func(worker int64)) {
	var group sync.WaitGroup
	for w := range int64(workers) {
		group.Go(func() { f(w) })
	}
	group.Wait()
}
