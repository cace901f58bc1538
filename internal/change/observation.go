package change

import (
	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/ref"
)

// Observation is what one look found about a change.
type Observation struct {
	// Pull and Verdict are of the same look.
	Pull    gate.PullRequest
	Verdict gate.Verdict
	// Snapshot is the hash of the judged snapshot.
	Snapshot string
	// Fingerprint and Seq are those of the record.
	Fingerprint string
	Seq         int64
	// Commits is how many commits the pull request has.
	Commits int
	// Replay is what the head's own policy would change; nil when that was not
	// asked, or was asked for this head before.
	Replay *Replay
	// Posted is the gate's commit status as the forge shows it on the head.
	Posted Posted
	// StatusNeeded says whether the base's own rules ask for that status.
	StatusNeeded ref.Fact
	// Elsewhere says that it was merged to a branch that is not released here.
	Elsewhere bool
	// PostMerge are the checks on the merge commit; zero before the merge.
	PostMerge gate.Checks
	// Release is the reservation of a version, nil until one is made.
	Release *Release
	Tag     TagFact
	Page    PageFact
	Image   ImageFact
	// Target is the stored state of the change's target, and TargetReason why it
	// does not move, if it does not.
	Target       deployer.Target
	TargetReason string
	// NewerHealthy is the target's healthy release when it is newer than this
	// change's and its commit contains this change's merge commit.
	NewerHealthy *deployer.Release
	Revert       RevertFact
}

// Release is a reserved version.
type Release struct {
	Tag      ref.Tag
	Position int64
	// Offered is the pin given to the target; zero until the image is ready.
	Offered ref.Pin
}

// TagFact is the version's tag in the forge. Exists Yes with Commit.
type TagFact struct {
	Exists ref.Fact
	Commit ref.SHA
}

// PageFact is the release page in the forge.
type PageFact struct {
	Exists ref.Fact
	URL    string
}

// ImageFact is the version's image.
type ImageFact struct {
	// Built is the digest recorded before the push; "" until built.
	Built ref.Digest
	// Repository is where it belongs, without tag.
	Repository string
	// Exists and Digest are what the registry holds under the tag.
	Exists ref.Fact
	Digest ref.Digest
}

// RevertFact is the state of the revert pull request in the forge.
type RevertFact struct {
	Found ref.Fact
	Pull  ref.PullID
	State string // open, merged, closed
	// Impossible says why git cannot revert the commit.
	Impossible string
}

// Landed is how what landed compares with what was judged.
type Landed struct {
	// Equal says whether the landed tree is the merge of Parent and the head.
	Equal ref.Fact `json:"equal"`
	// Parent is the commit that the merge landed on.
	Parent ref.SHA `json:"parent"`
	// Commits is how many commits of the base the merge made, from Merge down to
	// Parent. A rebase leaves out merges, and what the base had already.
	Commits int `json:"commits,omitempty"`
	// Tree landed; Want is what the merge computed anew comes to.
	Tree ref.SHA `json:"tree"`
	Want ref.SHA `json:"want"`
	// Why says why it is not equal or cannot be told.
	Why string `json:"why,omitempty"`
}

// Action is what to do next; nil is nothing but waiting.
type Action interface{ isAction() }

// PostStatus posts the gate's commit status on a head.
type PostStatus struct{ Posted Posted }

// Merge merges exactly Intent.Head, posting Status on it first. The intent is
// in the record already.
type Merge struct {
	Intent MergeIntent
	Status Posted
	Method string
	// Approvals are the reviews that count now.
	Approvals []int64
}

// VerifyLanding compares what landed with what was judged, and keeps the
// receipt; what is not equal freezes the branch.
type VerifyLanding struct {
	Merge, Head ref.SHA
	Method      string
	Commits     int     // how many commits the merge made
	After       ref.SHA // the tip of the base that was judged
}

// ReserveVersion wants the branch's worker to give this merge its version.
type ReserveVersion struct{ Branch ref.BranchID }

// CreateTag makes the annotated tag on the merge commit, if absent.
type CreateTag struct {
	Tag    ref.Tag
	Commit ref.SHA
}

// PublishRelease makes the release page for the tag, if absent.
type PublishRelease struct{ Tag ref.Tag }

// BuildImage builds and records the digest.
type BuildImage struct {
	Tag    ref.Tag
	Commit ref.SHA
}

// PushImage pushes what was built, if the tag is absent in the registry.
type PushImage struct {
	Tag    ref.Tag
	Commit ref.SHA
	Digest ref.Digest
}

// OfferRelease gives the pin to the target.
type OfferRelease struct {
	Target ref.TargetID
	Pin    ref.Pin
}

// OpenRevert makes a branch that reverts the merge commit and opens a pull
// request for it, if there is none.
type OpenRevert struct {
	Commit ref.SHA
	Branch string
}

func (PostStatus) isAction()     {}
func (Merge) isAction()          {}
func (VerifyLanding) isAction()  {}
func (ReserveVersion) isAction() {}
func (CreateTag) isAction()      {}
func (PublishRelease) isAction() {}
func (BuildImage) isAction()     {}
func (PushImage) isAction()      {}
func (OfferRelease) isAction()   {}
func (OpenRevert) isAction()     {}
