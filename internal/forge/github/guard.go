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

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// Guard is a GitHub as onboarding sees and sets it, with the token of whoever
// onboards.
type Guard struct{ *Client }

var _ onboard.Guard = Guard{}

// botSuffix ends the login of an App's account.
const botSuffix = "[bot]"

// Look reads the repository's rules, webhooks, labels and rights. GitHub has no
// list of approvers, and no right to packages that a team could be given here;
// what only one account may do can be said of an App alone.
func (g Guard) Look(ctx context.Context, w onboard.Want) (onboard.Forge, error) {
	repo, response, err := g.sdk.Repositories.Get(ctx, w.Repo.Owner, w.Repo.Name)
	if err != nil {
		return onboard.Forge{}, fmt.Errorf("look at %s: %w", w.Repo, sorted(err))
	}
	app, err := g.appOf(ctx, w.Bot)
	if err != nil {
		return onboard.Forge{}, fmt.Errorf("look at the App of %s: %w", w.Bot, sorted(err))
	}
	is := onboard.Forge{Named: repo.GetFullName(), Lacks: []onboard.Feature{onboard.FeatureApprovers, onboard.FeaturePackages}}
	if app == 0 {
		is.Lacks = append(is.Lacks, onboard.FeatureGate, onboard.FeatureMergers, onboard.FeatureTagProtection)
	}
	is.Organization = ref.Known(repo.GetOwner().GetType() == "Organization")
	is.Self = g.whoami(ctx, w, repo, response)
	var group errgroup.Group
	group.SetLimit(together)
	for _, read := range []func(){
		func() { is.Rule = g.lookRule(ctx, w, app) },
		func() { is.Tags = g.lookTags(ctx, w, app) },
		func() { is.Hooks = g.lookHooks(ctx, w.Repo) },
		func() { is.Labels = g.lookLabels(ctx, w.Repo) },
		func() { is.Bot = g.lookBot(ctx, w, app) },
	} {
		group.Go(func() error { read(); return nil })
	}
	_ = group.Wait() // each says what it could not read
	return is, ctx.Err()
}

// Set makes one part so.
func (g Guard) Set(ctx context.Context, repo ref.RepoID, p onboard.Part) error {
	var err error
	switch p := p.(type) {
	case onboard.Protection:
		err = g.protect(ctx, repo, p)
	case onboard.TagProtection:
		err = g.protectTags(ctx, repo, p)
	case onboard.Hook:
		err = g.setHook(ctx, repo, p)
	case onboard.Permission:
		_, _, err = g.sdk.Repositories.AddCollaborator(ctx, repo.Owner, repo.Name, url.PathEscape(p.Login),
			&sdk.RepositoryAddCollaboratorOptions{Permission: permissionNamed(p.Access)})
	case onboard.Label:
		_, _, err = g.sdk.Issues.CreateLabel(ctx, repo.Owner, repo.Name, &sdk.Label{Name: &p.Name, Color: &p.Color, Description: &p.Means})
		if fellBehind(err) {
			err = nil // it is there
		}
	default:
		return fmt.Errorf("a GitHub holds no %T", p)
	}
	if err != nil {
		return fmt.Errorf("set up %s: %w", repo, denied(err))
	}
	return nil
}

// appOf is the id of the App whose account a login is; 0 for anybody else's.
func (g Guard) appOf(ctx context.Context, login string) (int64, error) {
	slug, isApp := strings.CutSuffix(login, botSuffix)
	if !isApp {
		return 0, nil
	}
	client, name := g.sdk, slug
	if g.app != nil && strings.EqualFold(login, g.login) {
		client, name = g.app, "" // itself
	}
	app, _, err := client.Apps.Get(ctx, url.PathEscape(name))
	if err != nil {
		return 0, err
	}
	if !strings.EqualFold(app.GetSlug(), slug) || app.GetID() == 0 {
		return 0, fmt.Errorf("it is that of %s", app.GetSlug())
	}
	return app.GetID(), nil
}

// whoami is the account and its standing.
func (g Guard) whoami(ctx context.Context, w onboard.Want, repo *sdk.Repository, response *sdk.Response) onboard.Self {
	self := onboard.Self{Login: g.login}
	if user, err := g.readSelf(ctx); err == nil {
		self.Login = user.GetLogin()
	}
	if strings.EqualFold(self.Login, w.Repo.Owner) {
		self.Owner = ref.Yes
	}
	if g.app != nil {
		self.Repository, self.Unscoped = g.installation(ctx, w)
		self.Grant = "grant them to the App " + strings.TrimSuffix(self.Login, botSuffix) + " in its settings, and accept them where it is installed"
		return self
	}
	switch p := repo.GetPermissions(); {
	case p["admin"]:
		self.Repository = onboard.AccessAdmin
	case p["push"]:
		self.Repository = onboard.AccessWrite
	case p["pull"]:
		self.Repository = onboard.AccessRead
	}
	// Only the older kind of token tells its scopes.
	if scopes := response.Header.Get("X-OAuth-Scopes"); scopes != "" {
		has := strings.FieldsFunc(scopes, func(r rune) bool { return r == ',' || r == ' ' })
		if !slices.Contains(has, "repo") && (repo.GetPrivate() || !slices.Contains(has, "public_repo")) {
			self.Unscoped = append(self.Unscoped, "repo")
		}
	}
	return self
}

// needed are the permissions of an App, as docs/github.md gives their reasons.
func needed(w onboard.Want) map[string]string {
	all := map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "statuses": "write", "checks": "read",
		"actions": "read",
	}
	if len(w.Foreign) > 0 {
		all["members"] = "read"
	}
	return all
}

// installation says what the App may do with the repository, and which of the
// permissions that Slipway needs it lacks.
func (g Guard) installation(ctx context.Context, w onboard.Want) (onboard.Access, []string) {
	// The SDK's type has only the permissions that it knew of.
	var is struct {
		Permissions map[string]string `json:"permissions"`
	}
	request, err := g.app.NewRequest(http.MethodGet, repoPath(w.Repo, "installation"), nil)
	if err == nil {
		_, err = g.app.Do(ctx, request, &is)
	}
	if err != nil {
		g.unread("the installation on "+w.Repo.String(), err)
		return onboard.AccessNone, nil
	}
	var lacks []string
	for name, level := range needed(w) {
		if has := is.Permissions[name]; has != level && has != "write" {
			lacks = append(lacks, name+":"+level)
		}
	}
	slices.Sort(lacks)
	switch {
	case is.Permissions["administration"] == "write":
		return onboard.AccessAdmin, lacks
	case is.Permissions["contents"] == "write":
		return onboard.AccessWrite, lacks
	default:
		return onboard.AccessRead, lacks
	}
}

// lookBot is what Slipway's own account may do. An App is no collaborator and
// can be made none: what it may do was granted with its installation, and
// Unscoped says what of that is missing, so nothing is left to be set.
func (g Guard) lookBot(ctx context.Context, w onboard.Want, app int64) onboard.Found[onboard.Access] {
	if app != 0 {
		return onboard.Read(onboard.AccessAdmin)
	}
	level, _, err := g.sdk.Repositories.GetPermissionLevel(ctx, w.Repo.Owner, w.Repo.Name, url.PathEscape(w.Bot))
	if err != nil {
		return onboard.Unread[onboard.Access](refused(err).Error())
	}
	if level.GetPermission() == "none" {
		return onboard.Read(onboard.AccessNone)
	}
	return onboard.Read(onboard.Access(level.GetPermission()))
}

func (g Guard) lookLabels(ctx context.Context, repo ref.RepoID) onboard.Found[[]string] {
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.Label, *sdk.Response, error) {
		return g.sdk.Issues.ListLabels(ctx, repo.Owner, repo.Name, &o)
	})
	if err != nil {
		return onboard.Unread[[]string](err.Error())
	}
	names := make([]string, 0, len(list))
	for _, l := range list {
		names = append(names, l.GetName())
	}
	return onboard.Read(names)
}

func permissionNamed(a onboard.Access) string {
	return map[onboard.Access]string{onboard.AccessRead: "pull", onboard.AccessWrite: "push", onboard.AccessAdmin: "admin"}[a]
}

// fellBehind says that a thing which was to be made is there already.
func fellBehind(err error) bool {
	return status(err) == http.StatusUnprocessableEntity && strings.Contains(refused(err).Error(), "already_exists")
}

// denied marks refusals for want of a right: 403, and 404 for what the caller
// may not even know of.
func denied(err error) error {
	err = sorted(err)
	switch status(err) {
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusNotFound:
		return errors.Join(onboard.ErrDenied, err)
	default:
		return err
	}
}
