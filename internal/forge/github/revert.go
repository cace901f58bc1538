package github

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	sdk "github.com/google/go-github/v62/github"

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
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.PullRequest, *sdk.Response, error) {
		return c.sdk.PullRequests.List(ctx, repo.Owner, repo.Name, &sdk.PullRequestListOptions{
			State: "all", Head: repo.Owner + ":" + branch, Base: base, Sort: "created", Direction: "asc", ListOptions: o,
		})
	})
	if err != nil {
		return change.RevertFact{}, fmt.Errorf("look for the pull request from %s to %s in %s: %w", branch, base, repo, sorted(err))
	}
	best := change.RevertFact{Found: ref.No}
	for _, p := range list {
		if !c.isRevert(p, repo, branch, base) {
			continue
		}
		found := change.RevertFact{Found: ref.Yes, Pull: ref.PullID{Repo: repo, Number: int64(p.GetNumber())}, State: stateOf(p)}
		if best.Found != ref.Yes || counts(found, best) > 0 {
			best = found
		}
	}
	return best, nil
}

// OpenPull opens a pull request from branch to base. One that is open already,
// or a branch that is not there, is fault.Changed.
func (c *Client) OpenPull(ctx context.Context, repo ref.RepoID, branch, base, title, body string) (ref.PullID, error) {
	p, _, err := c.sdk.PullRequests.Create(ctx, repo.Owner, repo.Name, &sdk.NewPullRequest{
		Title: sdk.String(title),
		Head:  sdk.String(branch),
		Base:  sdk.String(base),
		Body:  sdk.String(body),
	})
	if err != nil {
		return ref.PullID{}, fmt.Errorf("open a pull request from %s to %s in %s: %w", branch, base, repo, sortedOpen(err))
	}
	return ref.PullID{Repo: repo, Number: int64(p.GetNumber())}, nil
}

// sortedOpen tells a pull request that is there, and an end that is not, from
// what is wrong with the wish itself.
func sortedOpen(err error) error {
	err = refused(err)
	text := strings.ToLower(err.Error())
	ends := strings.Contains(text, "head invalid") || strings.Contains(text, "base invalid")
	if s := status(err); s == http.StatusNotFound || s == http.StatusUnprocessableEntity && ends {
		return fault.AsChanged(err)
	}
	return sortedExisting(err)
}

// isRevert checks what the server was asked for, too.
func (c *Client) isRevert(p *sdk.PullRequest, repo ref.RepoID, branch, base string) bool {
	return p.GetHead().GetRef() == branch && p.GetBase().GetRef() == base &&
		strings.EqualFold(p.GetHead().GetRepo().GetFullName(), repo.String()) &&
		strings.EqualFold(p.GetUser().GetLogin(), c.login)
}

func stateOf(p *sdk.PullRequest) string {
	switch {
	case p.MergedAt != nil: // a list does not say merged
		return stateMerged
	case p.GetState() == "open":
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
