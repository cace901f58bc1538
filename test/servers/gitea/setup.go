package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	sdk "code.gitea.io/sdk/gitea"
)

// Team is a team of an organisation.
type Team struct {
	Name string

	// Units gives the team's right to each part of the organisation: "read",
	// "write" or "admin" by unit, such as {"repo.packages": "write"}.
	Units map[string]string

	Repositories []string // names within the organisation
	Members      []string // logins
}

// Permission is a collaborator's right to a repository.
type Permission string

// The permissions of a collaborator.
const (
	Read  Permission = "read"
	Write Permission = "write"
	Admin Permission = "admin"
)

// BranchRule protects the branches whose names match. The zero value of a field
// demands nothing. The JSON names are those of Gitea 1.27's API, which knows
// some fields that the SDK does not.
type BranchRule struct {
	Name string `json:"rule_name"`

	EnablePush          bool     `json:"enable_push"`
	EnablePushWhitelist bool     `json:"enable_push_whitelist"`
	PushWhitelist       []string `json:"push_whitelist_usernames,omitempty"`

	EnableMergeWhitelist bool     `json:"enable_merge_whitelist"`
	MergeWhitelist       []string `json:"merge_whitelist_usernames,omitempty"`

	EnableStatusCheck bool     `json:"enable_status_check"`
	StatusContexts    []string `json:"status_check_contexts,omitempty"`

	RequiredApprovals        int64    `json:"required_approvals"`
	EnableApprovalsWhitelist bool     `json:"enable_approvals_whitelist"`
	ApprovalsWhitelist       []string `json:"approvals_whitelist_username,omitempty"`
	ApprovalsWhitelistTeams  []string `json:"approvals_whitelist_teams,omitempty"`

	DismissStaleApprovals   bool `json:"dismiss_stale_approvals"`
	IgnoreStaleApprovals    bool `json:"ignore_stale_approvals"`
	BlockOnRejectedReviews  bool `json:"block_on_rejected_reviews"`
	BlockOnOutdatedBranch   bool `json:"block_on_outdated_branch"`
	BlockAdminMergeOverride bool `json:"block_admin_merge_override"`
	EnableBypassAllowlist   bool `json:"enable_bypass_allowlist"`
}

// Hook is a webhook that is signed with the secret.
type Hook struct {
	URL    string
	Secret string
	Events []string // nil means AllEvents
}

// AllEvents lists the events that concern Slipway, CI's own among them.
func AllEvents() []string {
	return []string{
		"create", "delete", "push", "release", "status",
		"pull_request", "pull_request_assign", "pull_request_label", "pull_request_comment",
		"pull_request_review", "pull_request_review_request", "pull_request_sync",
		"issue_comment", "issues_only", "issue_label", "repository", "package", "workflow_run", "workflow_job",
	}
}

// CreateOrg makes an organisation that everybody on the server can see.
func (s *Server) CreateOrg(ctx context.Context, name string) error {
	err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
		_, response, err := c.CreateOrg(sdk.CreateOrgOption{Name: name, Visibility: sdk.VisibleTypePublic})
		return response, err
	})
	if err != nil {
		return fmt.Errorf("create the organisation %s: %w", name, err)
	}
	return nil
}

// CreateRepo makes a public repository of an organisation. A seeded one has a
// first commit on main; the other is empty.
func (s *Server) CreateRepo(ctx context.Context, owner, name string, seeded bool) error {
	err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
		_, response, err := c.CreateOrgRepo(owner, sdk.CreateRepoOption{
			Name:          name,
			DefaultBranch: "main",
			AutoInit:      seeded,
		})
		return response, err
	})
	if err != nil {
		return fmt.Errorf("create the repository %s/%s: %w", owner, name, err)
	}
	return nil
}

// CreateTeam makes a team of an organisation with its repositories and members.
func (s *Server) CreateTeam(ctx context.Context, org string, t Team) error {
	var made struct {
		ID int64 `json:"id"`
	}
	err := s.Call(ctx, s.admin.Token, http.MethodPost, "/orgs/"+org+"/teams", map[string]any{
		"name":       t.Name,
		"permission": Read,
		"units_map":  t.Units,
	}, &made)
	if err != nil {
		return fmt.Errorf("create the team %s/%s: %w", org, t.Name, err)
	}
	for _, repo := range t.Repositories {
		err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
			return c.AddTeamRepository(made.ID, org, repo)
		})
		if err != nil {
			return fmt.Errorf("give %s/%s to the team %s: %w", org, repo, t.Name, err)
		}
	}
	for _, login := range t.Members {
		err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
			return c.AddTeamMember(made.ID, login)
		})
		if err != nil {
			return fmt.Errorf("add %s to the team %s/%s: %w", login, org, t.Name, err)
		}
	}
	return nil
}

// SetCollaborator gives a user a right to a repository.
func (s *Server) SetCollaborator(ctx context.Context, owner, repo, login string, p Permission) error {
	mode := sdk.AccessMode(p)
	err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
		return c.AddCollaborator(owner, repo, login, sdk.AddCollaboratorOption{Permission: &mode})
	})
	if err != nil {
		return fmt.Errorf("give %s the right to %s %s/%s: %w", login, p, owner, repo, err)
	}
	return nil
}

// ProtectBranch adds a rule for branches. It fails if Gitea leaves somebody off
// a whitelist, which it does without a word: an approver must have a right to
// the repository that is on record, and Gitea records no collaborator's right
// to read a public one. A team's it does.
func (s *Server) ProtectBranch(ctx context.Context, owner, repo string, rule BranchRule) error {
	path := "/repos/" + owner + "/" + repo + "/branch_protections"
	var kept BranchRule
	if err := s.Call(ctx, s.admin.Token, http.MethodPost, path, rule, &kept); err != nil {
		return fmt.Errorf("protect the branch %s of %s/%s: %w", rule.Name, owner, repo, err)
	}
	lists := []struct {
		name         string
		wanted, kept []string
	}{
		{"push", rule.PushWhitelist, kept.PushWhitelist},
		{"merge", rule.MergeWhitelist, kept.MergeWhitelist},
		{"approvals", rule.ApprovalsWhitelist, kept.ApprovalsWhitelist},
		{"approving teams", rule.ApprovalsWhitelistTeams, kept.ApprovalsWhitelistTeams},
	}
	for _, list := range lists {
		for _, login := range list.wanted {
			if !slices.Contains(list.kept, login) {
				return fmt.Errorf("protect the branch %s of %s/%s: Gitea left %s off the %s whitelist", rule.Name, owner, repo, login, list.name)
			}
		}
	}
	return nil
}

// ProtectTags lets only the named users make tags that match the pattern, such
// as "v*".
func (s *Server) ProtectTags(ctx context.Context, owner, repo, pattern string, logins ...string) error {
	err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
		_, response, err := c.CreateTagProtection(owner, repo, sdk.CreateTagProtectionOption{
			NamePattern:        pattern,
			WhitelistUsernames: logins,
		})
		return response, err
	})
	if err != nil {
		return fmt.Errorf("protect the tags %s of %s/%s: %w", pattern, owner, repo, err)
	}
	return nil
}

// AddHook adds a webhook to a repository and returns its id.
func (s *Server) AddHook(ctx context.Context, owner, repo string, h Hook) (int64, error) {
	if h.Events == nil {
		h.Events = AllEvents()
	}
	var id int64
	err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
		made, response, err := c.CreateRepoHook(owner, repo, sdk.CreateHookOption{
			Type:   sdk.HookTypeGitea,
			Config: map[string]string{"url": h.URL, "content_type": "json", "secret": h.Secret},
			Events: h.Events,
			Active: true,
		})
		if err == nil {
			id = made.ID
		}
		return response, err
	})
	if err != nil {
		return 0, fmt.Errorf("add a webhook to %s/%s: %w", owner, repo, err)
	}
	return id, nil
}
