package gate

import (
	"slices"
	"strings"

	"slipway/internal/ref"
)

// plan gathers acts; the same one for two requirements is one act.
type plan []Act

func (p *plan) add(do string, who []string, count int, keys ...string) {
	for i := range *p {
		if a := &(*p)[i]; a.Do == do && a.Count == count && slices.Equal(a.Who, who) {
			for _, k := range keys {
				if !slices.Contains(a.For, k) {
					a.For = append(a.For, k)
				}
			}
			return
		}
	}
	*p = append(*p, Act{Do: do, Who: who, Count: count, For: slices.Compact(slices.Clone(keys))})
}

// acts are the smallest set of acts that would merge it, as far as it can be
// known. A push makes a new head, on which every approval must be given anew,
// so all that needs one is one act, and the approvals are then those of the
// new head.
func (e *evaluation) acts() []Act {
	if e.Pull.Merged == ref.Yes {
		return nil
	}
	var push, first, registers, asks, waits plan
	var pushed, keys []string
	for i := range e.wants {
		w := &e.wants[i]
		if !w.open() {
			continue
		}
		for _, s := range w.steps {
			switch {
			case s.kind == stepPush:
				if !slices.Contains(pushed, s.do) {
					pushed = append(pushed, s.do)
				}
				keys = append(keys, w.Key)
			case s.kind == stepWait:
				waits.add(s.do, s.who, 1, w.Key)
			case w.Key == keyRegistered:
				registers.add(s.do, s.who, 1, w.Key)
			case s.do == doRequest:
				asks.add(s.do, s.who, 1, w.Key)
			default:
				first.add(s.do, s.who, 1, w.Key)
			}
		}
	}
	fresh := len(pushed) > 0
	if fresh {
		push.add(strings.Join(pushed, ", and "), []string{whoAuthor}, 1, keys...)
		e.people.pusher, e.people.pushed = "", nil // it will be the author
		e.renew(&first, &asks)
	}
	return slices.Concat(push, e.registers(registers, fresh), first, e.approvals(fresh), asks, waits)
}

// renew asks anew for what holds on the present head alone.
func (e *evaluation) renew(first, asks *plan) {
	for i := range e.wants {
		switch w := &e.wants[i]; {
		case e.verdict.Waived && e.waives[w.word()] && (w.State == Waived || w.need != nil):
			// Once it is declared again, what it waives need not be had again.
			w.need = nil
			first.add("declare the emergency on the new head", []string{e.Emergency.By}, 1, w.Key)
		case w.Key == "request" && !w.open():
			asks.add(doRequest, []string{whoAuthor, whoReviewers}, 1, w.Key)
		}
	}
}

// approvals are the fewest approvals that are needed still, those of people who
// ask for changes first: they have to act in any case.
func (e *evaluation) approvals(fresh bool) []Act {
	if e.ReviewsRead != ref.Yes || e.CommitsRead != ref.Yes {
		return nil
	}
	do := "approve " + orElse(e.Pull.Head.Short(), "its head")
	if fresh {
		do = "approve the new head"
	}
	c := newCover(e, fresh)
	var out plan
	gap := c.want - strength(c.given, c.once)
	for _, p := range e.vetoes {
		if p = e.prospect(p.name, fresh); !e.able(&p) {
			out.add("withdraw the change request", []string{orElse(p.name, whoReviewers)}, 1, "veto")
			continue
		}
		keys := []string{"veto"}
		if gap > 0 {
			keys = append(keys, keyApprovals)
		}
		out.add(do+", which takes the change request back", []string{p.name}, 1, append(keys, c.take(p)...)...)
	}
	e.lacks(&out, c, fresh)
	short := c.want > strength(c.taken(), c.once)
	c.solve()
	for _, g := range c.groups() {
		keys := g.keys
		if short {
			keys = append([]string{keyApprovals}, keys...)
		}
		out.add(do, g.who, g.count, keys...)
	}
	for _, n := range c.apart {
		out.add(do, e.whoFor(n.need, nil), n.left, n.keys...)
	}
	return out
}

const keyApprovals = "approvals"

// lacks asks the operator for people where too few are left who could approve,
// and then reckons with those there are.
func (e *evaluation) lacks(out *plan, c *cover, fresh bool) {
	operator := []string{whoOperator}
	for i := range c.needs {
		if n := &c.needs[i]; n.left > c.supply(i) {
			n.left = c.supply(i)
			out.add("let more people approve for "+strings.Join(n.keys, ", "), operator, 1, n.keys...)
		}
	}
	all := slices.Clone(c.given)
	for _, k := range c.classes {
		for range min(k.supply, c.want) {
			all = append(all, k.sample)
		}
	}
	slices.SortStableFunc(all, func(a, b party) int { return strings.Compare(a.login, b.login) })
	lack := c.want - strength(all, c.once)
	if lack <= 0 {
		return
	}
	c.want -= lack
	if !fresh {
		for _, name := range e.undeclared[:min(lack, len(e.undeclared))] {
			out.add("declare "+name+" in identities (slipway.yaml)", operator, 1, keyApprovals)
			lack--
		}
	}
	if lack > 0 {
		out.add("let more people approve it, or declare them in identities (slipway.yaml)", operator, 1, keyApprovals)
	}
}

// able says whether p could approve now.
func (e *evaluation) able(p *party) bool {
	why, _ := e.discount(p, e.promise(p))
	return why == "" && (e.ApproversRead != ref.Yes ||
		slices.ContainsFunc(e.Approvers, func(name string) bool { return login(name) == p.login }))
}

// candidates are those who could approve and have not, by login: of the
// forge's approvers those whose approval would count. On a new head nobody has.
func (e *evaluation) candidates(fresh bool) []party {
	if e.ApproversRead != ref.Yes {
		return nil
	}
	if e.asked != nil && !fresh {
		return *e.asked
	}
	done := make(map[string]bool, len(e.Approvers))
	for _, p := range e.vetoes {
		done[p.login] = true
	}
	for i := range e.valid {
		done[e.valid[i].login] = done[e.valid[i].login] || !fresh
	}
	var out []party
	for _, name := range e.Approvers {
		p := e.prospect(name, fresh)
		if done[p.login] {
			continue
		}
		done[p.login] = true
		if why, _ := e.discount(&p, e.promise(&p)); why == "" {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b party) int { return strings.Compare(a.login, b.login) })
	if !fresh {
		e.asked = &out
	}
	return out
}
