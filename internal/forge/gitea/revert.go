package gitea

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// The states of a revert pull request.
const (
	stateOpen   = "open"
	stateMerged = "merged"
	stateClosed = "closed"
)

// FindPull looks for a pull request from branch to base, of this repository and
// opened by the bot. An open one counts before a merged one, that before a
// closed one, and a newer one before an older.
func (c *Client) FindPull(ctx context.Context, repo ref.RepoID, branch, base string) (change.RevertFact, error) {
	list, err := pages(func(o sdk.ListOptions) (rows []*sdk.PullRequest, r *sdk.Response, err error) {
		// The SDK cannot choose by author and base.
		r, err = c.get(ctx, repoPath(repo, "pulls")+query(o, "&state=all&sort=oldest&poster="+url.QueryEscape(c.login)+
			"&base_branch="+url.QueryEscape(base)), &rows)
		return rows, r, err
	})
	if err != nil {
		return change.RevertFact{}, fmt.Errorf("look for the pull request from %s to %s in %s: %w", branch, base, repo, sorted(err))
	}
	best := change.RevertFact{Found: ref.No}
	for _, p := range list {
		if !c.isRevert(p, branch, base) {
			continue
		}
		found := change.RevertFact{Found: ref.Yes, Pull: ref.PullID{Repo: repo, Number: p.Index}, State: stateOf(p)}
		if best.Found != ref.Yes || counts(found, best) > 0 {
			best = found
		}
	}
	return best, nil
}

// OpenPull opens a pull request from branch to base. One that is open already,
// or a branch that is not there, is fault.Changed.
func (c *Client) OpenPull(ctx context.Context, repo ref.RepoID, branch, base, title, body string) (ref.PullID, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return ref.PullID{}, err
	}
	p, response, err := client.CreatePullRequest(repo.Owner, repo.Name, sdk.CreatePullRequestOption{
		Head:  branch,
		Base:  base,
		Title: title,
		Body:  body,
	})
	if err != nil {
		err = sorted(refused(response, err))
		if status(err) == http.StatusNotFound {
			err = fault.AsChanged(err)
		}
		return ref.PullID{}, fmt.Errorf("open a pull request from %s to %s in %s: %w", branch, base, repo, err)
	}
	return ref.PullID{Repo: repo, Number: p.Index}, nil
}

// isRevert checks what the server was asked for, so that an older one, which
// does not know how to choose, gives no wrong answer.
func (c *Client) isRevert(p *sdk.PullRequest, branch, base string) bool {
	return p.Head != nil && p.Base != nil &&
		p.Head.Name == branch && p.Base.Ref == base &&
		p.Head.RepoID == p.Base.RepoID &&
		strings.EqualFold(login(p.Poster), c.login)
}

func stateOf(p *sdk.PullRequest) string {
	switch {
	case p.HasMerged:
		return stateMerged
	case p.State == sdk.StateOpen:
		return stateOpen
	default:
		return stateClosed
	}
}

func counts(a, b change.RevertFact) int {
	order := []string{stateClosed, stateMerged, stateOpen}
	return cmp.Or(
		cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)),
		cmp.Compare(a.Pull.Number, b.Pull.Number),
	)
}
