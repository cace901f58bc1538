package dispatcher

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"slipway/internal/journal"
	"slipway/internal/ref"
	"slipway/pools"
)

// ledger is a store's behaviour in memory, one transaction after the other. It
// checks of every Write what a store would refuse, and that nothing moves
// without an entry in the journal.
type ledger struct {
	fail    func(format string, args ...any)
	now     time.Time
	works   []Work // by id
	seats   map[pools.Address]Seat
	spends  map[account]Spend
	set     *StoredSet
	journal []journal.Entry
	looks   []ref.PullID
	// attempts counts those that were numbered.
	attempts AttemptID
}

type account struct {
	pool pools.PoolName
	day  string
}

func newLedger(fail func(format string, args ...any)) *ledger {
	return &ledger{fail: fail, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), seats: map[pools.Address]Seat{}, spends: map[account]Spend{}}
}

// transact carries out what decide says about a scope, and gives the numbers of
// what is new.
func (l *ledger) transact(scope Scope, decide func(View) Write) (items []ItemID, attempts []AttemptID) {
	v := l.view(scope)
	w := decide(v)
	again := decide(l.view(scope))
	if !reflect.DeepEqual(w, again) {
		l.fail("the step does not decide the same twice:\n%+v\n%+v", w, again)
	}
	return l.carryOut(w)
}

func (l *ledger) view(scope Scope) View {
	v := View{Now: l.now}
	for _, w := range l.works {
		if l.named(w, scope) {
			v.Works = append(v.Works, l.copied(w))
		}
	}
	for _, name := range scope.Ready {
		var of []Item
		for _, w := range l.works {
			if w.Item.State == Ready && w.Item.Lane() == name && !w.Item.NotBefore.After(l.now) {
				of = append(of, w.Item)
			}
		}
		slices.SortFunc(of, before)
		v.Ready = append(v.Ready, of[:min(len(of), scope.PerLane)]...)
	}
	if f := scope.Flow; f != nil {
		for _, w := range l.works {
			if i := w.Item; i.State == Ready && i.Lane() == f.Lane {
				if v.Front == 0 || i.Rank < v.Front {
					v.Front = i.Rank
				}
				if i.Flow() == f.Flow {
					v.Last = max(v.Last, i.Rank)
				}
			}
		}
	}
	for _, a := range scope.Seats {
		if s, known := l.seats[a]; known {
			s.Live = l.liveAt(a)
			v.Seats = append(v.Seats, s)
		}
	}
	if scope.Load {
		v.Live = map[pools.PoolName]int{}
		for _, a := range l.all() {
			if a.Outcome == Live {
				v.Live[a.Address.Pool()]++
			}
		}
		for _, s := range l.spends {
			if s.Day == day(l.now) {
				v.Spends = append(v.Spends, s)
			}
		}
		slices.SortFunc(v.Spends, func(a, b Spend) int { return strings.Compare(a.Pool.String(), b.Pool.String()) })
	}
	if scope.Set {
		v.Set = l.set
	}
	return v
}

func (l *ledger) named(w Work, scope Scope) bool {
	if slices.Contains(scope.Items, w.Item.ID) || (scope.Key != "" && w.Item.Key == scope.Key) {
		return true
	}
	if scope.Overdue > 0 && l.late(w) {
		return true
	}
	return slices.ContainsFunc(w.Attempts, func(a Attempt) bool {
		return a.ID == scope.Attempt || (scope.Request != "" && a.Request == scope.Request) || slices.Contains(scope.Requests, a.Request)
	})
}

// late says whether time has ended something of a work.
func (l *ledger) late(w Work) bool {
	over := func(t time.Time) bool { return !t.IsZero() && !t.After(l.now) }
	if !w.Item.over() && over(w.Item.Deadline) || w.Item.State == Ready && over(w.Item.Raise) {
		return true
	}
	return slices.ContainsFunc(w.Attempts, func(a Attempt) bool {
		return a.Outcome == Live && (over(a.Until) || a.StandDown == "" && over(a.Deadline))
	})
}

func (l *ledger) copied(w Work) Work {
	w.Attempts = slices.Clone(w.Attempts)
	for n := range w.Attempts {
		w.Attempts[n].Phases = slices.Clone(w.Attempts[n].Phases)
	}
	return w
}

func (l *ledger) carryOut(w Write) (items []ItemID, attempts []AttemptID) {
	said := map[string]bool{}
	for _, e := range w.Journal {
		said[e.Subject] = true
	}
	for _, i := range w.Items {
		if i.Spent < 0 || i.Reserved < 0 {
			l.fail("item %d has an amount below 0: %+v", i.ID, i)
		}
		if i.ID == 0 {
			if !said[NewItem] {
				l.fail("a new item is not in the journal")
			}
			i.ID = ItemID(len(l.works) + 1)
			l.works = append(l.works, Work{Item: i})
			items = append(items, i.ID)
			continue
		}
		was := l.works[i.ID-1].Item
		if was.Token > i.Token {
			l.fail("the token of item %d went down", i.ID)
		}
		if (was.State != i.State || was.Raised != i.Raised || was.Accepted != i.Accepted) && !said[subject(i.ID)] {
			l.fail("item %d went from %s to %s without an entry: %+v", i.ID, was.State, i.State, w.Journal)
		}
		l.works[i.ID-1].Item = i
	}
	for _, a := range w.Attempts {
		work := &l.works[a.Item-1]
		if a.ID == 0 {
			l.attempts++
			a.ID = l.attempts
			attempts = append(attempts, a.ID)
			work.Attempts = append(work.Attempts, a)
			continue
		}
		n := slices.IndexFunc(work.Attempts, func(o Attempt) bool { return o.ID == a.ID })
		was := work.Attempts[n]
		if was.Token != a.Token || was.Address != a.Address || was.Config != a.Config || was.Set != a.Set || !reflect.DeepEqual(was.Assignment, a.Assignment) {
			l.fail("attempt %d became another: %+v, %+v", a.ID, was, a)
		}
		if a.Cost.Amount < was.Cost.Amount || a.Cost.Tokens.Total() < was.Cost.Tokens.Total() {
			l.fail("the totals of attempt %d went down", a.ID)
		}
		if (was.Outcome != a.Outcome || was.StandDown != a.StandDown || was.Head != a.Head) && !said[subject(a.Item)] {
			l.fail("attempt %d moved without an entry: %+v", a.ID, a)
		}
		work.Attempts[n] = a
	}
	for _, s := range w.Seats {
		l.seats[s.Address] = s
	}
	for _, s := range w.Spends {
		sum := l.spends[account{s.Pool, s.Day}]
		sum.Pool, sum.Day = s.Pool, s.Day
		sum.Spent, sum.Reserved = sum.Spent+s.Spent, sum.Reserved+s.Reserved
		l.spends[account{s.Pool, s.Day}] = sum
	}
	if w.Set != nil {
		set := *w.Set
		set.Number = l.set.Number + 1
		l.set = &set
	}
	l.journal = append(l.journal, w.Journal...)
	l.looks = append(l.looks, w.Look...)
	return items, attempts
}

// all are the attempts of all items.
func (l *ledger) all() []Attempt {
	var out []Attempt
	for _, w := range l.works {
		out = append(out, w.Attempts...)
	}
	return out
}

func (l *ledger) attempt(id AttemptID) Attempt {
	for _, a := range l.all() {
		if a.ID == id {
			return a
		}
	}
	l.fail("there is no attempt %d", id)
	return Attempt{}
}

func (l *ledger) item(id ItemID) Item { return l.works[id-1].Item }

func (l *ledger) liveAt(a pools.Address) AttemptID {
	for _, one := range l.all() {
		if one.Address == a && one.Outcome == Live {
			return one.ID
		}
	}
	return 0
}

// lanes are those that have items.
func (l *ledger) lanes() []string {
	names := map[string]bool{}
	for _, w := range l.works {
		names[w.Item.Lane()] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// said counts the entries with an action.
func (l *ledger) said(action string) int {
	n := 0
	for _, e := range l.journal {
		if e.Action == action {
			n++
		}
	}
	return n
}

// The pool config of the tests: three light builders, one heavy, two reviewers.
func fixture() *StoredSet {
	assignment := func(name, model string, budget pools.Money) pools.Assignment {
		return pools.Assignment{Name: name, Provider: "acme", Model: model, Budget: budget, Prices: pools.Prices{Input: 1_000_000, Output: 2_000_000}}
	}
	s := pools.Set{
		Number: 1, Vocabulary: pools.Vocabulary{Roles: []string{"builder", "reviewer"}, Tiers: []string{"heavy", "lite"}}, Currency: "EUR",
		Shapes: []string{"bugfix", "feature"},
		Pools: []pools.Pool{
			{Name: pools.PoolName{Role: "builder", Tier: "heavy"}, Replicas: 1},
			{Name: pools.PoolName{Role: "builder", Tier: "lite"}, Replicas: 3, Daily: 20_000_000},
			{Name: pools.PoolName{Role: "reviewer", Tier: "lite"}, Replicas: 2},
		},
		Assignments: map[string]pools.Assignment{
			"small": assignment("small", "acme/small", 2_000_000), "large": assignment("large", "acme/large", 0), "other": assignment("other", "other-one", 1_000_000),
		},
		Replicas: map[pools.Address]string{},
	}
	for name, runs := range map[string]string{
		"builder-heavy-0": "large", "builder-lite-0": "small", "builder-lite-1": "small", "builder-lite-2": "other", "reviewer-lite-0": "other", "reviewer-lite-1": "large",
	} {
		s.Replicas[at(name)] = runs
	}
	return &StoredSet{Set: s}
}

// at reads an address that a test writes.
func at(name string) pools.Address {
	a, err := pools.ReadAddress(name)
	if err != nil {
		panic(err)
	}
	return a
}

var (
	testTerms = terms{}.said()
	app       = ref.RepoID{Owner: "acme", Name: "app"}
)

func pullOf(n int64) ref.PullID { return ref.PullID{Repo: app, Number: n} }

// headOf makes a commit id of a number.
func headOf(n int) ref.SHA { return ref.SHA(fmt.Sprintf("%040x", n)) }

func otherRepo() ref.RepoID { return ref.RepoID{Owner: "acme", Name: "tool"} }
