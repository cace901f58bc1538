package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// Guard is a Gitea as onboarding sees and sets it, with the token of whoever
// onboards.
type Guard struct{ *Client }

var _ onboard.Guard = Guard{}

// scopesShown finds a token's own scopes in the refusal of what it lacks.
var scopesShown = regexp.MustCompile(`token scope=(\S*)`)

// Look reads the repository's protections, webhooks, teams, labels and rights.
// Of a Gitea's token nothing can be asked directly: its scopes stand in the
// refusal of a question that takes one which Slipway's has not.
func (g Guard) Look(ctx context.Context, w onboard.Want) (onboard.Forge, error) {
	var repo struct {
		FullName    string `json:"full_name"`
		Permissions struct {
			Admin bool `json:"admin"`
			Push  bool `json:"push"`
			Pull  bool `json:"pull"`
		} `json:"permissions"`
	}
	if _, err := g.get(ctx, repoPath(w.Repo), &repo); err != nil {
		return onboard.Forge{}, fmt.Errorf("look at %s: %w", w.Repo, sorted(err))
	}
	// Gitea counts a status whoever posts it, so a required slipway/gate would
	// hold nobody who may write.
	is := onboard.Forge{Named: repo.FullName, Lacks: []onboard.Feature{onboard.FeatureGate}}
	is.Self = g.whoami(ctx, w)
	switch p := repo.Permissions; {
	case p.Admin:
		is.Self.Repository = onboard.AccessAdmin
	case p.Push:
		is.Self.Repository = onboard.AccessWrite
	case p.Pull:
		is.Self.Repository = onboard.AccessRead
	}
	var group errgroup.Group
	group.SetLimit(together)
	for _, read := range []func(){
		func() { is.Rule = g.lookRule(ctx, w) },
		func() { is.Tags = g.lookTags(ctx, w) },
		func() { is.Hooks = g.lookHooks(ctx, w.Repo) },
		func() { is.Labels = g.lookLabels(ctx, w.Repo) },
		func() { is.Bot = g.lookBot(ctx, w, is.Self) },
		func() { is.Organization, is.Teams, is.Packages = g.lookTeams(ctx, w, is.Self) },
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
	case onboard.Team:
		err = g.setTeam(ctx, repo, p)
	case onboard.Permission:
		err = g.setPermission(ctx, repo, p)
	case onboard.Label:
		_, err = g.call(ctx, http.MethodPost, repoPath(repo, "labels"),
			map[string]string{"name": p.Name, "color": "#" + p.Color, "description": p.Means}, nil)
	default:
		return fmt.Errorf("a Gitea holds no %T", p)
	}
	if err != nil {
		return fmt.Errorf("set up %s: %w", repo, denied(err))
	}
	return nil
}

// MayPush says whether the account may push images of an owner. It asks the
// registry for an upload that was never begun, which is refused as unknown only
// after the right to write was checked, and which writes nothing.
func (g Guard) MayPush(ctx context.Context, repo ref.RepoID) onboard.Found[bool] {
	status, err := g.askRegistry(ctx, "/v2/"+url.PathEscape(onboard.Lower(repo.Owner))+"/slipway/blobs/uploads/none")
	switch {
	case err != nil:
		return onboard.Unread[bool](err.Error())
	case status == http.StatusNotFound:
		return onboard.Read(true)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return onboard.Read(false)
	default:
		return onboard.Unread[bool](fmt.Sprintf("the registry answers %d", status))
	}
}

// askRegistry makes one GET with the token as a password, the only way in which
// the registry takes it.
func (g Guard) askRegistry(ctx context.Context, path string) (status int, err error) {
	carried, ok := g.http.Transport.(*carrier)
	if !ok {
		return 0, errors.New("there is no token to ask the registry with")
	}
	token, err := carried.token()
	if err != nil {
		return 0, fmt.Errorf("get the token: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, carried.site.Scheme+"://"+carried.site.Host+path, nil)
	if err != nil {
		return 0, err
	}
	request.SetBasicAuth(g.login, strings.TrimSpace(token))
	client := &http.Client{Transport: carried.next, Timeout: g.http.Timeout, CheckRedirect: g.http.CheckRedirect}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// whoami reads the account and its standing.
func (g Guard) whoami(ctx context.Context, w onboard.Want) onboard.Self {
	self := onboard.Self{Login: g.login}
	var user struct {
		Login string `json:"login"`
		Admin bool   `json:"is_admin"`
	}
	if _, err := g.get(ctx, "/user", &user); err == nil {
		self.Login, self.Site = user.Login, ref.Known(user.Admin)
	}
	scopes, known := g.scopes(ctx)
	if known {
		self.Unscoped = unscoped(scopes, w)
	}
	var standing struct {
		Owner bool `json:"is_owner"`
	}
	_, err := g.get(ctx, "/users/"+url.PathEscape(self.Login)+"/orgs/"+url.PathEscape(w.Repo.Owner)+"/permissions", &standing)
	switch {
	case strings.EqualFold(self.Login, w.Repo.Owner):
		self.Owner = ref.Yes
	case known && !covers(scopes, "write:organization"):
		self.Owner = ref.No // whatever the account is, this token may not act so
	case err == nil:
		self.Owner = ref.Known(standing.Owner)
	case status(err) == http.StatusNotFound:
		self.Owner = ref.No
	}
	return self
}

// scopes are those of the token, as far as they can be told.
func (g Guard) scopes(ctx context.Context) ([]string, bool) {
	_, err := g.get(ctx, "/admin/cron?limit=1", nil)
	shown := scopesShown.FindStringSubmatch(fmt.Sprint(err))
	if status(err) != http.StatusForbidden || shown == nil {
		return nil, false // it has the scope for that, so presumably all
	}
	return strings.Split(strings.Trim(shown[1], "[]"), ","), true
}

// unscoped are those that Slipway's own token needs and does not have.
func unscoped(scopes []string, w onboard.Want) []string {
	needed := []string{"write:repository", "write:issue", "read:user"}
	if slices.ContainsFunc(w.Packages.Members, func(m string) bool { return strings.EqualFold(m, w.Bot) }) {
		needed = append(needed, "write:package")
	}
	if len(w.Foreign) > 0 {
		needed = append(needed, "read:organization")
	}
	return slices.DeleteFunc(needed, func(n string) bool { return covers(scopes, n) })
}

// covers says whether scopes hold one, writing holding reading.
func covers(scopes []string, scope string) bool {
	action, category, _ := strings.Cut(scope, ":")
	return slices.Contains(scopes, "all") || slices.Contains(scopes, scope) || action == "read" && slices.Contains(scopes, "write:"+category)
}

func (g Guard) lookBot(ctx context.Context, w onboard.Want, self onboard.Self) onboard.Found[onboard.Access] {
	var held struct {
		Permission string `json:"permission"`
	}
	_, err := g.get(ctx, repoPath(w.Repo, "collaborators", w.Bot, "permission"), &held)
	switch {
	case err == nil:
	case strings.EqualFold(self.Login, w.Bot):
		return onboard.Read(self.Repository)
	default:
		return onboard.Unread[onboard.Access](err.Error())
	}
	switch held.Permission {
	case "owner", "admin":
		return onboard.Read(onboard.AccessAdmin)
	case "none":
		return onboard.Read(onboard.AccessNone)
	default:
		return onboard.Read(onboard.Access(held.Permission))
	}
}

// setPermission makes somebody a collaborator. Whoever leaves the last team of
// the organisation stays one in name and loses what it gives: Gitea takes the
// same permission again for no change, so it is then taken away and given anew.
func (g Guard) setPermission(ctx context.Context, repo ref.RepoID, p onboard.Permission) error {
	path := repoPath(repo, "collaborators", p.Login)
	give := func() error {
		_, err := g.call(ctx, http.MethodPut, path, map[string]string{"permission": string(p.Access)}, nil)
		return err
	}
	if err := give(); err != nil {
		return err
	}
	held := g.lookBot(ctx, onboard.Want{Repo: repo, Bot: p.Login}, onboard.Self{})
	if held.Read && held.Is == p.Access {
		return nil
	}
	if _, err := g.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	return give()
}

func (g Guard) lookLabels(ctx context.Context, repo ref.RepoID) onboard.Found[[]string] {
	type label struct {
		Name string `json:"name"`
	}
	all, err := pages(func(o sdk.ListOptions) (rows []label, r *sdk.Response, err error) {
		r, err = g.get(ctx, repoPath(repo, "labels")+query(o, ""), &rows)
		return rows, r, err
	})
	if err != nil {
		return onboard.Unread[[]string](err.Error())
	}
	names := make([]string, 0, len(all))
	for _, l := range all {
		names = append(names, l.Name)
	}
	return onboard.Read(names)
}

// denied marks refusals for want of a right. Gitea answers 401 for packages, and
// 404 to some questions of those who may not know that a thing is there.
func denied(err error) error {
	if s := status(err); s == http.StatusForbidden || s == http.StatusUnauthorized {
		return errors.Join(onboard.ErrDenied, err)
	}
	return err
}
