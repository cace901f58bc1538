package dispatcher

import (
	"strings"
	"time"

	"slipway/pools"
)

// mostMoney and mostTokens bound what an attempt can have cost, a million of the
// currency and 10^12 tokens of a kind: far above anything real, and far enough
// below the end of the range that sums of it stay exact.
const (
	mostMoney  pools.Money = 1_000_000_000_000
	mostTokens int64       = 1_000_000_000_000
)

// reserve is what an attempt sets aside: the least of what its assignment
// allows, what is left of the item's budget, and what its pool has left of the
// day. 0 where none of them is bounded. ok is false where one of them has
// nothing left: nothing is claimed beyond it (W5).
func reserve(i Item, as pools.Assignment, p pools.Pool, today pools.Money) (amount pools.Money, ok bool) {
	bounded := false
	bound := func(left pools.Money) {
		if !bounded || left < amount {
			amount = left
		}
		bounded = true
	}
	if as.Budget > 0 {
		bound(as.Budget)
	}
	if i.Budget > 0 {
		bound(i.Budget - i.Spent - i.Reserved)
	}
	if p.Daily > 0 {
		bound(p.Daily - today)
	}
	if !bounded {
		return 0, true
	}
	return max(amount, 0), amount > 0
}

// charge takes over what an attempt says it has cost. Totals never go down.
// What is new moves from reserved to spent, for the item and for the pool's
// day on which the attempt began.
func (s *turn) charge(a *Attempt, tokens pools.Tokens, amount pools.Money) {
	c := &a.Cost
	c.Tokens = pools.Tokens{
		Input:      max(c.Tokens.Input, min(tokens.Input, mostTokens)),
		Output:     max(c.Tokens.Output, min(tokens.Output, mostTokens)),
		CacheRead:  max(c.Tokens.CacheRead, min(tokens.CacheRead, mostTokens)),
		CacheWrite: max(c.Tokens.CacheWrite, min(tokens.CacheWrite, mostTokens)),
	}
	if amount <= 0 {
		amount = a.Assignment.Prices.Cost(c.Tokens)
	}
	amount = min(amount, mostMoney)
	if c.Tokens != (pools.Tokens{}) || amount > 0 {
		c.Source = "reported"
	}
	if amount <= c.Amount {
		return
	}
	more, freed := amount-c.Amount, a.unspent()
	c.Amount = amount
	freed -= a.unspent()
	if !a.Told.IsZero() {
		a.SpentAfter += more
	}
	s.work.Item.Spent += more
	s.work.Item.Reserved -= freed
	s.spend(*a, more, -freed)
}

// release gives back what is left of an attempt's reservation when it ends.
func (s *turn) release(a *Attempt) {
	if left := a.unspent(); left > 0 && a.Outcome == Live {
		s.work.Item.Reserved -= left
		s.spend(*a, 0, -left)
	}
}

// spend adds to what the pool of an attempt spends on the day on which the
// attempt began.
func (s *turn) spend(a Attempt, spent, reserved pools.Money) {
	if spent != 0 || reserved != 0 {
		s.w.Spends = append(s.w.Spends, Spend{Pool: a.Address.Pool(), Day: day(a.Started), Spent: spent, Reserved: reserved})
	}
}

// unspent is what a live attempt may still cost of what was set aside for it.
func (a Attempt) unspent() pools.Money { return max(a.Reserved-a.Cost.Amount, 0) }

// today is what the pools have spent and set aside on the View's day.
func (v View) today() map[pools.PoolName]pools.Money {
	out := map[pools.PoolName]pools.Money{}
	for _, s := range v.Spends {
		if s.Day == day(v.Now) {
			out[s.Pool] += s.Spent + s.Reserved
		}
	}
	return out
}

// day names the day of a time, as Spend does.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// sameModel compares the names of two models. Case does not count, nor does a
// provider before the name where only one of them has it: acme/large is large.
func sameModel(a, b string) bool {
	a, b = strings.ToLower(strings.TrimSpace(a)), strings.ToLower(strings.TrimSpace(b))
	return a == b || (a != "" && b != "" && (strings.HasSuffix(a, "/"+b) || strings.HasSuffix(b, "/"+a)))
}
