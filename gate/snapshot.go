// Package gate decides whether a pull request may be merged. It is given a
// complete snapshot of the facts and the policy of the base branch, and
// answers with a verdict that explains itself. It reads nothing, remembers
// nothing and has no clock of its own.
package gate

import (
	"encoding/json"
	"time"

	"slipway/internal/ref"
)

// Snapshot is everything a verdict is reached from, as read from the forge in
// one look. What could not be read is unknown, and unknown never merges.
type Snapshot struct {
	Pull PullRequest
	// Commits are those the pull request would bring to its base, oldest first.
	Commits     []Commit
	CommitsRead ref.Fact
	// Checks are what was reported on the head commit.
	Checks Checks
	// Reviews are all reviews of the pull request, in the order of submission.
	Reviews     []Review
	ReviewsRead ref.Fact
	// WorkflowsChanged says whether the pull request touches files that define
	// CI workflows (and could so redefine its own checks).
	WorkflowsChanged ref.Fact
	// HeadPolicyFaults are what is wrong with the policy file that the head would
	// bring to the base. A broken one would stop everything after it, its own
	// mend included.
	HeadPolicyFaults []string
	// Files are all changed files.
	Files     []File
	FilesRead ref.Fact
	// Owned are the CODEOWNERS rules that own a changed file. OwnedRead is No
	// when the base has no such file, Unknown when it was not asked for.
	Owned     []Ownership
	OwnedRead ref.Fact
	// OwnersFaults are what is wrong with the CODEOWNERS file.
	OwnersFaults []string
	// Teams are the members of every team that the policy or CODEOWNERS names,
	// by OWNER/TEAM in lower case. One that is not there is unknown.
	Teams map[string][]string
	// Approvers are those who could approve now, in the forge's eyes; they serve
	// explanations, and decide nothing.
	Approvers     []string
	ApproversRead ref.Fact
	// Pusher is who pushed the head; PusherRead is Unknown when the forge does
	// not tell.
	Pusher     string
	PusherRead ref.Fact
	// UpToDate says whether the head contains the tip of its base.
	UpToDate ref.Fact
	// Retargeted is when the base branch was changed last; zero: never.
	Retargeted time.Time
	// Holds are those that people set by command and nobody lifted.
	Holds []Hold
	// Asked is the request to merge, nil for none.
	Asked *Asked
	// Emergency is the waiver, nil for none.
	Emergency *Emergency
	// Frozen says why nothing merges to the base until somebody lifts that; ""
	// when nothing is wrong. FrozenRead is Unknown when that was not read.
	Frozen     string
	FrozenRead ref.Fact
	// Crew is what the dispatcher knows of those who take part.
	Crew Crew
}

// UnmarshalJSON reads a snapshot that was kept. One from before there were pools
// says nothing of a crew, and had none: it is judged as it was then.
func (s *Snapshot) UnmarshalJSON(data []byte) error {
	type kept Snapshot
	read := kept{Crew: Crew{Read: ref.No}}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*s = Snapshot(read)
	return nil
}

// File is one changed file. A rename has both paths.
type File struct {
	Path     string
	Previous string
	Added    int
	Deleted  int
}

// Ownership is one rule of CODEOWNERS with the changed files that it owns:
// those for which it is the rule that counts.
type Ownership struct {
	Pattern string
	Line    int // in the file, from 1
	Paths   []string
	// Owners are logins and teams (OWNER/TEAM), without the @. Unmapped are the
	// e-mail addresses that belong to nobody known.
	Owners   []string
	Unmapped []string
}

// Hold is one that somebody set by command.
type Hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Asked is a request to merge one head once it is ready.
type Asked struct {
	By   string    `json:"by"`
	Head ref.SHA   `json:"head"`
	At   time.Time `json:"at"`
}

// Emergency is a waiver on one head, by somebody named, with a reason.
type Emergency struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Head   ref.SHA   `json:"head"`
	At     time.Time `json:"at"`
}

// PullRequest is the forge's own record of it.
type PullRequest struct {
	ID         ref.PullID
	Title      string
	Body       string
	Author     string // login
	Head       ref.SHA
	HeadBranch string
	HeadRepo   ref.RepoID // another one than ID.Repo when it comes from a fork
	Base       string     // branch name
	BaseHead   ref.SHA    // tip of the base branch; the policy was read there
	Open       ref.Fact
	Merged     ref.Fact
	MergeSHA   ref.SHA // the commit on the base, once merged
	MergedBy   string  // login
	MergedAt   time.Time
	Draft      ref.Fact
	Mergeable  ref.Fact // No: conflicts; Unknown: the forge is still computing
	Labels     []string
	Opened     time.Time
	Updated    time.Time
}

// Commit is one commit of the pull request. A login is empty when the forge
// maps the e-mail to nobody.
type Commit struct {
	SHA            ref.SHA
	Author         string
	AuthorEmail    string
	Committer      string
	CommitterEmail string
	Parents        int // how many; 0 when not known
	// CoAuthors are the Co-authored-by trailers.
	CoAuthors []CoAuthor
}

// CoAuthor is one Co-authored-by trailer; Login is empty when unmapped.
type CoAuthor struct {
	Login string
	Email string
}

// State is what a check or a job reports. The zero value is StateUnknown.
type State string

// The states of a check. Only StateSuccess is green.
const (
	StateUnknown State = ""
	StatePending State = "pending"
	StateSuccess State = "success"
	StateFailure State = "failure"
	StateSkipped State = "skipped"
)

// Checks are all statuses and all CI-workflow jobs of one commit.
type Checks struct {
	SHA      ref.SHA
	Statuses []Status
	// StatusesRead is Yes when every page was read.
	StatusesRead ref.Fact
	Jobs         []Job
	// JobsRead is Yes when every run on the commit and all its jobs were read.
	JobsRead ref.Fact
}

// Status is one commit status as the forge keeps it.
type Status struct {
	ID      int64
	Context string
	State   State
	// Creator is the login that reported it; "" when the forge names none (a
	// CI job's token), which says nothing about who did.
	Creator     string
	Description string
	URL         string
	At          time.Time
}

// Job is one job of one CI-workflow run, read from the runs API and so beyond
// the reach of anyone who can merely post a status.
type Job struct {
	RunID    int64
	Attempt  int64
	Workflow string // path in the repository, e.g. .gitea/workflows/ci.yml
	Event    string // e.g. pull_request, push
	Head     ref.SHA
	Name     string
	State    State
	URL      string
	At       time.Time
}

// ReviewState is what a reviewer said. The zero value counts for nothing.
type ReviewState string

// The states of a review.
const (
	ReviewNone             ReviewState = ""
	ReviewApproved         ReviewState = "approved"
	ReviewChangesRequested ReviewState = "changes_requested"
	ReviewCommented        ReviewState = "commented"
	ReviewDismissed        ReviewState = "dismissed"
)

// Review is one submitted review.
type Review struct {
	ID       int64
	Reviewer string // login
	State    ReviewState
	// Commit is the head that the forge says it was given on.
	Commit ref.SHA
	// ObservedHead is the head that stood when this review was first observed.
	ObservedHead ref.SHA
	// Official says whether the forge counts the reviewer as an approver.
	Official ref.Fact
	// Eligible says whether the reviewer may approve now: on the approvals
	// whitelist or in one of its teams, or else with write access.
	Eligible ref.Fact
	At       time.Time
}
