package github

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

type secret string

func (s secret) Reveal() string { return string(s) }

// wanted is how the repository should be for a bot.
func wanted(repo ref.RepoID, bot string) onboard.Want {
	return onboard.Want{
		Repo: repo, Bot: bot,
		Rule: &onboard.Protection{
			Branch: "main", Checks: []string{"CI / test (pull_request)", "lint"}, Gate: true, Approvals: 2, Listed: true, Approvers: []string{"bob"},
			MergeListed: true, Mergers: []string{bot}, DismissStale: true, BlockRejected: true, UpToDate: true, AdminsIncluded: true,
		},
		Tags:   &onboard.TagProtection{Pattern: "v*", Makers: []string{bot}},
		Hook:   onboard.Hook{URL: "https://slipway.example/webhooks/github", Active: true, JSON: true, Signed: true, Secret: secret("s3cr3t")},
		Labels: []onboard.Label{{Name: "hold", Color: "b60205", Means: "Keeps it from merging"}},
	}
}

// administering are the permissions that onboarding takes of an App.
func administering() map[string]string {
	rights := granted()
	rights["administration"], rights["repository_hooks"] = "write", "write"
	return rights
}

// set carries out a plan for what a look found, as onboarding does: by its
// parts, each of which the differences name.
func (s *site) set(g Guard, w onboard.Want) {
	s.t.Helper()
	parts := []onboard.Part{*w.Rule, w.Hook, w.Labels[0]}
	if strings.HasSuffix(w.Bot, botSuffix) {
		parts = append(parts, *w.Tags)
	}
	for _, p := range parts {
		if err := g.Set(s.t.Context(), w.Repo, p); err != nil {
			s.t.Errorf("%T: %v", p, err)
		}
	}
}

// left are the steps that still differ.
func (s *site) left(g Guard, w onboard.Want) []string {
	s.t.Helper()
	is := must(g.Look(s.t.Context(), w))(s.t)
	var told []string
	for _, step := range onboard.Make(w, onboard.World{Forge: is}).Steps {
		told = append(told, step.Told())
	}
	return told
}

func TestWhatOnboardingSetsIsThereAfterwards(t *testing.T) {
	for _, test := range []struct {
		name  string
		bot   string
		app   bool
		lacks []onboard.Feature
	}{
		{"for an App", "slipway-app[bot]", true, []onboard.Feature{onboard.FeatureApprovers, onboard.FeaturePackages}},
		{"for an account with a token", "slipway", false, []onboard.Feature{
			onboard.FeatureApprovers, onboard.FeaturePackages, onboard.FeatureGate, onboard.FeatureMergers, onboard.FeatureTagProtection,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			var adjust []func(*Config)
			if test.app {
				adjust = append(adjust, s.installedApp(administering()))
			}
			g := Guard{s.client(adjust...)}
			w := wanted(s.repo, test.bot)
			is := must(g.Look(t.Context(), w))(t)
			if !is.Rule.Read || is.Rule.Is != nil || !is.Tags.Read || is.Tags.Is != nil || !is.Hooks.Read || len(is.Hooks.Is) != 0 || is.Organization != ref.Yes {
				t.Errorf("before: %+v", is)
			}
			if is.Self.Login != test.bot || is.Self.Repository != onboard.AccessAdmin || len(is.Self.Unscoped) != 0 || is.Bot != onboard.Read(onboard.AccessAdmin) {
				t.Errorf("it is %+v, the bot has %+v", is.Self, is.Bot)
			}
			if diff := cmp.Diff(test.lacks, is.Lacks); diff != "" {
				t.Error(diff)
			}
			if n := len(s.left(g, w)); n < 3 {
				t.Errorf("only %d steps are planned for a bare repository", n)
			}
			for range 2 { // what is so already is no error
				s.set(g, w)
				if left := s.left(g, w); len(left) != 0 {
					t.Errorf("left: %q", left)
				}
			}
			if is := must(g.Look(t.Context(), w))(t); len(is.Hooks.Is) != 1 {
				t.Errorf("webhooks: %+v", is.Hooks)
			}
		})
	}
}

func TestARuleThatWasWeakenedIsSeen(t *testing.T) {
	s := start(t)
	g := Guard{s.client(s.installedApp(administering()))}
	w := wanted(s.repo, "slipway-app[bot]")
	s.set(g, w)
	for name, weaken := range map[string]func(*onboard.Protection){
		"approvals":                     func(p *onboard.Protection) { p.Approvals = 1 },
		"required checks":               func(p *onboard.Protection) { p.Checks = p.Checks[:1] },
		"slipway/gate required":         func(p *onboard.Protection) { p.Gate = false },
		"force-push":                    func(p *onboard.Protection) { p.ForcePush = true },
		"approvals end with a new head": func(p *onboard.Protection) { p.DismissStale = false },
		"must be up to date":            func(p *onboard.Protection) { p.UpToDate = false },
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			weak := *w.Rule
			weaken(&weak)
			if err := g.Set(t.Context(), s.repo, weak); err != nil {
				t.Fatal(err)
			}
			if left := s.left(g, w); len(left) != 1 || !strings.Contains(left[0], name) {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestAClassicProtectionCountsToo(t *testing.T) {
	s := start(t)
	g := Guard{s.client()}
	w := wanted(s.repo, "slipway")
	s.as("slipway", "PUT", "/branches/main/protection", map[string]any{
		"required_status_checks": map[string]any{"strict": true, "contexts": []string{"test", "lint"}},
		"enforce_admins":         true, "restrictions": nil,
		"required_pull_request_reviews": map[string]any{"required_approving_review_count": 2, "dismiss_stale_reviews": true},
	})
	if left := s.left(g, w); slices.ContainsFunc(left, func(l string) bool { return strings.HasPrefix(l, "branch ") }) {
		t.Errorf("left: %q", left)
	}
}

// TestWhoGetsPastARuleIsUnknownToWhoMayNotChangeIt: GitHub leaves them out, which
// does not say that there is nobody.
func TestWhoGetsPastARuleIsUnknownToWhoMayNotChangeIt(t *testing.T) {
	s := start(t)
	rights := administering()
	rights["administration"] = "read"
	s.SetCollaborator(s.repo, "alice", "admin")
	owner := Guard{s.client(func(c *Config) { c.Token = func() (string, error) { return s.who["alice"].Token, nil } })}
	seeing := Guard{s.client(s.installedApp(rights))}
	w := wanted(s.repo, "slipway-app[bot]")
	s.set(owner, w)
	is := must(seeing.Look(t.Context(), w))(t)
	if is.Rule.Read || !strings.Contains(is.Rule.Why, "slipway: ") {
		t.Errorf("the rule is read as %+v, %q", is.Rule.Is, is.Rule.Why)
	}
	if is.Tags.Read || !strings.Contains(is.Tags.Why, "slipway: tags v*") {
		t.Errorf("the tags' rule is read as %+v, %q", is.Tags.Is, is.Tags.Why)
	}
	if left := s.left(owner, w); len(left) != 0 {
		t.Errorf("whoever may change it sees: %q", left)
	}
}

func TestAPermissionThatTheAppLacksIsNamed(t *testing.T) {
	s := start(t)
	rights := administering()
	rights["contents"] = "read"
	delete(rights, "statuses")
	delete(rights, "members")
	g := Guard{s.client(s.installedApp(rights))}
	w := wanted(s.repo, "slipway-app[bot]")
	lacks := func() string {
		for _, step := range onboard.Make(w, onboard.World{Forge: must(g.Look(t.Context(), w))(t)}).Steps {
			if step.Key == "token" {
				return step.Blocked + "; " + step.Mend
			}
		}
		return ""
	}
	const mend = "; grant them to the App slipway-app in its settings, and accept them where it is installed"
	if got := lacks(); got != "slipway-app[bot] lacks contents:write, statuses:write"+mend {
		t.Errorf("got %q", got)
	}
	w.Foreign = []onboard.Team{{Name: "staff", Foreign: true}}
	if got := lacks(); got != "slipway-app[bot] lacks contents:write, members:read, statuses:write"+mend {
		t.Errorf("where a team is named: %q", got)
	}
}

func TestARepositoryIsNamedAsGitHubWritesIt(t *testing.T) {
	s := start(t)
	w := wanted(ref.RepoID{Owner: "ACME", Name: "App"}, "slipway")
	if is := must(Guard{s.client()}.Look(t.Context(), w))(t); is.Named != s.repo.String() {
		t.Errorf("it is named %q, want %q", is.Named, s.repo)
	}
}

func TestWhoMayNotSetIsTold(t *testing.T) {
	s := start(t)
	s.SetCollaborator(s.repo, "slipway", "write")
	g := Guard{s.client()}
	w := wanted(s.repo, "slipway")
	for _, p := range []onboard.Part{*w.Rule, w.Hook} {
		if err := g.Set(t.Context(), s.repo, p); !errors.Is(err, onboard.ErrDenied) {
			t.Errorf("%T: %v", p, err)
		}
	}
	is := must(g.Look(t.Context(), w))(t)
	if is.Self.Repository != onboard.AccessWrite || is.Hooks.Read || is.Hooks.Why == "" {
		t.Errorf("it may %q, and of webhooks %+v", is.Self.Repository, is.Hooks)
	}
}

func TestHowRulesNameAContext(t *testing.T) {
	for _, test := range []struct{ name, context, want string }{
		{"a job by its name alone", "CI / test (pull_request)", "test"},
		{"a job of a called workflow by both", "CI / call / test (push)", "call / test"},
		{"a job with a matrix by all of it", "CI / test (1.26, linux) (pull_request)", "test (1.26, linux)"},
		{"a status by its context", "ci/test", "ci/test"},
		{"an App's by its name", "Coverage (main)", "Coverage (main)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := reportedAs(test.context); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := shownAs([]string{"CI / test (pull_request)", "gone"}, map[string]int64{"test": 0, "slipway/gate": 5, "more": 0}); !slices.Equal(got, []string{"CI / test (pull_request)", "more"}) {
		t.Errorf("got %q", got)
	}
}
