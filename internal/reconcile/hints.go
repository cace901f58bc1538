package reconcile

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/change"
	"slipway/internal/ref"
)

// Accept makes what a hint speaks of due, and returns once that is committed.
// served is false, and nothing is written, for a repository that is not ours.
func (e *Engine) Accept(ctx context.Context, h Hint) (served bool, err error) {
	repo, ok := e.repos[h.Repo]
	if !ok {
		return false, nil
	}
	now := e.Now()
	var due []Due
	if h.Number > 0 {
		due = append(due, Due{ChangeKey(ref.PullID{Repo: h.Repo, Number: h.Number}), now})
	}
	if h.SHA != "" {
		changes, err := e.Store.Changes(ctx, Filter{Repo: h.Repo, SHA: h.SHA, Unfinished: true})
		if err != nil {
			return true, fmt.Errorf("changes of %s at %s: %w", h.Repo, h.SHA.Short(), err)
		}
		due = append(due, changesDue(changes, now)...)
	}
	if h.Branch == repo.Branch {
		// The policy or the base moved: every open question is open again (M7).
		changes, err := e.Store.Changes(ctx, Filter{Repo: h.Repo, Base: h.Branch, Unfinished: true})
		if err != nil {
			return true, fmt.Errorf("changes of %s: %w", h.Repo, err)
		}
		due = append(due, changesDue(changes, now)...)
		due = append(due, Due{RepoKey(h.Repo), now}, Due{BranchKey(ref.BranchID{Repo: h.Repo, Name: h.Branch}), now})
	}
	if len(due) == 0 {
		return true, nil
	}
	return true, e.Store.Commit(ctx, Write{Due: due})
}

// Nudge makes the targets that are deployed to a Deployment due. It is told
// by a watch, which may miss things; the resync does not.
func (e *Engine) Nudge(ctx context.Context, cluster, namespace, deployment string) error {
	targets, err := e.Store.Targets(ctx)
	if err != nil {
		return err
	}
	var due []Due
	for _, t := range targets {
		if t.Current == nil {
			continue
		}
		s := t.Spec
		if s.Cluster == cluster && s.Namespace == namespace && s.Deployment == deployment {
			due = append(due, Due{TargetKey(t.ID), e.Now()})
		}
	}
	if len(due) == 0 {
		return nil
	}
	return e.Store.Commit(ctx, Write{Due: due})
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
	listed := map[ref.PullID]string{}
	var due []Due
	e.mu.Lock()
	for _, b := range open {
		listed[b.ID] = b.Fingerprint
		if e.briefs[b.ID] != b.Fingerprint {
			due = append(due, Due{ChangeKey(b.ID), now})
		}
	}
	for _, c := range stored {
		if _, ok := listed[c.ID]; !ok && c.MergeSHA == "" {
			due = append(due, Due{ChangeKey(c.ID), now})
			delete(e.briefs, c.ID)
		}
	}
	e.mu.Unlock()
	if len(due) > 0 {
		if err := e.Store.Commit(ctx, Write{Due: due}); err != nil {
			return time.Time{}, err
		}
	}
	e.mu.Lock() // only now: a failed commit must not be remembered as seen
	for id, f := range listed {
		e.briefs[id] = f
	}
	e.mu.Unlock()
	return now.Add(e.Active), nil
}

func changesDue(changes []change.Change, at time.Time) []Due {
	var due []Due
	for _, c := range changes {
		due = append(due, Due{ChangeKey(c.ID), at})
	}
	return due
}
