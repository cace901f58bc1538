package gitea

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// timeline is what was said and done on a pull request.
type timeline struct {
	comments   []reconcile.Comment
	retargeted time.Time
	base       string // that it was changed to last; "" for never
	push       push   // the last
}

// push is one push to the head branch.
type push struct {
	by   string // login; "" for none
	head ref.SHA
}

// event is one row of a timeline: what concerns us of it. The SDK's type lacks
// most of it and cannot read the label of others.
type event struct {
	ID      int64     `json:"id"`
	Type    string    `json:"type"`
	User    *sdk.User `json:"user"`
	Body    string    `json:"body"`
	NewRef  string    `json:"new_ref"` // of a change of the base
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

// timeline reads all of it with one call: the server counts the rows of a page
// for the rows there are, so that pages could not be told to be whole, and
// without a page it gives every row.
func (c *Client) timeline(ctx context.Context, id ref.PullID, author string) (timeline, error) {
	var events []event
	if _, err := c.get(ctx, repoPath(id.Repo, "issues", strconv.FormatInt(id.Number, 10), "timeline"), &events); err != nil {
		return timeline{}, err
	}
	return toTimeline(events, author), nil
}

// toTimeline takes the events in the order in which they came, which is that of
// the seconds they happened in and then of their ids.
//
// When a pull request is opened, and when its base is changed, the server writes
// all its commits down as a push by whoever did that. That tells nothing of who
// pushed, so the first push by the same person after it counts for none.
func toTimeline(events []event, author string) timeline {
	var t timeline
	claims := author
	for _, e := range events {
		switch e.Type {
		case "comment":
			t.comments = append(t.comments, reconcile.Comment{
				ID: e.ID, Author: login(e.User), Body: e.Body, At: e.Created.UTC(), Edited: e.Updated.UTC(),
			})
		case "change_target_branch":
			t.retargeted, t.base, claims = e.Created.UTC(), e.NewRef, login(e.User)
			t.push = push{} // the server drops what it had of pushes
		case "pull_push":
			if by := login(e.User); by == claims {
				claims, t.push = "", push{}
				continue
			}
			t.push = toPush(e)
		}
	}
	return t
}

// toPush reads who pushed what.
func toPush(e event) push {
	var content struct {
		Commits []string `json:"commit_ids"` // the last is the new head
	}
	if json.Unmarshal([]byte(e.Body), &content) != nil || len(content.Commits) == 0 {
		return push{}
	}
	head, err := ref.ParseSHA(content.Commits[len(content.Commits)-1])
	if err != nil {
		return push{}
	}
	return push{by: login(e.User), head: head}
}
