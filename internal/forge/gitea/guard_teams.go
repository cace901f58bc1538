package gitea

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// hookEvents are those that Slipway wants delivered, by the names under which
// Gitea shows them.
func hookEvents() []string {
	return []string{
		"push", "create", "delete", "status", "pull_request", "pull_request_sync", "pull_request_label",
		"pull_request_review", "pull_request_review_request", "pull_request_comment", "workflow_run", "workflow_job",
		"issues", "issue_label",
	}
}

// orderedEvents are the same as they are asked for: "issues" would bring what is
// said on them too.
func orderedEvents() []string {
	events := hookEvents()
	for i, e := range events {
		if e == "issues" {
			events[i] = "issues_only"
		}
	}
	return events
}

// hookRow is a webhook as Gitea shows it: without its secret, and without
// whether it has one.
type hookRow struct {
	ID     int64             `json:"id"`
	Type   string            `json:"type"`
	Filter string            `json:"branch_filter"`
	Config map[string]string `json:"config"`
	Events []string          `json:"events"`
	Active bool              `json:"active"`
}

func (g Guard) lookHooks(ctx context.Context, repo ref.RepoID) onboard.Found[[]onboard.Hook] {
	rows, err := pages(func(o sdk.ListOptions) (rows []hookRow, r *sdk.Response, err error) {
		r, err = g.get(ctx, repoPath(repo, "hooks")+query(o, ""), &rows)
		return rows, r, err
	})
	if err != nil {
		return onboard.Unread[[]onboard.Hook](err.Error())
	}
	slices.SortFunc(rows, func(a, b hookRow) int { return int(a.ID - b.ID) })
	hooks := []onboard.Hook{}
	for _, r := range rows {
		if r.Type != "gitea" {
			continue
		}
		h := onboard.Hook{ID: r.ID, URL: r.Config["url"], Active: r.Active, JSON: r.Config["content_type"] == "json", Signed: true}
		for _, e := range hookEvents() {
			// One made in the settings may carry the kinds of reviews one by one.
			if !slices.Contains(r.Events, e) && !(e == "pull_request_review" && slices.Contains(r.Events, "pull_request_review_approved")) {
				h.Missing = append(h.Missing, e)
			}
		}
		if r.Filter != "" && r.Filter != "*" {
			h.Missing = append(h.Missing, "branches other than "+r.Filter)
		}
		hooks = append(hooks, h)
	}
	return onboard.Read(hooks)
}

// setHook replaces a webhook rather than changing it: Gitea's API cannot set
// the secret of one that exists. A run that is cut off in between finds none,
// and makes it.
func (g Guard) setHook(ctx context.Context, repo ref.RepoID, h onboard.Hook) error {
	if h.ID != 0 {
		_, err := g.call(ctx, http.MethodDelete, repoPath(repo, "hooks", strconv.FormatInt(h.ID, 10)), nil, nil)
		if err != nil && status(err) != http.StatusNotFound {
			return err
		}
	}
	_, err := g.call(ctx, http.MethodPost, repoPath(repo, "hooks"), map[string]any{
		"type": "gitea", "active": h.Active, "events": orderedEvents(),
		"config": map[string]string{"url": h.URL, "content_type": "json", "secret": h.Secret.Reveal()},
	}, nil)
	return err
}

// teamRow is a team as Gitea shows it.
type teamRow struct {
	ID         int64             `json:"id"`
	Name       string            `json:"name"`
	All        bool              `json:"includes_all_repositories"`
	Permission string            `json:"permission"`
	Units      map[string]string `json:"units_map"`
}

// grants says whether the team may read (or write) a unit.
func (t teamRow) grants(unit string, write bool) bool {
	for _, level := range []string{t.Permission, t.Units[unit]} {
		switch level {
		case "owner", "admin":
			return true
		case "write":
			if level == t.Units[unit] {
				return true
			}
		case "read":
			if level == t.Units[unit] && !write {
				return true
			}
		}
	}
	return false
}

// enough says whether a team's units are what its kind takes.
func (t teamRow) enough(kind onboard.TeamKind) bool {
	if kind == onboard.TeamPackages {
		return t.grants("repo.packages", true)
	}
	return t.grants("repo.code", false) && t.grants("repo.pulls", false)
}

// lookTeams reads the wanted teams, and whether the account that pushes images
// may: its own word counts most, else whether it is in a team that may.
func (g Guard) lookTeams(ctx context.Context, w onboard.Want, self onboard.Self) (org ref.Fact, teams onboard.Found[map[string]onboard.Team], packages onboard.Found[bool]) {
	_, err := g.get(ctx, repoPath(w.Repo, "teams"), nil)
	switch {
	case status(err) == http.StatusMethodNotAllowed:
		org = ref.No
	case err == nil:
		org = ref.Yes
	}
	own := len(w.Packages.Members) > 0 && strings.EqualFold(w.Packages.Members[0], self.Login)
	if own {
		packages = g.MayPush(ctx, w.Repo)
	}
	if org != ref.Yes {
		if !own && org == ref.No && len(w.Packages.Members) > 0 {
			packages = onboard.Read(strings.EqualFold(w.Packages.Members[0], w.Repo.Owner))
		}
		return org, onboard.Unread[map[string]onboard.Team](fmt.Sprint(err)), packages
	}
	rows, err := g.teamRows(ctx, w.Repo.Owner)
	if err != nil {
		if !own {
			packages = onboard.Unread[bool](err.Error())
		}
		return org, onboard.Unread[map[string]onboard.Team](err.Error()), packages
	}
	found := map[string]onboard.Team{}
	for _, want := range append([]onboard.Team{w.Reviewers}, w.Foreign...) {
		if !sees(self) {
			found[onboard.Lower(want.Name)] = onboard.Team{Name: want.Name, Unseen: true}
		}
		for _, row := range rows {
			if !strings.EqualFold(row.Name, want.Name) {
				continue
			}
			t, err := g.team(ctx, w.Repo, row, want, self)
			if err != nil {
				return org, onboard.Unread[map[string]onboard.Team](err.Error()), packages
			}
			found[onboard.Lower(want.Name)] = t
		}
	}
	if !own && len(w.Packages.Members) > 0 {
		packages = g.inPackages(ctx, rows, w.Packages.Members[0], self)
	}
	return org, onboard.Read(found), packages
}

// sees says whether an account is shown every team of the owner, and who is in
// it. Others are shown their own teams and those that are not private, and get
// a 404 for the members of a team that they are not in.
func sees(self onboard.Self) bool { return self.Owner == ref.Yes || self.Site == ref.Yes }

func (g Guard) teamRows(ctx context.Context, owner string) ([]teamRow, error) {
	return pages(func(o sdk.ListOptions) (rows []teamRow, r *sdk.Response, err error) {
		r, err = g.get(ctx, "/orgs/"+url.PathEscape(owner)+"/teams"+query(o, ""), &rows)
		return rows, r, err
	})
}

// team reads one team's access and which of the wanted members are in it.
func (g Guard) team(ctx context.Context, repo ref.RepoID, row teamRow, want onboard.Team, self onboard.Self) (onboard.Team, error) {
	t := onboard.Team{Name: row.Name, Kind: want.Kind, Foreign: want.Foreign, Enough: row.enough(want.Kind)}
	if shown, err := g.shown(ctx, row, self); err != nil || !shown {
		t.Unseen = true
		return t, err
	}
	if t.Enough && want.Kind == onboard.TeamReviewers && !row.All {
		_, err := g.get(ctx, teamPath(row.ID, "repos", repo.Owner, repo.Name), nil)
		if err != nil && status(err) != http.StatusNotFound {
			return t, err
		}
		t.Enough = err == nil
	}
	for _, m := range want.Members {
		in, err := g.isIn(ctx, row.ID, m)
		if err != nil {
			return t, err
		}
		if in {
			t.Members = append(t.Members, m)
		}
	}
	return t, nil
}

func (g Guard) inPackages(ctx context.Context, rows []teamRow, who string, self onboard.Self) onboard.Found[bool] {
	for _, row := range rows {
		if !row.enough(onboard.TeamPackages) {
			continue
		}
		in, err := g.isIn(ctx, row.ID, who)
		if err != nil {
			return onboard.Unread[bool](err.Error())
		}
		if in {
			return onboard.Read(true)
		}
	}
	if !sees(self) {
		return onboard.Unread[bool]("not every team is seen by " + self.Login)
	}
	return onboard.Read(false)
}

// shown says whether the account is told who is in a team and what it may.
func (g Guard) shown(ctx context.Context, row teamRow, self onboard.Self) (bool, error) {
	if sees(self) {
		return true, nil
	}
	in, err := g.isIn(ctx, row.ID, self.Login)
	if status(err) == http.StatusForbidden {
		return false, nil
	}
	return in, err
}

func (g Guard) isIn(ctx context.Context, team int64, login string) (bool, error) {
	_, err := g.get(ctx, teamPath(team, "members", login), nil)
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// setTeam makes the team, or gives one that is there what it lacks. A team that
// others look after is only given the repository.
func (g Guard) setTeam(ctx context.Context, repo ref.RepoID, t onboard.Team) error {
	rows, err := g.teamRows(ctx, repo.Owner)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(r teamRow) bool { return strings.EqualFold(r.Name, t.Name) })
	switch {
	case i < 0 && t.Foreign:
		return fmt.Errorf("there is no team %s in %s", t.Name, repo.Owner)
	case i < 0:
		var made teamRow
		_, err := g.call(ctx, http.MethodPost, "/orgs/"+url.PathEscape(repo.Owner)+"/teams", map[string]any{
			"name": t.Name, "description": describe(t, repo), "permission": "read", "visibility": "limited", "units_map": units(t.Kind, nil),
		}, &made)
		if err != nil {
			return err
		}
		rows, i = []teamRow{made}, 0
	case !rows[i].enough(t.Kind) && t.Foreign:
		return fmt.Errorf("the team %s may not read code and pull requests: give it these units", t.Name)
	case !rows[i].enough(t.Kind):
		_, err := g.call(ctx, http.MethodPatch, teamPath(rows[i].ID), map[string]any{"name": rows[i].Name, "permission": "read", "units_map": units(t.Kind, rows[i].Units)}, nil)
		if err != nil {
			return err
		}
	}
	if t.Kind == onboard.TeamReviewers && !rows[i].All {
		if _, err := g.call(ctx, http.MethodPut, teamPath(rows[i].ID, "repos", repo.Owner, repo.Name), nil, nil); err != nil {
			return err
		}
	}
	if t.Foreign {
		return nil
	}
	for _, m := range t.Members {
		if _, err := g.call(ctx, http.MethodPut, teamPath(rows[i].ID, "members", m), nil, nil); err != nil {
			return fmt.Errorf("add %s to the team %s: %w", m, t.Name, err)
		}
	}
	return nil
}

// units are what a kind of team takes, on top of what a team has.
func units(kind onboard.TeamKind, has map[string]string) map[string]string {
	all := map[string]string{}
	for unit, level := range has {
		all[unit] = level
	}
	needed := map[string]string{"repo.code": "read", "repo.pulls": "read"}
	if kind == onboard.TeamPackages {
		needed = map[string]string{"repo.packages": "write"}
	}
	for unit, level := range needed {
		if !(teamRow{Units: all}).grants(unit, level == "write") {
			all[unit] = level
		}
	}
	return all
}

func describe(t onboard.Team, repo ref.RepoID) string {
	if t.Kind == onboard.TeamPackages {
		return "May push the images that Slipway builds"
	}
	return "May review pull requests of " + repo.Name
}

func teamPath(id int64, more ...string) string {
	path := "/teams/" + strconv.FormatInt(id, 10)
	for _, m := range more {
		path += "/" + url.PathEscape(m)
	}
	return path
}
