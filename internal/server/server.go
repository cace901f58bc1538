// Package server is Slipway's HTTP side: webhooks, the API of the commands, the
// worker protocol, health and metrics. It decides nothing: a webhook becomes a
// due key, an order goes to the engine or the dispatcher under the name of the
// token that gave it, and a worker's call to the dispatcher as its coordinate.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"slipway/deployer"
	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Config is what a Server serves. All fields are required but those about work
// and pools, of which there are all or none.
type Config struct {
	// Hooks are the forges that may deliver webhooks, by the name in the path.
	Hooks  map[string]Hook
	Engine Engine
	Reader Reader
	// Tokens may use the API.
	Tokens []Token
	// Doctor examines everything that Slipway depends on.
	Doctor func(ctx context.Context) []reconcile.Finding
	// Canaries are let out in the repositories that were lent for it.
	Canaries Canaries
	// Work is the dispatcher, Pools changes what its coordinates run, and
	// Credential looks up a worker's by its hash. nil: there are no pools.
	Work       Work
	Pools      Pools
	Credential func(ctx context.Context, hash string) (c dispatcher.Credential, found bool, err error)
	// Ready says what keeps the server from working now; empty is ready.
	Ready   func(ctx context.Context) []reconcile.Finding
	Metrics http.Handler
	// Count is told of each delivery: accepted, ignored, unserved, unsigned, …
	Count func(forge, result string)
	// Refused journals that a token was refused a verb on a subject, and why (A1).
	Refused func(ctx context.Context, token string, verb authz.Verb, subject, why string) error
	Now     func() time.Time
	Log     *slog.Logger
}

// Hook verifies and reads the deliveries of one forge.
type Hook interface {
	// Signed says whether a delivery carries a signature at all; without one its
	// body is not read.
	Signed(header http.Header) bool
	// Verify checks the signature over the raw body; it parses nothing.
	Verify(header http.Header, body []byte) error
	// Hint reads what a delivery speaks of; ok is false for events that say
	// nothing worth a look.
	Hint(header http.Header, body []byte) (h reconcile.Hint, ok bool, err error)
}

// Engine takes hints and orders.
type Engine interface {
	Accept(ctx context.Context, h reconcile.Hint) (served bool, err error)
	Hold(ctx context.Context, id ref.TargetID, by reconcile.Person) error
	Resume(ctx context.Context, id ref.TargetID, by reconcile.Person, allow string) error
	Rollback(ctx context.Context, id ref.TargetID, by reconcile.Person, version string) error
	TakeOver(ctx context.Context, id ref.TargetID, by reconcile.Person, seen reconcile.Offered) error
	Inspect(ctx context.Context, id ref.TargetID) (reconcile.Offered, error)
	// Order gives an order to a change; what the table does not allow this actor
	// on this change is fault.Permanent.
	Order(ctx context.Context, id ref.PullID, by authz.Actor, verb authz.Verb, args string) error
	Unfreeze(ctx context.Context, b ref.BranchID, by reconcile.Person) error
	Replay(ctx context.Context, repo ref.RepoID, policy []byte, since time.Time, limit int) (reconcile.Replay, error)
}

// Reader answers what the commands ask. A Client is one as well, so a command
// reads the same way from a server and beside its store.
type Reader interface {
	Change(ctx context.Context, id ref.PullID) (c change.Change, found bool, err error)
	Changes(ctx context.Context, f reconcile.Filter) ([]change.Change, error)
	Targets(ctx context.Context) ([]deployer.Target, error)
	Entries(ctx context.Context, after int64, limit int) ([]journal.Entry, error)
	// VerifyJournal gives the last entry that holds; a chain that is broken
	// after it is fault.Permanent.
	VerifyJournal(ctx context.Context) (seq int64, hash string, err error)
}

// Server serves until its context ends.
type Server struct {
	Config
	mux *http.ServeMux
	// reading bounds how many bodies of deliveries are in memory.
	reading  chan struct{}
	refusals refusals
	// stopping is closed when the server is to stop: what waits for work then
	// waits no longer.
	stopping chan struct{}
}

// New wires the routes.
func New(c Config) *Server {
	s := &Server{
		Config: c, mux: http.NewServeMux(), reading: make(chan struct{}, hooksAtOnce),
		refusals: refusals{told: map[asked]denial{}}, stopping: make(chan struct{}),
	}
	s.mux.HandleFunc("POST /hooks/{forge}", s.hook)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", c.Metrics)
	s.mux.HandleFunc("GET /api/v1/openapi.yaml", describe)
	s.routes()
	s.workRoutes()
	s.poolRoutes()
	s.credentialRoutes()
	s.workerRoutes()
	return s
}

// ServeHTTP makes a Server usable in any http.Server.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Serve answers on the listener until ctx ends, once, then lets the requests
// under way finish.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	telling, stopTelling := context.WithCancel(context.WithoutCancel(ctx))
	var told sync.WaitGroup
	told.Go(func() { s.tellRefusalsUntil(telling) })
	defer told.Wait() // last of all: the requests under way may be refused
	defer stopTelling()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	close(s.stopping)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := srv.Shutdown(stop)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	findings := s.Ready(ctx)
	if len(findings) > 0 {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "findings": findings})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ready"})
}
