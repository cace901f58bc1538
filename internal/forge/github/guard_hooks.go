package github

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// hookEvents are what Hint makes something of. Others may be delivered too.
func hookEvents() []string {
	return []string{
		"branch_protection_rule", "check_run", "issue_comment", "issues", "member", "pull_request", "pull_request_review", "push",
		"repository_ruleset", "status", "team_add", "workflow_run",
	}
}

func (g Guard) lookHooks(ctx context.Context, repo ref.RepoID) onboard.Found[[]onboard.Hook] {
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.Hook, *sdk.Response, error) {
		return g.sdk.Repositories.ListHooks(ctx, repo.Owner, repo.Name, &o)
	})
	if err != nil {
		return onboard.Unread[[]onboard.Hook](err.Error())
	}
	hooks := []onboard.Hook{}
	for _, row := range list {
		h := onboard.Hook{
			ID: row.GetID(), URL: row.Config.GetURL(), Active: row.GetActive(),
			JSON: row.Config.GetContentType() == "json", Signed: row.Config.GetSecret() != "", Failing: failing(row.LastResponse),
		}
		for _, e := range hookEvents() {
			if !slices.Contains(row.Events, e) && !slices.Contains(row.Events, "*") {
				h.Missing = append(h.Missing, e)
			}
		}
		hooks = append(hooks, h)
	}
	return onboard.Read(hooks)
}

// failing says how the last delivery failed; the code is null before the first.
func failing(last map[string]any) string {
	code, told := last["code"].(float64)
	if !told || code >= 200 && code < 300 {
		return ""
	}
	message, _ := last["message"].(string)
	return strings.TrimSpace(fmt.Sprintf("%.0f %s", code, oneLine(message)))
}

// setHook changes a webhook in place, that of the same address if none is named:
// GitHub has no two for one.
func (g Guard) setHook(ctx context.Context, repo ref.RepoID, h onboard.Hook) error {
	if h.Secret == nil || h.Secret.Reveal() == "" {
		return errors.New("a webhook without a secret would be refused")
	}
	hook := &sdk.Hook{
		Active: &h.Active,
		Events: hookEvents(),
		Config: &sdk.HookConfig{
			URL: &h.URL, ContentType: sdk.String("json"), Secret: sdk.String(h.Secret.Reveal()), InsecureSSL: sdk.String("0"),
		},
	}
	if h.ID == 0 {
		is := g.lookHooks(ctx, repo)
		if i := slices.IndexFunc(is.Is, func(o onboard.Hook) bool { return o.URL == h.URL }); i >= 0 {
			h.ID = is.Is[i].ID
		}
	}
	if h.ID != 0 {
		_, _, err := g.sdk.Repositories.EditHook(ctx, repo.Owner, repo.Name, h.ID, hook)
		return err
	}
	_, _, err := g.sdk.Repositories.CreateHook(ctx, repo.Owner, repo.Name, hook)
	return err
}
