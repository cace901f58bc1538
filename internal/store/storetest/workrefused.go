package storetest

import (
	"errors"
	"testing"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/ref"
	"slipway/pools"
)

// testWorkRefused: a transaction that is refused, or that decide refuses, leaves
// nothing behind.
func testWorkRefused(t *testing.T, place Place) {
	s, clock := start(t, place)
	one, other := item("one"), item("other")
	one.Key = "one"
	ids, attempts := write(t, s, dispatcher.Write{Items: []dispatcher.Item{one, other}, Attempts: []dispatcher.Attempt{attempt(0, 0, 1, clock)}, Journal: []journal.Entry{{Action: "first"}}})
	asked := dispatcher.Scope{Items: ids[:1], Seats: []pools.Address{seat(0)}}
	unchanged := func(t *testing.T) {
		t.Helper()
		list, err := s.Items(t.Context(), dispatcher.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		want(t, itemIDs(list), []dispatcher.ItemID{ids[1], ids[0]}, "items")
		want(t, []string{list[0].Title, list[1].Title}, []string{"other", "one"}, "titles")
		want(t, len(work(t, s, ids[1]).Attempts), 1, "attempts")
		seats, err := s.Seats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, len(seats), 0, "seats")
		want(t, look(t, s, dispatcher.Scope{Load: true}).Spends, nil, "spends")
		if _, found, err := s.Set(t.Context()); found || err != nil {
			t.Fatalf("a pool config is there: %v", err)
		}
		if list, err := s.Credentials(t.Context()); len(list) > 0 || err != nil {
			t.Fatalf("%d credentials: %v", len(list), err)
		}
		wantWhole(t, s, 1)
		wantNext(t, s, moment0)
	}
	// whole writes something of everything.
	whole := func(v dispatcher.View) dispatcher.Write {
		first := v.Works[0].Item
		first.Title = "changed"
		return dispatcher.Write{
			Items: []dispatcher.Item{first, item("new")}, Attempts: []dispatcher.Attempt{attempt(ids[0], 1, 9, clock)},
			Seats: []dispatcher.Seat{{Address: seat(0)}}, Spends: []dispatcher.Spend{{Pool: seat(0).Pool(), Day: "2026-03-01", Spent: 1}},
			Set: &dispatcher.StoredSet{At: clock.Now()}, Credentials: []dispatcher.Credential{{Hash: "h", Address: seat(0)}},
			Journal: []journal.Entry{{Action: "second"}}, Look: []ref.PullID{pull("app", 1)},
			Numbered: func([]dispatcher.ItemID, []dispatcher.AttemptID) { t.Error("numbers were told of what was refused") },
		}
	}
	t.Run("an error of decide is returned as it is, and nothing stays", func(t *testing.T) {
		ruled := errors.New("the rule says no")
		err := s.Transact(t.Context(), asked, func(v dispatcher.View) (dispatcher.Write, error) { return whole(v), ruled })
		if err != ruled { //nolint:errorlint // this very error, unwrapped
			t.Fatalf("got %v", err)
		}
		unchanged(t)
	})
	for name, c := range map[string]struct {
		spoil func(v dispatcher.View, w *dispatcher.Write)
		kind  fault.Kind
		says  string
	}{
		"an item that was not shown": {func(_ dispatcher.View, w *dispatcher.Write) {
			w.Items[0].ID = ids[1]
		}, fault.Permanent, "item 2 was not shown"},
		"an item that is not there": {func(_ dispatcher.View, w *dispatcher.Write) { w.Items[0].ID = 404 }, fault.Permanent, "item 404"},
		"an item twice":             {func(_ dispatcher.View, w *dispatcher.Write) { w.Items = append(w.Items, w.Items[0]) }, fault.Permanent, "twice"},
		"an item of another repository": {func(_ dispatcher.View, w *dispatcher.Write) {
			w.Items[0].Repo = repo("two")
		}, fault.Permanent, "repository"},
		"an item with another key":          {func(_ dispatcher.View, w *dispatcher.Write) { w.Items[0].Key = "another" }, fault.Permanent, "key"},
		"an item of another submitter":      {func(_ dispatcher.View, w *dispatcher.Write) { w.Items[0].Submitter = "eve" }, fault.Permanent, "submitter"},
		"an amount below nought":            {func(_ dispatcher.View, w *dispatcher.Write) { w.Items[0].Reserved = -1 }, fault.Permanent, "below 0"},
		"a new item without a repository":   {func(_ dispatcher.View, w *dispatcher.Write) { w.Items[1].Repo = ref.RepoID{} }, fault.Permanent, "repository"},
		"a key that another item has":       {func(_ dispatcher.View, w *dispatcher.Write) { w.Items[1].Key = "one" }, fault.Changed, "item 1"},
		"an attempt that was not shown":     {func(_ dispatcher.View, w *dispatcher.Write) { w.Attempts[0].ID = attempts[0] }, fault.Permanent, "attempt 1 was not shown"},
		"an attempt at an item unseen":      {func(_ dispatcher.View, w *dispatcher.Write) { w.Attempts[0].Item = ids[1] }, fault.Permanent, "item 2 was not shown"},
		"an attempt of nobody":              {func(_ dispatcher.View, w *dispatcher.Write) { w.Attempts[0].Address = pools.Address{} }, fault.Permanent, "no coordinate"},
		"a request that another one has":    {func(_ dispatcher.View, w *dispatcher.Write) { w.Attempts[0].Request = "request 0 0 1" }, fault.Changed, "attempt 1"},
		"a seat that was not asked for":     {func(_ dispatcher.View, w *dispatcher.Write) { w.Seats[0].Address = seat(1) }, fault.Permanent, "builder-lite-1"},
		"a spend of no day":                 {func(_ dispatcher.View, w *dispatcher.Write) { w.Spends[0].Day = "today" }, fault.Permanent, "today"},
		"a credential of nobody":            {func(_ dispatcher.View, w *dispatcher.Write) { w.Credentials[0].Address = pools.Address{} }, fault.Permanent, "credential"},
		"an entry that cannot be journaled": {func(_ dispatcher.View, w *dispatcher.Write) { w.Journal[0].At = far() }, fault.Permanent, "second"},
	} {
		t.Run("nothing stays of a write with "+name, func(t *testing.T) {
			err := s.Transact(t.Context(), asked, func(v dispatcher.View) (dispatcher.Write, error) {
				w := whole(v)
				c.spoil(v, &w)
				return w, nil
			})
			wantFault(t, err, c.kind, c.says)
			unchanged(t)
		})
	}
	t.Run("what an attempt is stays", func(t *testing.T) {
		for name, spoil := range map[string]func(a *dispatcher.Attempt){
			"assignment": func(a *dispatcher.Attempt) { a.Assignment.Model = "another" },
			"item":       func(a *dispatcher.Attempt) { a.Item = ids[0] },
			"coordinate": func(a *dispatcher.Attempt) { a.Address = seat(3) },
			"token":      func(a *dispatcher.Attempt) { a.Token++ },
			"request":    func(a *dispatcher.Attempt) { a.Request = "another" },
		} {
			err := s.Transact(t.Context(), dispatcher.Scope{Items: ids}, func(v dispatcher.View) (dispatcher.Write, error) {
				a := v.Works[1].Attempts[0]
				spoil(&a)
				return dispatcher.Write{Attempts: []dispatcher.Attempt{a}}, nil
			})
			wantFault(t, err, fault.Permanent, name)
		}
		unchanged(t)
	})
	t.Run("a token of an item is given once", func(t *testing.T) {
		err := s.Transact(t.Context(), dispatcher.Scope{Items: ids}, func(dispatcher.View) (dispatcher.Write, error) {
			return dispatcher.Write{Attempts: []dispatcher.Attempt{attempt(ids[1], 7, 1, clock)}}, nil
		})
		if err == nil {
			t.Fatal("accepted")
		}
		unchanged(t)
	})
	t.Run("the same write is accepted with nothing wrong in it", func(t *testing.T) {
		transact(t, s, asked, func(v dispatcher.View) dispatcher.Write {
			w := whole(v)
			w.Numbered = nil
			return w
		})
		want(t, work(t, s, ids[0]).Item.Title, "changed", "title")
		wantWhole(t, s, 2)
	})
}
