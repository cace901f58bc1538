package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/journal"
	"slipway/pools"
)

// claimsAtOnce is how many claims one transaction answers when many coordinates
// ask.
const claimsAtOnce = 64

// BenchmarkClaim compares claims, as a match of the dispatcher makes them, with
// rows inserted by one goroutine that does nothing else, as many to a
// transaction.
func BenchmarkClaim(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(b.Context(), Options{Path: filepath.Join(dir, "slipway.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	reference := newRaw(b, filepath.Join(dir, "raw.db"))
	const turn = 40 * claimsAtOnce
	var ours, raw time.Duration
	claimed := 0
	for b.Loop() {
		offer(b, s, turn)
		ours += took(func() {
			for n := 0; n < turn; n += claimsAtOnce {
				claimMany(b, s, claimed+n)
			}
		})
		raw += took(func() { insertRaw(b, reference, claimed, turn) })
		claimed += turn
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(claimed)/ours.Seconds(), "claims/s")
	b.ReportMetric(float64(claimed)/raw.Seconds(), "raw/s")
	b.ReportMetric(raw.Seconds()/ours.Seconds(), "of-raw")
}

func offer(b *testing.B, s *Store, n int) {
	for from := 0; from < n; from += claimsAtOnce {
		var w dispatcher.Write
		for i := range claimsAtOnce {
			w.Items = append(w.Items, dispatcher.Item{
				Kind: dispatcher.Build, Repo: pullID(1).Repo, Title: "Serve the time", Spec: "Say what time it is, in UTC.", Base: "main",
				Selector: pools.Selector{Role: "builder", Tier: "lite"}, Submitter: "ada", State: dispatcher.Ready, Rank: int64(from + i), Raised: dispatcher.Normal,
			})
		}
		err := s.Transact(b.Context(), dispatcher.Scope{}, func(dispatcher.View) (dispatcher.Write, error) { return w, nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// claimMany gives the next items to as many coordinates.
func claimMany(b *testing.B, s *Store, from int) {
	scope := dispatcher.Scope{Ready: []string{"builder-lite"}, PerLane: claimsAtOnce, Load: true, Set: true}
	for n := range claimsAtOnce {
		scope.Seats = append(scope.Seats, pools.Address{Role: "builder", Tier: "lite", Replica: (from + n) % 1000})
		scope.Requests = append(scope.Requests, fmt.Sprint("request ", from+n))
	}
	err := s.Transact(context.Background(), scope, func(v dispatcher.View) (w dispatcher.Write, err error) {
		if len(v.Ready) != claimsAtOnce {
			return w, fmt.Errorf("%d items are ready", len(v.Ready))
		}
		for n, i := range v.Ready {
			i.State = dispatcher.Working
			i.Token++
			w.Items = append(w.Items, i)
			w.Attempts = append(w.Attempts, dispatcher.Attempt{
				Item: i.ID, Address: scope.Seats[n], Token: i.Token, Request: scope.Requests[n], Started: v.Now, Until: v.Now.Add(time.Minute),
				Deadline: v.Now.Add(time.Hour), Phases: []dispatcher.Passed{{Phase: dispatcher.Claimed, At: v.Now}}, Assignment: pools.Assignment{Name: "one", Model: "m"},
				Branch:  fmt.Sprint("work/", i.ID),
				Outcome: dispatcher.Finished, // else all would be live at last
			})
			w.Seats = append(w.Seats, dispatcher.Seat{Address: scope.Seats[n], Seen: v.Now})
			w.Journal = append(w.Journal, journal.Entry{At: v.Now, Actor: "builder-lite-0", Action: "work.claimed", Subject: fmt.Sprint("item ", i.ID), Data: map[string]string{"token": "1", "set": "1", "epoch": "1"}})
		}
		return w, nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
