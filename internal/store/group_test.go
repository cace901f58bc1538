package store

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

func TestWritesThatWaitShareATransaction(t *testing.T) {
	s := mustOpen(t, place(t))
	release := block(t, s)
	const writers = 20
	var jobs []*job
	for i := range writers {
		j := &job{done: make(chan struct{})}
		j.apply = func(ctx context.Context, tx *session) (news, error) {
			for _, earlier := range jobs {
				select {
				case <-earlier.done:
					return 0, errors.New("an earlier write was answered before this one was begun")
				default:
				}
			}
			_, err := tx.exec(ctx, "INSERT INTO reviews VALUES ('acme/app', 1, ?, 'head')", i)
			return 0, err
		}
		jobs = append(jobs, j)
	}
	for _, j := range jobs {
		if err := liteOf(s).enqueue(j); err != nil {
			t.Fatal(err)
		}
	}
	release()
	for i, j := range jobs {
		<-j.done
		if j.err != nil {
			t.Errorf("write %d: %v", i, j.err)
		}
	}
}

func TestAWriteWhoseCallerLeavesBeforeItBeginsIsNotDone(t *testing.T) {
	s := mustOpen(t, place(t))
	release := block(t, s)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		c := change.Change{ID: pullID(1)}
		left <- s.Commit(ctx, reconcile.Write{Change: &c})
	}()
	eventually(t, "the write waits", func() bool { n, _ := liteOf(s).waiting(); return n == 1 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	release()
	put(t, s, 2)
	if _, found, err := s.Change(t.Context(), pullID(1)); found || err != nil {
		t.Fatalf("found %v, error %v", found, err)
	}
	if err := s.Commit(ctx, reconcile.Write{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a caller who has left already: %v", err)
	}
}

func TestAWriteWhoseCallerLeavesAfterItBeganIsStillAnswered(t *testing.T) {
	s := mustOpen(t, place(t))
	ctx, leave := context.WithCancel(t.Context())
	begun := make(chan struct{})
	answer := make(chan error, 1)
	go func() {
		answer <- s.do(ctx, func(ctx context.Context, tx *session) (news, error) {
			close(begun)
			leave()
			for range 1000 { // time for the caller to see it
				runtime.Gosched()
			}
			_, err := tx.exec(ctx, "INSERT INTO reviews VALUES ('acme/app', 1, 7, 'head')")
			return 0, err
		})
	}()
	<-begun
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	if seen, err := s.Reviews(t.Context(), pullID(1)); err != nil || len(seen) != 1 {
		t.Fatalf("%v %v", seen, err)
	}
}

func TestATransactionThatDiesIsNobodysSuccess(t *testing.T) {
	s := mustOpen(t, place(t))
	release := block(t, s)
	const writers = 6
	answers := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			answers[i] = s.do(t.Context(), func(ctx context.Context, tx *session) (news, error) {
				if _, err := tx.exec(ctx, "INSERT INTO reviews VALUES ('acme/app', 1, ?, 'head')", i); err != nil {
					return 0, err
				}
				if i != 3 {
					return keysDue, nil
				}
				// SQLite does this by itself on some errors of the disk.
				_, err := tx.exec(ctx, "ROLLBACK")
				return 0, errors.Join(err, errors.New("the disk is gone"))
			})
		})
	}
	eventually(t, "all writes wait", func() bool { n, _ := liteOf(s).waiting(); return n == writers })
	release()
	group.Wait()
	for i, err := range answers {
		if err == nil {
			t.Errorf("write %d was answered as done", i)
		}
	}
	if seen, err := s.Reviews(t.Context(), pullID(1)); err != nil || len(seen) != 0 {
		t.Fatalf("of the dead transaction there is %v: %v", seen, err)
	}
	select {
	case <-s.Woken():
		t.Fatal("the queue was woken by what was not done")
	default:
	}
	put(t, s, 1) // and the next one works
}

func TestAFullDiskIsToldAndLeavesNothingHalfWritten(t *testing.T) {
	s := mustOpen(t, place(t))
	put(t, s, 1)
	limit(t, s, 1)
	release := block(t, s)
	const small = 8
	answers := make([]error, small+1)
	var group sync.WaitGroup
	for i := range small {
		group.Go(func() {
			c := change.Change{ID: pullID(int64(100 + i))}
			answers[i] = s.Commit(t.Context(), reconcile.Write{Change: &c})
		})
	}
	big := reconcile.Write{
		Change:   &change.Change{ID: pullID(200)},
		Journal:  []journal.Entry{{Action: "big"}},
		Snapshot: snapshot(strings.Repeat("large ", 1<<18)),
	}
	group.Go(func() { answers[small] = s.Commit(t.Context(), big) })
	eventually(t, "all writes wait", func() bool { n, _ := liteOf(s).waiting(); return n == small+1 })
	release()
	group.Wait()

	wantError(t, answers[small], "full")
	if fault.KindOf(answers[small]) != fault.Later {
		t.Errorf("a full disk is of kind %d", fault.KindOf(answers[small]))
	}
	for i, err := range answers {
		id := pullID(int64(100 + i))
		if i == small {
			id = pullID(200)
		}
		if _, found, readErr := s.Change(t.Context(), id); found != (err == nil) || readErr != nil {
			t.Errorf("%s: found %v, answered %v; %v", id, found, err, readErr)
		}
	}
	if seq, _, err := s.VerifyJournal(t.Context()); seq != 0 || err != nil {
		t.Fatalf("journal has %d entries: %v", seq, err)
	}
	if _, found, err := s.Snapshot(t.Context(), big.Snapshot.Hash); found || err != nil {
		t.Fatalf("snapshot: found %v, error %v", found, err)
	}
	limit(t, s, 1_000_000)
	if err := s.Commit(t.Context(), big); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	path := place(t)
	s := mustOpen(t, path)
	release := block(t, s)
	const writers = 5
	var group sync.WaitGroup
	for i := range int64(writers) {
		group.Go(func() { put(t, s, i+1) })
	}
	eventually(t, "all writes wait", func() bool { n, _ := liteOf(s).waiting(); return n == writers })
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	eventually(t, "closing has begun", func() bool { _, closed := liteOf(s).waiting(); return closed })
	release()
	group.Wait()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	wantError(t, s.Ping(t.Context()), "closed")
	wantPut(t, mustRead(t, path), writers)
}

// block keeps the writer busy with a write of its own until release, so that
// whatever comes meanwhile waits.
func block(t *testing.T, s *Store) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.do(t.Context(), func(context.Context, *session) (news, error) {
			close(begun)
			<-end
			return 0, nil
		})
	}()
	<-begun
	return func() {
		t.Helper()
		close(end)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}
