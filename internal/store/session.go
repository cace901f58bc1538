package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// session is one connection that writes, one transaction after the other. What
// is written for it runs on either database.
type session struct {
	statements
	dialect
	// clock is the time, as the two clocks there are have it.
	clock func(context.Context) (instant, error)
	// local is the time by this process, which callers go by.
	local func() time.Time
	// lone keeps all others that take the same lock waiting until this
	// transaction has ended; nil where there is one writer.
	lone func(ctx context.Context, name string) error
	// holder is what the claims of this server are known by; "" where there is
	// one server.
	holder string
	// pruned is when old snapshots were last found to be few, in microseconds.
	pruned *atomic.Int64
}

// instant is one moment by the store's clock, which leases are held against and
// which all that share the store have in common.
type instant struct {
	at time.Time
	// ahead is how far that clock is ahead of this process's, at least, and
	// doubt by how much more it may be.
	ahead, doubt time.Duration
}

// statements carries out single statements.
type statements interface {
	run(ctx context.Context, query string, args []any) (sql.Result, error)
	ask(ctx context.Context, query string, args []any) (*sql.Rows, error)
	close() error
}

// journalHeld is the name under which entries are sealed. Whoever holds it waits
// for nothing else any more, so it is taken last.
const journalHeld = "journal"

// exec runs a statement and says how many rows it wrote.
func (s *session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := s.run(ctx, query, args)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row reads one row into dest; found is false when there is none.
func (s *session) row(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	rows, err := s.ask(ctx, query, args)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	return true, rows.Close()
}

// rows reads all rows, each with one call of scan.
func (s *session) rows(ctx context.Context, query string, args []any, scan func(scanner) error) error {
	rows, err := s.ask(ctx, query, args)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// instant is the present one.
func (s *session) instant(ctx context.Context) (instant, error) {
	i, err := s.clock(ctx)
	if err != nil {
		return instant{}, fmt.Errorf("read the store's clock: %w", err)
	}
	return i, nil
}

// now is the time that leases are held against.
func (s *session) now(ctx context.Context) (time.Time, error) {
	i, err := s.instant(ctx)
	return i.at, err
}

// ahead is how far the clock of the store is ahead of this process's: what a
// caller calls a time is later by that in the store.
func (s *session) ahead(ctx context.Context) (time.Duration, error) {
	i, err := s.instant(ctx)
	return i.ahead, err
}

// hold goes on once no other transaction holds the name, and holds it to the
// end of this one.
func (s *session) hold(ctx context.Context, name string) error {
	if s.lone == nil {
		return nil
	}
	if err := s.lone(ctx, name); err != nil {
		return fmt.Errorf("hold the %s: %w", name, err)
	}
	return nil
}

// newSession is the session of the one writer of a SQLite database.
func newSession(ctx context.Context, db *sql.DB, now func() time.Time) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{
		dialect:    liteDialect(),
		statements: &compiled{conn: conn, stmts: map[string]*sql.Stmt{}},
		clock:      func(context.Context) (instant, error) { return instant{at: now()}, nil },
		local:      now,
		pruned:     new(atomic.Int64),
	}, nil
}

// transact carries out the jobs in one transaction. Each job keeps its own
// error; the error returned means that nothing at all was done.
func (s *session) transact(ctx context.Context, jobs []*job) error {
	if _, err := s.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		s.abandon(ctx) // only what an earlier error left open can be in the way
		return fmt.Errorf("begin a transaction of the store: %w", err)
	}
	for _, j := range jobs {
		if err := s.attempt(ctx, j); err != nil {
			s.abandon(ctx)
			return err
		}
	}
	if _, err := s.exec(ctx, "COMMIT"); err != nil {
		s.abandon(ctx)
		return fmt.Errorf("commit to the store: %w", err)
	}
	return nil
}

// attempt does one job behind a savepoint. The error returned means that the
// transaction itself is gone: SQLite drops it by itself on some errors of the
// disk, and the savepoint with it, and whatever followed would stand alone.
func (s *session) attempt(ctx context.Context, j *job) error {
	if _, err := s.exec(ctx, "SAVEPOINT job"); err != nil {
		return fmt.Errorf("begin a transaction of the store: %w", err)
	}
	j.news, j.err = j.apply(ctx, s)
	if j.err != nil {
		j.news = 0
		if _, err := s.exec(ctx, "ROLLBACK TO job"); err != nil {
			return fmt.Errorf("the store's whole transaction failed: %w", j.err)
		}
	}
	if _, err := s.exec(ctx, "RELEASE job"); err != nil {
		return fmt.Errorf("the store's whole transaction failed: %w", err)
	}
	return nil
}

// abandon leaves no transaction open. Its error would only say that none was.
func (s *session) abandon(ctx context.Context) {
	_, _ = s.exec(ctx, "ROLLBACK")
}

// compiled are the statements of one connection, each compiled once. Only the
// group's goroutine uses them.
type compiled struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (c *compiled) run(ctx context.Context, query string, args []any) (sql.Result, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (c *compiled) ask(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (c *compiled) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := c.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = stmt
	return stmt, nil
}

func (c *compiled) close() error {
	var faults []error
	for _, stmt := range c.stmts {
		faults = append(faults, stmt.Close())
	}
	return errors.Join(append(faults, c.conn.Close())...)
}

// each calls scan for every row and closes the rows.
func each(rows *sql.Rows, scan func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
