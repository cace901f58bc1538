// Package store keeps what cannot be observed, in SQLite or in PostgreSQL:
// changes, targets, reserved releases, first observations of reviews, judged
// snapshots, the queue of due keys, items of work with their attempts, pool
// configs, and the journal. It keeps and refuses; it decides nothing, and no row
// of it ever crosses its boundary.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
)

// Options say where a store in SQLite is and what it works with.
type Options struct {
	// Path of the database file. Its directory must exist.
	Path string
	// Log is told of migrations; nil: nobody is.
	Log *slog.Logger
	// Now is the clock that a fence's lease is held against; nil: time.Now.
	Now func() time.Time
}

// Store is the store of a server that writes it. Its methods are safe for
// concurrent use.
type Store struct {
	*Reader
	engine
	now     func() time.Time
	closing sync.Once
	closed  error // by closing
}

// Open opens the store, makes it if there is none, and brings its schema
// forward. Only one server can have it open. A file that is damaged, is not
// Slipway's or comes from a newer Slipway is refused and left as it is.
func Open(ctx context.Context, o Options) (*Store, error) {
	steps, err := migrations()
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", o.Path, err)
	}
	return open(ctx, o, steps)
}

// Close commits what waits, refuses whatever comes later, and lets go of the
// file. Closing again does nothing.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed = s.engine.close(s.Reader)
	})
	return s.closed
}

// Ping says whether the store can be read and its writer answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.Reader.Ping(ctx); err != nil {
		return err
	}
	err := s.do(ctx, func(context.Context, *session) (news, error) { return 0, nil })
	if err != nil {
		return fmt.Errorf("ping the store's writer: %w", err)
	}
	return nil
}

// Accept makes keys due, durably once it has returned.
func (s *Store) Accept(ctx context.Context, keys []reconcile.Due) error {
	return s.Commit(ctx, reconcile.Write{Due: keys})
}

// Commit carries out the whole write in one transaction, or nothing of it. It
// changes nothing in w: the caller's Rev is the one that was replaced.
func (s *Store) Commit(ctx context.Context, w reconcile.Write) error {
	p, err := prepare(w, s.now())
	if err != nil {
		return fault.AsPermanent(err)
	}
	return s.do(ctx, func(ctx context.Context, tx *session) (news, error) {
		return p.news(), p.apply(ctx, tx)
	})
}

func open(ctx context.Context, o Options, steps fs.FS) (_ *Store, err error) {
	path, err := resolve(o.Path)
	if err != nil {
		return nil, err
	}
	held, err := lock(path)
	if err != nil {
		return nil, err
	}
	e := &lite{held: held}
	s := &Store{engine: e, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open store %s: %w", path, err), e.discard(s.Reader))
		}
	}()
	known, err := newest(steps)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	if err := look(ctx, path, known); err != nil {
		return nil, err
	}
	if e.db, err = writable(path); err != nil {
		return nil, err
	}
	if err := migrate(ctx, e.db, steps, logger(o.Log)); err != nil {
		return nil, explain(err)
	}
	if s.Reader, err = newReader(path); err != nil {
		return nil, err
	}
	s.Reader.now = s.now
	if e.session, err = newSession(ctx, e.db, s.now); err != nil {
		return nil, err
	}
	e.group = startGroup(e.session)
	return s, nil
}

// lite is the engine of a database file that one server writes.
type lite struct {
	*group
	session *session // the group's
	db      *sql.DB  // the session's
	held    *os.File // the lock
}

func (e *lite) signals() (woken, offers <-chan struct{}) { return e.woken, e.offers }

func (e *lite) close(r *Reader) error {
	e.stop()
	// The writer closes last, so that it empties the log into the database.
	return errors.Join(r.Close(), e.session.close(), e.db.Close(), e.held.Close())
}

// discard closes what was opened before opening failed.
func (e *lite) discard(r *Reader) error {
	var faults []error
	if r != nil {
		faults = append(faults, r.Close())
	}
	if e.db != nil {
		faults = append(faults, e.db.Close())
	}
	return errors.Join(append(faults, e.held.Close())...)
}

// look refuses a file that must not be written, through a connection that
// cannot write it. Only where a dead process left a write half done does it
// take that back first.
func look(ctx context.Context, path string, known int64) error {
	db, err := readable(path)
	if err != nil {
		return err
	}
	_, err = inspect(ctx, db, known, true)
	if err = errors.Join(err, db.Close()); !interrupted(err) {
		return err
	}
	if db, err = restoring(path); err != nil {
		return err
	}
	_, err = inspect(ctx, db, known, true)
	return errors.Join(err, db.Close())
}

func logger(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
