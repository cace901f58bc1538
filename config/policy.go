package config

import (
	"strings"
	"time"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
)

// PolicyFile is where a repository keeps its policy.
const PolicyFile = ".slipway.yaml"

const (
	policyVersion = 1
	maxApprovals  = 50
	maxDeadline   = 90 * 24 * time.Hour
)

// ParsePolicy reads a policy file; name is how faults call it. The plan holds
// what was valid, the defaults for the rest, and every fault, in Faults and in
// Gate.Faults, so that a gate with a faulty policy never merges. Who Slipway
// and the people are is added by Server.Bind.
func ParsePolicy(name string, data []byte) (change.Plan, []Fault) {
	r := &policyReader{reader: reader{file: name}, plan: policyDefaults()}
	var version int
	r.document(data,
		must("version", r.number(&version, policyVersion, policyVersion)),
		must("gate", r.gate),
		may("merge", r.merge),
		field{key: "post_merge", needed: true, why: afterMerge, read: r.postMerge},
		may("release", r.release),
		may("build", r.build),
		must("deploy", r.deploy),
		may("deadlines", r.deadlines),
	)
	r.distinctLabels()
	faults := sorted(r.faults)
	return faulty(r.plan, faults), faults
}

// NoPolicy is the plan for a base branch without a policy file: it merges
// nothing, and says why.
func NoPolicy(name string) (change.Plan, []Fault) {
	faults := []Fault{{File: name, Message: "is missing on the base branch"}}
	return faulty(policyDefaults(), faults), faults
}

func faulty(p change.Plan, faults []Fault) change.Plan {
	for _, f := range faults {
		p.Faults = append(p.Faults, f.Error())
		p.Gate.Faults = append(p.Gate.Faults, f.Error())
	}
	return p
}

const (
	beforeMerge = "; without a required check nothing may merge"
	afterMerge  = "; without a check on the merge commit nothing may be released"
)

type policyReader struct {
	reader
	plan change.Plan
	// labelsAt is where the file speaks of labels, for a fault about them.
	labelsAt node
}

func (r *policyReader) gate(n node) {
	g := &r.plan.Gate
	r.object(n,
		field{key: "checks", needed: true, why: beforeMerge, read: r.checks(&g.Checks, gateEvent)},
		may("approvals", r.number(&g.Approvals, gate.MinApprovals, maxApprovals)),
		may("hold_labels", func(h node) {
			r.texts(&g.HoldLabels)(h)
			r.labelsAt = h
		}),
	)
}

func (r *policyReader) postMerge(n node) {
	r.object(n, field{key: "checks", needed: true, why: afterMerge, read: r.checks(&r.plan.PostMerge, postMergeEvent)})
}

// checks reads a list of required checks, each from a creator or a workflow.
func (r *policyReader) checks(into *[]gate.CheckRule, defaultEvent string) func(node) {
	lines := map[string]int{}
	return r.list(func(n node) {
		var rule gate.CheckRule
		isObject := r.object(n,
			must("context", func(c node) {
				r.text(&rule.Context, context)(c)
				if rule.Context == "" {
					return
				}
				// Contexts that differ in case are different checks.
				if first, met := lines[rule.Context]; met {
					r.fault(c, "%q is required on line %d already", rule.Context, first)
					return
				}
				lines[rule.Context] = c.line
			}),
			may("creator", r.text(&rule.Creator, login)),
			may("workflow", r.text(&rule.Workflow, inside, workflowFile)),
			may("job", r.text(&rule.Job)),
			may("event", r.text(&rule.Event, event)),
		)
		if isObject {
			r.checkSource(n)
		}
		if rule.Workflow != "" && rule.Event == "" {
			rule.Event = defaultEvent
		}
		*into = append(*into, rule)
	})
}

// checkSource asks who reports a check. It looks at the keys, not at the
// values, so that a faulty value is not also called missing.
func (r *policyReader) checkSource(n node) {
	creator, workflow := r.names(n, "creator"), r.names(n, "workflow")
	switch {
	case creator && workflow:
		r.fault(n, "names a creator and a workflow; a check comes from one of them")
	case creator && (r.names(n, "job") || r.names(n, "event")):
		r.fault(n, "names a job or an event, which only a workflow has")
	case workflow && !r.names(n, "job"):
		r.fault(n, "does not name the job of its workflow (job)")
	case !creator && !workflow:
		r.fault(n, "does not say where the check comes from: name a workflow and its job, or a creator")
	}
}

func (r *policyReader) merge(n node) {
	m := &r.plan.Merge
	r.object(n,
		may("method", r.oneOf(&m.Method, "squash", "merge", "rebase")),
		may("delete_branch", r.flag(&m.DeleteBranch)),
		may("unjudged", r.oneOf(&m.Unjudged, "hold", "deploy")),
	)
}

func (r *policyReader) release(n node) {
	rel := &r.plan.Release
	r.object(n,
		may("prefix", r.textOrNone(&rel.Prefix, tagPrefix)),
		may("first", r.text(&rel.First, version)),
		may("labels", r.labels),
	)
}

func (r *policyReader) labels(n node) {
	rel := &r.plan.Release
	r.object(n, may("major", r.text(&rel.Major)), may("minor", r.text(&rel.Minor)), may("patch", r.text(&rel.Patch)))
	r.labelsAt = n
}

// distinctLabels asks that every label means one thing.
func (r *policyReader) distinctLabels() {
	rel := r.plan.Release
	meaning := map[string]string{}
	for _, h := range r.plan.Gate.HoldLabels {
		meaning[strings.ToLower(h)] = "gate.hold_labels"
	}
	for _, level := range []struct{ key, label string }{
		{"release.labels.major", rel.Major}, {"release.labels.minor", rel.Minor}, {"release.labels.patch", rel.Patch},
	} {
		if other, taken := meaning[strings.ToLower(level.label)]; taken {
			r.fault(r.labelsAt, "the label %q stands for %s and for %s", level.label, other, level.key)
		}
		meaning[strings.ToLower(level.label)] = level.key
	}
}

func (r *policyReader) build(n node) {
	b := &r.plan.Build
	r.object(n,
		may("main", r.text(&b.Main, inside, mainPackage)),
		may("platform", r.text(&b.Platform, platform)),
	)
}

func (r *policyReader) deploy(n node) {
	d := &r.plan.Deploy
	r.object(n,
		may("environment", r.text(&d.Environment, label)),
		must("cluster", r.text(&d.Cluster, label)),
		must("namespace", r.text(&d.Namespace, label)),
		must("deployment", r.text(&d.Deployment, label)),
		must("container", r.text(&d.Container, label)),
		may("deadline", r.duration(&d.Deadline, maxDeadline)),
		field{key: "health", needed: true, why: "; no signal is not healthy", read: func(h node) { r.health(&d.Health, h) }},
	)
}

func (r *policyReader) health(h *deployer.Health, n node) {
	isObject := r.object(n,
		may("port", r.number(&h.Port, 1, 65535)),
		may("path", r.text(&h.Path, probePath)),
		may("url", r.text(&h.URL, address)),
		may("field", r.text(&h.Field, matches(answerPattern, "the name of a field"))),
	)
	port, url := r.names(n, "port"), r.names(n, "url")
	switch {
	case !isObject:
	case port && url:
		r.fault(n, "names a port and a url; one of them is asked")
	case url && r.names(n, "path"):
		r.fault(n, "names a path beside the url, which has its own")
	case !port && !url:
		r.fault(n, "does not say what to ask: name a port of the pods (and a path), or a url")
	case port && h.Path == "":
		h.Path = defaultProbePath
	}
}

func (r *policyReader) deadlines(n node) {
	d := &r.plan.Deadlines
	limit := func(into *time.Duration) func(node) { return r.duration(into, maxDeadline) }
	r.object(n,
		may("review", limit(&d.Review)),
		may("merge", limit(&d.Merge)),
		may("post_merge_ci", limit(&d.PostMergeCI)),
		may("image", limit(&d.Image)),
		may("rollout", limit(&d.Rollout)),
		may("health", limit(&d.Health)),
	)
}
