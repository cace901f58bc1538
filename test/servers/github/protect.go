package github

import "net/http"

// protecting is the body of PUT …/protection.
type protecting struct {
	Checks *struct {
		Strict   bool
		Contexts []string
		Checks   []struct {
			Context string
		}
	} `json:"required_status_checks"`
	Admins  *bool `json:"enforce_admins"`
	Reviews *struct {
		Stale    bool `json:"dismiss_stale_reviews"`
		Owners   bool `json:"require_code_owner_reviews"`
		Count    int  `json:"required_approving_review_count"`
		LastPush bool `json:"require_last_push_approval"`
	} `json:"required_pull_request_reviews"`
	Restrictions *struct{ Users, Teams, Apps []string } `json:"restrictions"`
	Linear       bool                                   `json:"required_linear_history"`
	Force        *bool                                  `json:"allow_force_pushes"`
	Deletions    bool                                   `json:"allow_deletions"`
	Resolved     bool                                   `json:"required_conversation_resolution"`
}

func (c *call) getBranch() reply {
	name := c.param("branch")
	tip := c.tip(c.repo, "refs/heads/"+name)
	if tip == "" {
		return c.refuse(http.StatusNotFound, "Branch not found")
	}
	head, _ := c.Server.commit(c.repo, tip)
	protected := len(c.rulesFor(c.repo, name)) > 0
	address := c.api(c.repo) + "/branches/" + name
	return c.ok(object{"name": name, "commit": c.gitCommit(c.repo, head), "protected": protected, "protection_url": address + "/protection",
		"protection": object{"enabled": protected, "required_status_checks": object{"enforcement_level": "off", "contexts": []any{}, "checks": []any{}}},
		"_links":     object{"self": address, "html": c.html(c.repo) + "/tree/" + name}})
}

func (c *call) listBranches() reply {
	var list []any
	all := c.refs(c.repo)
	for _, ref := range sortedKeys(all) {
		if len(ref) > 11 && ref[:11] == "refs/heads/" {
			list = append(list, object{"name": ref[11:], "commit": object{"sha": all[ref], "url": c.api(c.repo) + "/commits/" + all[ref]},
				"protected": len(c.rulesFor(c.repo, ref[11:])) > 0})
		}
	}
	return c.list(list)
}

func (c *call) getProtection() reply {
	p := c.repo.protection[c.param("branch")]
	if p == nil {
		return c.refuse(http.StatusNotFound, "Branch not protected")
	}
	return c.ok(c.protectionObject(p))
}

func (c *call) setProtection() reply {
	var in protecting
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if c.tip(c.repo, "refs/heads/"+c.param("branch")) == "" {
		return c.refuse(http.StatusNotFound, "Branch not found")
	}
	p := &protection{linear: in.Linear, deletions: in.Deletions, conversations: in.Resolved, admins: in.Admins != nil && *in.Admins, forcePushes: in.Force != nil && *in.Force}
	if in.Checks != nil {
		p.checked, p.strict, p.contexts = true, in.Checks.Strict, in.Checks.Contexts
		for _, k := range in.Checks.Checks {
			p.contexts = append(p.contexts, k.Context)
		}
	}
	if in.Reviews != nil {
		p.reviewed, p.approvals, p.dismissStale = true, in.Reviews.Count, in.Reviews.Stale
		p.codeOwners, p.lastPush = in.Reviews.Owners, in.Reviews.LastPush
	}
	if in.Restrictions != nil {
		p.restricted, p.pushers = true, in.Restrictions.Users
	}
	c.repo.protection[c.param("branch")] = p
	if err := c.guard(c.repo); err != nil {
		return c.refuse(http.StatusInternalServerError, err.Error())
	}
	o := c.protectionObject(p)
	delete(o, "enabled")
	return c.ok(o)
}

func (c *call) deleteProtection() reply {
	if c.repo.protection[c.param("branch")] == nil {
		return c.refuse(http.StatusNotFound, "Branch not protected")
	}
	delete(c.repo.protection, c.param("branch"))
	if err := c.guard(c.repo); err != nil {
		return c.refuse(http.StatusInternalServerError, err.Error())
	}
	return reply{status: http.StatusNoContent}
}

func (c *call) protectionObject(p *protection) object {
	address := c.api(c.repo) + "/branches/" + c.param("branch") + "/protection"
	o := object{"url": address, "enforce_admins": object{"url": address + "/enforce_admins", "enabled": p.admins},
		"required_linear_history": object{"enabled": p.linear}, "allow_force_pushes": object{"enabled": p.forcePushes},
		"allow_deletions": object{"enabled": p.deletions}, "required_conversation_resolution": object{"enabled": p.conversations}}
	if p.checked {
		checks := []any{}
		for _, name := range p.contexts {
			checks = append(checks, object{"context": name, "app_id": nil})
		}
		o["required_status_checks"] = object{"url": address + "/required_status_checks", "contexts_url": address + "/required_status_checks/contexts",
			"strict": p.strict, "contexts": orEmpty(p.contexts), "checks": checks}
	}
	if p.reviewed {
		o["required_pull_request_reviews"] = object{"url": address + "/required_pull_request_reviews", "dismiss_stale_reviews": p.dismissStale,
			"require_code_owner_reviews": p.codeOwners, "required_approving_review_count": p.approvals, "require_last_push_approval": p.lastPush}
	}
	if p.restricted {
		users := []any{}
		for _, login := range p.pushers {
			if a := c.accounts[login]; a != nil {
				users = append(users, c.user(a))
			}
		}
		o["restrictions"] = object{"url": address, "users_url": address, "teams_url": address, "apps_url": address,
			"users": users, "teams": []any{}, "apps": []any{}}
	}
	return o
}
