package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"slipway/dispatcher"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/pools"
)

// board is a forge's issues, in memory: they can be opened, labelled and closed.
type board struct {
	mu       sync.Mutex
	issues   map[int64]dispatcher.Issue // the open ones
	comments map[int64][]string
	down     bool
	asked    int
}

func (b *board) Labelled(_ context.Context, _ ref.RepoID, label string) (out []dispatcher.Issue, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.down {
		return nil, errors.New("the forge does not answer")
	}
	for _, i := range b.issues {
		if slices.Contains(i.Labels, label) {
			out = append(out, i)
		}
	}
	return out, nil
}

func (b *board) Settle(_ context.Context, _ ref.RepoID, number int64, comment string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, open := b.issues[number]; open {
		delete(b.issues, number)
		b.comments[number] = append(b.comments[number], comment)
	}
	return nil
}

func (b *board) open(number int64, labels ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.issues[number] = dispatcher.Issue{Number: number, Title: "Mend\nthe pump", Body: "It leaks.", Author: "carol", LabelledBy: "olga", Labels: labels}
}

func (b *board) said(number int64) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.comments[number])
}

func labelled(b *board) func(*dispatcher.Config) {
	return func(c *dispatcher.Config) {
		c.Issues = map[ref.RepoID]dispatcher.Issues{app: b}
		c.Labels = []dispatcher.LabelRule{
			{Label: "urgent", Selector: pools.Selector{Role: "builder"}, Level: dispatcher.Highest},
			{Label: "build", Selector: pools.Selector{Role: "builder", Tier: "lite"}, Level: dispatcher.Normal},
		}
	}
}

func TestAnIssueWithALabelBecomesAnItemOnce(t *testing.T) {
	b := &board{issues: map[int64]dispatcher.Issue{}, comments: map[int64][]string{}}
	d := newDock(t, labelled(b))
	issues := func() {
		t.Helper()
		for range 2 {
			if err := d.IssueNow(t.Context(), app); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.open(3, "build", "urgent")
	b.open(4, "question")
	b.open(6, "build")
	issues()
	all := d.items(dispatcher.Filter{})
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	if i := all[0]; i.Key != "issue acme/app#3" || i.Title != "Mend the pump" || i.Spec != "It leaks." || i.Submitter != "olga" || i.Level != dispatcher.Highest || i.Base != "main" {
		t.Errorf("of two labels the first rule counts: %+v", i)
	}

	// One that nobody began is withdrawn with its label, and comes back with it.
	b.open(6)
	b.down = true
	if err := d.IssueNow(t.Context(), app); err == nil {
		t.Error("a forge that does not answer is no error")
	}
	if i := d.item(all[1].ID); i.State != dispatcher.Ready {
		t.Errorf("what was not read withdraws nothing: %+v", i)
	}
	b.down = false
	issues()
	if i := d.item(all[1].ID); i.State != dispatcher.Cancelled || !strings.Contains(i.Reason, "acme/app#6") {
		t.Errorf("%+v", i)
	}
	b.open(6, "build")
	issues()
	if i := d.item(all[1].ID); i.State != dispatcher.Ready {
		t.Errorf("%+v", i)
	}
	if err := d.Cancel(t.Context(), "olga", all[1].ID, "too soon"); err != nil {
		t.Fatal(err)
	}
	issues()
	if i := d.item(all[1].ID); i.State != dispatcher.Cancelled {
		t.Errorf("what a person withdrew stays so: %+v", i)
	}

	// One that somebody began goes on, whatever becomes of the issue.
	g := d.claim("builder-lite-0")
	b.open(3)
	issues()
	if i := d.item(all[0].ID); g.Item != i.ID || i.State != dispatcher.Working {
		t.Errorf("%+v", i)
	}
	b.open(3, "build")

	d.finish(g, pull, head(1), "")
	d.judged(change.Change{Head: head(1), Author: "builder-lite-0", MergeSHA: head(7), Outcome: change.OutcomeHealthy}, 0)
	if err := d.LookNow(t.Context(), pull); err != nil {
		t.Fatal(err)
	}
	d.until("the issue is told", func() bool { return len(b.said(3)) == 1 })
	if said := b.said(3)[0]; !strings.Contains(said, "acme/app#5") || !strings.Contains(said, "healthy") || !strings.Contains(said, "builder-lite-0") {
		t.Errorf("it says %q", said)
	}
	d.until("that is remembered", func() bool { return !d.item(all[0].ID).Told.IsZero() })
	b.open(3, "build")
	issues()
	if said := b.said(3); len(said) != 1 {
		t.Errorf("one that somebody opens again stays open: %q", said)
	}
}

func TestAnIssueThatCannotBeAnItemIsRefusedOnce(t *testing.T) {
	b := &board{issues: map[int64]dispatcher.Issue{}, comments: map[int64][]string{}}
	d := newDock(t, labelled(b), func(c *dispatcher.Config) { c.Labels[0].Selector.Tier = "heavy" })
	d.until("the look at the start is over", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.asked == 2 })
	b.open(3, "urgent")
	b.open(4, "build")
	if err := d.IssueNow(t.Context(), app); err == nil || !strings.Contains(err.Error(), "heavy") {
		t.Fatalf("%v", err)
	}
	if err := d.IssueNow(t.Context(), app); err != nil {
		t.Errorf("it is not refused again and again: %v", err)
	}
	if told := d.told("refused.work.submit"); len(told) != 1 {
		t.Errorf("%+v", told)
	}
	if all := d.items(dispatcher.Filter{}); len(all) != 1 || all[0].Key != "issue acme/app#4" {
		t.Errorf("the others become items all the same: %+v", all)
	}
	s := fleet()
	s.Vocabulary.Tiers = append(s.Vocabulary.Tiers, "heavy")
	s.Pools = append(s.Pools, pools.Pool{Name: pools.PoolName{Role: "builder", Tier: "heavy"}, Replicas: 1})
	s.Replicas[at("builder-heavy-0")] = "alpha"
	if _, _, err := d.Apply(t.Context(), "olga", "file", s); err != nil {
		t.Fatal(err)
	}
	if err := d.IssueNow(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if all := d.items(dispatcher.Filter{}); len(all) != 2 {
		t.Errorf("another pool config makes it possible: %+v", all)
	}
}
