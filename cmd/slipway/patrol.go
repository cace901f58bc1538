package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"

	"slipway/config"
	"slipway/internal/journal"
	"slipway/internal/kube"
	"slipway/internal/onboard"
	"slipway/internal/reconcile"
)

// roundLimit bounds one examination on the schedule.
const roundLimit = 5 * time.Minute

// patrol is the examination at the start and on the schedule.
func (w *wired) patrol(conf config.Server, log *slog.Logger) reconcile.Patrol {
	return reconcile.Patrol{
		Ask: w.examine, Next: schedule(conf.Examine.Schedule), Limit: roundLimit,
		Record: func(ctx context.Context, entries []journal.Entry) error {
			return w.store.Commit(ctx, reconcile.Write{Journal: entries})
		},
		Found: w.metrics.Found, Alarmed: w.metrics.Alarmed, Now: time.Now, Log: log,
	}
}

// schedule is when a cron expression, in UTC, comes next; never for none. The
// configuration was checked: one that cannot be read never comes.
func schedule(expression string) func(time.Time) time.Time {
	s, err := cron.ParseStandard(expression)
	if err != nil {
		return func(time.Time) time.Time { return time.Time{} }
	}
	return func(after time.Time) time.Time { return s.Next(after.UTC()) }
}

// ownSurvey looks at every repository with Slipway's own accounts.
func ownSurvey(conf config.Server, forges map[string]forge, clusters map[string]*kube.Cluster) survey {
	s := survey{conf: conf, policy: policy(conf), forges: map[string]surveyed{}, grounds: map[string]onboard.Ground{}}
	for name, f := range forges {
		s.forges[name] = surveyed{f, f.guard}
	}
	for name, cluster := range clusters {
		s.grounds[name] = kube.Ground{Cluster: cluster}
	}
	s.subjects = func(context.Context, string) string { return "" } // what Slipway lacks in a cluster the engine asks itself
	s.pushes = func(ctx context.Context, r config.Repository) onboard.Found[bool] {
		f, _ := conf.Forge(r.Forge)
		return pusher(conf, f)(ctx, r)
	}
	return s
}
