package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/gate"
)

// Organization is what slipway.yaml says for all repositories of one owner:
// where a policy file is silent, and what it may not go below. The zero value
// says nothing.
type Organization struct {
	Owner string
	// defaults is a policy file with no key needed; file is where it stands.
	defaults *yaml.Node
	file     string
	// floors is what is added to every policy.
	floors gate.Policy
	// text is the whole of it, for the policy's hash.
	text []byte
}

// organizations is that part of slipway.yaml.
func (r *serverReader) organizations() form {
	owners := map[string]int{}
	return many(r.reader, &r.server.Organizations, Organization{}, func(o *Organization) form {
		return r.object(
			must("owner", r.unique(&o.Owner, owners, login()), "The owner of the repositories."),
			may("defaults", r.policyDefaults(&o.defaults), "What stands where a repository's policy file says nothing: any part of [that file](policy.md)."),
			may("floors", r.object(
				must("gate", r.floor(&o.floors), "What every gate must ask at least."),
			), "What is added to every policy file."),
		).named("organization").then(func(n node) {
			o.file = r.file
			o.text, _ = yaml.Marshal(n.Node) // what was read from YAML can be written
		})
	})
}

// policyDefaults reads a part of a policy file for its faults, and keeps it.
func (r *serverReader) policyDefaults(into **yaml.Node) form {
	plan := policyDefaults()
	p := &policyReader{reader: r.reader, plan: &plan}
	whole := p.policy(nil)
	f := form{whole.shape.partial(), func(n node) {
		n.partial = true
		whole.read(n)
		if n.Kind == yaml.MappingNode {
			*into = n.Node
		}
	}}
	return f.named("policy")
}

// completed is a policy file with the organisation's defaults where it says
// nothing. Mappings are merged key by key, lists and undivided mappings are
// not.
func (o Organization) completed(r *reader, file node, s shape) node {
	if o.defaults == nil {
		return file
	}
	r.origin = map[*yaml.Node]string{}
	file.Node = o.merged(r, file.Node, o.defaults, s)
	return file
}

func (o Organization) merged(r *reader, file, defaults *yaml.Node, s shape) *yaml.Node {
	file, defaults = s.written(file), s.written(defaults)
	if s.kind != object || s.undivided || s.values != nil || file.Kind != yaml.MappingNode || defaults.Kind != yaml.MappingNode {
		return file
	}
	both := *file
	both.Content = slices.Clone(file.Content)
	for i := 0; i+1 < len(defaults.Content); i += 2 {
		key, value := defaults.Content[i], defaults.Content[i+1]
		own := slices.IndexFunc(s.fields, func(f field) bool { return f.key == key.Value })
		if own < 0 {
			continue // a fault of slipway.yaml
		}
		at := at(&both, key.Value)
		if at < 0 {
			r.origin[key] = o.file
			both.Content = append(both.Content, key, value)
			continue
		}
		both.Content[at] = o.merged(r, both.Content[at], value, s.fields[own].shape)
	}
	return &both
}

// written is a value as a mapping, if it is a bare one that stands for it.
func (s shape) written(n *yaml.Node) *yaml.Node {
	if s.shorthand == "" || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return n
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s.shorthand, Line: n.Line, Column: n.Column}
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column, Content: []*yaml.Node{key, n}}
}

// at is the place of a key's value in a mapping, or -1.
func at(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i + 1
		}
	}
	return -1
}

// tighten adds the floors to a policy. It only ever adds: the property test
// beside it holds it to that.
func (o Organization) tighten(r *policyReader) {
	floor, g := o.floors, &r.plan.Gate
	o.tightenChecks(r)
	g.Approvals = max(g.Approvals, floor.Approvals)
	g.Excluded = union(g.Excluded, floor.Excluded)
	g.Vetoers = union(g.Vetoers, floor.Vetoers)
	g.OperatorOnce = g.OperatorOnce || floor.OperatorOnce
	g.Owners.Required = g.Owners.Required || floor.Owners.Required
	g.UpToDate = g.UpToDate || floor.UpToDate
	g.Linear = g.Linear || floor.Linear
	g.OnRequest = g.OnRequest || floor.OnRequest
	g.HoldLabels = more(g.HoldLabels, floor.HoldLabels)
	g.Demands = beside(o, g.Demands, floor.Demands, func(d *gate.Demand) *string { return &d.Name })
	g.Freezes = beside(o, g.Freezes, floor.Freezes, func(f *gate.Freeze) *string { return &f.Name })
	g.Conditions = beside(o, g.Conditions, floor.Conditions, func(c *gate.Condition) *string { return &c.Name })
	g.Emergency = o.limited(g.Emergency)
}

// tightenChecks adds the floors' checks. One that the policy has already is
// made as strict; one that it takes from elsewhere is a fault.
func (o Organization) tightenChecks(r *policyReader) {
	g := &r.plan.Gate
	for _, want := range o.floors.Checks {
		i := slices.IndexFunc(g.Checks, func(c gate.CheckRule) bool { return c.Context == want.Context })
		if i < 0 {
			g.Checks = append(g.Checks, want)
			continue
		}
		if have := g.Checks[i]; source(have) != source(want) {
			r.fault(node{}, "gate.checks: %q comes from %s here, and %s wants it from %s: take it out of this file", want.Context, source(have), o.Owner, source(want))
			continue
		}
		g.Checks[i].Optional = false
		if len(want.Paths) == 0 || len(g.Checks[i].Paths) == 0 {
			g.Checks[i].Paths = nil // required always is the stricter
			continue
		}
		g.Checks[i].Paths = more(g.Checks[i].Paths, want.Paths)
	}
}

// limited is what is left of an emergency. A repository's own waives nothing
// that the organisation insists on, unless its floors say who may.
func (o Organization) limited(e gate.EmergencyRule) gate.EmergencyRule {
	if len(e.Waives) == 0 {
		return e
	}
	allowed := o.floors.Emergency.Waives
	if len(allowed) > 0 {
		e.By = o.floors.Emergency.By
	} else {
		allowed = slices.DeleteFunc(waivable(), o.insists)
	}
	e.Waives = slices.DeleteFunc(slices.Clone(e.Waives), func(w string) bool { return !slices.Contains(allowed, w) })
	return e
}

// insists says whether the floors ask for something of a kind.
func (o Organization) insists(kind string) bool {
	f := o.floors
	return map[string]bool{
		"freeze": len(f.Freezes) > 0, "condition": len(f.Conditions) > 0, "demand": len(f.Demands) > 0,
		"owners": f.Owners.Required, "base": f.UpToDate, "hold": len(f.HoldLabels) > 0,
	}[kind]
}

// beside adds the floors' items to the policy's own. A name that is taken gets
// the organisation's before it.
func beside[T any](o Organization, own, floor []T, name func(*T) *string) []T {
	taken := map[string]bool{}
	for i := range own {
		taken[strings.ToLower(*name(&own[i]))] = true
	}
	for _, f := range floor {
		if n := name(&f); taken[strings.ToLower(*n)] {
			*n = o.Owner + "/" + *n
		}
		own = append(own, f)
	}
	return own
}

func union(a, b gate.Who) gate.Who {
	return gate.Who{People: more(a.People, b.People), Teams: more(a.Teams, b.Teams), Pools: more(a.Pools, b.Pools)}
}

// more is a with what of b is not in it, in whatever case.
func more(a, b []string) []string {
	for _, s := range b {
		if !slices.ContainsFunc(a, func(have string) bool { return strings.EqualFold(have, s) }) {
			a = append(slices.Clip(a), s)
		}
	}
	return a
}

// source says where a check comes from.
func source(c gate.CheckRule) string {
	if c.Creator != "" {
		return strings.ToLower(c.Creator)
	}
	return fmt.Sprintf("job %s of %s (%s)", c.Job, c.Workflow, cmp.Or(c.Event, gateEvent))
}
