package reconcile

import (
	"context"
	"fmt"
	"maps"
	"time"

	"slipway/internal/change"
	"slipway/internal/ref"
)

// everythingDue makes due every repository, branch and target, and what was
// merged and has not ended. Open pull requests are found by the list of their
// repository: those that it shows as they were looked at last are left alone.
func (e *Engine) everythingDue(ctx context.Context) error {
	now := e.Now()
	var due []Due
	for _, r := range e.Repositories {
		due = append(due, Due{RepoKey(r.ID), now}, Due{BranchKey(ref.BranchID{Repo: r.ID, Name: r.Branch}), now})
	}
	changes, err := e.Store.Changes(ctx, Filter{Unfinished: true})
	if err != nil {
		return err
	}
	var merged []Due
	for _, c := range changes {
		if _, served := e.repos[c.ID.Repo]; served && (c.MergeSHA != "" || c.Intent != nil || c.Fingerprint == "") {
			merged = append(merged, Due{ChangeKey(c.ID), now})
		}
	}
	due = append(due, e.spread(merged, int(e.Rate), now)...)
	targets, err := e.Store.Targets(ctx)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if _, served := e.repos[t.ID.Repo]; served {
			due = append(due, Due{TargetKey(t.ID), now})
		}
	}
	if len(due) == 0 {
		return nil
	}
	return e.Store.Commit(ctx, Write{Due: due})
}

// spread gives dues their times: the first few at once, and then no more than
// Rate of them in a second.
func (e *Engine) spread(due []Due, few int, from time.Time) []Due {
	if e.Rate <= 0 {
		return due
	}
	for i := few; i < len(due); i++ {
		due[i].At = from.Add(time.Duration(float64(i-few+1) / e.Rate * float64(time.Second)))
	}
	return due
}

// lookRepo lists the open pull requests and makes due what is new, what shows
// a change, and what we believe open and the list does not have. So a lost
// webhook costs one round at the most.
func (e *Engine) lookRepo(ctx context.Context, id ref.RepoID) (time.Time, error) {
	repo, ok := e.repos[id]
	if !ok {
		return time.Time{}, nil
	}
	now := e.Now()
	open, err := repo.Forge.OpenPulls(ctx, id)
	if err != nil {
		return time.Time{}, fmt.Errorf("open pull requests of %s: %w", id, err)
	}
	stored, err := e.Store.Changes(ctx, Filter{Repo: id, Unfinished: true})
	if err != nil {
		return time.Time{}, err
	}
	if due := e.unlooked(open, stored, now); len(due) > 0 {
		if err := e.Store.Commit(ctx, Write{Due: due}); err != nil {
			return time.Time{}, err
		}
	}
	e.mu.Lock() // only now: a failed commit must not be remembered as seen
	maps.DeleteFunc(e.briefs, func(p ref.PullID, _ string) bool { return p.Repo == id })
	for _, b := range open {
		e.briefs[b.ID] = b.Fingerprint
	}
	e.mu.Unlock()
	return now.Add(e.Active), nil
}

// unlooked is what a list shows that was not looked at yet: first what is new or
// gone, then, at the rate of the resync, what shows a change.
func (e *Engine) unlooked(open []Brief, stored []change.Change, now time.Time) []Due {
	known := map[ref.PullID]change.Change{}
	for _, c := range stored {
		known[c.ID] = c
	}
	listed := map[ref.PullID]bool{}
	var due, changed []Due
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range open {
		listed[b.ID] = true
		c, old := known[b.ID]
		switch {
		case e.briefs[b.ID] == b.Fingerprint || c.Fingerprint == b.Fingerprint:
		case old:
			changed = append(changed, Due{ChangeKey(b.ID), now})
		default:
			due = append(due, Due{ChangeKey(b.ID), now})
		}
	}
	for _, c := range stored {
		if !listed[c.ID] && c.MergeSHA == "" {
			due = append(due, Due{ChangeKey(c.ID), now})
		}
	}
	return append(due, e.spread(changed, int(e.Rate), now)...)
}

// brief is how the list showed a pull request last; "" when it did not yet.
func (e *Engine) brief(id ref.PullID) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.briefs[id]
}

// believesNothing says, once, that a change is to be looked at without relying
// on anything remembered.
func (e *Engine) believesNothing(id ref.PullID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	anew := e.anew[id]
	delete(e.anew, id)
	return anew
}
