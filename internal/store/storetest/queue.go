package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

const (
	keyA = reconcile.Key("change acme/app#1")
	keyB = reconcile.Key("target acme/app/production")
	keyC = reconcile.Key("repo acme/app")
)

func testQueue(t *testing.T, place Place) {
	for name, test := range map[string]func(*testing.T, Store, *Clock){
		"an empty queue has nothing to claim and no next time": func(t *testing.T, s Store, clock *Clock) {
			wantClaims(t, s, clock, 5)
			wantNext(t, s, time.Time{})
		},
		"a key is claimed when it is due and not before": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now().Add(time.Second))
			wantClaims(t, s, clock, 5)
			wantNext(t, s, clock.Now().Add(time.Second))
			clock.Advance(time.Second)
			wantClaims(t, s, clock, 5, keyA)
		},
		"the longest due come first, up to n": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now().Add(-1*time.Second))
			due(t, s, keyB, clock.Now().Add(-3*time.Second))
			due(t, s, keyC, clock.Now().Add(-2*time.Second))
			wantClaims(t, s, clock, 2, keyB, keyC)
			wantClaims(t, s, clock, 2, keyA)
		},
		"a kind that is asked for is claimed, and no other": func(t *testing.T, s Store, clock *Clock) {
			target := reconcile.TargetKey(ref.TargetID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Environment: "change"})
			due(t, s, target, clock.Now().Add(-time.Second))
			due(t, s, keyA, clock.Now())
			next, err := s.Next(t.Context(), reconcile.KindChange, reconcile.KindBranch)
			if err != nil {
				t.Fatal(err)
			}
			want(t, next, clock.Now(), "next time of a change")
			claims, err := s.Claim(t.Context(), clock.Now(), 5, time.Minute, reconcile.KindChange, reconcile.KindBranch)
			if err != nil || len(claims) != 1 || claims[0].Key != keyA {
				t.Fatalf("claimed %v: %v", claims, err)
			}
			wantClaims(t, s, clock, 5, target)
		},
		"asking for none claims none": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			wantClaims(t, s, clock, 0)
			wantClaims(t, s, clock, 1, keyA)
		},
		"a lease of nothing is refused": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			_, err := s.Claim(t.Context(), clock.Now(), 1, 0)
			wantFault(t, err, fault.Permanent, "lease")
			wantClaims(t, s, clock, 1, keyA)
		},
		"a held key is not claimed, and next is the end of its lease": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			c := claimOne(t, s, clock, keyA, time.Minute)
			want(t, c.Until, clock.Now().Add(time.Minute), "lease")
			due(t, s, keyA, clock.Now())
			wantClaims(t, s, clock, 5)
			wantNext(t, s, c.Until)
		},
		"an earlier due time stands": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now().Add(5*time.Second))
			due(t, s, keyA, clock.Now().Add(9*time.Second))
			wantNext(t, s, clock.Now().Add(5*time.Second))
			due(t, s, keyA, clock.Now().Add(2*time.Second))
			wantNext(t, s, clock.Now().Add(2*time.Second))
		},
		"a due time of zero is now": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, time.Time{})
			wantNext(t, s, clock.Now())
			wantClaims(t, s, clock, 1, keyA)
		},
		"the sequence rises with every due, coalesced or not": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			first := claimOne(t, s, clock, keyA, time.Minute)
			due(t, s, keyA, clock.Now())
			due(t, s, keyA, clock.Now())
			done(t, s, first, time.Time{}, false)
			second := claimOne(t, s, clock, keyA, time.Minute)
			want(t, second.Seq, first.Seq+2, "sequence")
			if second.Token <= first.Token {
				t.Fatalf("token %d after %d", second.Token, first.Token)
			}
		},
		"a key given back without a time rests until it is due": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			done(t, s, claimOne(t, s, clock, keyA, time.Minute), time.Time{}, false)
			wantNext(t, s, time.Time{})
			clock.Advance(time.Hour)
			wantClaims(t, s, clock, 5)
			due(t, s, keyA, clock.Now())
			wantClaims(t, s, clock, 5, keyA)
		},
		"a key given back with a time is due then": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			done(t, s, claimOne(t, s, clock, keyA, time.Minute), clock.Now().Add(7*time.Second), false)
			wantNext(t, s, clock.Now().Add(7*time.Second))
		},
		"a key made due while held is due at that time": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			c := claimOne(t, s, clock, keyA, time.Minute)
			at := clock.Advance(time.Second)
			due(t, s, keyA, at)
			done(t, s, c, at.Add(time.Hour), false)
			wantNext(t, s, at)
		},
		"a key made due while held is due then also without a next time": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			c := claimOne(t, s, clock, keyA, time.Minute)
			due(t, s, keyA, clock.Now().Add(3*time.Second))
			done(t, s, c, time.Time{}, false)
			wantNext(t, s, clock.Now().Add(3*time.Second))
		},
		"a next time before what was made due meanwhile is not lost": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			c := claimOne(t, s, clock, keyA, time.Minute)
			due(t, s, keyA, clock.Now().Add(time.Hour))
			done(t, s, c, clock.Now().Add(3*time.Second), false)
			wantNext(t, s, clock.Now().Add(3*time.Second))
		},
		"failures are counted in a row": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			for _, step := range []struct {
				failed bool
				before int
			}{{true, 0}, {true, 1}, {false, 2}, {true, 0}, {false, 1}} {
				c := claimOne(t, s, clock, keyA, time.Minute)
				want(t, c.Failures, step.before, "failures")
				done(t, s, c, clock.Now(), step.failed)
			}
		},
		"after its lease a key is claimed again under a higher token": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			dead := claimOne(t, s, clock, keyA, time.Second)
			clock.Advance(time.Second)
			again := claimOne(t, s, clock, keyA, time.Minute)
			if again.Token <= dead.Token {
				t.Fatalf("token %d after %d", again.Token, dead.Token)
			}
			wantFault(t, s.Done(t.Context(), dead, clock.Now(), true), fault.Changed, string(keyA))
			wantNext(t, s, again.Until)
			done(t, s, again, time.Time{}, false)
			wantNext(t, s, time.Time{})
		},
		"what was made due under a dead claim outlives the next claim": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			claimOne(t, s, clock, keyA, time.Second)
			due(t, s, keyA, clock.Now().Add(time.Hour))
			at := clock.Now().Add(time.Hour)
			clock.Advance(time.Second)
			done(t, s, claimOne(t, s, clock, keyA, time.Minute), time.Time{}, false)
			wantNext(t, s, at)
		},
		"a claim is given back once": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			c := claimOne(t, s, clock, keyA, time.Minute)
			done(t, s, c, time.Time{}, false)
			wantFault(t, s.Done(t.Context(), c, clock.Now(), false), fault.Changed, string(keyA))
			wantNext(t, s, time.Time{})
		},
		"a late claim is taken back while nobody claimed since": func(t *testing.T, s Store, clock *Clock) {
			due(t, s, keyA, clock.Now())
			c := claimOne(t, s, clock, keyA, time.Second)
			clock.Advance(time.Hour)
			done(t, s, c, time.Time{}, false)
			wantClaims(t, s, clock, 5)
		},
		"a claim on a key never due cannot be given back": func(t *testing.T, s Store, clock *Clock) {
			wantFault(t, s.Done(t.Context(), reconcile.Claim{Key: keyA, Token: 0}, clock.Now(), false), fault.Changed)
			wantNext(t, s, time.Time{})
		},
		"the queue is woken by keys made due, and by nothing refused": testWoken,
	} {
		t.Run(name, func(t *testing.T) {
			s, clock := start(t, place)
			test(t, s, clock)
		})
	}
}

func testWoken(t *testing.T, s Store, clock *Clock) {
	woken := func() bool {
		select {
		case <-s.Woken():
			return true
		default:
			return false
		}
	}
	c := simple(1)
	commit(t, s, reconcile.Write{Change: &c})
	want(t, woken(), false, "woken by a write without keys")
	c.Rev = 9
	refuse(t, s, reconcile.Write{Change: &c, Due: []reconcile.Due{{Key: keyA, At: clock.Now()}}}, fault.Changed)
	want(t, woken(), false, "woken by a refused write")
	for range 3 {
		due(t, s, keyA, clock.Now())
	}
	want(t, woken(), true, "woken by keys made due")
	want(t, woken(), false, "woken twice by what was seen")
	held := claimOne(t, s, clock, keyA, time.Minute)
	want(t, woken(), false, "woken by a claim")
	done(t, s, held, clock.Now(), false)
	want(t, woken(), true, "woken by a key given back to be due")
	done(t, s, claimOne(t, s, clock, keyA, time.Minute), time.Time{}, false)
	want(t, woken(), false, "woken by a key given back to rest")
}

// testWorkers lets workers compete for real.
func testWorkers(t *testing.T, place Place) {
	s, clock := start(t, place)
	const keys, workers = 200, 8
	all := make([]reconcile.Due, 0, keys)
	for i := range keys {
		all = append(all, reconcile.Due{Key: reconcile.Key(fmt.Sprint("change acme/app#", i+1)), At: clock.Now()})
	}
	if err := s.Accept(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		taken = map[reconcile.Key]int{}
		group sync.WaitGroup
	)
	for range workers {
		group.Go(func() {
			for {
				claims, err := s.Claim(t.Context(), clock.Now(), 3, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if len(claims) == 0 {
					return
				}
				for _, c := range claims {
					mu.Lock()
					taken[c.Key]++
					mu.Unlock()
					if err := s.Done(t.Context(), c, time.Time{}, false); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	want(t, len(taken), keys, "keys taken")
	for k, n := range taken {
		want(t, n, 1, fmt.Sprintf("times %s was taken", k))
	}
}

func due(t *testing.T, s Store, key reconcile.Key, at time.Time) {
	t.Helper()
	commit(t, s, reconcile.Write{Due: []reconcile.Due{{Key: key, At: at}}})
}

func done(t *testing.T, s Store, c reconcile.Claim, next time.Time, failed bool) {
	t.Helper()
	if err := s.Done(t.Context(), c, next, failed); err != nil {
		t.Fatal(err)
	}
}

// claimOne claims the one key that can be claimed.
func claimOne(t *testing.T, s Store, clock *Clock, key reconcile.Key, lease time.Duration) reconcile.Claim {
	t.Helper()
	claims, err := s.Claim(t.Context(), clock.Now(), 10, lease)
	if err != nil || len(claims) != 1 || claims[0].Key != key {
		t.Fatalf("claimed %v, want %s: %v", claims, key, err)
	}
	return claims[0]
}

func wantClaims(t *testing.T, s Store, clock *Clock, n int, keys ...reconcile.Key) {
	t.Helper()
	claims, err := s.Claim(t.Context(), clock.Now(), n, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var got []reconcile.Key
	for _, c := range claims {
		got = append(got, c.Key)
	}
	want(t, got, keys, "claims")
}

func wantNext(t *testing.T, s Store, at time.Time) {
	t.Helper()
	got, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, at, "next time")
}
