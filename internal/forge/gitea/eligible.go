package gitea

import (
	"context"
	"fmt"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/ref"
)

// approvers are those whose approval Gitea counts on a branch now.
type approvers struct {
	known ref.Fact
	// listed says that there is a whitelist; without one it is whoever may write.
	listed bool
	users  []string
	teams  []string // names, of the organisation that owns the repository
	// status says whether the branch asks for the gate's own status.
	status ref.Fact
}

// rule is one branch protection: what concerns approvals of it.
type rule struct {
	Name   string   `json:"rule_name"`
	Listed bool     `json:"enable_approvals_whitelist"`
	Users  []string `json:"approvals_whitelist_username"`
	Teams  []string `json:"approvals_whitelist_teams"`

	Statuses bool     `json:"enable_status_check"`
	Contexts []string `json:"status_check_contexts"`
}

// asks says whether the rule asks for a status. Contexts may be patterns, and
// without any all that were posted have to be green.
func (r rule) asks(context string) ref.Fact {
	switch {
	case !r.Statuses:
		return ref.No
	case slices.Contains(r.Contexts, context):
		return ref.Yes
	case len(r.Contexts) == 0 || slices.ContainsFunc(r.Contexts, isPattern):
		return ref.Unknown
	default:
		return ref.No
	}
}

// isPattern says whether only the server knows what a name stands for.
func isPattern(name string) bool { return strings.ContainsAny(name, `*?\[]{}!`) }

// approvers reads the protection of a branch. Of a whitelist Gitea shows only
// those who can still read the repository.
func (c *Client) approvers(ctx context.Context, repo ref.RepoID, branch string) (approvers, error) {
	var rules []rule
	if _, err := c.get(ctx, repoPath(repo, "branch_protections"), &rules); err != nil {
		return approvers{}, err
	}
	found, certain := match(rules, branch)
	if !certain {
		name, err := c.effective(ctx, repo, branch)
		if err != nil {
			return approvers{}, err
		}
		found = slices.IndexFunc(rules, func(r rule) bool { return r.Name == name })
		if found < 0 && name != "" {
			return approvers{}, fmt.Errorf("the branch is under the rule %q, which is not listed", name)
		}
	}
	if found < 0 {
		return approvers{known: ref.Yes, status: ref.No}, nil
	}
	r := rules[found]
	return approvers{known: ref.Yes, listed: r.Listed, users: r.Users, teams: r.Teams, status: r.asks(gate.StatusContext)}, nil
}

// match finds the rule for a branch among all, which come in the order in which
// the server tries them. It is not certain when a pattern is reached: only the
// server knows what that matches.
func match(rules []rule, branch string) (index int, certain bool) {
	for i, r := range rules {
		if isPattern(r.Name) {
			return -1, false
		}
		if strings.EqualFold(r.Name, branch) {
			return i, true
		}
	}
	return -1, true
}

// effective asks the server which rule a branch is under.
func (c *Client) effective(ctx context.Context, repo ref.RepoID, branch string) (string, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return "", err
	}
	b, response, err := client.GetRepoBranch(repo.Owner, repo.Name, branch)
	if err != nil {
		return "", refused(response, err)
	}
	return b.EffectiveBranchProtectionName, nil
}

// withTeams adds the members of the whitelist's teams to its users. What could
// not be read of them leaves unknown who may approve, but for those who stand
// on the list by themselves.
func (a approvers) withTeams(repo ref.RepoID, members map[string][]string) approvers {
	a.users = slices.Clone(a.users)
	for _, name := range a.names(repo) {
		logins, found := members[name]
		if !found {
			a.known = ref.Unknown
		}
		a.users = append(a.users, logins...)
	}
	return a
}

// names are the whitelist's teams as OWNER/TEAM, in lower case.
func (a approvers) names(repo ref.RepoID) []string {
	var names []string
	for _, t := range a.teams {
		names = append(names, strings.ToLower(repo.Owner+"/"+t))
	}
	return names
}

// judgeReviewers sets Eligible on every review by somebody whose word decides.
func (c *Client) judgeReviewers(ctx context.Context, id ref.PullID, a approvers, reviews []gate.Review) {
	who := reviewers(reviews)
	verdicts := make([]ref.Fact, len(who))
	var group errgroup.Group
	group.SetLimit(together)
	for i, w := range who {
		group.Go(func() error {
			var err error
			verdicts[i], err = c.eligible(ctx, id.Repo, a, w)
			c.unread(fmt.Sprintf("whether %s may approve %s", w, id), err)
			return nil
		})
	}
	_ = group.Wait() // each has told of its own fault
	for i := range reviews {
		if n := slices.Index(who, reviews[i].Reviewer); n >= 0 {
			reviews[i].Eligible = verdicts[n]
		}
	}
}

func (c *Client) eligible(ctx context.Context, repo ref.RepoID, a approvers, who string) (ref.Fact, error) {
	if a.listed && contains(a.users, who) {
		return ref.Yes, nil // even where a team could not be read
	}
	if a.known != ref.Yes {
		return ref.Unknown, nil
	}
	if a.listed {
		return ref.No, nil
	}
	return c.mayApprove(ctx, repo, who)
}

// mayApprove says whether somebody may approve where no whitelist stands:
// whether they may write.
func (c *Client) mayApprove(ctx context.Context, repo ref.RepoID, who string) (ref.Fact, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return ref.Unknown, err
	}
	p, response, err := client.CollaboratorPermission(repo.Owner, repo.Name, who)
	if err != nil {
		return ref.Unknown, refused(response, err)
	}
	switch p.Permission {
	case sdk.AccessModeWrite, sdk.AccessModeAdmin, sdk.AccessModeOwner:
		return ref.Yes, nil
	default:
		return ref.No, nil
	}
}

func contains(logins []string, who string) bool {
	return slices.ContainsFunc(logins, func(l string) bool { return strings.EqualFold(l, who) })
}
