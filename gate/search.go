package gate

import (
	"math/bits"
	"slices"
)

// group is one act in the making: count of who approve.
type group struct {
	who   []string
	count int
	mask  uint64 // the needs that it is there for
	keys  []string
}

// solve marks the classes that are used, the fewest people that do; where the
// search would take too long, some that do.
func (c *cover) solve() {
	least, most := max(c.want-strength(c.given, c.once), 0), 0
	for _, n := range c.needs {
		least = max(least, n.left)
	}
	for _, k := range c.classes {
		most += k.supply
	}
	left := make([]int, len(c.needs))
	for i, n := range c.needs {
		left[i] = n.left
	}
	for depth := least; depth <= most && c.steps < coverSteps; depth++ {
		if c.search(depth, left, 0) {
			return
		}
	}
	c.greedy(left)
}

// search looks for depth people. from is the first agent class to try once all
// that is missing is the count.
func (c *cover) search(depth int, left []int, from int) bool {
	if c.steps++; c.steps > coverSteps {
		return false
	}
	gap := c.want - strength(c.taken(), c.once)
	need, fewest := -1, 0
	for i, n := range left {
		if n > depth {
			return false
		}
		if n <= 0 {
			continue
		}
		options := 0
		for _, k := range c.classes {
			if k.mask&(1<<i) != 0 && k.used < k.supply {
				options++
			}
		}
		if need < 0 || options < fewest {
			need, fewest = i, options
		}
	}
	switch {
	case gap > depth:
		return false
	case need < 0 && gap <= 0:
		return true
	case depth == 0:
		return false
	}
	for i := range c.classes {
		k := &c.classes[i]
		switch {
		case k.used == k.supply:
			continue
		case need >= 0 && k.mask&(1<<need) == 0:
			continue
		case need < 0 && !k.person() && i < from:
			continue
		}
		next := 0
		if need < 0 {
			next = i
		}
		if c.choose(k, depth, left, next) {
			return true
		}
		if need < 0 && k.person() {
			return false // nobody is better for the count than a person
		}
	}
	return false
}

func (c *cover) choose(k *class, depth int, left []int, from int) bool {
	k.used++
	c.stack = append(c.stack, k.sample)
	for i := range left {
		if k.mask&(1<<i) != 0 {
			left[i]--
		}
	}
	if c.search(depth-1, left, from) {
		return true
	}
	k.used--
	c.stack = c.stack[:len(c.stack)-1]
	for i := range left {
		if k.mask&(1<<i) != 0 {
			left[i]++
		}
	}
	return false
}

// greedy takes whoever meets most, until nothing is missing or nobody is left.
func (c *cover) greedy(left []int) {
	for {
		best, gain := -1, 0
		short := c.want > strength(c.taken(), c.once)
		for i := range c.classes {
			k := &c.classes[i]
			if k.used == k.supply {
				continue
			}
			g := 0
			for j, n := range left {
				if n > 0 && k.mask&(1<<j) != 0 {
					g += 2
				}
			}
			if short {
				g++
			}
			if g > gain {
				best, gain = i, g
			}
		}
		if best < 0 {
			return
		}
		k := &c.classes[best]
		k.used++
		c.stack = append(c.stack, k.sample)
		for j := range left {
			if k.mask&(1<<j) != 0 {
				left[j]--
			}
		}
	}
}

// groups are the classes that are used, each with all who could step in for
// those it names: whoever of them approves, everything is met.
func (c *cover) groups() []group {
	var out []group
	for _, k := range c.classes {
		if k.used > 0 {
			out = append(out, group{who: slices.Clone(k.who), count: k.used, mask: k.mask})
		}
	}
	c.trim(out)
	c.widen(out)
	for i := range out {
		for j, n := range c.needs {
			if out[i].mask&(1<<j) != 0 {
				out[i].keys = append(out[i].keys, n.keys...)
			}
		}
		slices.Sort(out[i].who)
	}
	return out
}

// trim leaves each group the needs that it has to be there for.
func (c *cover) trim(groups []group) {
	for j, n := range c.needs {
		bit := uint64(1) << j
		have := 0
		for _, g := range groups {
			if g.mask&bit != 0 {
				have += g.count
			}
		}
		for i := len(groups) - 1; i >= 0; i-- {
			if g := &groups[i]; g.mask&bit != 0 && have-g.count >= n.left {
				g.mask &^= bit
				have -= g.count
			}
		}
	}
}

// widen adds to each group who is as good as those in it: persons, and agents
// that share neither model nor operator with anybody who may approve.
func (c *cover) widen(groups []group) {
	busy := slices.Clone(c.given)
	for i := range c.classes {
		if k := &c.classes[i]; k.used > 0 {
			busy = append(busy, k.sample)
		}
	}
	for i := range c.classes {
		k := &c.classes[i]
		if k.used > 0 || !k.person() && slices.ContainsFunc(busy, func(p party) bool { return k.rivals(&p, c.once) }) {
			continue
		}
		best := -1
		for j := range groups {
			if groups[j].mask&^k.mask == 0 && (best < 0 || bits.OnesCount64(groups[j].mask) > bits.OnesCount64(groups[best].mask)) {
				best = j
			}
		}
		if best < 0 {
			continue
		}
		who := k.who
		if !k.person() && groups[best].count > 1 {
			who = who[:1] // two of them would count as one
		}
		groups[best].who = append(groups[best].who, who...)
		busy = append(busy, k.sample)
	}
}

func (k *class) rivals(p *party, once bool) bool {
	if p.Kind == KindPerson {
		return false
	}
	return login(k.sample.Model) == login(p.Model) || once && login(k.sample.Operator) == login(p.Operator)
}
