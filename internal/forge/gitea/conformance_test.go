package gitea

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/forgetest"
	server "slipway/test/servers/gitea"
)

// conflictAfter is for how long the suite's adapter sees a pull request that
// does not merge before it calls that a conflict: its repositories are checked
// in some tenths of a second.
const conflictAfter = 3 * time.Second

// town is the world with the conformance suite's people, in an organisation of
// its own, whose teams the bot may read.
type town struct {
	*world
	bot    server.Account
	people map[forgetest.Person]server.Account
}

func (w *world) testConformance(t *testing.T) {
	town := &town{world: w, bot: w.bot, people: map[forgetest.Person]server.Account{
		forgetest.Alice: w.alice, forgetest.Carol: w.carol, forgetest.Dave: w.dave, forgetest.CI: w.ci, forgetest.Outsider: w.outsider,
	}}
	town.bot.Token = must(w.Token(t.Context(), w.bot, append([]string{"read:organization"}, leastScopes...)...))(t)
	fatal(t, w.CreateOrg(t.Context(), suiteOwner))
	forgetest.Run(t, town)
}

// suiteOwner is the organisation of the suite's repositories.
const suiteOwner = "suite"

// square is one repository of it.
type square struct {
	*town
	id ref.RepoID

	mutex     sync.Mutex
	workflows int
	labels    map[string]int64 // that were made, by name
}

// Place makes a repository as onboarding leaves it: the reviewers read it as a
// team and stand on the whitelist, and the bot alone merges.
func (w *town) Place(t *testing.T, name string, r forgetest.Rules) forgetest.Place {
	t.Helper()
	ctx := t.Context()
	fatal(t, w.CreateRepo(ctx, suiteOwner, name, true))
	read := map[string]string{"repo.code": "read", "repo.pulls": "read"}
	fatal(t, w.CreateTeam(ctx, suiteOwner, server.Team{Name: "reviewers-" + name, Units: read, Repositories: []string{name}, Members: []string{"carol", "dave", "slipway"}}))
	s := &square{town: w, id: ref.RepoID{Owner: suiteOwner, Name: name}, labels: map[string]int64{}}
	fatal(t, w.SetCollaborator(ctx, suiteOwner, name, "slipway", server.Admin))
	for _, login := range []string{"alice", "ci"} {
		fatal(t, w.SetCollaborator(ctx, suiteOwner, name, login, server.Write))
	}
	fatal(t, w.ProtectBranch(ctx, suiteOwner, name, server.BranchRule{
		Name:                     "main",
		EnablePush:               r.Approvals == 0 && len(r.Contexts) == 0,
		EnableMergeWhitelist:     true,
		MergeWhitelist:           []string{"slipway"},
		EnableApprovalsWhitelist: true,
		ApprovalsWhitelist:       []string{"carol", "dave"},
		RequiredApprovals:        int64(r.Approvals),
		EnableStatusCheck:        len(r.Contexts) > 0,
		StatusContexts:           r.Contexts,
		BlockAdminMergeOverride:  true,
	}))
	fatal(t, w.ProtectTags(ctx, suiteOwner, name, "v*", "slipway"))
	return s
}

func (s *square) ID() ref.RepoID { return s.id }

func (s *square) Bot() string { return s.bot.Login }

func (s *square) Page() int { return pageSize }

func (s *square) Forge(t *testing.T) reconcile.Forge { return s.as(t, s.bot.Token) }

func (s *square) Stranger(t *testing.T) reconcile.Forge {
	return s.as(t, "0000000000000000000000000000000000000000")
}

func (s *square) as(t *testing.T, token string) *Client {
	t.Helper()
	c, err := New(Config{URL: s.URL(), Login: s.bot.Login, Token: func() (string, error) { return token, nil },
		OnUnread: func(err error) { t.Logf("unread: %v", err) }})
	fatal(t, err)
	c.settling.after = conflictAfter
	return c
}

func (s *square) Remote(who forgetest.Person) string {
	return strings.Replace(s.URL(), "http://", "http://"+string(who)+":"+s.people[who].Password+"@", 1) + "/" + s.id.String() + ".git"
}

// Open marks a draft by its title, as Gitea does.
func (s *square) Open(t *testing.T, who forgetest.Person, branch, base, title string, draft bool) ref.PullID {
	t.Helper()
	if draft {
		title = "WIP: " + title
	}
	var made struct{ Number int64 }
	s.do(t, s.people[who], http.MethodPost, "/pulls", map[string]string{"head": branch, "base": base, "title": title}, &made)
	return ref.PullID{Repo: s.id, Number: made.Number}
}

func (s *square) Close(t *testing.T, id ref.PullID) {
	t.Helper()
	s.do(t, s.Admin(), http.MethodPatch, pull(id), map[string]string{"state": "closed"}, nil)
}

func (s *square) Retarget(t *testing.T, who forgetest.Person, id ref.PullID, base string) {
	t.Helper()
	s.do(t, s.people[who], http.MethodPatch, pull(id), map[string]string{"base": base}, nil)
}

func (s *square) Label(t *testing.T, id ref.PullID, name string) {
	t.Helper()
	var made struct{ ID int64 }
	s.do(t, s.Admin(), http.MethodPost, "/labels", map[string]string{"name": name, "color": "#123456"}, &made)
	s.do(t, s.Admin(), http.MethodPost, issue(id)+"/labels", map[string]any{"labels": []int64{made.ID}}, nil)
}

func (s *square) Comment(t *testing.T, who forgetest.Person, id ref.PullID, text string) int64 {
	t.Helper()
	var made struct{ ID int64 }
	s.do(t, s.people[who], http.MethodPost, issue(id)+"/comments", map[string]string{"body": text}, &made)
	return made.ID
}

func (s *square) Review(t *testing.T, who forgetest.Person, id ref.PullID, on ref.SHA, state gate.ReviewState) int64 {
	t.Helper()
	event := map[gate.ReviewState]string{gate.ReviewApproved: "APPROVED", gate.ReviewChangesRequested: "REQUEST_CHANGES", gate.ReviewCommented: "COMMENT"}[state]
	var made struct{ ID int64 }
	s.do(t, s.people[who], http.MethodPost, pull(id)+"/reviews", map[string]string{"event": event, "commit_id": string(on), "body": "so I say"}, &made)
	return made.ID
}

func (s *square) Dismiss(t *testing.T, id ref.PullID, review int64) {
	t.Helper()
	s.do(t, s.Admin(), http.MethodPost, fmt.Sprintf("%s/reviews/%d/dismissals", pull(id), review), map[string]string{"message": "no more"}, nil)
}

// Team is one that the organisation's members may see, with Carol and Dave.
func (s *square) Team(t *testing.T) string {
	t.Helper()
	name := "core-" + s.id.Name
	ctx := t.Context()
	fatal(t, s.CreateTeam(ctx, suiteOwner, server.Team{Name: name, Units: map[string]string{"repo.code": "read"}, Members: []string{"carol", "dave"}}))
	var found struct {
		Data []struct {
			ID   int64
			Name string
		}
	}
	fatal(t, s.Call(ctx, s.Admin().Token, http.MethodGet, "/orgs/"+suiteOwner+"/teams/search?q="+name, nil, &found))
	for _, team := range found.Data {
		if team.Name == name {
			fatal(t, s.Call(ctx, s.Admin().Token, http.MethodPatch, fmt.Sprintf("/teams/%d", team.ID), map[string]string{"name": name, "visibility": "limited"}, nil))
			return suiteOwner + "/" + name
		}
	}
	t.Fatalf("there is no team %s", name)
	return ""
}

func (s *square) Status(t *testing.T, who forgetest.Person, on ref.SHA, context string, state gate.State) {
	t.Helper()
	s.do(t, s.people[who], http.MethodPost, "/statuses/"+string(on), map[string]string{"context": context, "state": string(state)}, nil)
}

func (s *square) do(t *testing.T, who server.Account, method, path string, in, out any) {
	t.Helper()
	fatal(t, s.Call(t.Context(), who.Token, method, "/repos/"+s.id.String()+path, in, out))
}

func pull(id ref.PullID) string { return fmt.Sprintf("/pulls/%d", id.Number) }

func issue(id ref.PullID) string { return fmt.Sprintf("/issues/%d", id.Number) }

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Workflow writes a real one, which the runner runs.
func (s *square) Workflow(t *testing.T, name string, jobs map[string]gate.State) string {
	t.Helper()
	text := "name: " + name + "\non: pull_request\njobs:\n"
	for job, end := range jobs {
		text += "  " + job + ":\n    runs-on: " + server.RunnerLabel + "\n"
		if end == gate.StateSkipped {
			text += "    if: false\n"
		}
		text += fmt.Sprintf("    steps:\n      - run: %q\n", fmt.Sprint(end != gate.StateFailure))
	}
	path := ".gitea/workflows/" + name + ".yml"
	s.do(t, s.people[forgetest.Alice], http.MethodPost, "/contents/"+path,
		map[string]any{"branch": "main", "message": "ci: " + name, "content": []byte(text)}, nil)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.workflows++
	return path
}

// Ran waits until all runs on the head are over.
func (s *square) Ran(t *testing.T, _ ref.PullID, head ref.SHA) {
	t.Helper()
	s.mutex.Lock()
	want := s.workflows
	s.mutex.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var list struct {
			Runs []struct{ Status string } `json:"workflow_runs"`
		}
		s.do(t, s.Admin(), http.MethodGet, "/actions/runs?head_sha="+string(head), nil, &list)
		over := 0
		for _, r := range list.Runs {
			if r.Status == "completed" {
				over++
			}
		}
		if over >= want {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the workflows are not over: %+v", list.Runs)
		case <-tick.C:
		}
	}
}
