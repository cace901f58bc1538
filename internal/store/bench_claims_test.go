package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
	"slipway/pools"
)

// builders is how many coordinates ask for work at once.
const builders = 1000

// BenchmarkB8 lets 1,000 builders ask for work by long poll, again and again
// while there is some, and compares the claims of a second with two references
// on the same disk: short rows inserted by one goroutine that does nothing else,
// 64 to a transaction ("raw", as in BenchmarkAccept), and four rows for each
// claim, as long as what a claim writes of its item, its attempt, its seat and
// the journal, and for as many claims in one transaction as one match answers
// ("written"). A round is one claim of each builder; what ends the attempts and
// offers new items is between the rounds. They take turns with the references,
// so that a noisy machine is as unkind to each.
func BenchmarkB8(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(b.Context(), Options{Path: filepath.Join(dir, "slipway.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	reference := newRaw(b, filepath.Join(dir, "raw.db"))
	d := running(b, s)
	if _, _, err := d.Apply(b.Context(), "olga", "file", squadron()); err != nil {
		b.Fatal(err)
	}
	const rounds = 5
	var ours, raw, written time.Duration
	var waits []time.Duration
	claims, round, rows := 0, 0, 0
	for b.Loop() {
		for range rounds {
			offerWork(b, s, builders)
			round++
			all, waited := claimAll(b, d, round)
			ours += all
			waits = append(waits, waited...)
			claims += builders
			raw += took(func() { insertRaw(b, reference, rows, builders/connections*connections) })
			rows += builders
			lengths := lengthsOf(b, s)
			written += took(func() { insertWritten(b, reference, lengths) })
			endAll(b, s)
		}
	}
	slices.Sort(waits)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(claims)/ours.Seconds(), "claims/s")
	inserted := float64(claims / builders * (builders / connections * connections))
	b.ReportMetric(inserted/raw.Seconds(), "raw/s")
	b.ReportMetric(float64(claims)/written.Seconds(), "written/s")
	b.ReportMetric(float64(claims)/ours.Seconds()/(inserted/raw.Seconds()), "of-raw")
	b.ReportMetric(written.Seconds()/ours.Seconds(), "of-written")
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
}

// lengthsOf are how long the documents are that the last round's claims wrote.
func lengthsOf(b *testing.B, s *Store) (lengths []int) {
	for _, query := range []string{
		"SELECT length(document) FROM items WHERE state = 'working' ORDER BY id DESC LIMIT 1",
		"SELECT length(document) FROM attempts ORDER BY id DESC LIMIT 1",
		"SELECT length(document) FROM seats LIMIT 1",
		"SELECT length(actor) + length(action) + length(subject) + length(identity) + length(data) + length(prev) + length(hash) FROM journal WHERE action = 'work.claimed' LIMIT 1",
	} {
		var n int
		if found, err := s.row(b.Context(), query, nil, &n); err != nil || !found {
			b.Fatal(query, found, err)
		}
		lengths = append(lengths, n)
	}
	return lengths
}

// insertWritten inserts, for each builder, one row of each length.
func insertWritten(b *testing.B, s *session, lengths []int) {
	const together = 256 // claims to a transaction
	ctx := context.Background()
	for from := 0; from < builders; from += together {
		_, err := s.exec(ctx, "BEGIN IMMEDIATE")
		for range min(together, builders-from) {
			for _, n := range lengths {
				_, one := s.exec(ctx, "INSERT INTO raw (key, due_at) VALUES (?, ?)", strings.Repeat("x", n), time.Now().UnixMicro())
				err = errors.Join(err, one)
			}
		}
		_, last := s.exec(ctx, "COMMIT")
		if err := errors.Join(err, last); err != nil {
			b.Fatal(err)
		}
	}
}

// running is a dispatcher at work over a store.
func running(b *testing.B, s *Store) *dispatcher.Dispatcher {
	d := dispatcher.New(dispatcher.Config{
		Store: s, Changes: s, Log: slog.New(slog.DiscardHandler), Login: pools.Address.String,
		Serves: func(ref.RepoID) (string, bool) { return "main", true },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return d
}

// squadron is a pool config with all the builders.
func squadron() pools.Set {
	s := pools.Set{
		Vocabulary: pools.Vocabulary{Roles: []string{"builder"}, Tiers: []string{"lite"}}, Currency: "USD",
		Pools:       []pools.Pool{{Name: pools.PoolName{Role: "builder", Tier: "lite"}, Replicas: builders}},
		Assignments: map[string]pools.Assignment{"alpha": {Name: "alpha", Provider: "works", Model: "alpha-1", Budget: 2_000_000}},
		Replicas:    map[pools.Address]string{}, Source: "the squadron",
	}
	for n := range builders {
		s.Replicas[builderOf(n)] = "alpha"
	}
	return s
}

func builderOf(n int) pools.Address { return pools.Address{Role: "builder", Tier: "lite", Replica: n} }

// offerWork lets n items wait, of ten repositories.
func offerWork(b *testing.B, s *Store, n int) {
	err := s.Transact(b.Context(), dispatcher.Scope{}, func(v dispatcher.View) (dispatcher.Write, error) {
		var w dispatcher.Write
		for k := range n {
			w.Items = append(w.Items, dispatcher.Item{
				Kind: dispatcher.Build, Repo: ref.RepoID{Owner: "acme", Name: fmt.Sprint("app", k%10)}, Title: "Mend the pump",
				Spec:     "It leaks where the inlet meets the housing. Find out why, mend it, and add a test that fails without the mend.",
				Selector: pools.Selector{Role: "builder", Tier: "lite"}, Base: "main", Level: dispatcher.Normal, Raised: dispatcher.Normal,
				Mode: dispatcher.Single, Submitter: "sam", Submitted: v.Now, State: dispatcher.Ready, Since: v.Now, Rank: int64(k / 10), Raise: v.Now.Add(time.Hour),
			})
		}
		return w, nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// claimAll has every builder claim at once, and says how long all of it took,
// and each of them.
func claimAll(b *testing.B, d *dispatcher.Dispatcher, round int) (all time.Duration, each []time.Duration) {
	each = make([]time.Duration, builders)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for n := range builders {
		ready.Add(1)
		done.Go(func() {
			ask := dispatcher.ClaimRequest{Request: fmt.Sprint("round ", round), Wait: 50}
			ready.Done()
			<-start
			began := time.Now()
			g, err := d.Claim(b.Context(), builderOf(n), ask)
			if err != nil || g == nil {
				b.Errorf("%s got %v, %v", builderOf(n), g, err)
			}
			each[n] = time.Since(began)
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	return time.Since(began), each
}

// endAll ends all attempts that are live, and their items.
func endAll(b *testing.B, s *Store) {
	live, err := s.Items(b.Context(), dispatcher.Filter{States: []dispatcher.State{dispatcher.Working}})
	if err != nil {
		b.Fatal(err)
	}
	var scope dispatcher.Scope
	for _, i := range live {
		scope.Items = append(scope.Items, i.ID)
	}
	err = s.Transact(b.Context(), scope, func(v dispatcher.View) (dispatcher.Write, error) {
		var w dispatcher.Write
		for _, work := range v.Works {
			work.Item.State, work.Item.Ended = dispatcher.Done, v.Now
			w.Items = append(w.Items, work.Item)
			for _, a := range work.Attempts {
				a.Outcome, a.Ended = dispatcher.Shipped, v.Now
				w.Attempts = append(w.Attempts, a)
			}
		}
		return w, nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
