package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/pools"
	"slipway/test/servers/process"
	"slipway/test/stage"
)

// crewPools has three models: two reviewers of a tier run one of them, and the
// third reviewer and the builder one each.
const crewPools = `# who runs what
roles: [builder, reviewer]
tiers: [lite, standard, heavy]
currency: USD
shapes: [feature]
assignments:
  swift:
    {provider: acme, model: swift-1, prompt: prompt.md, prices: {input: 1, output: 5}, budget: 2}
  steady:
    {provider: acme, model: steady-2, prompt: prompt.md, prices: {input: 3, output: 15}, budget: 2}
  deep:
    {provider: other, model: deep-3, prompt: prompt.md, prices: {input: 10, output: 50}, budget: 5}
pools:
  builder-lite: {operator: acme}
  reviewer-standard: {operator: acme}
  reviewer-heavy: {operator: other}
replicas:
  builder-lite-0: swift # the one line
  reviewer-standard-0: steady
  reviewer-standard-1: steady
  reviewer-heavy-0: deep
`

// crewWork is what slipway.yaml says of them.
const crewWork = `pools: {file: pools.yaml, forge: gitea, teams: {builder: builders, reviewer: reviewers}}
work:
  lease: 30s
  heartbeat: 2s
  labels: [{label: agents, selector: builder-lite, shape: feature}]
  reviews: {selector: reviewer, priority: high}
`

// TestWork has work find its builders: an issue becomes an item, a builder makes
// the pull request, reviewers of other models approve it, it ships, and only
// then is the item done.
func TestWork(t *testing.T) {
	t.Parallel()
	p := newCrew(t, "work")
	p.start()
	p.adopt()
	p.hire()
	for _, rule := range []struct {
		name string
		test func(*place)
	}{
		{"a labelled issue ships through all eight gates, and only then is the item done", func(p *place) { p.fromIssue() }},
		{"a swap of the model is one line: no name, identity or attempt under way changes", func(p *place) { p.swaps() }},
		{"two approvals of agents of one model do not merge, and a third of another model does", func(p *place) { p.oneModel() }},
		{"nothing but the pool config names a model", func(p *place) { p.namesNoModel() }},
	} {
		if !t.Run(rule.name, func(t *testing.T) { rule.test(p.in(t)) }) {
			return // what follows builds on it
		}
	}
}

// newCrew is a place with pools.
func newCrew(t *testing.T, name string) *place {
	t.Helper()
	p := newPlace(t, name, wish{})
	p.serving.Pools, p.serving.Work = crewPools, crewWork
	return p
}

// hire makes the coordinates' identities and lets them into the repository.
func (p *place) hire() {
	p.Helper()
	env := append([]string{"ADMIN_TOKEN=" + p.stage.Forge.Admin().Token, "SLIPWAY_SERVER=" + p.slipway().Address}, p.slipway().Env...)
	args := []string{"pools", "apply", "--config", p.slipway().Config, "--forge-token-env", "ADMIN_TOKEN", "--secrets-dir", p.secrets(), "--yes"}
	runWithin(p.T, callLimit, env, args...).wants(p.T, 0, "builder-lite-0", "reviewer-heavy-0")
	runWithin(p.T, callLimit, env, args...).wants(p.T, 0, "nothing to do")
	var reviewers []string
	for _, a := range p.coordinates() {
		if a.Role == "reviewer" {
			reviewers = append(reviewers, a.String())
		}
	}
	p.project.Admit(reviewers...)
	p.tell(http.MethodDelete, "/branch_protections/main", nil, nil)
	if err := p.project.Protect(p.Context()); err != nil {
		p.Fatal(err)
	}
}

func (p *place) secrets() string { return filepath.Join(filepath.Dir(p.slipway().Config), "secrets") }

func (p *place) coordinates() []pools.Address {
	p.Helper()
	var all []pools.Address
	for _, line := range strings.Split(crewPools[strings.Index(crewPools, "replicas:"):], "\n")[1:] {
		if name, _, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			a, err := pools.ReadAddress(name)
			if err != nil {
				p.Fatal(err)
			}
			all = append(all, a)
		}
	}
	return all
}

// works runs a coordinate's worker until the test ends, with the apprentice as
// its command.
func (p *place) works(as string, args ...string) *process.Process {
	p.Helper()
	apprentice, err := shared.apprentice()
	if err != nil {
		p.Fatal(err)
	}
	secrets := filepath.Join(p.secrets(), as)
	home := p.TempDir()
	worker, err := process.Start(process.Spec{
		Name: as, Path: shared.binary, Dir: home, Log: p.log,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "SLIPWAY_SERVER=" + p.slipway().Address},
		Args: append([]string{"builder", "--as", as, "--forge", p.stage.Forge.URL(), "--dir", filepath.Join(home, "work"), "--json",
			"--token-file", filepath.Join(secrets, "worker-token"), "--forge-token-file", filepath.Join(secrets, "forge-token"),
			"--", apprentice, "-quick"}, args...),
	})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		if err := worker.Stop(ctx); err != nil {
			p.Errorf("stop %s: %v", as, err)
		}
	})
	return worker
}

// item waits until there is nothing amiss with one.
func (p *place) item(id dispatcher.ItemID, what string, amiss func(dispatcher.Work) error) dispatcher.Work {
	p.Helper()
	var last dispatcher.Work
	p.until(changeLimit, fmt.Sprintf("item %d: %s", id, what), func(ctx context.Context) error {
		w, found, err := p.slipway().Client.Work(ctx, id)
		if err != nil || !found {
			return errors.Join(err, fmt.Errorf("found: %v", found))
		}
		last = w
		return amiss(w)
	})
	return last
}

// inState wants an item in a state.
func inState(s dispatcher.State) func(dispatcher.Work) error {
	return func(w dispatcher.Work) error {
		if w.Item.State != s {
			return fmt.Errorf("it is %s (%s), with %d attempts", w.Item.State, w.Item.Reason, len(w.Attempts))
		}
		return nil
	}
}

// fromIssue takes a labelled issue to its end.
func (p *place) fromIssue() {
	admin := p.sdk(p.stage.Forge.Admin())
	label := p.label("agents")
	issue, _, err := admin.CreateIssue(stage.Org, p.project.Name, sdk.CreateIssueOption{
		Title: "feat: count the guests", Body: "A function that counts the guests.", Labels: []int64{label},
	})
	if err != nil {
		p.Fatal(err)
	}
	id := p.itemOf(fmt.Sprintf("issue %s#%d", p.project.ID(), issue.Index))
	if w := p.item(id, "to be ready", inState(dispatcher.Ready)); w.Item.Shape != "feature" || w.Item.Submitter != p.stage.Forge.Admin().Login {
		p.Errorf("the item is %+v", w.Item)
	}
	for _, as := range []string{"builder-lite-0", "reviewer-standard-0", "reviewer-heavy-0"} {
		p.works(as)
	}
	w := p.item(id, "its pull request", func(w dispatcher.Work) error {
		if len(w.Attempts) == 0 || w.Attempts[0].Pull.IsZero() {
			return errors.New("nothing is registered")
		}
		return nil
	})
	c := p.wait(w.Attempts[0].Pull, changeLimit, "its merge", func(c change.Change) error {
		if c.MergeSHA == "" {
			return errors.New(standing(c))
		}
		return nil
	})
	if w := p.item(id, "to be known", func(dispatcher.Work) error { return nil }); w.Item.State == dispatcher.Done && p.wait(c.ID, lookLimit, "known", func(change.Change) error { return nil }).Outcome == change.Open {
		p.Errorf("the item is done while its change has not ended: %+v", w.Item)
	}
	c = p.ended(c.ID, change.OutcomeSimulated)
	evidenced(p.T, c)
	w = p.item(id, "to be done", inState(dispatcher.Done))
	if len(w.Attempts) != 1 || w.Attempts[0].Outcome != dispatcher.Shipped || w.Item.AcceptedBy == nil || w.Item.AcceptedBy.String() != "builder-lite-0" {
		p.Errorf("accepted by %v, attempts %+v", w.Item.AcceptedBy, w.Attempts)
	}
	a := w.Attempts[0]
	if a.Branch != fmt.Sprintf("work/%d-builder-lite-0", id) || a.Assignment.Model != "swift-1" || a.Observed != "swift-1" || a.Cost.Tokens.Output != 1200 {
		p.Errorf("the attempt is %+v", a)
	}
	if c.Author != "builder-lite-0" {
		p.Errorf("%s opened it", c.Author)
	}
	p.approvedBy(c, "steady-2", "deep-3")
	p.until(lookLimit, "the issue to be closed", func(context.Context) error {
		i, _, err := admin.GetIssue(stage.Org, p.project.Name, issue.Index)
		if err == nil && i.State != sdk.StateClosed {
			err = fmt.Errorf("it is %s", i.State)
		}
		return err
	})
	p.command("work", "show", fmt.Sprint(id)).wants(p.T, 0, "builder-lite-0", "shipped", c.ID.String())
}

// itemOf waits for the item that something became.
func (p *place) itemOf(key string) dispatcher.ItemID {
	p.Helper()
	var id dispatcher.ItemID
	p.until(lookLimit, key+" to be an item", func(ctx context.Context) error {
		all, err := p.slipway().Client.Items(ctx, dispatcher.Filter{Repo: p.project.ID()})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(i dispatcher.Item) bool { return i.Key == key })
		if i < 0 {
			return fmt.Errorf("it is none of %d", len(all))
		}
		id = all[i].ID
		return nil
	})
	return id
}

// approvedBy wants the approvals that counted to be of agents of these models.
func (p *place) approvedBy(c change.Change, models ...string) {
	p.Helper()
	var got []string
	for _, a := range c.Gate(change.Reviewed).Evidence.Approvals {
		got = append(got, a.Model)
	}
	slices.Sort(got)
	slices.Sort(models)
	if !slices.Equal(got, models) {
		p.Errorf("approved by agents of %q, want %q", got, models)
	}
}

// submit puts work in the queue, as an operator does.
func (p *place) submit(args ...string) dispatcher.ItemID {
	p.Helper()
	r := p.command(append([]string{"work", "submit", p.project.ID().String(), "--json"}, args...)...)
	r.wants(p.T, 0)
	return decoded[struct {
		ID dispatcher.ItemID `json:"id"`
	}](p.T, r).ID
}

// oneModel has two agents of one model approve what a person proposed, then one
// of another.
func (p *place) oneModel() {
	standard := []string{"reviewer-standard-0", "reviewer-standard-1"}
	for _, as := range standard {
		p.works(as)
	}
	p.command("pools", "cordon", "reviewer-heavy-0", "--reason", "the third comes later").wants(p.T, 0)
	id := p.propose("one-model", "feat: one model")
	// Of the two reviews that Slipway asks for, one waits for another model.
	by := p.reviewers(id, 1)[0]
	other := standard[1-slices.Index(standard, by)]
	p.submit("--kind", "review", "--pull", fmt.Sprint(id.Number), "--title", "a second look", "--selector", other)
	p.reviewers(id, 2)
	p.looked(id)
	c := p.waits(id, gate.CodeApprovals)
	if n := len(c.Gate(change.Reviewed).Evidence.Approvals); n != 1 {
		p.Errorf("%d approvals count: %s", n, standing(c))
	}
	if says := standing(c); !strings.Contains(says, "runs the same model as reviewer-standard-") {
		p.Errorf("nothing is said of the model: %s", says)
	}
	p.works("reviewer-heavy-0")
	p.command("pools", "uncordon", "reviewer-heavy-0", "--reason", "it is later").wants(p.T, 0)
	p.approvedBy(p.merged(id), "steady-2", "deep-3")
}

// reviewers waits until so many reviewed a pull request.
func (p *place) reviewers(id ref.PullID, n int) []string {
	p.Helper()
	admin := p.sdk(p.stage.Forge.Admin())
	var all []string
	p.until(changeLimit, fmt.Sprintf("%d reviews of %s", n, id), func(context.Context) error {
		list, _, err := admin.ListPullReviews(stage.Org, p.project.Name, id.Number, sdk.ListPullReviewsOptions{})
		all = all[:0]
		for _, r := range list {
			all = append(all, r.Reviewer.UserName)
		}
		if err == nil && len(all) < n {
			err = fmt.Errorf("there are %q", all)
		}
		return err
	})
	return all
}

// swaps changes the builder's model while it is at work.
func (p *place) swaps() {
	first := p.submit("--title", "feat: before the swap", "--selector", "builder-lite-0")
	before := p.identities()
	p.works("builder-lite-0", "-pace", "6s")
	w := p.item(first, "to be worked on", inState(dispatcher.Working))
	text, err := os.ReadFile(p.poolsFile())
	if err != nil {
		p.Fatal(err)
	}
	p.command("pools", "swap", "builder-lite-0", "--provider", "other", "--model", "deep-3").wants(p.T, 0, "-  builder-lite-0: swift # the one line", "+  builder-lite-0: deep # the one line")
	after, err := os.ReadFile(p.poolsFile())
	if err != nil {
		p.Fatal(err)
	}
	if want := strings.Replace(string(text), "builder-lite-0: swift", "builder-lite-0: deep", 1); string(after) != want {
		p.Errorf("the file is now:\n%s", after)
	}
	second := p.submit("--title", "feat: after the swap", "--selector", "builder-lite-0")
	later := p.item(second, "to be worked on", func(w dispatcher.Work) error {
		if len(w.Attempts) == 0 {
			return errors.New("nobody has taken it")
		}
		return nil
	})
	if a := later.Attempts[0]; a.Assignment.Model != "deep-3" || a.Epoch != w.Attempts[0].Epoch+1 {
		p.Errorf("the attempt after the swap is %+v", a)
	}
	if w := p.item(first, "to be as it began", func(dispatcher.Work) error { return nil }); w.Attempts[0].Assignment.Model != "swift-1" {
		p.Errorf("the attempt under way was given %q", w.Attempts[0].Assignment.Model)
	}
	if now := p.identities(); !slices.Equal(now, before) {
		p.Errorf("identities before and after:\n%q\n%q", before, now)
	}
	p.command("pools", "rollback").wants(p.T, 0, "+  builder-lite-0: swift # the one line")
	for _, id := range []dispatcher.ItemID{first, second} {
		p.command("work", "cancel", fmt.Sprint(id), "--reason", "it was for the swap").wants(p.T, 0)
	}
}

func (p *place) poolsFile() string {
	return filepath.Join(filepath.Dir(p.slipway().Config), stage.PoolsFile)
}

// identities are the accounts of the forge with their secrets' files.
func (p *place) identities() []string {
	p.Helper()
	var users []struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
	}
	if err := p.stage.Forge.Call(p.Context(), p.stage.Forge.Admin().Token, http.MethodGet, "/admin/users?limit=50", nil, &users); err != nil {
		p.Fatal(err)
	}
	var all []string
	for _, a := range p.coordinates() {
		for _, u := range users {
			if u.Login == a.String() {
				all = append(all, fmt.Sprint(u.ID, " ", u.Login))
			}
		}
		for _, name := range []string{"worker-token", "forge-token"} {
			secret, err := os.ReadFile(filepath.Join(p.secrets(), a.String(), name))
			if err != nil {
				p.Fatal(err)
			}
			all = append(all, name+" "+string(secret))
		}
	}
	return all
}

// namesNoModel searches what the forge knows: logins, teams, branches.
func (p *place) namesNoModel() {
	admin := p.stage.Forge.Admin().Token
	for _, path := range []string{"/admin/users?limit=50", "/orgs/" + stage.Org + "/teams", "/repos/" + p.project.ID().String() + "/branches"} {
		var any any
		if err := p.stage.Forge.Call(p.Context(), admin, http.MethodGet, path, nil, &any); err != nil {
			p.Fatal(err)
		}
		for _, model := range []string{"swift", "steady", "deep-3"} {
			if text := strings.ToLower(fmt.Sprint(any)); strings.Contains(text, model) {
				p.Errorf("%s names %q: %s", path, model, text)
			}
		}
	}
}
