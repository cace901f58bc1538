package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/internal/change"
)

// gone deals with a pull request that its repository does not have. One of
// which nothing is recorded is looked at no more: a mistaken or made-up event
// named it. A recorded one was deleted: it ends closed, once the list of the
// open ones does not have it either, so that no single answer ends a change.
// Both are found again by that list, should they come to be there after all.
func (e *Engine) gone(ctx context.Context, claim Claim, repo Repository, old change.Change) (time.Time, error) {
	id := old.ID
	if old.Rev == 0 {
		e.pace.forget(id)
		e.Log.Info("there is no such pull request", "change", id)
		return time.Time{}, nil
	}
	open, err := repo.Forge.OpenPulls(ctx, id.Repo)
	if err != nil {
		return time.Time{}, fmt.Errorf("whether %s is gone: %w", id, err)
	}
	if slices.ContainsFunc(open, func(b Brief) bool { return b.ID == id }) {
		return time.Time{}, fmt.Errorf("%s is listed as open, and is not there when it is read", id)
	}
	next := old.WithoutPull(e.Now())
	next.Seq = claim.Seq
	if _, err := e.recordChange(ctx, claim, old, next, seen{}, nil); err != nil {
		return time.Time{}, fmt.Errorf("record %s: %w", id, err)
	}
	e.pace.forget(id)
	return time.Time{}, nil
}
