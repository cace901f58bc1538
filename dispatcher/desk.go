package dispatcher

import (
	"slices"
	"sync"
	"time"

	"slipway/pools"
)

// poll is one claim that waits for work.
type poll struct {
	as pools.Address
	// request is the claim's own key, with the coordinate's name before it: what
	// one worker calls its claim says nothing about another's.
	request string
	answer  chan answer // capacity 1
	// asked says that a match has looked for it at least once.
	asked bool
	// inMatch says that a match looks for it now.
	inMatch bool
	// hurried says that its time is over: it is answered with the next match, or
	// at once when one has looked already.
	hurried bool
	// over says that nobody waits for its answer any more.
	over bool
}

// answer is what a poll gets: a grant, nothing, or an error.
type answer struct {
	grant *Grant
	err   error
}

// desk is where the polls wait: one for each coordinate. It asks nobody
// anything.
type desk struct {
	woken chan struct{} // capacity 1: something may be to match

	mu      sync.Mutex
	waiting map[pools.Address]*poll
	// fresh are those that the next match looks for, oldest first: the ones that
	// no match has looked for yet, and the ones for which something was freed.
	fresh []*poll
	// bounded are the pools in which one claim may keep others from theirs.
	bounded map[pools.PoolName]bool
	// all says that what no match found before may be there now.
	all    bool
	closed bool
	// heard is when a claim of a coordinate was last waiting here, by the clock of
	// whoever said so.
	heard map[pools.Address]time.Time
}

func newDesk() *desk {
	return &desk{woken: make(chan struct{}, 1), waiting: map[pools.Address]*poll{}, heard: map[pools.Address]time.Time{}}
}

// hear says that a coordinate is there now.
func (d *desk) hear(as pools.Address, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.After(d.heard[as]) {
		d.heard[as] = now
	}
}

// last is when a coordinate was last there, which is now for one that waits;
// zero for never.
func (d *desk) last(as pools.Address, now time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[as] != nil {
		return now
	}
	return d.heard[as]
}

// join lets a claim wait. The one that the same coordinate had waiting gets
// nothing: its worker has gone, or asks twice.
func (d *desk) join(as pools.Address, request string) *poll {
	p := &poll{as: as, request: request, answer: make(chan answer, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		p.end(answer{})
		return p
	}
	if old := d.waiting[as]; old != nil {
		old.end(answer{})
	}
	d.waiting[as] = p
	d.fresh = append(d.fresh, p)
	poke(d.woken)
	return p
}

// hurry ends the wait of a poll whose time is over, but not before a match has
// looked for it.
func (d *desk) hurry(p *poll) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.hurried = true
	if p.asked && !p.inMatch {
		d.drop(p, answer{})
	}
}

// leave says that nobody waits for a poll any more. It gives the grant that it
// had been answered with all the same, if any.
func (d *desk) leave(p *poll) *Grant {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !p.over {
		p.over = true
		d.forget(p)
		return nil
	}
	select {
	case a := <-p.answer:
		return a.grant
	default:
		return nil
	}
}

// again has the next match look for everyone.
func (d *desk) again() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) > 0 {
		d.all = true
		poke(d.woken)
	}
}

// freed has the next match look for whoever may have been kept from work by what
// these coordinates had: each for itself, and where their pool has a bound all
// of the pool.
func (d *desk) freed(by []pools.Address) {
	d.mu.Lock()
	defer d.mu.Unlock()
	again := map[pools.PoolName]bool{}
	for _, a := range by {
		if d.bounded[a.Pool()] {
			again[a.Pool()] = true
		} else if p := d.waiting[a]; p != nil {
			d.fresh = append(d.fresh, p)
		}
	}
	if len(again) > 0 {
		for a, p := range d.waiting {
			if again[a.Pool()] {
				d.fresh = append(d.fresh, p)
			}
		}
	}
	if len(d.fresh) > 0 {
		poke(d.woken)
	}
}

// bound says which pools have a bound.
func (d *desk) bound(names map[pools.PoolName]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bounded = names
}

// take gives the polls to match: those that no match has looked for, or all
// when there may be something new.
func (d *desk) take() []*poll {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*poll
	if d.all {
		for _, p := range d.waiting {
			out = append(out, p)
		}
		slices.SortFunc(out, func(a, b *poll) int { return a.as.Compare(b.as) })
	} else {
		out = d.fresh
	}
	out = slices.DeleteFunc(out, func(p *poll) bool {
		if p.over || p.inMatch {
			return true // it is there twice
		}
		p.inMatch = true
		return false
	})
	d.fresh, d.all = nil, false
	return out
}

// settle answers a poll after a match. Whoever asks for the same claim by now
// gets the grant. It says whether somebody was there to take it.
func (d *desk) settle(p *poll, a answer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.inMatch, p.asked = false, true
	to := p
	if p.over {
		to = d.waiting[p.as]
		if to == nil || to.request != p.request {
			return a.grant == nil
		}
	}
	if a.grant == nil && a.err == nil && !to.hurried {
		return true // it waits on
	}
	d.drop(to, a)
	return true
}

// close answers all who wait with nothing, and whoever comes later.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, p := range d.waiting {
		p.end(answer{})
	}
	clear(d.waiting)
	d.fresh = nil
}

// drop answers a poll and lets it go.
func (d *desk) drop(p *poll, a answer) {
	p.end(a)
	d.forget(p)
}

// forget takes a poll off the desk, unless another has its place.
func (d *desk) forget(p *poll) {
	if d.waiting[p.as] == p {
		delete(d.waiting, p.as)
	}
}

// end answers a poll once.
func (p *poll) end(a answer) {
	if !p.over {
		p.over = true
		p.answer <- a
	}
}

// poke signals without waiting: a signal that is already there is enough.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
