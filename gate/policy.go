package gate

import (
	"time"

	"slipway/internal/ref"
)

// Policy is the gate section of the policy file on the base branch, with the
// organisation's defaults and floors applied and everything compiled. The zero
// value merges nothing: an empty list of checks is a fault (M2).
type Policy struct {
	// Hash is the SHA-256, in hexadecimal, of what the policy was read from: the
	// file and the organisation's part of it.
	Hash string
	// Faults are what is wrong with the policy file, each a sentence that names
	// the place. Any fault blocks.
	Faults []string
	// Checks must all be green on the head, but for the optional ones and those
	// whose paths are not touched.
	Checks []CheckRule
	// Approvals is how many independent ones are needed; never fewer than
	// MinApprovals, whatever stands here.
	Approvals int
	// Approvers narrows whose approvals count beyond what the forge says; empty
	// leaves it to the forge.
	Approvers Who
	// Excluded are people whose approvals never count here.
	Excluded Who
	// OperatorOnce counts all agents of one operator as one principal.
	OperatorOnce bool
	// Demands are approvals wanted beside the count, by path or by size.
	Demands []Demand
	// Owners says what CODEOWNERS asks for.
	Owners OwnersRule
	// Vetoers may veto though their approval would not count; whoever may
	// approve may veto as well.
	Vetoers Who
	// HoldLabels keep a pull request from merging while one is set.
	HoldLabels []string
	// Freezes are the times in which nothing merges.
	Freezes []Freeze
	// Conditions must all hold.
	Conditions []Condition
	// UpToDate wants the head to contain the tip of its base.
	UpToDate bool
	// Linear wants no merge commit among those of the pull request.
	Linear bool
	// OnRequest waits until somebody who may has asked for the merge of this
	// head (/merge when ready).
	OnRequest bool
	// Emergency says who may waive what.
	Emergency EmergencyRule
	// Principals are the declared identities, by login in lower case. Whoever is
	// not there is of unknown kind.
	Principals map[string]Principal
	// PeopleTeams are teams (OWNER/TEAM) whose members are persons, unless they
	// are declared to be agents.
	PeopleTeams []string
	// Bot is Slipway's own login; its approvals count for nothing.
	Bot string
}

// CheckRule names one required check and who may report it: exactly one of
// Creator and Workflow is set.
type CheckRule struct {
	// Context is the exact context of the commit status.
	Context string
	// Creator is the login that must have posted it.
	Creator string
	// Workflow is the path of the CI workflow file whose Job must have run for
	// Event on the commit.
	Workflow string
	Job      string
	Event    string
	// Optional checks are shown and keep nothing from merging.
	Optional bool
	// Paths are globs (doublestar); with any, the check is required only when a
	// changed file matches one of them.
	Paths []string
}

// Who chooses people: somebody is chosen who is in any of the lists.
type Who struct {
	People []string // logins
	Teams  []string // OWNER/TEAM
	Pools  []string // agents of these pools
}

// Kind says whether a principal is a person. The zero value is unknown.
type Kind string

// The kinds of principals.
const (
	KindUnknown Kind = ""
	KindPerson  Kind = "person"
	KindAgent   Kind = "agent"
)

// Principal is what is known of whoever is behind a login (M4). An empty field
// is unknown, and unknown is not independent.
type Principal struct {
	Kind Kind
	// Operator answers for an agent: a login or a name.
	Operator string
	// Model is what an agent runs.
	Model string
	// Pool is the agent's pool.
	Pool string
}

// Demand is one approval rule beside the count.
type Demand struct {
	// Name is for sentences: "security", "a person".
	Name string
	// Paths are globs; with any, the demand stands only when a changed file
	// matches one.
	Paths []string
	// Lines, if above 0, lets the demand stand only for a change of at least
	// that many added and deleted lines together.
	Lines int
	// From are those whose approval is wanted; empty: anybody whose counts.
	From Who
	// Person wants persons.
	Person bool
	// Count is how many of them; at least 1.
	Count int
}

// OwnersRule says what becomes of CODEOWNERS.
type OwnersRule struct {
	// Required wants, for each rule of the file that owns a changed path, the
	// approval of one of its owners.
	Required bool
}

// Freeze is one window in which nothing merges.
type Freeze struct {
	Name   string
	Reason string
	// Active says whether now is within the window, and when that changes next;
	// a zero time is never.
	Active func(now time.Time) (active bool, next time.Time)
}

// Condition is one expression over the snapshot.
type Condition struct {
	Name string
	// Sentence says what is wrong when it does not hold.
	Sentence string
	// Holds answers Unknown where the expression cannot be evaluated; why says
	// so.
	Holds func(s Snapshot) (f ref.Fact, why string)
}

// EmergencyRule says who may waive what, on one head, with a reason.
type EmergencyRule struct {
	By Who
	// Waives are the keys' first words of what is waived: "freeze", "condition",
	// "demand", "owners", "base", "hold". Approvals and checks never are.
	Waives []string
}
