package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// applicationID stands in the header of every Slipway database ("SLIP").
const applicationID = 0x534C4950

// busyTimeout is how long a statement waits for a lock held by another
// process, such as somebody's sqlite3 shell.
const busyTimeout = "10000" // milliseconds

// resolve gives the store one name, whatever link leads to it, so that two
// servers cannot miss each other's lock.
func resolve(path string) (string, error) {
	if path == "" {
		return "", errors.New("open store: no path is given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("open store %s: %w", path, err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", fmt.Errorf("open store %s: %w: make the directory first", path, err)
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// create makes an empty file that only its owner can read; SQLite gives its
// side files the same mode. A file that exists stays as it is.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	return f.Close()
}

// readable opens connections that cannot write.
func readable(path string) (*sql.DB, error) {
	return connect(path, url.Values{"mode": {"ro"}, "_query_only": {"1"}})
}

// restoring opens a connection that runs no statement that writes, but may
// take back what a process left half done when it died.
func restoring(path string) (*sql.DB, error) {
	return connect(path, url.Values{"mode": {"rw"}, "_query_only": {"1"}})
}

// writable opens connections that write durably; it does not create a file.
func writable(path string) (*sql.DB, error) {
	db, err := connect(path, url.Values{
		"mode":          {"rw"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_txlock":       {"immediate"},
		"_defensive":    {"1"},
		// A burst makes the log grow; this gives the room back.
		"_pragma": {"journal_size_limit(67108864)"},
	})
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func connect(path string, params url.Values) (*sql.DB, error) {
	params.Set("_busy_timeout", busyTimeout)
	params.Set("_dqs", "0")
	params.Set("_error_rc", "1")
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") { // a Windows drive
		slashed = "/" + slashed
	}
	name := (&url.URL{Path: slashed}).EscapedPath()
	return sql.Open("sqlite", "file://"+name+"?"+params.Encode())
}

// inspect says which schema version stands in the database, 0 for a new one,
// and refuses what is not a whole Slipway database of a version known here.
// It changes nothing. deep reads every page.
func inspect(ctx context.Context, db database, known int64, deep bool) (int64, error) {
	var id, tables int64
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, explain(err)
	}
	const foreign = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name <> 'goose_db_version'"
	if err := db.QueryRowContext(ctx, foreign).Scan(&tables); err != nil {
		return 0, explain(err)
	}
	if id == 0 && tables == 0 {
		return 0, nil
	}
	if id != applicationID {
		return 0, errors.New("this is another program's SQLite database: name another path for the store")
	}
	var version int64
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version); err != nil {
		return 0, explain(err)
	}
	if version > known {
		return 0, fmt.Errorf("the database has schema %d, this slipway knows up to %d: run the newer slipway, or restore the copy from before it ran", version, known)
	}
	if !deep {
		return version, nil
	}
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return 0, explain(err)
	}
	if found != "ok" {
		return 0, fmt.Errorf("the database is damaged (%s): restore it from a copy", strings.TrimSpace(found))
	}
	return version, nil
}

// interrupted says that a process died in the middle of a write that a
// connection which cannot write cannot take back.
func interrupted(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_READONLY_ROLLBACK
}

// explain adds what to do to the errors of SQLite that an operator meets when
// a store is opened.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	const primary = 0xff
	switch {
	case interrupted(err):
		return fmt.Errorf("a write to it was interrupted: start slipway serve on it once: %w", err)
	case e.Code()&primary == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("this is not a SQLite database, or its start is damaged: name another path, or restore it from a copy: %w", err)
	case e.Code()&primary == sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("the database is damaged: restore it from a copy: %w", err)
	case e.Code()&primary == sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("the file cannot be opened: it must exist, and its directory must be writable: %w", err)
	case e.Code()&primary == sqlite3.SQLITE_READONLY:
		return fmt.Errorf("the file and its directory must be writable: %w", err)
	default:
		return err
	}
}
