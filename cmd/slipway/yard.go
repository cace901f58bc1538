package main

import (
	"context"
	"fmt"
	"log/slog"

	"slipway/config"
	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/internal/store"
	"slipway/pools"
)

// yard is where the pools are given work; there is none without a pool config.
type yard struct {
	dispatcher *dispatcher.Dispatcher
	file       *poolsFile
}

// newYard is nil where slipway.yaml names no pool config.
func newYard(conf config.Server, st *store.Store, forges map[string]forge, metrics *server.Metrics, log *slog.Logger) *yard {
	if conf.Pools.File == "" {
		return nil
	}
	issues := map[ref.RepoID]dispatcher.Issues{}
	for _, r := range conf.Repositories {
		issues[r.Repo] = forges[r.Forge].issues
	}
	c := dispatcher.Config{
		Store: st, Changes: st, Issues: issues, Log: log, Meter: metrics.Work(),
		Lease: conf.Work.Lease, Beat: conf.Work.Heartbeat, Deadline: conf.Work.Deadline, Attempts: conf.Work.Attempts,
		Serves: func(id ref.RepoID) (string, bool) {
			r, ok := conf.Repository(id)
			return r.Branch, ok
		},
		Login: pools.Address.String,
		Pull: func(ctx context.Context, id ref.PullID) (gate.PullRequest, error) {
			r, ok := conf.Repository(id.Repo)
			if !ok {
				return gate.PullRequest{}, fault.AsPermanent(fmt.Errorf("%s is not served here", id.Repo))
			}
			return forges[r.Forge].Pull(ctx, id)
		},
		Unfinished: func(ctx context.Context) ([]ref.PullID, error) { return unfinished(ctx, st) },
	}
	for _, l := range conf.Work.Labels {
		level, _ := dispatcher.ParseLevel(l.Priority) // the configuration was checked
		c.Labels = append(c.Labels, dispatcher.LabelRule{Label: l.Label, Selector: l.Selector, Shape: l.Shape, Level: level})
	}
	if r := conf.Work.Reviews; r != nil {
		level, _ := dispatcher.ParseLevel(r.Priority) // the configuration was checked
		c.Reviews = dispatcher.ReviewRule{On: true, Selector: r.Selector, Level: level}
	}
	d := dispatcher.New(c)
	return &yard{dispatcher: d, file: newPoolsFile(poolsWiring{
		path: conf.Pools.File, sets: d, also: conf.Disagreements, count: metrics.Work().PoolFaults, log: log,
		note: func(ctx context.Context, e journal.Entry) error {
			return st.Commit(ctx, reconcile.Write{Journal: []journal.Entry{e}})
		},
	})}
}

func unfinished(ctx context.Context, st *store.Store) ([]ref.PullID, error) {
	open, err := st.Changes(ctx, reconcile.Filter{Unfinished: true})
	if err != nil {
		return nil, err
	}
	ids := make([]ref.PullID, 0, len(open))
	for _, c := range open {
		ids = append(ids, c.ID)
	}
	return ids, nil
}

// tell lets the engine ask about crews, and tell of what it sees.
func (y *yard) tell(c *reconcile.Config) {
	if y == nil {
		return
	}
	// A hint is dropped only where the process ends; a resync repeats it.
	hint := context.Background()
	c.Crews = y.dispatcher
	c.Changed = func(id ref.PullID) { _ = y.dispatcher.Look(hint, id) }
	c.IssuesChanged = func(repo ref.RepoID) { _ = y.dispatcher.Issue(hint, repo) }
}

// serve has the API speak to the dispatcher.
func (y *yard) serve(c *server.Config, st *store.Store) {
	if y == nil {
		return
	}
	c.Work, c.Pools, c.Credential = y.dispatcher, y.file, st.Credential
}

// run gives work to the pools until ctx ends.
func (y *yard) run(ctx context.Context, begin func(func() error)) {
	if y == nil {
		return
	}
	begin(func() error { return y.dispatcher.Run(ctx) })
	begin(func() error { return y.file.Watch(ctx) })
}

// findings are what is wrong with the pool config.
func (y *yard) findings() []reconcile.Finding {
	if y == nil {
		return nil
	}
	return y.file.Findings()
}
