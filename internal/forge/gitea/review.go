package gitea

import (
	"context"
	"fmt"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Review posts the bot's own review of a pull request at one head. Gitea keeps
// it with that commit, whatever the head is by then.
func (c *Client) Review(ctx context.Context, id ref.PullID, head ref.SHA, state gate.ReviewState, body string) error {
	states := map[gate.ReviewState]sdk.ReviewStateType{
		gate.ReviewApproved:         sdk.ReviewStateApproved,
		gate.ReviewChangesRequested: sdk.ReviewStateRequestChanges,
		gate.ReviewCommented:        sdk.ReviewStateComment,
	}
	event, ok := states[state]
	if _, err := ref.ParseSHA(string(head)); !ok || err != nil {
		return fault.AsPermanent(fmt.Errorf("review %s: there is no review %q at %q", id, state, head))
	}
	client, err := c.sdk(ctx)
	if err != nil {
		return err
	}
	_, response, err := client.CreatePullReview(id.Repo.Owner, id.Repo.Name, id.Number, sdk.CreatePullReviewOptions{
		State: event, Body: body, CommitID: string(head),
	})
	if err != nil {
		return fmt.Errorf("review %s at %s: %w", id, head.Short(), sorted(refused(response, err)))
	}
	return nil
}

// OwnReview is what the bot's latest review at one head says; none is
// gate.ReviewNone.
func (c *Client) OwnReview(ctx context.Context, id ref.PullID, head ref.SHA) (gate.ReviewState, error) {
	list, _, err := c.reviews(ctx, id)
	if err != nil {
		return gate.ReviewNone, fmt.Errorf("read the reviews of %s: %w", id, sorted(err))
	}
	state := gate.ReviewNone
	for _, r := range list {
		if r.Commit == head && strings.EqualFold(r.Reviewer, c.login) {
			state = r.State
		}
	}
	return state, nil
}
