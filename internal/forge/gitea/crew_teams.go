package gitea

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/onboard"
)

// crewTeam reads one team with all its repositories and members.
func (r Recruiter) crewTeam(ctx context.Context, t onboard.CrewTeam) onboard.Found[*onboard.CrewTeamIs] {
	row, found, err := r.teamRow(ctx, t)
	switch {
	case status(err) == http.StatusNotFound:
		return onboard.Unread[*onboard.CrewTeamIs](t.Owner + " is no organisation that is seen here, and only those have teams")
	case err != nil:
		return onboard.Unread[*onboard.CrewTeamIs](err.Error())
	case !found:
		return onboard.Read[*onboard.CrewTeamIs](nil)
	}
	is := &onboard.CrewTeamIs{Enough: row.asWanted(t)}
	members, err := pages(func(o sdk.ListOptions) (rows []accountRow, s *sdk.Response, err error) {
		s, err = r.get(ctx, teamPath(row.ID, "members")+query(o, ""), &rows)
		return rows, s, err
	})
	if err != nil {
		return onboard.Unread[*onboard.CrewTeamIs](err.Error())
	}
	for _, m := range members {
		is.Members = append(is.Members, m.Login)
	}
	type repoRow struct {
		FullName string `json:"full_name"`
	}
	repos, err := pages(func(o sdk.ListOptions) (rows []repoRow, s *sdk.Response, err error) {
		s, err = r.get(ctx, teamPath(row.ID, "repos")+query(o, ""), &rows)
		return rows, s, err
	})
	if err != nil {
		return onboard.Unread[*onboard.CrewTeamIs](err.Error())
	}
	for _, repo := range repos {
		for _, want := range t.Repositories { // Gitea finds a name in any case
			if strings.EqualFold(want.String(), repo.FullName) {
				is.Repositories = append(is.Repositories, want)
			}
		}
	}
	return onboard.Read(is)
}

func (r Recruiter) teamRow(ctx context.Context, t onboard.CrewTeam) (teamRow, bool, error) {
	rows, err := Guard(r).teamRows(ctx, t.Owner)
	if err != nil {
		return teamRow{}, false, err
	}
	i := slices.IndexFunc(rows, func(row teamRow) bool { return strings.EqualFold(row.Name, t.Name) })
	if i < 0 {
		return teamRow{}, false, nil
	}
	return rows[i], true, nil
}

// setCrewTeam makes the team, or sets one that is there right, and adds what it
// lacks.
func (r Recruiter) setCrewTeam(ctx context.Context, t onboard.CrewTeam) error {
	row, found, err := r.teamRow(ctx, t)
	settings := map[string]any{"name": t.Name, "permission": "read", "includes_all_repositories": false, "can_create_org_repo": false, "units_map": crewUnits(t.Writes)}
	switch {
	case err != nil:
		return err
	case !found:
		settings["description"], settings["visibility"] = "Coordinates of Slipway's pools", "limited"
		_, err = r.call(ctx, http.MethodPost, "/orgs/"+url.PathEscape(t.Owner)+"/teams", settings, &row)
	case !row.asWanted(t):
		settings["name"] = row.Name
		_, err = r.call(ctx, http.MethodPatch, teamPath(row.ID), settings, nil)
	}
	if err != nil {
		return fmt.Errorf("the team %s/%s: %w", t.Owner, t.Name, err)
	}
	for _, repo := range t.Repositories {
		if _, err := r.call(ctx, http.MethodPut, teamPath(row.ID, "repos", repo.Owner, repo.Name), nil, nil); err != nil {
			return fmt.Errorf("give %s to the team %s/%s: %w", repo, t.Owner, t.Name, err)
		}
	}
	for _, m := range t.Members {
		if _, err := r.call(ctx, http.MethodPut, teamPath(row.ID, "members", m), nil, nil); err != nil {
			return fmt.Errorf("add %s to the team %s/%s: %w", m, t.Owner, t.Name, err)
		}
	}
	return nil
}

// crewUnits are all that a team of coordinates may.
func crewUnits(writes bool) map[string]string {
	if writes {
		return map[string]string{"repo.code": "write", "repo.pulls": "write", "repo.issues": "read"}
	}
	return map[string]string{"repo.code": "read", "repo.pulls": "read"}
}

// asWanted says whether a team has the rights it should and no others.
func (t teamRow) asWanted(w onboard.CrewTeam) bool {
	if t.All || t.Permission == "admin" || t.Permission == "owner" {
		return false
	}
	units := crewUnits(w.Writes)
	for unit, level := range t.Units {
		if level != "none" && units[unit] != level {
			return false
		}
	}
	return t.grants("repo.code", w.Writes) && t.grants("repo.pulls", w.Writes)
}
