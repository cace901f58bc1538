package gitea

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// TestWhatAnAccountIsNotShownIsUnknown: Gitea lists to somebody who does not
// own the organisation only some of its teams, and answers 404 for members of a
// team that they are not in.
func TestWhatAnAccountIsNotShownIsUnknown(t *testing.T) {
	owner, bot := onboard.Self{Login: "owen", Owner: ref.Yes}, onboard.Self{Login: "slipway", Owner: ref.No, Site: ref.No}
	const team = `[{"id":7,"name":"reviewers-app","permission":"read","includes_all_repositories":true,"units_map":{"repo.code":"read","repo.pulls":"read"}}]`
	for _, test := range []struct {
		name    string
		self    onboard.Self
		rows    string
		members []string // of the team
		exists  bool
		unseen  bool
		known   bool // whether images can be pushed
	}{
		{"an owner sees that there is none", owner, `[]`, nil, false, false, true},
		{"an owner sees who is in it", owner, team, []string{"carol"}, true, false, true},
		{"a team that is not listed may be private", bot, `[]`, nil, true, true, false},
		{"a team that is listed to somebody who is not in it", bot, team, []string{"carol"}, true, true, false},
		{"a team that the account is in", bot, team, []string{"carol", "slipway"}, true, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := answered(t, func(w http.ResponseWriter, r *http.Request) {
				_, asked, isMember := strings.Cut(r.URL.Path, "/teams/7/members/")
				in := false
				for _, m := range test.members {
					in = in || m == asked
				}
				switch {
				case isMember && (!in || test.unseen):
					w.WriteHeader(http.StatusNotFound)
				case strings.HasSuffix(r.URL.Path, "/orgs/acme/teams"):
					w.Header().Set("X-Total-Count", fmt.Sprint(strings.Count(test.rows, `"id"`)))
					fmt.Fprint(w, test.rows)
				default:
					fmt.Fprint(w, `[]`)
				}
			})
			want := onboard.Want{
				Repo: ref.RepoID{Owner: "acme", Name: "app"}, Bot: "slipway",
				Reviewers: onboard.Team{Name: "reviewers-app", Kind: onboard.TeamReviewers, Members: []string{"carol"}},
				Packages:  onboard.Team{Name: "slipway-packages", Kind: onboard.TeamPackages, Members: []string{"packager"}},
			}
			_, teams, packages := Guard{c}.lookTeams(t.Context(), want, test.self)
			found, exists := teams.Is["reviewers-app"]
			if !teams.Read || exists != test.exists || found.Unseen != test.unseen || packages.Read != test.known {
				t.Errorf("%+v, packages %+v", teams, packages)
			}
			if exists && !test.unseen && (len(found.Members) != 1 || !found.Enough) {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestARepositoryThatWasRenamedIsToldByItsNewName(t *testing.T) {
	for _, test := range []struct {
		name     string
		location string
		to       string
	}{
		{"renamed", "/api/v1/repos/acme/app2/branches/main", "acme/app2"},
		{"renamed, below a path", "/git/api/v1/repos/acme/app2/branches/main", "acme/app2"},
		{"given to somebody else", "/api/v1/repos/corp/app/branches/main", "corp/app"},
		{"the site has moved", "https://forge.example/api/v1/repos/acme/app/branches/main", ""},
		{"to nothing that is known", "/login", ""},
		{"nowhere", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.location != "" {
					w.Header().Set("Location", test.location)
				}
				w.WriteHeader(http.StatusMovedPermanently)
				fmt.Fprint(w, `<a href="there">Moved Permanently</a>.`)
			})
			_, err := c.Branch(t.Context(), ref.BranchID{Repo: someRepo, Name: "main"})
			if to, moved := fault.MovedTo(err); to != test.to || moved != (test.to != "") || fault.KindOf(err) != fault.Permanent {
				t.Errorf("%q, %v: %v", to, moved, err)
			}
			if _, err = (Guard{c}).Look(t.Context(), onboard.Want{Repo: someRepo}); err == nil {
				t.Error("it was looked at all the same")
			} else if test.to != "" && !strings.HasSuffix(err.Error(), "301 it is "+test.to+" now") {
				t.Errorf("%v", err)
			}
		})
	}
}

// testUnseen: the bot is not told of a private team, and says no more.
func testUnseen(h *harbour) {
	h.do(http.MethodPost, "/orgs/harbour/teams", map[string]any{
		"name": "reviewers-unseen", "visibility": "private", "permission": "read", "units_map": map[string]string{"repo.code": "read", "repo.pulls": "read"},
	})
	bot := must(h.Token(h.t.Context(), h.bot, "write:repository", "write:issue", "write:package", "read:user", "read:organization"))(h.t)
	steps := h.plan(bot).Steps
	i := slices.IndexFunc(steps, func(s onboard.Step) bool { return s.Key == "team reviewers-unseen" })
	if i < 0 || !strings.HasPrefix(steps[i].Blocked, "not seen by slipway") || len(steps[i].Lines) > 0 {
		h.t.Errorf("as the bot sees it: %+v", steps)
	}
	h.settled(h.apply(h.owner.Token))
	if left := h.plan(bot).Steps; len(left) > 0 {
		h.t.Errorf("once it is as it should be: %+v", left)
	}
}

// testRenamed: the forge leads to the new name, which is told and not followed.
func testRenamed(h *harbour, bot string) {
	h.do(http.MethodPatch, "/repos/harbour/before", map[string]string{"name": "after"})
	g := h.guard(bot)
	_, err := g.Branch(h.t.Context(), ref.BranchID{Repo: h.id, Name: "main"})
	if to, moved := fault.MovedTo(err); !moved || to != "harbour/after" {
		h.t.Errorf("the branch: %v", err)
	}
	if _, err = g.Look(h.t.Context(), onboard.Derive(h.facts)); err == nil || !strings.Contains(err.Error(), "it is harbour/after now") {
		h.t.Errorf("the set-up: %v", err)
	}
}
