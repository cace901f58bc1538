package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"slipway/config"
	"slipway/deployer"
	"slipway/internal/reconcile"
	"slipway/internal/server"
	"slipway/internal/store"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the server: webhooks, the gate, releases and rollouts",
		Example: "  slipway serve --config /etc/slipway/slipway.yaml",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if path == "" {
				return usageError{errors.New("slipway serve wants --config slipway.yaml: docs/configuration.md describes it")}
			}
			conf, err := faultless(path, config.LoadServer)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), conf, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
		},
	}
	return cmd
}

// databaseOf is the file of the store.
func databaseOf(s config.Store) string { return filepath.Join(s.Path, "slipway.db") }

// openStore opens the store where slipway.yaml says it is.
func openStore(ctx context.Context, s config.Store, log *slog.Logger) (*store.Store, error) {
	if s.Postgres.Reveal() != "" {
		return store.OpenPostgres(ctx, store.PostgresOptions{DSN: s.Postgres, Folder: s.Path, Log: log})
	}
	return store.Open(ctx, store.Options{Path: databaseOf(s)})
}

// readStore opens it beside the server, for commands that only read.
func readStore(ctx context.Context, s config.Store) (*store.Reader, error) {
	if s.Postgres.Reveal() != "" {
		return store.OpenPostgresReadOnly(ctx, store.PostgresOptions{DSN: s.Postgres})
	}
	return store.OpenReadOnly(ctx, databaseOf(s))
}

// serve wires everything and runs it until ctx ends.
func serve(ctx context.Context, conf config.Server, log *slog.Logger) (err error) {
	listener, err := net.Listen("tcp", conf.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", conf.Listen, err)
	}
	defer listener.Close() // closed by the server already, but for a start that fails
	if err := os.MkdirAll(conf.Store.Path, 0o700); err != nil {
		return fmt.Errorf("make the store's folder: %w", err)
	}
	st, err := openStore(ctx, conf.Store, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := st.FreeClaims(ctx); err != nil {
		return err
	}
	metrics := server.NewMetrics()
	w, err := wire(conf, st, metrics, log)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return w.engine.Run(running) })
	group.Go(func() error { return w.server.Serve(running, listener) })
	group.Go(func() error { w.watch(running, log); return nil })
	group.Go(func() error { w.patrol(conf, log).Run(running); return nil })
	w.yard.run(running, group.Go)
	for _, a := range w.canaries {
		group.Go(func() error { a.run(running); return nil })
	}
	log.Info("serving", "address", listener.Addr().String(), "repositories", len(conf.Repositories), "version", version)
	err = ended(running, group.Wait, grace, func() {
		// A second Ctrl-C ends it at once, which costs nothing but the next start.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		log.Info("stopping", "at_most", grace.String())
	})
	if errors.Is(err, errCut) && ctx.Err() == nil {
		err = errors.Join(context.Cause(running), err) // nobody told it to stop: that is why it did
	}
	log.Info("stopped")
	return err
}

// grace is how long the looks under way may take after serve was told to stop.
const grace = 30 * time.Second

// errCut says that serve did not wait to the end. Nothing is lost by that: what
// was due stays due, and each look begins by observing what is so.
var errCut = errors.New("stopped while looks were still under way; they are taken up again at the next start")

// ended waits for the end, and once ctx has ended no longer than patience.
func ended(ctx context.Context, wait func() error, patience time.Duration, stopping func()) error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stopping()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return errCut
	}
}

// watch nudges targets as their clusters tell of changes.
func (w *wired) watch(ctx context.Context, log *slog.Logger) {
	var wg sync.WaitGroup
	for name, c := range w.clusters {
		wg.Go(func() {
			c.Watch(ctx, func() []deployer.Spec { return w.specs(ctx) }, func(namespace, deployment string) {
				if err := w.engine.Nudge(ctx, name, namespace, deployment); err != nil && ctx.Err() == nil {
					log.Warn("nudge", "cluster", name, "namespace", namespace, "deployment", deployment, "error", err)
				}
			})
		})
	}
	wg.Wait()
}

func (w *wired) specs(ctx context.Context) []deployer.Spec {
	targets, err := w.store.Targets(ctx)
	if err != nil {
		return nil // asked again soon; a watch is only a hint
	}
	var specs []deployer.Spec
	for _, t := range targets {
		specs = append(specs, t.Spec)
	}
	return specs
}

// examine asks everything that Slipway depends on, and compares how each
// repository is set up with how it should be.
func (w *wired) examine(ctx context.Context) []reconcile.Finding {
	return slices.Concat(w.storeFindings(ctx), w.yard.findings(), w.crewFindings(ctx), w.engine.Examine(ctx), w.survey.findings(ctx))
}

func (w *wired) reachable(ctx context.Context) []reconcile.Finding {
	return append(w.storeFindings(ctx), w.engine.Reachable(ctx)...)
}

func (w *wired) storeFindings(ctx context.Context) []reconcile.Finding {
	if err := w.store.Ping(ctx); err != nil {
		return []reconcile.Finding{{Area: "store", Fault: err.Error(), Mend: "is the disk full, or the file damaged?"}}
	}
	return nil
}
