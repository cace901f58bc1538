package gate

import (
	"fmt"
	"slices"

	"slipway/internal/ref"
)

// judgePull asks what the forge itself knows of the pull request.
func (e *evaluation) judgePull() {
	e.judgeOpen()
	e.judgeDraft()
	e.judgeConflict()
	if e.policy.UpToDate {
		e.judgeUpToDate()
	}
	if e.policy.Linear {
		e.judgeLinear()
	}
	e.judgeHolds()
}

func (e *evaluation) judgeOpen() {
	w, pull := newWant("open", "open"), e.Pull
	switch {
	case pull.Merged == ref.Yes:
		w.block(CodeClosed, whoAuthor, "it is merged already")
	case pull.Open == ref.No:
		w.block(CodeClosed, whoAuthor, "it is closed")
		w.do(stepDo, "reopen it", whoAuthor)
	}
	w.known(e, pull.Open, "whether it is open")
	w.known(e, pull.Merged, "whether it is merged already")
	if pull.Head == "" {
		w.unknown(e, "its head commit")
	}
	e.settle(&w)
}

func (e *evaluation) judgeDraft() {
	w := newWant("draft", "ready for review")
	if e.Pull.Draft == ref.Yes {
		w.wait(CodeDraft, whoAuthor, "it is a draft")
		w.do(stepDo, "mark it ready for review", whoAuthor)
	}
	w.known(e, e.Pull.Draft, "whether it is a draft")
	e.settle(&w)
}

func (e *evaluation) judgeConflict() {
	w := newWant("conflict", "merges cleanly")
	switch {
	case e.Pull.Mergeable == ref.No:
		w.block(CodeConflict, whoAuthor, "it does not merge cleanly into %s", e.base())
		w.do(stepPush, "rebase onto "+e.base(), whoAuthor)
	case e.Pull.Mergeable != ref.Unknown:
	case e.Pull.Draft == ref.Yes:
		// Some forges never say it of a draft; that it is one is reason enough,
		// and when it ends there is a webhook.
		w.State, w.Says = NotNeeded, "not asked of a draft"
	default:
		w.missing(e, Reason{
			Code: CodeUnknown, Outcome: Wait, Who: []string{whoSlipway},
			Sentence: "the forge is still computing whether it merges cleanly",
		})
		w.after(e.now.Add(recheckMergeable))
	}
	e.settle(&w)
}

func (e *evaluation) judgeUpToDate() {
	w := newWant("base", "contains the tip of its base")
	if e.UpToDate == ref.No {
		w.block(CodeOutdated, whoAuthor, "it does not contain the tip of %s", e.base())
		w.do(stepPush, "rebase onto "+e.base(), whoAuthor)
	}
	w.known(e, e.UpToDate, "whether it contains the tip of its base")
	e.settle(&w)
}

func (e *evaluation) judgeLinear() {
	w := newWant("linear", "no merge commits")
	if e.CommitsRead != ref.Yes {
		w.unknown(e, "its commits")
	}
	var merges, unknown []Commit
	for _, c := range e.Commits {
		switch {
		case c.Parents > 1:
			merges = append(merges, c)
		case c.Parents < 1:
			unknown = append(unknown, c)
		}
	}
	if len(merges) > 0 {
		w.block(CodeNotLinear, whoAuthor, "commit %s%s is a merge commit", merges[0].SHA.Short(), andMore(len(merges)-1))
		w.do(stepPush, "rebase onto "+e.base(), whoAuthor)
	}
	if len(unknown) > 0 {
		w.unknown(e, fmt.Sprintf("how many parents commit %s%s has", unknown[0].SHA.Short(), andMore(len(unknown)-1)))
	}
	e.settle(&w)
}

// judgeHolds asks that nobody holds it, by label or by command.
func (e *evaluation) judgeHolds() {
	w := newWant("hold", "not held")
	for _, label := range e.Pull.Labels {
		// A label that differs in case only was meant to hold.
		if slices.ContainsFunc(e.policy.HoldLabels, func(h string) bool { return login(h) == login(label) }) {
			w.wait(CodeHold, whoHolder, "the label %q holds it", label)
			w.do(stepDo, fmt.Sprintf("remove the label %q", label), whoHolder)
		}
	}
	for _, h := range e.Holds {
		by, why := orElse(h.By, "somebody"), ""
		if h.Reason != "" {
			why = ": " + h.Reason
		}
		who := []string{by, whoOperator}
		if h.By == "" || login(h.By) == whoOperator {
			who = who[1:]
		}
		w.reasons = append(w.reasons, Reason{Code: CodeHold, Outcome: Wait, Sentence: by + " holds it" + why, Who: who})
		w.do(stepDo, "lift the hold of "+by, who...)
	}
	e.settle(&w)
}

// judgeRequest asks, where the policy merges on request alone, for a request
// that was made on this head.
func (e *evaluation) judgeRequest() {
	if !e.policy.OnRequest {
		return
	}
	w := newWant("request", "somebody asked for the merge")
	who := []string{whoAuthor, whoReviewers}
	switch {
	case e.Asked == nil:
		w.reasons = append(w.reasons, Reason{Code: CodeNotAsked, Outcome: Wait, Sentence: "nobody asked for its merge", Who: who})
	case e.Asked.Head != e.Pull.Head || e.Pull.Head == "":
		w.reasons = append(w.reasons, Reason{
			Code: CodeNotAsked, Outcome: Wait, Who: who,
			Sentence: orElse(e.Asked.By, "somebody") + " asked for the merge of another head",
		})
	default:
		w.Says = orElse(e.Asked.By, "somebody") + " asked for it"
	}
	if len(w.reasons) > 0 {
		w.do(stepDo, doRequest, who...)
	}
	e.settle(&w)
}

const doRequest = "write /merge when ready"

func (e *evaluation) base() string { return orElse(e.Pull.Base, "its base") }
