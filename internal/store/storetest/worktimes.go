package storetest

import (
	"testing"
	"time"

	"slipway/dispatcher"
)

var moment0 = time.Time{}

// far is a time that cannot be written.
func far() time.Time { return time.Date(12_000, 1, 1, 0, 0, 0, 0, time.UTC) }

// testWorkTimes: Due is the next thing that time ends, Overdue what it has.
func testWorkTimes(t *testing.T, place Place) {
	s, clock := start(t, place)
	began := clock.Now()
	at := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
	due := func(t *testing.T, minutes int) {
		t.Helper()
		got, err := s.Due(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wanted := time.Time{}
		if minutes > 0 {
			wanted = at(minutes)
		}
		want(t, got, wanted, "due")
	}
	overdue := func(n int) []dispatcher.ItemID { return workIDs(look(t, s, dispatcher.Scope{Overdue: n}).Works) }
	due(t, 0)

	resting := item("rests")
	resting.NotBefore, resting.Deadline, resting.Raise = at(10), at(90), at(50)
	ids := submit(t, s, resting)
	t.Run("a delay ends", func(t *testing.T) { due(t, 10) })
	clock.Advance(10 * time.Minute)
	t.Run("a delay that is over is no longer due, the next level is", func(t *testing.T) { due(t, 50) })
	t.Run("before its time nothing is overdue", func(t *testing.T) { want(t, overdue(9), nil, "overdue") })

	claimed, attempts := write(t, s, dispatcher.Write{Items: []dispatcher.Item{item("claimed")}, Attempts: []dispatcher.Attempt{attempt(0, 0, 1, clock)}})
	_ = attempts
	hold := func(until, deadline int, f func(w *dispatcher.Work)) {
		rework(t, s, claimed[0], func(w *dispatcher.Work) {
			w.Item.State, w.Item.Raise = dispatcher.Working, at(1)
			w.Attempts[0].Until, w.Attempts[0].Deadline = at(until), at(deadline)
			if f != nil {
				f(w)
			}
		})
	}
	hold(20, 30, nil)
	t.Run("a lease ends; an item that is worked on does not rise", func(t *testing.T) { due(t, 20) })
	hold(40, 30, nil)
	t.Run("an attempt's deadline ends", func(t *testing.T) { due(t, 30) })
	hold(40, 30, func(w *dispatcher.Work) { w.Attempts[0].StandDown = "deadline" })
	t.Run("one that is told to stop has its lease alone", func(t *testing.T) { due(t, 40) })

	clock.Advance(50 * time.Minute)
	t.Run("what is overdue comes the longest overdue first, up to a number", func(t *testing.T) {
		want(t, overdue(1), claimed, "overdue")
		want(t, overdue(9), []dispatcher.ItemID{ids[0], claimed[0]}, "overdue")
	})
	t.Run("an item that is named and overdue comes once", func(t *testing.T) {
		v := look(t, s, dispatcher.Scope{Items: ids, Overdue: 9})
		want(t, workIDs(v.Works), []dispatcher.ItemID{ids[0], claimed[0]}, "works")
	})
	t.Run("what is overdue stays due until it was dealt with", func(t *testing.T) {
		due(t, 40)
		rework(t, s, claimed[0], func(w *dispatcher.Work) { w.Attempts[0].Outcome, w.Item.Deadline = dispatcher.Expired, at(80) })
		due(t, 50)
		rework(t, s, ids[0], func(w *dispatcher.Work) { w.Item.Raise = time.Time{} })
		want(t, overdue(9), nil, "overdue")
		due(t, 80)
		rework(t, s, claimed[0], func(w *dispatcher.Work) { w.Item.State = dispatcher.Dead })
		due(t, 90)
	})
	t.Run("what waits to land has its deadline; what has ended has none", func(t *testing.T) {
		rework(t, s, ids[0], func(w *dispatcher.Work) { w.Item.State = dispatcher.Landing })
		due(t, 90)
		for _, end := range []dispatcher.State{dispatcher.Done, dispatcher.Dead, dispatcher.Cancelled} {
			rework(t, s, ids[0], func(w *dispatcher.Work) { w.Item.State = end })
			due(t, 0)
		}
	})
}
