package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/ref"
)

// judgeIdentities asks that it is known who wrote every commit: an unmapped
// e-mail may be the approver's own.
func (e *evaluation) judgeIdentities() {
	switch {
	case e.CommitsRead != ref.Yes:
		e.unknown("its commits")
		return
	case !slices.ContainsFunc(e.Commits, func(c Commit) bool { return c.SHA == e.Pull.Head }):
		// Read at another moment than the head, so they may lack an author.
		e.unknown("the commits up to its head")
	}
	unmapped := map[string][]Commit{}
	for _, c := range e.Commits {
		if c.Author == "" {
			unmapped[c.AuthorEmail] = append(unmapped[c.AuthorEmail], c)
		}
		if c.Committer == "" && (c.Author != "" || c.CommitterEmail != c.AuthorEmail) {
			unmapped[c.CommitterEmail] = append(unmapped[c.CommitterEmail], c)
		}
	}
	for mail, commits := range unmapped {
		e.block(CodeUnmappedIdentity, whoAuthor, "the e-mail %q of commit %s%s belongs to no account",
			mail, commits[0].SHA.Short(), andMore(len(commits)-1))
	}
}

// judgeReviews counts the approvals and looks for vetoes and, where workflow
// files change, for a person.
func (e *evaluation) judgeReviews() {
	if e.ReviewsRead != ref.Yes {
		e.unknown("its reviews")
	}
	wrote := e.writers()
	var uncounted []string
	for _, r := range decisive(e.Reviews) {
		switch r.State {
		case ReviewChangesRequested:
			e.judgeVeto(r)
		case ReviewDismissed:
			uncounted = append(uncounted, r.Reviewer+" (dismissed)")
		case ReviewApproved:
			if why := e.discount(r, wrote); why != "" {
				uncounted = append(uncounted, why)
				continue
			}
			e.verdict.Approvals = append(e.verdict.Approvals, Approval{Login: r.Reviewer, ReviewID: r.ID, Commit: r.Commit})
		}
	}
	if e.ReviewsRead != ref.Yes || e.CommitsRead != ref.Yes {
		// Nothing was counted on facts that are not all there.
		e.verdict.Approvals = nil
		return
	}
	e.countApprovals(uncounted)
	if e.WorkflowsChanged == ref.Yes {
		e.askPerson(wrote)
	}
}

func (e *evaluation) judgeVeto(r Review) {
	if r.Eligible == ref.No || r.Official == ref.No {
		return
	}
	sentence := fmt.Sprintf("%s asks for changes", orElse(r.Reviewer, "somebody"))
	if r.Eligible == ref.Unknown || r.Official == ref.Unknown {
		sentence += " (and whether that counts could not be read)"
	}
	e.block(CodeVeto, orElse(r.Reviewer, whoReviewers), "%s", sentence)
}

func (e *evaluation) countApprovals(uncounted []string) {
	need, have := max(e.policy.Approvals, MinApprovals), len(e.verdict.Approvals)
	if have >= need {
		return
	}
	sentence := fmt.Sprintf("%d of %d approvals on %s", have, need, orElse(e.Pull.Head.Short(), "its head"))
	if len(uncounted) > 0 {
		sentence += "; not counted: " + strings.Join(uncounted, ", ")
	}
	e.wait(CodeApprovals, whoReviewers, "%s", sentence)
}

// askPerson holds a change of CI workflows until a declared person approved:
// such a change could have redefined the very checks that judge it.
func (e *evaluation) askPerson(wrote map[string]bool) {
	var people []string
	for p, who := range e.policy.Principals {
		if who.Kind != KindPerson {
			continue
		}
		if slices.ContainsFunc(e.verdict.Approvals, func(a Approval) bool { return login(a.Login) == login(p) }) {
			return
		}
		if p != "" && !wrote[login(p)] && login(p) != login(e.policy.Bot) {
			people = append(people, p)
		}
	}
	if len(people) == 0 {
		e.block(CodePerson, whoOperator, "it changes CI workflows, and there is no declared person who could approve that")
		return
	}
	slices.Sort(people)
	e.add(Reason{Code: CodePerson, Outcome: Wait, Sentence: "it changes CI workflows, which a person must approve", Who: people})
}

// discount says why an approval does not count, or "".
func (e *evaluation) discount(r Review, wrote map[string]bool) string {
	who, head := login(r.Reviewer), e.Pull.Head
	switch {
	case who == "":
		return "one by nobody known"
	case who == login(e.Pull.Author):
		return r.Reviewer + " (opened it)"
	case wrote[who]:
		return r.Reviewer + " (wrote part of it)"
	case who == login(e.policy.Bot):
		return r.Reviewer + " (is Slipway)"
	case r.Commit != head || head == "":
		return r.Reviewer + " (given on another commit)"
	case r.ObservedHead != head:
		return r.Reviewer + " (given before this head)"
	case r.Official == ref.No || r.Eligible == ref.No:
		return r.Reviewer + " (may not approve)"
	case r.Official != ref.Yes || r.Eligible != ref.Yes:
		e.unknown("whether " + r.Reviewer + " may approve")
		return r.Reviewer + " (unknown whether allowed)"
	}
	return ""
}

// writers are the logins that opened, wrote, committed or co-wrote it.
func (e *evaluation) writers() map[string]bool {
	wrote := map[string]bool{login(e.Pull.Author): true}
	for _, c := range e.Commits {
		wrote[login(c.Author)] = true
		wrote[login(c.Committer)] = true
		for _, co := range c.CoAuthors {
			wrote[login(co.Login)] = true
		}
	}
	return wrote
}

// decisive is the latest approval, change request or dismissal of each
// reviewer, by login. Comments decide nothing, so they replace nothing.
func decisive(reviews []Review) []Review {
	latest := make(map[string]int, len(reviews)) // places in the list
	for i, r := range reviews {
		if r.State.weight() == 0 {
			continue
		}
		who := login(r.Reviewer)
		if old, found := latest[who]; !found || r.later(reviews[old]) {
			latest[who] = i
		}
	}
	sorted := make([]Review, 0, len(latest))
	for _, who := range slices.Sorted(maps.Keys(latest)) {
		sorted = append(sorted, reviews[latest[who]])
	}
	return sorted
}

// later says whether r replaces old, of the same reviewer. One id twice cannot
// be; were it so, the sterner one stands.
func (r Review) later(old Review) bool {
	return cmp.Or(cmp.Compare(r.ID, old.ID), cmp.Compare(r.State.weight(), old.State.weight())) > 0
}

// weight orders the decisive states by how stern they are; 0 decides nothing.
func (s ReviewState) weight() int {
	switch s {
	case ReviewApproved:
		return 1
	case ReviewDismissed:
		return 2
	case ReviewChangesRequested:
		return 3
	default:
		return 0
	}
}

func andMore(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}
