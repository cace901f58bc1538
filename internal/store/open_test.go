package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
)

func TestOneServerHoldsTheStore(t *testing.T) {
	path := place(t)
	first := mustOpen(t, path)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]string{"under its name": path, "under another name": link} {
		t.Run("a second server is refused "+name, func(t *testing.T) {
			_, err := Open(t.Context(), Options{Path: at})
			wantError(t, err, path, "in use by another slipway server", fmt.Sprint("process ", os.Getpid()), "stop that one first")
		})
	}
	t.Run("the one that has it is unharmed", func(t *testing.T) { put(t, first, 1) })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("once it is closed another may", func(t *testing.T) {
		second := mustOpen(t, path)
		wantPut(t, second.Reader, 1)
	})
}

func TestOpenRefusesAndChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(t *testing.T, path string)
		words []string
	}{
		"a file that is no database": {
			func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("not a database\n", 1000))) },
			[]string{"not a SQLite database", "name another path"}},
		"another program's database": {
			func(t *testing.T, path string) {
				script(t, path, "CREATE TABLE theirs (a TEXT); INSERT INTO theirs VALUES ('kept')")
			},
			[]string{"another program's", "name another path"}},
		"another program's database with its mark": {
			func(t *testing.T, path string) {
				script(t, path, "PRAGMA application_id = 7; CREATE TABLE theirs (a TEXT)")
			},
			[]string{"another program's"}},
		"a database of a newer slipway": {
			func(t *testing.T, path string) {
				fill(t, path, 3)
				script(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
			},
			[]string{"schema 99", "newer slipway"}},
		"a database cut off in the middle": {
			func(t *testing.T, path string) {
				fill(t, path, 200)
				if err := os.Truncate(path, 8*4096); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"damaged", "restore it from a copy"}},
		"a database with a page overwritten": {
			func(t *testing.T, path string) {
				fill(t, path, 200)
				b := read(t, path)
				page := len(b) / 4096 / 2
				copy(b[page*4096:], strings.Repeat("\xA5", 4096))
				write(t, path, b)
			},
			[]string{"damaged", "restore it from a copy"}},
		"a database with its schema overwritten": {
			func(t *testing.T, path string) {
				fill(t, path, 3)
				b := read(t, path)
				copy(b[100:4096], strings.Repeat("\xA5", 4096))
				write(t, path, b)
			},
			[]string{"damaged"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := place(t)
			c.make(t, path)
			before := sha256.Sum256(read(t, path))
			_, err := Open(t.Context(), Options{Path: path})
			wantError(t, err, append(c.words, path)...)
			if sha256.Sum256(read(t, path)) != before {
				t.Fatal("the file was changed")
			}
			for _, side := range []string{"-wal", "-journal"} {
				if b, err := os.ReadFile(path + side); err == nil && len(b) > 0 {
					t.Fatalf("%d bytes were left in %s", len(b), side)
				}
			}
		})
	}
}

func TestOpenRefusesAPlaceThatIsNone(t *testing.T) {
	_, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "missing", "slipway.db")})
	wantError(t, err, "missing", "make the directory first")
	_, err = Open(t.Context(), Options{})
	wantError(t, err, "no path")
}

func TestOpenMakesAStore(t *testing.T) {
	t.Run("whatever its name, for its owner alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a b?c#d%41&mode=memory.db")
		s := mustOpen(t, path)
		put(t, s, 1)
		for _, side := range []string{"", "-wal", "-shm", ".lock"} {
			info, err := os.Stat(path + side)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", side, info.Mode())
			}
		}
	})
	t.Run("from an empty file", func(t *testing.T) {
		path := place(t)
		write(t, path, nil)
		put(t, mustOpen(t, path), 1)
	})
	t.Run("again, where it died before its first migration", func(t *testing.T) {
		path := place(t)
		script(t, path, `CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
			is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))`)
		script(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)")
		put(t, mustOpen(t, path), 1)
	})
}

func TestOpenTakesBackAWriteThatWasInterrupted(t *testing.T) {
	path := place(t)
	fill(t, path, 3)
	script(t, path, "PRAGMA journal_mode = DELETE")
	db, err := connect(path, url.Values{"mode": {"rw"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	// A cache this small makes the transaction spill into the file, and the
	// copies are what a process that died there would have left.
	for _, q := range []string{
		"PRAGMA cache_size = 5", "BEGIN IMMEDIATE", "UPDATE changes SET head = 'half'",
		"WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO snapshots (hash, body) SELECT i, randomblob(500) FROM n",
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(q, err)
		}
	}
	left := place(t)
	write(t, left, read(t, path))
	write(t, left+"-journal", read(t, path+"-journal"))
	t.Run("a reader says what to do", func(t *testing.T) {
		_, err := OpenReadOnly(t.Context(), left)
		wantError(t, err, "interrupted", "start slipway serve")
	})
	t.Run("a server finds what was committed", func(t *testing.T) {
		s := mustOpen(t, left)
		wantPut(t, s.Reader, 3)
		list, err := s.Changes(t.Context(), reconcile.Filter{SHA: "half"})
		if err != nil || len(list) != 0 {
			t.Fatalf("%d changes are half written: %v", len(list), err)
		}
	})
}

func TestConnections(t *testing.T) {
	s := mustOpen(t, place(t))
	t.Run("what is committed is on the disk", func(t *testing.T) {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			var got string
			err := s.do(t.Context(), func(ctx context.Context, tx *session) (news, error) {
				_, err := tx.row(ctx, "PRAGMA "+pragma, nil, &got)
				return 0, err
			})
			if err != nil || got != want {
				t.Errorf("%s is %q, want %q: %v", pragma, got, want, err)
			}
		}
	})
	t.Run("a reading connection cannot write", func(t *testing.T) {
		_, err := s.Reader.db.ExecContext(t.Context(), "INSERT INTO reviews VALUES ('a/b', 1, 1, 'c')")
		wantError(t, err, "readonly")
	})
}

func TestOpenReadOnly(t *testing.T) {
	path := place(t)
	t.Run("a store that is not there is not made", func(t *testing.T) {
		_, err := OpenReadOnly(t.Context(), path)
		wantError(t, err, path, "must exist")
		if _, err := os.Stat(path); err == nil {
			t.Fatal("a file was made")
		}
	})
	s := mustOpen(t, path)
	put(t, s, 1)
	t.Run("beside a server it sees each commit", func(t *testing.T) {
		r := mustRead(t, path)
		wantPut(t, r, 1)
		put(t, s, 2)
		wantPut(t, r, 2)
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("it works without a server", func(t *testing.T) { wantPut(t, mustRead(t, path), 2) })
	t.Run("it does not keep a server from starting", func(t *testing.T) {
		r := mustRead(t, path)
		put(t, mustOpen(t, path), 3)
		wantPut(t, r, 3)
	})
	t.Run("a newer database is refused", func(t *testing.T) {
		path := place(t)
		fill(t, path, 1)
		script(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
		_, err := OpenReadOnly(t.Context(), path)
		wantError(t, err, "schema 99", "newer slipway")
	})
	t.Run("a database from before the first migration is refused", func(t *testing.T) {
		path := place(t)
		write(t, path, nil)
		_, err := OpenReadOnly(t.Context(), path)
		wantError(t, err, "start slipway serve")
	})
}

func TestFreeClaims(t *testing.T) {
	path, key, now := place(t), reconcile.Key("change acme/app#1"), time.Now()
	first := mustOpen(t, path)
	if err := first.Commit(t.Context(), reconcile.Write{Due: []reconcile.Due{{Key: key, At: now}}}); err != nil {
		t.Fatal(err)
	}
	old, err := first.Claim(t.Context(), now, 1, time.Hour)
	if err != nil || len(old) != 1 {
		t.Fatalf("claimed %v: %v", old, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, path)
	if err := second.FreeClaims(t.Context()); err != nil {
		t.Fatal(err)
	}
	claims, err := second.Claim(t.Context(), time.Now(), 1, time.Hour)
	if err != nil || len(claims) != 1 || claims[0].Key != key || claims[0].Token <= old[0].Token {
		t.Errorf("the next server claims %v: %v, want %s under a higher token than %d", claims, err, key, old[0].Token)
	}
	if err := second.Done(t.Context(), old[0], time.Time{}, false); fault.KindOf(err) != fault.Changed {
		t.Errorf("the claim of the earlier server is given back: %v", err)
	}
}
