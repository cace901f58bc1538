package dispatcher

import (
	"fmt"
	"strings"

	"slipway/pools"
)

// waits begins the reason of an item that is ready and that nothing can take.
const waits = "nothing can take it: "

// stuck says of the items that are ready what they wait for where nothing can
// take them now, whoever asks, and takes that back where something can. The
// View has the seats of all coordinates. A coordinate that has other work to do
// can take it, in time.
func stuck(v View, t terms) Write {
	var out Write
	seats, today := v.seats(), v.today()
	ready := v.Ready
	for _, w := range v.Works {
		ready = append(ready[:len(ready):len(ready)], w.Item)
	}
	told := map[ItemID]bool{}
	for _, i := range ready {
		if i.State != Ready || told[i.ID] {
			continue
		}
		told[i.ID] = true
		s := begin(v, t, Work{Item: i})
		s.hinder(hindrance(v, i, seats, today))
		out.add(s.done())
	}
	return out
}

// hinder writes what hinders the item, or that nothing does any more.
func (s *turn) hinder(why string) {
	i := &s.work.Item
	switch {
	case why != "" && i.Reason != waits+why:
		i.Reason = waits + why
		s.note(self, "work.stuck", nil, why)
	case why == "" && strings.HasPrefix(i.Reason, waits):
		i.Reason = ""
		s.note(self, "work.unstuck", nil, "")
	}
}

// hindrance is why no coordinate can take an item; "" where one can. It names
// what comes nearest to being able to.
func hindrance(v View, i Item, seats map[pools.Address]Seat, today map[pools.PoolName]pools.Money) string {
	if v.Set == nil {
		return "there is no pool config yet"
	}
	if i.Budget > 0 && i.Spent+i.Reserved >= i.Budget {
		return fmt.Sprintf("its budget of %s is used up", i.Budget)
	}
	chosen := v.Set.Place(i.Selector, nil)
	if len(chosen) == 0 {
		return fmt.Sprintf("no coordinate is %s; there are %s", i.Selector, places(v.Set.Set))
	}
	avoid := shunned(v.Set.Set, i.Avoid)
	var cordoned, spent []string
	for _, a := range chosen {
		as, _, ok := v.Set.Fit(a, int64(i.ID), avoid)
		if !ok {
			continue
		}
		pool, _ := v.Set.Pool(a.Pool())
		switch _, ok := reserve(i, as, pool, today[pool.Name]); {
		case seats[a].Cordoned:
			cordoned = append(cordoned, a.String())
		case !ok:
			spent = append(spent, a.String())
		default:
			return ""
		}
	}
	switch {
	case len(spent) > 0:
		return "the pool's budget of the day is used up for " + list(spent)
	case len(cordoned) > 0:
		return "cordoned: " + list(cordoned)
	default:
		return "every coordinate that " + i.Selector.String() + " chooses has a model that must not take it"
	}
}
