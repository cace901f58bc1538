package gate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"slipway/internal/ref"
)

// StatusContext is the context of the commit status in which Slipway says its
// own verdict. It is never a required check.
const StatusContext = "slipway/gate"

// MinApprovals is how many approvals are needed whatever a policy says.
const MinApprovals = 2

const (
	// A forge answers whether a change merges cleanly within a second or so
	// after a push, and tells nobody when it has.
	recheckMergeable = 2 * time.Second
	recheckUnknown   = 10 * time.Second
)

// The roles that a reason may name instead of logins.
const (
	whoAuthor    = "author"
	whoReviewers = "reviewers"
	whoCI        = "ci"
	whoOperator  = "operator"
	whoHolder    = "whoever set the label"
	whoSlipway   = "slipway"
	whoTime      = "time"
)

// evaluation gathers the requirements of one verdict.
type evaluation struct {
	Snapshot
	policy  Policy
	now     time.Time
	verdict Verdict
	wants   []want

	scope  scope
	people people
	valid  []approval      // that pass every rule about a single approval
	sound  []party         // who gave them
	vetoes []party         // whose change requests stand
	asked  *[]party        // the candidates, once somebody asked for them
	waives map[string]bool // what an emergency waives
	// undeclared have approved, and are neither person nor agent.
	undeclared []string
}

// Evaluate judges one pull request at s.Pull.Head. It is a pure function: the
// same snapshot, policy and time give the same verdict, in whatever order the
// statuses, jobs and reviews are listed.
func Evaluate(s Snapshot, p Policy, now time.Time) Verdict {
	e := evaluation{Snapshot: s, policy: p, now: now, verdict: Verdict{Head: s.Pull.Head}}
	e.wants = make([]want, 0, 16+len(p.Checks)+len(p.Demands)+len(s.Owned)+len(p.Conditions)+len(p.Freezes))
	e.scope = newScope(&e.Snapshot, &e.policy)
	e.people = newPeople(&e.Snapshot, &e.policy)
	e.judgePull()
	e.judgePolicy()
	e.judgeIdentities()
	e.judgeCrew()
	e.judgeChecks()
	e.judgeReviews()
	e.judgeDemands()
	e.judgeOwners()
	e.judgeConditions()
	e.judgeFreezes()
	e.judgeRequest()
	return e.conclude()
}

// conclude lets an emergency waive what it may, sorts the reasons and draws
// the outcome from them.
func (e *evaluation) conclude() Verdict {
	e.waives = e.judgeEmergency()
	v := &e.verdict
	v.Requirements = make([]Requirement, 0, len(e.wants))
	for i := range e.wants {
		w := &e.wants[i]
		if e.waives[w.word()] && w.waive() {
			v.Waived = true
		}
		w.conclude()
		v.Requirements = append(v.Requirements, w.Requirement)
		if w.optional {
			continue
		}
		v.Reasons = append(v.Reasons, w.reasons...)
		if !w.again.IsZero() && (v.Recheck.IsZero() || w.again.Before(v.Recheck)) {
			v.Recheck = w.again
		}
	}
	sortReasons(v.Reasons)
	v.Reasons = slices.CompactFunc(v.Reasons, func(a, b Reason) bool {
		return a.Code == b.Code && a.Sentence == b.Sentence
	})
	switch {
	case len(v.Reasons) == 0:
		v.Outcome = Merge
	case v.Reasons[0].Outcome == Block: // blocks stand above waits
		v.Outcome = Block
	}
	if v.Outcome != Merge {
		v.Acts = e.acts()
	}
	return *v
}

func (e *evaluation) settle(w *want) { e.wants = append(e.wants, *w) }

func sortReasons(reasons []Reason) {
	if len(reasons) < 2 {
		return
	}
	slices.SortFunc(reasons, func(a, b Reason) int {
		return cmp.Or(
			cmp.Compare(b.Outcome, a.Outcome), // Block stands above Wait
			cmp.Compare(a.Code.rank(), b.Code.rank()),
			strings.Compare(a.Sentence, b.Sentence),
		)
	})
}

// unread is the reason for a fact that could not be read. It waits: the next
// look may read it.
func unread(what string) Reason {
	return Reason{Code: CodeUnknown, Outcome: Wait, Sentence: what + " could not be read", Who: []string{whoSlipway}}
}

// login is the form in which two logins are compared; forges tell no two apart
// by case.
func login(s string) string { return strings.ToLower(s) }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// known asks that a fact was read, whatever it says.
func (w *want) known(e *evaluation, f ref.Fact, what string) {
	if f == ref.Unknown {
		w.unknown(e, what)
	}
}
