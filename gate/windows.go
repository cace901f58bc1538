package gate

import (
	"fmt"

	"slipway/internal/ref"
)

// judgeConditions asks that each condition of the policy holds.
func (e *evaluation) judgeConditions() {
	for _, c := range e.policy.Conditions {
		w := newWant("condition:"+c.Name, c.Name)
		fact, why := ref.Unknown, "it was not compiled"
		if c.Holds != nil {
			fact, why = c.Holds(e.Snapshot)
		}
		switch fact {
		case ref.Yes:
		case ref.No:
			w.block(CodeCondition, whoAuthor, "%s", orElse(c.Sentence, "the condition "+c.Name+" does not hold"))
			w.do(stepDo, "change it so that the condition "+c.Name+" holds", whoAuthor)
		default:
			sentence := "the condition " + c.Name + " cannot be judged"
			if why != "" {
				sentence += ": " + why
			}
			w.missing(e, Reason{Code: CodeUnknown, Outcome: Wait, Sentence: sentence, Who: []string{whoSlipway, whoOperator}})
		}
		e.settle(&w)
	}
}

// judgeFreezes asks that no freeze window is open, and that nothing bad landed
// on the base that somebody still has to look at.
func (e *evaluation) judgeFreezes() {
	for _, f := range e.policy.Freezes {
		e.judgeFreeze(f)
	}
	w := newWant("frozen", "its base is not frozen")
	if e.Frozen != "" {
		w.block(CodeFrozen, whoOperator, "%s is frozen: %s", e.base(), e.Frozen)
		w.do(stepDo, "lift the freeze of "+e.base(), whoOperator)
	}
	if e.FrozenRead != ref.Yes {
		w.unknown(e, "whether "+e.base()+" is frozen")
	}
	e.settle(&w)
}

func (e *evaluation) judgeFreeze(f Freeze) {
	w := newWant("freeze:"+f.Name, "no freeze "+f.Name)
	defer func() { e.settle(&w) }()
	if f.Active == nil {
		w.unknown(e, "whether the freeze "+f.Name+" is on")
		return
	}
	active, ends := f.Active(e.now)
	if !active {
		return
	}
	sentence := "the freeze " + f.Name + " is on"
	if f.Reason != "" {
		sentence += ": " + f.Reason
	}
	if ends.IsZero() {
		w.wait(CodeFreeze, whoOperator, "%s", sentence)
		w.do(stepDo, "end the freeze "+f.Name, whoOperator)
		return
	}
	until := ends.Format("2006-01-02 15:04 MST")
	w.wait(CodeFreeze, whoTime, "%s, until %s", sentence, until)
	w.do(stepWait, fmt.Sprintf("wait until %s for the freeze %s to end", until, f.Name), whoTime)
	if !ends.After(e.now) {
		ends = e.now.Add(recheckUnknown) // a window that ended and is on cannot be
	}
	w.after(ends.Round(0))
}

// judgeEmergency says which kinds of requirements are waived (none without a
// valid emergency), and shows who waives them or why they do not.
func (e *evaluation) judgeEmergency() map[string]bool {
	m := e.Emergency
	if m == nil {
		return nil
	}
	w := newWant("emergency", "an emergency")
	defer func() { e.settle(&w) }()
	w.State = NotNeeded
	if why := e.invalid(m); why != "" {
		w.Says = "it does not count: " + why
		return nil
	}
	w.Says = m.By + ": " + m.Reason
	waives := make(map[string]bool, len(e.policy.Emergency.Waives))
	for _, word := range e.policy.Emergency.Waives {
		waives[word] = waivable(word)
	}
	return waives
}

// invalid says why an emergency does not count, or "".
func (e *evaluation) invalid(m *Emergency) string {
	by := e.people.party(m.By)
	named := e.policy.Emergency.By
	named.Pools = nil // what a program may decide alone is no emergency
	among := e.people.choice(&named)
	chosen, _ := among.has(&by)
	switch {
	case by.login == "":
		return "nobody answers for it"
	case m.Head != e.Pull.Head || m.Head == "":
		return "it is about another head"
	case m.Reason == "":
		return m.By + " gave no reason"
	case chosen != ref.Yes:
		return m.By + " is not known to be among those who may declare one"
	case by.Kind == KindAgent:
		return m.By + " is an agent"
	case by.login == e.people.bot:
		return m.By + " is Slipway"
	case e.CommitsRead != ref.Yes:
		return "who wrote the change could not be read"
	case e.people.wrote[by.login]:
		return m.By + " wrote part of the change"
	case by.login == e.people.pusher:
		return m.By + " pushed the head"
	}
	return ""
}

// waivable says whether an emergency may waive a kind of requirement at all,
// whatever the policy says: what others decide freely, and no proof.
func waivable(word string) bool {
	switch word {
	case "freeze", "condition", "demand", "owners", "base", "hold":
		return true
	}
	return false
}
