package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"slipway/config"
)

const (
	// oldestPostgres is the oldest version that the store is tested with.
	oldestPostgres = 15
	// versionTable is where the migrations keep what was applied. Other programs
	// that use the same library beside Slipway have the usual name.
	versionTable = "slipway_schema"
	// writers is how many connections of one server write at once.
	writers = 8
)

// PostgresOptions say where a store in PostgreSQL is and what it works with.
type PostgresOptions struct {
	// DSN is the connection string, as libpq has it: an address postgres://… or
	// words such as "host=db user=slipway". The schema that its search_path names
	// first is the store's. No error and no log says anything of it.
	DSN config.Secret
	// Folder is this server's own, which no other one uses: by the file server.id
	// in it the server is known again, and may take up at once what it held when
	// it was killed. "" for none: that waits for the ends of its leases then.
	Folder string
	// Log is told of migrations, and when the database goes away and comes back;
	// nil: nobody is.
	Log *slog.Logger
	// Now replaces the database's clock, for tests; nil: the database's.
	Now func() time.Time
}

// OpenPostgres opens the store in a PostgreSQL schema, makes it if the schema is
// empty, and brings it forward. Any number of servers can have it open. A schema
// that is not Slipway's or comes from a newer Slipway, and a server that would
// not keep what it says it keeps, are refused and left as they are.
func OpenPostgres(ctx context.Context, o PostgresOptions) (*Store, error) {
	steps, err := postgresMigrations()
	if err != nil {
		return nil, fmt.Errorf("open store in PostgreSQL: %w", err)
	}
	return openPostgres(ctx, o, steps)
}

// OpenPostgresReadOnly opens the store in a PostgreSQL schema for commands that
// run beside the servers, with any on it or without. The store must exist with
// the present schema.
func OpenPostgresReadOnly(ctx context.Context, o PostgresOptions) (*Reader, error) {
	steps, err := postgresMigrations()
	if err != nil {
		return nil, fmt.Errorf("open store in PostgreSQL: %w", err)
	}
	r, err := openPostgresReader(ctx, o, steps)
	if err != nil {
		return nil, fmt.Errorf("open store in PostgreSQL: %w", err)
	}
	return r, nil
}

func openPostgres(ctx context.Context, o PostgresOptions, steps fs.FS) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open store in PostgreSQL: %w", err)
		}
	}()
	dsn, err := parse(o.DSN)
	if err != nil {
		return nil, err
	}
	e := newPgEngine(dsn, o)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.discard())
		}
	}()
	if e.self, e.held, err = serverID(o.Folder); err != nil {
		return nil, err
	}
	if e.place, err = prepareSchema(ctx, e.db, dsn, steps, e.log); err != nil {
		return nil, err
	}
	if err := e.startListening(ctx, dsn); err != nil {
		return nil, err
	}
	return &Store{Reader: newPostgresReader(dsn, o), engine: e, now: e.local}, nil
}

func openPostgresReader(ctx context.Context, o PostgresOptions, steps fs.FS) (_ *Reader, err error) {
	dsn, err := parse(o.DSN)
	if err != nil {
		return nil, err
	}
	r := newPostgresReader(dsn, o)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	known, err := newest(steps)
	if err != nil {
		return nil, err
	}
	version, err := schemaVersion(ctx, r.db, known)
	if err != nil {
		return nil, err
	}
	if version < known {
		return nil, fmt.Errorf("the database has schema %d, this slipway reads %d: start slipway serve on it once", version, known)
	}
	return r, nil
}

// newPostgresReader reads through connections that cannot write.
func newPostgresReader(dsn *pgx.ConnConfig, o PostgresOptions) *Reader {
	read := dsn.Copy()
	read.RuntimeParams["default_transaction_read_only"] = "on"
	db := pool(read, max(4, runtime.GOMAXPROCS(0)))
	r := &Reader{db: plainText{db}, dialect: postgresDialect(o.Now != nil), now: time.Now}
	if o.Now != nil {
		r.now = o.Now
	}
	return r
}

// postgresDialect is PostgreSQL's. simulated says that a test has its own clock.
func postgresDialect(simulated bool) dialect {
	d := dialect{
		forUpdate:  " FOR UPDATE",
		skipLocked: " FOR UPDATE SKIP LOCKED",
		numbers:    "(SELECT value::bigint FROM json_array_elements_text($1::text::json))",
		words:      "(SELECT value FROM json_array_elements_text($1::text::json))",
		clock:      databaseClock,
	}
	if simulated {
		d.clock = "NULL::bigint"
	}
	return d
}

// databaseClock is the database's time in microseconds.
const databaseClock = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// pool opens connections as they are needed, and keeps them for a while.
func pool(dsn *pgx.ConnConfig, most int) *sql.DB {
	db := sql.OpenDB(guarded{stdlib.GetConnector(*dsn)})
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// prepareSchema sees to it that the database is one to rely on and has the
// present schema, and says which schema that is.
func prepareSchema(ctx context.Context, db *sql.DB, dsn *pgx.ConnConfig, steps fs.FS, log *slog.Logger) (place string, err error) {
	if place, err = examine(ctx, db); err != nil {
		return "", err
	}
	known, err := newest(steps)
	if err != nil {
		return "", err
	}
	version, err := schemaVersion(ctx, db, known)
	if err != nil || version == known {
		return place, err
	}
	return place, migratePostgres(ctx, dsn, place, steps, log)
}

// migratePostgres brings the schema forward, through connections without time
// limits, because a step may have much to rewrite.
func migratePostgres(ctx context.Context, dsn *pgx.ConnConfig, place string, steps fs.FS, log *slog.Logger) (err error) {
	patient := dsn.Copy()
	for _, l := range limits() {
		delete(patient.RuntimeParams, l.name)
	}
	db := pool(patient, 2)
	defer func() { err = errors.Join(err, db.Close()) }()
	// Of servers that start at once one does it. The lock ends with its
	// connection.
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockNumber(place, "migrations")); err != nil {
		return fmt.Errorf("wait for another server's migrations: %w", err)
	}
	return explainPostgres(forward(ctx, goose.DialectPostgres, db, steps, versionTable, log))
}

// examine refuses a server that is too old or would not keep what it was given,
// and gives the name of the store's schema.
func examine(ctx context.Context, db *sql.DB) (place string, err error) {
	var (
		version                     int
		replica                     bool
		encoding, fsync, durability string
		schema                      sql.NullString
	)
	err = db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('server_encoding'),
		current_setting('fsync'), current_setting('synchronous_commit'), current_schema()`).
		Scan(&version, &replica, &encoding, &fsync, &durability, &schema)
	if err != nil {
		return "", explainPostgres(err)
	}
	switch {
	case version < oldestPostgres*10_000:
		return "", fmt.Errorf("it is version %d: PostgreSQL %d or newer is needed", version/10_000, oldestPostgres)
	case replica:
		return "", errors.New("it is a standby, which cannot be written: name the primary, or both with target_session_attrs=read-write")
	case encoding != "UTF8":
		return "", fmt.Errorf("its encoding is %s: make a database with ENCODING 'UTF8'", encoding)
	case fsync != "on":
		return "", errors.New("fsync is off, so a crash may lose what was promised: turn it on")
	case durability == "off":
		return "", errors.New("synchronous_commit is off, so a crash may lose what was promised: ALTER ROLE … SET synchronous_commit = on")
	case !schema.Valid:
		return "", errors.New("there is no schema for the store: CREATE SCHEMA … AUTHORIZATION its user, or name another one with search_path")
	}
	return schema.String, nil
}

// schemaVersion says which schema version stands in the database, 0 for none,
// and refuses what is not Slipway's or is of a version not known here.
func schemaVersion(ctx context.Context, db database, known int64) (int64, error) {
	var ours bool
	var others int64
	err := db.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE tablename = $1) > 0, count(*) FILTER (WHERE tablename <> $1)
		FROM pg_tables WHERE schemaname = current_schema()`, versionTable).Scan(&ours, &others)
	if err != nil {
		return 0, explainPostgres(err)
	}
	if !ours && others > 0 {
		return 0, errors.New("the schema holds another program's tables: give the store a schema or a database of its own")
	}
	if !ours {
		return 0, nil
	}
	var version int64
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versionTable+" WHERE is_applied").Scan(&version); err != nil {
		return 0, explainPostgres(err)
	}
	if version > known {
		return 0, fmt.Errorf("the database has schema %d, this slipway knows up to %d: run the newer slipway, or restore the copy from before it ran", version, known)
	}
	return version, nil
}

// parse reads a connection string. Its error says nothing of what it holds.
func parse(dsn config.Secret) (*pgx.ConnConfig, error) {
	if dsn.IsZero() {
		return nil, errors.New("no connection string is given")
	}
	c, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errors.New("the connection string cannot be read: it is postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, or words such as host=… user=… dbname=…")
	}
	quiet(c)
	set := func(name, value string) {
		if c.RuntimeParams[name] == "" {
			c.RuntimeParams[name] = value
		}
	}
	set("application_name", "slipway")
	for _, l := range limits() {
		set(l.name, strconv.FormatInt(l.after.Milliseconds(), 10))
	}
	return c, nil
}

// timeLimit is a time after which PostgreSQL ends something by itself.
type timeLimit struct {
	name  string
	after time.Duration
}

// limits keep a server that hangs, or one that was cut off, from keeping the
// others waiting: these wait longer than that one may hang.
func limits() []timeLimit {
	return []timeLimit{
		{"statement_timeout", 30 * time.Second},
		{"lock_timeout", 20 * time.Second},
		{"idle_in_transaction_session_timeout", 10 * time.Second},
	}
}
