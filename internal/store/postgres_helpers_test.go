//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
)

func mustPostgres(t *testing.T, o PostgresOptions) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func engineOf(s *Store) *pgEngine { return s.engine.(*pgEngine) }

func submit(t *testing.T, s *Store, n int) {
	t.Helper()
	err := s.Transact(t.Context(), dispatcher.Scope{}, func(v dispatcher.View) (dispatcher.Write, error) {
		var w dispatcher.Write
		for range n {
			w.Items = append(w.Items, dispatcher.Item{Kind: dispatcher.Build, Repo: ref.RepoID{Owner: "acme", Name: "app"}, State: dispatcher.Ready, Submitted: v.Now})
		}
		return w, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// readError reads, through a connection that may have to be made anew.
func readError(s *Store) error {
	_, _, err := s.Head(context.Background())
	return err
}

// wantSecret wants an error to say nothing of the connection string.
func wantSecret(t *testing.T, err error, p *places) {
	t.Helper()
	for _, word := range p.server.Secrets() {
		if err != nil && strings.Contains(err.Error(), word) {
			t.Errorf("the error tells of the connection string: %v", err)
		}
	}
}

func wantSignal(t *testing.T, c <-chan struct{}, within time.Duration) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(within):
		t.Fatalf("no signal within %s", within)
	}
}

func signalled(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func drain(c <-chan struct{}) {
	for signalled(c) {
	}
}

// hold lets a lease run out.
func hold(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
