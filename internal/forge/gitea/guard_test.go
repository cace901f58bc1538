package gitea

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/onboard"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// hidden is a secret for tests.
type hidden string

func (h hidden) Reveal() string { return string(h) }

// harbour is a repository that nobody has set up, of an organisation that a
// person owns.
type harbour struct {
	*world
	t     *testing.T
	id    ref.RepoID
	owner server.Account
	facts onboard.Facts
}

func newHarbour(t *testing.T, w *world, owner server.Account, name string) *harbour {
	t.Helper()
	h := &harbour{world: w, t: t, id: ref.RepoID{Owner: "harbour", Name: name}, owner: owner}
	h.do(http.MethodPost, "/orgs/harbour/repos", map[string]any{"name": name, "auto_init": true, "default_branch": "main"})
	h.facts = onboard.Facts{
		Repo: h.id, Branch: "main", Tip: ref.Yes, Bot: "slipway", Packager: "slipway",
		External: "http://127.0.0.1:1", HookPath: "/hooks/gitea", Secret: hidden("s3cret"),
		Plan: change.Plan{
			Gate: gate.Policy{
				Approvals: 2, HoldLabels: []string{"hold"}, Approvers: gate.Who{People: []string{"carol", "dave"}},
				Checks: []gate.CheckRule{{Context: "ci / test (pull_request)"}, {Context: "ci / build [linux] {a,b} (pull_request)"}},
			},
			Release: change.ReleasePlan{Prefix: "v", Major: "release/major"},
		},
	}
	return h
}

// do makes a call as the owner, who may do it.
func (h *harbour) do(method, path string, in any) {
	h.t.Helper()
	if err := h.Call(h.t.Context(), h.owner.Token, method, path, in, nil); err != nil {
		h.t.Fatal(err)
	}
}

// guard looks with an account's token.
func (h *harbour) guard(token string) Guard {
	h.t.Helper()
	client, err := New(Config{URL: h.URL(), Login: "slipway", Token: func() (string, error) { return token, nil }})
	if err != nil {
		h.t.Fatal(err)
	}
	return Guard{client}
}

func (h *harbour) plan(token string) onboard.Plan {
	h.t.Helper()
	want := onboard.Derive(h.facts)
	is, err := h.guard(token).Look(h.t.Context(), want)
	if err != nil {
		h.t.Fatal(err)
	}
	return onboard.Make(want, onboard.World{Forge: is})
}

func (h *harbour) apply(token string) []onboard.Outcome {
	h.t.Helper()
	return onboard.Apply(h.t.Context(), h.plan(token), h.guard(token), nil, func(onboard.Outcome) {})
}

// settled fails the test unless everything was done and nothing is left.
func (h *harbour) settled(outcomes []onboard.Outcome) {
	h.t.Helper()
	for _, o := range outcomes {
		if !o.Done {
			h.t.Errorf("%s: %s", o.Step.Key, o.Fault)
		}
	}
	for _, s := range h.plan(h.owner.Token).Steps {
		h.t.Errorf("left: %s", s.Told())
	}
}

// everything is all that onboarding could write, as the owner sees it.
func (h *harbour) everything() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	repo := "/repos/" + h.id.String()
	for _, path := range []string{
		repo, repo + "/branch_protections", repo + "/tag_protections", repo + "/hooks", repo + "/labels", repo + "/collaborators", repo + "/teams",
		"/orgs/harbour/teams", "/orgs/harbour/members", "/packages/harbour",
	} {
		var got any
		if err := h.Call(h.t.Context(), h.owner.Token, http.MethodGet, path, nil, &got); err != nil {
			h.t.Fatal(err)
		}
		encoded, err := json.Marshal(ordered(got))
		if err != nil {
			h.t.Fatal(err)
		}
		all[path] = string(encoded)
	}
	return all
}

// ordered sorts lists of words, which Gitea gives in any order.
func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = ordered(v[k])
		}
	case []any:
		for i := range v {
			v[i] = ordered(v[i])
		}
		slices.SortFunc(v, func(a, b any) int {
			x, isX := a.(string)
			y, isY := b.(string)
			if !isX || !isY {
				return 0
			}
			return strings.Compare(x, y)
		})
	}
	return v
}

func planned(p onboard.Plan) []string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, s.Key)
	}
	return all
}

func (w *world) testGuard(t *testing.T) {
	owner := must(w.CreateUser(t.Context(), "owen", server.Person))(t)
	owner.Token = must(w.Token(t.Context(), owner))(t)
	if err := w.Call(t.Context(), owner.Token, http.MethodPost, "/orgs", map[string]string{"username": "harbour", "visibility": "public"}, nil); err != nil {
		t.Fatal(err)
	}
	bot := must(w.Token(t.Context(), w.bot, "write:repository", "write:issue", "write:package", "read:user"))(t)
	on := func(name string) func(*testing.T) *harbour {
		return func(t *testing.T) *harbour { return newHarbour(t, w, owner, name) }
	}
	t.Run("from nothing", func(t *testing.T) { testFromNothing(on("bare")(t), bot) })
	t.Run("drift", func(t *testing.T) { testDrift(on("drift")(t), bot) })
	t.Run("a pattern that was there first", func(t *testing.T) { testPattern(on("pattern")(t)) })
	t.Run("deliveries are signed", func(t *testing.T) { testSigned(on("signed")(t)) })
	t.Run("scopes", func(t *testing.T) { testScopes(on("scopes")(t)) })
	t.Run("a team of others", func(t *testing.T) { testForeignTeam(on("foreign")(t)) })
	t.Run("a person's repository", func(t *testing.T) { testPerson(on("unused")(t)) })
	t.Run("a private team", func(t *testing.T) { testUnseen(on("unseen")(t)) })
	t.Run("a repository that was renamed", func(t *testing.T) { testRenamed(on("before")(t), bot) })
}

func testFromNothing(h *harbour, bot string) {
	t := h.t
	before := h.everything()
	plan := h.plan(h.owner.Token)
	if diff := cmp.Diff([]string{"collaborator slipway", "team reviewers-bare", "branch main", "tags v*", "packages", "label hold", "label release/major", "webhook"}, planned(plan)); diff != "" {
		t.Error(diff)
	}
	// Without a right nothing can be done, and each step names who has it.
	for _, o := range h.apply(bot) {
		if o.Done || o.Fault == "" || !strings.Contains(o.Mend, "_TOKEN") {
			t.Errorf("by the bot: %+v", o)
		}
	}
	if diff := cmp.Diff(before, h.everything()); diff != "" {
		t.Errorf("looking, or what was refused, wrote something: %s", diff)
	}
	h.settled(h.apply(h.owner.Token))
	after := h.everything()
	if again := h.apply(h.owner.Token); len(again) > 0 {
		t.Errorf("the second run has %+v", again)
	}
	if left := h.plan(bot); len(left.Steps) > 0 {
		t.Errorf("as the bot sees it: %+v", left.Steps)
	}
	if diff := cmp.Diff(after, h.everything()); diff != "" {
		t.Errorf("the second run wrote something: %s", diff)
	}
	var rule guardRule
	if err := h.Call(t.Context(), h.owner.Token, http.MethodGet, "/repos/harbour/bare/branch_protections/main", nil, &rule); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(rule.Checks, `ci / build \[linux\] \{a,b\} (pull_request)`) || !slices.Equal(rule.Approvers, []string{"carol", "dave"}) || rule.Approvals != 2 {
		t.Errorf("%+v", rule)
	}
}

func testDrift(h *harbour, bot string) {
	h.settled(h.apply(h.owner.Token))
	repo := "/repos/" + h.id.String()
	var hooks []hookRow
	if err := h.Call(h.t.Context(), h.owner.Token, http.MethodGet, repo+"/hooks", nil, &hooks); err != nil {
		h.t.Fatal(err)
	}
	hook := func() string {
		var now []hookRow
		if err := h.Call(h.t.Context(), h.owner.Token, http.MethodGet, repo+"/hooks", nil, &now); err != nil || len(now) != 1 {
			h.t.Fatalf("%v %v", now, err)
		}
		return fmt.Sprintf("%s/hooks/%d", repo, now[0].ID)
	}
	rule := repo + "/branch_protections/main"
	tests := []struct {
		name   string
		change func()
		key    string
		told   string
	}{
		{"the protection was removed", func() { h.do(http.MethodDelete, rule, nil) }, "branch main", "who may merge: whoever may write"},
		{"a reviewer was dropped", func() {
			h.do(http.MethodPatch, rule, map[string]any{"approvals_whitelist_username": []string{"carol"}})
		}, "branch main", "approvers: carol (should be carol, dave)"},
		{"administrators may override", func() { h.do(http.MethodPatch, rule, map[string]any{"block_admin_merge_override": false}) }, "branch main", "administrators are held to it: no"},
		{"a push is let through", func() { h.do(http.MethodPatch, rule, map[string]any{"enable_push": true}) }, "branch main", "push past pull requests: yes"},
		{"one approval is enough", func() { h.do(http.MethodPatch, rule, map[string]any{"required_approvals": 1}) }, "branch main", "approvals: 1"},
		{"the checks are off", func() { h.do(http.MethodPatch, rule, map[string]any{"enable_status_check": false}) }, "branch main", "required checks: none"},
		{"the webhook leads elsewhere", func() {
			h.do(http.MethodPatch, hook(), map[string]any{"active": true, "config": map[string]string{"url": "http://127.0.0.1:2/hooks/gitea"}, "events": hookEvents()})
		}, "webhook", "address: http://127.0.0.1:2/hooks/gitea"},
		{"the webhook is off", func() { h.do(http.MethodPatch, hook(), map[string]any{"active": false, "events": hookEvents()}) }, "webhook", "active: no"},
		{"the webhook has lost events", func() { h.do(http.MethodPatch, hook(), map[string]any{"active": true, "events": []string{"push"}}) }, "webhook", "workflow_run, workflow_job, issues, issue_label"},
		{"the webhook is for some branches", func() {
			h.do(http.MethodPatch, hook(), map[string]any{"active": true, "events": hookEvents(), "branch_filter": "release/*"})
		}, "webhook", "branches other than release/*"},
		{"the bot was demoted", func() { h.do(http.MethodPut, repo+"/collaborators/slipway", map[string]string{"permission": "write"}) }, "collaborator slipway", "access: write"},
		{"a label was deleted", func() {
			var labels []struct {
				ID   int64  `json:"id"`
				Name string `json:"name"`
			}
			if err := h.Call(h.t.Context(), h.owner.Token, http.MethodGet, repo+"/labels", nil, &labels); err != nil {
				h.t.Fatal(err)
			}
			for _, l := range labels {
				if l.Name == "hold" {
					h.do(http.MethodDelete, fmt.Sprintf("%s/labels/%d", repo, l.ID), nil)
				}
			}
		}, "label hold", "there: no"},
		{"a reviewer has left the team", func() {
			h.do(http.MethodDelete, fmt.Sprintf("/teams/%d/members/dave", h.teamID("reviewers-drift")), nil)
		}, "branch main", "approvers: carol (should be carol, dave)"},
		{"the tags are anybody's", func() {
			var rules []tagRule
			if err := h.Call(h.t.Context(), h.owner.Token, http.MethodGet, repo+"/tag_protections", nil, &rules); err != nil || len(rules) != 1 {
				h.t.Fatalf("%v %v", rules, err)
			}
			h.do(http.MethodDelete, fmt.Sprintf("%s/tag_protections/%d", repo, rules[0].ID), nil)
		}, "tags v*", "makers: anybody"},
		{"the bot pushes no images any more", func() {
			// It is in another team, or it would leave the organisation as well.
			h.do(http.MethodPost, "/orgs/harbour/teams", map[string]any{"name": "others", "permission": "read", "units_map": map[string]string{"repo.wiki": "read"}})
			h.do(http.MethodPut, fmt.Sprintf("/teams/%d/members/slipway", h.teamID("others")), nil)
			h.do(http.MethodDelete, fmt.Sprintf("/teams/%d/members/slipway", h.teamID("slipway-packages")), nil)
		}, "packages", "no writing"},
		{"the bot left the organisation, and lost what it was given", func() {
			h.do(http.MethodDelete, fmt.Sprintf("/teams/%d/members/slipway", h.teamID("others")), nil)
			h.do(http.MethodDelete, fmt.Sprintf("/teams/%d/members/slipway", h.teamID("slipway-packages")), nil)
		}, "collaborator slipway", "access: read (should be admin)"},
	}
	for _, test := range tests {
		h.t.Run(test.name, func(t *testing.T) {
			own := *h
			own.t = t
			test.change()
			found := own.plan(bot)
			i := slices.IndexFunc(found.Steps, func(s onboard.Step) bool { return s.Key == test.key })
			if i < 0 || !strings.Contains(found.Steps[i].Told(), test.told) || !strings.Contains(found.Steps[i].Mend, "slipway onboard harbour/drift") {
				t.Errorf("found by the bot: %+v", found.Steps)
			}
			own.settled(own.apply(h.owner.Token))
		})
	}
}

func (h *harbour) teamID(name string) int64 {
	h.t.Helper()
	rows, err := h.guard(h.owner.Token).teamRows(h.t.Context(), "harbour")
	if err != nil {
		h.t.Fatal(err)
	}
	i := slices.IndexFunc(rows, func(r teamRow) bool { return r.Name == name })
	if i < 0 {
		h.t.Fatalf("no team %s", name)
	}
	return rows[i].ID
}

// testPattern: a rule for all branches counts first, and stays for the others.
func testPattern(h *harbour) {
	h.do(http.MethodPost, "/repos/harbour/pattern/branch_protections", map[string]any{"rule_name": "*", "enable_push": true, "priority": 1})
	h.settled(h.apply(h.owner.Token))
	var branch struct {
		Name string `json:"effective_branch_protection_name"`
	}
	if err := h.Call(h.t.Context(), h.owner.Token, http.MethodGet, "/repos/harbour/pattern/branches/main", nil, &branch); err != nil || branch.Name != "main" {
		h.t.Errorf("under the rule %q, %v", branch.Name, err)
	}
	var rules []guardRule
	if err := h.Call(h.t.Context(), h.owner.Token, http.MethodGet, "/repos/harbour/pattern/branch_protections", nil, &rules); err != nil || len(rules) != 2 {
		h.t.Errorf("%+v, %v", rules, err)
	}
}

// testSigned: a webhook that was found with who knows what secret is made anew,
// and delivers under ours.
func testSigned(h *harbour) {
	deliveries := make(chan error, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err == nil {
			err = Verify("s3cret", r.Header, body)
		}
		select {
		case deliveries <- err:
		default:
		}
	}))
	defer receiver.Close()
	h.facts.External = receiver.URL
	h.do(http.MethodPost, "/repos/harbour/signed/hooks", map[string]any{
		"type": "gitea", "active": true, "events": []string{"push"}, "config": map[string]string{"url": "http://127.0.0.1:1/hooks/gitea", "content_type": "json", "secret": "old"},
	})
	h.settled(h.apply(h.owner.Token))
	h.do(http.MethodPost, "/repos/harbour/signed/branches", map[string]string{"new_branch_name": "feature", "old_branch_name": "main"})
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	select {
	case err := <-deliveries:
		if err != nil {
			h.t.Error(err)
		}
	case <-ctx.Done():
		h.t.Error("nothing was delivered")
	}
}

func testScopes(h *harbour) {
	h.settled(h.apply(h.owner.Token))
	for _, test := range []struct {
		name   string
		scopes []string
		want   []string
	}{
		{"all there", []string{"write:repository", "write:issue", "write:package", "read:user"}, nil},
		{"everything", []string{"all"}, nil},
		{"no issues", []string{"write:repository", "write:package", "read:user"}, []string{"write:issue"}},
		{"only reading", []string{"read:repository", "write:issue", "write:package", "write:user"}, []string{"write:repository"}},
		{"no packages", []string{"write:repository", "write:issue", "read:user"}, []string{"write:package"}},
	} {
		h.t.Run(test.name, func(t *testing.T) {
			token := must(h.Token(t.Context(), h.bot, test.scopes...))(t)
			is, err := h.guard(token).Look(t.Context(), onboard.Derive(h.facts))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(is.Self.Unscoped, test.want) || is.Self.Login != "slipway" {
				t.Errorf("lacks %q, as %s", is.Self.Unscoped, is.Self.Login)
			}
		})
	}
}

// testForeignTeam: a team that others look after is given the repository, and
// nothing of it is changed.
func testForeignTeam(h *harbour) {
	h.do(http.MethodPost, "/orgs/harbour/teams", map[string]any{"name": "staff", "permission": "read", "units_map": map[string]string{"repo.code": "read", "repo.pulls": "read"}})
	h.facts.Plan.Gate.Approvers = gate.Who{Teams: []string{"harbour/staff"}}
	h.settled(h.apply(h.owner.Token))
	h.facts.Plan.Gate.Approvers = gate.Who{Teams: []string{"harbour/nobody"}}
	outcomes := h.apply(h.owner.Token)
	i := slices.IndexFunc(outcomes, func(o onboard.Outcome) bool { return o.Step.Key == "team nobody" })
	if i < 0 || outcomes[i].Done || !strings.Contains(outcomes[i].Fault, "no such team") {
		h.t.Errorf("%+v", outcomes)
	}
}

// testPerson: a person has no teams, and says so.
func testPerson(h *harbour) {
	h.do(http.MethodPost, "/user/repos", map[string]any{"name": "own", "auto_init": true, "default_branch": "main"})
	h.facts.Repo = ref.RepoID{Owner: "Owen", Name: "own"} // Gitea finds it all the same
	want := onboard.Derive(h.facts)
	is, err := h.guard(h.owner.Token).Look(h.t.Context(), want)
	if err != nil {
		h.t.Fatal(err)
	}
	if is.Named != "owen/own" {
		h.t.Errorf("it is named %q", is.Named)
	}
	plan := onboard.Make(want, onboard.World{Forge: is})
	for _, key := range []string{"team reviewers-own", "packages"} {
		i := slices.IndexFunc(plan.Steps, func(s onboard.Step) bool { return s.Key == key })
		if i < 0 || plan.Steps[i].Blocked == "" || !strings.Contains(plan.Steps[i].Mend, "organisation") {
			h.t.Errorf("%s: %+v", key, plan.Steps)
		}
	}
}
