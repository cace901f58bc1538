package onboard_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/onboard"
	"slipway/internal/ref"
)

type secret string

func (s secret) Reveal() string { return string(s) }

// facts are those of a repository with an ordinary policy.
func facts() onboard.Facts {
	return onboard.Facts{
		Repo: ref.RepoID{Owner: "acme", Name: "app"}, Branch: "main", Tip: ref.Yes, Bot: "slipway-bot",
		Plan: change.Plan{
			Gate: gate.Policy{
				Approvals: 2, HoldLabels: []string{"hold"},
				Checks: []gate.CheckRule{
					{Context: "ci / test (pull_request)", Workflow: "ci.yml", Job: "test"},
					{Context: "ci / lint (pull_request)", Workflow: "ci.yml", Job: "lint", Optional: true},
					{Context: "ci / docs (pull_request)", Workflow: "ci.yml", Job: "docs", Paths: []string{"docs/**"}},
				},
				Principals: map[string]gate.Principal{"carol": {Kind: gate.KindPerson}, "dave": {Kind: gate.KindPerson}},
			},
			Release: change.ReleasePlan{Prefix: "v", Major: "release/major"},
			Deploy:  deployer.Spec{Cluster: "main", Namespace: "acme", Deployment: "app", Container: "app", Health: deployer.Health{Port: 8080}},
		},
		External: "https://slipway.example", HookPath: "/hooks/gitea", Secret: secret("s3cret"), Packager: "slipway-bot",
		Subjects:   map[string]string{"main": "system:serviceaccount:slipway:slipway"},
		Namespaces: map[string][]string{"main": {"acme"}},
	}
}

func keys(p onboard.Plan) []string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, s.Key)
	}
	return all
}

func TestABareRepositoryNeedsEverythingInAnOrderThatWorks(t *testing.T) {
	w, want := bare(), onboard.Derive(facts())
	got := keys(w.plan(want))
	if diff := cmp.Diff([]string{
		"collaborator slipway-bot", "team reviewers-app", "branch main", "tags v*", "packages",
		"label hold", "label release/major", "webhook", "namespace main/acme", "role main/acme", "binding main/acme",
	}, got); diff != "" {
		t.Error(diff)
	}
	for _, o := range w.apply(want) {
		if !o.Done {
			t.Errorf("%s: %s", o.Step.Key, o.Fault)
		}
	}
	if again := w.plan(want); len(again.Steps) > 0 {
		t.Errorf("still to be done: %q", keys(again))
	}
}

func TestTheForgesLockIsTheSecondOne(t *testing.T) {
	rule := func(change func(*onboard.Facts)) *onboard.Protection {
		f := facts()
		change(&f)
		return onboard.Derive(f).Rule
	}
	tests := []struct {
		name   string
		change func(*onboard.Facts)
		holds  func(*onboard.Protection) bool
	}{
		{"what is always required is required there too", func(*onboard.Facts) {},
			func(p *onboard.Protection) bool { return slices.Equal(p.Checks, []string{"ci / test (pull_request)"}) }},
		{"two approvals are the least", func(f *onboard.Facts) { f.Plan.Gate.Approvals = 0 },
			func(p *onboard.Protection) bool { return p.Approvals == 2 }},
		{"more than two are taken over", func(f *onboard.Facts) { f.Plan.Gate.Approvals = 3 },
			func(p *onboard.Protection) bool { return p.Approvals == 3 }},
		{"only the bot merges, and nobody gets past it", func(*onboard.Facts) {}, func(p *onboard.Protection) bool {
			return p.MergeListed && slices.Equal(p.Mergers, []string{"slipway-bot"}) && p.AdminsIncluded && !p.Push && !p.ForcePush && !p.Bypass
		}},
		{"without named approvers, those who are declared may approve", func(*onboard.Facts) {},
			func(p *onboard.Protection) bool {
				return p.Listed && slices.Equal(p.Approvers, []string{"carol", "dave"})
			}},
		{"named approvers count alone", func(f *onboard.Facts) { f.Plan.Gate.Approvers.People = []string{"erin"} },
			func(p *onboard.Protection) bool { return slices.Equal(p.Approvers, []string{"erin"}) }},
		{"a pool stands for its agents", func(f *onboard.Facts) {
			f.Plan.Gate.Principals["reviewer-lite-0"] = gate.Principal{Kind: gate.KindAgent, Pool: "reviewer-lite"}
			f.Plan.Gate.Approvers.Pools = []string{"reviewer-lite"}
		}, func(p *onboard.Protection) bool { return slices.Equal(p.Approvers, []string{"reviewer-lite-0"}) }},
		{"who is demanded by name may approve", func(f *onboard.Facts) {
			f.Plan.Gate.Demands = []gate.Demand{{Name: "security", From: gate.Who{People: []string{"frank"}}}}
		}, func(p *onboard.Protection) bool { return slices.Contains(p.Approvers, "frank") }},
		{"who is excluded may not", func(f *onboard.Facts) { f.Plan.Gate.Excluded.People = []string{"Dave"} },
			func(p *onboard.Protection) bool { return slices.Equal(p.Approvers, []string{"carol"}) }},
		{"the bot approves nothing", func(f *onboard.Facts) { f.Plan.Gate.Approvers.People = []string{"carol", "Slipway-Bot"} },
			func(p *onboard.Protection) bool { return slices.Equal(p.Approvers, []string{"carol"}) }},
		{"a team of the owner stands there as a team", func(f *onboard.Facts) { f.Plan.Gate.Approvers.Teams = []string{"acme/staff"} },
			func(p *onboard.Protection) bool { return slices.Equal(p.ApproverTeams, []string{"staff"}) }},
		{"up to date follows the policy", func(f *onboard.Facts) { f.Plan.Gate.UpToDate = true },
			func(p *onboard.Protection) bool { return p.UpToDate }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if p := rule(test.change); !test.holds(p) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// drifted is a repository that was set up, and then changed by hand.
func drifted(t *testing.T, want onboard.Want, change func(*world)) *world {
	t.Helper()
	w := bare()
	w.apply(want)
	if p := w.plan(want); len(p.Steps) > 0 {
		t.Fatalf("not set up: %q", keys(p))
	}
	change(w)
	return w
}

func TestADriftIsFoundWithItsMend(t *testing.T) {
	onRule := func(change func(*onboard.Protection)) func(*world) {
		return func(w *world) {
			p := *w.forge.Rule.Is
			change(&p)
			w.forge.Rule = onboard.Read(&p)
		}
	}
	onHook := func(change func(*onboard.Hook)) func(*world) {
		return func(w *world) {
			h := w.forge.Hooks.Is[0]
			change(&h)
			w.forge.Hooks = onboard.Read([]onboard.Hook{h})
		}
	}
	mine := "slipway onboard acme/app --config slipway.yaml --yes"
	looser := "ask for as much in the policy, or have it loosened: slipway onboard acme/app --config slipway.yaml --loosen --yes"
	tests := []struct {
		name   string
		change func(*world)
		key    string
		told   string
		mend   string
		manual bool // for people alone
	}{
		{"the forge writes its name otherwise", func(w *world) { w.forge.Named = "Acme/app" }, "name", "the forge writes it Acme/app",
			"write Acme/app in slipway.yaml, and start the server anew", true},
		{"the protection was removed", func(w *world) { w.forge.Rule = onboard.Read[*onboard.Protection](nil) }, "branch main", "who may merge: whoever may write", mine, false},
		{"a check is no longer required", onRule(func(p *onboard.Protection) { p.Checks = nil }), "branch main", "required checks: none", mine, false},
		{"a check of another case is another check", onRule(func(p *onboard.Protection) { p.Checks = []string{"CI / test (pull_request)"} }), "branch main", "required checks: CI / test", looser, true},
		{"a check is required that the policy does not ask for", onRule(func(p *onboard.Protection) { p.Checks = append(p.Checks, "old") }), "branch main", ", old (should be", looser, true},
		{"one approval is enough", onRule(func(p *onboard.Protection) { p.Approvals = 1 }), "branch main", "approvals: 1 (should be 2)", mine, false},
		{"a reviewer was dropped", onRule(func(p *onboard.Protection) { p.Approvers = []string{"carol"} }), "branch main", "approvers: carol (should be carol, dave)", mine, false},
		{"a stranger may approve", func(w *world) {
			w.readers = []string{"eve"}
			p := *w.forge.Rule.Is
			p.Approvers = []string{"carol", "dave", "eve"}
			w.forge.Rule = onboard.Read(&p)
		}, "branch main", "approvers: carol, dave, eve (should be carol, dave)", mine, false},
		{"whoever may write may approve", onRule(func(p *onboard.Protection) { p.Listed = false }), "branch main", "approvers: whoever may write", mine, false},
		{"somebody else may merge", onRule(func(p *onboard.Protection) { p.Mergers = append(p.Mergers, "eve") }), "branch main", "who may merge: eve, slipway-bot", mine, false},
		{"a team may merge", onRule(func(p *onboard.Protection) { p.MergerTeams = []string{"staff"} }), "branch main", "teams that may merge: staff", mine, false},
		{"the branch can be pushed to", onRule(func(p *onboard.Protection) { p.Push = true }), "branch main", "push past pull requests: yes", mine, false},
		{"administrators get past it", onRule(func(p *onboard.Protection) { p.AdminsIncluded = false }), "branch main", "administrators are held to it: no", mine, false},
		{"the gate waits for nothing that the forge insists on", onRule(func(p *onboard.Protection) { p.UpToDate = true }), "branch main", "must be up to date: yes", looser, true},
		{"the forge wants more approvals", onRule(func(p *onboard.Protection) { p.Approvals = 3 }), "branch main", "approvals: 3 (should be 2)", looser, true},
		{"the tags are anybody's", func(w *world) { w.forge.Tags = onboard.Read[*onboard.TagProtection](nil) }, "tags v*", "makers: anybody", mine, false},
		{"somebody else makes tags", func(w *world) {
			w.forge.Tags = onboard.Read(&onboard.TagProtection{Pattern: "v*", Makers: []string{"slipway-bot", "eve"}})
		}, "tags v*", "makers: eve, slipway-bot", mine, false},
		{"the bot was demoted", func(w *world) { w.forge.Bot = onboard.Read(onboard.AccessWrite) }, "collaborator slipway-bot", "access: write (should be admin)", mine, false},
		{"a label is gone", func(w *world) { w.forge.Labels = onboard.Read([]string{"release/major"}) }, "label hold", "there: no", mine, false},
		{"the webhook is gone", func(w *world) { w.forge.Hooks = onboard.Read([]onboard.Hook{}) }, "webhook", "address: no webhook", mine, false},
		{"the webhook leads to another host", onHook(func(h *onboard.Hook) { h.URL = "http://old.example/hooks/gitea" }), "webhook", "address: http://old.example/hooks/gitea", mine, false},
		{"the webhook is off", onHook(func(h *onboard.Hook) { h.Active = false }), "webhook", "active: no", mine, false},
		{"the webhook lacks events", onHook(func(h *onboard.Hook) { h.Missing = []string{"status"} }), "webhook", "events: without status", mine, false},
		{"the webhook is there twice", func(w *world) {
			w.forge.Hooks.Is = append(w.forge.Hooks.Is, onboard.Hook{ID: 7, URL: w.forge.Hooks.Is[0].URL})
		}, "webhook twice", "2 webhooks deliver", "delete the webhooks 7 in the repository's settings", true},
		{"deliveries fail", onHook(func(h *onboard.Hook) { h.Failing = "502 Bad Gateway" }), "webhook delivery", "502 Bad Gateway", "can the forge reach https://slipway.example/hooks/gitea?", true},
		{"images cannot be pushed", func(w *world) { w.forge.Packages = onboard.Read(false) }, "packages", "access of slipway-bot: no writing", mine, false},
		{"the token has lost a scope", func(w *world) { w.forge.Self.Login, w.forge.Self.Unscoped = "slipway-bot", []string{"write:issue"} }, "token", "lacks the scopes write:issue",
			"make a new token for slipway-bot with them too, and put it where slipway.yaml says", true},
		{"the role is gone", func(w *world) {
			s := w.sites["main/acme"]
			s.Missing, s.Bound = onboard.Read([]string{"patch deployments app"}), ref.No
			w.sites["main/acme"] = s
		}, "role main/acme", "without patch deployments app", mine, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := onboard.Derive(facts())
			w := drifted(t, want, test.change)
			p := w.plan(want)
			i := slices.IndexFunc(p.Steps, func(s onboard.Step) bool { return s.Key == test.key })
			if i < 0 {
				t.Fatalf("not found among %q", keys(p))
			}
			s := p.Steps[i]
			if !strings.Contains(s.Told(), test.told) || s.Mend != test.mend || (s.Blocked != "") != test.manual {
				t.Errorf("%q, mend %q, blocked %q", s.Told(), s.Mend, s.Blocked)
			}
			w.apply(want)
			if left := keys(w.plan(want)); !test.manual && len(left) > 0 || test.manual && !slices.Contains(left, test.key) {
				t.Errorf("after it was mended: %q", left)
			}
		})
	}
}

func TestWhatAnAccountMayNotDoIsListedForSomebodyWhoMay(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*world)
		key     string
		blocked string
		mend    string
	}{
		{"the bot is no administrator yet", func(w *world) { w.forge.Self.Repository = onboard.AccessWrite; w.forge.Self.Owner = ref.No }, "branch main",
			"ada does not administer acme/app", "--forge-token-env ADMIN_TOKEN"},
		{"teams are for the organisation's owner", func(w *world) { w.forge.Self.Owner = ref.No }, "team reviewers-app", "ada does not own acme", "--forge-token-env OWNER_TOKEN"},
		{"teams that cannot be read", func(w *world) {
			w.forge.Teams = onboard.Unread[map[string]onboard.Team]("403 must be a member")
		}, "team reviewers-app", "403 must be a member", "--forge-token-env OWNER_TOKEN"},
		{"a team that is not shown to the account is not called absent", func(w *world) {
			w.forge.Teams = onboard.Read(map[string]onboard.Team{"reviewers-app": {Name: "reviewers-app", Unseen: true}})
		}, "team reviewers-app", "not seen by ada", "an owner of acme puts a token into OWNER_TOKEN: slipway onboard acme/app --config slipway.yaml --forge-token-env OWNER_TOKEN --yes"},
		{"a person has no teams", func(w *world) { w.forge.Organization = ref.No }, "team reviewers-app", "acme is no organisation", "move the repository to an organisation"},
		{"a rule that cannot be read", func(w *world) { w.forge.Rule = onboard.Unread[*onboard.Protection]("500") }, "branch main", "could not be read: 500", "--forge-token-env ADMIN_TOKEN"},
		{"a namespace is for the cluster's administrator", func(w *world) {
			s := w.sites["main/acme"]
			s.User, s.Refused = "slipway", []string{"namespace", "role", "binding"}
			w.sites["main/acme"] = s
		}, "namespace main/acme", "slipway may not make it", "somebody who administers the cluster: slipway onboard acme/app --config slipway.yaml --kubeconfig FILE --yes"},
		{"a cluster that does not answer", func(w *world) {
			w.sites["main/acme"] = onboard.Site{Exists: onboard.Unread[bool]("no route"), Missing: onboard.Unread[[]string]("no route")}
		}, "namespace main/acme", "no route", "--kubeconfig FILE"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want, w := onboard.Derive(facts()), bare()
			test.change(w)
			outcomes := w.apply(want)
			i := slices.IndexFunc(outcomes, func(o onboard.Outcome) bool { return o.Step.Key == test.key })
			if i < 0 {
				t.Fatalf("not among %+v", outcomes)
			}
			if o := outcomes[i]; o.Done || !strings.Contains(o.Fault, test.blocked) || !strings.Contains(o.Mend, test.mend) {
				t.Errorf("%+v", o)
			}
			if !slices.ContainsFunc(outcomes, func(o onboard.Outcome) bool { return o.Done }) {
				t.Error("nothing else was done")
			}
		})
	}
}

func TestWhatIsNotKnownYetIsSaidAndNotGuessed(t *testing.T) {
	tests := []struct {
		name   string
		change func(*onboard.Facts)
		fault  string
		absent []string // steps that must not be there
	}{
		{"a repository without a commit is not locked", func(f *onboard.Facts) { f.Tip = ref.No }, "branch main", []string{"tags v*"}},
		{"without a policy there is no rule", func(f *onboard.Facts) { f.Plan = change.Plan{Faults: []string{"is missing"}} }, "policy", []string{"branch main", "tags v*"}},
		{"without an address there is no webhook", func(f *onboard.Facts) { f.External = "" }, "webhook", nil},
		{"without anybody declared the list stays", func(f *onboard.Facts) { f.Plan.Gate.Principals = nil }, "approvers", []string{"team reviewers-app"}},
		{"a team of another owner cannot approve", func(f *onboard.Facts) { f.Plan.Gate.Approvers.Teams = []string{"other/staff"} }, "approvers", nil},
		{"a policy that is not on the branch does not lock it", func(f *onboard.Facts) { f.Draft = true }, "branch main", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := facts()
			test.change(&f)
			w, want := bare(), onboard.Derive(f)
			p := w.plan(want)
			i := slices.IndexFunc(p.Steps, func(s onboard.Step) bool { return s.Key == test.fault && s.Blocked != "" && s.Mend != "" })
			if i < 0 {
				t.Errorf("no %q among %q", test.fault, keys(p))
			}
			for _, a := range test.absent {
				if slices.Contains(keys(p), a) {
					t.Errorf("%q is planned", a)
				}
			}
		})
	}
}

func TestWhereThePolicyNamesNobodyTheForgesListStaysIfItIsEnough(t *testing.T) {
	tests := []struct {
		name    string
		has     []string
		teams   []string
		want    []string
		planned bool
	}{
		{"enough of those who are declared", []string{"carol", "erin"}, nil, []string{"carol", "erin"}, false},
		{"too few", []string{"carol"}, nil, []string{"carol", "dave", "erin"}, true},
		{"somebody who is not declared", []string{"carol", "dave", "eve"}, nil, []string{"carol", "dave", "erin"}, true},
		{"a declared team", nil, []string{"staff"}, nil, false},
		{"a team that is not declared", []string{"carol", "dave"}, []string{"others"}, []string{"carol", "dave", "erin"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := facts()
			f.Plan.Gate.Principals["erin"] = gate.Principal{Kind: gate.KindPerson}
			f.Plan.Gate.PeopleTeams = []string{"acme/staff"}
			want := onboard.Derive(f)
			w := bare()
			w.forge.Teams.Is["staff"] = onboard.Team{Name: "staff", Kind: onboard.TeamReviewers, Enough: true}
			w.readers = []string{"carol", "dave", "erin", "eve"}
			w.apply(want)
			rule := *w.forge.Rule.Is
			rule.Approvers, rule.ApproverTeams = test.has, test.teams
			w.forge.Rule = onboard.Read(&rule)
			if got := slices.Contains(keys(w.plan(want)), "branch main"); got != test.planned {
				t.Errorf("planned: %v, want %v", got, test.planned)
			}
			w.apply(want)
			if got := w.forge.Rule.Is.Approvers; !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestAWebhookIsKnownByItsPathWhereTheAddressIsNot(t *testing.T) {
	want := onboard.Derive(facts())
	w := drifted(t, want, func(*world) {})
	f := facts()
	f.External = ""
	unsaid := onboard.Derive(f)
	if p := w.plan(unsaid); len(p.Steps) > 0 {
		t.Errorf("%q", keys(p))
	}
	w.forge.Hooks.Is[0].Active = false
	w.apply(unsaid)
	if h := w.forge.Hooks.Is[0]; !h.Active || h.URL != "https://slipway.example/hooks/gitea" {
		t.Errorf("%+v", h)
	}
}

func TestAListOfApproversThatNobodySpokeOfIsKept(t *testing.T) {
	f := facts()
	f.Plan.Gate.Principals = nil
	w, want := bare(), onboard.Derive(f)
	w.readers = []string{"carol"}
	rule := onboard.Protection{Branch: "main", Listed: true, Approvers: []string{"carol"}}
	w.forge.Rule = onboard.Read(&rule)
	w.apply(want)
	if got := w.forge.Rule.Is; !got.Listed || !slices.Equal(got.Approvers, []string{"carol"}) || got.Approvals != 2 {
		t.Errorf("%+v", got)
	}
}

func TestASecretIsRenewedWhenThatIsAskedFor(t *testing.T) {
	want := onboard.Derive(facts())
	w := drifted(t, want, func(*world) {})
	want.RenewHook = true
	if got := keys(w.plan(want)); !slices.Equal(got, []string{"webhook"}) {
		t.Errorf("%q", got)
	}
	w.apply(want)
	if n := len(w.forge.Hooks.Is); n != 1 {
		t.Errorf("%d webhooks", n)
	}
}
