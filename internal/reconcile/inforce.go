package reconcile

import (
	"context"
	"fmt"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// InForce is the plan at the tip of a repository's branch. A faulty one stands
// in its Faults.
func (e *Engine) InForce(ctx context.Context, id ref.RepoID) (change.Plan, error) {
	repo, ok := e.repos[id]
	if !ok {
		return change.Plan{}, fault.AsPermanent(fmt.Errorf("repository %s is not served here", id))
	}
	tip, err := repo.Forge.Branch(ctx, ref.BranchID{Repo: id, Name: repo.Branch})
	if err != nil {
		return change.Plan{}, fmt.Errorf("tip of %s in %s: %w", repo.Branch, id, err)
	}
	return e.plan(ctx, repo, repo.Branch, tip)
}
