//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"slipway/config"
	"slipway/internal/store/storetest"
	"slipway/test/servers/postgres"
)

// TestPostgres holds the store in PostgreSQL to all that the embedded one is
// held to, and to what only several servers on one schema can break. It is one
// test because it has one server.
func TestPostgres(t *testing.T) {
	places := &places{server: postgres.ForTest(t)}
	t.Run("conformance", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Open {
			dsn := places.place(t)
			return func(now func() time.Time) (storetest.Store, error) {
				return OpenPostgres(t.Context(), PostgresOptions{DSN: dsn, Now: now})
			}
		})
	})
	t.Run("opening", func(t *testing.T) { testOpening(t, places) })
	t.Run("several servers", func(t *testing.T) { testServers(t, places) })
}

// places are schemas with empty tables. To make the tables costs more than most
// tests do in them, so that those of a test that has ended serve the next one.
type places struct {
	server *postgres.Server
	mu     sync.Mutex
	free   []string
}

// place is the connection string of an empty store.
func (p *places) place(t testing.TB) config.Secret {
	t.Helper()
	dsn, found := p.used()
	if !found {
		var err error
		if dsn, err = p.server.Place(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := p.empty(context.WithoutCancel(t.Context()), dsn); err != nil {
			t.Errorf("empty the tables for the next test: %v", err)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free = append(p.free, dsn)
	})
	return config.NewSecret(dsn)
}

func (p *places) used() (dsn string, found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return "", false
	}
	dsn = p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return dsn, true
}

// empty takes everything out of a store, as only somebody can who may do
// anything: the journal keeps its entries from all others.
func (p *places) empty(ctx context.Context, dsn string) error {
	return p.server.Do(ctx, "SET session_replication_role = replica", "SET search_path = "+schemaOf(dsn), `DO $$
		DECLARE name text;
		BEGIN
			FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> '`+versionTable+`' LOOP
				EXECUTE 'DELETE FROM ' || quote_ident(name);
			END LOOP;
		END $$`)
}

// schemaOf is the schema of a connection string that the server gave.
func schemaOf(dsn string) string {
	c, err := parse(config.NewSecret(dsn))
	if err != nil {
		return ""
	}
	return c.RuntimeParams["search_path"]
}
