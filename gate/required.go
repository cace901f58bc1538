package gate

import (
	"fmt"

	"slipway/internal/ref"
)

// judgeChecks asks that the required checks are green on the head. Optional
// ones, and those whose paths are not touched, are shown.
func (e *evaluation) judgeChecks() {
	here := e.Checks.SHA == e.Pull.Head
	var b *board
	if here {
		b = newBoard(e.policy.Checks, e.Checks)
		e.verdict.Checks = make([]CheckResult, 0, len(e.policy.Checks))
	}
	for i, r := range e.policy.Checks {
		w := newWant("check:"+r.Context, r.Context)
		t := e.scope.checks[i]
		if t.fact == ref.No {
			w.State, w.Says = NotNeeded, "no changed file is among its paths"
			e.settle(&w)
			continue
		}
		w.optional = r.Optional
		if t.fact == ref.Unknown {
			w.unknown(e, "its changed files")
		}
		if here {
			e.judgeCheck(&w, r, b.judge(r, b.reports[i]))
		} else {
			w.unknown(e, "the checks on its head commit")
		}
		e.settle(&w)
	}
}

func (e *evaluation) judgeCheck(w *want, r CheckRule, result CheckResult) {
	if !r.Optional {
		e.verdict.Checks = append(e.verdict.Checks, result)
		if e.Checks.StatusesRead == ref.Unknown {
			w.unknown(e, statusesOf(e.Checks))
		}
		if e.Checks.JobsRead == ref.Unknown {
			w.unknown(e, jobsOf(e.Checks))
		}
	}
	if result.Reason == nil {
		w.Says = "green"
		return
	}
	if result.Reason.Code == CodeUnknown {
		w.missing(e, *result.Reason)
		return
	}
	w.reasons = append(w.reasons, *result.Reason)
	switch who := result.Reason.Who; result.Reason.Code {
	case CodeCheckFailed:
		w.do(stepPush, fmt.Sprintf("push a fix of check %q", r.Context), who...)
	case CodePolicy:
		w.do(stepDo, "mend the policy on "+e.base(), who...)
	case CodeCheckMissing, CodeCheckForeign:
		if r.Creator != "" {
			w.do(stepDo, fmt.Sprintf("report check %q", r.Context), who...)
			return
		}
		w.do(stepWait, fmt.Sprintf("wait for check %q", r.Context), who...)
	default:
		w.do(stepWait, fmt.Sprintf("wait for check %q", r.Context), who...)
	}
}
