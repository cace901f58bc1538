package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"slipway/config"
	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/forge/gitea"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/journal"
	"slipway/internal/kube"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
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
	st, err := store.Open(ctx, store.Options{Path: databaseOf(conf.Store)})
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

// wired is everything that serve runs.
type wired struct {
	engine   *reconcile.Engine
	server   *server.Server
	store    *store.Store
	clusters map[string]*kube.Cluster
	survey   survey
	metrics  *server.Metrics
}

func wire(conf config.Server, st *store.Store, metrics *server.Metrics, log *slog.Logger) (*wired, error) {
	w := &wired{store: st, metrics: metrics, clusters: map[string]*kube.Cluster{}}
	forges := map[string]*gitea.Client{}
	hooks := map[string]server.Hook{}
	for _, f := range conf.Forges {
		client, err := gitea.New(gitea.Config{
			URL: f.URL, Login: f.Login, Token: func() (string, error) { return f.Token.Reveal(), nil },
			OnCall: func(method, _ string, status int, took time.Duration) {
				metrics.Called(f.Name, method, strconv.Itoa(status), took)
			},
			OnUnread: func(err error) { log.Warn("a fact is unknown", "forge", f.Name, "error", err) },
		})
		if err != nil {
			return nil, fmt.Errorf("forge %s: %w", f.Name, err)
		}
		forges[f.Name], hooks[f.Name] = client, hook{f.WebhookSecret}
	}
	clusters := map[string]reconcile.Cluster{}
	for _, c := range conf.Clusters {
		cluster, err := kube.New(kube.Config{Name: c.Name, Kubeconfig: c.Kubeconfig, InCluster: c.InCluster, Simulated: c.Simulated, Log: log})
		if err != nil {
			return nil, usageError{fmt.Errorf("clusters in the configuration: %w", err)}
		}
		w.clusters[c.Name], clusters[c.Name] = cluster, cluster
	}
	mirrors, err := git.New(git.Config{
		Dir: filepath.Join(conf.Store.Path, "mirrors"), Remote: remotes(conf), Author: authors(conf, forges),
	})
	if err != nil {
		return nil, err
	}
	registries := map[string]image.Auth{}
	for _, r := range conf.Registries {
		registries[r.Host] = image.Auth{Username: r.Username, Password: r.Password.Reveal(), Insecure: r.Insecure}
	}
	images, err := image.New(image.Config{
		Dir: filepath.Join(conf.Store.Path, "images"), Exporter: mirrors, Registries: registries,
		GoProxy: conf.Build.GoProxy, GoSumDB: conf.Build.GoSumDB, GoPrivate: conf.Build.GoPrivate,
		GoCache: conf.Build.GoCache, GoModCache: conf.Build.GoModCache,
	})
	if err != nil {
		return nil, err
	}
	w.engine = reconcile.New(reconcile.Config{
		Store: st, Queue: st, Git: mirrors, Images: images, Clusters: clusters,
		Repositories: repositories(conf, forges), Policy: policy(conf), Now: time.Now, Log: log, Meter: metrics,
		Active: conf.Resync.Active, Idle: conf.Resync.Idle, Workers: 8, Lease: 10 * time.Minute,
	})
	w.survey = ownSurvey(conf, forges, w.clusters)
	w.server = server.New(server.Config{
		Hooks: hooks, Engine: w.engine, Reader: st, Tokens: tokens(conf),
		Doctor: w.examine, Ready: (&fresh{keep: 3 * time.Second, now: time.Now, ask: w.reachable}).answer,
		Metrics: metrics.Handler(), Count: metrics.Hook, Refused: refused(st), Log: log,
	})
	return w, nil
}

// hook is a forge's deliveries under its secret.
type hook struct{ secret config.Secret }

func (h hook) Signed(header http.Header) bool {
	return len(header.Get(gitea.SignatureHeader)) == 2*sha256.Size
}

func (h hook) Verify(header http.Header, body []byte) error {
	return gitea.Verify(h.secret.Reveal(), header, body)
}

func (h hook) Hint(header http.Header, body []byte) (reconcile.Hint, bool, error) {
	return gitea.Hint(header, body)
}

// policy reads policy files under what the server's configuration grants.
func policy(conf config.Server) func(ref.RepoID, string, []byte, bool) change.Plan {
	return func(id ref.RepoID, where string, data []byte, found bool) change.Plan {
		none, _ := config.NoPolicy(where)
		repo, served := conf.Repository(id)
		switch {
		case !served:
			return none
		case !found:
			return conf.Bind(repo, none)
		}
		plan, _ := conf.ParsePolicy(repo, where, data) // its faults stand in the plan
		return plan
	}
}

func repositories(conf config.Server, forges map[string]*gitea.Client) []reconcile.Repository {
	var out []reconcile.Repository
	for _, r := range conf.Repositories {
		f, _ := conf.Forge(r.Forge)
		registry, _ := conf.Registry(r.Registry)
		out = append(out, reconcile.Repository{
			ID: r.Repo, Branch: r.Branch, Forge: forges[r.Forge], Bot: f.Login, Image: registry.Host + "/" + r.Image,
			Source: f.URL + "/" + r.Repo.String(), Namespaces: r.Namespaces,
		})
	}
	return out
}

func remotes(conf config.Server) func(ref.RepoID) (git.Remote, error) {
	return func(id ref.RepoID) (git.Remote, error) {
		r, ok := conf.Repository(id)
		if !ok {
			return git.Remote{}, fmt.Errorf("repository %s is not served here", id)
		}
		f, _ := conf.Forge(r.Forge)
		return git.Remote{URL: f.URL + "/" + id.String() + ".git", Username: f.Login, Token: f.Token.Reveal()}, nil
	}
}

// authors has each revert written by the account that proposes it: the gate
// lets no commit through whose author the forge does not know.
func authors(conf config.Server, forges map[string]*gitea.Client) func(context.Context, ref.RepoID) (string, string, error) {
	return func(ctx context.Context, id ref.RepoID) (string, string, error) {
		r, ok := conf.Repository(id)
		if !ok {
			return "", "", fmt.Errorf("repository %s is not served here", id)
		}
		return forges[r.Forge].Self(ctx)
	}
}

func tokens(conf config.Server) []server.Token {
	var out []server.Token
	for _, t := range conf.Tokens {
		out = append(out, server.NewToken(t.Name, server.Role(t.Role), t.Secret.Reveal()))
	}
	return out
}

// refused journals what a token may not do, as the engine does with the orders
// that it refuses.
func refused(st *store.Store) func(ctx context.Context, token, action, subject string) error {
	return func(ctx context.Context, token, action, subject string) error {
		return st.Commit(ctx, reconcile.Write{Journal: []journal.Entry{{
			At: time.Now(), Actor: token, Action: "refused." + action, Subject: subject, Reason: "the token may only read",
		}}})
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
	return slices.Concat(w.storeFindings(ctx), w.engine.Examine(ctx), w.survey.findings(ctx))
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
