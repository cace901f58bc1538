package github

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// demand is what one protection or ruleset asks of a merge.
type demand struct {
	ruleset      bool
	contexts     []string
	strict       bool
	approvals    int
	dismissStale bool
	linear       bool
	pulls        bool // pushes must come as pull requests
}

// rulesFor are the demands on a branch.
func (s *Server) rulesFor(r *repository, branch string) []demand {
	var list []demand
	if p := r.protection[branch]; p != nil {
		list = append(list, demand{contexts: p.contexts, strict: p.strict, approvals: p.approvals, dismissStale: p.dismissStale, linear: p.linear, pulls: p.reviewed || p.checked})
	}
	for _, set := range r.rulesets {
		if set.enforcement == "active" && set.target == "branch" && set.covers(branch) {
			list = append(list, set.demand())
		}
	}
	return list
}

func (s *Server) guarded(r *repository, branch string) bool {
	return slices.ContainsFunc(s.rulesFor(r, branch), func(d demand) bool { return d.pulls })
}

func (s *Server) linear(r *repository, branch string) bool {
	return slices.ContainsFunc(s.rulesFor(r, branch), func(d demand) bool { return d.linear })
}

// guard writes down for git's own hook which refs may not be pushed.
func (s *Server) guard(r *repository) error {
	var lines strings.Builder
	for ref := range s.refs(r) {
		if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok && s.guarded(r, branch) {
			lines.WriteString(ref + "\n")
		}
	}
	return os.WriteFile(filepath.Join(r.dir, "protected-refs"), []byte(lines.String()), 0o600)
}

func (t *ruleset) covers(branch string) bool {
	match := func(pattern string) bool {
		return pattern == "~ALL" || pattern == "~DEFAULT_BRANCH" && branch == "main" || pattern == "refs/heads/"+branch
	}
	return slices.ContainsFunc(t.include, match) && !slices.ContainsFunc(t.exclude, match)
}

func (t *ruleset) demand() demand {
	d := demand{ruleset: true}
	for _, rule := range t.rules {
		text, _ := json.Marshal(rule["parameters"]) // it came as JSON
		var p struct {
			Strict   bool `json:"strict_required_status_checks_policy"`
			Required []struct {
				Context string `json:"context"`
			} `json:"required_status_checks"`
			Approvals int  `json:"required_approving_review_count"`
			Stale     bool `json:"dismiss_stale_reviews_on_push"`
		}
		_ = json.Unmarshal(text, &p)
		switch rule["type"] {
		case "required_status_checks":
			d.strict, d.pulls = p.Strict, true
			for _, k := range p.Required {
				d.contexts = append(d.contexts, k.Context)
			}
		case "pull_request":
			d.approvals, d.dismissStale, d.pulls = p.Approvals, p.Stale, true
		case "required_linear_history":
			d.linear = true
		}
	}
	return d
}

func (c *call) branchRules() reply {
	list := []any{}
	for _, set := range c.repo.rulesets {
		if set.enforcement != "active" || set.target != "branch" || !set.covers(c.param("branch")) {
			continue
		}
		for _, rule := range set.rules {
			one := clone(rule).(object)
			one["ruleset_source_type"], one["ruleset_source"], one["ruleset_id"] = "Repository", c.repo.fullName(), set.id
			list = append(list, one)
		}
	}
	return c.list(list)
}

func (c *call) listRulesets() reply {
	return c.list(rows(c.repo.rulesets, func(t *ruleset) object {
		o := c.rulesetObject(t)
		delete(o, "rules")
		delete(o, "conditions")
		delete(o, "bypass_actors")
		return o
	}))
}

func (c *call) getRuleset() reply {
	t := c.rulesetOf()
	if t == nil {
		return c.notFound()
	}
	o := c.rulesetObject(t)
	if !c.administers() {
		delete(o, "bypass_actors")
	}
	return c.ok(o)
}

// administers says whether the caller may change the repository's rules: GitHub
// shows only to them who gets past one.
func (c *call) administers() bool {
	if c.cred.app != nil {
		return c.cred.app.Permissions["administration"] == "write"
	}
	return c.Server.role(c.cred, c.repo) >= roleAdmin
}

func (c *call) createRuleset() reply {
	t := &ruleset{id: c.id(), target: "branch", at: now()}
	if err := c.setRuleset(t); err != nil {
		return c.refuse(http.StatusUnprocessableEntity, err.Error())
	}
	c.repo.rulesets = append(c.repo.rulesets, t)
	_ = c.guard(c.repo)
	return reply{http.StatusCreated, c.rulesetObject(t)}
}

func (c *call) updateRuleset() reply {
	t := c.rulesetOf()
	if t == nil {
		return c.notFound()
	}
	if err := c.setRuleset(t); err != nil {
		return c.refuse(http.StatusUnprocessableEntity, err.Error())
	}
	_ = c.guard(c.repo)
	return c.ok(c.rulesetObject(t))
}

func (c *call) deleteRuleset() reply {
	t := c.rulesetOf()
	if t == nil {
		return c.notFound()
	}
	c.repo.rulesets = slices.DeleteFunc(c.repo.rulesets, func(o *ruleset) bool { return o == t })
	_ = c.guard(c.repo)
	return reply{status: http.StatusNoContent}
}

func (c *call) rulesetOf() *ruleset {
	for _, t := range c.repo.rulesets {
		if t.id == c.number("ruleset_id") {
			return t
		}
	}
	return nil
}

func (c *call) setRuleset(t *ruleset) error {
	var in struct {
		Name, Target, Enforcement *string
		Bypass                    []any `json:"bypass_actors"`
		Conditions                *struct {
			RefName struct{ Include, Exclude []string } `json:"ref_name"`
		}
		Rules []object
	}
	if err := c.read(&in); err != nil {
		return err
	}
	for _, f := range []struct {
		given *string
		into  *string
	}{{in.Name, &t.name}, {in.Target, &t.target}, {in.Enforcement, &t.enforcement}} {
		if f.given != nil {
			*f.into = *f.given
		}
	}
	if in.Conditions != nil {
		t.include, t.exclude = in.Conditions.RefName.Include, in.Conditions.RefName.Exclude
	}
	if in.Rules != nil {
		t.rules = in.Rules
	}
	if in.Bypass != nil {
		t.bypass = in.Bypass
	}
	return nil
}

func (s *Server) rulesetObject(t *ruleset) object {
	return object{"id": t.id, "name": t.name, "target": t.target, "source_type": "Repository", "source": "repository", "enforcement": t.enforcement,
		"bypass_actors": orEmpty(t.bypass), "conditions": object{"ref_name": object{"include": orEmpty(t.include), "exclude": orEmpty(t.exclude)}},
		"rules": orEmpty(t.rules), "created_at": t.at, "updated_at": t.at}
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
