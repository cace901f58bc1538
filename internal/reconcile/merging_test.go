package reconcile_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// order is a forge that notes the order of statuses and merges, and says
// whether the branch asks for the gate's status.
type order struct {
	*forge
	needed ref.Fact
	refuse error          // the first merge
	during func(n string) // is called while a merge is under way

	mu   sync.Mutex
	acts []string
}

func (f *order) note(act string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acts = append(f.acts, act)
}

func (f *order) noted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.acts)
}

func (f *order) Look(ctx context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	l, err := f.forge.Look(ctx, id, want)
	l.StatusNeeded = f.needed
	return l, err
}

func (f *order) PostStatus(ctx context.Context, repo ref.RepoID, p change.Posted) error {
	f.note("status " + string(p.State))
	return f.forge.PostStatus(ctx, repo, p)
}

func (f *order) Merge(ctx context.Context, call reconcile.MergeCall) error {
	f.note("merge")
	if f.during != nil {
		f.during("merge")
	}
	if err := f.refuse; err != nil {
		f.refuse = nil
		return err
	}
	return f.forge.Merge(ctx, call)
}

// ordered is a world whose only pull request is ready to merge.
func ordered(t *testing.T, f *order) (*world, ref.PullID) {
	w := gated(t, "ready", func(w *world, c *reconcile.Config) {
		f.forge = w.forge
		c.Repositories[0].Forge = f
	})
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	return w, id
}

func TestWhenTheStatusIsPosted(t *testing.T) {
	for name, test := range map[string]struct {
		needed ref.Fact
		refuse error
		want   []string
	}{
		"before the merge where the branch asks for it":          {needed: ref.Yes, want: []string{"status success", "merge"}},
		"before the merge where it is not known whether it does": {needed: ref.Unknown, want: []string{"status success", "merge"}},
		"after the merge where the branch does not ask for it":   {needed: ref.No, want: []string{"merge", "status success"}},
		"after a merge that was refused, and not a second time":  {needed: ref.No, refuse: fault.AsChanged(context.Canceled), want: []string{"merge", "status success", "merge"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &order{needed: test.needed, refuse: test.refuse}
			w, id := ordered(t, f)
			w.run()
			w.hint(id)
			w.seen(id, "the merge", func(c change.Change) bool { return c.MergeSHA != "" })
			got := f.noted()
			if len(got) < len(test.want) || !slices.Equal(got[:len(test.want)], test.want) {
				t.Errorf("did %q, want %q", got, test.want)
			}
		})
	}
}

// TestA5AStatusOwedAfterTheMergeIsPostedByTheNextServer ends the server between
// the merge and the status.
func TestA5AStatusOwedAfterTheMergeIsPostedByTheNextServer(t *testing.T) {
	f := &order{needed: ref.No}
	w, id := ordered(t, f)
	first := newStop(t)
	ended := make(chan struct{})
	f.during = func(string) { close(ended) }
	lost := &lostAnswers{order: f}
	w = rebuilt(t, w, func(c *reconcile.Config) { c.Repositories[0].Forge = lost })
	w.hint(id)
	first.run(w)
	<-ended
	first.end()
	if c := w.stored(id); c.MergeSHA != "" || slices.Contains(f.noted(), "status success") {
		t.Fatalf("%q came before the end of the first server, whose record is %+v", f.noted(), c.MergeSHA)
	}
	f.during = nil
	w = rebuilt(t, w, func(c *reconcile.Config) { c.Repositories[0].Forge = f })
	newStop(t).run(w)
	w.hint(id)
	w.seen(id, "what landed", func(c change.Change) bool { return c.MergeSHA != "" })
	if got := f.noted(); !slices.Equal(got, []string{"merge", "status success"}) {
		t.Errorf("did %q", got)
	}
}

// lostAnswers merges, and neither says so nor answers anything else from then on.
type lostAnswers struct {
	*order
	mu   sync.Mutex
	gone bool
}

func (f *lostAnswers) down() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return context.DeadlineExceeded
	}
	return nil
}

func (f *lostAnswers) Merge(ctx context.Context, call reconcile.MergeCall) error {
	if err := f.order.Merge(ctx, call); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	return context.DeadlineExceeded
}

func (f *lostAnswers) Look(ctx context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	if err := f.down(); err != nil {
		return reconcile.Look{}, err
	}
	return f.order.Look(ctx, id, want)
}

func (f *lostAnswers) PostStatus(ctx context.Context, repo ref.RepoID, p change.Posted) error {
	if err := f.down(); err != nil {
		return err
	}
	return f.order.PostStatus(ctx, repo, p)
}

func TestWhatIsToldDuringAMergeOfOursWaitsForItsEnd(t *testing.T) {
	f := &order{needed: ref.No}
	w, id := ordered(t, f)
	var told time.Time
	f.during = func(string) {
		told = time.Now()
		if _, err := w.engine.Accept(w.Context(), reconcile.Hint{Repo: id.Repo, Branch: "main"}); err != nil {
			t.Error(err)
		}
		next, err := w.store.Next(w.Context(), reconcile.KindBranch)
		if err != nil || next.Before(told.Add(100*time.Millisecond)) {
			t.Errorf("the branch is due %s after it was told of (%v)", next.Sub(told), err)
		}
	}
	w.hint(id)
	w.run()
	w.seen(id, "the merge", func(c change.Change) bool { return c.MergeSHA != "" })
}

// TestM8ANewPolicyThatNamesAWorkflowHasItsRunsRead moves the base's policy from
// checks without a workflow to one with.
func TestM8ANewPolicyThatNamesAWorkflowHasItsRunsRead(t *testing.T) {
	f := &asking{order: &order{}}
	w := gated(t, "ready", func(w *world, c *reconcile.Config) {
		f.forge = w.forge
		c.Repositories[0].Forge = f
	})
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.until("a look that leaves the runs aside", func() bool {
		want, asked := f.last()
		return asked && want.NoWorkflows
	})
	w.history.push("main", "policy", map[string]string{reconcile.PolicyFile: `version: 1
gate: {checks: [{context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test}]}
`})
	w.hint(id)
	c := w.seen(id, "the verdict by the new policy", func(c change.Change) bool {
		return slices.ContainsFunc(c.Verdict, func(r change.Reason) bool { return strings.Contains(r.Sentence, "ci / test (pull_request)") })
	})
	if want, _ := f.last(); want.NoWorkflows || !slices.Contains(want.Workflows, ".gitea/workflows/ci.yml") {
		t.Errorf("%v was judged on a look that asked for %+v", c.Verdict, want)
	}
}

// asking notes what is asked for.
type asking struct {
	*order
	mu    sync.Mutex
	wants []reconcile.Want
}

func (f *asking) Look(ctx context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	f.mu.Lock()
	f.wants = append(f.wants, want)
	f.mu.Unlock()
	return f.order.Look(ctx, id, want)
}

func (f *asking) last() (reconcile.Want, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wants) == 0 {
		return reconcile.Want{}, false
	}
	return f.wants[len(f.wants)-1], true
}
