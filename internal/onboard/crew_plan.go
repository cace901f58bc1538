package onboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/ref"
	"slipway/pools"
)

// The rights that a crew takes beyond a repository's.
const (
	// RightSite makes accounts, and tokens for them.
	RightSite Right = "administrator of the forge"
)

// CrewPlan is what would be done, in order, and what is only told.
type CrewPlan struct {
	Steps []Step `json:"steps"`
	// Notes are what is left as it is, and why.
	Notes []string `json:"notes,omitempty"`
}

// MakeCrew compares what should be with what is. It is a pure function, and
// nothing is left to do exactly when there are no steps.
func MakeCrew(w Crew, is CrewWorld) CrewPlan {
	m := mustering{want: w, is: is}
	m.rights()
	for _, a := range w.Coordinates {
		m.account(a)
	}
	for _, t := range w.Teams {
		m.team(t)
	}
	for _, y := range is.Yards { // a Secret wants a namespace
		m.yard(y)
	}
	for _, a := range w.Coordinates {
		m.secrets(a)
	}
	for _, a := range w.Remove {
		m.remove(a)
	}
	m.leftovers()
	return m.plan
}

type mustering struct {
	want Crew
	is   CrewWorld
	plan CrewPlan
}

func (m *mustering) add(s Step) { m.plan.Steps = append(m.plan.Steps, s) }

func (m *mustering) note(format string, a ...any) {
	m.plan.Notes = append(m.plan.Notes, fmt.Sprintf(format, a...))
}

// command is what a mend tells people to run, whole.
func (m *mustering) command(more string) string {
	said := "slipway pools apply --config " + or(m.want.Config, "slipway.yaml")
	if more != "" {
		said += " " + more
	}
	return said + " --yes"
}

func (m *mustering) other() string {
	return "somebody who administers the forge puts a token with the scopes write:admin, write:organization, write:repository and write:user into ADMIN_TOKEN: " +
		m.command("--forge-token-env ADMIN_TOKEN")
}

// short says why the account at hand can make nothing on the forge.
func (m *mustering) short() string {
	switch r := m.is.Roster; {
	case r.Site == ref.No:
		return r.Self + " does not administer the forge"
	case len(r.Unscoped) > 0:
		return "the token of " + r.Self + " lacks the scopes " + strings.Join(r.Unscoped, ", ")
	}
	return ""
}

// onForge adds a step with a part that the forge holds.
func (m *mustering) onForge(key string, part Part, lines ...Line) {
	s := Step{Key: key, Where: "the forge", Lines: lines, Needs: RightSite, Blocked: m.short(), Mend: m.command(""), denied: m.other(), part: part}
	if s.Blocked != "" {
		s.Mend = s.denied
	}
	m.add(s)
}

func (m *mustering) unread(key, where string, needs Right, why, mend string) {
	m.add(Step{Key: key, Where: where, Needs: needs, Blocked: "it could not be read: " + why, Mend: mend})
}

// rights names what cannot be known, once for all that follows from it.
func (m *mustering) rights() {
	serve := "is the server up, SLIPWAY_SERVER its address, and SLIPWAY_TOKEN an operator's? then " + m.command("")
	if !m.is.Credentials.Read {
		m.unread("credentials", "the server", RightOperator, m.is.Credentials.Why, serve)
	}
	for _, k := range m.is.Keeps {
		if !k.Held.Read {
			m.unread("secrets in "+k.Name, k.Name, RightOperator, k.Held.Why, "may you read it? then "+m.command(""))
		}
	}
}

func (m *mustering) account(a pools.Address) {
	key := "account " + a.String()
	found := m.is.Roster.Accounts[Lower(a.String())]
	switch {
	case !found.Read:
		m.unread(key, "the forge", RightSite, or(found.Why, "nothing was said of it"), m.other())
	case found.Is == nil:
		m.onForge(key, Enlisted{a}, Line{"account", "none", "restricted, of no right but its team's"})
	case found.Is.Site:
		m.add(Step{Key: key, Where: "the forge", Needs: RightSite, Blocked: "it administers the whole forge, and a command of somebody's choice is run under its name",
			Mend: "take that right from " + a.String() + " on the forge, then " + m.command("")})
	default:
		var d diff
		d.flag("restricted", found.Is.Restricted, true)
		d.flag("may sign in", !found.Is.Barred, true)
		if len(d) > 0 {
			m.onForge(key, Enlisted{a}, d...)
		}
	}
}

func (m *mustering) team(t CrewTeam) {
	key := "team " + t.Owner + "/" + t.Name
	found := m.is.Roster.Teams[t.Key()]
	if !found.Read {
		m.unread(key, "the forge", RightSite, or(found.Why, "nothing was said of it"), m.other())
		return
	}
	is := CrewTeamIs{}
	if found.Is != nil {
		is = *found.Is
	}
	var d diff
	access := "read"
	if t.Writes {
		access = "write"
	}
	switch {
	case found.Is == nil:
		d = append(d, Line{"access", "no such team", access})
	case !is.Enough:
		d = append(d, Line{"access", "another", access})
	}
	if missing := slices.DeleteFunc(slices.Clone(t.Repositories), func(r ref.RepoID) bool { return slices.Contains(is.Repositories, r) }); len(missing) > 0 {
		d = append(d, Line{"repositories", list(repoNames(is.Repositories)), list(repoNames(t.Repositories))})
	}
	if missing := without(t.Members, is.Members); len(missing) > 0 {
		d = append(d, Line{"members", list(is.Members), list(t.Members)})
	}
	if len(d) > 0 {
		m.onForge(key, t, d...)
	}
	if strange := m.strangers(t, is.Members); len(strange) > 0 {
		m.note("team %s/%s: %s may do what it may, and is no coordinate of the pool config", t.Owner, t.Name, strings.Join(strange, ", "))
	}
}

// strangers are in a team and no coordinate; one to be removed is told of there.
func (m *mustering) strangers(t CrewTeam, members []string) []string {
	leaving := make([]string, 0, len(m.want.Remove))
	for _, a := range m.want.Remove {
		leaving = append(leaving, a.String())
	}
	return slices.DeleteFunc(without(members, t.Members), func(s string) bool { return holds(leaving, s) })
}

func (m *mustering) yard(y YardIs) {
	where := "cluster " + y.Cluster
	if !y.Things.Read {
		m.unread("pools in "+y.Cluster, where, RightCluster, y.Things.Why, "somebody who may: "+m.command("--kubeconfig FILE"))
		return
	}
	for _, t := range y.Things.Is {
		if t.Held != "" {
			m.note("%s in %s: %s", t.Name, where, t.Held)
			continue
		}
		s := Step{Key: t.Name, Where: where, Lines: t.Lines, Needs: RightCluster, Mend: m.command(""), part: built{t.Of}, cluster: y.Cluster,
			denied: "somebody who may: " + m.command("--kubeconfig FILE")}
		if t.Denied != "" {
			s.Blocked, s.Mend = t.Denied, s.denied
		}
		if m.drops(t, &s) {
			m.add(s)
		}
	}
}

// secrets has every keep hold a credential that the server knows and a token
// that the forge does, and what they replaced withdrawn after the grace.
func (m *mustering) secrets(a pools.Address) {
	account := m.is.Roster.Accounts[Lower(a.String())]
	if !m.is.Credentials.Read || !account.Read || slices.ContainsFunc(m.is.Keeps, func(k KeepIs) bool { return !k.Held.Read }) {
		return // said already
	}
	e := equipped{address: a, worker: -1, forge: -1}
	rotate := slices.Contains(m.want.Rotate, a)
	for i, k := range m.is.Keeps {
		held := k.Held.Is[a]
		if _, good := m.credential(a, held.Worker); good && e.worker < 0 && !rotate {
			e.worker = i
		}
		if _, good := tokenOf(account.Is, held.Forge); good && e.forge < 0 && !rotate {
			e.forge = i
		}
	}
	var d diff
	if e.worker < 0 {
		d = append(d, Line{"worker credential", m.standing(a, rotate, func(h Held) string { return h.Worker }), "a new one"})
	}
	if e.forge < 0 {
		d = append(d, Line{"forge token", m.standing(a, rotate, func(h Held) string { return h.Forge }), "a new one"})
	}
	for i, k := range m.is.Keeps {
		held := k.Held.Is[a]
		if e.worker >= 0 && e.forge >= 0 && held == (Held{m.is.Keeps[e.worker].Held.Is[a].Worker, m.is.Keeps[e.forge].Held.Is[a].Forge}) {
			continue
		}
		e.into = append(e.into, i)
		if len(d) == 0 {
			d = append(d, Line{"in " + k.Name, "none that is good", "as in " + m.is.Keeps[max(e.worker, e.forge)].Name})
		}
	}
	if len(e.into) == 0 {
		m.replaced(a, e, account.Is)
		return
	}
	s := Step{Key: "secrets " + a.String(), Where: "the server and the forge", Lines: d, Needs: RightSite, Mend: m.command(""), denied: m.other(), part: e}
	if short := m.short(); e.forge < 0 && short != "" {
		s.Blocked, s.Mend = short, s.denied
	}
	m.add(s)
}

// standing says what is the matter with what a coordinate has.
func (m *mustering) standing(a pools.Address, rotate bool, of func(Held) string) string {
	any := slices.ContainsFunc(m.is.Keeps, func(k KeepIs) bool { return of(k.Held.Is[a]) != "" })
	switch {
	case any && rotate:
		return "one to be replaced"
	case any:
		return "one that is good no more"
	default:
		return "none"
	}
}

// replaced withdraws what a coordinate no longer goes by.
func (m *mustering) replaced(a pools.Address, e equipped, account *Account) {
	held := m.is.Keeps[e.worker].Held.Is[a]
	current, _ := m.credential(a, held.Worker)
	for _, c := range m.is.Credentials.Is {
		if c.Address != a || !c.Good || c.Hash == current.Hash {
			continue
		}
		key := "old credential " + a.String() + " " + c.Hash[:min(12, len(c.Hash))]
		if until := m.until(current.Created, c.Created); m.want.Now.Before(until) {
			m.note("%s is good until the first run of this after %s", key, until.UTC().Format(time.RFC3339))
			continue
		}
		m.add(Step{Key: key, Where: "the server", Lines: diff{{"revoked", "no", "yes"}}, Needs: RightOperator, Mend: m.command(""), part: revoked{c.Hash}})
	}
	token, _ := tokenOf(account, m.is.Keeps[e.forge].Held.Is[a].Forge)
	for _, t := range account.Tokens {
		if t.Name == token.Name {
			continue
		}
		key := "old token " + a.String() + " " + t.Name
		if until := m.until(token.Created, t.Created); m.want.Now.Before(until) {
			m.note("%s is good until the first run of this after %s", key, until.UTC().Format(time.RFC3339))
			continue
		}
		m.onForge(key, Withdrawn{a, t.Name}, Line{"there", "yes", "no"})
	}
}

// until is how long something that is not gone by stays good: the grace after it
// was replaced, and after it was made, for another run may be about to put it in
// place.
func (m *mustering) until(current, made time.Time) time.Time {
	if made.After(current) {
		current = made
	}
	return current.Add(m.want.Grace)
}

// credential is the good one of a coordinate with a hash.
func (m *mustering) credential(a pools.Address, hash string) (WorkerCredential, bool) {
	for _, c := range m.is.Credentials.Is {
		if hash != "" && c.Hash == hash && c.Address == a && c.Good {
			return c, true
		}
	}
	return WorkerCredential{}, false
}

func tokenOf(account *Account, ending string) (AccountToken, bool) {
	if account == nil || ending == "" {
		return AccountToken{}, false
	}
	i := slices.IndexFunc(account.Tokens, func(t AccountToken) bool { return t.Ending == ending && t.Enough })
	if i < 0 {
		return AccountToken{}, false
	}
	return account.Tokens[i], true
}

func repoNames(repos []ref.RepoID) (names []string) {
	for _, r := range repos {
		names = append(names, r.String())
	}
	return names
}
