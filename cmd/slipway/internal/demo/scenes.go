package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/test/stage"
)

// scene is one change as it ended, and what did not come out as it should.
type scene struct {
	change change.Change
	faults []string
}

// patience is how long a scene may take.
const patience = 5 * time.Minute

const goodGreeting = `package main

func greeting(name string) string {
	if name == "" {
		return "Hello!"
	}
	return "Hello, " + name + "!"
}

func prepare() {}
`

// badGreeting passes its tests and cannot start: what it needs is not there.
const badGreeting = `package main

import (
	"log"
	"os"
)

func greeting(name string) string {
	if name == "" {
		return "Good day!"
	}
	return "Good day, " + name + "!"
}

func prepare() {
	if os.Getenv("GREETINGS_FILE") == "" {
		log.Fatal("GREETINGS_FILE is not set")
	}
}
`

// ship plays a good change.
func (d *demo) ship(ctx context.Context) (scene, error) {
	d.shown.say("A good change: alice proposes to greet people by name.")
	c, err := d.follow(ctx, stage.Proposal{
		Branch: "greet-by-name", Title: "feat: greet people by name", Files: map[string]string{"greeting.go": goodGreeting},
	})
	if err != nil {
		return scene{change: c}, err
	}
	want := states(change.Passed)
	outcome := change.OutcomeHealthy
	if d.stage.Simulated() {
		want[change.Rollout], want[change.Health] = change.Simulated, change.Simulated
		outcome = change.OutcomeSimulated
	}
	return scene{c, judge(c, outcome, want)}, nil
}

// rollback plays a change that crashes, while a client keeps asking.
func (d *demo) rollback(ctx context.Context) (scene, error) {
	d.shown.say("A bad change: it passes its tests, and crashes where it runs.")
	if !d.stage.Simulated() {
		d.shown.say("A client keeps asking meanwhile.")
	}
	before, err := d.project.Image(ctx)
	if err != nil {
		return scene{}, err
	}
	var stop func() Traffic
	if !d.stage.Simulated() {
		stop = d.ask(ctx)
	}
	c, err := d.follow(ctx, stage.Proposal{
		Branch: "greetings-file", Title: "feat: read the greetings from a file", Files: map[string]string{"greeting.go": badGreeting},
	})
	if stop != nil {
		t := stop()
		d.traffic = &t
	}
	if err != nil {
		return scene{change: c}, err
	}
	want := states(change.Passed)
	want[change.Rollout], want[change.Health] = change.Failed, change.Failed
	faults := judge(c, change.OutcomeRolled, want)
	if c.Revert == nil || c.Revert.Pull.IsZero() {
		faults = append(faults, fmt.Sprintf("%s: there is no pull request that reverts it", c.ID))
	}
	after, err := d.project.Image(ctx)
	if err != nil {
		return scene{c, faults}, err
	}
	if after != before {
		faults = append(faults, fmt.Sprintf("%s: after the rollback %s runs, not %s", c.ID, after, before))
	}
	if t := d.traffic; t != nil {
		d.shown.say(fmt.Sprintf("The old version answered %d requests through it; %d failed.", t.Served, t.Failed))
		if t.Served == 0 || t.Failed > 0 {
			faults = append(faults, fmt.Sprintf("through the rollback %d requests were served and %d failed", t.Served, t.Failed))
		}
	}
	return scene{c, faults}, nil
}

// follow proposes a change, has both reviewers approve it, and watches it to
// its end. It clicks nothing else.
func (d *demo) follow(ctx context.Context, p stage.Proposal) (change.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id, err := d.project.Propose(ctx, p)
	if err != nil {
		return change.Change{}, err
	}
	if err := d.project.Approve(ctx, id, d.stage.Reviewers...); err != nil {
		return change.Change{}, err
	}
	c, err := d.watch(ctx, id)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%s did not end within %s", id, patience)
	}
	return c, err
}

// watch shows the board until the change has ended.
func (d *demo) watch(ctx context.Context, id ref.PullID) (change.Change, error) {
	defer d.shown.rest()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last change.Change
	for {
		changes, err := d.shown.draw()
		if err != nil {
			return last, err
		}
		for _, c := range changes {
			if c.ID == id {
				last = c
			}
		}
		if last.Outcome != change.Open {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-d.slipway.Done():
			return last, d.slipway.Ended()
		case <-tick.C:
		}
	}
}

// Traffic is what a client got that asked all the time.
type Traffic struct {
	Served int64 `json:"served"`
	Failed int64 `json:"failed"`
	// First is the first failure, if any.
	First string `json:"first_failure,omitempty"`
}

// ask keeps asking the service until stop, which returns what it got.
func (d *demo) ask(ctx context.Context) (stop func() Traffic) {
	ctx, cancel := context.WithCancel(ctx)
	var served, failed atomic.Int64
	var first atomic.Value
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			answer, err := d.askOnce(ctx)
			if err == nil && !strings.HasPrefix(answer, "Hello") {
				err = fmt.Errorf("it answered %q", answer)
			}
			if err == nil {
				served.Add(1)
				continue
			}
			failed.Add(1)
			first.CompareAndSwap(nil, err.Error())
		}
	}()
	return func() Traffic {
		cancel()
		<-done
		t := Traffic{Served: served.Load(), Failed: failed.Load()}
		t.First, _ = first.Load().(string)
		return t
	}
}

// askOnce finishes a request that was begun, so that the end of asking is not
// counted as a failure of the service.
func (d *demo) askOnce(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return d.project.Ask(ctx, "/")
}

func states(s change.GateState) map[change.GateName]change.GateState {
	m := map[change.GateName]change.GateState{}
	for _, n := range change.GateNames() {
		m[n] = s
	}
	return m
}

func judge(c change.Change, outcome change.Outcome, want map[change.GateName]change.GateState) []string {
	var faults []string
	if c.Outcome != outcome {
		faults = append(faults, fmt.Sprintf("%s ended %q, not %q", c.ID, c.Outcome, outcome))
	}
	for _, g := range c.Gates {
		if g.State != want[g.Name] {
			faults = append(faults, fmt.Sprintf("%s: gate %s is %s, not %s (%s)", c.ID, g.Name, g.State, want[g.Name], g.Reason))
		}
	}
	return faults
}
