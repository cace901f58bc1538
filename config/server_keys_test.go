package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/config"
	"slipway/internal/authz"
)

func TestTheServersNewerKeys(t *testing.T) {
	seed := strings.Repeat("A", 43) + "="
	t.Setenv("T_SEED", seed)
	t.Setenv("T_APP", "-----BEGIN KEY-----\nabc\n-----END KEY-----\n")
	t.Setenv("T_A", "a")
	t.Setenv("T_B", "b")
	t.Setenv("T_C", "c")
	s, faults, _ := loadServer(t, strings.Replace(leastServer, "registries:", `  - {name: hub, kind: github, login: "slipway[bot]", app: {id: 7, installation: 8, private_key: {env: T_APP}}, webhook_secret: {env: T_HOOK}}
  - {name: ghes, kind: github, url: "https://ghes.example/api/v3/", login: bot, token: {env: T_TOKEN}, webhook_secret: {env: T_HOOK}}
registries:`, 1)+`resync: {rate: 9}
journal: {key: {env: T_SEED}}
comments: {sticky: false, budget: 7}
examine: {schedule: "*/15 * * * *"}
tokens: [{name: ops, role: reader, token: {env: T_OPS}, scopes: [read, explain], expires: 2027-01-01T00:00:00+01:00}]
roles: [{role: operator, people: [ada], teams: [acme/sre]}]
identities:
  people: [alice]
  people_teams: [acme/staff]
  agents: [{login: lite-0, operator: acme, model: some-model, pool: lite}, {login: "dep[bot]"}]
canaries: [{repo: acme/app, schedule: "0 * * * *", author: {login: a, token: {env: T_A}}, reviewers: [{login: b, token: {env: T_B}}, {login: c, token: {env: T_C}}]}]
`)
	says(t, faults, nil)
	for what, pair := range map[string][2]any{
		"rate":          {s.Resync.Rate, 9},
		"journal key":   {s.JournalKey.Reveal(), seed},
		"comments":      {s.Comments, config.Comments{Sticky: false, Budget: 7}},
		"examine":       {s.Examine.Schedule, "*/15 * * * *"},
		"scopes":        {fmt.Sprint(s.Tokens[0].Scopes), "[read explain]"},
		"expires":       {s.Tokens[0].Expires.UTC(), time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)},
		"roles":         {fmt.Sprint(s.Roles), "[{operator {[ada] [acme/sre] []}}]"},
		"people teams":  {fmt.Sprint(s.Identities.PeopleTeams), "[acme/staff]"},
		"agents":        {fmt.Sprint(s.Identities.Agents), "[{lite-0 acme some-model lite} {dep[bot]   }]"},
		"App":           {fmt.Sprint(s.Forges[1].App.ID, s.Forges[1].App.Installation), "7 8"},
		"App's key":     {s.Forges[1].App.PrivateKey.Reveal(), "-----BEGIN KEY-----\nabc\n-----END KEY-----"},
		"no App":        {s.Forges[2].App == nil, true},
		"GitHub":        {s.Forges[1].URL, "https://api.github.com"},
		"GHES":          {s.Forges[2].URL, "https://ghes.example/api/v3"},
		"App's login":   {s.Forges[1].Login, "slipway[bot]"},
		"canary":        {s.Canaries[0].Repo.String() + " " + s.Canaries[0].Schedule + " " + s.Canaries[0].Author.Token.Reveal(), "acme/app 0 * * * * a"},
		"its reviewers": {s.Canaries[0].Reviewers[1].Login + s.Canaries[0].Reviewers[1].Token.Reveal(), "cc"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	plan, faults := s.ParsePolicy(s.Repositories[0], config.PolicyFile, []byte(minimal))
	says(t, faults, nil)
	principals := fmt.Sprint(plan.Gate.Principals["alice"], plan.Gate.Principals["lite-0"], plan.Gate.Principals["dep[bot]"])
	if principals != "{person   } {agent acme some-model lite} {agent   }" || fmt.Sprint(plan.Gate.PeopleTeams) != "[acme/staff]" {
		t.Errorf("the gate knows %s and the teams %v", principals, plan.Gate.PeopleTeams)
	}
}

// verbs are those of the authorisation table.
func verbs() string {
	var all []string
	for _, v := range authz.Verbs() {
		all = append(all, string(v))
	}
	return strings.Join(all, ", ")
}

func TestServerDefaults(t *testing.T) {
	s, faults, _ := loadServer(t, leastServer)
	says(t, faults, nil)
	if !s.Comments.Sticky || s.Comments.Budget != 60 || s.Resync.Rate != 5 || s.Examine.Schedule != "" || !s.JournalKey.IsZero() || len(s.Canaries) != 0 {
		t.Errorf("the defaults are %+v %+v %+v", s.Comments, s.Resync, s.Examine)
	}
}
