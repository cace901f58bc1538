// Package deployer decides what follows a merge on one target: which release
// to pin, whether the rollout is healthy, and when to go back. It is given
// the stored state of the target and what was observed, and answers with the
// new state and at most one action. It speaks to no cluster and has no clock.
package deployer

import (
	"time"

	"slipway/internal/ref"
)

// Spec says where and how a repository is deployed, from the policy file at
// the release's own commit.
type Spec struct {
	Environment string `json:"environment"`
	Cluster     string `json:"cluster"`
	Namespace   string `json:"namespace"`
	Deployment  string `json:"deployment"`
	Container   string `json:"container"`
	Health      Health `json:"health"`
	// Deadline is how long a rollout may take from the pin to healthy.
	Deadline time.Duration `json:"deadline"`
}

// Health says how a pod, or the service, proves that it runs its revision.
type Health struct {
	// Port and Path are asked of each ready pod through the API server's proxy,
	// unless URL is set, which is then asked instead.
	Port int    `json:"port,omitempty"`
	Path string `json:"path,omitempty"`
	URL  string `json:"url,omitempty"`
	// Field is the field of the JSON answer that holds the revision.
	Field string `json:"field"`
}

// Release is one version that may be deployed.
type Release struct {
	Change  ref.PullID `json:"change"`
	Version string     `json:"version"` // as in v1.2.3
	// Merge is the commit on the branch the image was built from.
	Merge ref.SHA `json:"merge"`
	Pin   ref.Pin `json:"pin"`
	// Position orders the releases of one branch, as the branch orders their
	// commits; the first has 1.
	Position int64 `json:"position"`
	Spec     Spec  `json:"spec"`
}

// Target is the stored state of one target. Slipway is its only writer.
type Target struct {
	ID  ref.TargetID `json:"id"`
	Rev int64        `json:"rev"` // kept by the store; 0 for a new one
	// Branch is the branch whose releases come here, kept by the shell. Spec is
	// the container that Slipway writes to: the one that a person consented to,
	// and before that the one declared. Its health and deadline are those of the
	// release started last.
	Branch string `json:"branch"`
	Spec   Spec   `json:"spec"`
	// Consent is a person's yes to the take-over that is still to be done; the
	// shell does it and sets TakenOver.
	Consent *TakeOver `json:"consent,omitempty"`
	// TakenOver says that Slipway owns the image field, by consent.
	TakenOver *TakeOver `json:"taken_over,omitempty"`
	// Current is what was pinned last; nil before the first pin.
	Current *Deployment `json:"current,omitempty"`
	// Healthy is the last deployment that proved healthy (or simulated).
	Healthy *Deployment `json:"healthy,omitempty"`
	// Hold keeps everything as it is until a person resumes.
	Hold *Hold `json:"hold,omitempty"`
	// Request is a person's rollback that has not been carried out yet.
	Request *Request `json:"request,omitempty"`
	// Barred releases never return without their revert (D3).
	Barred []Bar `json:"barred,omitempty"`
	// Past holds what was pinned before Current, newest first, at most 50.
	Past []Deployment `json:"past,omitempty"`
	// Reason says in one sentence why the target does not move now; empty when
	// there is nothing to wait for.
	Reason string `json:"reason,omitempty"`
	// Drift says that the field holds something else than Slipway left there,
	// and who set it; empty when it is as it should be. It is never forced back.
	Drift string `json:"drift,omitempty"`
	// Denied says why the last request for a rollback was not carried out; the
	// next request clears it.
	Denied string `json:"denied,omitempty"`
}

// TakeOver records the consent and what stood before.
type TakeOver struct {
	By    string    `json:"by"`
	At    time.Time `json:"at"`
	Image string    `json:"image"` // the image before
	Owner string    `json:"owner"` // the field's manager before
	// Spec is the container that was shown and consented to, and how its health
	// is asked.
	Spec Spec `json:"spec,omitzero"`
}

// Hold is a person's or Slipway's stop. While it stands no release is pinned,
// but a rollout that began before it is still watched, and goes back if bad.
type Hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Request is a person's wish to go back. Version "" means the healthy
// deployment before the current one.
type Request struct {
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	Version string    `json:"version,omitempty"`
	At      time.Time `json:"at"`
}

// Bar keeps a digest, and every release that contains its commit without a
// revert of it, from the target. Lifted names who allowed it again.
type Bar struct {
	Version string     `json:"version"`
	Digest  ref.Digest `json:"digest"`
	Merge   ref.SHA    `json:"merge"`
	Reason  string     `json:"reason"`
	By      string     `json:"by"`
	At      time.Time  `json:"at"`
	Lifted  string     `json:"lifted,omitempty"`
	// LiftedAt is when.
	LiftedAt time.Time `json:"lifted_at,omitzero"`
}

// Phase is where a deployment stands.
type Phase string

// The phases of a deployment. The zero value is none of them.
const (
	PhaseRolling    Phase = "rolling"     // pinned, not yet proven
	PhaseHealthy    Phase = "healthy"     // every pod runs the digest and answered
	PhaseSimulated  Phase = "simulated"   // all that fake nodes can show
	PhaseFailed     Phase = "failed"      // bad, and nothing to go back to, or the way back failed
	PhaseRolledBack Phase = "rolled_back" // bad, or unwanted; a later deployment took its place
	PhaseReplaced   Phase = "replaced"    // a newer healthy one took its place
)

// Deployment is one pin of one release, or a way back to the image from before
// the take-over: then Release holds nothing but the Spec of the release left.
type Deployment struct {
	Release Release `json:"release"`
	// Image is the exact reference that is applied.
	Image string `json:"image"`
	// From is the image expected in the field before the pin: its precondition.
	From  string `json:"from"`
	Phase Phase  `json:"phase"`
	// Back says this deployment is a way back; Of is the version left.
	Back bool   `json:"back,omitempty"`
	Of   string `json:"of,omitempty"`
	// By is who asked for it: "slipway", or a person.
	By       string    `json:"by"`
	At       time.Time `json:"at"`       // when the intent was recorded
	Applied  time.Time `json:"applied"`  // when the field was first seen to hold Image
	Rolled   time.Time `json:"rolled"`   // when the rollout was complete
	Ended    time.Time `json:"ended"`    // when Phase became final
	Deadline time.Time `json:"deadline"` // after which no signal is a failure; counted from Applied
	// Reason is what a rolling deployment waits for, or why it ended badly.
	Reason string `json:"reason,omitempty"`
	// Pods and Probes are the evidence for the phase.
	Pods []PodEvidence `json:"pods,omitempty"`
}

// PodEvidence is what one pod showed.
type PodEvidence struct {
	Name    string `json:"name"`
	ImageID string `json:"image_id"`
	// Revision is what the pod answered; Answer is the start of its answer.
	Revision string `json:"revision,omitempty"`
	Answer   string `json:"answer,omitempty"`
}
