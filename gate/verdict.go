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
	// Reasons say what is missing: blocks before waits, then in the order of the
	// codes below, then by sentence. There are none for Merge, and only then.
	Reasons []Reason
	// Approvals are those that count, by login.
	Approvals []Approval
	// Checks has one result for each required check, in the policy's order; none
	// when the checks are not those of Head.
	Checks []CheckResult
	// Recheck is when time alone may change the verdict; zero: never.
	Recheck time.Time
}

// Code is a stable name for one kind of reason.
type Code string

// The codes, as the API and the journal carry them.
const (
	CodeClosed           Code = "closed"             // not open
	CodePolicy           Code = "policy"             // the policy file is missing or faulty
	CodeDraft            Code = "draft"              // marked as draft
	CodeHold             Code = "hold"               // a hold label is set
	CodeConflict         Code = "conflict"           // does not merge cleanly
	CodeVeto             Code = "veto"               // a live change request
	CodeUnmappedIdentity Code = "unmapped_identity"  // a commit's e-mail belongs to nobody
	CodeCheckFailed      Code = "check_failed"       // a required check is not green
	CodeApprovals        Code = "approvals"          // too few approvals that count
	CodePerson           Code = "person"             // a person must approve
	CodeCheckMissing     Code = "check_missing"      // a required check never came
	CodeCheckForeign     Code = "check_wrong_source" // green, but from somebody else
	CodeCheckPending     Code = "check_pending"      // a required check is running
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
	// State is StateSuccess only if green and from where the policy says;
	// StatePending also when nothing that counts has come.
	State State
	// Reason is nil when green.
	Reason *Reason
	URL    string
}

func (o Outcome) String() string {
	switch o {
	case Block:
		return "block"
	case Merge:
		return "merge"
	default:
		return "wait"
	}
}

// rank is the place of a code among reasons of one outcome: what makes the
// others pointless comes first.
func (c Code) rank() int {
	order := [...]Code{
		CodeClosed, CodePolicy, CodeDraft, CodeHold, CodeConflict, CodeVeto, CodeUnmappedIdentity, CodeCheckFailed,
		CodeApprovals, CodePerson, CodeCheckMissing, CodeCheckForeign, CodeCheckPending, CodeUnknown,
	}
	for i, o := range order {
		if o == c {
			return i
		}
	}
	return len(order)
}
