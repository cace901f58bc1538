package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// session is the one connection that writes, with its prepared statements.
// Only the group's goroutine uses it.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	// pruned is when old snapshots were last found to be few.
	pruned time.Time
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, stmts: map[string]*sql.Stmt{}}, nil
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
	j.due, j.err = j.apply(ctx, s)
	if j.err != nil {
		j.due = false
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

// exec runs a statement and says how many rows it wrote.
func (s *session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row reads one row into dest; found is false when there is none.
func (s *session) row(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return false, err
	}
	err = stmt.QueryRowContext(ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// rows reads all rows, each with one call of scan.
func (s *session) rows(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.stmts[query] = stmt
	return stmt, nil
}

func (s *session) close() error {
	var faults []error
	for _, stmt := range s.stmts {
		faults = append(faults, stmt.Close())
	}
	return errors.Join(append(faults, s.conn.Close())...)
}

// each calls scan for every row and closes the rows.
func each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
