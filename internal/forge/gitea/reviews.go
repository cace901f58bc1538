package gitea

import (
	"context"
	"fmt"
	"slices"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/ref"
)

// reviews lists what was submitted, in the order of submission: each person has
// one review in preparation at most, so among one person's the ids rise.
func (c *Client) reviews(ctx context.Context, id ref.PullID) ([]gate.Review, people, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.PullReview, *sdk.Response, error) {
		return client.ListPullReviews(id.Repo.Owner, id.Repo.Name, id.Number, sdk.ListPullReviewsOptions{ListOptions: o})
	})
	if err != nil {
		return nil, nil, err
	}
	known := people{}
	var reviews []gate.Review
	for _, r := range list {
		review, submitted, err := toReview(r)
		if err != nil {
			return nil, nil, err
		}
		if !submitted {
			continue
		}
		known.add(r.Reviewer)
		reviews = append(reviews, review)
	}
	slices.SortStableFunc(reviews, func(a, b gate.Review) int { return int(a.ID - b.ID) })
	return slices.CompactFunc(reviews, func(a, b gate.Review) bool { return a.ID == b.ID }), known, nil
}

func toReview(r *sdk.PullReview) (review gate.Review, submitted bool, err error) {
	states := map[sdk.ReviewStateType]gate.ReviewState{
		sdk.ReviewStateApproved:       gate.ReviewApproved,
		sdk.ReviewStateRequestChanges: gate.ReviewChangesRequested,
		sdk.ReviewStateComment:        gate.ReviewCommented,
	}
	state, submitted := states[r.State] // else in preparation, or asked for
	if !submitted {
		return gate.Review{}, false, nil
	}
	if r.Dismissed {
		state = gate.ReviewDismissed
	}
	sha, err := commitID(r.CommitID)
	if err != nil {
		return gate.Review{}, false, fmt.Errorf("review %d: %w", r.ID, err)
	}
	return gate.Review{
		ID:       r.ID,
		Reviewer: login(r.Reviewer),
		State:    state,
		Commit:   sha,
		Official: ref.Known(r.Official),
		At:       r.Submitted.UTC(),
	}, true, nil
}

// reviewers are those whose word decides anything, each once.
func reviewers(reviews []gate.Review) []string {
	var logins []string
	for _, r := range reviews {
		decides := r.State == gate.ReviewApproved || r.State == gate.ReviewChangesRequested
		if decides && r.Reviewer != "" && !slices.Contains(logins, r.Reviewer) {
			logins = append(logins, r.Reviewer)
		}
	}
	return logins
}
