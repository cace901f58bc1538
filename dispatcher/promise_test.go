package dispatcher

import (
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"slipway/internal/change"
	"slipway/pools"
)

// holds is what is true at any time.
func (m *machine) holds(t *rapid.T) {
	if len(m.works) != m.wanted {
		t.Fatalf("%d items of %d are there", len(m.works), m.wanted)
	}
	at := map[pools.Address]AttemptID{}
	spends := map[account]Spend{}
	for _, w := range m.works {
		m.item1(t, w)
		var spent, reserved pools.Money
		for _, a := range w.Attempts {
			left := pools.Money(0)
			if a.Outcome == Live {
				left = a.unspent()
				if other := at[a.Address]; other != 0 {
					t.Fatalf("%s holds the attempts %d and %d", a.Address, other, a.ID)
				}
				at[a.Address] = a.ID
			}
			spent, reserved = spent+a.Cost.Amount, reserved+left
			in := account{a.Address.Pool(), day(a.Started)}
			sum := spends[in]
			spends[in] = Spend{in.pool, in.day, sum.Spent + a.Cost.Amount, sum.Reserved + left}
		}
		if w.Item.Spent != spent || w.Item.Reserved != reserved {
			t.Fatalf("item %d says %s and %s; its attempts have spent %s and set aside %s", w.Item.ID, w.Item.Spent, w.Item.Reserved, spent, reserved)
		}
	}
	for in, s := range m.spends {
		if sum := spends[in]; sum.Spent != s.Spent || sum.Reserved != s.Reserved {
			t.Fatalf("pool %s on %s says %+v; its attempts have %+v", in.pool, in.day, s, sum)
		}
	}
}

// item1 is what is true of an item and its attempts.
func (m *machine) item1(t *rapid.T, w Work) {
	i, live, free, token := w.Item, 0, 0, int64(0)
	for _, a := range w.Attempts {
		if a.Token <= token {
			t.Fatalf("item %d gave token %d after %d", i.ID, a.Token, token)
		}
		token = a.Token
		if a.Outcome == Live {
			live++
			if a.StandDown == "" {
				free++
			}
		}
		if (a.Outcome == Live) != a.Ended.IsZero() {
			t.Fatalf("attempt %d is %q since %s", a.ID, a.Outcome, a.Ended)
		}
	}
	switch {
	case token != i.Token:
		t.Fatalf("item %d says token %d, and gave %d", i.ID, i.Token, token)
	case live > 1:
		t.Fatalf("item %d has %d live attempts", i.ID, live)
	case i.State == Ready && live > 0, i.State == Working && live == 0:
		t.Fatalf("item %d is %s with %d live attempts", i.ID, i.State, live)
	case (i.over() || i.State == Landing) && free > 0:
		t.Fatalf("item %d is %s, and nobody told its attempt", i.ID, i.State)
	case (i.AcceptedBy == nil) != (i.Accepted == 0), i.State == Done && i.Accepted == 0:
		t.Fatalf("item %d is %s and accepted %v by %v", i.ID, i.State, i.Accepted, i.AcceptedBy)
	case i.over() != !i.Ended.IsZero():
		t.Fatalf("item %d is %s since %s", i.ID, i.State, i.Ended)
	case i.State == Dead && i.Reason == "":
		t.Fatalf("item %d is dead without a reason", i.ID)
	case i.Raised < i.Level || i.Raised > Highest:
		t.Fatalf("item %d of %s waits on %s", i.ID, i.Level, i.Raised)
	}
}

// state is all that a call could change.
func (m *machine) state() ([]Work, map[account]Spend) {
	works := make([]Work, len(m.works))
	for n, w := range m.works {
		works[n] = m.copied(w)
	}
	return works, maps.Clone(m.spends)
}

// drain lets everybody work until nothing is left: no item is lost (W3).
func (m *machine) drain(t *rapid.T) {
	for a := range m.seats {
		if err := m.cordon(a.String(), false); err != nil {
			t.Fatal(err)
		}
	}
	m.ledger.set = fixture()
	who := []string{"builder-heavy-0", "builder-lite-0", "builder-lite-1", "builder-lite-2", "reviewer-lite-0", "reviewer-lite-1"}
	for range 6*m.wanted + 10 {
		m.pass(25 * time.Hour)
		for _, c := range m.ask(who...) {
			n := int64(10_000 + int(c.Attempt.ID))
			if c.Item.Kind == Review {
				n = c.Item.Pull.Number
			}
			head := int(n)
			m.land(c, n, head)
		}
		for _, w := range m.works {
			if w.Item.State != Landing {
				continue
			}
			a := w.Attempts[len(w.Attempts)-1]
			if w.Item.Accepted != 0 {
				a = w.Attempts[slices.IndexFunc(w.Attempts, func(a Attempt) bool { return a.ID == w.Item.Accepted })]
			}
			m.settle(w.Item.ID, landing{Pull: a.Pull, Head: a.Head, Merged: w.Item.Kind == Build, Outcome: map[Kind]change.Outcome{Build: change.OutcomeHealthy}[w.Item.Kind], Reviewed: []sighting{{a.Address, a.Head}}})
		}
		if !slices.ContainsFunc(m.works, func(w Work) bool { return !w.Item.over() }) {
			m.holds(t)
			return
		}
	}
	for _, w := range m.works {
		if !w.Item.over() {
			t.Errorf("item %d stays %s: %+v", w.Item.ID, w.Item.State, w)
		}
	}
}
