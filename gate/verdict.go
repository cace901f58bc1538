package gate

import (
	"time"

	"slipway/internal/ref"
)

// Outcome is what a verdict comes to. The zero value is Wait.
type Outcome uint8

// The outcomes, in rising order of how much is wrong, but for Merge.
const (
	// Wait: something that is still expected has not happened.
	Wait Outcome = iota
	// Block: somebody must change something before waiting makes sense.
	Block
	// Merge: everything holds for Verdict.Head, and for nothing else.
	Merge
)

// Verdict is the answer about one head commit.
type Verdict struct {
	Outcome Outcome
	// Head is the only commit this verdict is about.
	Head ref.SHA
	// Reasons say what is missing, worst first, then by code; none for Merge.
	Reasons []Reason
	// Approvals are those that count.
	Approvals []Approval
	// Checks has one result for each required check, in the policy's order.
	Checks []CheckResult
	// Recheck is when time alone may change the verdict; zero: never.
	Recheck time.Time
}

// Code is a stable name for one kind of reason.
type Code string

// The codes, as the API and the journal carry them.
const (
	CodePolicy           Code = "policy"             // the policy file is missing or faulty
	CodeClosed           Code = "closed"             // not open
	CodeDraft            Code = "draft"              // marked as draft
	CodeConflict         Code = "conflict"           // does not merge cleanly
	CodeHold             Code = "hold"               // a hold label is set
	CodeVeto             Code = "veto"               // a live change request
	CodeApprovals        Code = "approvals"          // too few approvals that count
	CodePerson           Code = "person"             // a person must approve
	CodeUnmappedIdentity Code = "unmapped_identity"  // a commit's e-mail belongs to nobody
	CodeCheckFailed      Code = "check_failed"       // a required check is not green
	CodeCheckPending     Code = "check_pending"      // a required check is running
	CodeCheckMissing     Code = "check_missing"      // a required check never came
	CodeCheckForeign     Code = "check_wrong_source" // green, but from somebody else
	CodeUnknown          Code = "unknown"            // a fact could not be read
)

// Reason is one thing that keeps the change from merging.
type Reason struct {
	Code    Code
	Outcome Outcome // Wait or Block
	// Sentence says it to a person, without a full stop.
	Sentence string
	// Who can act on it: logins, or a role such as "author" or "reviewers".
	Who []string
}

// Approval is one that counts.
type Approval struct {
	Login    string  `json:"login"`
	ReviewID int64   `json:"review_id"`
	Commit   ref.SHA `json:"commit"`
}

// CheckResult is the finding about one required check.
type CheckResult struct {
	Context string
	State   State // StateSuccess only if green and from where the policy says
	// Reason is empty when green.
	Reason *Reason
	URL    string
}
