package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Comment says something new on a pull request and gives its id.
func (c *Client) Comment(ctx context.Context, id ref.PullID, text string) (int64, error) {
	made, _, err := c.sdk.Issues.CreateComment(ctx, id.Repo.Owner, id.Repo.Name, int(id.Number), &sdk.IssueComment{Body: &text})
	if err != nil {
		return 0, fmt.Errorf("comment on %s: %w", id, sorted(err))
	}
	return made.GetID(), nil
}

// EditComment replaces the text of a comment of Slipway's own.
func (c *Client) EditComment(ctx context.Context, id ref.PullID, comment int64, text string) error {
	_, _, err := c.sdk.Issues.EditComment(ctx, id.Repo.Owner, id.Repo.Name, comment, &sdk.IssueComment{Body: &text})
	switch {
	case err == nil:
		return nil
	case status(err) == http.StatusNotFound, status(err) == http.StatusGone:
		return fault.AsChanged(fmt.Errorf("edit comment %d on %s: %w", comment, id, refused(err)))
	default:
		return fmt.Errorf("edit comment %d on %s: %w", comment, id, sorted(err))
	}
}

// React answers a comment. GitHub keeps one reaction of a kind of each account.
func (c *Client) React(ctx context.Context, id ref.PullID, comment int64, r reconcile.Reaction) error {
	_, _, err := c.sdk.Reactions.CreateIssueCommentReaction(ctx, id.Repo.Owner, id.Repo.Name, comment, string(r))
	if err != nil {
		return fmt.Errorf("react to comment %d on %s: %w", comment, id, sorted(err))
	}
	return nil
}

// comments lists what was said on a pull request beside its reviews, oldest
// first.
func (c *Client) comments(ctx context.Context, id ref.PullID) ([]reconcile.Comment, error) {
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.IssueComment, *sdk.Response, error) {
		return c.sdk.Issues.ListComments(ctx, id.Repo.Owner, id.Repo.Name, int(id.Number), &sdk.IssueListCommentsOptions{ListOptions: o})
	})
	if err != nil {
		return nil, err
	}
	comments := make([]reconcile.Comment, 0, len(list))
	for _, row := range unique(list, (*sdk.IssueComment).GetID) {
		comments = append(comments, reconcile.Comment{
			ID:     row.GetID(),
			Author: row.GetUser().GetLogin(),
			Body:   row.GetBody(),
			At:     at(row.CreatedAt),
			Edited: latest(row.CreatedAt, row.UpdatedAt),
		})
	}
	slices.SortStableFunc(comments, func(a, b reconcile.Comment) int { return a.At.Compare(b.At) })
	return comments, nil
}

// retargeted is when the base of a pull request was changed last; zero is never.
func (c *Client) retargeted(ctx context.Context, id ref.PullID) (time.Time, error) {
	type event struct {
		Event   string         `json:"event"`
		Created *sdk.Timestamp `json:"created_at"`
	}
	path := repoPath(id.Repo, "issues", strconv.FormatInt(id.Number, 10), "timeline")
	list, err := pages(func(o sdk.ListOptions) (rows []event, response *sdk.Response, err error) {
		// The SDK's own type has a field for everything, any of which may come in
		// another shape some day.
		response, err = c.get(ctx, query(path, o, url.Values{}), &rows)
		return rows, response, err
	})
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	for _, e := range list {
		changed := e.Event == "base_ref_changed" || e.Event == "automatic_base_change_succeeded"
		if when := at(e.Created); changed && when.After(last) {
			last = when
		}
	}
	return last, nil
}
