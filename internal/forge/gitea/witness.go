package gitea

import (
	"context"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

var _ reconcile.Witness = (*Client)(nil)

const (
	// witnessPages is how far back the feed is read: a comment that is heard
	// late, since Slipway was down, lies deeper in it.
	witnessPages = 10
	// witnessSlack is how much older than its comment a row may be.
	witnessSlack = time.Minute
)

// Wrote looks for a comment in the repository's feed, which keeps the words as
// they were first said: an edit leaves its row as it was. Unknown is a comment
// that is too long for the feed to keep whole, and one of somebody who keeps
// what they do to themselves.
func (c *Client) Wrote(ctx context.Context, id ref.PullID, said reconcile.Comment) (ref.Fact, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return ref.Unknown, err
	}
	for page := 1; page <= witnessPages; page++ {
		feed, response, err := client.ListRepoActivityFeeds(id.Repo.Owner, id.Repo.Name,
			sdk.ListRepoActivityFeedsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize}})
		if err != nil {
			return ref.Unknown, refused(response, err)
		}
		own, done := wroteIn(feed, said)
		if done || len(feed) == 0 {
			return own, nil
		}
	}
	return ref.Unknown, nil
}

// wroteIn looks for a comment on one page of a feed, newest first. Done says
// that no further page would tell more.
func wroteIn(feed []*sdk.Activity, said reconcile.Comment) (own ref.Fact, done bool) {
	for _, a := range feed {
		if a.CommentID == said.ID && strings.HasPrefix(a.OpType, "comment_") {
			return saidFirst(a, said), true
		}
		if a.Created.Before(said.At.Add(-witnessSlack)) {
			return ref.Unknown, true
		}
	}
	return ref.Unknown, false
}

// saidFirst compares a comment with its row: "NUMBER|WORDS", where words that
// are too long end with an ellipsis.
func saidFirst(a *sdk.Activity, said reconcile.Comment) ref.Fact {
	_, words, _ := strings.Cut(a.Content, "|")
	begin, cut := strings.CutSuffix(words, "…")
	switch {
	case said.Author == "" || login(a.ActUser) != said.Author:
		return ref.No
	case words == said.Body:
		return ref.Yes
	case cut && strings.HasPrefix(said.Body, begin):
		return ref.Unknown
	}
	return ref.No
}
