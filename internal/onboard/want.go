package onboard

import (
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// Want is how a repository should be.
type Want struct {
	Repo ref.RepoID
	// Rule is the lock on the branch that merges go to; nil when it cannot be
	// known yet.
	Rule *Protection
	// Draft leaves the branch without that lock, for the policy is not on it yet.
	Draft bool
	// Approving says how much of the list of approvers is known.
	Approving Approving
	// Tags is the lock on version tags; nil when the prefix cannot be known yet.
	Tags *TagProtection
	// Hook is the webhook; its URL is "" when that is not known, and HookPath is
	// how it ends in any case. RenewHook sets it whatever is there, for a secret
	// that forges do not tell.
	Hook      Hook
	HookPath  string
	RenewHook bool
	// Loosen lets what the forge asks for beyond the policy be taken away.
	Loosen bool
	// Reviewers is the team that gives those on the list of approvers a right on
	// record.
	Reviewers Team
	// Foreign are the teams on the list of approvers that others look after.
	Foreign []Team
	// Bot is Slipway's own login.
	Bot string
	// Packages is the team that lets the account that pushes images do so; it has
	// no member where images go elsewhere.
	Packages Team
	// Labels are those that the policy speaks of.
	Labels []Label
	// Places are where it is deployed to.
	Places []Place
	// Config is the configuration that mends name; "" is slipway.yaml.
	Config string
	// Faults are what keeps parts of this from being known, such as a policy that
	// is not there.
	Faults []Lack
}

// Approving is how much of the list of approvers is known.
type Approving string

// How much may be known of it.
const (
	// ApprovingNamed: the policy names them, and the forge has exactly them.
	ApprovingNamed Approving = ""
	// ApprovingDeclared: the policy leaves them to the forge, which may have any
	// of those who are declared, if they are enough.
	ApprovingDeclared Approving = "declared"
	// ApprovingOpen: nobody is declared, so what the forge has stays.
	ApprovingOpen Approving = "open"
)

// Lack is something that somebody must do first.
type Lack struct {
	Key   string // policy, webhook, approvers
	Fault string
	Mend  string
}

// Facts are what the wanted state follows from.
type Facts struct {
	Repo   ref.RepoID
	Branch string
	// Tip says whether the branch has a commit.
	Tip ref.Fact
	Bot string
	// Plan is the repository's policy, bound to the declared identities.
	Plan change.Plan
	// Draft says that the policy is not on the branch yet, but a file that stands
	// in for it.
	Draft bool
	// External is where the forge reaches this server, "" when it is not
	// configured, and HookPath the path of the forge's webhook there.
	External string
	HookPath string
	Secret   Secret
	// Packager pushes images to the owner's packages; "" where they go elsewhere.
	Packager string
	// Subjects are Slipway's accounts, by cluster.
	Subjects map[string]string
	// Namespaces may be deployed to, by cluster.
	Namespaces map[string][]string
	// Crew are the coordinates of the pools on this forge.
	Crew []Hand
}

// Hand is a coordinate as an approver: whoever reviews stands on the forge's
// list, for its approval to count there.
type Hand struct {
	Login   string
	Pool    string
	Reviews bool
}

// Derive says how a repository should be.
func Derive(f Facts) Want {
	w := Want{
		Repo: f.Repo, Bot: f.Bot, Draft: f.Draft,
		Reviewers: Team{Name: "reviewers-" + Lower(f.Repo.Name), Kind: TeamReviewers},
		Packages:  Team{Name: "slipway-packages", Kind: TeamPackages},
		Hook:      Hook{Active: true, JSON: true, Signed: true, Secret: f.Secret},
		HookPath:  f.HookPath,
	}
	if f.Packager != "" {
		w.Packages.Members = []string{f.Packager}
	}
	if f.External != "" {
		w.Hook.URL = f.External + f.HookPath
	}
	if f.Tip == ref.No {
		w.Faults = append(w.Faults, Lack{"branch " + f.Branch, "it does not exist, and once it is protected nobody can push it",
			"push the first commit, with the policy file in it, and run this again"})
		return w
	}
	if len(f.Plan.Faults) > 0 {
		w.Faults = append(w.Faults, Lack{"policy", strings.Join(f.Plan.Faults, "; "),
			"push the policy to " + f.Branch + ", then run this again (with --policy FILE the rest is set up before)"})
		return w
	}
	w.rule(f)
	w.Tags = &TagProtection{Pattern: tagPattern(f.Plan.Release.Prefix), Makers: []string{f.Bot}}
	w.Labels = labels(f.Plan)
	w.places(f)
	return w
}

// rule is the second lock. It asks for no more than the gate does, or what the
// gate lets through would be refused for ever; and for what it can see of it by
// itself, so that it holds without Slipway.
func (w *Want) rule(f Facts) {
	g := f.Plan.Gate
	w.Rule = &Protection{
		Branch: f.Branch, Checks: checks(g), Gate: true, Approvals: max(g.Approvals, gate.MinApprovals),
		MergeListed: true, Mergers: []string{f.Bot},
		DismissStale: true, BlockRejected: true, UpToDate: g.UpToDate, AdminsIncluded: true,
	}
	people, teams := approvers(g, f.Crew)
	for _, t := range teams {
		owner, name, _ := strings.Cut(t, "/")
		if !strings.EqualFold(owner, f.Repo.Owner) {
			w.Faults = append(w.Faults, Lack{"approvers", "the team " + t + " is not one of " + f.Repo.Owner + ", so it cannot stand on the list of approvers",
				"name its members in the policy or in identities"})
			continue
		}
		w.Rule.ApproverTeams = append(w.Rule.ApproverTeams, name)
		w.Foreign = append(w.Foreign, Team{Name: name, Kind: TeamReviewers, Foreign: true})
	}
	people = slices.DeleteFunc(people, func(p string) bool { return strings.EqualFold(p, f.Bot) })
	w.Rule.Approvers, w.Reviewers.Members = people, people
	w.Rule.Listed = len(people)+len(w.Rule.ApproverTeams) > 0
	if silent(g.Approvers) {
		w.Approving = ApprovingDeclared
	}
	if !w.Rule.Listed {
		w.Approving = ApprovingOpen
		w.Faults = append(w.Faults, Lack{"approvers", "nobody is declared whose approval could count",
			"name people and agents under identities in slipway.yaml, or approvers in the policy"})
	}
}

// checks are the contexts that every pull request needs. What is wanted for
// some paths only is left to the gate: the forge would wait for it always.
func checks(g gate.Policy) []string {
	var all []string
	for _, c := range g.Checks {
		if !c.Optional && len(c.Paths) == 0 {
			all = append(all, c.Context)
		}
	}
	slices.Sort(all) // contexts that differ in case are different checks
	return slices.Compact(all)
}

// approvers are those whose approvals the policy can count: whom it names, or
// else everybody who is declared, for nobody else is known to be independent.
func approvers(g gate.Policy, crew []Hand) (people, teams []string) {
	chosen := []gate.Who{g.Approvers}
	if silent(g.Approvers) {
		for login := range g.Principals {
			people = append(people, login)
		}
		for _, h := range crew {
			if h.Reviews {
				people = append(people, h.Login)
			}
		}
		teams = slices.Clone(g.PeopleTeams)
	}
	for _, d := range g.Demands {
		chosen = append(chosen, d.From)
	}
	for _, who := range chosen {
		people = append(people, who.People...)
		teams = append(teams, who.Teams...)
		for login, p := range g.Principals {
			if p.Pool != "" && slices.Contains(who.Pools, p.Pool) {
				people = append(people, login)
			}
		}
		for _, h := range crew {
			if slices.Contains(who.Pools, h.Pool) {
				people = append(people, h.Login)
			}
		}
	}
	excluded := func(name string) bool {
		return holds(g.Excluded.People, name) || slices.ContainsFunc(crew, func(h Hand) bool {
			return strings.EqualFold(h.Login, name) && slices.Contains(g.Excluded.Pools, h.Pool)
		})
	}
	return slices.DeleteFunc(distinct(people), excluded), distinct(teams)
}

// silent says that a policy names nobody.
func silent(w gate.Who) bool { return len(w.People)+len(w.Teams)+len(w.Pools) == 0 }

// tagPattern matches the version tags of a prefix.
func tagPattern(prefix string) string {
	if prefix == "" {
		return "[0-9]*"
	}
	return prefix + "*"
}

func labels(p change.Plan) []Label {
	var all []Label
	for _, h := range p.Gate.HoldLabels {
		all = append(all, Label{h, "b60205", "Keeps the pull request from merging"})
	}
	for _, l := range []struct{ name, level string }{
		{p.Release.Major, "major"}, {p.Release.Minor, "minor"}, {p.Release.Patch, "patch"},
	} {
		if l.name != "" {
			all = append(all, Label{l.name, "0e8a16", "Raises the " + l.level + " version"})
		}
	}
	return all
}

func (w *Want) places(f Facts) {
	d := f.Plan.Deploy
	if d.Cluster == "" || !slices.Contains(f.Namespaces[d.Cluster], d.Namespace) {
		return
	}
	w.Places = append(w.Places, Place{
		Cluster: d.Cluster, Namespace: d.Namespace, Deployments: []string{d.Deployment},
		Probed: d.Health.URL == "", Subject: f.Subjects[d.Cluster],
	})
}

// distinct sorts names and leaves each once, without regard to case.
func distinct(names []string) []string {
	names = slices.Clone(names)
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(Lower(a), Lower(b)) })
	return slices.CompactFunc(names, strings.EqualFold)
}

func holds(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
