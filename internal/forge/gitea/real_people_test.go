package gitea

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// label sets labels on a pull request, making them first.
func (r *repository) label(id ref.PullID, names ...string) {
	r.t.Helper()
	var ids []int64
	for _, name := range names {
		var made struct {
			ID int64 `json:"id"`
		}
		r.do(r.Admin(), http.MethodPost, "/labels", map[string]string{"name": name, "color": "#123456"}, &made)
		ids = append(ids, made.ID)
	}
	r.do(r.Admin(), http.MethodPost, fmt.Sprintf("/issues/%d/labels", id.Number), map[string]any{"labels": ids}, nil)
}

// status posts a commit status as somebody.
func (r *repository) status(who server.Account, on ref.SHA, context, state string) {
	r.t.Helper()
	r.do(who, http.MethodPost, "/statuses/"+string(on), map[string]string{"context": context, "state": state}, nil)
}

// teamID looks a team of the organisation up.
func (w *world) teamID(t testing.TB, name string) int64 {
	t.Helper()
	for page := 1; ; page++ {
		var teams []struct {
			ID   int64  `json:"id"`
			Name string `json:"name"`
		}
		if err := w.Call(t.Context(), w.Admin().Token, http.MethodGet, fmt.Sprintf("/orgs/acme/teams?page=%d", page), nil, &teams); err != nil {
			t.Fatal(err)
		}
		if len(teams) == 0 {
			t.Fatalf("there is no team %s", name)
		}
		for _, team := range teams {
			if team.Name == name {
				return team.ID
			}
		}
	}
}

func (r *repository) leaveTeam(team, login string) {
	r.t.Helper()
	path := fmt.Sprintf("/teams/%d/members/%s", r.teamID(r.t, team), login)
	if err := r.Call(r.t.Context(), r.Admin().Token, http.MethodDelete, path, nil, nil); err != nil {
		r.t.Fatal(err)
	}
}

// showTeam makes a team visible to the members of the organisation.
func (w *world) showTeam(t *testing.T, name string) {
	t.Helper()
	path := fmt.Sprintf("/teams/%d", w.teamID(t, name))
	if err := w.Call(t.Context(), w.Admin().Token, http.MethodPatch, path, map[string]string{"name": name, "visibility": "limited"}, nil); err != nil {
		t.Fatal(err)
	}
}

// member makes a bot that administers a repository through a team of the
// organisation, with a token that can read the organisation as well.
func (w *world) member(t *testing.T, login, repo string) server.Account {
	t.Helper()
	bot := must(w.CreateUser(t.Context(), login, server.Bot))(t)
	if err := w.CreateTeam(t.Context(), "acme", server.Team{
		Name:         "bots-" + repo,
		Units:        map[string]string{"repo.code": "read"},
		Repositories: []string{repo},
		Members:      []string{login},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.SetCollaborator(t.Context(), "acme", repo, login, server.Admin); err != nil {
		t.Fatal(err)
	}
	bot.Token = must(w.Token(t.Context(), bot, append([]string{"read:organization"}, leastScopes...)...))(t)
	return bot
}

// before is a transport that does something before the first call whose path
// ends so.
func before(suffix string, do func()) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if strings.HasSuffix(request.URL.Path, suffix) {
			do()
		}
		return http.DefaultTransport.RoundTrip(request)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// squash is a merge as the reconciler asks for it.
func squash(id ref.PullID, head ref.SHA) reconcile.MergeCall {
	return reconcile.MergeCall{ID: id, Head: head, Method: "squash", Title: "A title", Message: "A message", DeleteBranch: true}
}
