package change

import (
	"time"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/ref"
)

// Plan is what the policy file (.slipway.yaml on the base branch) asks for.
type Plan struct {
	// Faults are what is wrong with the file; with any, nothing merges.
	Faults []string
	Gate   gate.Policy
	Merge  MergePlan
	// PostMerge are the checks on the merge commit; none is a fault.
	PostMerge []gate.CheckRule
	Release   ReleasePlan
	Build     BuildPlan
	// Deploy is where the release goes.
	Deploy    deployer.Spec
	Deadlines Deadlines
}

// MergePlan says how a change lands.
type MergePlan struct {
	Method string // squash (default), merge, rebase
	// DeleteBranch removes the head branch after the merge.
	DeleteBranch bool
	// Unjudged says what to do with merges by hand: "hold" (default: alarmed,
	// not deployed by themselves) or "deploy".
	Unjudged string
	// Compose makes the title (one line) and the body of the merge's commit;
	// nil leaves them as they are made without a template. An error names the
	// template that makes nothing of this pull request.
	Compose func(MessageData) (title, body string, err error)
}

// MessageData is what a merge's commit may tell of the pull request.
type MessageData struct {
	Title     string
	Body      string
	Number    int64
	Author    string // login
	Head      ref.SHA
	Base      string   // branch name
	Labels    []string // as the forge lists them
	Approvers []string // logins of those whose approvals counted
}

// ReleasePlan says how versions are made.
type ReleasePlan struct {
	// Prefix stands before the version in the tag; "v" by default.
	Prefix string
	// Labels on the pull request override the commits: label name by level.
	Major, Minor, Patch string
	// First is the version of the first release, without prefix: "0.1.0".
	First string
}

// BuildPlan says how the image is made.
type BuildPlan struct {
	Main     string // Go package path in the repository, e.g. "."
	Platform string // e.g. linux/amd64
}

// Deadlines are how long each gate may wait before an alert is given.
type Deadlines struct {
	Review, Merge, PostMergeCI, Image, Rollout, Health time.Duration
}
