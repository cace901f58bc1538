package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/internal/ref"
)

// judgeIdentities asks that it is known who wrote every commit: an unmapped
// e-mail may be the approver's own.
func (e *evaluation) judgeIdentities() {
	w := newWant("identities", "whose work it is")
	defer func() { e.settle(&w) }()
	if e.Pull.Author == "" {
		w.unknown(e, "who opened it")
	}
	switch {
	case e.CommitsRead != ref.Yes:
		w.unknown(e, "its commits")
		return
	case !slices.ContainsFunc(e.Commits, func(c Commit) bool { return c.SHA == e.Pull.Head }):
		// Read at another moment than the head, so they may lack an author.
		w.unknown(e, "the commits up to its head")
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
	for _, mail := range slices.Sorted(maps.Keys(unmapped)) {
		commits := unmapped[mail]
		w.block(CodeUnmappedIdentity, whoAuthor, "the e-mail %q of commit %s%s belongs to no account",
			mail, commits[0].SHA.Short(), andMore(len(commits)-1))
		w.do(stepDo, fmt.Sprintf("add the e-mail %q to an account", mail), whoAuthor)
	}
}

// judgeReviews counts the approvals and looks for vetoes and, where workflow
// files change, for a person.
func (e *evaluation) judgeReviews() {
	count, veto := newWant("approvals", ""), newWant("veto", "nobody asks for changes")
	reviews := decisive(e.Reviews)
	e.valid, e.sound = make([]approval, 0, len(reviews)), make([]party, 0, len(reviews))
	var uncounted []string
	for _, r := range reviews {
		p := e.people.party(r.Reviewer)
		switch r.State {
		case ReviewChangesRequested:
			e.judgeVeto(&veto, p, r)
		case ReviewDismissed:
			uncounted = append(uncounted, r.Reviewer+" (dismissed)")
		case ReviewApproved:
			why, unread := e.discount(&p, r)
			if unread != "" {
				count.unknown(e, unread)
			}
			if why != "" {
				uncounted = append(uncounted, why)
				e.suspect(p, r)
				continue
			}
			e.sound = append(e.sound, p) // has room for all, so it never moves
			e.valid = append(e.valid, approval{r, &e.sound[len(e.sound)-1]})
		}
	}
	if e.ReviewsRead != ref.Yes {
		veto.unknown(e, "its reviews")
	}
	e.judgeCount(&count, uncounted)
	e.settle(&count)
	e.settle(&veto)
	e.judgePerson()
}

// judgeVeto heeds a change request of whoever may review or veto now. Whether the
// forge counts it is not asked: the author can take that mark away, by asking
// its reviewer for another review.
func (e *evaluation) judgeVeto(w *want, p party, r *Review) {
	sentence := fmt.Sprintf("%s asks for changes", orElse(r.Reviewer, "somebody"))
	vetoer, _ := e.people.vetoers.has(&p)
	switch {
	case vetoer == ref.Yes:
	case r.Eligible == ref.Yes:
	case r.Eligible == ref.No && vetoer == ref.No:
		return
	default:
		sentence += " (and whether that counts could not be read)"
	}
	w.block(CodeVeto, orElse(r.Reviewer, whoReviewers), "%s", sentence)
	e.vetoes = append(e.vetoes, p)
}

// judgeCount asks for enough approvals that are independent of each other.
func (e *evaluation) judgeCount(w *want, uncounted []string) {
	need := e.needed()
	w.Title = fmt.Sprintf("%d independent approvals", need)
	if e.uncountable(w) {
		return
	}
	parties := e.parties()
	e.verdict.Approvals = make([]Approval, 0, len(parties))
	for i, rival := range independent(parties, e.policy.OperatorOnce) {
		a := e.valid[i]
		if rival >= 0 {
			uncounted = append(uncounted, a.Reviewer+" "+parties[i].overlap(parties[rival]))
			continue
		}
		e.verdict.Approvals = append(e.verdict.Approvals, Approval{Login: a.Reviewer, ReviewID: a.ID, Commit: a.Commit, Kind: a.Kind, Model: a.Model})
	}
	have := len(e.verdict.Approvals)
	if have >= need {
		w.Says = signed(e.verdict.Approvals)
		return
	}
	sentence := fmt.Sprintf("%d of %d approvals on %s", have, need, orElse(e.Pull.Head.Short(), "its head"))
	if len(uncounted) > 0 {
		slices.Sort(uncounted)
		sentence += "; not counted: " + strings.Join(uncounted, ", ")
	}
	w.Lacks = need - have
	w.reasons = append(w.reasons, Reason{Code: CodeApprovals, Outcome: Wait, Sentence: sentence, Who: e.whoCounts(parties, have)})
}

// whoCounts are those whose approval would raise the count, where they are
// known.
func (e *evaluation) whoCounts(parties []party, have int) []string {
	var names []string
	for _, p := range e.candidates(false) {
		if p.Kind == KindPerson || strength(append(slices.Clone(parties), p), e.policy.OperatorOnce) > have {
			names = append(names, p.name)
		}
	}
	if len(names) == 0 {
		return []string{whoReviewers}
	}
	return names
}

// suspect remembers who would count if it were declared what they are.
func (e *evaluation) suspect(p party, r *Review) {
	if p.Kind != KindUnknown || p.unread != "" {
		return
	}
	p.Kind = KindPerson
	if why, _ := e.discount(&p, r); why == "" {
		e.undeclared = append(e.undeclared, p.name)
	}
}

// signed are approvers as an explanation names them: agents with their models.
func signed(approvals []Approval) string {
	size := 0
	for i := range approvals {
		size += len(approvals[i].Login) + len(approvals[i].Model) + len(", ()")
	}
	var out strings.Builder
	out.Grow(size)
	for i := range approvals {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(approvals[i].Login)
		if approvals[i].Kind == KindAgent {
			out.WriteString(" (")
			out.WriteString(approvals[i].Model)
			out.WriteString(")")
		}
	}
	return out.String()
}

// overlap says why p does not count beside rival.
func (p *party) overlap(rival party) string {
	if login(p.Model) == login(rival.Model) {
		return "(runs the same model as " + rival.name + ")"
	}
	return "(has the operator of " + rival.name + ")"
}

// uncountable says that approvals cannot be counted on facts that are not all
// there, and names these.
func (e *evaluation) uncountable(w *want) bool {
	if e.ReviewsRead != ref.Yes {
		w.unknown(e, "its reviews")
	}
	if e.CommitsRead != ref.Yes {
		w.unknown(e, "its commits")
	}
	return e.ReviewsRead != ref.Yes || e.CommitsRead != ref.Yes
}

func (e *evaluation) needed() int { return max(e.policy.Approvals, MinApprovals) }

// parties are those whose approvals are valid, by login. They are not to be
// changed.
func (e *evaluation) parties() []party { return slices.Clip(e.sound) }

// discount says why an approval does not count, or "", and what could not be
// read about that, or "".
func (e *evaluation) discount(p *party, r *Review) (why, unread string) {
	head := e.Pull.Head
	switch {
	case p.login == "":
		return "one by nobody known", ""
	case p.login == e.people.author.login:
		return r.Reviewer + " (opened it)", ""
	case e.people.wrote[p.login]:
		return r.Reviewer + " (wrote part of it)", ""
	case p.login == e.people.pusher:
		return r.Reviewer + " (pushed its head)", ""
	case p.login == e.people.bot:
		return r.Reviewer + " (is Slipway)", ""
	case r.Commit != head || head == "":
		return r.Reviewer + " (given on another commit)", ""
	case r.ObservedHead != head:
		return r.Reviewer + " (given before this head)", ""
	case !e.Retargeted.IsZero() && r.At.Unix() <= e.Retargeted.Unix():
		// Forges keep full seconds, so within one nobody knows which came first.
		return r.Reviewer + " (given before the base was changed)", ""
	case r.Official == ref.No || r.Eligible == ref.No:
		return r.Reviewer + " (may not approve)", ""
	}
	if why, unread = e.unchosen(p); why != "" && unread == "" {
		return why, ""
	}
	if stranger, team := e.stranger(p); stranger != "" && (why == "" || team == "") {
		why, unread = stranger, team
		if team == "" {
			return why, ""
		}
	}
	if r.Official != ref.Yes || r.Eligible != ref.Yes {
		return r.Reviewer + " (unknown whether allowed)", "whether " + r.Reviewer + " may approve"
	}
	return why, unread
}

// unchosen says why the policy does not take p as an approver, or "".
func (e *evaluation) unchosen(p *party) (why, unread string) {
	if !e.policy.Approvers.empty() {
		switch chosen, team := e.people.approvers.has(p); {
		case chosen == ref.No:
			return p.name + " (is not among the approvers)", ""
		case chosen != ref.Yes && team == "":
			return p.name + " (is an agent of no declared pool)", ""
		case chosen != ref.Yes:
			why, unread = p.name+" (unknown whether among the approvers)", membersOf(team)
		}
	}
	switch excluded, team := e.people.excluded.has(p); {
	case excluded == ref.Yes:
		return p.name + " (is excluded)", ""
	case excluded != ref.No && team == "":
		return p.name + " (is an agent of no declared pool)", ""
	case excluded != ref.No:
		why, unread = p.name+" (unknown whether excluded)", membersOf(team)
	}
	return why, unread
}

// stranger says why p is not known well enough to be independent of the
// author, or "" (M4).
func (e *evaluation) stranger(p *party) (why, unread string) {
	writer, same := e.people.models[login(p.Model)]
	blank, undeclared := e.people.models[""]
	switch {
	case p.Kind == KindPerson:
		return "", ""
	case p.Kind != KindAgent && p.unread != "":
		return p.name + " (unknown whether a person)", membersOf(p.unread)
	case p.Kind != KindAgent:
		return p.name + " is declared neither a person nor an agent (identities in slipway.yaml)", ""
	case p.Model == "" && p.member:
		return p.name + " (is of a pool, and no attempt of its own tells its model)", ""
	case p.Model == "":
		return p.name + " (is an agent whose model is not declared)", ""
	case e.policy.OperatorOnce && p.Operator == "":
		return p.name + " (is an agent whose operator is not declared)", ""
	case same:
		return p.name + " (runs the model of " + writer + ", who wrote part of it)", ""
	case undeclared:
		return p.name + " (is an agent, and the model of " + blank + ", who wrote part of it, is not " + e.people.told(blank) + ")", ""
	}
	if u := e.people.unsure; u != nil {
		return p.beside(u, e.people.author.login, "who wrote part of it")
	}
	switch by := e.people.pushed; {
	case by == nil || by.Kind == KindPerson:
		return "", ""
	case by.Kind != KindAgent:
		return p.beside(by, "", "who pushed its head")
	case by.Model == "":
		return p.name + " (is an agent, and the model of " + by.name + ", who pushed its head, is not " + e.people.told(by.login) + ")", ""
	case login(by.Model) == login(p.Model):
		return p.name + " (runs the model of " + by.name + ", who pushed its head)", ""
	}
	return "", ""
}

// beside says why an agent does not count beside somebody of whom it is not
// known whether a person; of all but the author it says what they did.
func (p *party) beside(u *party, author, did string) (why, unread string) {
	if u.unread != "" {
		return p.name + " (is an agent; unknown whether " + u.name + " is a person)", membersOf(u.unread)
	}
	name := orElse(u.name, "the author")
	if u.login != author {
		name += ", " + did + ","
	}
	return p.name + " (is an agent, and " + name + " is declared neither a person nor an agent)", ""
}

// promise is the review that somebody would give if they approved now.
func (e *evaluation) promise(p *party) *Review {
	return &Review{
		Reviewer: p.name, State: ReviewApproved, Commit: e.Pull.Head, ObservedHead: e.Pull.Head,
		Official: ref.Yes, Eligible: ref.Yes, At: e.Retargeted.Add(time.Second),
	}
}

// decisive is the latest approval, change request or dismissal of each
// reviewer, by login. Comments decide nothing, so they replace nothing.
func decisive(reviews []Review) []*Review {
	type said struct {
		who string
		*Review
	}
	all := make([]said, 0, len(reviews))
	for i := range reviews {
		if r := &reviews[i]; r.State.weight() > 0 {
			all = append(all, said{login(r.Reviewer), r})
		}
	}
	// Stable: of two that replace each other the first stands.
	slices.SortStableFunc(all, func(a, b said) int { return cmp.Or(strings.Compare(a.who, b.who), b.compare(a.Review)) })
	latest := make([]*Review, 0, len(all))
	for i := range all {
		if i == 0 || all[i].who != all[i-1].who {
			latest = append(latest, all[i].Review)
		}
	}
	return latest
}

// compare puts what replaces another, of the same reviewer, behind it. One id
// twice cannot be; were it so, the sterner one stands.
func (r *Review) compare(o *Review) int {
	return cmp.Or(cmp.Compare(r.ID, o.ID), cmp.Compare(r.State.weight(), o.State.weight()))
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
