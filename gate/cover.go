package gate

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"slipway/internal/ref"
)

const (
	coverNeeds  = 64    // different sets of people who are wanted; more are asked apart
	coverSteps  = 4_000 // looked at before the search takes what it has
	coverSupply = 1_000 // how many people stand behind a role
)

// cover looks for the fewest people whose approvals meet all needs together.
type cover struct {
	once  bool // agents of one operator count once
	want  int  // independent approvals
	given []party
	needs []wish
	apart []wish // beyond what the search can hold
	// classes are those who could approve, persons first. Who is in one class
	// is as good as any other in it.
	classes []class
	stack   []party
	steps   int
}

// wish is one need, or several that the same people meet.
type wish struct {
	keys []string
	left int
	need *need
	fits []bool // by candidate, then by who asks for changes
}

type class struct {
	mask   uint64 // the needs that it meets
	sample party
	who    []string
	supply int
	used   int
}

func newCover(e *evaluation, fresh bool) *cover {
	c := &cover{once: e.policy.OperatorOnce, want: e.needed()}
	if !fresh {
		c.given = e.parties()
	}
	people := e.candidates(fresh)
	all := slices.Concat(people, e.vetoes) // who asks for changes can meet needs as well
	known := e.ApproversRead == ref.Yes
	for i := range e.wants {
		w := &e.wants[i]
		if w.need == nil || !fresh && w.need.missing == 0 {
			continue
		}
		n := wish{keys: []string{w.Key}, left: w.need.missing, need: w.need}
		if fresh {
			n.left = w.need.count
		}
		c.wish(n, all, known)
	}
	if known {
		c.sort(people)
		return c
	}
	c.guess(e)
	return c
}

// wish adds a need, to one that the same people meet if there is one.
func (c *cover) wish(n wish, people []party, known bool) {
	for i := range people {
		f, _ := n.need.fits(&people[i])
		n.fits = append(n.fits, f == ref.Yes)
	}
	for i := range c.needs {
		m := &c.needs[i]
		if known && slices.Equal(m.fits, n.fits) || !known && m.need.same(n.need) {
			m.keys, m.left = append(m.keys, n.keys...), max(m.left, n.left)
			return
		}
	}
	if len(c.needs) == coverNeeds {
		c.apart = append(c.apart, n)
		return
	}
	c.needs = append(c.needs, n)
}

func (n *need) same(m *need) bool {
	return n.person == m.person && slices.Equal(n.from.roles(), m.from.roles())
}

// sort puts the known candidates into classes.
func (c *cover) sort(people []party) {
	for i, p := range people {
		k := class{sample: p, who: []string{p.name}, supply: 1}
		for j := range c.needs {
			if c.needs[j].fits[i] {
				k.mask |= 1 << j
			}
		}
		at := slices.IndexFunc(c.classes, func(o class) bool { return k.like(&o, c.once) })
		if at < 0 {
			c.classes = append(c.classes, k)
			continue
		}
		c.classes[at].who = append(c.classes[at].who, p.name)
		c.classes[at].supply++
	}
	slices.SortStableFunc(c.classes, func(a, b class) int {
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			cmp.Compare(bits.OnesCount64(b.mask), bits.OnesCount64(a.mask)),
			cmp.Compare(b.supply, a.supply),
		)
	})
}

func (k *class) rank() int {
	if k.person() {
		return 0
	}
	return 1
}

func (k *class) person() bool { return k.sample.Kind == KindPerson }

func (k *class) like(o *class, once bool) bool {
	if k.mask != o.mask || k.sample.Kind != o.sample.Kind {
		return false
	}
	return k.person() || login(k.sample.Model) == login(o.sample.Model) && (!once || login(k.sample.Operator) == login(o.sample.Operator))
}

// guess makes a class of persons for each role where the forge does not tell
// who could approve.
func (c *cover) guess(e *evaluation) {
	anyone := class{sample: party{Principal: Principal{Kind: KindPerson}}, who: []string{whoReviewers}, supply: coverSupply}
	for j, n := range c.needs {
		if n.need.from.empty() && !n.need.person {
			anyone.mask |= 1 << j
		}
	}
	for j, n := range c.needs {
		if anyone.mask&(1<<j) != 0 {
			continue
		}
		could, _ := e.supply(n.need)
		k := anyone
		k.mask |= 1 << j
		k.who = n.need.roles(could)
		c.classes = append(c.classes, k)
	}
	c.classes = append(c.classes, anyone)
}

// supply is how many could meet a need.
func (c *cover) supply(need int) int {
	n := 0
	for _, k := range c.classes {
		if k.mask&(1<<need) != 0 {
			n += k.supply
		}
	}
	return n
}

// take has p approve in any case, and says which needs that is for.
func (c *cover) take(p party) []string {
	var keys []string
	for i := range c.needs {
		n := &c.needs[i]
		if f, _ := n.need.fits(&p); f == ref.Yes && n.left > 0 {
			n.left--
			keys = append(keys, n.keys...)
		}
	}
	c.given = append(c.given, p)
	return keys
}

func (c *cover) taken() []party {
	all := slices.Concat(c.given, c.stack)
	slices.SortStableFunc(all, func(a, b party) int { return strings.Compare(a.login, b.login) })
	return all
}
