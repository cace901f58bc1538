package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Finding is one fault in what Slipway depends on, with its mend if known.
type Finding struct {
	Area  string `json:"area"` // forge of acme/app, cluster main, …
	Fault string `json:"fault"`
	Mend  string `json:"mend,omitempty"`
}

// Examine asks every forge, registry and cluster, reads every policy, and
// says what is wrong: nothing found is an empty list.
func (e *Engine) Examine(ctx context.Context) []Finding {
	return append(e.Reachable(ctx), e.policies(ctx)...)
}

// Reachable says which forges, registries and clusters do not answer or
// refuse what Slipway needs there.
func (e *Engine) Reachable(ctx context.Context) []Finding {
	var asks []func() []Finding
	for _, r := range e.Repositories {
		asks = append(asks, func() []Finding { return e.examineForge(ctx, r) }, func() []Finding { return e.examineRegistry(ctx, r) })
	}
	for name, c := range e.Clusters {
		asks = append(asks, func() []Finding { return e.examineCluster(ctx, name, c) })
	}
	return together(asks)
}

func (e *Engine) policies(ctx context.Context) []Finding {
	var asks []func() []Finding
	for _, r := range e.Repositories {
		asks = append(asks, func() []Finding { return e.examinePolicy(ctx, r) })
	}
	return together(asks)
}

// together asks all at once and puts the findings in a stable order, each
// once.
func together(asks []func() []Finding) []Finding {
	found := make([][]Finding, len(asks))
	var wg sync.WaitGroup
	for i, ask := range asks {
		wg.Go(func() { found[i] = ask() })
	}
	wg.Wait()
	all := slices.Concat(found...)
	slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(a.Area+a.Fault, b.Area+b.Fault) })
	return slices.Compact(all)
}

func (e *Engine) examineForge(ctx context.Context, r Repository) []Finding {
	if _, err := r.Forge.Branch(ctx, ref.BranchID{Repo: r.ID, Name: r.Branch}); err != nil {
		if to, moved := fault.MovedTo(err); moved {
			return []Finding{{"forge of " + r.ID.String(), r.ID.String() + " is " + to + " now", "write " + to + " in slipway.yaml, and start the server anew"}}
		}
		return []Finding{{"forge of " + r.ID.String(), err.Error(), "is the forge up, and may " + r.Bot + " read the repository?"}}
	}
	return nil
}

func (e *Engine) examineRegistry(ctx context.Context, r Repository) []Finding {
	if _, _, err := e.Images.Resolve(ctx, r.Image, "slipway-doctor"); err != nil {
		return []Finding{{"registry of " + r.ID.String(), err.Error(), "is the registry up, and may Slipway's account read " + r.Image + "?"}}
	}
	return nil
}

func (e *Engine) examineCluster(ctx context.Context, name string, c Cluster) []Finding {
	targets, err := e.Store.Targets(ctx)
	if err != nil {
		return []Finding{{"store", err.Error(), ""}}
	}
	var specs []deployer.Spec
	for _, t := range targets {
		if t.Spec.Cluster == name {
			specs = append(specs, t.Spec)
		}
	}
	var out []Finding
	for _, wrong := range c.Check(ctx, specs) {
		out = append(out, Finding{Area: "cluster " + name, Fault: wrong})
	}
	return out
}

func (e *Engine) examinePolicy(ctx context.Context, r Repository) []Finding {
	area := "policy of " + r.ID.String()
	tip, err := r.Forge.Branch(ctx, ref.BranchID{Repo: r.ID, Name: r.Branch})
	if err != nil {
		return nil // said about the forge already
	}
	plan, err := e.plan(ctx, r, r.Branch, tip)
	if err != nil {
		return []Finding{{area, err.Error(), ""}}
	}
	out := e.examineContexts(ctx, r, plan)
	for _, wrong := range plan.Faults {
		out = append(out, Finding{area, wrong, fmt.Sprintf("mend %s on %s; nothing merges until then", PolicyFile, r.Branch)})
	}
	t, err := e.Store.Target(ctx, e.targetOf(r, plan))
	if err == nil && len(plan.Faults) == 0 && t.TakenOver == nil && t.Consent == nil {
		out = append(out, Finding{"target " + t.ID.String(), "it was not taken over, so nothing is deployed there", "slipway deploy takeover " + t.ID.String()})
	}
	return out
}

// lately is how many of the newest pull requests are asked what came, and
// settling how old a commit must be for silence to mean anything.
const (
	lately   = 10
	settling = 10 * time.Minute
)

// examineContexts compares the checks that the policy requires with what was
// really reported lately: one that a vendor renamed leaves every pull request
// green and none mergeable.
func (e *Engine) examineContexts(ctx context.Context, r Repository, plan change.Plan) []Finding {
	changes, err := e.Store.Changes(ctx, Filter{Repo: r.ID, Base: r.Branch, Limit: lately})
	if err != nil {
		return []Finding{{"store", err.Error(), ""}}
	}
	var heads, merges []reported
	for _, c := range changes {
		if len(c.Gates) > 0 {
			heads = append(heads, reported{c.Head, c.Gates[0].At})
		}
		if c.MergeSHA != "" {
			merges = append(merges, reported{c.MergeSHA, c.MergedAt})
		}
	}
	area := "checks of " + r.ID.String()
	return append(e.absentees(ctx, r, area, "pull requests", heads, plan.Gate.Checks),
		e.absentees(ctx, r, area, "merge commits", merges, plan.PostMerge)...)
}

// reported is a commit on which checks are reported, since a time.
type reported struct {
	sha   ref.SHA
	since time.Time
}

// absentees are the checks that came on none of the commits. A commit whose
// checks cannot be read proves nothing, and without any nothing is said.
func (e *Engine) absentees(ctx context.Context, r Repository, area, what string, commits []reported, rules []gate.CheckRule) (out []Finding) {
	var came []string
	asked := 0
	for _, c := range commits {
		checks, err := r.Forge.Checks(ctx, r.ID, c.sha)
		if err != nil || checks.StatusesRead != ref.Yes {
			continue
		}
		before := len(came)
		for _, s := range checks.Statuses {
			if s.Context != gate.StatusContext {
				came = append(came, s.Context)
			}
		}
		if len(came) > before || e.Now().Sub(c.since) > settling {
			asked++
		}
	}
	if asked == 0 {
		return nil
	}
	for _, rule := range rules {
		if rule.Optional || len(rule.Paths) > 0 || slices.Contains(came, rule.Context) {
			continue
		}
		f := Finding{Area: area, Fault: fmt.Sprintf("%q is required and came on none of the last %d %s", rule.Context, asked, what),
			Mend: "have CI report it"}
		if nearest, _, ok := gate.Nearest(rule.Context, came); ok {
			f.Fault += fmt.Sprintf("; the nearest that came is %q", nearest)
			f.Mend = fmt.Sprintf("name it %q in %s on %s if that is what it is called now, or have CI report it", nearest, PolicyFile, r.Branch)
		}
		out = append(out, f)
	}
	return out
}
