package reconcile

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/change"
	"slipway/internal/ref"
)

// Accept makes what a hint speaks of due, and returns once that is committed.
// Of issues it keeps nothing: it passes the hint on, and who looks after them
// looks again by themselves.
// served is false, and nothing is written, for a repository that is not ours.
func (e *Engine) Accept(ctx context.Context, h Hint) (served bool, err error) {
	repo, ok := e.repos[h.Repo]
	if !ok {
		return false, nil
	}
	if h.Issues && e.IssuesChanged != nil {
		e.IssuesChanged(h.Repo)
	}
	now := e.Now()
	at := e.afterMerge(ref.BranchID{Repo: h.Repo, Name: repo.Branch}, now)
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
	main := ref.BranchID{Repo: h.Repo, Name: repo.Branch}
	if h.Branch == repo.Branch || h.People {
		// The policy, the base or somebody's rights moved: every open question is
		// open again (M7).
		changes, err := e.openDue(ctx, main)
		if err != nil {
			return true, err
		}
		due = append(due, changes...)
		due = append(due, Due{RepoKey(h.Repo), now})
		if h.People {
			e.doubt(changes)
		}
	}
	if h.Branch == repo.Branch {
		due = append(due, Due{BranchKey(main), now})
	}
	if len(due) == 0 {
		return true, nil
	}
	for i, d := range due {
		if d.At.Before(at) {
			due[i].At = at
		}
	}
	return true, e.Store.Commit(ctx, Write{Due: e.paced(due, now)})
}

// ownMerge is for how long what is told during a merge of ours waits.
const ownMerge = 500 * time.Millisecond

// afterMerge is when a hint may bring about a look. While a merge of ours is
// under way, forges tell of the push and the rest of it before they answer: the
// look that follows the answer sees all that, and reading meanwhile would only
// hold it up.
func (e *Engine) afterMerge(b ref.BranchID, now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.merges[b] == 0 {
		return now
	}
	return now.Add(ownMerge)
}

// paced puts off what is about a change until that may be looked at, so that a
// storm of events is one row of the queue, and not a claim for each.
func (e *Engine) paced(due []Due, now time.Time) []Due {
	for i, d := range due {
		kind, name, err := d.Key.split()
		if err != nil || kind != KindChange {
			continue
		}
		id, err := ref.ParsePull(name)
		if err != nil {
			continue
		}
		if at := e.pace.next(id, now); at.After(d.At) {
			due[i].At = at
		}
	}
	return due
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

// doubt has the next look at changes believe nothing that is remembered.
func (e *Engine) doubt(changes []Due) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range changes {
		_, name, err := d.Key.split()
		if id, idErr := ref.ParsePull(name); err == nil && idErr == nil {
			e.anew[id] = true
		}
	}
}

func changesDue(changes []change.Change, at time.Time) []Due {
	var due []Due
	for _, c := range changes {
		due = append(due, Due{ChangeKey(c.ID), at})
	}
	return due
}
