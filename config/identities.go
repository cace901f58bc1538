package config

import (
	"slices"
	"strings"
)

// identities say who is behind which login.
func (r *reader) identities(i *Identities) form {
	lines := map[string]int{}
	return r.object(
		may("people", r.texts(&i.People, login()).seen(r), "The logins that are persons. Whoever is not declared here is of unknown kind, and unknown is not independent."),
		may("people_teams", r.texts(&i.PeopleTeams, team()), "Teams (`OWNER/TEAM`) whose members are persons, unless they are declared to be agents."),
		may("agents", many(r, &i.Agents, Agent{}, func(a *Agent) form {
			return r.object(
				must("login", r.unique(&a.Login, lines, account()).seen(r), "The agent's login."),
				may("operator", r.text(&a.Operator), "Who answers for it: a login or a name.").otherwise("unknown"),
				may("model", r.text(&a.Model), "What it runs.").otherwise("unknown"),
				may("pool", r.text(&a.Pool, label()), "Its pool.").otherwise("unknown"),
			).named("agent")
		}), "The logins behind which no person is."),
	).named("identities").then(func(n node) {
		for _, a := range i.Agents {
			if slices.ContainsFunc(i.People, func(p string) bool { return strings.EqualFold(p, a.Login) }) {
				r.fault(n, "%s is declared a person and an agent", a.Login)
			}
		}
	})
}
