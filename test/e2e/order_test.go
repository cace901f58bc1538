package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/test/servers/gitea"
)

// TestTwoMergesWithinASecond holds that versions follow the branch (R5) and
// that a target never moves backwards (D7), however close two merges are.
func TestTwoMergesWithinASecond(t *testing.T) {
	p := open(t, "twins", wish{})
	ids := []ref.PullID{p.propose("left", "feat: left"), p.propose("right", "feat: right")}
	for _, id := range ids {
		p.wait(id, changeLimit, "to lack nothing but approvals", only(gate.CodeApprovals))
	}
	p.approveTogether(ids)
	changes := map[ref.SHA]change.Change{}
	for _, id := range ids {
		c := p.wait(id, changeLimit, "its end", func(c change.Change) error {
			if c.Outcome == change.Open {
				return errors.New(standing(c))
			}
			return nil
		})
		changes[c.MergeSHA] = c
		p.shippedOnce(c)
	}

	merges := p.forge.noted(func(c call) bool { return isMerge(c.Method, c.Path) && c.Status/100 == 2 })
	if len(merges) != 2 {
		t.Fatalf("%d merges", len(merges))
	}
	for _, m := range p.forge.noted(func(c call) bool { return isMerge(c.Method, c.Path) }) {
		t.Logf("%s %s %d", m.At.Format("05.000"), m.Path, m.Status)
	}
	apart := merges[1].At.Sub(merges[0].At)
	t.Logf("merged %s apart", apart.Round(time.Millisecond))

	line := p.branch() // newest first
	newer, older := changes[ref.SHA(line[0].SHA)], changes[ref.SHA(line[1].SHA)]
	if newer.ID.IsZero() || older.ID.IsZero() {
		t.Fatalf("the branch ends %s, %s, which are not the two merges", line[1].SHA, line[0].SHA)
	}
	if newer.Position != older.Position+1 || !semver.MustParse(newer.Version).GreaterThan(semver.MustParse(older.Version)) {
		t.Errorf("%s at %d is followed by %s at %d", older.Version, older.Position, newer.Version, newer.Position)
	}
	if newer.Outcome != change.OutcomeSimulated {
		t.Errorf("the newer ended %q", newer.Outcome)
	}
	if older.Outcome != change.OutcomeSimulated && older.Outcome != change.OutcomeSupersede {
		t.Errorf("the older ended %q", older.Outcome)
	}
	if merges[1].At.After(older.Ended) {
		t.Errorf("the older had ended at %s, before the newer was merged at %s, which is no race", older.Ended, merges[1].At)
	}
	p.runs(newer)
	want := []string{p.pinOf(older), p.pinOf(newer)}
	if older.Outcome == change.OutcomeSupersede {
		want = want[1:]
	}
	if pins := p.pins(); !slices.Equal(pins[len(pins)-len(want):], want) || slices.Contains(pins[:len(pins)-len(want)], want[0]) {
		t.Errorf("pinned one after another: %q, want %q at the end", pins, want)
	}
}

// approveTogether has both reviewers approve all of them at once.
func (p *place) approveTogether(ids []ref.PullID) {
	p.Helper()
	var all sync.WaitGroup
	failed := make(chan error, len(ids)*len(p.stage.Reviewers))
	for _, id := range ids {
		for _, r := range p.stage.Reviewers {
			all.Go(func() { failed <- p.project.Approve(p.Context(), id, []gitea.Account{r}...) })
		}
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			p.Fatal(err)
		}
	}
}

// only is satisfied when a change waits for exactly these reasons.
func only(codes ...gate.Code) func(change.Change) error {
	return func(c change.Change) error {
		var have []gate.Code
		for _, r := range c.Verdict {
			have = append(have, r.Code)
		}
		if !slices.Equal(have, codes) {
			return fmt.Errorf("it waits for %q, not %q: %s", have, codes, standing(c))
		}
		return nil
	}
}

// TestAPersonsRollbackSticks holds D4: what a person left stays left, and
// nothing is deployed until somebody says so.
func TestAPersonsRollbackSticks(t *testing.T) {
	t.Parallel()
	p := open(t, "sticky", wish{})
	first, second := p.ship("one", "feat: one"), p.ship("two", "feat: two")
	p.runs(second)
	target := p.project.Target().String()
	p.command("deploy", "rollback", target).wants(t, 2, "--reason")
	p.command("deploy", "rollback", target, "--reason", "errors at checkout").wants(t, 0, "accepted")
	p.until(lookLimit, "the rollback", func(context.Context) error {
		if got, want := p.image(), p.pinOf(first); got != want {
			return fmt.Errorf("the Deployment holds %s, want %s", got, want)
		}
		return nil
	})
	p.command("deploy", "status", target).wants(t, 0, "held", "errors at checkout", "barred", second.Version)

	third := p.propose("three", "fix: three")
	p.approve(third)
	p.wait(third, changeLimit, "to be ready and held", func(c change.Change) error {
		if c.Gate(change.Image).State != change.Passed || !strings.Contains(c.Gate(change.Rollout).Reason, "held by operator") {
			return errors.New(standing(c))
		}
		return nil
	})
	p.runs(first)

	// Resumed, it still must not bring back what the person left.
	p.command("deploy", "resume", target, "--reason", "mended").wants(t, 0, "accepted")
	p.wait(third, lookLimit, "to be kept for what it contains", func(c change.Change) error {
		if reason := c.Gate(change.Rollout).Reason; !strings.Contains(reason, "barred") || !strings.Contains(reason, second.Version) {
			return errors.New(standing(c))
		}
		return nil
	})
	p.runs(first)
	p.command("deploy", "resume", target, "--allow", "v9.9.9", "--reason", "no such").wants(t, 1, "v9.9.9 is not barred")
	p.command("deploy", "resume", target, "--allow", second.Version, "--reason", "it was the database").wants(t, 0, "accepted")
	c := p.ended(third, change.OutcomeSimulated)
	p.runs(c)
	want := []string{p.pinOf(first), p.pinOf(second), p.pinOf(first), p.pinOf(c)}
	if pins := p.pins(); !slices.Equal(pins[len(pins)-len(want):], want) {
		t.Errorf("pinned one after another: %q, want %q at the end", pins, want)
	}
	p.command("deploy", "hold", target, "--reason", "migration under way").wants(t, 0, "accepted")
	p.until(lookLimit, "the hold", func(ctx context.Context) error {
		if held, err := p.target(ctx); err != nil || held.Hold == nil || !strings.Contains(held.Reason, "migration under way") {
			return fmt.Errorf("%+v: %w", held.Hold, err)
		}
		return nil
	})
	p.command("journal", "list", "--subject", target).wants(t, 0, "order.rollback", "order.resume", "order.hold", "operator", "errors at checkout", "it was the database")
}
