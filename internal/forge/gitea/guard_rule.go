package gitea

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// guardRule is a branch protection, as far as onboarding looks at it. What is
// not here stays as it is.
type guardRule struct {
	Name                  string   `json:"rule_name,omitempty"`
	Priority              int64    `json:"priority,omitempty"`
	Push                  bool     `json:"enable_push"`
	ForcePush             bool     `json:"enable_force_push"`
	MergeListed           bool     `json:"enable_merge_whitelist"`
	Mergers               []string `json:"merge_whitelist_usernames"`
	MergerTeams           []string `json:"merge_whitelist_teams"`
	Bypass                bool     `json:"enable_bypass_allowlist"`
	ChecksOn              bool     `json:"enable_status_check"`
	Checks                []string `json:"status_check_contexts"`
	Approvals             int64    `json:"required_approvals"`
	Listed                bool     `json:"enable_approvals_whitelist"`
	Approvers             []string `json:"approvals_whitelist_username"`
	ApproverTeams         []string `json:"approvals_whitelist_teams"`
	BlockRejected         bool     `json:"block_on_rejected_reviews"`
	BlockOutdated         bool     `json:"block_on_outdated_branch"`
	DismissStale          bool     `json:"dismiss_stale_approvals"`
	IgnoreStale           bool     `json:"ignore_stale_approvals"`
	BlockAdminMergeBypass bool     `json:"block_admin_merge_override"`
}

// lookRule reads the rule that the branch is under, by the forge's own word.
func (g Guard) lookRule(ctx context.Context, w onboard.Want) onboard.Found[*onboard.Protection] {
	if w.Rule == nil {
		return onboard.Read[*onboard.Protection](nil)
	}
	var rules []guardRule
	if _, err := g.get(ctx, repoPath(w.Repo, "branch_protections"), &rules); err != nil {
		return onboard.Unread[*onboard.Protection](err.Error())
	}
	name, err := g.effective(ctx, w.Repo, w.Rule.Branch)
	if err != nil {
		return onboard.Unread[*onboard.Protection](err.Error())
	}
	i := slices.IndexFunc(rules, func(r guardRule) bool { return r.Name == name })
	if name == "" || i < 0 {
		return onboard.Read[*onboard.Protection](nil)
	}
	p := rules[i].protection(w.Rule.Branch)
	return onboard.Read(&p)
}

func (r guardRule) protection(branch string) onboard.Protection {
	p := onboard.Protection{
		Branch: branch, Rule: r.Name, Approvals: int(r.Approvals),
		Listed: r.Listed, Approvers: r.Approvers, ApproverTeams: r.ApproverTeams,
		MergeListed: r.MergeListed, Mergers: r.Mergers, MergerTeams: r.MergerTeams,
		Push: r.Push, ForcePush: r.ForcePush, Bypass: r.Bypass,
		DismissStale: r.DismissStale && r.IgnoreStale, BlockRejected: r.BlockRejected, UpToDate: r.BlockOutdated,
		AdminsIncluded: r.BlockAdminMergeBypass,
	}
	if r.ChecksOn {
		for _, c := range r.Checks {
			p.Checks = append(p.Checks, literal(c))
		}
		if len(r.Checks) == 0 {
			p.Checks = []string{"whatever is reported"} // that is what Gitea takes an empty list for
		}
	}
	return p
}

// protect sets the rule of exactly that branch and has it count before others.
func (g Guard) protect(ctx context.Context, repo ref.RepoID, p onboard.Protection) error {
	var rules []guardRule
	if _, err := g.get(ctx, repoPath(repo, "branch_protections"), &rules); err != nil {
		return err
	}
	want := ruleOf(p)
	method, path := http.MethodPost, repoPath(repo, "branch_protections")
	first := int64(0)
	for _, r := range rules {
		first = min(first, r.Priority)
		if strings.EqualFold(r.Name, p.Branch) {
			method, path = http.MethodPatch, repoPath(repo, "branch_protections")+"/"+url.PathEscape(r.Name)
		}
	}
	var kept guardRule
	if _, err := g.call(ctx, method, path, want, &kept); err != nil {
		return err
	}
	if err := g.takeEffect(ctx, repo, p.Branch, kept, first-1); err != nil {
		return err
	}
	for _, l := range []struct {
		list         string
		wanted, kept []string
	}{
		{"approvers", want.Approvers, kept.Approvers}, {"approving teams", want.ApproverTeams, kept.ApproverTeams},
		{"who may merge", want.Mergers, kept.Mergers},
	} {
		left := slices.DeleteFunc(slices.Clone(l.wanted), func(n string) bool { return contains(l.kept, n) })
		if len(left) > 0 {
			return fmt.Errorf("the forge left %s off the list of %s: they have no right to %s that is on record", strings.Join(left, ", "), l.list, repo)
		}
	}
	return nil
}

// takeEffect puts the rule before the others if one of them counts instead.
func (g Guard) takeEffect(ctx context.Context, repo ref.RepoID, branch string, kept guardRule, priority int64) error {
	name, err := g.effective(ctx, repo, branch)
	if err != nil || name == kept.Name {
		return err
	}
	_, err = g.call(ctx, http.MethodPatch, repoPath(repo, "branch_protections")+"/"+url.PathEscape(kept.Name), map[string]int64{"priority": priority}, nil)
	if err != nil {
		return err
	}
	name, err = g.effective(ctx, repo, branch)
	if err == nil && name != kept.Name {
		return fmt.Errorf("the rule %s counts for %s in place of its own: delete one of the two", name, branch)
	}
	return err
}

func ruleOf(p onboard.Protection) guardRule {
	r := guardRule{
		Name: p.Branch, Push: p.Push, ForcePush: p.ForcePush, Bypass: p.Bypass,
		MergeListed: p.MergeListed, Mergers: some(p.Mergers), MergerTeams: some(p.MergerTeams),
		ChecksOn: len(p.Checks) > 0, Checks: []string{}, Approvals: int64(p.Approvals),
		Listed: p.Listed, Approvers: some(p.Approvers), ApproverTeams: some(p.ApproverTeams),
		BlockRejected: p.BlockRejected, BlockOutdated: p.UpToDate,
		DismissStale: p.DismissStale, IgnoreStale: p.DismissStale, BlockAdminMergeBypass: p.AdminsIncluded,
	}
	for _, c := range p.Checks {
		r.Checks = append(r.Checks, pattern(c))
	}
	return r
}

// some is a list that is written even when it is empty; null would leave what
// is there.
func some(names []string) []string { return append([]string{}, names...) }

// special are the characters that mean something in Gitea's patterns.
const special = `\*?[]{}`

// pattern has Gitea, which takes required contexts for patterns, match exactly
// this one.
func pattern(context string) string {
	var b strings.Builder
	for _, r := range context {
		if strings.ContainsRune(special, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// literal is the context that a pattern without wildcards matches, or the
// pattern itself.
func literal(p string) string {
	var b strings.Builder
	escaped := false
	for _, r := range p {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
			continue
		case strings.ContainsRune(special, r):
			return p
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lookTags reads the protection with exactly the wanted pattern.
func (g Guard) lookTags(ctx context.Context, w onboard.Want) onboard.Found[*onboard.TagProtection] {
	if w.Tags == nil {
		return onboard.Read[*onboard.TagProtection](nil)
	}
	rules, err := g.tagRules(ctx, w.Repo)
	if err != nil {
		return onboard.Unread[*onboard.TagProtection](err.Error())
	}
	for _, r := range rules {
		if r.Pattern == w.Tags.Pattern {
			return onboard.Read(&onboard.TagProtection{Pattern: r.Pattern, Makers: r.Users, MakerTeams: r.Teams})
		}
	}
	return onboard.Read[*onboard.TagProtection](nil)
}

type tagRule struct {
	ID      int64    `json:"id,omitempty"`
	Pattern string   `json:"name_pattern"`
	Users   []string `json:"whitelist_usernames"`
	Teams   []string `json:"whitelist_teams"`
}

func (g Guard) tagRules(ctx context.Context, repo ref.RepoID) (rules []tagRule, err error) {
	_, err = g.get(ctx, repoPath(repo, "tag_protections"), &rules)
	return rules, err
}

func (g Guard) protectTags(ctx context.Context, repo ref.RepoID, p onboard.TagProtection) error {
	rules, err := g.tagRules(ctx, repo)
	if err != nil {
		return err
	}
	want := tagRule{Pattern: p.Pattern, Users: some(p.Makers), Teams: some(p.MakerTeams)}
	for _, r := range rules {
		if r.Pattern == p.Pattern {
			_, err = g.call(ctx, http.MethodPatch, repoPath(repo, "tag_protections", fmt.Sprint(r.ID)), want, nil)
			return err
		}
	}
	_, err = g.call(ctx, http.MethodPost, repoPath(repo, "tag_protections"), want, nil)
	return err
}
