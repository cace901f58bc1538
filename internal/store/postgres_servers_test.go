//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"slipway/config"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

// testServers holds what several servers on one schema promise together.
func testServers(t *testing.T, p *places) {
	for name, test := range map[string]func(*testing.T, *places){
		"no key is held by two, whatever their clocks say":   testHolds,
		"whatever one makes due wakes the others":            testWakes,
		"a connection that is cut costs no write":            testCuts,
		"a database that is away is tried later":             testAway,
		"transactions in each other's way all come through":  testRetries,
		"a server that stalls keeps nobody waiting for long": testStalls,
		"one that was killed takes its own claims up again":  testOwnClaims,
		"of servers that start at once one migrates":         testStarts,
	} {
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

// testHolds lets servers whose clocks are minutes apart compete for few keys
// with leases that end while they work.
func testHolds(t *testing.T, p *places) {
	const (
		keys  = 6
		turns = 16
		lease = 60 * time.Millisecond
	)
	dsn := p.place(t)
	var (
		mu     sync.Mutex
		tokens = map[reconcile.Key]int64{}
		ends   = map[reconcile.Key]time.Time{} // by the true clock
		group  sync.WaitGroup
		wrote  int64
	)
	for n, skew := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute} {
		s := mustPostgres(t, PostgresOptions{DSN: dsn})
		skewed := func() time.Time { return time.Now().Add(skew) }
		engineOf(s).local, s.now = skewed, skewed
		if n == 0 {
			var due []reconcile.Due
			for k := range keys {
				due = append(due, reconcile.Due{Key: reconcile.ChangeKey(pullID(int64(k + 1)))})
			}
			if err := s.Accept(t.Context(), due); err != nil {
				t.Fatal(err)
			}
		}
		chance := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // no secret
		group.Go(func() {
			for range turns {
				asked := time.Now()
				claims, err := s.Claim(t.Context(), skewed(), 1+chance.IntN(2), lease)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range claims {
					if got := c.Until.Sub(skewed()); got > lease {
						t.Errorf("%s is held for %s by the claimer's clock, want at most %s", c.Key, got, lease)
					}
					if time.Now().Before(ends[c.Key]) {
						t.Errorf("%s is held by two", c.Key)
					}
					if c.Token <= tokens[c.Key] {
						t.Errorf("%s: token %d after %d", c.Key, c.Token, tokens[c.Key])
					}
					tokens[c.Key], ends[c.Key] = c.Token, asked.Add(lease)
				}
				mu.Unlock()
				for _, c := range claims {
					late := chance.IntN(4) == 0
					if late {
						hold(t, lease+10*time.Millisecond)
					}
					err := s.Commit(t.Context(), reconcile.Write{Fence: &c, Journal: []journal.Entry{{Action: "held", Subject: string(c.Key)}}})
					mu.Lock()
					if err == nil {
						wrote++
					}
					mu.Unlock()
					if late && fault.KindOf(err) != fault.Changed {
						t.Errorf("a write after the lease of %s: %v", c.Key, err)
					}
					mu.Lock()
					if !late {
						ends[c.Key] = time.Time{}
					}
					mu.Unlock()
					if err := s.Done(t.Context(), c, skewed(), false); err != nil && fault.KindOf(err) != fault.Changed {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	s := mustPostgres(t, PostgresOptions{DSN: dsn})
	if seq, _, err := s.VerifyJournal(t.Context()); err != nil || seq != wrote || wrote == 0 {
		t.Fatalf("%d entries, %d were written: %v", seq, wrote, err)
	}
}

func testWakes(t *testing.T, p *places) {
	dsn := p.place(t)
	one, two := mustPostgres(t, PostgresOptions{DSN: dsn}), mustPostgres(t, PostgresOptions{DSN: dsn})
	elsewhere := mustPostgres(t, PostgresOptions{DSN: p.place(t)})
	key := reconcile.ChangeKey(pullID(1))
	t.Run("of keys", func(t *testing.T) {
		if err := one.Accept(t.Context(), []reconcile.Due{{Key: key}}); err != nil {
			t.Fatal(err)
		}
		wantSignal(t, two.Woken(), time.Second)
		claims, err := two.Claim(t.Context(), time.Now(), 1, time.Minute)
		if err != nil || len(claims) != 1 {
			t.Fatalf("claimed %v: %v", claims, err)
		}
	})
	t.Run("of items, and of nothing else", func(t *testing.T) {
		drain(one.Offered())
		drain(two.Woken())
		submit(t, one, 1)
		wantSignal(t, two.Offered(), time.Second)
		if signalled(two.Woken()) {
			t.Error("keys are said to be due")
		}
	})
	t.Run("also after the connection was cut", func(t *testing.T) {
		if err := p.server.Do(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"); err != nil {
			t.Fatal(err)
		}
		// What was told in between is made up for by a signal.
		wantSignal(t, two.Woken(), 10*time.Second)
		wantSignal(t, two.Offered(), 10*time.Second)
		wantSignal(t, elsewhere.Offered(), 10*time.Second)
		submit(t, one, 1)
		wantSignal(t, two.Offered(), time.Second)
	})
	t.Run("another store in the same database hears nothing of it", func(t *testing.T) {
		drain(elsewhere.Woken()) // by the cut
		submit(t, one, 1)
		wantSignal(t, two.Offered(), time.Second)
		if signalled(elsewhere.Offered()) || signalled(elsewhere.Woken()) {
			t.Error("it did")
		}
	})
}

// testCuts cuts every connection again and again while servers write, and wants
// each write that was answered to be there once.
func testCuts(t *testing.T, p *places) {
	dsn := p.place(t)
	const writers, writes, mostCuts = 4, 12, 6
	servers := []*Store{mustPostgres(t, PostgresOptions{DSN: dsn}), mustPostgres(t, PostgresOptions{DSN: dsn})}
	var group sync.WaitGroup
	done := make(chan struct{})
	for w := range int64(writers) {
		group.Go(func() {
			for range writes {
				s := servers[rand.IntN(len(servers))] //nolint:gosec // no secret
				c, _, err := s.Change(t.Context(), pullID(w+1))
				if err == nil {
					err = s.Commit(t.Context(), wholeWrite(w, c.Rev+1, ""))
				}
				if err != nil && fault.KindOf(err) != fault.Later {
					t.Errorf("worker %d: of kind %d: %v", w, fault.KindOf(err), err)
					return
				}
			}
		})
	}
	go func() { defer close(done); group.Wait() }()
	cuts := 0
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-again.C:
			if cuts++; cuts > mostCuts {
				again.Stop()
				continue
			}
			if err := p.server.Do(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> 'postgres'"); err != nil {
				t.Error(err)
			}
		}
	}
	found := wantWhole(t, servers[0], map[int64]int64{}, "")
	var total int64
	for _, n := range found {
		total += n
	}
	t.Logf("%d writes, %d cuts", total, cuts)
	if total < writers*writes/2 || cuts == 0 {
		t.Fatalf("only %d of %d writes came through %d cuts", total, writers*writes, cuts)
	}
}

// testAway crashes the database under a server.
func testAway(t *testing.T, p *places) {
	s := mustPostgres(t, PostgresOptions{DSN: p.place(t)})
	for i := range int64(5) {
		put(t, s, i+1)
	}
	p.server.Kill()
	c := wholeWrite(0, 1, "")
	for name, err := range map[string]error{
		"a write": s.Commit(t.Context(), c),
		"a read":  readError(s),
		"a ping":  s.Ping(t.Context()),
	} {
		if err == nil || fault.KindOf(err) != fault.Later {
			t.Errorf("%s of a database that is away: %v", name, err)
		}
		wantSecret(t, err, p)
	}
	if err := p.server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Fatalf("it is back: %v", err)
	}
	wantPut(t, s.Reader, 5)
	put(t, s, 6)
	wantSignal(t, s.Woken(), 10*time.Second)
}

// testRetries makes two transactions wait for each other.
func testRetries(t *testing.T, p *places) {
	s := mustPostgres(t, PostgresOptions{DSN: p.place(t)})
	put(t, s, 1)
	put(t, s, 2)
	var meet sync.WaitGroup
	meet.Add(2)
	var group sync.WaitGroup
	tries := make([]int, 2)
	for n, order := range [][]int64{{1, 2}, {2, 1}} {
		group.Go(func() {
			err := s.do(t.Context(), func(ctx context.Context, tx *session) (news, error) {
				tries[n]++
				for i, number := range order {
					if _, err := tx.exec(ctx, "UPDATE changes SET base = base || $1 WHERE number = $2", fmt.Sprint(n), number); err != nil {
						return 0, err
					}
					if i == 0 && tries[n] == 1 {
						meet.Done()
						meet.Wait()
					}
				}
				return 0, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if tries[0]+tries[1] != 3 {
		t.Errorf("tried %d and %d times, want one of them twice", tries[0], tries[1])
	}
	list, err := s.Changes(t.Context(), reconcile.Filter{})
	if err != nil || len(list) != 2 {
		t.Fatalf("%v: %v", list, err)
	}
	t.Run("and what is never out of the way is given up", func(t *testing.T) {
		tries := 0
		err := s.do(t.Context(), func(ctx context.Context, tx *session) (news, error) {
			tries++
			_, err := tx.exec(ctx, "INSERT INTO changes SELECT * FROM changes WHERE number = $1", 1)
			return 0, err
		})
		if err == nil || tries != mostTries || fault.KindOf(err) != fault.Later {
			t.Fatalf("tried %d times: %v", tries, err)
		}
	})
	t.Run("and an error that was passed over is not a success", func(t *testing.T) {
		err := s.do(t.Context(), func(ctx context.Context, tx *session) (news, error) {
			_, _ = tx.exec(ctx, "SELECT 1 / 0")
			return 0, nil
		})
		wantError(t, err, "passed over")
	})
}

// testStalls stops a server in the middle of a write.
func testStalls(t *testing.T, p *places) {
	dsn := p.place(t)
	stalled := mustPostgres(t, PostgresOptions{DSN: config.NewSecret(dsn.Reveal() + "&idle_in_transaction_session_timeout=300")})
	other := mustPostgres(t, PostgresOptions{DSN: dsn})
	put(t, other, 1)
	begun, over := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	tries := 0
	go func() {
		ended <- stalled.do(t.Context(), func(ctx context.Context, tx *session) (news, error) {
			tries++
			_, err := tx.exec(ctx, "UPDATE changes SET base = base || 'x'")
			if tries == 1 {
				close(begun)
				<-over
			}
			return 0, err
		})
	}()
	<-begun
	began := time.Now()
	c := wholeWrite(0, 2, "")
	if err := other.Commit(t.Context(), reconcile.Write{Change: c.Change}); err != nil {
		t.Errorf("the other server's write: %v", err)
	}
	if waited := time.Since(began); waited > 5*time.Second {
		t.Errorf("it waited for %s", waited)
	}
	close(over)
	if err := <-ended; err != nil || tries != 2 {
		t.Errorf("the stalled one, tried %d times: %v", tries, err)
	}
}

func testOwnClaims(t *testing.T, p *places) {
	dsn, folder := p.place(t), t.TempDir()
	claim := func(t *testing.T, s *Store, want int) []reconcile.Claim {
		t.Helper()
		claims, err := s.Claim(t.Context(), time.Now(), 5, time.Hour)
		if err != nil || len(claims) != want {
			t.Fatalf("claimed %v, want %d: %v", claims, want, err)
		}
		return claims
	}
	one, err := OpenPostgres(t.Context(), PostgresOptions{DSN: dsn, Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	two := mustPostgres(t, PostgresOptions{DSN: dsn, Folder: t.TempDir()})
	if err := one.Accept(t.Context(), []reconcile.Due{{Key: "change acme/app#1"}}); err != nil {
		t.Fatal(err)
	}
	old := claim(t, one, 1)
	if err := one.Accept(t.Context(), []reconcile.Due{{Key: "change acme/app#2"}}); err != nil {
		t.Fatal(err)
	}
	others := claim(t, two, 1)
	t.Run("a folder serves one server", func(t *testing.T) {
		_, err := OpenPostgres(t.Context(), PostgresOptions{DSN: dsn, Folder: folder})
		wantError(t, err, folder, "in use by another slipway server")
		wantSecret(t, err, p)
	})
	t.Run("what a live server holds is not freed by another one", func(t *testing.T) {
		stranger := mustPostgres(t, PostgresOptions{DSN: dsn})
		if err := stranger.FreeClaims(t.Context()); err != nil {
			t.Fatal(err)
		}
		claim(t, stranger, 0)
	})
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustPostgres(t, PostgresOptions{DSN: dsn, Folder: folder})
	if err := again.FreeClaims(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, again, 1); got[0].Key != old[0].Key || got[0].Token <= old[0].Token {
		t.Errorf("claimed %v after %v", got, old)
	}
	if err := two.Done(t.Context(), others[0], time.Time{}, false); err != nil {
		t.Errorf("the other server's claim was touched: %v", err)
	}
}

func testStarts(t *testing.T, p *places) {
	dsn, err := p.server.Place(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const servers = 5
	var group sync.WaitGroup
	faults := make([]error, servers)
	for n := range servers {
		group.Go(func() {
			s, err := OpenPostgres(t.Context(), PostgresOptions{DSN: config.NewSecret(dsn)})
			if err == nil {
				err = errors.Join(s.Ping(t.Context()), s.Close())
			}
			faults[n] = err
		})
	}
	group.Wait()
	if err := errors.Join(faults...); err != nil {
		t.Fatal(err)
	}
}
