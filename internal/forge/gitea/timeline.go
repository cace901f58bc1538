package gitea

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/fault"
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
	// Label is the one that was set or taken off.
	Label *issueLabel `json:"label"`
}

// emptyPages is how many pages of a timeline may come empty, one after another,
// before there is taken to be nothing behind them.
const emptyPages = 3

// timeline reads what was said and done on a pull request.
func (c *Client) timeline(ctx context.Context, id ref.PullID, author string, said int) (timeline, error) {
	events, err := c.events(ctx, id, said)
	if err != nil {
		return timeline{}, err
	}
	return toTimeline(events, author), nil
}

// events reads a whole timeline. Without a page the server gives thirty rows. It
// leaves out what the bot may not see once it has cut a page, and counts a page's
// rows for the rows there are: a page that is short is the last one only if as
// much was said by then as the pull request's own record tells.
func (c *Client) events(ctx context.Context, id ref.PullID, said int) ([]event, error) {
	path := repoPath(id.Repo, "issues", strconv.FormatInt(id.Number, 10), "timeline")
	var all []event
	empty := 0
	for page := 1; page <= pageLimit; page++ {
		var events []event
		if _, err := c.get(ctx, fmt.Sprintf("%s?page=%d&limit=%d", path, page, pageSize), &events); err != nil {
			return nil, err
		}
		all = append(all, events...)
		if empty++; len(events) > 0 {
			empty = 0
		}
		if len(events) < pageSize && spoken(all) >= said || empty >= emptyPages {
			return all, nil
		}
	}
	return nil, fault.AsPermanent(fmt.Errorf("the timeline has more than %d pages", pageLimit))
}

// spoken counts what a pull request's record counts for its comments.
func spoken(events []event) int {
	n := 0
	for _, e := range events {
		if e.Type == "comment" || e.Type == "review" {
			n++
		}
	}
	return n
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
