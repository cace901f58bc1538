package gate

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/ref"
)

// need is a wish for the approvals of certain people. An approval meets it if
// it is valid; it need not be among those that are counted.
type need struct {
	count   int // how many approvals on any head
	missing int // how many of them on this one
	from    Who // empty: anybody
	person  bool
	among   choice // from, looked up
}

// asking says how a need is put into words.
type asking struct {
	code   Code
	missed string // what is missed
	nobody string // why it can never be had
	mend   string // what the operator can do then
}

func (e *evaluation) judgeDemands() {
	for i := range e.policy.Demands {
		d, t := &e.policy.Demands[i], e.scope.demands[i]
		w := newWant("demand:"+d.Name, "approval: "+d.Name)
		if t.fact == ref.No {
			w.State, w.Says = NotNeeded, "not asked of what it changes"
			e.settle(&w)
			continue
		}
		if t.fact == ref.Unknown {
			w.unknown(e, "its changed files")
		}
		e.judgeNeed(&w, &need{count: max(d.Count, 1), from: d.From, person: d.Person}, func(have int) asking {
			missed := fmt.Sprintf("%d of %d approvals for %s%s", have, max(d.Count, 1), d.Name, e.because(d, t))
			return asking{
				code: CodeDemand, missed: missed,
				nobody: missed + ", and there are not enough people who could give them",
				mend:   "let more people approve for " + d.Name,
			}
		})
		e.settle(&w)
	}
}

func (e *evaluation) because(d *Demand, t touch) string {
	var why []string
	if t.path != "" {
		why = append(why, "it changes "+t.path)
	}
	if d.Lines > 0 {
		why = append(why, fmt.Sprintf("it changes %d lines", e.scope.lines))
	}
	if len(why) == 0 {
		return ""
	}
	return " (" + strings.Join(why, ", ") + ")"
}

// judgePerson holds a change of CI workflows until a declared person approved:
// such a change could have redefined the very checks that judge it.
func (e *evaluation) judgePerson() {
	if e.WorkflowsChanged == ref.No {
		return
	}
	w := newWant("person", "a person approves the change of CI workflows")
	if e.WorkflowsChanged == ref.Yes {
		e.judgeNeed(&w, &need{count: 1, person: true}, func(int) asking {
			return asking{
				code: CodePerson, missed: "it changes CI workflows, which a person must approve",
				nobody: "it changes CI workflows, and there is no declared person who could approve that",
				mend:   "declare a person who may approve it in identities (slipway.yaml)",
			}
		})
	}
	w.known(e, e.WorkflowsChanged, "whether it changes CI workflows")
	e.settle(&w)
}

// judgeNeed looks whether the valid approvals meet a need, and if not, whether
// anybody could.
func (e *evaluation) judgeNeed(w *want, n *need, ask func(have int) asking) {
	if e.uncountable(w) {
		return
	}
	var unread []string
	given := make([]string, 0, n.count)
	n.among = e.people.choice(&n.from)
	for i := range e.valid {
		if len(given) == n.count {
			break
		}
		switch fits, team := n.fits(e.valid[i].party); {
		case fits == ref.Yes:
			given = append(given, e.valid[i].Reviewer)
		case team != "" && !slices.Contains(unread, team):
			unread = append(unread, team)
		}
	}
	w.need, n.missing = n, n.count-len(given)
	if n.missing == 0 {
		w.Says = "approved by " + strings.Join(given, ", ")
		return
	}
	for _, team := range unread {
		w.unknown(e, membersOf(team))
	}
	said := ask(len(given))
	could, enough := e.supply(n)
	if !enough {
		w.need = nil
		w.block(said.code, whoOperator, "%s", said.nobody)
		w.do(stepDo, said.mend, whoOperator)
		return
	}
	w.reasons = append(w.reasons, Reason{Code: said.code, Outcome: Wait, Sentence: said.missed, Who: e.whoFor(n, could)})
}

// fits says whether an approval by p meets the need; unread is the team that
// would have to be read to know.
func (n *need) fits(p *party) (f ref.Fact, unread string) {
	if n.person && p.Kind != KindPerson {
		return ref.No, ""
	}
	if n.from.empty() {
		return ref.Yes, ""
	}
	return n.among.has(p)
}

// supply are those who are known to be able to meet a need, by login, and
// whether they are enough; where more may exist than are known, they are.
func (e *evaluation) supply(n *need) (could []string, enough bool) {
	var unread string
	switch {
	case !n.from.empty():
		could, unread = e.people.chosen(&n.from)
	case n.person:
		could, unread = e.people.persons()
	default:
		return nil, true
	}
	could = slices.DeleteFunc(could, func(who string) bool {
		p := e.prospect(who, true)
		why, team := e.discount(&p, e.promise(&p))
		if team != "" && unread == "" {
			unread = team
		}
		return why != "" || n.person && p.Kind != KindPerson
	})
	return could, unread != "" || len(could) >= n.count
}

// whoFor names those who can meet a need: the forge's approvers where they are
// known, else whom the policy names.
func (e *evaluation) whoFor(n *need, could []string) []string {
	var names []string
	for _, p := range e.candidates(false) {
		if fits, _ := n.fits(&p); fits == ref.Yes {
			names = append(names, p.name)
		}
	}
	if len(names) > 0 {
		return names
	}
	return n.roles(could)
}

func (n *need) roles(could []string) []string {
	switch {
	case !n.from.empty():
		return n.from.roles()
	case n.person && len(could) > 0:
		return could
	case n.person:
		return []string{"a person"}
	}
	return []string{whoReviewers}
}
