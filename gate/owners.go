package gate

import (
	"fmt"
	"strings"

	"slipway/internal/ref"
)

// judgeOwners asks, where the policy does, that for each rule of CODEOWNERS
// that owns a changed file one of its owners has approved.
func (e *evaluation) judgeOwners() {
	if !e.policy.Owners.Required {
		return
	}
	w := newWant("owners", "CODEOWNERS can be followed")
	for _, f := range e.OwnersFaults {
		w.block(CodeOwners, whoOperator, "%s", f)
		w.do(stepDo, "mend CODEOWNERS on "+e.base(), whoOperator)
	}
	w.known(e, e.OwnedRead, "who owns what it changes")
	switch {
	case e.OwnedRead == ref.No:
		w.Says = e.base() + " has no CODEOWNERS file"
	case e.OwnedRead == ref.Yes && e.FilesRead != ref.Yes:
		w.unknown(e, "its changed files")
	case len(e.Owned) == 0:
		w.Says = "nobody owns what it changes"
	}
	e.settle(&w)
	if e.OwnedRead != ref.Yes {
		return
	}
	for i := range e.Owned {
		if o := &e.Owned[i]; len(o.Owners)+len(o.Unmapped) > 0 {
			e.judgeOwner(o)
		}
	}
}

func (e *evaluation) judgeOwner(o *Ownership) {
	w := newWant(o.key(), "approval: an owner of "+o.Pattern)
	e.judgeNeed(&w, &need{count: 1, from: o.who()}, func(int) asking {
		line := fmt.Sprintf("line %d of CODEOWNERS (%s)", o.Line, o.Pattern)
		return asking{
			code: CodeOwners, missed: "no owner of " + o.first() + " has approved; " + line,
			nobody: line + e.ownerless(o),
			mend:   "give " + line + " another owner",
		}
	})
	e.settle(&w)
}

// ownerless says why no owner could approve.
func (e *evaluation) ownerless(o *Ownership) string {
	if len(o.Owners) == 0 {
		return " is owned by nobody known: " + strings.Join(o.Unmapped, ", ")
	}
	why := make([]string, 0, len(o.Owners))
	for _, owner := range o.Owners {
		if isTeam(owner) {
			why = append(why, owner+" (nobody of it could)")
			continue
		}
		p := e.prospect(owner, true)
		if said, _ := e.discount(&p, e.promise(&p)); said != "" {
			why = append(why, said)
		}
	}
	for _, mail := range o.Unmapped {
		why = append(why, mail+" (belongs to nobody known)")
	}
	return ": no owner could approve; not " + strings.Join(why, ", ")
}

func (o *Ownership) key() string {
	size := len("owners:") + len(o.Pattern)
	for _, list := range [][]string{o.Owners, o.Unmapped} {
		for _, who := range list {
			size += len(" @") + len(who)
		}
	}
	var key strings.Builder
	key.Grow(size)
	key.WriteString("owners:")
	key.WriteString(o.Pattern)
	for _, owner := range o.Owners {
		key.WriteString(" @")
		key.WriteString(owner)
	}
	for _, mail := range o.Unmapped {
		key.WriteString(" ")
		key.WriteString(mail)
	}
	return key.String()
}

func (o *Ownership) first() string {
	switch len(o.Paths) {
	case 0:
		return o.Pattern
	case 1:
		return o.Paths[0]
	}
	return o.Paths[0] + andMore(len(o.Paths)-1)
}

func (o *Ownership) who() Who {
	var w Who
	if n := len(o.Owners); n > 0 {
		both := make([]string, 2*n)
		w.People, w.Teams = both[:0:n], both[n:n]
	}
	for _, owner := range o.Owners {
		if isTeam(owner) {
			w.Teams = append(w.Teams, owner)
			continue
		}
		w.People = append(w.People, owner)
	}
	if len(o.Owners) == 0 {
		w.People = []string{""} // somebody, but nobody known: not anybody
	}
	return w
}

func isTeam(owner string) bool { return strings.Contains(owner, "/") }
