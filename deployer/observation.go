package deployer

import (
	"time"

	"slipway/internal/ref"
)

// Observation is what one look at a target and its releases found.
type Observation struct {
	// Read is Yes when the Deployment and its pods were read completely, No when
	// the Deployment does not exist, Unknown when the cluster did not answer.
	Read ref.Fact
	// Detail says why Read is not Yes.
	Detail string
	// Simulated is set where the nodes are fake: nobody answers there.
	Simulated bool
	// Image is what the field holds now.
	Image string
	// Owner is the field manager that owns the field now.
	Owner string
	// Owned says whether that is Slipway.
	Owned ref.Fact
	// UID and ResourceVersion are the preconditions of a write. What the version
	// is made of is the adapter's own affair; it comes back to it in Pin.
	UID             string
	ResourceVersion string
	Rollout         Rollout
	// Pods are those of the current template.
	Pods []Pod
	// Releases are the branch's releases whose image is ready, any order. The
	// relations to what runs and to what is barred are filled in by the shell.
	Releases []Candidate
	// Refused is the permanent refusal of the Pin performed last for
	// Target.Current: a conflict that names the rival, a missing right.
	Refused string
}

// RolloutState is what the controller says about the roll. Zero: unknown.
type RolloutState uint8

// The states of a rollout.
const (
	RolloutUnknown RolloutState = iota
	RolloutInProgress
	RolloutComplete
	// RolloutFailed: it cannot complete without a change: a crash loop, an image
	// that cannot be pulled, a progress deadline.
	RolloutFailed
)

// Rollout is the state with a sentence.
type Rollout struct {
	State  RolloutState
	Reason string
}

// Pod is one pod of the current template.
type Pod struct {
	Name    string
	Image   string // as in its spec
	ImageID string // as the runtime reports it
	Ready   ref.Fact
	// Probe is empty until the rollout is complete and the pod was asked.
	Probe Probe
}

// Probe is a pod's answer to the health question, asked in this same look. The
// zero value was not asked.
type Probe struct {
	// Answered is Yes for an answer that can be read, No for a refusal, a bad
	// status or a time-out. Unknown with At set: asked, with no way to tell.
	Answered ref.Fact
	Revision string
	Answer   string // its start, for the evidence
	Detail   string // why it did not answer
	At       time.Time
}

// Candidate is a release with its relation to what runs and what is barred.
type Candidate struct {
	Release
	// Descends says whether its commit contains the commit of Target.Running; it
	// counts for nothing while that is no release.
	Descends ref.Fact
	// Barred names the version whose unreverted commit it contains: "" is none
	// and counts only when BarredRead is Yes.
	Barred     string
	BarredRead ref.Fact
}

// Action is what to do next; nil is nothing.
type Action interface{ isAction() }

// Pin applies the image of Target.Current, if the field still holds From and
// the object still has that identity.
type Pin struct {
	Deployment      Deployment
	UID             string
	ResourceVersion string
}

// Ask wants the pods (or the URL) probed, and a new observation at once.
type Ask struct{ Health Health }

func (Pin) isAction() {}
func (Ask) isAction() {}
