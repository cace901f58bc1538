package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"slipway/deployer"
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
	for _, fault := range c.Check(ctx, specs) {
		out = append(out, Finding{Area: "cluster " + name, Fault: fault})
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
	var out []Finding
	for _, fault := range plan.Faults {
		out = append(out, Finding{area, fault, fmt.Sprintf("mend %s on %s; nothing merges until then", PolicyFile, r.Branch)})
	}
	t, err := e.Store.Target(ctx, e.targetOf(r, plan))
	if err == nil && len(plan.Faults) == 0 && t.TakenOver == nil && t.Consent == nil {
		out = append(out, Finding{"target " + t.ID.String(), "it was not taken over, so nothing is deployed there", "slipway deploy takeover " + t.ID.String()})
	}
	return out
}
