package gate

import (
	"cmp"
	"fmt"
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
)

// evaluation gathers the reasons of one verdict.
type evaluation struct {
	Snapshot
	policy  Policy
	verdict Verdict
	recheck time.Duration
}

// Evaluate judges one pull request at s.Pull.Head. It is a pure function: the
// same snapshot, policy and time give the same verdict, in whatever order the
// statuses, jobs and reviews are listed.
func Evaluate(s Snapshot, p Policy, now time.Time) Verdict {
	e := evaluation{Snapshot: s, policy: p, verdict: Verdict{Head: s.Pull.Head}}
	e.judgePolicy()
	e.judgePull()
	e.judgeIdentities()
	e.judgeReviews()
	e.judgeChecks()
	return e.conclude(now)
}

func (e *evaluation) judgePolicy() {
	for _, f := range e.policy.Faults {
		e.block(CodePolicy, whoOperator, "%s", f)
	}
	if len(e.policy.Faults) == 0 {
		for _, f := range e.HeadPolicyFaults {
			e.block(CodePolicy, whoAuthor, "it would break the policy: %s", f)
		}
	}
	if len(e.policy.Checks) == 0 && len(e.policy.Faults) == 0 {
		e.block(CodePolicy, whoOperator, "the policy requires no check (gate.checks)")
	}
	if e.policy.Bot == "" {
		e.block(CodePolicy, whoOperator, "Slipway does not know its own login, so it cannot leave out its own approval")
	}
}

func (e *evaluation) judgePull() {
	pull := e.Pull
	switch {
	case pull.Merged == ref.Yes:
		e.block(CodeClosed, whoAuthor, "it is merged already")
	case pull.Open == ref.No:
		e.block(CodeClosed, whoAuthor, "it is closed")
	}
	if pull.Draft == ref.Yes {
		e.wait(CodeDraft, whoAuthor, "it is a draft")
	}
	if pull.Mergeable == ref.No {
		e.block(CodeConflict, whoAuthor, "it does not merge cleanly into %s", orElse(pull.Base, "its base"))
	}
	e.known(pull.Open, "whether it is open")
	e.known(pull.Merged, "whether it is merged already")
	e.known(pull.Draft, "whether it is a draft")
	e.known(e.WorkflowsChanged, "whether it changes CI workflows")
	switch {
	case pull.Mergeable != ref.Unknown:
	case pull.Draft == ref.Yes:
		// Some forges never say it of a draft; that it is one is reason enough,
		// and when it ends there is a webhook.
	default:
		e.wait(CodeUnknown, whoSlipway, "the forge is still computing whether it merges cleanly")
		e.again(recheckMergeable)
	}
	if pull.Head == "" {
		e.unknown("its head commit")
	}
	if pull.Author == "" {
		e.unknown("who opened it")
	}
	for _, label := range pull.Labels {
		// A label that differs in case only was meant to hold.
		if slices.ContainsFunc(e.policy.HoldLabels, func(h string) bool { return login(h) == login(label) }) {
			e.wait(CodeHold, whoHolder, "the label %q holds it", label)
		}
	}
}

func (e *evaluation) judgeChecks() {
	if e.Checks.SHA != e.Pull.Head {
		e.unknown("the checks on its head commit")
		return
	}
	e.known(e.Checks.StatusesRead, statusesOf(e.Checks))
	e.known(e.Checks.JobsRead, jobsOf(e.Checks))
	e.verdict.Checks = CheckRequired(e.policy.Checks, e.Checks)
	for _, r := range e.verdict.Checks {
		if r.Reason != nil {
			e.verdict.Reasons = append(e.verdict.Reasons, *r.Reason)
		}
	}
}

// conclude sorts the reasons and draws the outcome from them.
func (e *evaluation) conclude(now time.Time) Verdict {
	v := e.verdict
	v.Outcome = Merge
	for _, r := range v.Reasons {
		switch {
		case r.Outcome == Block:
			v.Outcome = Block
		case v.Outcome == Merge:
			v.Outcome = Wait
		}
		if r.Code == CodeUnknown {
			e.again(recheckUnknown)
		}
	}
	slices.SortFunc(v.Reasons, func(a, b Reason) int {
		return cmp.Or(
			cmp.Compare(b.Outcome, a.Outcome), // Block stands above Wait
			cmp.Compare(a.Code.rank(), b.Code.rank()),
			strings.Compare(a.Sentence, b.Sentence),
		)
	})
	v.Reasons = slices.CompactFunc(v.Reasons, func(a, b Reason) bool {
		return a.Code == b.Code && a.Sentence == b.Sentence
	})
	if e.recheck > 0 {
		v.Recheck = now.Add(e.recheck)
	}
	return v
}

func (e *evaluation) block(c Code, who, format string, args ...any) {
	e.add(Reason{Code: c, Outcome: Block, Sentence: fmt.Sprintf(format, args...), Who: []string{who}})
}

func (e *evaluation) wait(c Code, who, format string, args ...any) {
	e.add(Reason{Code: c, Outcome: Wait, Sentence: fmt.Sprintf(format, args...), Who: []string{who}})
}

// known asks that a fact was read, whatever it says.
func (e *evaluation) known(f ref.Fact, what string) {
	if f == ref.Unknown {
		e.unknown(what)
	}
}

func (e *evaluation) unknown(what string) { e.add(unread(what)) }

func (e *evaluation) add(r Reason) { e.verdict.Reasons = append(e.verdict.Reasons, r) }

// again asks for another look after d, or sooner.
func (e *evaluation) again(d time.Duration) {
	if e.recheck == 0 || d < e.recheck {
		e.recheck = d
	}
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
