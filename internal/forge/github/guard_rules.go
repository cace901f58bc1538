package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	sdk "github.com/google/go-github/v62/github"

	"slipway/gate"
	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// ruleset is one as it is written and, with the writer's right, read. To others
// GitHub does not show who gets past it: Bypass is nil then.
type ruleset struct {
	ID          int64      `json:"id,omitempty"`
	Name        string     `json:"name"`
	Target      string     `json:"target"` // branch, tag
	Source      string     `json:"source_type,omitempty"`
	Enforcement string     `json:"enforcement"`
	Bypass      []bypass   `json:"bypass_actors"`
	Conditions  conditions `json:"conditions"`
	Rules       []rule     `json:"rules"`
}

type conditions struct {
	Ref struct {
		Include []string `json:"include"`
		Exclude []string `json:"exclude"`
	} `json:"ref_name"`
}

// bypass is who a ruleset does not hold. The actor's id may be null.
type bypass struct {
	ID   *int64 `json:"actor_id"`
	Type string `json:"actor_type"`
	Mode string `json:"bypass_mode"`
}

// rule is one of a ruleset; ID names that where a branch's rules are listed.
type rule struct {
	Type       string          `json:"type"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	ID         int64           `json:"ruleset_id,omitempty"`
}

// parameters are those of all rules that are looked at or set.
type parameters struct {
	*reviewing
	*checking
}

type reviewing struct {
	Approvals  int  `json:"required_approving_review_count"`
	Stale      bool `json:"dismiss_stale_reviews_on_push"`
	Owners     bool `json:"require_code_owner_review"`
	LastPush   bool `json:"require_last_push_approval"`
	Resolution bool `json:"required_review_thread_resolution"`
}

type checking struct {
	Strict bool       `json:"strict_required_status_checks_policy"`
	Checks []required `json:"required_status_checks"`
}

// required is a context, and the App that alone may report it; 0 for any.
type required struct {
	Context string `json:"context"`
	App     int64  `json:"integration_id,omitempty"`
}

// The names of Slipway's own rulesets.
func branchRules(branch string) string  { return "slipway: " + branch }
func updateRules(branch string) string  { return "slipway: who may merge to " + branch }
func tagRules(pattern string) string    { return "slipway: tags " + pattern }
func isUpdateRules(name, b string) bool { return name == updateRules(b) }

// lookRule puts together what all rulesets and the classic protection ask of
// the branch: each of them counts, but for those of the organisation past which
// it is not known who gets.
func (g Guard) lookRule(ctx context.Context, w onboard.Want, app int64) onboard.Found[*onboard.Protection] {
	if w.Rule == nil {
		return onboard.Read[*onboard.Protection](nil)
	}
	branch := w.Rule.Branch
	is := &onboard.Protection{Branch: branch, Push: true, ForcePush: true}
	contexts := map[string]int64{} // and the App that must report it
	var names []string
	rules, err := pages(func(o sdk.ListOptions) (rows []rule, r *sdk.Response, err error) {
		r, err = g.get(ctx, query(repoPath(w.Repo, "rules", "branches", branch), o, url.Values{}), &rows)
		return rows, r, err
	})
	if err != nil {
		return onboard.Unread[*onboard.Protection](err.Error())
	}
	sets := map[int64]ruleset{}
	for _, r := range rules {
		set, read := sets[r.ID]
		if !read {
			if set, err = g.ruleset(ctx, w.Repo, r.ID); err != nil {
				return onboard.Unread[*onboard.Protection](err.Error())
			}
			sets[r.ID] = set
			if set.Bypass == nil && set.Source == ofRepository {
				return onboard.Unread[*onboard.Protection](set.unseen())
			}
			if set.Bypass != nil {
				names = append(names, set.Name)
			}
			is.Bypass = is.Bypass || len(set.Bypass) > 0 && !isUpdateRules(set.Name, branch)
		}
		if set.Bypass == nil {
			continue
		}
		if err := r.addTo(is, contexts); err != nil {
			return onboard.Unread[*onboard.Protection](err.Error())
		}
		if r.Type == "update" {
			is.MergeListed, is.Mergers = true, append(is.Mergers, set.passing(w.Bot, app)...)
		}
	}
	is.AdminsIncluded = len(names) > 0
	classic, err := g.classic(ctx, w.Repo, branch, is, contexts)
	if err != nil {
		return onboard.Unread[*onboard.Protection](err.Error())
	}
	if len(names) == 0 && !classic {
		return onboard.Read[*onboard.Protection](nil)
	}
	if classic {
		names = append(names, "the protection of "+branch)
	}
	slices.Sort(names)
	is.Rule, is.BlockRejected = strings.Join(names, ", "), is.Approvals > 0 // GitHub then heeds rejections too
	is.Gate = app != 0 && contexts[gate.StatusContext] == app
	is.Checks = shownAs(w.Rule.Checks, contexts)
	return onboard.Read(is)
}

// addTo adds what one rule asks.
func (r rule) addTo(is *onboard.Protection, contexts map[string]int64) error {
	p := parameters{&reviewing{}, &checking{}}
	if len(r.Parameters) > 0 {
		if err := json.Unmarshal(r.Parameters, &p); err != nil {
			return fmt.Errorf("the rule %s: %w", r.Type, err)
		}
	}
	switch r.Type {
	case "pull_request":
		is.Push = false
		is.Approvals, is.DismissStale = max(is.Approvals, p.Approvals), is.DismissStale || p.Stale
	case "required_status_checks":
		is.UpToDate = is.UpToDate || p.Strict
		for _, c := range p.Checks {
			contexts[c.Context] = c.App
		}
	case "non_fast_forward":
		is.ForcePush = false
	}
	return nil
}

// classic adds what the branch's own protection asks, if it has one.
func (g Guard) classic(ctx context.Context, repo ref.RepoID, branch string, is *onboard.Protection, contexts map[string]int64) (bool, error) {
	p, _, err := g.sdk.Repositories.GetBranchProtection(ctx, repo.Owner, repo.Name, branch)
	if err != nil {
		if status(err) == http.StatusNotFound || strings.Contains(err.Error(), "not protected") {
			return false, nil
		}
		return false, refused(err)
	}
	is.ForcePush = is.ForcePush && p.GetAllowForcePushes() != nil && p.AllowForcePushes.Enabled
	is.AdminsIncluded = is.AdminsIncluded || p.GetEnforceAdmins() != nil && p.EnforceAdmins.Enabled
	if r := p.GetRequiredPullRequestReviews(); r != nil {
		is.Push = false
		is.Approvals, is.DismissStale = max(is.Approvals, r.RequiredApprovingReviewCount), is.DismissStale || r.DismissStaleReviews
		if b := r.BypassPullRequestAllowances; b != nil {
			is.Bypass = is.Bypass || len(b.Users)+len(b.Teams)+len(b.Apps) > 0
		}
	}
	if c := p.GetRequiredStatusChecks(); c != nil {
		is.UpToDate = is.UpToDate || c.Strict
		for _, one := range c.GetChecks() {
			contexts[one.Context] = one.GetAppID()
		}
	}
	if r := p.GetRestrictions(); r != nil {
		is.MergeListed = true
		for _, u := range r.Users {
			is.Mergers = append(is.Mergers, u.GetLogin())
		}
		for _, a := range r.Apps {
			is.Mergers = append(is.Mergers, a.GetSlug()+botSuffix)
		}
		for _, t := range r.Teams {
			is.MergerTeams = append(is.MergerTeams, t.GetSlug())
		}
	}
	return true, nil
}

func (g Guard) ruleset(ctx context.Context, repo ref.RepoID, id int64) (ruleset, error) {
	var set ruleset
	_, err := g.get(ctx, repoPath(repo, "rulesets", strconv.FormatInt(id, 10))+"?includes_parents=true", &set)
	return set, refused(err)
}

// ofRepository is the source of the repository's own rulesets.
const ofRepository = "Repository"

func (s ruleset) unseen() string {
	return "who gets past the ruleset " + s.Name + " is shown only to who may change it"
}

// passing names who a ruleset lets through: the bot, if its App is, and others
// by what they are.
func (s ruleset) passing(bot string, app int64) []string {
	var who []string
	for _, b := range s.Bypass {
		switch {
		case b.Type == "Integration" && b.ID != nil && *b.ID == app:
			who = append(who, bot)
		case b.ID != nil:
			who = append(who, fmt.Sprintf("%s %d", b.Type, *b.ID))
		default:
			who = append(who, b.Type)
		}
	}
	return who
}

// protect makes Slipway's own rulesets for the branch, and leaves others alone.
// Who may merge is said in one of its own: whoever gets past a ruleset gets past
// all of it.
func (g Guard) protect(ctx context.Context, repo ref.RepoID, p onboard.Protection) error {
	app := int64(0)
	if len(p.Mergers) > 0 {
		var err error
		if app, err = g.appOf(ctx, p.Mergers[0]); err != nil {
			return err
		}
	}
	checks := checking{Strict: p.UpToDate, Checks: []required{}}
	for _, c := range p.Checks {
		checks.Checks = append(checks.Checks, required{Context: reportedAs(c)})
	}
	if p.Gate && app != 0 {
		checks.Checks = append(checks.Checks, required{Context: gate.StatusContext, App: app})
	}
	rules := []rule{
		{Type: "deletion"},
		asRule("pull_request", reviewing{Approvals: p.Approvals, Stale: p.DismissStale}),
	}
	if !p.ForcePush {
		rules = append(rules, rule{Type: "non_fast_forward"})
	}
	if len(checks.Checks) > 0 {
		rules = append(rules, asRule("required_status_checks", checks))
	}
	if err := g.setRuleset(ctx, repo, "branch", branchRules(p.Branch), "refs/heads/"+p.Branch, 0, rules); err != nil || app == 0 {
		return err
	}
	return g.setRuleset(ctx, repo, "branch", updateRules(p.Branch), "refs/heads/"+p.Branch, app, []rule{{Type: "update"}})
}

// protectTags lets the App alone make, move and delete the tags.
func (g Guard) protectTags(ctx context.Context, repo ref.RepoID, p onboard.TagProtection) error {
	if len(p.Makers) != 1 || len(p.MakerTeams) > 0 {
		return fmt.Errorf("tags %s: on GitHub one App makes them", p.Pattern)
	}
	app, err := g.appOf(ctx, p.Makers[0])
	if err != nil {
		return err
	}
	if app == 0 {
		return fmt.Errorf("tags %s: %s is no App, and only an App can be let through", p.Pattern, p.Makers[0])
	}
	return g.setRuleset(ctx, repo, "tag", tagRules(p.Pattern), "refs/tags/"+p.Pattern, app,
		[]rule{{Type: "creation"}, {Type: "update"}, {Type: "deletion"}})
}

func (g Guard) lookTags(ctx context.Context, w onboard.Want, app int64) onboard.Found[*onboard.TagProtection] {
	if w.Tags == nil || app == 0 {
		return onboard.Read[*onboard.TagProtection](nil)
	}
	sets, err := g.rulesets(ctx, w.Repo)
	if err != nil {
		return onboard.Unread[*onboard.TagProtection](err.Error())
	}
	for _, listed := range sets {
		if listed.Target != "tag" || listed.Enforcement != "active" {
			continue
		}
		set, err := g.ruleset(ctx, w.Repo, listed.ID) // a list leaves out the rules
		if err != nil {
			return onboard.Unread[*onboard.TagProtection](err.Error())
		}
		if set.Bypass == nil {
			if set.Source == ofRepository {
				return onboard.Unread[*onboard.TagProtection](set.unseen())
			}
			continue
		}
		makes := slices.ContainsFunc(set.Rules, func(r rule) bool { return r.Type == "creation" })
		if makes && slices.Equal(set.Conditions.Ref.Include, []string{"refs/tags/" + w.Tags.Pattern}) {
			return onboard.Read(&onboard.TagProtection{Pattern: w.Tags.Pattern, Makers: set.passing(w.Bot, app)})
		}
	}
	return onboard.Read[*onboard.TagProtection](nil)
}

func (g Guard) rulesets(ctx context.Context, repo ref.RepoID) ([]ruleset, error) {
	return pages(func(o sdk.ListOptions) (rows []ruleset, r *sdk.Response, err error) {
		r, err = g.get(ctx, query(repoPath(repo, "rulesets"), o, url.Values{"includes_parents": {"true"}}), &rows)
		return rows, r, err
	})
}

// setRuleset makes or replaces the ruleset of that name.
func (g Guard) setRuleset(ctx context.Context, repo ref.RepoID, target, name, refs string, app int64, rules []rule) error {
	set := ruleset{Name: name, Target: target, Enforcement: "active", Bypass: []bypass{}, Rules: rules}
	set.Conditions.Ref.Include, set.Conditions.Ref.Exclude = []string{refs}, []string{}
	if app != 0 {
		set.Bypass = append(set.Bypass, bypass{ID: &app, Type: "Integration", Mode: "always"})
	}
	all, err := g.rulesets(ctx, repo)
	if err != nil {
		return err
	}
	method, path := http.MethodPost, repoPath(repo, "rulesets")
	if i := slices.IndexFunc(all, func(s ruleset) bool { return s.Name == name && s.Target == target }); i >= 0 {
		method, path = http.MethodPut, repoPath(repo, "rulesets", strconv.FormatInt(all[i].ID, 10))
	}
	request, err := g.sdk.NewRequest(method, path, set)
	if err != nil {
		return err
	}
	_, err = g.sdk.Do(ctx, request, nil)
	return err
}

func asRule(kind string, parameters any) rule {
	encoded, _ := json.Marshal(parameters) // numbers, bools and strings: it cannot fail
	return rule{Type: kind, Parameters: encoded}
}

// jobShape is the context of a workflow's job, as jobContext makes it.
var jobShape = regexp.MustCompile(`^.+? / (.+) \([a-z_]+\)$`)

// reportedAs is the name by which GitHub's own rules know a context: of a job
// its name alone. The workflow and the event are for the gate to hold.
func reportedAs(context string) string {
	if job := jobShape.FindStringSubmatch(context); job != nil {
		return job[1]
	}
	return context
}

// shownAs gives the required checks, those that are wanted by their own names.
func shownAs(wanted []string, contexts map[string]int64) []string {
	var checks []string
	known := map[string]bool{gate.StatusContext: true}
	for _, w := range wanted {
		if _, found := contexts[reportedAs(w)]; found {
			checks = append(checks, w)
			known[reportedAs(w)] = true
		}
	}
	for name := range contexts {
		if !known[name] {
			checks = append(checks, name)
		}
	}
	slices.Sort(checks)
	return checks
}
