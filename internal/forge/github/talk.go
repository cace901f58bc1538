package github

import (
	"context"
	"errors"
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

// timeline is what was said and done on a pull request.
type timeline struct {
	comments   []reconcile.Comment // beside its reviews, oldest first
	retargeted time.Time           // when its base was changed last; zero is never
}

// event is one row of a timeline: what concerns us of it. The SDK's own type
// has a field for everything, any of which may come in another shape some day.
type event struct {
	Event   string         `json:"event"`
	ID      int64          `json:"id"`
	User    *sdk.User      `json:"user"` // who is behind a comment
	Body    *string        `json:"body"`
	Created *sdk.Timestamp `json:"created_at"`
	Updated *sdk.Timestamp `json:"updated_at"`
}

// timeline reads all of it: a comment there is the comment itself.
func (c *Client) timeline(ctx context.Context, id ref.PullID) (timeline, error) {
	path := repoPath(id.Repo, "issues", strconv.FormatInt(id.Number, 10), "timeline")
	list, err := pages(func(o sdk.ListOptions) (rows []event, response *sdk.Response, err error) {
		response, err = c.get(ctx, query(path, o, url.Values{}), &rows)
		return rows, response, err
	})
	if err != nil {
		return timeline{}, err
	}
	return toTimeline(list)
}

func toTimeline(list []event) (timeline, error) {
	var t timeline
	seen := map[int64]bool{} // a row that comes meanwhile may have a page repeat one
	for _, e := range list {
		switch e.Event {
		case "commented":
			if e.ID == 0 || e.Body == nil || e.Created == nil {
				return timeline{}, errors.New("a comment without its id, its text or its time")
			}
			if seen[e.ID] {
				continue
			}
			seen[e.ID] = true
			t.comments = append(t.comments, reconcile.Comment{
				ID: e.ID, Author: e.User.GetLogin(), Body: *e.Body, At: at(e.Created), Edited: latest(e.Created, e.Updated),
			})
		case "base_ref_changed", "automatic_base_change_succeeded":
			if when := at(e.Created); when.After(t.retargeted) {
				t.retargeted = when
			}
		}
	}
	slices.SortStableFunc(t.comments, func(a, b reconcile.Comment) int { return a.At.Compare(b.At) })
	return t, nil
}
