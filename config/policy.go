package config

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
)

// The files that are read here, by the names that they have unless one says
// otherwise.
const (
	PolicyFile = ".slipway.yaml"      // a repository's policy
	CasesFile  = ".slipway.test.yaml" // the cases that stand beside it
	ServerFile = "slipway.yaml"
)

const (
	policyVersion = 1
	maxApprovals  = 50
	maxLines      = 10_000_000
	maxDeadline   = 90 * 24 * time.Hour
)

// ParsePolicy reads a policy file of a repository whose owner slipway.yaml says
// nothing about; name is how faults call it. The plan holds what was valid, the
// defaults for the rest, and every fault, in Faults and in Gate.Faults, so that
// a gate with a faulty policy never merges. Who Slipway and the people are is
// added by Server.Bind.
func ParsePolicy(name string, data []byte) (change.Plan, []Fault) {
	return Organization{}.ParsePolicy(name, data)
}

// ParsePolicy reads a policy file of one of the organisation's repositories, as
// the function of that name does: where the file is silent the organisation's
// defaults stand, and its floors are added. A fault that lies between the two
// names the one that must change.
func (o Organization) ParsePolicy(name string, data []byte) (change.Plan, []Fault) {
	plan := policyDefaults()
	r := &policyReader{reader: &reader{file: name}, plan: &plan}
	form := r.policy(o.floors.Checks)
	if root, ok := r.parse(data); ok {
		r.whole(o.completed(r.reader, root, form.shape), form)
	}
	r.distinctLabels()
	o.tighten(r)
	plan.Gate.Hash = hash(data, o.text)
	faults := sorted(r.faults)
	return faulty(plan, faults), faults
}

// NoPolicy is the plan for a base branch without a policy file: it merges
// nothing, and says why.
func NoPolicy(name string) (change.Plan, []Fault) {
	faults := []Fault{{File: name, Message: "is missing on the base branch"}}
	return faulty(policyDefaults(), faults), faults
}

// PolicySchema is the JSON Schema (draft 2020-12) of a policy file.
func PolicySchema() []byte { return schemaOf("Slipway's policy file, .slipway.yaml", policyShape()) }

func policyShape() shape {
	plan := policyDefaults()
	r := &policyReader{reader: &reader{}, plan: &plan}
	return r.policy(nil).shape
}

// hash is the SHA-256, in hexadecimal, of the parts and where each ends.
func hash(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
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
	noSignal    = "; no signal is not healthy"
)

type policyReader struct {
	*reader
	plan *change.Plan
	// labelsAt is where the file speaks of labels, for a fault about them.
	labelsAt node
}

// policy is the whole file. Checks that an organisation's floors bring need not
// stand in it.
func (r *policyReader) policy(floor []gate.CheckRule) form {
	p := r.plan
	var version int
	gateForm := r.gate(&p.Gate, len(floor) == 0, func(n node) { r.labelsAt = n })
	return r.object(
		must("version", r.number(&version, policyVersion, policyVersion), "`1`."),
		field{form: gateForm, key: "gate", needed: len(floor) == 0, doc: "What it takes to merge."},
		may("merge", r.merge(&p.Merge), "How it lands."),
		must("post_merge", r.postMerge(&p.PostMerge), "What must be green on the merge commit.").because(afterMerge),
		may("release", r.release(&p.Release), "How versions are made."),
		may("build", r.build(&p.Build), "How the image is made."),
		must("deploy", r.deploy(&p.Deploy), "Where it runs."),
		may("deadlines", r.deadlines(&p.Deadlines), "When waiting becomes an alert."),
	)
}

func (r *policyReader) postMerge(into *[]gate.CheckRule) form {
	return r.object(must("checks", r.checks(into, postMergeEvent, sourceOnly),
		"The checks on the merge commit. Without one nothing may be released.").because(afterMerge)).named("post_merge")
}

func (r *policyReader) merge(m *change.MergePlan) form {
	var title, message string
	return r.object(
		may("method", r.text(&m.Method, among("squash", "merge", "rebase")), "`squash`, `merge` or `rebase`."),
		may("title", r.text(&title, that(templateFault)),
			"A template of the title of the merge's commit. What it makes is brought to one line of at most 200 characters.").
			otherwise("`{{.Title}} (#{{.Number}})`"),
		may("message", r.block(&message, that(templateFault)),
			"A template of its message, at most 64 KiB. Slipway's own trailers always follow.").otherwise("`{{.Body}}`"),
		may("delete_branch", r.flag(&m.DeleteBranch), "Whether the head branch is removed after the merge."),
		may("unjudged", r.text(&m.Unjudged, among("hold", "deploy")),
			"What becomes of a merge that somebody made by hand: `hold` tells people and releases nothing by itself; `deploy` releases it like any other."),
	).named("merge").then(func(node) {
		if title != "" || message != "" {
			m.Compose = compose(title, message)
		}
	})
}

func (r *policyReader) release(rel *change.ReleasePlan) form {
	labels := r.object(
		may("major", r.text(&rel.Major), "A label on the pull request that makes its version a major one, whatever its commits say. Below 1.0.0 that raises the middle number, as a breaking commit does."),
		may("minor", r.text(&rel.Minor), "The same for a minor one."),
		may("patch", r.text(&rel.Patch), "The same for a patch."),
	).then(func(n node) { r.labelsAt = n })
	return r.object(
		may("prefix", r.textOrNone(&rel.Prefix, that(tagPrefix)), "What stands before the version in the tag. May be `\"\"`; may not end in a digit."),
		may("first", r.text(&rel.First, that(version)), "The first version."),
		may("labels", labels, "Labels that decide."),
	).named("release")
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

func (r *policyReader) build(b *change.BuildPlan) form {
	return r.object(
		may("main", r.text(&b.Main, that(inside), that(mainPackage)), "The path of the Go package in the repository."),
		may("platform", r.text(&b.Platform, platform()), "What it is built for: "+listed(platforms())+"."),
	).named("build")
}

func (r *policyReader) deploy(d *deployer.Spec) form {
	return r.object(
		may("environment", r.text(&d.Environment, label()), "The name of the environment."),
		must("cluster", r.text(&d.Cluster, label()), "A cluster of the server."),
		must("namespace", r.text(&d.Namespace, label()), "A namespace there that the server grants to this repository."),
		must("deployment", r.text(&d.Deployment, label()), "The name of the Deployment."),
		must("container", r.text(&d.Container, label()), "The container whose image Slipway owns."),
		may("deadline", r.duration(&d.Deadline, maxDeadline), "How long a rollout may take from the pin to healthy, before it counts as bad."),
		must("health", r.health(&d.Health), "How it proves that it runs. No signal is not healthy.").because(noSignal),
	).named("deploy")
}

func (r *policyReader) health(h *deployer.Health) form {
	return r.object(
		may("port", r.number(&h.Port, 1, 65535), "The port that each ready pod is asked on, through the API server."),
		may("path", r.text(&h.Path, that(probePath)), "The path that is asked there.").otherwise("`/`"),
		may("url", r.text(&h.URL, that(address)), "An address that is asked instead of the pods."),
		may("field", r.text(&h.Field, matches(answerPattern, "the name of a field")), "The field of the JSON answer that holds the revision."),
	).named("health").undivided().oneOf("port", "url").with("path", "port").then(func(n node) {
		port, url := r.names(n, "port"), r.names(n, "url")
		switch {
		case port && url:
			r.fault(n, "names a port and a url; one of them is asked")
		case url && r.names(n, "path"):
			r.fault(n, "names a path beside the url, which has its own")
		case !port && !url:
			r.fault(n, "does not say what to ask: name a port of the pods (and a path), or a url")
		case port && h.Path == "":
			h.Path = defaultProbePath
		}
	})
}

func (r *policyReader) deadlines(d *change.Deadlines) form {
	limit := func(key string, into *time.Duration, doc string) field {
		return may(key, r.duration(into, maxDeadline), doc)
	}
	return r.object(
		limit("review", &d.Review, "For the approvals."),
		limit("merge", &d.Merge, "From everything being met to the merge."),
		limit("post_merge_ci", &d.PostMergeCI, "For the checks on the merge commit."),
		limit("image", &d.Image, "For the image."),
		limit("rollout", &d.Rollout, "For the pods."),
		limit("health", &d.Health, "For the answer that proves it."),
	).named("deadlines")
}

// listed is a list in words, each in code.
func listed(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, w := range words {
		quoted = append(quoted, "`"+w+"`")
	}
	last := len(quoted) - 1
	if last < 1 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
