package store

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// TestMigrateKeepsWhatTheFirstSchemaHeld opens a database as the first release
// left it. Its rows are written out, not made by the present code, so that a
// later schema or shape that cannot read them is seen.
func TestMigrateKeepsWhatTheFirstSchemaHeld(t *testing.T) {
	path := place(t)
	makeAt(t, path, upTo(t, 1))
	b, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	script(t, path, string(b))
	s := mustOpen(t, path)
	app := ref.RepoID{Owner: "acme", Name: "app"}
	id := ref.PullID{Repo: app, Number: 7}

	c, found, err := s.Change(t.Context(), id)
	if !found || err != nil {
		t.Fatalf("found %v, error %v", found, err)
	}
	want(t, "change", []any{c.ID, c.Rev, c.Title, c.Base, c.Outcome, c.Version, c.Tag, len(c.Gates)},
		[]any{id, int64(12), "Serve the time", "main", change.OutcomeHealthy, "1.2.0", ref.Tag("v1.2.0"), 8})
	want(t, "gate", c.Gates[3], change.Gate{
		Name: change.Merged, State: change.Passed, At: time.Date(2026, 3, 1, 12, 0, 7, 123456000, time.UTC), Owner: "slipway",
		Evidence: change.Evidence{MergeSHA: "5d4c9c3a1f0e4b7a8d2c6e9f1b3a5d7c9e0f2a4b", MergedBy: "slipway"},
	})
	target, err := s.Target(t.Context(), ref.TargetID{Repo: app, Environment: "production"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "target", []any{target.Rev, target.Current.Phase, target.Current.Release.Version, target.TakenOver.By, target.Barred[0].Version},
		[]any{int64(5), deployer.PhaseHealthy, "v1.2.0", "ada", "v1.1.0"})
	releases, err := s.Releases(t.Context(), ref.BranchID{Repo: app, Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "release", []any{len(releases), releases[1].Version, releases[1].Ready.Position, releases[0].Ready == nil},
		[]any{2, "1.2.0", int64(2), true})
	reviews, err := s.Reviews(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "reviews", reviews, map[int64]ref.SHA{31: "9f1b3a5d7c9e0f2a4b5d4c9c3a1f0e4b7a8d2c6e"})
	cursor, err := s.Cursor(t.Context(), ref.BranchID{Repo: app, Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "cursor", cursor, c.MergeSHA)
	body, _, err := s.Snapshot(t.Context(), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "snapshot", string(body), "{}")
	if seq, hash, err := s.VerifyJournal(t.Context()); seq != 3 || err != nil {
		t.Fatalf("journal verified up to %d %s: %v", seq, hash, err)
	}
	claims, err := s.Claim(t.Context(), time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC), 10, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "claims", claims, []reconcile.Claim{{Key: "change acme/app#7", Token: 5, Seq: 9, Failures: 2, Until: time.Date(2026, 3, 1, 13, 1, 0, 0, time.UTC)}})
}

// TestMigrateKeepsTheSnapshotsThatChangesRestOn: a snapshot of the first schema
// has no age, and is not dropped while its change needs it.
func TestMigrateKeepsTheSnapshotsThatChangesRestOn(t *testing.T) {
	path := place(t)
	makeAt(t, path, upTo(t, 1))
	script(t, path, string(read(t, "testdata/schema1.sql")))
	loose := snapshot("loose")
	script(t, path, "INSERT INTO snapshots (hash, body) VALUES ('"+loose.Hash+"', x'00')")
	later := func() time.Time { return time.Now().Add(2 * snapshotLife) }
	s, err := Open(t.Context(), Options{Path: path, Now: later})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Commit(t.Context(), reconcile.Write{Snapshot: snapshot("newer")}); err != nil {
		t.Fatal(err)
	}
	for hash, kept := range map[string]bool{"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a": true, loose.Hash: false} {
		if _, found, err := s.Snapshot(t.Context(), hash); found != kept || err != nil {
			t.Errorf("%s: found %t, %v; want %t", hash, found, err, kept)
		}
	}
}

func TestMigrateGoesForward(t *testing.T) {
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	present, err := newest(all)
	if err != nil {
		t.Fatal(err)
	}
	next := present + 1
	file := fmt.Sprintf("%05d_more.sql", next)
	steps := upTo(t, present)
	steps[file] = &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE more (a TEXT NOT NULL) STRICT;
ALTER TABLE changes ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';
`)}
	path := place(t)
	fill(t, path, 3)

	t.Run("a step that fails leaves the step before it", func(t *testing.T) {
		broken := upTo(t, present)
		broken[file] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE half (a TEXT);\nDELETE FROM changes;\nINSERT INTO nowhere VALUES (1);\n")}
		_, err := open(t.Context(), Options{Path: path}, broken)
		wantError(t, err, path, fmt.Sprint("version:", next), "nowhere")
		s := mustOpen(t, path)
		wantPut(t, s.Reader, 3)
		wantVersion(t, s, present)
		wantError(t, tryScript(t, path, "SELECT * FROM half"), "no such table")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a reader of the next schema says what to do", func(t *testing.T) {
		_, err := openReadOnly(t.Context(), path, steps)
		wantError(t, err, fmt.Sprint("schema ", present), fmt.Sprint("reads ", next), "start slipway serve")
	})
	t.Run("the next schema keeps the data", func(t *testing.T) {
		s, err := open(t.Context(), Options{Path: path}, steps)
		if err != nil {
			t.Fatal(err)
		}
		wantPut(t, s.Reader, 3)
		wantVersion(t, s, next)
		put(t, s, 4)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		script(t, path, "INSERT INTO more SELECT colour FROM changes")
	})
	t.Run("the schema before refuses it then", func(t *testing.T) {
		before := sha256.Sum256(read(t, path))
		_, err := Open(t.Context(), Options{Path: path})
		wantError(t, err, fmt.Sprint("schema ", next), "newer slipway")
		if sha256.Sum256(read(t, path)) != before {
			t.Fatal("the file was changed")
		}
	})
	t.Run("opened again, nothing is migrated", func(t *testing.T) {
		s, err := open(t.Context(), Options{Path: path}, steps)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		wantPut(t, s.Reader, 4)
		wantVersion(t, s, next)
	})
}

func TestEveryMigrationIsForwardOnlyAndCounted(t *testing.T) {
	s := mustOpen(t, place(t))
	steps, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	last, err := newest(steps)
	if err != nil {
		t.Fatal(err)
	}
	wantVersion(t, s, last)
	forwardOnly(t, steps, last)
	others, err := postgresMigrations()
	if err != nil {
		t.Fatal(err)
	}
	if last, err = newest(others); err != nil {
		t.Fatal(err)
	}
	forwardOnly(t, others, last)
}

func forwardOnly(t *testing.T, steps fs.FS, last int64) {
	t.Helper()
	files, err := fs.Glob(steps, "*")
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(files)) != last {
		t.Errorf("%d files lead to schema %d: number them without gaps", len(files), last)
	}
	for _, f := range files {
		b, err := fs.ReadFile(steps, f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(b)), "+goose down") {
			t.Errorf("%s can go back: the data that it would drop cannot", f)
		}
	}
}

// upTo are the migrations up to a version.
func upTo(t *testing.T, version int64) fstest.MapFS {
	t.Helper()
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	return upToOf(t, all, version)
}

// upToOf are those of all up to a version.
func upToOf(t *testing.T, all fs.FS, version int64) fstest.MapFS {
	t.Helper()
	steps := fstest.MapFS{}
	files, err := fs.Glob(all, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		one := fstest.MapFS{}
		b, err := fs.ReadFile(all, f)
		if err != nil {
			t.Fatal(err)
		}
		one[f] = &fstest.MapFile{Data: b}
		if v, err := newest(one); err == nil && v <= version {
			steps[f] = one[f]
		}
	}
	return steps
}

// makeAt makes an empty database of an older schema.
func makeAt(t *testing.T, path string, steps fs.FS) {
	t.Helper()
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	db, err := connect(path, url.Values{"mode": {"rw"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := migrate(t.Context(), db, steps, logger(nil)); err != nil {
		t.Fatal(err)
	}
}

func wantVersion(t *testing.T, s *Store, version int64) {
	t.Helper()
	got, err := inspect(t.Context(), s.Reader.db, version, true)
	if err != nil || got != version {
		t.Fatalf("schema %d, want %d: %v", got, version, err)
	}
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, d)
	}
}
