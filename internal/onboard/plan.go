package onboard

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/ref"
)

// Right is what a step takes of whoever carries it out.
type Right string

// The rights.
const (
	RightRepository   Right = "administrator of the repository"
	RightOrganization Right = "owner of the organisation"
	RightCluster      Right = "administrator of the cluster"
	RightOperator     Right = "whoever runs Slipway"
)

// Who names somebody with the right.
func (r Right) Who() string {
	if r == RightOperator {
		return string(r)
	}
	return "an " + string(r)
}

// Plan is what would be done, in order. An empty one means that all is as it
// should be.
type Plan struct {
	Repo  ref.RepoID `json:"repository"`
	Steps []Step     `json:"steps"`
}

// Step is one difference between what is and what should be.
type Step struct {
	// Key is stable while the difference is of the same kind: "branch main",
	// "webhook", "label hold", "role main/acme".
	Key string `json:"key"`
	// Where is what the step is about: the forge, the cluster NAME, slipway.yaml.
	Where string `json:"where"`
	Lines []Line `json:"differences"`
	Needs Right  `json:"needs"`
	// Blocked says why it cannot be done with the account at hand, or by Slipway
	// at all; "" when it can.
	Blocked string `json:"blocked,omitempty"`
	// Mend is what somebody with the right has to do.
	Mend string `json:"mend"`

	part    Part
	cluster string // for a part that a cluster holds
	denied  string // the mend once the account turns out to lack the right
}

// Line is one thing that differs.
type Line struct {
	What   string `json:"what"`
	Is     string `json:"is"`
	Should string `json:"should"`
}

func (l Line) String() string { return l.What + ": " + l.Is + " → " + l.Should }

// Told says the step in one sentence, as doctor does.
func (s Step) Told() string {
	said := make([]string, 0, len(s.Lines)+1)
	for _, l := range s.Lines {
		said = append(said, fmt.Sprintf("%s: %s (should be %s)", l.What, l.Is, l.Should))
	}
	if len(said) == 0 {
		said = append(said, s.Blocked)
	}
	return s.Key + ": " + strings.Join(said, "; ")
}

// World is what is: of the forge, and of the clusters by place.
type World struct {
	Forge Forge
	Sites map[string]Site
}

// Key names a place among others.
func (p Place) Key() string { return p.Cluster + "/" + p.Namespace }

// Make compares what should be with what is. It is a pure function, and nothing
// is left to do exactly when there are no steps.
func Make(w Want, is World) Plan {
	m := maker{want: w, is: is.Forge, plan: Plan{Repo: w.Repo}}
	m.faults()
	m.name()
	m.self()
	m.bot()
	m.teams()
	m.rule()
	m.tags()
	m.packages()
	m.labels()
	m.hook()
	for _, p := range w.Places {
		m.place(p, is.Sites[p.Key()])
	}
	return m.plan
}

type maker struct {
	want Want
	is   Forge
	plan Plan
}

func (m *maker) add(s Step) { m.plan.Steps = append(m.plan.Steps, s) }

// settable adds a step with a part that the forge holds, which the account at
// hand carries out unless it is known to lack the right.
func (m *maker) settable(key string, needs Right, part Part, lines ...Line) {
	m.add(Step{Key: key, Where: "the forge", Lines: lines, Needs: needs, Blocked: m.short(needs), Mend: m.mend(needs), denied: m.other(needs), part: part})
}

// unread adds a step for what could not be seen.
func (m *maker) unread(key string, needs Right, why string) {
	blocked := "it could not be read: " + why
	m.add(Step{Key: key, Where: "the forge", Needs: needs, Blocked: blocked, Mend: m.other(needs)})
}

// short says which right the account at hand is known to lack.
func (m *maker) short(needs Right) string {
	self := m.is.Self
	switch {
	case self.Site == ref.Yes:
		return ""
	case needs == RightRepository && self.Repository != AccessAdmin && self.Owner != ref.Yes:
		return self.Login + " does not administer " + m.want.Repo.String()
	case needs == RightOrganization && self.Owner == ref.No:
		return self.Login + " does not own " + m.want.Repo.Owner
	default:
		return ""
	}
}

// mend says how the step is done, by whoever has the right.
func (m *maker) mend(needs Right) string {
	if m.short(needs) != "" {
		return m.other(needs)
	}
	return m.command("")
}

// command is what a mend tells people to run, whole: without the configuration
// it is refused, and without the word to do it nothing is written.
func (m *maker) command(more string) string {
	said := "slipway onboard " + m.want.Repo.String() + " --config " + or(m.want.Config, "slipway.yaml")
	if more != "" {
		said += " " + more
	}
	return said + " --yes"
}

// other says how somebody else, who has the right, does it.
func (m *maker) other(needs Right) string {
	if needs == RightOrganization {
		return "an owner of " + m.want.Repo.Owner + " puts a token into OWNER_TOKEN: " + m.command("--forge-token-env OWNER_TOKEN")
	}
	return "somebody who administers " + m.want.Repo.String() + " puts a token into ADMIN_TOKEN: " + m.command("--forge-token-env ADMIN_TOKEN")
}

func (m *maker) lacks(f Feature) bool { return slices.Contains(m.is.Lacks, f) }

// faults are what has to be known first.
func (m *maker) faults() {
	for _, f := range m.want.Faults {
		m.add(Step{Key: f.Key, Where: "slipway.yaml and the policy", Needs: RightOperator, Blocked: f.Fault, Mend: f.Mend})
	}
}

// name is how the repository is written. Its deliveries name it as the forge
// does, and what they name otherwise is served by nobody.
func (m *maker) name() {
	if is := m.is.Named; is != "" && is != m.want.Repo.String() {
		m.add(Step{Key: "name", Where: "slipway.yaml", Needs: RightOperator, Blocked: "the forge writes it " + is,
			Mend: "write " + is + " in slipway.yaml, and start the server anew"})
	}
}

// self is the token of Slipway's own account, if that is who looks.
func (m *maker) self() {
	if missing := m.is.Self.Unscoped; len(missing) > 0 && strings.EqualFold(m.is.Self.Login, m.want.Bot) {
		s := Step{Key: "token", Where: "the forge", Needs: RightOperator,
			Blocked: "the token of " + m.want.Bot + " lacks the scopes " + strings.Join(missing, ", "),
			Mend:    "make a new token for " + m.want.Bot + " with them too, and put it where slipway.yaml says"}
		if m.is.Self.Grant != "" {
			s.Blocked, s.Mend = m.want.Bot+" lacks "+strings.Join(missing, ", "), m.is.Self.Grant
		}
		m.add(s)
	}
}

func (m *maker) bot() {
	key := "collaborator " + m.want.Bot
	switch found := m.is.Bot; {
	case !found.Read:
		m.unread(key, RightRepository, found.Why)
	case found.Is != AccessAdmin:
		m.settable(key, RightRepository, Permission{m.want.Bot, AccessAdmin}, Line{"access", or(string(found.Is), "none"), string(AccessAdmin)})
	}
}

// teams gives a right on record to whoever is to stand on the list of
// approvers. Whoever stands on it already has one: no forge lists others.
func (m *maker) teams() {
	if m.want.Rule == nil || !m.want.Rule.Listed || m.lacks(FeatureApprovers) {
		return
	}
	if r := m.is.Rule; r.Read && r.Is != nil && m.approved(*r.Is) {
		return
	}
	if len(m.want.Reviewers.Members) > 0 {
		m.team(m.want.Reviewers)
	}
	for _, t := range m.want.Foreign {
		m.team(t)
	}
}

func (m *maker) team(t Team) {
	key := "team " + t.Name
	if m.is.Organization == ref.No {
		m.add(Step{Key: key, Where: "the forge", Needs: RightOperator,
			Blocked: m.want.Repo.Owner + " is no organisation and has no teams, so " + strings.Join(t.Members, ", ") + " need a right of their own",
			Mend:    "give each of them the right to write, or move the repository to an organisation"})
		return
	}
	if !m.is.Teams.Read {
		m.unread(key, RightOrganization, m.is.Teams.Why)
		return
	}
	is, exists := m.is.Teams.Is[Lower(t.Name)]
	if is.Unseen {
		m.add(Step{Key: key, Where: "the forge", Needs: RightOrganization, Blocked: "not seen by " + m.is.Self.Login + ", so it is not known whether it is as it should be",
			Mend: m.other(RightOrganization)})
		return
	}
	if t.Foreign && !exists {
		m.add(Step{Key: key, Where: "the forge", Needs: RightOrganization, Blocked: "there is no such team in " + m.want.Repo.Owner,
			Mend: "make the team, or name another in the policy"})
		return
	}
	var lines []Line
	if !is.Enough {
		now := "not enough"
		if !exists {
			now = "no such team"
		}
		lines = append(lines, Line{"access", now, means(t.Kind)})
	}
	if missing := without(t.Members, is.Members); len(missing) > 0 && !t.Foreign {
		lines = append(lines, Line{"members", list(is.Members), list(t.Members)})
	}
	if len(lines) > 0 {
		m.settable(key, RightOrganization, t, lines...)
	}
}

func means(k TeamKind) string {
	if k == TeamPackages {
		return "write packages"
	}
	return "review pull requests"
}

func (m *maker) packages() {
	if len(m.want.Packages.Members) == 0 || m.lacks(FeaturePackages) {
		return
	}
	who := m.want.Packages.Members[0]
	switch found := m.is.Packages; {
	case !found.Read:
		m.unread("packages", RightOrganization, found.Why)
	case found.Is:
	case m.is.Organization == ref.No:
		m.add(Step{Key: "packages", Where: "the forge", Needs: RightOperator,
			Blocked: who + " may not write packages of " + m.want.Repo.Owner + ", which is no organisation and can give that right to nobody",
			Mend:    "move the repository to an organisation, or push images elsewhere"})
	default:
		m.settable("packages", RightOrganization, m.want.Packages, Line{"access of " + who, "no writing", "write"})
	}
}

func (m *maker) tags() {
	if m.want.Tags == nil || m.lacks(FeatureTagProtection) {
		return
	}
	key := "tags " + m.want.Tags.Pattern
	if !m.is.Tags.Read {
		m.unread(key, RightRepository, m.is.Tags.Why)
		return
	}
	is := m.is.Tags.Is
	if is == nil {
		m.settable(key, RightRepository, *m.want.Tags, Line{"makers", "anybody who may write", list(m.want.Tags.Makers)})
		return
	}
	var d diff
	d.names("makers", is.Makers, m.want.Tags.Makers)
	d.names("teams of makers", is.MakerTeams, m.want.Tags.MakerTeams)
	if len(d) > 0 {
		m.settable(key, RightRepository, *m.want.Tags, d...)
	}
}

func (m *maker) labels() {
	if !m.is.Labels.Read {
		if len(m.want.Labels) > 0 {
			m.unread("labels", RightRepository, m.is.Labels.Why)
		}
		return
	}
	for _, l := range m.want.Labels {
		if !holds(m.is.Labels.Is, l.Name) {
			m.settable("label "+l.Name, RightRepository, l, Line{"there", "no", "yes"})
		}
	}
}

// without are those wanted that are not among the others.
func without(wanted, others []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { return holds(others, w) })
}

func list(names []string) string { return or(strings.Join(names, ", "), "nobody") }

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
