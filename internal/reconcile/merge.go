package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

func (e *Engine) merge(ctx context.Context, repo Repository, c change.Change, s seen, a change.Merge) error {
	untold := s.observation.Posted != a.Status
	if untold && !a.Intent.TellLater {
		if err := repo.Forge.PostStatus(ctx, c.ID.Repo, a.Status); err != nil {
			return err
		}
	}
	// No forge takes more than the head as a precondition, so the rest is read once
	// more at the last moment: another base, another policy on it, a label or a
	// draft is another question (M7).
	p, err := repo.Forge.Pull(ctx, c.ID)
	if err != nil {
		return err
	}
	switch judged := s.observation.Pull; {
	case p.Base != judged.Base || p.BaseHead != judged.BaseHead || p.Head != a.Intent.Head:
		return fault.AsChanged(errors.New("its head or its base moved while it was judged"))
	case p.Draft != judged.Draft || !slices.Equal(slices.Sorted(slices.Values(p.Labels)), slices.Sorted(slices.Values(judged.Labels))):
		return fault.AsChanged(errors.New("it was made a draft or labelled otherwise while it was judged"))
	}
	if err := e.unheld(ctx, c, p.Base); err != nil {
		return err
	}
	seq, hash, err := e.Store.Head(ctx)
	if err != nil {
		return err
	}
	title, body, err := composed(s.plan.Merge, s.observation.Pull, a.Intent)
	if err != nil {
		return err
	}
	title, message := mergeMessage(c, title, body, a.Intent, seq, hash)
	defer e.merging(ref.BranchID{Repo: repo.ID, Name: p.Base})()
	err = repo.Forge.Merge(ctx, MergeCall{
		ID: c.ID, Head: a.Intent.Head, Method: a.Method, Title: title, Message: message, DeleteBranch: s.plan.Merge.DeleteBranch,
	})
	if err != nil && untold && a.Intent.TellLater {
		e.tellStatus(ctx, repo, c.ID, a.Status) // it may not land for long
	}
	return err
}

// tellStatus posts the gate's status where nothing depends on it.
func (e *Engine) tellStatus(ctx context.Context, repo Repository, id ref.PullID, p change.Posted) {
	if err := repo.Forge.PostStatus(ctx, id.Repo, p); err != nil {
		e.Log.Warn("post the gate's status", "change", id, "error", err)
	}
}

// merging notes that a merge to a branch is under way, until the returned
// function is called.
func (e *Engine) merging(b ref.BranchID) (over func()) {
	add := func(n int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.merges[b] += n; e.merges[b] == 0 {
			delete(e.merges, b)
		}
	}
	add(1)
	return func() { add(-1) }
}

// unheld asks, at the last moment, that nobody has held the change or frozen its
// base since it was judged.
func (e *Engine) unheld(ctx context.Context, c change.Change, base string) error {
	frozen, err := e.Store.Freeze(ctx, ref.BranchID{Repo: c.ID.Repo, Name: base})
	if err != nil {
		return err
	}
	stored, err := e.stored(ctx, c.ID)
	switch {
	case err != nil:
		return err
	case frozen != nil:
		return fault.AsChanged(fmt.Errorf("%s was frozen while it was judged", base))
	case !slices.EqualFunc(stored.Holds, c.Holds, func(a, b gate.Hold) bool { return a.By == b.By }):
		return fault.AsChanged(errors.New("it was held while it was judged"))
	}
	return nil
}
