package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"slipway/test/servers/postgres"
)

func TestServer(t *testing.T) {
	s := postgres.ForTest(t)
	dsn, err := s.Place(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("what is committed survives a crash", func(t *testing.T) {
		conn := connect(t, dsn)
		if _, err := conn.Exec(t.Context(), "CREATE TABLE kept (a int); INSERT INTO kept VALUES (7)"); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		if err := s.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got int
		if err := connect(t, dsn).QueryRow(t.Context(), "SELECT a FROM kept").Scan(&got); err != nil || got != 7 {
			t.Fatalf("%d: %v", got, err)
		}
	})
	t.Run("a place is empty, and a user of it sees no other", func(t *testing.T) {
		other, err := s.Place(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connect(t, other).Exec(t.Context(), "SELECT * FROM kept"); err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Fatalf("%v", err)
		}
	})
	t.Run("the user has no rights over the server", func(t *testing.T) {
		conn := connect(t, dsn)
		for _, query := range []string{"CREATE DATABASE another", "CREATE ROLE another", "COPY (SELECT 1) TO PROGRAM 'true'"} {
			if _, err := conn.Exec(t.Context(), query); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s: %v", query, err)
			}
		}
	})
	t.Run("a wrong password is refused", func(t *testing.T) {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		config.Password += "x"
		if _, err := pgx.ConnectConfig(t.Context(), config); err == nil || !strings.Contains(err.Error(), "28P01") {
			t.Fatalf("%v", err)
		}
	})
	t.Run("it writes to the disk before it says so", func(t *testing.T) {
		var said string
		if err := connect(t, dsn).QueryRow(t.Context(), "SELECT current_setting('fsync') || ' ' || current_setting('synchronous_commit')").Scan(&said); err != nil || said != "on on" {
			t.Fatalf("%s: %v", said, err)
		}
	})
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}
