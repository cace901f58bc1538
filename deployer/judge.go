package deployer

import (
	"fmt"
	"strings"

	"slipway/internal/ref"
)

// state is what one look says of a rollout. The zero value proves nothing.
type state uint8

const (
	pending state = iota // no proof yet
	empty                // no pod that could prove anything
	unasked              // rolled, and the pods were not asked in this look
	good
	bad // cannot become good without a change
)

// finding is a state with what it rests on.
type finding struct {
	state  state
	reason string
	// rolled: every pod runs the image and is ready.
	rolled bool
	pods   []PodEvidence
}

// judge looks at a deployment whose image is in the field. Nothing counts as
// good but an answer (D2); on fake nodes, where nobody answers, the rollout
// alone counts and is called simulated.
func judge(d Deployment, o Observation) finding {
	switch o.Rollout.State {
	case RolloutFailed:
		return finding{state: bad, reason: orElse(o.Rollout.Reason, "the rollout failed")}
	case RolloutComplete:
	case RolloutInProgress:
		return finding{reason: orElse(o.Rollout.Reason, "the rollout is in progress")}
	default:
		return finding{reason: "how far the rollout is cannot be told"}
	}
	if len(o.Pods) == 0 {
		return finding{state: empty, reason: "no pods: scaled to zero"}
	}
	for _, p := range o.Pods {
		if why := unrolled(d, p, o.Simulated); why != "" {
			return finding{reason: why}
		}
	}
	f := finding{rolled: true, pods: evidence(o.Pods)}
	f.state, f.reason = answers(d, o)
	return f
}

// answers judges what rolled pods said of themselves.
func answers(d Deployment, o Observation) (state, string) {
	health := d.Release.Spec.Health
	switch {
	case o.Simulated:
		return good, ""
	case health.Port == 0 && health.URL == "":
		return pending, "no health question is declared, and no signal is not healthy"
	}
	for _, p := range o.Pods {
		if p.Probe.Answered == ref.Unknown && p.Probe.At.IsZero() {
			return unasked, "the pods are being asked for their health"
		}
	}
	for _, p := range o.Pods {
		if why := unhealthy(d, p); why != "" {
			return pending, why
		}
	}
	return good, ""
}

// unrolled says what keeps a pod from counting as rolled.
func unrolled(d Deployment, p Pod, simulated bool) string {
	_, digest, pinned := strings.Cut(d.Image, "@")
	switch {
	case p.Ready != ref.Yes:
		return fmt.Sprintf("pod %s is not ready", p.Name)
	case simulated:
		return ""
	case p.ImageID == "":
		return fmt.Sprintf("pod %s does not say which image it runs", p.Name)
	case pinned && !strings.HasSuffix(p.ImageID, "@"+digest):
		return fmt.Sprintf("pod %s runs %s, not %s", p.Name, p.ImageID, digest)
	}
	return ""
}

// unhealthy says what is wrong with a pod's answer. Of the image from before
// the take-over no revision is known, so any answer will do.
func unhealthy(d Deployment, p Pod) string {
	want := string(d.Release.Merge)
	switch {
	case p.Probe.Answered != ref.Yes:
		return fmt.Sprintf("pod %s does not answer: %s", p.Name, orElse(p.Probe.Detail, "no answer"))
	case want != "" && p.Probe.Revision != want:
		return fmt.Sprintf("pod %s answers revision %q, not %s", p.Name, p.Probe.Revision, want)
	}
	return ""
}

func evidence(pods []Pod) []PodEvidence {
	list := make([]PodEvidence, 0, len(pods))
	for _, p := range pods {
		list = append(list, PodEvidence{Name: p.Name, ImageID: p.ImageID, Revision: p.Probe.Revision, Answer: p.Probe.Answer})
	}
	return list
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
