package storetest

import (
	"fmt"
	"sync"
	"testing"

	"slipway/dispatcher"
	"slipway/internal/journal"
	"slipway/pools"
)

// testWorkRivals: transactions that meet behave as if they came one after the
// other.
func testWorkRivals(t *testing.T, place Place) {
	s, clock := start(t, place)
	const rivals, rounds = 8, 12
	together := func(f func(n int) error) {
		var group sync.WaitGroup
		for n := range rivals {
			group.Go(func() {
				if err := f(n); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	t.Run("on one item they take turns", func(t *testing.T) {
		id := submit(t, s, item("counted"))[0]
		together(func(int) error {
			for range rounds {
				err := s.Transact(t.Context(), dispatcher.Scope{Items: []dispatcher.ItemID{id}}, func(v dispatcher.View) (dispatcher.Write, error) {
					i := v.Works[0].Item
					i.Token++
					return dispatcher.Write{Items: []dispatcher.Item{i}, Journal: []journal.Entry{{Action: "counted", Subject: fmt.Sprint(i.Token)}}}, nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		want(t, work(t, s, id).Item.Token, rivals*rounds, "counted")
		wantWhole(t, s, rivals*rounds)
		rework(t, s, id, func(w *dispatcher.Work) { w.Item.State = dispatcher.Done })
	})
	t.Run("on one seat they take turns, also when nobody knew it before", func(t *testing.T) {
		together(func(int) error {
			for range rounds {
				err := s.Transact(t.Context(), dispatcher.Scope{Seats: []pools.Address{seat(99)}}, func(v dispatcher.View) (dispatcher.Write, error) {
					next := dispatcher.Seat{Address: seat(99)}
					if len(v.Seats) > 0 {
						next = v.Seats[0]
					}
					next.Epoch++
					return dispatcher.Write{Seats: []dispatcher.Seat{next}}, nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		want(t, look(t, s, dispatcher.Scope{Seats: []pools.Address{seat(99)}}).Seats[0].Epoch, rivals*rounds, "epochs")
	})
	t.Run("of one key only the first makes an item", func(t *testing.T) {
		together(func(int) error {
			for n := range rounds {
				key := fmt.Sprint("issue acme/app#", n)
				err := s.Transact(t.Context(), dispatcher.Scope{Key: key}, func(v dispatcher.View) (dispatcher.Write, error) {
					if len(v.Works) > 0 {
						return dispatcher.Write{}, nil
					}
					i := item(key)
					i.Key = key
					return dispatcher.Write{Items: []dispatcher.Item{i}}, nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		list, err := s.Items(t.Context(), dispatcher.Filter{States: []dispatcher.State{dispatcher.Ready}})
		if err != nil {
			t.Fatal(err)
		}
		want(t, len(list), rounds, "items")
	})
	t.Run("what is ready is given to one of them, and all of it is given", func(t *testing.T) {
		var mu sync.Mutex
		given := map[dispatcher.ItemID]int{}
		together(func(n int) error {
			for {
				var mine []dispatcher.ItemID
				scope := dispatcher.Scope{Ready: []string{lane}, PerLane: 2, Seats: []pools.Address{seat(n)}, Load: true}
				err := s.Transact(t.Context(), scope, func(v dispatcher.View) (w dispatcher.Write, err error) {
					mine = itemIDs(v.Ready)
					for _, i := range v.Ready {
						i.State = dispatcher.Working
						i.Token++
						w.Items = append(w.Items, i)
						w.Attempts = append(w.Attempts, attempt(i.ID, n, i.Token, clock))
					}
					w.Seats = []dispatcher.Seat{{Address: seat(n)}}
					return w, nil
				})
				if err != nil {
					return err
				}
				if len(mine) == 0 {
					return nil
				}
				mu.Lock()
				for _, id := range mine {
					given[id]++
				}
				mu.Unlock()
			}
		})
		want(t, len(given), rounds, "items given")
		for id, n := range given {
			want(t, n, 1, fmt.Sprint("times that item ", id, " was given"))
			want(t, len(work(t, s, id).Attempts), 1, fmt.Sprint("attempts at item ", id))
		}
		want(t, look(t, s, dispatcher.Scope{Load: true}).Live, map[pools.PoolName]int{seat(0).Pool(): rounds}, "live attempts")
	})
}
