package store

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// connections is how many webhooks arrive at once.
const connections = 64

// BenchmarkAccept compares durably accepted keys, as webhooks bring them from
// 64 connections, with two references on the same disk: rows inserted by one
// goroutine that does nothing else, 64 to a transaction ("raw"), and rows
// inserted from 64 goroutines through the same group commit ("bare"). The three
// take turns, so that a noisy machine is as unkind to each.
func BenchmarkAccept(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(b.Context(), Options{Path: filepath.Join(dir, "slipway.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	reference := newRaw(b, filepath.Join(dir, "raw.db"))
	bare := newRaw(b, filepath.Join(dir, "bare.db"))
	group := startGroup(bare)
	defer group.stop()

	const turn = 100 * connections
	var ours, raw, through time.Duration
	written := 0
	for b.Loop() {
		ours += took(func() {
			spread(b, written, turn, func(i int) error {
				return s.Commit(b.Context(), reconcile.Write{Due: []reconcile.Due{{Key: benchKey(i), At: time.Now()}}})
			})
		})
		raw += took(func() { insertRaw(b, reference, written, turn) })
		through += took(func() {
			spread(b, written, turn, func(i int) error {
				return group.do(b.Context(), func(ctx context.Context, s *session) (news, error) { return 0, insertRow(ctx, s, i) })
			})
		})
		written += turn
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(written)/ours.Seconds(), "accepted/s")
	b.ReportMetric(float64(written)/raw.Seconds(), "raw/s")
	b.ReportMetric(float64(written)/through.Seconds(), "bare/s")
	b.ReportMetric(raw.Seconds()/ours.Seconds(), "of-raw")
	b.ReportMetric(through.Seconds()/ours.Seconds(), "of-bare")
}

// spread does n writes from as many goroutines as there are connections.
func spread(b *testing.B, from, n int, write func(i int) error) {
	var group sync.WaitGroup
	for c := range connections {
		group.Go(func() {
			for i := from + c; i < from+n; i += connections {
				if err := write(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func insertRaw(b *testing.B, s *session, from, n int) {
	ctx := context.Background()
	for i := range n / connections {
		_, err := s.exec(ctx, "BEGIN IMMEDIATE")
		for j := range connections {
			err = errors.Join(err, insertRow(ctx, s, from+i*connections+j))
		}
		_, last := s.exec(ctx, "COMMIT")
		if err := errors.Join(err, last); err != nil {
			b.Fatal(err)
		}
	}
}

func insertRow(ctx context.Context, s *session, i int) error {
	_, err := s.exec(ctx, "INSERT INTO raw (key, due_at) VALUES (?, ?)", string(benchKey(i)), time.Now().UnixMicro())
	return err
}

// newRaw is the writing connection of a database with one plain table.
func newRaw(b *testing.B, path string) *session {
	if err := create(path); err != nil {
		b.Fatal(err)
	}
	db, err := writable(path)
	if err != nil {
		b.Fatal(err)
	}
	s, err := newSession(b.Context(), db, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(s.close(), db.Close()); err != nil {
			b.Error(err)
		}
	})
	if _, err := s.exec(b.Context(), "CREATE TABLE raw (id INTEGER PRIMARY KEY, key TEXT NOT NULL, due_at INTEGER NOT NULL) STRICT"); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchKey(i int) reconcile.Key {
	return reconcile.ChangeKey(ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: int64(i%10_000 + 1)})
}

func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}
