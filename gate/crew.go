package gate

import (
	"slices"

	"slipway/internal/ref"
)

// Crew is what the dispatcher knows of those who take part in a pull request:
// which of them are coordinates of its pools, and which attempts stand behind
// what they did. The zero value was not read.
type Crew struct {
	// Read is No where there are no pools: nothing below counts then. Unknown
	// merges nothing.
	Read ref.Fact `json:"read"`
	// Members are coordinates, by login in lower case. Their model is that of the
	// attempt behind what they did at this head: for the author's the attempts
	// that registered it, for a reviewer's the one that reviewed it. Without such
	// an attempt, or with several that differ, it is unknown. They go before what
	// a configuration declares of the same login.
	Members map[string]Principal `json:"members,omitempty"`
	// Registered says whether this head was registered under the live token of an
	// attempt of the author's. It counts only where the author is a member, or
	// whoever pushed the head.
	Registered ref.Fact `json:"registered"`
}

const keyRegistered = "registered"

// Member is the coordinate behind a login; ok is false for one that is none, or
// that is not known to be one.
func (c *Crew) Member(name string) (p Principal, ok bool) {
	if c.Read != ref.Yes {
		return Principal{}, false
	}
	p, ok = c.Members[login(name)]
	p.Kind = KindAgent // whatever else it might be called: no person is in a pool
	return p, ok
}

// judgeCrew asks that it is known who of the pools takes part, and that the head
// of a coordinate's pull request is that of an attempt of its own (W2): what
// somebody pushed to its branch afterwards is nobody's work. So is what a
// coordinate pushed to anybody's.
func (e *evaluation) judgeCrew() {
	author, intruder := e.people.author, e.intruder()
	if e.Crew.Read == ref.No || e.Crew.Read == ref.Yes && !author.member && !intruder.member {
		return
	}
	whose := author.name
	if intruder.member {
		whose = intruder.name
	}
	w := newWant(keyRegistered, "its head is that of an attempt")
	head := orElse(e.Pull.Head.Short(), "(none)")
	switch {
	case e.Crew.Read != ref.Yes:
		w.unknown(e, "who of the pools takes part")
	case e.Crew.Registered == ref.Unknown:
		w.unknown(e, "whether its head is that of an attempt of "+whose)
	case e.Crew.Registered == ref.No && intruder.member:
		w.block(CodeUnregistered, whoAuthor, "the head %s was pushed by %s, and was not registered by an attempt", head, whose)
		// No attempt can: it would have to be the author's.
		w.do(stepPush, "push another head than "+whose+"'s", whoAuthor)
	case e.Crew.Registered == ref.No:
		who := []string{whose, whoOperator}
		w.reasons = append(w.reasons, Reason{
			Code: CodeUnregistered, Outcome: Block, Who: who,
			Sentence: "the head " + head + " was not registered by an attempt of " + whose,
		})
		w.do(stepDo, "register "+head+" by a live attempt", who...)
	default:
		w.Says = "registered by an attempt of " + whose
	}
	e.settle(&w)
}

// intruder is the coordinate that pushed the head to a pull request of somebody
// who is none.
func (e *evaluation) intruder() party {
	if e.people.author.member || e.people.pusher == "" {
		return party{}
	}
	p := e.people.party(e.Pusher)
	if !p.member {
		return party{}
	}
	return p
}

// registers are the acts that make the head one of an attempt. Another head is
// to be registered anew.
func (e *evaluation) registers(acts plan, fresh bool) plan {
	if !fresh || !e.people.author.member {
		return acts
	}
	var anew plan
	anew.add("register the new head by a live attempt", []string{e.people.author.name}, 1, keyRegistered)
	return anew
}

// prospect is who would be behind an approval that is not given yet. A
// coordinate that has said nothing on the head would do so in an attempt, which
// is given a model that neither the author nor another reviewer runs.
func (e *evaluation) prospect(name string, fresh bool) party {
	p := e.people.party(name)
	if p.member && p.Model == "" && (fresh || !e.spoke(p.login)) {
		p.Model = "\x00" + p.login // no other's, and nobody is told it
	}
	return p
}

// spoke says whether somebody has said anything on the head that decides.
func (e *evaluation) spoke(who string) bool {
	return slices.ContainsFunc(e.Reviews, func(r Review) bool {
		return r.State.weight() > 0 && r.Commit == e.Pull.Head && login(r.Reviewer) == who
	})
}
