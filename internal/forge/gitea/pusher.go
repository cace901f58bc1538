package gitea

import (
	"context"
	"encoding/json"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
)

// pushedBefore looks in the head repository's feed for who pushed the head: the
// timeline knows only the pushes since the pull request was opened. "" is
// nobody: the push is further back than one page, or its author keeps what they
// do to themselves.
func (c *Client) pushedBefore(ctx context.Context, pull gate.PullRequest) (string, error) {
	if pull.HeadRepo.IsZero() {
		return "", nil // the fork is gone
	}
	client, err := c.sdk(ctx)
	if err != nil {
		return "", err
	}
	feed, response, err := client.ListRepoActivityFeeds(pull.HeadRepo.Owner, pull.HeadRepo.Name,
		sdk.ListRepoActivityFeedsOptions{ListOptions: sdk.ListOptions{Page: 1, PageSize: pageSize}})
	if err != nil {
		return "", refused(response, err)
	}
	return pusherIn(feed, pull), nil
}

// pusherIn finds the newest push of the head to its branch.
func pusherIn(feed []*sdk.Activity, pull gate.PullRequest) string {
	for _, a := range feed { // newest first
		if a.OpType != "commit_repo" || a.RefName != "refs/heads/"+pull.HeadBranch {
			continue
		}
		var content struct {
			HeadCommit struct {
				Sha1 string
			}
		}
		// That a branch was made is a row of its own, without content.
		if json.Unmarshal([]byte(a.Content), &content) == nil && content.HeadCommit.Sha1 == string(pull.Head) {
			return login(a.ActUser)
		}
	}
	return ""
}
