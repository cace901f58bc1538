package onboard

import (
	"slices"
	"strings"

	"slipway/pools"
)

// remove takes from a coordinate all that it has, once nothing is lost by it.
// Its account stays, barred: what it did carries its name.
func (m *mustering) remove(a pools.Address) {
	key := "remove " + a.String()
	refuse := func(why, mend string) {
		m.add(Step{Key: key, Where: "the server", Needs: RightOperator, Blocked: why, Mend: mend})
	}
	again := m.command("--remove " + a.String())
	account := m.is.Roster.Accounts[Lower(a.String())]
	if why, mend := m.stays(a); why != "" {
		refuse(why, mend)
		return
	}
	if !account.Read {
		m.unread(key, "the forge", RightSite, or(account.Why, "nothing was said of it"), m.other())
		return
	}
	for _, c := range m.is.Credentials.Is {
		if c.Address == a && c.Good {
			m.add(Step{Key: key + ": credential " + c.Hash[:min(12, len(c.Hash))], Where: "the server", Lines: diff{{"revoked", "no", "yes"}},
				Needs: RightOperator, Mend: again, part: revoked{c.Hash}})
		}
	}
	if account.Is != nil && !(account.Is.Barred && len(account.Is.Tokens) == 0) {
		m.onForge(key+": account", Dismissed{a, m.want.Teams}, Line{"may sign in", yesNo(!account.Is.Barred), "no, with no token and in no team"})
	}
	for i, k := range m.is.Keeps {
		if _, held := k.Held.Is[a]; held {
			m.add(Step{Key: key + ": secrets in " + k.Name, Where: k.Name, Lines: diff{{"there", "yes", "no"}}, Needs: RightOperator, Mend: again, part: cleared{i, a}})
		}
	}
}

// stays says why a coordinate cannot go yet, and what would let it; "" when it
// can.
func (m *mustering) stays(a pools.Address) (why, mend string) {
	again := m.command("--remove " + a.String())
	switch post := m.is.Posts.Is[a]; {
	case slices.Contains(m.want.Coordinates, a):
		return "it stands in the pool config", "take its line out of the pool config, then " + again
	case !m.is.Posts.Read:
		return "it is not known whether it is at work: " + m.is.Posts.Why, again
	case post.Live:
		return "it is at work", "slipway pools drain " + a.String() + " --reason …; once it has ended: " + again
	case post.InForce && !post.Cordoned:
		return "the pool config in force has it and gives it work", "slipway pools drain " + a.String() + " --reason …, then " + again
	}
	return "", ""
}

// drops holds back a thing with which pods go whose coordinates may not: it is
// said of each, once somebody asked for that.
func (m *mustering) drops(t Thing, s *Step) bool {
	for _, a := range t.Drops {
		if !slices.Contains(m.want.Remove, a) {
			m.note("%s keeps the pod of %s, which is left over", t.Name, a)
			return false
		}
		if why, mend := m.stays(a); why != "" {
			s.Blocked, s.Mend = a.String()+": "+why, mend
		}
	}
	return true
}

// leftovers names coordinates that have something and are in no pool. They keep
// it until somebody says that they are to go.
func (m *mustering) leftovers() {
	has := map[pools.Address][]string{}
	for _, c := range m.is.Credentials.Is {
		if c.Good && !slices.Contains(has[c.Address], "a credential") {
			has[c.Address] = append(has[c.Address], "a credential")
		}
	}
	for _, k := range m.is.Keeps {
		for a := range k.Held.Is {
			has[a] = append(has[a], "secrets in "+k.Name)
		}
	}
	var left []pools.Address
	for a := range has {
		if !slices.Contains(m.want.Coordinates, a) && !slices.Contains(m.want.Remove, a) {
			left = append(left, a)
		}
	}
	slices.SortFunc(left, pools.Address.Compare)
	for _, a := range left {
		slices.Sort(has[a])
		m.note("%s is left over: it has %s, and the pool config does not name it; to take that away: %s", a, strings.Join(has[a], " and "), m.command("--remove "+a.String()))
	}
}
