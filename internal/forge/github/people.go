package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/ref"
)

// judgeReviewers sets Eligible and Official on every review by somebody whose
// word decides. GitHub counts the approvals of those with write access, and has
// no list of approvers beside that. Whoever is not among the approvers that were
// read is asked about: the list may have been left out, or leave somebody out.
func (c *Client) judgeReviewers(ctx context.Context, id ref.PullID, reviews []gate.Review, approvers []string) {
	who := reviewers(reviews)
	facts := make([]ref.Fact, len(who))
	var group errgroup.Group
	group.SetLimit(together)
	for i, w := range who {
		if slices.ContainsFunc(approvers, func(a string) bool { return strings.EqualFold(a, w) }) {
			facts[i] = ref.Yes
			continue
		}
		group.Go(func() (err error) {
			facts[i], err = c.mayWrite(ctx, id.Repo, w)
			c.unread(fmt.Sprintf("whether %s may approve %s", w, id), err)
			return nil
		})
	}
	_ = group.Wait() // each has told of its own fault
	for i := range reviews {
		if n := slices.Index(who, reviews[i].Reviewer); n >= 0 {
			reviews[i].Eligible, reviews[i].Official = facts[n], facts[n]
		}
	}
}

// mayWrite says whether somebody may push to the repository. GitHub gives
// maintainers as write.
func (c *Client) mayWrite(ctx context.Context, repo ref.RepoID, who string) (ref.Fact, error) {
	level, _, err := c.sdk.Repositories.GetPermissionLevel(ctx, repo.Owner, repo.Name, url.PathEscape(who))
	if c.absent(ctx, repo, err) {
		return ref.No, nil // it is nobody's login any more
	}
	if err != nil {
		return ref.Unknown, refused(err)
	}
	switch level.GetPermission() {
	case "admin", "write":
		return ref.Yes, nil
	case "read", "none":
		return ref.No, nil
	default:
		return ref.Unknown, fmt.Errorf("%q is not a permission that is known here", level.GetPermission())
	}
}

// approvers lists the people who may push, and so approve.
func (c *Client) approvers(ctx context.Context, repo ref.RepoID) ([]string, error) {
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.User, *sdk.Response, error) {
		return c.sdk.Repositories.ListCollaborators(ctx, repo.Owner, repo.Name, &sdk.ListCollaboratorsOptions{Permission: "push", ListOptions: o})
	})
	if err != nil {
		return nil, err
	}
	var logins []string
	for _, u := range list {
		if u.GetPermissions()["push"] { // what was asked for
			logins = append(logins, u.GetLogin())
		}
	}
	slices.Sort(logins)
	return slices.Compact(logins), nil
}

// teams reads the members of teams, given as OWNER/TEAM; those of teams within
// them count. A team that could not be read is left out.
func (c *Client) teams(ctx context.Context, names []string) (map[string][]string, error) {
	members := make(map[string][]string, len(names))
	var faults []error
	for _, name := range names {
		owner, slug, ok := strings.Cut(strings.ToLower(name), "/")
		if !ok {
			faults = append(faults, fmt.Errorf("%q is not OWNER/TEAM", name))
			continue
		}
		list, err := pages(func(o sdk.ListOptions) ([]*sdk.User, *sdk.Response, error) {
			return c.sdk.Teams.ListTeamMembersBySlug(ctx, url.PathEscape(owner), url.PathEscape(slug), &sdk.TeamListTeamMembersOptions{ListOptions: o})
		})
		if err != nil {
			faults = append(faults, fmt.Errorf("the team %s: %w", name, err))
			continue
		}
		logins := []string{}
		for _, u := range list {
			logins = append(logins, u.GetLogin())
		}
		members[owner+"/"+slug] = logins
	}
	return members, errors.Join(faults...)
}

// pusher says who brought the head's branch to the head, the last time that
// somebody did.
func (c *Client) pusher(ctx context.Context, pull record) (string, ref.Fact, error) {
	if pull.HeadRepo.IsZero() {
		return "", ref.Unknown, nil // the fork is gone
	}
	var moves []struct {
		Ref   string    `json:"ref"`
		After string    `json:"after"`
		Actor *sdk.User `json:"actor"`
	}
	branch := "refs/heads/" + pull.HeadBranch
	_, err := c.get(ctx, query(repoPath(pull.HeadRepo, "activity"), sdk.ListOptions{PerPage: pageSize}, url.Values{"ref": {branch}}), &moves)
	if status(err) == http.StatusNotFound {
		return "", ref.Unknown, nil // a fork that is not shown, or a server that does not tell
	}
	if err != nil {
		return "", ref.Unknown, refused(err)
	}
	for _, m := range moves { // newest first
		if m.Ref != branch || m.After != string(pull.Head) {
			continue
		}
		if who := m.Actor.GetLogin(); who != "" {
			return who, ref.Yes, nil
		}
		break // somebody who is gone; whoever pushed it before that does not count
	}
	return "", ref.Unknown, nil
}

// reviewers are those whose word decides anything, each once.
func reviewers(reviews []gate.Review) []string {
	var logins []string
	for _, r := range reviews {
		decides := r.State == gate.ReviewApproved || r.State == gate.ReviewChangesRequested
		if decides && r.Reviewer != "" && !slices.Contains(logins, r.Reviewer) {
			logins = append(logins, r.Reviewer)
		}
	}
	return logins
}
