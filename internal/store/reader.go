package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

const selectChanges = "SELECT repo, number, schema, document FROM changes"

// readTimeout bounds one read, whatever its caller allows.
const readTimeout = 30 * time.Second

// Reader reads a store and cannot write it. Its methods are safe for
// concurrent use, and see everything that was committed before the call.
type Reader struct {
	db database
	dialect
	now    func() time.Time // what its callers go by
	memory memory
}

// database is where a Reader asks.
type database interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	Close() error
}

// OpenReadOnly opens the store at path for commands that run beside it, with a
// server on it or without. The store must exist with the present schema.
func OpenReadOnly(ctx context.Context, path string) (*Reader, error) {
	steps, err := migrations()
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return openReadOnly(ctx, path, steps)
}

// Close ends reading.
func (r *Reader) Close() error { return r.db.Close() }

// Ping says whether the store can be read.
func (r *Reader) Ping(ctx context.Context) error {
	if _, _, err := r.Head(ctx); err != nil {
		return fmt.Errorf("ping the store: %w", err)
	}
	return nil
}

// Change is the stored change; found is false for one never seen.
func (r *Reader) Change(ctx context.Context, id ref.PullID) (c change.Change, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var d document
	err = r.db.QueryRowContext(ctx, "SELECT schema, document FROM changes WHERE repo = $1 AND number = $2",
		id.Repo.String(), id.Number).Scan(&d.schema, &d.text)
	if errors.Is(err, sql.ErrNoRows) {
		return change.Change{}, false, nil
	}
	if err == nil {
		c, err = decode[change.Change](d)
	}
	if err != nil {
		return change.Change{}, false, fmt.Errorf("read change %s: %w", id, err)
	}
	return c, true, nil
}

// Changes lists changes, newest number first, then by repository.
func (r *Reader) Changes(ctx context.Context, f reconcile.Filter) ([]change.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	query, args := changesQuery(f)
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	var list []change.Change
	err = each(rows, func(rows scanner) error {
		var repo string
		var number int64
		var d document
		if err := rows.Scan(&repo, &number, &d.schema, &d.text); err != nil {
			return err
		}
		c, err := decode[change.Change](d)
		if err != nil {
			return fmt.Errorf("%s#%d: %w", repo, number, err)
		}
		list = append(list, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	return list, nil
}

// Target is the stored target, or a new one with that id.
func (r *Reader) Target(ctx context.Context, id ref.TargetID) (deployer.Target, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var d document
	err := r.db.QueryRowContext(ctx, "SELECT schema, document FROM targets WHERE repo = $1 AND environment = $2",
		id.Repo.String(), id.Environment).Scan(&d.schema, &d.text)
	if errors.Is(err, sql.ErrNoRows) {
		return deployer.Target{ID: id}, nil
	}
	var t deployer.Target
	if err == nil {
		t, err = decode[deployer.Target](d)
	}
	if err != nil {
		return deployer.Target{}, fmt.Errorf("read target %s: %w", id, err)
	}
	return t, nil
}

// Targets lists all stored targets, by repository and environment.
func (r *Reader) Targets(ctx context.Context) ([]deployer.Target, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT repo, environment, schema, document FROM targets ORDER BY repo, environment")
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	var list []deployer.Target
	err = each(rows, func(rows scanner) error {
		var repo, environment string
		var d document
		if err := rows.Scan(&repo, &environment, &d.schema, &d.text); err != nil {
			return err
		}
		t, err := decode[deployer.Target](d)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", repo, environment, err)
		}
		list = append(list, t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	return list, nil
}

// Releases lists the reserved versions of a branch, by position.
func (r *Reader) Releases(ctx context.Context, b ref.BranchID) ([]reconcile.Release, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT "+releaseColumns+" FROM releases WHERE repo = $1 AND branch = $2 ORDER BY position",
		b.Repo.String(), b.Name)
	if err != nil {
		return nil, fmt.Errorf("list releases of %s: %w", b, err)
	}
	var list []reconcile.Release
	err = each(rows, func(rows scanner) error {
		one, err := scanRelease(rows, b.Repo)
		list = append(list, one)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list releases of %s: %w", b, err)
	}
	return list, nil
}

// Reviews maps the reviews of a pull request to the head observed with each.
func (r *Reader) Reviews(ctx context.Context, id ref.PullID) (map[int64]ref.SHA, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT id, head FROM reviews WHERE repo = $1 AND number = $2", id.Repo.String(), id.Number)
	if err != nil {
		return nil, fmt.Errorf("read reviews of %s: %w", id, err)
	}
	seen := map[int64]ref.SHA{}
	err = each(rows, func(rows scanner) error {
		var review int64
		var head string
		err := rows.Scan(&review, &head)
		seen[review] = ref.SHA(head)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read reviews of %s: %w", id, err)
	}
	return seen, nil
}

// Snapshot is the judged snapshot with that hash; found is false without one.
func (r *Reader) Snapshot(ctx context.Context, hash string) (body []byte, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = r.db.QueryRowContext(ctx, "SELECT body FROM snapshots WHERE hash = $1", hash).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read snapshot %s: %w", hash, err)
	}
	return body, true, nil
}

func openReadOnly(ctx context.Context, path string, steps fs.FS) (_ *Reader, err error) {
	real, err := resolve(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(real)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open store %s: %w", path, err), r.Close())
		}
	}()
	known, err := newest(steps)
	if err != nil {
		return nil, err
	}
	version, err := inspect(ctx, r.db, known, false)
	if err != nil {
		return nil, err
	}
	if version < known {
		return nil, fmt.Errorf("the database has schema %d, this slipway reads %d: start slipway serve on it once", version, known)
	}
	return r, nil
}

func newReader(path string) (*Reader, error) {
	db, err := readable(path)
	if err != nil {
		return nil, err
	}
	pool := max(4, runtime.GOMAXPROCS(0))
	db.SetMaxOpenConns(pool)
	db.SetMaxIdleConns(pool)
	return &Reader{db: db, dialect: liteDialect(), now: time.Now}, nil
}

// changesQuery is the filter as SQL on the columns beside the documents.
func changesQuery(f reconcile.Filter) (query string, args []any) {
	var w where
	switch {
	case f.Repo.IsZero():
	case f.SHA != "" || f.Unfinished:
		// What is added keeps SQLite from reading all of the repository's changes
		// where an index on what is rarer leads straight to the few.
		w.add("repo || '' = ?", f.Repo.String())
	default:
		w.add("repo = ?", f.Repo.String())
	}
	if f.Base != "" {
		w.add("base = ?", f.Base)
	}
	if f.Unfinished {
		w.add("outcome = ''")
	}
	if f.SHA != "" {
		// The second part lets the partial index on merge commits be used.
		w.add("(head = ? OR (merge_sha = ? AND merge_sha <> ''))", string(f.SHA), string(f.SHA))
	}
	query = selectChanges + w.String() + " ORDER BY number DESC, repo"
	if f.Limit > 0 {
		query += fmt.Sprint(" LIMIT ", f.Limit)
	}
	return query, w.args
}

// where gathers conditions and numbers their arguments.
type where struct {
	parts []string
	args  []any
}

// add demands a condition, in which each ? is the next of the arguments.
func (w *where) add(part string, args ...any) {
	for _, a := range args {
		w.args = append(w.args, a)
		part = strings.Replace(part, "?", fmt.Sprint("$", len(w.args)), 1)
	}
	w.parts = append(w.parts, part)
}

func (w *where) String() string {
	if len(w.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.parts, " AND ")
}
