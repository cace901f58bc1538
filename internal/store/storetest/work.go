package storetest

import (
	"fmt"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/pools"
)

const lane = "builder-lite"

// seat is the n-th coordinate of the lane.
func seat(n int) pools.Address { return pools.Address{Role: "builder", Tier: "lite", Replica: n} }

// item is a new one that waits in the lane.
func item(title string) dispatcher.Item {
	return dispatcher.Item{
		Kind: dispatcher.Build, Repo: repo("app"), Title: title, Selector: pools.Selector{Role: "builder", Tier: "lite"},
		Submitter: "ada", State: dispatcher.Ready, Raised: dispatcher.Normal,
	}
}

// attempt is a new live one of a coordinate.
func attempt(of dispatcher.ItemID, n int, token int64, clock *Clock) dispatcher.Attempt {
	return dispatcher.Attempt{
		Item: of, Address: seat(n), Token: token, Request: fmt.Sprint("request ", of, " ", n, " ", token),
		Started: clock.Now(), Until: clock.Now().Add(time.Minute), Assignment: pools.Assignment{Name: "one", Model: "m"},
	}
}

// transact decides and gives what was seen.
func transact(t testing.TB, s Store, scope dispatcher.Scope, decide func(dispatcher.View) dispatcher.Write) dispatcher.View {
	t.Helper()
	var seen dispatcher.View
	err := s.Transact(t.Context(), scope, func(v dispatcher.View) (dispatcher.Write, error) {
		seen = v
		return decide(v), nil
	})
	if err != nil {
		t.Fatalf("transact: %v", err)
	}
	return seen
}

// look only reads.
func look(t testing.TB, s Store, scope dispatcher.Scope) dispatcher.View {
	t.Helper()
	return transact(t, s, scope, func(dispatcher.View) dispatcher.Write { return dispatcher.Write{} })
}

// write writes what needs nothing to be read, and gives the new numbers.
func write(t testing.TB, s Store, w dispatcher.Write) (items []dispatcher.ItemID, attempts []dispatcher.AttemptID) {
	t.Helper()
	w.Numbered = func(i []dispatcher.ItemID, a []dispatcher.AttemptID) { items, attempts = i, a }
	transact(t, s, dispatcher.Scope{}, func(dispatcher.View) dispatcher.Write { return w })
	return items, attempts
}

// rework rewrites one item and its attempts as f changes them.
func rework(t testing.TB, s Store, id dispatcher.ItemID, f func(w *dispatcher.Work)) {
	t.Helper()
	transact(t, s, dispatcher.Scope{Items: []dispatcher.ItemID{id}}, func(v dispatcher.View) dispatcher.Write {
		w := v.Works[0]
		f(&w)
		return dispatcher.Write{Items: []dispatcher.Item{w.Item}, Attempts: w.Attempts}
	})
}

// submit adds items to wait and gives their numbers.
func submit(t testing.TB, s Store, items ...dispatcher.Item) []dispatcher.ItemID {
	t.Helper()
	ids, _ := write(t, s, dispatcher.Write{Items: items})
	return ids
}

func work(t testing.TB, s Store, id dispatcher.ItemID) dispatcher.Work {
	t.Helper()
	w, found, err := s.Work(t.Context(), id)
	if err != nil || !found {
		t.Fatalf("item %d: found %v, error %v", id, found, err)
	}
	return w
}

func itemIDs(items []dispatcher.Item) (ids []dispatcher.ItemID) {
	for _, i := range items {
		ids = append(ids, i.ID)
	}
	return ids
}

func attemptIDs(attempts []dispatcher.Attempt) (ids []dispatcher.AttemptID) {
	for _, a := range attempts {
		ids = append(ids, a.ID)
	}
	return ids
}

func workIDs(works []dispatcher.Work) (ids []dispatcher.ItemID) {
	for _, w := range works {
		ids = append(ids, w.Item.ID)
	}
	return ids
}

func testWorkKept(t *testing.T, place Place) {
	s, _ := start(t, place)
	given := filled[dispatcher.Item](1000)
	given.ID = 0
	pinned := filled[dispatcher.Attempt](2000)
	pinned.ID, pinned.Item, pinned.Outcome = 0, 0, dispatcher.Live
	sat := filled[dispatcher.Seat](3000)
	var items []dispatcher.ItemID
	var attempts []dispatcher.AttemptID
	transact(t, s, dispatcher.Scope{Seats: []pools.Address{sat.Address}}, func(dispatcher.View) dispatcher.Write {
		return dispatcher.Write{Items: []dispatcher.Item{given}, Attempts: []dispatcher.Attempt{pinned}, Seats: []dispatcher.Seat{sat},
			Numbered: func(i []dispatcher.ItemID, a []dispatcher.AttemptID) { items, attempts = i, a }}
	})
	want(t, items, []dispatcher.ItemID{1}, "numbers of items")
	want(t, attempts, []dispatcher.AttemptID{1}, "numbers of attempts")
	given.ID, pinned.ID, pinned.Item = 1, 1, 1
	t.Run("every field of an item and of an attempt is kept", func(t *testing.T) {
		want(t, work(t, s, 1), dispatcher.Work{Item: given, Attempts: []dispatcher.Attempt{pinned}}, "work")
		want(t, look(t, s, dispatcher.Scope{Attempt: 1}).Works, []dispatcher.Work{{Item: given, Attempts: []dispatcher.Attempt{pinned}}}, "work within a transaction")
	})
	t.Run("every field of a seat is kept but its live attempt, which the attempts tell", func(t *testing.T) {
		sat.Live = 0
		list, err := s.Seats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, list, []dispatcher.Seat{sat}, "seats")
	})
	t.Run("an update replaces every field", func(t *testing.T) {
		next, after := filled[dispatcher.Item](5000), filled[dispatcher.Attempt](6000)
		next.ID, next.Repo, next.Kind, next.Key, next.Pull, next.Submitter = 1, given.Repo, given.Kind, given.Key, given.Pull, given.Submitter
		after.ID, after.Item, after.Address, after.Token, after.Request, after.Assignment = 1, 1, pinned.Address, pinned.Token, pinned.Request, pinned.Assignment
		rework(t, s, 1, func(w *dispatcher.Work) { w.Item, w.Attempts[0] = next, after })
		want(t, work(t, s, 1), dispatcher.Work{Item: next, Attempts: []dispatcher.Attempt{after}}, "work")
	})
	t.Run("times come back in UTC at microseconds, and the caller's are left alone", func(t *testing.T) {
		odd := time.Date(2026, 3, 1, 13, 0, 0, 123_456_789, time.FixedZone("east", 3600))
		kept := time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)
		i, a := item("odd"), attempt(0, 1, 1, NewClock())
		i.Deadline, a.Until, a.Phases = odd, odd, []dispatcher.Passed{{Phase: dispatcher.Claimed, At: odd}}
		ids, _ := write(t, s, dispatcher.Write{Items: []dispatcher.Item{i}, Attempts: []dispatcher.Attempt{a}})
		got := work(t, s, ids[0])
		want(t, []time.Time{got.Item.Deadline, got.Attempts[0].Until, got.Attempts[0].Phases[0].At}, []time.Time{kept, kept, kept}, "times")
		want(t, a.Phases[0].At.Nanosecond(), 123_456_789, "the caller's time")
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		_, found, err := s.Work(t.Context(), 404)
		if found || err != nil {
			t.Fatalf("found %v, error %v", found, err)
		}
	})
	t.Run("what is no text is kept as text", func(t *testing.T) {
		i := item("a\xff\x00b")
		i.Key, i.Submitter = "key \xff\x00", "\x00"
		id := submit(t, s, i)[0]
		want(t, workIDs(look(t, s, dispatcher.Scope{Key: i.Key}).Works), []dispatcher.ItemID{id}, "the item with the key")
	})
}

func testWorkScopes(t *testing.T, place Place) {
	s, clock := start(t, place)
	one, two, three := item("one"), item("two"), item("three")
	one.Key = "issue acme/app#3"
	one.Rank, two.Rank, three.Rank = 5, 7, 9
	three.Repo, three.Selector = repo("two"), pools.Selector{Role: "reviewer"}
	ids := submit(t, s, one, two, three)
	var attempts []dispatcher.AttemptID
	transact(t, s, dispatcher.Scope{Items: ids, Seats: []pools.Address{seat(0), seat(1)}}, func(v dispatcher.View) dispatcher.Write {
		ended := attempt(ids[1], 0, 1, clock)
		ended.Outcome, ended.Ended = dispatcher.Failed, v.Now
		live := attempt(ids[1], 1, 2, clock)
		two := v.Works[1].Item
		two.State = dispatcher.Working
		return dispatcher.Write{Items: []dispatcher.Item{two}, Attempts: []dispatcher.Attempt{ended, live},
			Seats:    []dispatcher.Seat{{Address: seat(1), Cordoned: true}, {Address: seat(0)}},
			Spends:   []dispatcher.Spend{{Pool: seat(0).Pool(), Day: "2026-03-01", Spent: 3, Reserved: 4}, {Pool: seat(0).Pool(), Day: "2026-02-28", Spent: 9}},
			Numbered: func(_ []dispatcher.ItemID, a []dispatcher.AttemptID) { attempts = a }}
	})
	for name, c := range map[string]struct {
		scope dispatcher.Scope
		want  []dispatcher.ItemID
	}{
		"nothing is read for an empty scope":                {dispatcher.Scope{}, nil},
		"items are read by id, each once, lowest first":     {dispatcher.Scope{Items: []dispatcher.ItemID{ids[2], ids[0], ids[2]}}, []dispatcher.ItemID{ids[0], ids[2]}},
		"an item that is not there is left out":             {dispatcher.Scope{Items: []dispatcher.ItemID{404, ids[1]}}, []dispatcher.ItemID{ids[1]}},
		"a key brings its item":                             {dispatcher.Scope{Key: "issue acme/app#3"}, []dispatcher.ItemID{ids[0]}},
		"a key that nobody has brings nothing":              {dispatcher.Scope{Key: "issue acme/app#4"}, nil},
		"an attempt brings its item":                        {dispatcher.Scope{Attempt: attempts[0]}, []dispatcher.ItemID{ids[1]}},
		"a request brings its attempt's item":               {dispatcher.Scope{Request: fmt.Sprintf("request %d 1 2", ids[1])}, []dispatcher.ItemID{ids[1]}},
		"requests bring their attempts' items, each once":   {dispatcher.Scope{Requests: []string{fmt.Sprintf("request %d 1 2", ids[1]), fmt.Sprintf("request %d 0 1", ids[1]), "none"}}, []dispatcher.ItemID{ids[1]}},
		"the parts of a scope are read together, each once": {dispatcher.Scope{Items: ids[1:2], Attempt: attempts[1], Key: "issue acme/app#3"}, []dispatcher.ItemID{ids[0], ids[1]}},
	} {
		t.Run(name, func(t *testing.T) { want(t, workIDs(look(t, s, c.scope).Works), c.want, "works") })
	}
	t.Run("an item comes with all its attempts, oldest first", func(t *testing.T) {
		v := look(t, s, dispatcher.Scope{Request: fmt.Sprintf("request %d 1 2", ids[1])})
		want(t, attemptIDs(v.Works[0].Attempts), attempts, "attempts")
		want(t, v.Now, clock.Now(), "the store's clock")
	})
	t.Run("seats that are known come with their live attempt", func(t *testing.T) {
		v := look(t, s, dispatcher.Scope{Seats: []pools.Address{seat(2), seat(1), seat(0)}})
		want(t, v.Seats, []dispatcher.Seat{{Address: seat(0)}, {Address: seat(1), Cordoned: true, Live: attempts[1]}}, "seats")
	})
	t.Run("the load is what is live, and what was spent today", func(t *testing.T) {
		v := look(t, s, dispatcher.Scope{Load: true})
		want(t, v.Live, map[pools.PoolName]int{seat(0).Pool(): 1}, "live attempts")
		want(t, v.Spends, []dispatcher.Spend{{Pool: seat(0).Pool(), Day: "2026-03-01", Spent: 3, Reserved: 4}}, "spends")
	})
	t.Run("front and last are the ranks that wait in a lane, and of a flow there", func(t *testing.T) {
		for _, c := range []struct {
			flow        dispatcher.FlowID
			front, last int64
		}{{dispatcher.FlowID{Lane: lane, Flow: one.Flow()}, 5, 5}, {dispatcher.FlowID{Lane: lane, Flow: "another"}, 5, 0}, {dispatcher.FlowID{Lane: "reviewer", Flow: three.Flow()}, 9, 9}, {dispatcher.FlowID{Lane: "nobody", Flow: three.Flow()}, 0, 0}} {
			v := look(t, s, dispatcher.Scope{Flow: &c.flow})
			want(t, []int64{v.Front, v.Last}, []int64{c.front, c.last}, fmt.Sprint(c.flow))
		}
	})
	t.Run("without a pool config there is none", func(t *testing.T) {
		if v := look(t, s, dispatcher.Scope{Set: true}); v.Set != nil {
			t.Fatalf("got %v", v.Set)
		}
	})
	testReady(t, s, clock)
}

// testReady: what may be offered comes in its order.
func testReady(t *testing.T, s Store, clock *Clock) {
	const lane = "builder-heavy"
	heavy := func(title string, level dispatcher.Level, rank int64, notBefore time.Duration) dispatcher.Item {
		i := item(title)
		i.Selector.Tier, i.Raised, i.Rank = "heavy", level, rank
		if notBefore > 0 {
			i.NotBefore = clock.Now().Add(notBefore)
		}
		return i
	}
	ids := submit(t, s,
		heavy("later", dispatcher.Normal, 30, 0), heavy("first", dispatcher.Normal, 10, 0), heavy("raised", dispatcher.High, 99, 0),
		heavy("rests", dispatcher.Highest, 1, time.Minute), heavy("equal", dispatcher.Normal, 10, 0))
	offered := func(scope dispatcher.Scope) (got []dispatcher.ItemID) {
		return itemIDs(look(t, s, scope).Ready)
	}
	t.Run("the higher level comes first, then the lower rank, then the older", func(t *testing.T) {
		want(t, offered(dispatcher.Scope{Ready: []string{lane}, PerLane: 9}), []dispatcher.ItemID{ids[2], ids[1], ids[4], ids[0]}, "ready")
	})
	t.Run("no more of a lane than asked for, lane after lane, each once", func(t *testing.T) {
		want(t, offered(dispatcher.Scope{Ready: []string{lane, "nobody", "reviewer", lane}, PerLane: 2}), []dispatcher.ItemID{ids[2], ids[1], 3}, "ready")
		want(t, offered(dispatcher.Scope{Ready: []string{lane}}), nil, "ready")
	})
	t.Run("what rests is offered when its rest is over", func(t *testing.T) {
		clock.Advance(time.Minute)
		want(t, offered(dispatcher.Scope{Ready: []string{lane}, PerLane: 1}), []dispatcher.ItemID{ids[3]}, "ready")
	})
	t.Run("what is not ready is not offered", func(t *testing.T) {
		rework(t, s, ids[3], func(w *dispatcher.Work) { w.Item.State = dispatcher.Working })
		want(t, offered(dispatcher.Scope{Ready: []string{lane}, PerLane: 1}), []dispatcher.ItemID{ids[2]}, "ready")
	})
}

func testWorkWrites(t *testing.T, place Place) {
	s, clock := start(t, place)
	t.Run("numbers rise, in order, and are told after the commit", func(t *testing.T) {
		want(t, submit(t, s, item("a"), item("b")), []dispatcher.ItemID{1, 2}, "numbers")
		ids, attempts := write(t, s, dispatcher.Write{Items: []dispatcher.Item{item("c"), item("d")}, Attempts: []dispatcher.Attempt{attempt(0, 0, 1, clock), attempt(0, 1, 2, clock)}})
		if ids[0] <= 2 || ids[1] <= ids[0] || attempts[1] <= attempts[0] {
			t.Fatalf("numbers %v and %v", ids, attempts)
		}
		want(t, attemptIDs(work(t, s, ids[1]).Attempts), attempts, "attempts of the last new item")
	})
	t.Run("an entry about the new item gets its number", func(t *testing.T) {
		ids, _ := write(t, s, dispatcher.Write{Items: []dispatcher.Item{item("e")}, Journal: []journal.Entry{{Action: "work.submitted", Subject: dispatcher.NewItem}, {Action: "other", Subject: "item 00"}}})
		wantWhole(t, s, 2)
		got, err := s.Entries(t.Context(), 0, 9)
		if err != nil {
			t.Fatal(err)
		}
		want(t, []string{got[0].Subject, got[1].Subject}, []string{fmt.Sprint("item ", ids[0]), "item 00"}, "subjects")
		about := journal.Entry{Action: "work.submitted", Subject: dispatcher.NewItem}
		ids, _ = write(t, s, dispatcher.Write{Items: []dispatcher.Item{item("f"), item("g")}, Journal: []journal.Entry{about, about, about}})
		if got, err = s.Entries(t.Context(), 2, 9); err != nil {
			t.Fatal(err)
		}
		want(t, []string{got[0].Subject, got[1].Subject, got[2].Subject}, []string{fmt.Sprint("item ", ids[0]), fmt.Sprint("item ", ids[1]), fmt.Sprint("item ", ids[1])}, "subjects of several")
	})
	t.Run("spends are added up, for each pool and day", func(t *testing.T) {
		p := seat(0).Pool()
		write(t, s, dispatcher.Write{Spends: []dispatcher.Spend{{Pool: p, Day: "2026-03-01", Reserved: 10}, {Pool: p, Day: "2026-03-01", Reserved: 5, Spent: 1}}})
		write(t, s, dispatcher.Write{Spends: []dispatcher.Spend{{Pool: p, Day: "2026-03-01", Reserved: -12, Spent: 7}, {Pool: p, Day: "2026-03-02", Spent: 99}}})
		want(t, look(t, s, dispatcher.Scope{Load: true}).Spends, []dispatcher.Spend{{Pool: p, Day: "2026-03-01", Spent: 8, Reserved: 3}}, "spends")
	})
	t.Run("pull requests to look at are due as changes, at once", func(t *testing.T) {
		write(t, s, dispatcher.Write{Look: []ref.PullID{pull("app", 1), pull("app", 1)}})
		select {
		case <-s.Woken():
		default:
			t.Error("the queue was not woken")
		}
		wantClaims(t, s, clock, 5, "change acme/app#1")
	})
	t.Run("items that became ready are offered, and nothing else is", func(t *testing.T) {
		signalled := func() bool {
			select {
			case <-s.Offered():
				return true
			default:
				return false
			}
		}
		signalled()
		id := submit(t, s, item("f"))[0]
		want(t, signalled(), true, "signal for a new item")
		rework(t, s, id, func(w *dispatcher.Work) { w.Item.State = dispatcher.Working })
		look(t, s, dispatcher.Scope{Items: []dispatcher.ItemID{id}})
		want(t, signalled(), false, "signal for an item that is worked on")
		rework(t, s, id, func(w *dispatcher.Work) { w.Item.State = dispatcher.Ready })
		want(t, signalled(), true, "signal for an item that is given back")
	})
	t.Run("what stands elsewhere in the store and what is worked on share one journal", func(t *testing.T) {
		c := simple(7)
		commit(t, s, reconcile.Write{Change: &c, Journal: []journal.Entry{{Action: "change"}}})
		write(t, s, dispatcher.Write{Journal: []journal.Entry{{Action: "work"}}})
		wantWhole(t, s, 7)
	})
}
