package gitea

import (
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func TestWhoseWordsACommentIs(t *testing.T) {
	at := time.Unix(1e9, 0).UTC()
	said := reconcile.Comment{ID: 7, Author: "carol", Body: "/unhold", At: at, Edited: at}
	row := func(comment int64, kind, who, content string, seconds int) *sdk.Activity {
		return &sdk.Activity{CommentID: comment, OpType: kind, ActUser: &sdk.User{UserName: who}, Content: content, Created: at.Add(time.Duration(seconds) * time.Second)}
	}
	for name, test := range map[string]struct {
		feed []*sdk.Activity
		body string // "" is as above
		own  ref.Fact
		done bool
	}{
		"words that were said so are their author's": {
			feed: []*sdk.Activity{row(8, "comment_pull", "bob", "3|/hold", 1), row(7, "comment_pull", "carol", "3|/unhold", 0)},
			own:  ref.Yes, done: true,
		},
		"words that were said otherwise are not": {
			feed: []*sdk.Activity{row(7, "comment_pull", "carol", "3|thanks", 0)}, own: ref.No, done: true,
		},
		"a comment of somebody else's is not": {
			feed: []*sdk.Activity{row(7, "comment_pull", "bob", "3|/unhold", 0)}, own: ref.No, done: true,
		},
		"words with a bar in them are whole": {
			feed: []*sdk.Activity{row(7, "comment_pull", "carol", "3|a|b", 0)}, body: "a|b", own: ref.Yes, done: true,
		},
		"of long words only the beginning is known": {
			feed: []*sdk.Activity{row(7, "comment_pull", "carol", "3|a long …", 0)}, body: "a long story\n/unhold", own: ref.Unknown, done: true,
		},
		"long words that began otherwise are not": {
			feed: []*sdk.Activity{row(7, "comment_pull", "carol", "3|a long …", 0)}, body: "/unhold", own: ref.No, done: true,
		},
		"a push of the same number tells nothing of a comment": {
			feed: []*sdk.Activity{row(7, "commit_repo", "carol", "{}", 0)}, own: ref.Unknown,
		},
		"what is not on a page may be on the next": {
			feed: []*sdk.Activity{row(8, "comment_pull", "bob", "3|/hold", 1)}, own: ref.Unknown,
		},
		"what is long past ends the search": {
			feed: []*sdk.Activity{row(6, "comment_pull", "bob", "3|/hold", -61)}, own: ref.Unknown, done: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := said
			if test.body != "" {
				one.Body = test.body
			}
			if own, done := wroteIn(test.feed, one); own != test.own || done != test.done {
				t.Errorf("got %s, done: %t", own, done)
			}
		})
	}
}
