package dispatcher

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"slipway/pools"
)

// poller is a coordinate that asks for work.
type poller struct {
	Address pools.Address
	Request string
}

// claim is what a poller gets. Its attempt has its number after the commit.
type claim struct {
	Poller  poller
	Item    Item
	Attempt Attempt
}

// plan is a match on its way.
type plan struct {
	v      View
	t      terms
	lanes  []lane
	live   map[pools.PoolName]int
	today  map[pools.PoolName]pools.Money
	seats  map[pools.Address]Seat
	busy   map[pools.Address]bool // served in this match
	asked  map[string]bool        // requests that were answered
	w      Write
	claims []claim
}

// lane is one queue: its items in the order in which they are due.
type lane struct {
	name  string
	items []Item // what is left of them
}

// match gives the items that are ready to the coordinates that ask, each at
// most one. A coordinate that has a live attempt, is cordoned, is not in the
// pool config, or whose pool is full gets nothing, and so does one whose request
// was answered before (reclaim is for those). Pollers choose in their order.
// Within a lane the first is given that the coordinate may take; between lanes
// the higher level goes first, and chance decides between equals, anew at each
// claim: the ranks of two lanes say nothing of each other.
//
// A poller sees no more of a lane than the View has of it. Where the first of a
// lane are not for it (their models are to be avoided, their budgets are used
// up), it gets nothing unless PerLane reaches beyond them.
//
// The claims are in the order of the Write's attempts.
func match(v View, t terms, pollers []poller) (Write, []claim) {
	if v.Set == nil {
		return Write{}, nil
	}
	p := &plan{
		v: v, t: t, lanes: lanes(v.Ready), live: map[pools.PoolName]int{}, today: v.today(), seats: v.seats(),
		busy: map[pools.Address]bool{}, asked: map[string]bool{},
	}
	for name, n := range v.Live {
		p.live[name] = n
	}
	for _, w := range v.Works {
		for _, a := range w.Attempts {
			p.asked[a.Request] = true
		}
	}
	for _, one := range pollers {
		p.serve(one)
	}
	return p.w, p.claims
}

// reclaim is the attempt that a repeated claim got before; found is false for a
// request that nobody sent before. An attempt that has ended, or that another
// coordinate has, is refused.
func reclaim(v View, p poller) (c claim, found bool, w Write, err error) {
	for _, work := range v.Works {
		for _, a := range work.Attempts {
			if a.Request != p.Request {
				continue
			}
			of := call{as: p.Address, id: a.ID, token: a.Token, name: "claim"}
			held, w, err := of.held(v)
			if err != nil {
				return claim{}, true, w, err
			}
			return claim{Poller: p, Item: held.work.Item, Attempt: *held.a}, true, Write{}, nil
		}
	}
	return claim{}, false, Write{}, nil
}

// giveBack ends a claim whose answer nobody was there to take. It counts as no
// try. One that was taken after all is left alone.
func giveBack(v View, t terms, id AttemptID, reason string) Write {
	for _, work := range v.Works {
		s := begin(v, t, work)
		for i := range s.work.Attempts {
			a := &s.work.Attempts[i]
			if a.ID != id || a.Outcome != Live || !a.Beat.IsZero() || a.Head != "" {
				continue
			}
			s.end(a, Returned, reason)
			if s.work.Item.State == Working {
				s.offer("", 0)
			}
			s.note(self, "work.returned", a, reason)
			return s.done()
		}
	}
	return Write{}
}

// grant is what a coordinate is told of its claim. earlier are the item's other
// attempts: the pull request that one of this coordinate left open goes on.
func grant(t terms, c claim, earlier []Attempt, currency string) Grant {
	i, a := c.Item, c.Attempt
	g := Grant{
		Attempt: a.ID, Token: a.Token, Item: i.ID, Builder: a.Address, Kind: i.Kind, Repo: i.Repo, Base: i.Base,
		Pull: i.Pull, Head: i.Head, Branch: a.Branch, Title: i.Title, Spec: i.Spec, Shape: i.Shape, Try: i.Tries + 1,
		Assignment: a.Assignment, Config: a.Config, Budget: a.Reserved, Currency: currency,
		Until: a.Until, Beat: int(t.beat / time.Second), Deadline: a.Deadline, Lease: int(t.lease / time.Second),
	}
	if i.Kind != Build {
		return g
	}
	for _, e := range earlier {
		// One that completed is settled: its pull request is closed or merged.
		if e.ID != a.ID && e.Address == a.Address && e.Pull.Number != 0 && !e.passed(Completed) {
			g.Pull, g.Head = e.Pull, e.Head
		}
	}
	return g
}

// serve gives one poller the item that is due for it, if any.
func (p *plan) serve(one poller) {
	pool, known := p.v.Set.Pool(one.Address.Pool())
	seat := p.seats[one.Address]
	seat.Address = one.Address // one that nobody knew before
	if !known || p.busy[one.Address] || seat.Cordoned || seat.Live != 0 || p.asked[one.Request] {
		return
	}
	if pool.Limit > 0 && p.live[pool.Name] >= pool.Limit {
		return
	}
	var best *lane
	var at int
	var a Attempt
	for l := range p.lanes {
		from := &p.lanes[l]
		n, found, ok := p.first(from, one, pool)
		if !ok {
			continue
		}
		if best == nil || from.items[n].Raised > best.items[at].Raised ||
			from.items[n].Raised == best.items[at].Raised && lot(one.Request, from.name) < lot(one.Request, best.name) {
			best, at, a = from, n, found
		}
	}
	if best == nil {
		return
	}
	i := best.items[at]
	if at == 0 {
		best.items = best.items[1:] // as nearly always, and moves nothing
	} else {
		best.items = slices.Delete(best.items, at, at+1)
	}
	p.give(one, seat, i, a)
}

// first is a lane's first item that a coordinate may take, and the attempt that
// it would be.
func (p *plan) first(l *lane, one poller, pool pools.Pool) (n int, a Attempt, ok bool) {
	for n, i := range l.items {
		if !i.Selector.Matches(one.Address) {
			return 0, Attempt{}, false // the same for all in the lane
		}
		if a, ok := p.fits(i, one, pool); ok {
			return n, a, true
		}
	}
	return 0, Attempt{}, false
}

// fits is the attempt that an item would be at a coordinate.
func (p *plan) fits(i Item, one poller, pool pools.Pool) (Attempt, bool) {
	now := p.v.Now
	if i.State != Ready || i.NotBefore.After(now) || overdueBy(i, now) {
		return Attempt{}, false
	}
	as, canary, ok := p.v.Set.Fit(one.Address, int64(i.ID), shunned(p.v.Set.Set, i.Avoid))
	if !ok {
		return Attempt{}, false
	}
	reserved, ok := reserve(i, as, pool, p.today[pool.Name])
	if !ok {
		return Attempt{}, false
	}
	deadline := p.t.deadline
	if pool.Deadline > 0 {
		deadline = pool.Deadline
	}
	a := Attempt{
		Item: i.ID, Address: one.Address, Token: i.Token + 1, Request: one.Request,
		Set: p.v.Set.Number, Config: as.Hash(), Assignment: as, Canary: canary,
		Started: now, Until: now.Add(p.t.lease), Deadline: now.Add(deadline), Phases: []Passed{{Claimed, now}}, Reserved: reserved,
	}
	if !i.Deadline.IsZero() && i.Deadline.Before(a.Deadline) {
		a.Deadline = i.Deadline
	}
	if i.Kind == Build {
		a.Branch = fmt.Sprintf("work/%d-%s", i.ID, one.Address)
	}
	return a, true
}

// give writes a claim.
func (p *plan) give(one poller, seat Seat, i Item, a Attempt) {
	seat.Seen = p.v.Now
	if seat.Config != a.Config {
		seat.Config = a.Config
		seat.Epoch++
	}
	a.Epoch = seat.Epoch
	s := begin(p.v, p.t, Work{Item: i})
	s.move(Working, "")
	s.work.Item.Token = a.Token
	s.work.Item.Reserved += a.Reserved
	s.spend(a, 0, a.Reserved)
	budget := ""
	if a.Reserved > 0 {
		budget = a.Reserved.String()
	}
	s.note(one.Address.String(), "work.claimed", &a, "", "set", strconv.FormatInt(a.Set, 10), "epoch", strconv.FormatInt(a.Epoch, 10),
		"config", a.Config, "assignment", a.Assignment.Name, "canary", yes(a.Canary), "branch", a.Branch, "budget", budget,
		"priority", i.Raised.String(), "try", strconv.Itoa(i.Tries+1))
	w := s.done()
	w.Attempts = append(w.Attempts, a)
	w.Seats = append(w.Seats, seat)
	p.w.add(w)
	p.claims = append(p.claims, claim{one, s.work.Item, a})
	p.live[a.Address.Pool()]++
	p.today[a.Address.Pool()] += a.Reserved
	p.busy[a.Address], p.asked[one.Request] = true, true
}

// lanes sorts items by lane, and each lane by whose turn it is.
func lanes(ready []Item) []lane {
	var out []lane
	at := map[string]int{}
	for _, i := range ready {
		name := i.Lane()
		n, known := at[name]
		if !known {
			n = len(out)
			at[name] = n
			out = append(out, lane{name: name})
		}
		out[n].items = append(out[n].items, i)
	}
	for _, l := range out {
		slices.SortStableFunc(l.items, before)
	}
	return out
}

// lot is what a lane draws in one claim.
func lot(request, lane string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q", request, lane)
	return h.Sum64()
}

// shunned are the models to avoid as a set names them.
func shunned(s pools.Set, avoid []string) []string {
	if len(avoid) == 0 {
		return nil
	}
	var out []string
	for _, as := range s.Assignments {
		if avoided(as.Model, avoid) {
			out = append(out, as.Model)
		}
	}
	return out
}

// avoided says whether a model is among those to avoid, by any of its names.
func avoided(model string, avoid []string) bool {
	return slices.ContainsFunc(avoid, func(m string) bool { return sameModel(m, model) })
}

// overdueBy says whether an item's deadline is over.
func overdueBy(i Item, now time.Time) bool {
	return !i.Deadline.IsZero() && !now.Before(i.Deadline)
}

// yes writes what is so, and nothing of what is not.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
