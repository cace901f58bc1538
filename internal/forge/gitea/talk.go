package gitea

import (
	"context"
	"fmt"
	"net/http"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Comment says something new on a pull request and gives its id.
func (c *Client) Comment(ctx context.Context, id ref.PullID, text string) (int64, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return 0, err
	}
	made, response, err := client.CreateIssueComment(id.Repo.Owner, id.Repo.Name, id.Number, sdk.CreateIssueCommentOption{Body: text})
	if err != nil {
		return 0, fmt.Errorf("comment on %s: %w", id, sorted(refused(response, err)))
	}
	return made.ID, nil
}

// EditComment replaces the text of a comment of Slipway's own. Gitea would let
// it replace anybody's.
func (c *Client) EditComment(ctx context.Context, id ref.PullID, comment int64, text string) error {
	client, err := c.sdk(ctx)
	if err != nil {
		return err
	}
	_, response, err := client.EditIssueComment(id.Repo.Owner, id.Repo.Name, comment, sdk.EditIssueCommentOption{Body: text})
	if err != nil {
		return fmt.Errorf("edit comment %d on %s: %w", comment, id, ofComment(refused(response, err)))
	}
	return nil
}

// React answers a comment. One that is gone is fault.Changed.
func (c *Client) React(ctx context.Context, id ref.PullID, comment int64, r reconcile.Reaction) error {
	client, err := c.sdk(ctx)
	if err != nil {
		return err
	}
	_, response, err := client.PostIssueCommentReaction(id.Repo.Owner, id.Repo.Name, comment, string(r))
	if err != nil {
		return fmt.Errorf("react to comment %d on %s: %w", comment, id, ofComment(refused(response, err)))
	}
	return nil
}

// ofComment sorts a refusal of a call about one comment, which may be gone.
func ofComment(err error) error {
	if status(err) == http.StatusNotFound {
		return fault.AsChanged(err)
	}
	return sorted(err)
}
