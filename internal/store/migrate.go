package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql migrations_postgres/*.sql
var embedded embed.FS

// migrations are the steps from an empty database to the present schema.
func migrations() (fs.FS, error) { return fs.Sub(embedded, "migrations") }

// postgresMigrations are the same for PostgreSQL, which came later and has fewer.
func postgresMigrations() (fs.FS, error) { return fs.Sub(embedded, "migrations_postgres") }

// newest is the schema version that the migrations lead to.
func newest(steps fs.FS) (int64, error) {
	files, err := fs.Glob(steps, "*.sql")
	if err != nil {
		return 0, err
	}
	var last int64
	for _, f := range files {
		v, err := goose.NumericComponent(f)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", f, err)
		}
		last = max(last, v)
	}
	return last, nil
}

// migrate brings the schema forward. Each step is a transaction, so that one
// that fails leaves the database as the step before it left it.
func migrate(ctx context.Context, db *sql.DB, steps fs.FS, log *slog.Logger) error {
	return forward(ctx, goose.DialectSQLite3, db, steps, goose.DefaultTablename, log)
}

// forward applies the steps that the table of versions does not have yet.
func forward(ctx context.Context, dialect goose.Dialect, db *sql.DB, steps fs.FS, versions string, log *slog.Logger) error {
	provider, err := goose.NewProvider(dialect, db, steps, goose.WithDisableGlobalRegistry(true), goose.WithTableName(versions))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	done, err := provider.Up(ctx)
	for _, step := range done {
		log.InfoContext(ctx, "store migrated", "schema", step.Source.Version, "took", step.Duration)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
