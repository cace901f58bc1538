package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"slipway/config"
	"slipway/gate"
	"slipway/internal/canary"
	"slipway/internal/forge/gitea"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

// canaryPatience is how long a canary may take to be judged, CI included.
const canaryPatience = 10 * time.Minute

// aviary lets out the canaries of one repository, on a schedule.
type aviary struct {
	config.Canary
	base     string
	schedule cron.Schedule
	author   canary.Hand
	hands    []canary.Hand

	engine  *reconcile.Engine
	reader  server.Reader
	metrics *server.Metrics
	log     *slog.Logger
	keep    func(ctx context.Context, w reconcile.Write) error
}

// aviaries are those that the configuration asks for.
func aviaries(conf config.Server, w *wired, log *slog.Logger) ([]*aviary, error) {
	var out []*aviary
	for _, c := range conf.Canaries {
		r, found := conf.Repository(c.Repo)
		f, known := conf.Forge(r.Forge)
		if !found || !known {
			return nil, usageError{fmt.Errorf("canaries: repository %s is not served here", c.Repo)}
		}
		schedule, err := cron.ParseStandard(c.Schedule)
		if err != nil {
			return nil, usageError{fmt.Errorf("canaries of %s: %w", c.Repo, err)}
		}
		a := &aviary{Canary: c, base: r.Branch, schedule: schedule, engine: w.engine, reader: w.store, metrics: w.metrics, keep: w.store.Commit, log: log}
		if a.author, err = handOf(f, c.Author); err != nil {
			return nil, err
		}
		for _, account := range c.Reviewers {
			h, err := handOf(f, account)
			if err != nil {
				return nil, err
			}
			a.hands = append(a.hands, h)
		}
		out = append(out, a)
	}
	return out, nil
}

// handOf is an account on a forge.
func handOf(f config.Forge, account config.Account) (canary.Hand, error) {
	if f.Kind != "gitea" {
		return nil, usageError{fmt.Errorf("canaries: forge %s is a %s; canaries are let out on a gitea only", f.Name, f.Kind)}
	}
	client, err := gitea.New(gitea.Config{URL: f.URL, Login: account.Login, Token: func() (string, error) { return account.Token.Reveal(), nil }})
	if err != nil {
		return nil, fmt.Errorf("canaries: the account %s: %w", account.Login, err)
	}
	return gitea.NewHand(client), nil
}

// run makes a round whenever the schedule says, until ctx ends.
func (a *aviary) run(ctx context.Context) {
	for {
		if !pause(ctx, time.Until(a.schedule.Next(time.Now()))) {
			return
		}
		a.round(ctx)
	}
}

// pause waits, and says whether it was to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// round makes one and tells what it found: to the log, the metrics and the
// journal.
func (a *aviary) round(ctx context.Context) {
	report, err := canary.Round(ctx, canary.Config{
		Repo: a.Repo, Base: a.base, Author: a.author, Reviewers: a.hands, Patience: canaryPatience, Now: time.Now,
		Policy: func(ctx context.Context) (gate.Policy, error) {
			plan, err := a.engine.InForce(ctx, a.Repo)
			return plan.Gate, err
		},
		Judged: a.judged,
		Wait: func(ctx context.Context) error {
			if !pause(ctx, 500*time.Millisecond) {
				return ctx.Err()
			}
			return nil
		},
	})
	if err != nil && ctx.Err() == nil {
		a.log.Error("canaries", "repository", a.Repo, "error", err)
		report.Findings = append(report.Findings, canary.Finding{Says: "the round could not be made: " + err.Error()})
	}
	a.tell(context.WithoutCancel(ctx), report)
}

func (a *aviary) judged(ctx context.Context, id ref.PullID) (canary.Judged, error) {
	c, found, err := a.reader.Change(ctx, id)
	if err != nil || !found {
		return canary.Judged{}, err
	}
	j := canary.Judged{Merged: c.MergeSHA != ""}
	if c.Snapshot != "" { // else it was seen, and not judged yet
		j.Head = c.Head
	}
	for _, r := range c.Verdict {
		j.Reasons = append(j.Reasons, r.Code)
	}
	return j, nil
}

func (a *aviary) tell(ctx context.Context, report canary.Report) {
	escaped := 0
	for _, f := range report.Findings {
		if f.Escaped {
			escaped++
		}
		a.log.Error("canary", "repository", a.Repo, "rule", f.Rule, "pull_request", f.Pull, "escaped", f.Escaped, "says", f.Says)
	}
	a.metrics.Canaries(a.Repo.String(), len(report.Held), len(report.Findings), escaped)
	a.log.Info("canaries", "repository", a.Repo, "held", len(report.Held), "findings", len(report.Findings), "took", report.Ended.Sub(report.Began).String())
	body, err := json.Marshal(report)
	if err != nil {
		a.log.Error("canaries", "repository", a.Repo, "error", err)
		return
	}
	action, reason := "canary.round", fmt.Sprintf("%d rules held", len(report.Held))
	if len(report.Findings) > 0 {
		var said []string
		for _, f := range report.Findings {
			said = append(said, strings.TrimPrefix(f.Rule+": "+f.Says, ": "))
		}
		action, reason = "canary.alarm", strings.Join(said, "; ")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = a.keep(ctx, reconcile.Write{Journal: []journal.Entry{{
		At: time.Now(), Actor: "slipway", Action: action, Subject: a.Repo.String(), Reason: reason, Data: map[string]string{"report": string(body)},
	}}})
	if err != nil {
		a.log.Error("journal the canaries", "repository", a.Repo, "error", err)
	}
}
