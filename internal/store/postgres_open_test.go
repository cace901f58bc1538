//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"slipway/config"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

// testOpening holds what is true of one server and its schema.
func testOpening(t *testing.T, p *places) {
	for name, test := range map[string]func(*testing.T, *places){
		"what cannot be relied on is refused, and the secret kept": testRefusals,
		"migrations go forward, with the data":                     testForward,
		"the tables are those of the embedded store":               testSameTables,
		"the journal is append-only for its user too":              testAppendOnly,
		"a reader reads and does not write":                        testReader,
		"a server that is killed leaves nothing half done":         testKilled,
		"text is compared by its bytes":                            testBytes,
	} {
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

func testRefusals(t *testing.T, p *places) {
	good := p.place(t).Reveal()
	with := func(change func(*url.URL, url.Values)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		change(u, q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	foreign, newer := freshPlace(t, p), freshPlace(t, p)
	run(t, p, foreign, "CREATE TABLE theirs (a int)")
	fillPostgres(t, newer, 2)
	run(t, p, newer, "INSERT INTO "+versionTable+" (version_id, is_applied) VALUES (99, true)")
	if err := p.server.Do(t.Context(), "CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dsn   string
		words []string
	}{
		"no connection string":       {"", []string{"no connection string"}},
		"one that is none":           {"postgres://a:" + p.server.Secrets()[2] + "@[bad", []string{"cannot be read"}},
		"a wrong password":           {with(func(u *url.URL, _ url.Values) { u.User = url.UserPassword(u.User.Username(), "x") }), []string{"password", "28P01"}},
		"an unknown user":            {with(func(u *url.URL, _ url.Values) { u.User = url.UserPassword("nobody", p.server.Secrets()[2]) }), []string{"28P01"}},
		"a database that is not":     {with(func(u *url.URL, _ url.Values) { u.Path = "/missing" }), []string{"no such database", "3D000"}},
		"a socket that is not":       {with(func(_ *url.URL, q url.Values) { q.Set("host", p.server.Secrets()[0]+"/none") }), []string{"cannot be reached", "no such file"}},
		"a host that is not":         {with(func(_ *url.URL, q url.Values) { q.Set("host", "shipwright.invalid") }), []string{"cannot be reached"}},
		"a port where nobody is":     {with(func(_ *url.URL, q url.Values) { q.Set("host", "127.0.0.1"); q.Set("port", "1") }), []string{"cannot be reached", "refused"}},
		"a schema that is not":       {with(func(_ *url.URL, q url.Values) { q.Set("search_path", "missing") }), []string{"CREATE SCHEMA"}},
		"commits that are not kept":  {with(func(_ *url.URL, q url.Values) { q.Set("synchronous_commit", "off") }), []string{"synchronous_commit"}},
		"another encoding":           {with(func(u *url.URL, _ url.Values) { u.Path = "/plain" }), []string{"SQL_ASCII", "UTF8"}},
		"another program's tables":   {foreign, []string{"another program's tables"}},
		"a schema of a newer server": {newer, []string{"schema 99", "newer slipway"}},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			o := PostgresOptions{DSN: config.NewSecret(c.dsn), Log: slog.New(slog.NewTextHandler(&said, nil))}
			_, err := OpenPostgres(t.Context(), o)
			wantError(t, err, append(c.words, "open store in PostgreSQL")...)
			wantSecret(t, err, p)
			_, err = OpenPostgresReadOnly(t.Context(), o)
			if name != "commits that are not kept" && name != "another encoding" && name != "a schema that is not" {
				wantError(t, err, c.words...)
			}
			wantSecret(t, err, p)
			wantSecret(t, fmt.Errorf("%s %+v", said.String(), o), p)
		})
	}
}

// testForward brings the data of the schema before to the present one.
func testForward(t *testing.T, p *places) {
	all, err := postgresMigrations()
	if err != nil {
		t.Fatal(err)
	}
	present, err := newest(all)
	if err != nil {
		t.Fatal(err)
	}
	dsn := freshPlace(t, p)
	o := PostgresOptions{DSN: config.NewSecret(dsn)}
	for version := int64(1); version <= present; version++ {
		s, err := openPostgres(t.Context(), o, upToOf(t, all, version))
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, version)
		if err := s.Commit(t.Context(), reconcile.Write{Journal: []journal.Entry{{Action: "noted"}}}); err != nil {
			t.Fatal(err)
		}
		wantPut(t, s.Reader, version)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	steps := upToOf(t, all, present)
	next := fmt.Sprintf("%05d_more.sql", present+1)
	t.Run("a step that fails leaves the step before it", func(t *testing.T) {
		steps[next] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE half (a text);\nDELETE FROM changes;\nINSERT INTO nowhere VALUES (1);\n")}
		_, err := openPostgres(t.Context(), o, steps)
		wantError(t, err, fmt.Sprint("version:", present+1), "nowhere")
		s := mustPostgres(t, o)
		wantPut(t, s.Reader, present)
	})
	t.Run("a reader of the next schema says what to do", func(t *testing.T) {
		_, err := openPostgresReader(t.Context(), o, steps)
		wantError(t, err, fmt.Sprint("reads ", present+1), "start slipway serve")
	})
	t.Run("the next schema keeps the data, and the one before refuses it then", func(t *testing.T) {
		steps[next] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE changes ADD COLUMN colour text NOT NULL DEFAULT 'grey';\n")}
		s, err := openPostgres(t.Context(), o, steps)
		if err != nil {
			t.Fatal(err)
		}
		wantPut(t, s.Reader, present)
		put(t, s, present+1)
		if seq, _, err := s.VerifyJournal(t.Context()); err != nil || seq != present {
			t.Errorf("%d entries: %v", seq, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = OpenPostgres(t.Context(), o)
		wantError(t, err, fmt.Sprint("schema ", present+1), "newer slipway")
	})
}

// testSameTables keeps the two schemas from drifting apart.
func testSameTables(t *testing.T, p *places) {
	lite := mustOpen(t, place(t))
	s := mustPostgres(t, PostgresOptions{DSN: p.place(t)})
	own := columns(t, s.Reader, `SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'YES' THEN ' null' ELSE '' END || ' ' ||
			CASE data_type WHEN 'bytea' THEN 'BLOB' WHEN 'bigint' THEN 'INTEGER' ELSE upper(data_type) END
		FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> '`+versionTable+`'`)
	theirs := columns(t, lite.Reader, `SELECT m.name || '.' || c.name || CASE WHEN c."notnull" = 0 AND c.pk = 0 THEN ' null' ELSE '' END || ' ' || c.type
		FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'goose_db_version'`)
	own = slices.DeleteFunc(own, func(c string) bool { return c == "queue.holder TEXT" }) // there are others
	want(t, "columns", own, theirs)
	if len(own) < 50 {
		t.Errorf("only %d columns were compared", len(own))
	}
	indexes := columns(t, s.Reader, "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT IN (SELECT conname FROM pg_constraint)")
	want(t, "indexes", indexes, columns(t, lite.Reader, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
}

func testAppendOnly(t *testing.T, p *places) {
	dsn := p.place(t)
	s := mustPostgres(t, PostgresOptions{DSN: dsn})
	note(t, s, 3)
	for name, query := range map[string]string{
		"an entry is not changed":        "UPDATE journal SET reason = 'another' WHERE seq = 2",
		"an entry is not removed":        "DELETE FROM journal WHERE seq = 3",
		"no entry is removed":            "TRUNCATE journal",
		"an entry is not put far behind": "INSERT INTO journal SELECT 9, at, actor, action, subject, identity, reason, data, prev, hash FROM journal WHERE seq = 3",
		"an entry is not put before":     "INSERT INTO journal SELECT 0, at, actor, action, subject, identity, reason, data, prev, hash FROM journal WHERE seq = 3",
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, try(t, p, dsn.Reveal(), query), "append-only")
			if seq, _, err := s.VerifyJournal(t.Context()); seq != 3 || err != nil {
				t.Fatalf("%d entries verified: %v", seq, err)
			}
		})
	}
	t.Run("a chain that is broken all the same is seen", func(t *testing.T) {
		run(t, p, dsn.Reveal(), "ALTER TABLE journal DISABLE TRIGGER USER", "UPDATE journal SET reason = 'another' WHERE seq = 2", "ALTER TABLE journal ENABLE TRIGGER USER")
		seq, _, err := s.VerifyJournal(t.Context())
		wantError(t, err, "entry 2 was changed")
		if seq != 1 || fault.KindOf(err) != fault.Permanent {
			t.Errorf("whole up to %d: %v", seq, err)
		}
	})
}

func testReader(t *testing.T, p *places) {
	dsn := freshPlace(t, p)
	o := PostgresOptions{DSN: config.NewSecret(dsn)}
	_, err := OpenPostgresReadOnly(t.Context(), o)
	wantError(t, err, "start slipway serve")
	fillPostgres(t, dsn, 2)
	r, err := OpenPostgresReadOnly(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantPut(t, r, 2)
	_, err = r.db.ExecContext(t.Context(), "DELETE FROM changes")
	wantError(t, err, "read-only")
	t.Run("also as a user who logs in by SCRAM", func(t *testing.T) {
		err := p.server.Do(t.Context(), "SET password_encryption = 'scram-sha-256'", "CREATE ROLE modern LOGIN PASSWORD 'secret' IN ROLE "+p.server.User())
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("modern", "secret")
		r, err := OpenPostgresReadOnly(t.Context(), PostgresOptions{DSN: config.NewSecret(u.String())})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		wantPut(t, r, 2)
	})
}

// testKilled is A5 for the store in PostgreSQL: of two servers one is killed while
// it writes, again and again, and the other goes on.
func testKilled(t *testing.T, p *places) {
	dsn := p.place(t)
	other := mustPostgres(t, PostgresOptions{DSN: dsn})
	answered := map[int64]int64{}
	for round := range int64(2) {
		acks := killAfter(t, dsn.Reveal(), 20*(int(round)+1))
		put(t, other, workers+1+round) // it is not kept waiting by what the dead one held
		for w, n := range acks {
			answered[w] = max(answered[w], n)
		}
		answered = wantWhole(t, other, answered, "")
	}
	if answered[0]+answered[1] == 0 {
		t.Fatal("nothing was ever written")
	}
}

// testBytes: a name that is no UTF-8, or that sorts by its bytes, is a name.
func testBytes(t *testing.T, p *places) {
	s := mustPostgres(t, PostgresOptions{DSN: p.place(t)})
	for n, base := range []string{"b", "B", "ä", "a\xff\x00"} {
		c := wholeWrite(int64(n), 1, "").Change
		c.Base = base
		if err := s.Commit(t.Context(), reconcile.Write{Change: c}); err != nil {
			t.Fatalf("%q: %v", base, err)
		}
		list, err := s.Changes(t.Context(), reconcile.Filter{Base: base})
		if err != nil || len(list) != 1 || list[0].ID != c.ID {
			t.Errorf("%q: %v, %v", base, list, err)
		}
	}
	var due []reconcile.Due
	for _, key := range []reconcile.Key{"change b/b#1", "change B/b#1", "change a/b#1"} {
		due = append(due, reconcile.Due{Key: key, At: time.Unix(1, 0)})
	}
	if err := s.Accept(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	claims, err := s.Claim(t.Context(), time.Now(), 3, time.Minute)
	if err != nil || len(claims) != 3 || claims[0].Key != "change B/b#1" {
		t.Fatalf("%v: %v", claims, err)
	}
}

// freshPlace is a schema in which nothing was made yet.
func freshPlace(t *testing.T, p *places) string {
	t.Helper()
	dsn, err := p.server.Place(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func fillPostgres(t *testing.T, dsn string, n int64) {
	t.Helper()
	s, err := OpenPostgres(t.Context(), PostgresOptions{DSN: config.NewSecret(dsn)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		put(t, s, i+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// run runs statements in a schema as the store's own user.
func run(t *testing.T, p *places, dsn string, statements ...string) {
	t.Helper()
	if err := try(t, p, dsn, statements...); err != nil {
		t.Fatal(err)
	}
}

func try(t *testing.T, p *places, dsn string, statements ...string) error {
	t.Helper()
	return p.server.As(context.WithoutCancel(t.Context()), p.server.User(), slices.Insert(statements, 0, "SET search_path = "+schemaOf(dsn))...)
}

func columns(t *testing.T, r *Reader, query string) []string {
	t.Helper()
	var all []string
	err := r.rows(t.Context(), query, nil, func(rows scanner) error {
		var one string
		err := rows.Scan(&one)
		all = append(all, one)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}
