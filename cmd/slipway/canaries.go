package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"slipway/config"
	"slipway/gate"
	"slipway/internal/canary"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/forge/gitea"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

// canaryPatience is how long a canary may take to be judged, CI included.
const canaryPatience = 10 * time.Minute

// aviary lets out the canaries of one repository, on a schedule and when asked.
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

	// asked takes the name of who wants a round; busy lets nobody wait for it.
	asked chan string
	mutex sync.Mutex
	state server.Aviary
}

// aviaries are those that the configuration asks for.
func aviaries(conf config.Server, w *wired, log *slog.Logger) (flock, error) {
	var out flock
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
		a := &aviary{Canary: c, base: r.Branch, schedule: schedule, engine: w.engine, reader: w.store, metrics: w.metrics, keep: w.store.Commit, log: log,
			asked: make(chan string, 1), state: server.Aviary{Repo: c.Repo}}
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

// run takes back what a killed server left behind, and then makes a round
// whenever the schedule says or somebody asks, until ctx ends.
func (a *aviary) run(ctx context.Context) {
	if err := canary.TakeBack(ctx, a.author, a.Repo); err != nil && ctx.Err() == nil {
		a.log.Warn("canaries", "error", err) // the next round tries again
	}
	for ctx.Err() == nil {
		next, stop := a.wake(time.Now())
		select {
		case <-ctx.Done():
		case <-next:
			if a.busy(true) {
				a.round(ctx, "slipway")
			}
		case by := <-a.asked:
			a.round(ctx, by)
		}
		stop()
	}
}

// wake comes when the schedule says; a schedule may name a day that never comes.
func (a *aviary) wake(now time.Time) (<-chan time.Time, func()) {
	at := a.schedule.Next(now.UTC())
	a.mutex.Lock()
	a.state.Next = at
	a.mutex.Unlock()
	if at.IsZero() {
		return nil, func() {}
	}
	t := time.NewTimer(at.Sub(now))
	return t.C, func() { t.Stop() }
}

// busy marks the beginning or the end of a round, and says whether it was not
// so already.
func (a *aviary) busy(now bool) (changed bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	changed = a.state.Running != now
	a.state.Running = now
	return changed
}

// shown is a copy of its state.
func (a *aviary) shown() server.Aviary {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.state
}

// begin has a round begin for somebody.
func (a *aviary) begin(ctx context.Context, by string) error {
	if !a.busy(true) {
		return fault.AsPermanent(fmt.Errorf("a round is under way in %s already", a.Repo))
	}
	err := a.keep(ctx, reconcile.Write{Journal: []journal.Entry{{At: time.Now(), Actor: by, Action: "order.canaries", Subject: a.Repo.String()}}})
	if err != nil {
		a.busy(false)
		return err
	}
	a.asked <- by // there is room: whoever is not busy has taken the last one
	return nil
}

// flock is all of them, as the server serves them.
type flock []*aviary

// Aviaries lists them.
func (f flock) Aviaries() []server.Aviary {
	var out []server.Aviary
	for _, a := range f {
		out = append(out, a.shown())
	}
	return out
}

// Begin has a round begin in one repository.
func (f flock) Begin(ctx context.Context, repo ref.RepoID, by string) (server.Aviary, error) {
	i := slices.IndexFunc(f, func(a *aviary) bool { return a.Repo == repo })
	if i < 0 {
		return server.Aviary{}, fault.AsPermanent(fmt.Errorf("no canaries are let out in %s: name it under canaries in slipway.yaml", repo))
	}
	before := f[i].shown()
	if err := f[i].begin(ctx, by); err != nil {
		return server.Aviary{}, err
	}
	before.Running = true
	return before, nil
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
// journal. One that is cut off has found nothing; the next start takes back
// what it could not.
func (a *aviary) round(ctx context.Context, by string) {
	defer a.busy(false)
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
	if ctx.Err() != nil {
		a.log.Info("canaries cut off", "repository", a.Repo, "error", err)
		return
	}
	if err != nil {
		report.Findings = append(report.Findings, canary.Finding{Says: "the round could not be made: " + err.Error()})
	}
	a.tell(ctx, report, by)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.state.Last, a.state.Rounds = &report, a.state.Rounds+1
}

func (a *aviary) judged(ctx context.Context, id ref.PullID) (canary.Judged, error) {
	c, found, err := a.reader.Change(ctx, id)
	if err != nil || !found {
		return canary.Judged{}, err
	}
	verdict := c.Gate(change.Reviewed).Evidence
	j := canary.Judged{Head: verdict.Head, Approvals: len(verdict.Approvals), Merged: c.MergeSHA != ""}
	for _, r := range c.Verdict {
		j.Reasons = append(j.Reasons, r.Code)
	}
	return j, nil
}

func (a *aviary) tell(ctx context.Context, report canary.Report, by string) {
	escaped := 0
	for _, f := range report.Findings {
		if f.Escaped {
			escaped++
		}
		a.log.Error("canary", "repository", a.Repo, "rule", f.Rule, "pull_request", f.Pull, "escaped", f.Escaped, "says", f.Says)
		a.metrics.Alarmed("canary")
	}
	for _, f := range report.Untried {
		a.log.Warn("canary not tried", "repository", a.Repo, "rule", f.Rule, "says", f.Says)
	}
	a.metrics.Canaries(a.Repo.String(), len(report.Held), len(report.Untried), len(report.Findings), escaped)
	a.log.Info("canaries", "repository", a.Repo, "held", len(report.Held), "untried", len(report.Untried), "findings", len(report.Findings), "took", report.Ended.Sub(report.Began).String())
	body, err := json.Marshal(report)
	if err != nil {
		a.log.Error("canaries", "repository", a.Repo, "error", err)
		return
	}
	action, reason := "canary.round", fmt.Sprintf("%d held", len(report.Held))
	if len(report.Findings) > 0 {
		action, reason = "canary.alarm", inALine(report.Findings)
	}
	if len(report.Untried) > 0 {
		reason += "; not tried: " + inALine(report.Untried)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = a.keep(ctx, reconcile.Write{Journal: []journal.Entry{{
		At: time.Now(), Actor: by, Action: action, Subject: a.Repo.String(), Reason: reason, Data: map[string]string{"report": string(body)},
	}}})
	if err != nil {
		a.log.Error("journal the canaries", "repository", a.Repo, "error", err)
	}
}

// inALine is what was found, for the journal.
func inALine(list []canary.Finding) string {
	var all []string
	for _, f := range list {
		all = append(all, strings.TrimPrefix(f.Rule+": "+f.Says, ": "))
	}
	return strings.Join(all, "; ")
}
