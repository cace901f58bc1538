// Package change is the eight-gate record of one change, from a head commit
// to healthy pods. Decide is given the record, what was observed and the
// plan, and answers with the new record and at most one action. It reads
// nothing and has no clock.
package change

import (
	"time"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/ref"
)

// GateName names one of the eight gates.
type GateName string

// The eight gates, in order.
const (
	Code        GateName = "code"
	Opened      GateName = "opened"
	Reviewed    GateName = "reviewed"
	Merged      GateName = "merged"
	PostMergeCI GateName = "post_merge_ci"
	Image       GateName = "image"
	Rollout     GateName = "rollout"
	Health      GateName = "health"
)

// GateNames lists them in order.
func GateNames() []GateName {
	return []GateName{Code, Opened, Reviewed, Merged, PostMergeCI, Image, Rollout, Health}
}

// GateState is where a gate stands. The zero value reads as waiting.
type GateState string

// The states of a gate.
const (
	Waiting   GateState = "waiting"
	Passed    GateState = "passed"
	Failed    GateState = "failed"
	Skipped   GateState = "skipped"
	Simulated GateState = "simulated"
)

// Outcome is how a change ended; "" while it has not.
type Outcome string

// The outcomes.
const (
	Open             Outcome = ""
	OutcomeHealthy   Outcome = "healthy"
	OutcomeRolled    Outcome = "rolled_back"
	OutcomeSupersede Outcome = "superseded"
	OutcomeClosed    Outcome = "closed"
	OutcomeSimulated Outcome = "simulated"
)

// Change is the stored record. The worker of its key writes it, and that of its
// branch only PassedOver.
type Change struct {
	ID     ref.PullID `json:"pull_request"`
	Rev    int64      `json:"rev"` // kept by the store; 0 for a new one
	Title  string     `json:"title"`
	Author string     `json:"author"`
	Base   string     `json:"base"`
	Head   ref.SHA    `json:"head"`
	Labels []string   `json:"labels,omitempty"`
	// Intent is the merge about to be made, recorded before the call.
	Intent *MergeIntent `json:"merge_intent,omitempty"`
	// MergeSHA is the commit on the base; MergedBy the login that the forge names.
	MergeSHA ref.SHA   `json:"merge_sha,omitempty"`
	MergedBy string    `json:"merged_by,omitempty"`
	MergedAt time.Time `json:"merged_at,omitzero"`
	// Landed is the check of what landed, nil before it was made. Only a judged
	// merge has one.
	Landed *Landed `json:"landed,omitempty"`
	// Receipt is the signed receipt of the merge, nil before it is there.
	Receipt *Receipt `json:"receipt,omitempty"`
	// Note is the receipt's git note, nil before it was tried.
	Note *Note `json:"note,omitempty"`
	// Unjudged says it was merged by somebody else, on no verdict of ours.
	Unjudged bool `json:"unjudged,omitempty"`
	// Releasable says that the merge is to get a version: it was judged, or the
	// policy releases what was not.
	Releasable bool `json:"releasable,omitempty"`
	// PassedOver says why it gets no version of its own after all. The worker of
	// its branch writes it.
	PassedOver string `json:"passed_over,omitempty"`
	// Version is reserved once, in branch order, and is written like the tag.
	Version  string   `json:"version,omitempty"`
	Position int64    `json:"position,omitempty"`
	Tag      ref.Tag  `json:"tag,omitempty"`
	Pin      ref.Pin  `json:"pin,omitzero"`
	Gates    []Gate   `json:"gates"` // eight, in order
	Outcome  Outcome  `json:"outcome,omitempty"`
	Revert   *Revert  `json:"revert,omitempty"`
	Posted   Posted   `json:"posted,omitzero"`   // the commit status posted last
	Verdict  []Reason `json:"verdict,omitempty"` // why it is not merged yet
	// Snapshot is the hash of the snapshot judged last, and Policy that of the
	// policy it was judged by.
	Snapshot string `json:"snapshot,omitempty"`
	Policy   string `json:"policy,omitempty"`
	// Requirements are all that the policy asks of the head, with the time since
	// which each waits, and Acts the smallest set of acts that would merge it.
	Requirements []gate.Requirement `json:"requirements,omitempty"`
	Acts         []gate.Act         `json:"acts,omitempty"`
	// Holds, Asked and Emergency are what people said by command.
	Holds     []gate.Hold     `json:"holds,omitempty"`
	Asked     *gate.Asked     `json:"asked,omitempty"`
	Emergency *gate.Emergency `json:"emergency,omitempty"`
	// Talk is the state of the conversation on the pull request.
	Talk Talk `json:"talk,omitzero"`
	// Replay is what the policy that the head would bring would have changed;
	// nil where it brings none.
	Replay *Replay `json:"replay,omitempty"`
	// Fingerprint is how the forge's list showed the pull request when it was
	// looked at last; what the list still shows so need not be looked at.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Seq is the number under which its key was last made due before that look.
	Seq int64 `json:"seq,omitempty"`
	// Refusal is the action that was refused for good, and is not tried again
	// before its time; nil when nothing is.
	Refusal *Refusal  `json:"refusal,omitempty"`
	Opened  time.Time `json:"opened"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Reason is one reason of the latest verdict, for people.
type Reason struct {
	Code     gate.Code `json:"code"`
	Sentence string    `json:"sentence"`
	Who      []string  `json:"who,omitempty"`
}

// Refusal is an action that failed for good: somebody has to change something
// before it can work. It is tried again ever more seldom, and at once when it
// becomes another action.
type Refusal struct {
	// Action and Identity say what was refused.
	Action   string    `json:"action"`
	Identity string    `json:"identity"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	// Until is when it may be tried again; Times how often it was refused.
	Until time.Time `json:"until"`
	Times int       `json:"times"`
}

// MergeIntent is what is about to be merged, and on which verdict.
type MergeIntent struct {
	Head ref.SHA `json:"head"`
	Base string  `json:"base"`
	// BaseHead is the tip of the base that was judged; "" in an older record.
	BaseHead ref.SHA   `json:"base_head,omitempty"`
	At       time.Time `json:"at"`
	// Commits is how many commits of the branch the merge will make: more than
	// one only for a rebase.
	Commits int `json:"commits"`
	// Method is how it is to land: squash, merge, rebase.
	Method string `json:"method,omitempty"`
	// Snapshot is the hash of the snapshot that was judged, and Policy that of
	// the policy it was judged by.
	Snapshot  string          `json:"snapshot"`
	Policy    string          `json:"policy,omitempty"`
	Approvals []gate.Approval `json:"approvals"`
	// Emergency is the waiver without which it would not merge; nil for none.
	Emergency *gate.Emergency `json:"emergency,omitempty"`
	// TellLater says that the gate's status is posted once it has landed: the
	// branch is known not to ask for it.
	TellLater bool `json:"tell_later,omitempty"`
}

// Revert is the pull request that takes a bad change out of the branch.
type Revert struct {
	Branch string     `json:"branch"`
	Pull   ref.PullID `json:"pull_request,omitzero"`
	State  string     `json:"state"`
	Reason string     `json:"reason,omitempty"`
}

// The states of a revert.
const (
	RevertWanted     = "wanted"
	RevertOpen       = "open"
	RevertMerged     = "merged"
	RevertClosed     = "closed"
	RevertImpossible = "impossible" // git cannot; Reason says why
)

// Posted is a commit status as last posted.
type Posted struct {
	Head  ref.SHA    `json:"head"`
	State gate.State `json:"state"`
	Text  string     `json:"text"`
}

// Gate is one of the eight.
type Gate struct {
	Name  GateName  `json:"gate"`
	State GateState `json:"state"`
	// At is when the state was reached.
	At       time.Time `json:"at,omitzero"`
	Evidence Evidence  `json:"evidence"`
	// Owner is who must act for it: author, reviewers, ci, slipway, operator.
	Owner string `json:"owner"`
	// Deadline is when waiting turns into an alert; zero before its turn.
	Deadline time.Time `json:"deadline,omitzero"`
	// Overdue says the alert was given.
	Overdue bool   `json:"overdue,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Evidence is what a gate's state rests on; only what concerns it is set.
type Evidence struct {
	Head        ref.SHA         `json:"head,omitempty"`
	PullRequest ref.PullID      `json:"pull_request,omitzero"`
	Approvals   []gate.Approval `json:"approvals,omitempty"`
	Checks      []Check         `json:"checks,omitempty"`
	MergeSHA    ref.SHA         `json:"merge_sha,omitempty"`
	MergedBy    string          `json:"merged_by,omitempty"`
	// Snapshot is the hash of the judged snapshot.
	Snapshot string     `json:"snapshot,omitempty"`
	Version  string     `json:"version,omitempty"`
	Tag      ref.Tag    `json:"tag,omitempty"`
	Digest   ref.Digest `json:"digest,omitempty"`
	Image    string     `json:"image,omitempty"`
	// Release is the address of the release page.
	Release string                 `json:"release,omitempty"`
	Pods    []deployer.PodEvidence `json:"pods,omitempty"`
	// SupersededBy is the newer healthy version, whose commit Descendant
	// contains this change's.
	SupersededBy string  `json:"superseded_by,omitempty"`
	Descendant   ref.SHA `json:"descendant,omitempty"`
	// RestoredTo is what serves instead after a rollback.
	RestoredTo string `json:"restored_to,omitempty"`
}

// Check is a required check as found.
type Check struct {
	Context string     `json:"context"`
	State   gate.State `json:"state"`
	URL     string     `json:"url,omitempty"`
}
