package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fault"
	"slipway/pools"
)

const (
	// mostPolls is how many claims one match answers.
	mostPolls = 256
	// longestWait is how long a claim may stay open, in seconds, and
	// longestRequest how long its key may be, in bytes.
	longestWait    = 55
	longestRequest = 100
	// perLane is how many items of a lane a match reads beside one for each claim.
	// Where nobody could take any of them it reads so many times more, up to
	// perLaneMost.
	perLane      = 8
	perLaneTimes = 16
	perLaneMost  = 4096
)

// Claim asks for work for a coordinate, and waits for it as long as r says. nil
// is nothing in that time. The same request gives the same attempt, while it is
// held; afterwards it is ErrStale. A coordinate asks once at a time: whoever
// asked before it gets nothing.
func (d *Dispatcher) Claim(ctx context.Context, as pools.Address, r ClaimRequest) (*Grant, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	p := d.desk.join(as, as.String()+" "+r.Request)
	defer func() { d.desk.hear(as, d.clock.show()) }()
	over := time.NewTimer(time.Duration(r.Wait) * time.Second)
	defer over.Stop()
	for {
		select {
		case a := <-p.answer:
			return a.grant, a.err
		case <-over.C:
			d.desk.hurry(p)
		case <-ctx.Done():
			if g := d.desk.leave(p); g != nil {
				d.giveBack(context.WithoutCancel(ctx), g)
			}
			return nil, ctx.Err()
		}
	}
}

// check names every fault of a claim.
func (r ClaimRequest) check() error {
	var faults []error
	if n := len(r.Request); n == 0 || n > longestRequest {
		faults = append(faults, fmt.Errorf("request: has %d bytes, and needs 1 to %d", n, longestRequest))
	}
	if strings.ContainsFunc(r.Request, func(c rune) bool { return c < ' ' || c > '~' }) {
		faults = append(faults, errors.New("request: holds something else than the printable characters of ASCII"))
	}
	if r.Wait < 0 || r.Wait > longestWait {
		faults = append(faults, fmt.Errorf("wait: %d is not between 0 and %d seconds", r.Wait, longestWait))
	}
	return fault.AsPermanent(errors.Join(faults...))
}

// attend matches whoever asks with what there is, whenever there may be
// something to match.
func (d *Dispatcher) attend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.Store.Offered():
			d.desk.again()
			d.clock.doubt()
			continue
		case <-d.desk.woken:
		}
		runtime.Gosched() // who asks at the same time is answered together
		for batch := range slices.Chunk(d.desk.take(), mostPolls) {
			if err := d.matchSome(ctx, batch); err != nil && ctx.Err() == nil {
				d.Log.Error("match", "claims", len(batch), "error", err)
				d.desk.again()
				rest(ctx, failedPause)
			}
		}
	}
}

// matchSome answers some claims in one transaction. After an error they wait on.
func (d *Dispatcher) matchSome(ctx context.Context, batch []*poll) error {
	ctx = context.WithoutCancel(ctx)
	scope, pollers := ask(batch)
	for {
		var out matched
		err := d.transact(ctx, scope, func(v View) (w Write, _ error) {
			w, out = d.matchStep(v, pollers)
			w.Numbered = func(_ []ItemID, ids []AttemptID) { out.numbers = ids }
			return w, nil
		})
		if err != nil {
			return d.unmatched(ctx, batch, err)
		}
		if len(out.claims) == 0 && len(out.repeated) == 0 && out.choosy >= scope.PerLane && scope.PerLane < perLaneMost {
			scope.PerLane = min(scope.PerLane*perLaneTimes, perLaneMost)
			continue
		}
		d.desk.bound(out.bounded)
		d.handOut(ctx, batch, out)
		return nil
	}
}

// unmatched deals with a match that failed. What another try may mend is tried
// again later, with all of them; else whoever it failed for is found, so that
// one claim does not stand in the way of the others.
func (d *Dispatcher) unmatched(ctx context.Context, batch []*poll, err error) error {
	switch {
	case fault.KindOf(err) == fault.Later:
		for _, p := range batch {
			d.desk.settle(p, answer{})
		}
		return err
	case len(batch) > 1:
		half := len(batch) / 2
		return errors.Join(d.matchSome(ctx, batch[:half]), d.matchSome(ctx, batch[half:]))
	default:
		d.desk.settle(batch[0], answer{err: err})
		return nil
	}
}

// matched is what one match came to.
type matched struct {
	claims   []claim
	numbers  []AttemptID // of the claims' attempts, after the commit
	waited   []time.Duration
	repeated map[string]repeat // by request
	currency string
	// choosy is how many of the items that were read are not for everybody.
	choosy int
	// bounded are the pools in which one claim may keep others from theirs.
	bounded map[pools.PoolName]bool
}

// repeat is the answer to a request that was answered before.
type repeat struct {
	claim claim
	err   error
}

// ask is what a match has to read for some claims.
func ask(batch []*poll) (Scope, []poller) {
	s := Scope{PerLane: perLane + len(batch), Load: true, Set: true}
	pollers := make([]poller, len(batch))
	for n, p := range batch {
		pollers[n] = poller{Address: p.as, Request: p.request}
		s.Requests = append(s.Requests, p.request)
		s.Seats = append(s.Seats, p.as)
		s.Ready = append(s.Ready, lanesOf(p.as)...)
	}
	slices.Sort(s.Ready)
	s.Ready = slices.Compact(s.Ready)
	return s, pollers
}

// lanesOf are the selectors that choose a coordinate.
func lanesOf(a pools.Address) []string {
	var out []string
	for _, role := range []string{"", a.Role} {
		for _, tier := range []string{"", a.Tier} {
			out = append(out, pools.Selector{Role: role, Tier: tier}.String(), pools.Selector{Role: role, Tier: tier, Replica: &a.Replica}.String())
		}
	}
	return out
}

// matchStep gives what is ready to those who ask, and finds what those were
// given who ask again. Of the reviews that one head waits for, one is given in
// one match, and the others do without its model from then on: two approvals of
// one model are one.
func (d *Dispatcher) matchStep(v View, pollers []poller) (Write, matched) {
	out := matched{repeated: map[string]repeat{}}
	if v.Set != nil {
		out.currency = v.Set.Currency
		out.bounded = bounded(v.Set.Set)
	}
	for _, i := range v.Ready {
		if len(i.Avoid) > 0 {
			out.choosy++
		}
	}
	var behind []Item
	v.Ready, behind = oneReviewEach(v.Ready)
	since := make(map[ItemID]time.Time, len(v.Ready))
	for _, i := range v.Ready {
		since[i.ID] = later(i.Since, i.NotBefore)
	}
	w, claims := match(v, d.terms, pollers)
	out.claims = claims
	for _, c := range claims {
		out.waited = append(out.waited, v.Now.Sub(since[c.Item.ID]))
		for n := range behind {
			if b := &behind[n]; c.Item.Kind == Review && c.Item.Pull == b.Pull && c.Item.Head == b.Head {
				b.Avoid = append(slices.Clone(b.Avoid), c.Attempt.Assignment.Model)
				w.Items = append(w.Items, *b)
			}
		}
	}
	if len(v.Works) == 0 {
		return w, out
	}
	for _, p := range pollers {
		c, found, said, err := reclaim(v, p)
		if found {
			out.repeated[p.Request] = repeat{c, err}
			w.add(said)
		}
	}
	return w, out
}

// bounded are the pools with a limit, or with a budget for the day.
func bounded(s pools.Set) map[pools.PoolName]bool {
	out := map[pools.PoolName]bool{}
	for _, p := range s.Pools {
		if p.Limit > 0 || p.Daily > 0 {
			out[p.Name] = true
		}
	}
	return out
}

// oneReviewEach leaves one review for each head of those that Slipway asks for,
// and gives the others apart.
func oneReviewEach(ready []Item) (kept, behind []Item) {
	there := map[string]bool{}
	for _, i := range ready {
		if i.asked() {
			of := i.Pull.String() + "@" + string(i.Head)
			if there[of] {
				behind = append(behind, i)
				continue
			}
			there[of] = true
		}
		kept = append(kept, i)
	}
	return kept, behind
}

// handOut answers the claims of a match. What nobody is there to take is given
// back at once.
func (d *Dispatcher) handOut(ctx context.Context, batch []*poll, out matched) {
	grants := make(map[string]*Grant, len(out.claims))
	for n, c := range out.claims {
		c.Attempt.ID = out.numbers[n]
		grants[c.Poller.Request] = d.grant(ctx, c, out.currency)
		d.Meter.Claimed(c.Attempt.Address.Pool(), out.waited[n])
		if c.Item.Kind == Review {
			d.looks.add(c.Item.Pull)
		}
	}
	for _, p := range batch {
		a := answer{grant: grants[p.request]}
		if r, again := out.repeated[p.request]; again {
			if a.err = r.err; r.err == nil {
				a.grant = d.grant(ctx, r.claim, out.currency)
			}
		}
		if !d.desk.settle(p, a) && a.grant != nil {
			d.giveBack(ctx, a.grant)
		}
	}
}

// grant is what a coordinate is told of its claim. Only an item that was claimed
// before can have an attempt that left a pull request behind.
func (d *Dispatcher) grant(ctx context.Context, c claim, currency string) *Grant {
	var earlier []Attempt
	if c.Item.Kind == Build && c.Attempt.Token > 1 {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		w, _, err := d.Store.Work(ctx, c.Item.ID)
		if err != nil {
			d.Log.Warn("read earlier attempts", "item", c.Item.ID, "error", err) // a pull request more than need be
		}
		earlier = w.Attempts
	}
	g := grant(d.terms, c, earlier, currency)
	g.Lease = int(d.terms.lease / time.Second)
	return &g
}

// giveBack returns a grant that nobody took. If that fails, its lease ends.
func (d *Dispatcher) giveBack(ctx context.Context, g *Grant) {
	err := d.transact(ctx, Scope{Attempt: g.Attempt}, func(v View) (Write, error) {
		return giveBack(v, d.terms, g.Attempt, "nobody was there any more to take it"), nil
	})
	if err != nil {
		d.Log.Warn("give back", "attempt", strconv.FormatInt(int64(g.Attempt), 10), "error", err)
	}
}

// rest waits for a time, or until ctx ends.
func rest(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
