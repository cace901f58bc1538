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
	// Requirements are all that the policy asks of this pull request, met or
	// not, in a fixed order: those of the forge, the policy, checks, approvals,
	// demands, owners, conditions, freezes, the request to merge, an emergency.
	Requirements []Requirement
	// Acts are the smallest set that would make it merge, as far as anybody can
	// act; there are none for Merge. Whoever of those named acts, it does: but
	// what needs a push needs all approvals again, on the new head.
	Acts []Act
	// Waived says that an emergency waived something that was not met.
	Waived bool
}

// Progress is how a requirement stands. The zero value is unmet.
type Progress string

// How a requirement may stand.
const (
	Unmet     Progress = ""         // waits for something
	Met       Progress = "met"      // holds
	Violated  Progress = "violated" // somebody must change something
	Unread    Progress = "unknown"  // a fact is missing
	Waived    Progress = "waived"   // an emergency waived it
	NotNeeded Progress = "optional" // shown, and keeps nothing from merging
)

// waiting is how Unmet is written: an empty text would look like a missing one.
const waiting = "waiting"

// MarshalText writes "waiting" for Unmet, and every other state as it is.
func (p Progress) MarshalText() ([]byte, error) {
	if p == Unmet {
		return []byte(waiting), nil
	}
	return []byte(p), nil
}

// UnmarshalText reads what MarshalText wrote.
func (p *Progress) UnmarshalText(b []byte) error {
	if *p = Progress(b); *p == waiting {
		*p = Unmet
	}
	return nil
}

// Requirement is one thing that the policy asks for.
type Requirement struct {
	// Key is stable while the policy is: "check:ci / test (pull_request)",
	// "approvals", "demand:security", "owners:/docs/ @acme/writers",
	// "freeze:weekend", "condition:small", "open", "draft", "conflict", "base",
	// "linear", "hold", "policy", "identities", "registered", "veto", "person", "frozen",
	// "request", "emergency".
	Key string `json:"key"`
	// Title is what is asked for, in a few words.
	Title string `json:"title"`
	// State is how it stands.
	State Progress `json:"state"`
	// Says is where it stands, in a sentence: that of its reason if there is one.
	Says string `json:"says,omitempty"`
	// Who can act on it: logins, or roles.
	Who []string `json:"who,omitempty"`
	// Lacks is how many more approvals it takes, where they could be counted.
	Lacks int `json:"lacks,omitempty"`
	// Since is when it began to wait; the shell fills it in from its record.
	Since time.Time `json:"since,omitzero"`
}

// Act is something that somebody can do.
type Act struct {
	// Do is an imperative sentence: "approve a1b2c3d4e5f6".
	Do string `json:"do"`
	// Who could do it: logins, or roles. Count of them must.
	Who   []string `json:"who"`
	Count int      `json:"count"`
	// For are the keys of the requirements that it meets.
	For []string `json:"for"`
}

// Code is a stable name for one kind of reason.
type Code string

// The codes, as the API and the journal carry them.
const (
	CodeClosed           Code = "closed"             // not open
	CodePolicy           Code = "policy"             // the policy file is missing or faulty
	CodeFrozen           Code = "frozen"             // the branch was frozen after a bad landing
	CodeDraft            Code = "draft"              // marked as draft
	CodeHold             Code = "hold"               // a hold label is set
	CodeConflict         Code = "conflict"           // does not merge cleanly
	CodeVeto             Code = "veto"               // a live change request
	CodeUnmappedIdentity Code = "unmapped_identity"  // a commit's e-mail belongs to nobody
	CodeUnregistered     Code = "unregistered"       // a coordinate's head that no attempt of its own registered
	CodeCheckFailed      Code = "check_failed"       // a required check is not green
	CodeNotLinear        Code = "not_linear"         // it holds a merge commit
	CodeOutdated         Code = "outdated"           // its base has moved on
	CodeCondition        Code = "condition"          // a condition of the policy does not hold
	CodeApprovals        Code = "approvals"          // too few approvals that count
	CodePerson           Code = "person"             // a person must approve
	CodeDemand           Code = "demand"             // named approvers must approve
	CodeOwners           Code = "owners"             // an owner of changed files must approve
	CodeCheckMissing     Code = "check_missing"      // a required check never came
	CodeCheckForeign     Code = "check_wrong_source" // green, but from somebody else
	CodeCheckPending     Code = "check_pending"      // a required check is running
	CodeFreeze           Code = "freeze"             // a freeze window is open
	CodeNotAsked         Code = "not_asked"          // nobody asked for the merge of this head
	CodeCanary           Code = "canary"             // a canary that would have merged: set by the shell alone
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
	// Kind says whether a person gave it, and Model what an agent ran; an older
	// record has neither.
	Kind  Kind   `json:"kind,omitempty"`
	Model string `json:"model,omitempty"`
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
		CodeClosed, CodePolicy, CodeFrozen, CodeDraft, CodeHold, CodeConflict,
		CodeVeto, CodeUnmappedIdentity, CodeUnregistered, CodeCheckFailed, CodeNotLinear, CodeOutdated, CodeCondition,
		CodeApprovals, CodePerson, CodeDemand, CodeOwners, CodeCheckMissing, CodeCheckForeign,
		CodeCheckPending, CodeFreeze, CodeNotAsked, CodeCanary, CodeUnknown,
	}
	for i, o := range order {
		if o == c {
			return i
		}
	}
	return len(order)
}
