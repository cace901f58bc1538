package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/canary"
	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/ref"
	"slipway/test/stage"
)

const (
	// roundLimit is how long a round may take on a busy machine.
	roundLimit = 5 * time.Minute
	// reported is a check that an account of the canaries reports.
	reported = "canary / report"
	// vetoing lets somebody veto who may not approve.
	vetoing = "  vetoes: {people: [" + stage.CanaryVetoer + "]}\n"
)

// lentPolicy lets every canary be tried.
func lentPolicy(name, content string) string {
	if name != ".slipway.yaml" {
		return content
	}
	content = strings.Replace(content, "  approvals: 2\n", "  approvals: 2\n"+vetoing, 1)
	return strings.Replace(content, "gate:\n  checks:\n", "gate:\n  checks:\n    - {context: \""+reported+"\", creator: "+stage.CanaryReporter+"}\n", 1)
}

// canaries are all there are, in order of their names.
func canaries(without ...string) []string {
	all := []string{"change-request", "control", "draft", "forged-check", "held", "one-approval", "red-check", "stale-approval", "unmapped-commit"}
	return slices.DeleteFunc(all, func(s string) bool { return slices.Contains(without, s) })
}

// TestCanaries lets them out in a repository on a real forge, and shows that
// they stay blocked, that one rule that holds no longer is told, and that none
// is ever merged.
func TestCanaries(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "canary", wish{edit: lentPolicy, active: 3 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), upLimit)
	defer cancel()
	lent, err := p.stage.Lend(ctx, p.project)
	if err != nil {
		t.Fatal(err)
	}
	p.serving.Lent = lent
	p.start()
	for _, rule := range []struct {
		name string
		test func(*place)
	}{
		{"what a killed round left is taken back at the next start", (*place).canariesKilled},
		{"every rule holds, and what breaks none would merge", (*place).canariesHold},
		{"where the policy forgets who may veto, that canary escapes and no other", (*place).canaryEscapes},
		{"what was left behind is merged neither with the canaries off nor after a restart", (*place).canaryLeftBehind},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.test(p.in(t)) })
	}
	if merges := p.forge.noted(func(c call) bool { return isMerge(c.Method, c.Path) }); len(merges) > 0 {
		t.Errorf("the forge was asked to merge: %+v", merges)
	}
}

// round lets the canaries out and gives what was found.
func (p *place) round(code int) canary.Report {
	p.Helper()
	up := p.slipway()
	ran := runWithin(p.T, roundLimit, append([]string{"SLIPWAY_SERVER=" + up.Address}, up.Env...), "canaries", "run", p.project.ID().String(), "--json")
	ran.wants(p.T, code)
	report := decoded[canary.Report](p.T, ran)
	p.Logf("%d held in %s; untried %v; found %v", len(report.Held), report.Ended.Sub(report.Began), report.Untried, report.Findings)
	return report
}

func (p *place) canariesHold() {
	p.Helper()
	before, earlier := p.branch()[0].SHA, len(p.allPulls())
	report := p.round(0)
	if held := slices.Sorted(slices.Values(report.Held)); !slices.Equal(held, canaries()) || len(report.Untried) > 0 || len(report.Findings) > 0 {
		p.Errorf("held %q, untried %v, found %v", held, report.Untried, report.Findings)
	}
	p.noneLeft()
	p.command("canaries").wants(p.T, 0, p.project.ID().String(), "held: control", "next round: 20")
	pulls := p.allPulls()
	if fresh := len(pulls) - earlier; fresh != len(canaries()) {
		p.Errorf("%d pull requests, want one for each canary", fresh)
	}
	for _, pull := range pulls {
		id := ref.PullID{Repo: p.project.ID(), Number: pull.Index}
		if c := p.ended(id, change.OutcomeClosed); c.MergeSHA != "" || c.Version != "" || c.Intent != nil {
			p.Errorf("%s %q was to be merged: %s", id, pull.Title, standing(c))
		}
		if said := p.sticky(id); len(said) > 0 {
			p.Errorf("%s is explained, to nobody: %q", id, said)
		}
	}
	if after := p.branch()[0].SHA; after != before {
		p.Errorf("the branch went from %s to %s", before, after)
	}
	p.journalled("order.canaries", "operator", "")
	p.journalled("canary.round", "operator", "9 held")
	p.measures(`slipway_canaries{repository="%s",result="held"} 9`, `slipway_canaries{repository="%s",result="escaped"} 0`)
	if refused := p.as(p.stage.ReaderToken(), "canaries", "run", p.project.ID().String()); refused.code != 1 || !strings.Contains(refused.err, "canaries.run is for: operator") {
		p.Errorf("a reader let them out: %d %s%s", refused.code, refused.out, refused.err)
	}
}

func (p *place) canaryEscapes() {
	p.Helper()
	file, _, err := p.sdk(p.stage.Forge.Admin()).GetContents(stage.Org, p.project.Name, "main", ".slipway.yaml")
	if err != nil || file.Content == nil {
		p.Fatalf("read the policy: %v", err)
	}
	policy, err := base64.StdEncoding.DecodeString(*file.Content)
	if err != nil || !strings.Contains(string(policy), vetoing) {
		p.Fatalf("the policy lets nobody veto: %v\n%s", err, policy)
	}
	p.onMain(".slipway.yaml", strings.Replace(string(policy), vetoing, "", 1))
	defer p.onMain(".slipway.yaml", string(policy))
	report := p.round(1)
	if held := slices.Sorted(slices.Values(report.Held)); !slices.Equal(held, canaries("change-request")) {
		p.Errorf("held %q", held)
	}
	if f := report.Findings; len(f) != 1 || f[0].Rule != "change-request" || !f[0].Escaped {
		p.Fatalf("found %+v", f)
	}
	if pull := p.pull(report.Findings[0].Pull); pull.HasMerged || pull.State != sdk.StateClosed {
		p.Errorf("what escaped is %s, merged %v", pull.State, pull.HasMerged)
	}
	p.command("explain", report.Findings[0].Pull.String()).wants(p.T, 0, "closed", "canary's branch")
	p.noneLeft()
	p.journalled("canary.alarm", "operator", "change-request: nothing would keep it from merging")
	p.measures(`slipway_canaries{repository="%s",result="escaped"} 1`, `slipway_alarms_total{kind="canary"} 1`)
}

func (p *place) canariesKilled() {
	p.Helper()
	var opened atomic.Int64
	x := &trap{success: true, spring: p.slipway().Kill, match: func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pulls") && opened.Add(1) == 4
	}}
	p.forge.arm(x)
	if _, err := p.slipway().Client.RunCanaries(p.Context(), p.project.ID()); err != nil {
		p.Fatal(err)
	}
	p.killed(x, "fourth canary")
	if open := p.openCanaries(); len(open) != 4 {
		p.Fatalf("the killed round left %q, want four", open)
	}
	p.start()
	p.until(lookLimit, "what the killed round left to be taken back", func(context.Context) error {
		if open, branches := p.openCanaries(), p.canaryBranches(); len(open)+len(branches) > 0 {
			return fmt.Errorf("there are still %q and %q", open, branches)
		}
		return nil
	})
}

// canaryLeftBehind proposes from a canary's branch, as people might and as a
// round that nobody cleans up after would.
func (p *place) canaryLeftBehind() {
	p.Helper()
	restart := func() {
		ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
		defer cancel()
		if err := p.slipway().Stop(ctx); err != nil {
			p.Fatal(err)
		}
		p.start()
	}
	p.serving.Lent = nil
	restart()
	p.command("canaries").wants(p.T, 0, "No repository is lent")
	p.command("canaries", "run", p.project.ID().String()).wants(p.T, 1, "no canaries are let out in "+p.project.ID().String())
	id := p.propose(canary.Prefix+"left-behind", "feat: left behind")
	p.posts(id, p.stage.Lent()[1], reported, sdk.StatusSuccess)
	p.approve(id)
	p.waits(id, gate.CodeCanary)
	p.says(id, "failure", "canary's branch")
	p.stays(id)
	restart()
	c := p.looked(id)
	if err := only(gate.CodeCanary)(c); err != nil {
		p.Error(err)
	}
	p.stays(id)
	p.command("explain", id.String()).wants(p.T, 0, "canary's branch")
}

// noneLeft fails if a round left anything open, or a branch.
func (p *place) noneLeft() {
	p.Helper()
	if open, branches := p.openCanaries(), p.canaryBranches(); len(open)+len(branches) > 0 {
		p.Errorf("left behind: %q and %q", open, branches)
	}
}

func (p *place) allPulls() []*sdk.PullRequest {
	p.Helper()
	all, _, err := p.sdk(p.stage.Forge.Admin()).ListRepoPullRequests(stage.Org, p.project.Name, sdk.ListPullRequestsOptions{
		State: sdk.StateAll, ListOptions: sdk.ListOptions{PageSize: 50}})
	if err != nil {
		p.Fatal(err)
	}
	return all
}

func (p *place) openCanaries() []string {
	p.Helper()
	var out []string
	for _, pull := range p.allPulls() {
		if pull.State == sdk.StateOpen && strings.HasPrefix(pull.Head.Name, canary.Prefix) {
			out = append(out, pull.Title)
		}
	}
	return out
}

func (p *place) canaryBranches() []string {
	p.Helper()
	all, _, err := p.sdk(p.stage.Forge.Admin()).ListRepoBranches(stage.Org, p.project.Name, sdk.ListRepoBranchesOptions{ListOptions: sdk.ListOptions{PageSize: 50}})
	if err != nil {
		p.Fatal(err)
	}
	var out []string
	for _, b := range all {
		if strings.HasPrefix(b.Name, canary.Prefix) {
			out = append(out, b.Name)
		}
	}
	return out
}

// journalled waits for an entry about the repository.
func (p *place) journalled(action, actor, reason string) {
	p.Helper()
	p.until(lookLimit, "the journal to have "+action, func(context.Context) error {
		entries := decoded[[]journal.Entry](p.T, p.command("journal", "list", "--json"))
		if !slices.ContainsFunc(entries, func(e journal.Entry) bool {
			return e.Action == action && e.Actor == actor && e.Subject == p.project.ID().String() && strings.Contains(e.Reason, reason)
		}) {
			return errors.New("it has not")
		}
		return nil
	})
}

// measures fails unless the metrics have all lines; %s is the repository.
func (p *place) measures(lines ...string) {
	p.Helper()
	_, body := p.get("/metrics", "")
	for _, want := range lines {
		if strings.Contains(want, "%s") {
			want = fmt.Sprintf(want, p.project.ID())
		}
		if !strings.Contains(body, want+"\n") {
			p.Errorf("the metrics have no %s", want)
		}
	}
}

// as runs a command with another token.
func (p *place) as(token string, args ...string) ran {
	p.Helper()
	return runSlipway(p.T, []string{"SLIPWAY_SERVER=" + p.slipway().Address, "SLIPWAY_TOKEN=" + token}, args...)
}
