package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"slipway/config"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/journal"
	"slipway/internal/kube"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/internal/store"
)

// wired is everything that serve runs.
type wired struct {
	engine   *reconcile.Engine
	server   *server.Server
	store    *store.Store
	clusters map[string]*kube.Cluster
	survey   survey
	metrics  *server.Metrics
	canaries flock
	yard     *yard // nil without pools
}

func wire(conf config.Server, st *store.Store, metrics *server.Metrics, log *slog.Logger) (*wired, error) {
	w := &wired{store: st, metrics: metrics, clusters: map[string]*kube.Cluster{}}
	forges, err := forges(conf, metrics, log)
	if err != nil {
		return nil, err
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
		Dir: filepath.Join(conf.Store.Path, "mirrors"), Remote: remotes(conf, forges), Author: authors(conf, forges),
	})
	if err != nil {
		return nil, err
	}
	builder, err := images(conf, mirrors)
	if err != nil {
		return nil, err
	}
	sign, err := signer(conf)
	if err != nil {
		return nil, err
	}
	w.yard = newYard(conf, st, forges, metrics, log)
	engine := reconcile.Config{
		Store: st, Queue: st, Git: mirrors, Images: builder, Clusters: clusters, Sign: sign,
		Repositories: repositories(conf, forges), Policy: policy(conf), Now: time.Now, Log: log, Meter: metrics,
		Active: conf.Resync.Active, Idle: conf.Resync.Idle, Rate: float64(conf.Resync.Rate), Workers: 8, Lease: 10 * time.Minute,
		Sticky: conf.Comments.Sticky, CommentBudget: conf.Comments.Budget,
	}
	w.yard.tell(&engine)
	w.engine = reconcile.New(engine)
	w.survey = ownSurvey(conf, forges, w.clusters)
	if w.canaries, err = aviaries(conf, w, log); err != nil {
		return nil, err
	}
	hooks := map[string]server.Hook{}
	for name, f := range forges {
		hooks[name] = f.hook
	}
	served := server.Config{
		Hooks: hooks, Engine: w.engine, Reader: st, Tokens: tokens(conf),
		Canaries: w.canaries, Doctor: w.examine, Ready: (&fresh{keep: 3 * time.Second, now: time.Now, ask: w.reachable}).answer,
		Metrics: metrics.Handler(), Count: metrics.Hook, Refused: refused(st), Now: time.Now, Log: log,
	}
	w.yard.serve(&served, st)
	w.server = server.New(served)
	return w, nil
}

func images(conf config.Server, mirrors *git.Mirrors) (*image.Builder, error) {
	registries := map[string]image.Auth{}
	for _, r := range conf.Registries {
		registries[r.Host] = image.Auth{Username: r.Username, Password: r.Password.Reveal(), Insecure: r.Insecure}
	}
	return image.New(image.Config{
		Dir: filepath.Join(conf.Store.Path, "images"), Exporter: mirrors, Registries: registries,
		GoProxy: conf.Build.GoProxy, GoSumDB: conf.Build.GoSumDB, GoPrivate: conf.Build.GoPrivate,
		GoCache: conf.Build.GoCache, GoModCache: conf.Build.GoModCache,
	})
}

// signer seals merge receipts with the journal's key.
func signer(conf config.Server) (func(change.Receipt) (change.Receipt, error), error) {
	key, err := store.JournalKey(filepath.Join(conf.Store.Path, "journal.key"), conf.JournalKey.Reveal())
	if err != nil {
		return nil, err
	}
	return func(r change.Receipt) (change.Receipt, error) {
		signed := change.SignReceipt(r, key)
		if signed.Signature == "" {
			return r, errors.New("the receipt cannot be signed")
		}
		return signed, nil
	}, nil
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

func tokens(conf config.Server) []server.Token {
	var out []server.Token
	for _, t := range conf.Tokens {
		actor := authz.Actor{Name: t.Name, Roles: []authz.Role{t.Role}, Scopes: t.Scopes, Expires: t.Expires}
		out = append(out, server.NewToken(actor, t.Secret.Reveal()))
	}
	return out
}

// refused journals what a token may not do, as the engine does with the orders
// that it refuses.
func refused(st *store.Store) func(ctx context.Context, token string, verb authz.Verb, subject, why string) error {
	return func(ctx context.Context, token string, verb authz.Verb, subject, why string) error {
		return st.Commit(ctx, reconcile.Write{Journal: []journal.Entry{{
			At: time.Now(), Actor: token, Action: "refused." + string(verb), Subject: subject, Reason: why,
		}}})
	}
}
