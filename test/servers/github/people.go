package github

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (c *call) getRepository() reply {
	o := c.repository(c.repo)
	o["network_count"], o["subscribers_count"], o["has_discussions"] = 0, 0, false
	if c.cred.who != nil {
		o["permissions"] = rights(c.Server.role(c.cred, c.repo))
	}
	return c.ok(o)
}

func rights(r role) object {
	return object{"pull": r >= roleRead, "triage": r >= roleTriage, "push": r >= roleWrite, "maintain": r >= roleMaintain, "admin": r >= roleAdmin}
}

func (c *call) permissionOf() reply {
	who := c.account(c.param("username"))
	if who == nil {
		return c.notFound()
	}
	r := c.roleOf(who, c.repo)
	return c.ok(object{"permission": r.permission(), "role_name": r.String(), "user": c.collaborator(who, r)})
}

func (c *call) listCollaborators() reply {
	least := map[string]role{"": roleRead, "pull": roleRead, "triage": roleTriage, "push": roleWrite, "maintain": roleMaintain, "admin": roleAdmin}[c.query("permission")]
	var list []any
	for _, login := range sortedKeys(c.accounts) {
		who := c.accounts[login]
		if who.Type == "Organization" || !c.listed(who) {
			continue
		}
		if r := c.roleOf(who, c.repo); r >= least {
			list = append(list, c.collaborator(who, r))
		}
	}
	return c.list(list)
}

// listed says whether somebody has a right of their own, beyond everybody's.
func (c *call) listed(who *Account) bool {
	if c.repo.collaborators[who.Login] > roleNone {
		return true
	}
	for _, t := range c.teams {
		if t.org == c.repo.owner.Login && t.repos[c.repo.name] > roleNone && slices.Contains(t.members, who.Login) {
			return true
		}
	}
	return false
}

func (s *Server) collaborator(who *Account, r role) object {
	o := s.user(who).(object)
	o["permissions"], o["role_name"] = rights(r), r.String()
	return o
}

func (c *call) myself() reply {
	if c.cred.app != nil {
		return c.refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return c.ok(c.profile(c.cred.who))
}

func (c *call) getUser() reply {
	who := c.account(c.param("username"))
	if who == nil {
		return c.notFound()
	}
	return c.ok(c.profile(who))
}

func (s *Server) profile(who *Account) object {
	o := s.user(who).(object)
	o["name"], o["created_at"], o["updated_at"] = who.Login, "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
	o["user_view_type"] = "public"
	return o
}

func (s *Server) account(login string) *Account {
	for _, a := range s.accounts {
		if strings.EqualFold(a.Login, login) {
			return a
		}
	}
	return nil
}

func (c *call) teamOf() *team {
	return c.teams[strings.ToLower(c.param("org")+"/"+c.param("team_slug"))]
}

func (c *call) getTeam() reply {
	t := c.teamOf()
	if t == nil {
		return c.notFound()
	}
	o := c.teamObject(t)
	o["created_at"], o["updated_at"] = "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
	o["members_count"], o["repos_count"] = len(t.members), len(t.repos)
	org := c.accounts[t.org]
	o["organization"] = object{"login": org.Login, "id": org.ID, "type": org.Type, "created_at": "2020-01-01T00:00:00Z",
		"updated_at": "2020-01-01T00:00:00Z", "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0, "archived_at": nil}
	return c.ok(o)
}

func (s *Server) teamObject(t *team) object {
	return object{"id": t.id, "name": t.slug, "slug": t.slug, "description": nil, "permission": "pull", "type": "organization",
		"html_url": s.URL() + "/orgs/" + t.org + "/teams/" + t.slug, "organization_id": s.accounts[t.org].ID}
}

func (c *call) teamMembers() reply {
	t := c.teamOf()
	if t == nil {
		return c.notFound()
	}
	return c.list(rows(t.members, func(login string) object { return c.user(c.accounts[login]).(object) }))
}

func (c *call) teamMembership() reply {
	t := c.teamOf()
	if t == nil || !slices.Contains(t.members, c.param("username")) {
		return c.notFound()
	}
	return c.ok(object{"role": "member", "state": "active"})
}

func (c *call) listTeams() reply {
	var list []any
	for _, key := range sortedKeys(c.teams) {
		if strings.EqualFold(c.teams[key].org, c.param("org")) {
			list = append(list, c.teamObject(c.teams[key]))
		}
	}
	return c.list(list)
}

func (c *call) repoTeams() reply {
	var list []any
	for _, key := range sortedKeys(c.teams) {
		t := c.teams[key]
		if r := t.repos[c.repo.name]; t.org == c.repo.owner.Login && r > roleNone {
			o := c.teamObject(t)
			o["permission"] = map[role]string{roleRead: "pull", roleTriage: "triage", roleWrite: "push", roleMaintain: "maintain", roleAdmin: "admin"}[r]
			list = append(list, o)
		}
	}
	return c.list(list)
}

func (c *call) getApp() reply { return c.ok(c.integration(c.cred.app)) }

// getAppNamed shows an App to anybody.
func (c *call) getAppNamed() reply {
	for _, a := range c.apps {
		if a.Slug == c.param("app_slug") {
			return c.ok(c.integration(a))
		}
	}
	return c.notFound()
}

func (c *call) installations() reply { return c.list([]any{c.installation(c.cred.app)}) }

func (c *call) repoInstallation() reply {
	if c.cred.app.Owner != c.repo.owner.Login {
		return c.notFound()
	}
	return c.ok(c.installation(c.cred.app))
}

func (s *Server) installation(a *App) object {
	owner := s.accounts[a.Owner]
	permissions := object{}
	for name, level := range a.Permissions {
		permissions[name] = level
	}
	return object{"id": a.Installation, "app_id": a.ID, "app_slug": a.Slug, "account": s.user(owner), "permissions": permissions,
		"target_id": owner.ID, "target_type": owner.Type, "events": []any{}, "repository_selection": "all",
		"created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z", "single_file_name": nil,
		"suspended_by": nil, "suspended_at": nil}
}

// installationLimit is how long an installation token lives.
const installationLimit = time.Hour

func (c *call) installationToken() reply {
	if c.cred.app.Installation != c.number("installation_id") {
		return c.notFound()
	}
	var in struct{ Repositories []string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, name := range in.Repositories {
		if c.repos[strings.ToLower(c.cred.app.Owner+"/"+name)] == nil {
			return c.refuse(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
		}
	}
	token, expires := "ghs_"+rand.Text(), now().Add(installationLimit)
	c.tokens[token] = credential{who: c.cred.app.bot, app: c.cred.app, repos: in.Repositories, expires: expires}
	permissions := object{}
	for name, level := range c.cred.app.Permissions {
		permissions[name] = level
	}
	selection := "all"
	if in.Repositories != nil {
		selection = "selected"
	}
	return reply{http.StatusCreated, object{"token": token, "expires_at": expires.Format(time.RFC3339), "permissions": permissions, "repository_selection": selection}}
}

// listActivity tells who moved which ref, newest first.
func (c *call) listActivity() reply {
	var list []activity
	for _, a := range slices.Backward(c.repo.activity) {
		ref := c.query("ref")
		if ref == "" || a.ref == ref || a.ref == "refs/heads/"+ref {
			list = append(list, a)
		}
	}
	return c.list(rows(list, func(a activity) object {
		return object{"id": a.id, "ref": a.ref, "before": a.before, "after": a.after, "actor": c.user(a.actor), "activity_type": a.kind, "timestamp": a.at}
	}))
}
