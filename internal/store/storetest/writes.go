package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testFence(t *testing.T, place Place) {
	s, clock := start(t, place)
	key := reconcile.ChangeKey(pull("app", 1))
	take := func(t *testing.T) reconcile.Claim {
		t.Helper()
		if err := s.Accept(t.Context(), []reconcile.Due{{Key: key, At: clock.Now()}}); err != nil {
			t.Fatal(err)
		}
		return claimOne(t, s, clock, key, time.Minute)
	}
	fenced := func(c reconcile.Claim) reconcile.Write {
		return reconcile.Write{Fence: &c, Journal: []journal.Entry{{Action: "fenced"}}}
	}
	c := take(t)
	t.Run("a live claim may write", func(t *testing.T) { commit(t, s, fenced(c)) })
	t.Run("another token may not", func(t *testing.T) {
		for _, token := range []int64{c.Token - 1, c.Token + 1} {
			other := c
			other.Token = token
			refuse(t, s, fenced(other), fault.Changed, string(key))
		}
	})
	t.Run("a claim on a key that was never due may not", func(t *testing.T) {
		refuse(t, s, fenced(reconcile.Claim{Key: "change acme/app#404"}), fault.Changed)
	})
	t.Run("a claim whose lease has ended may not, whatever it says itself", func(t *testing.T) {
		clock.Advance(time.Minute)
		late := c
		late.Until = clock.Now().Add(time.Hour)
		refuse(t, s, fenced(late), fault.Changed)
	})
	t.Run("a claim that was given back may not", func(t *testing.T) {
		c := claimOne(t, s, clock, key, time.Minute)
		done(t, s, c, time.Time{}, false)
		refuse(t, s, fenced(c), fault.Changed)
	})
	wantWhole(t, s, 1)
}

func testWrite(t *testing.T, place Place) {
	s, clock := start(t, place)
	id := pull("app", 1)
	target := ref.TargetID{Repo: id.Repo, Environment: "production"}
	whole := func(n int64) reconcile.Write {
		return reconcile.Write{
			Change:   &change.Change{ID: id, Rev: n},
			Target:   &deployer.Target{ID: target, Rev: n},
			Release:  &reconcile.Release{Branch: branch("app", "main"), Position: n + 1, Merge: sha(fmt.Sprint("m", n)), Version: fmt.Sprintf("1.%d.0", n)},
			Reviews:  &reconcile.ReviewsSeen{Pull: id, Head: sha("h"), IDs: []int64{n}},
			Cursor:   &reconcile.Cursor{Branch: branch("app", "main"), From: cursorAt(n), To: cursorAt(n + 1)},
			Snapshot: snapshot(fmt.Sprint("snapshot ", n)),
			Freeze:   &reconcile.BranchFreeze{Branch: branch("app", fmt.Sprint("frozen-", n)), Reason: "why", At: clock.Now()},
			Journal:  []journal.Entry{{Action: "one"}, {Action: "two"}},
			Due:      []reconcile.Due{{Key: reconcile.Key(fmt.Sprint("change acme/app#", n+1)), At: clock.Now()}},
		}
	}
	t.Run("an empty write is accepted", func(t *testing.T) { commit(t, s, reconcile.Write{}) })
	t.Run("all of a write is there", func(t *testing.T) {
		commit(t, s, whole(0))
		wantWritten(t, s, 1)
	})
	for name, spoil := range map[string]func(*reconcile.Write){
		"a lost change":         func(w *reconcile.Write) { w.Change.Rev = 9 },
		"a lost target":         func(w *reconcile.Write) { w.Target.Rev = 9 },
		"a reserved version":    func(w *reconcile.Write) { w.Release.Version = "1.0.0" },
		"a cursor elsewhere":    func(w *reconcile.Write) { w.Cursor.From = sha("elsewhere") },
		"a false snapshot":      func(w *reconcile.Write) { w.Snapshot.Body = nil },
		"a freeze for nothing":  func(w *reconcile.Write) { w.Freeze.Reason = "" },
		"a faulty entry":        func(w *reconcile.Write) { w.Journal[1].At = time.Date(12_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a dead claim":          func(w *reconcile.Write) { w.Fence = &reconcile.Claim{Key: "change acme/app#1", Token: 9} },
		"a change without name": func(w *reconcile.Write) { w.Change.ID = ref.PullID{} },
	} {
		t.Run("nothing of a write stays with "+name, func(t *testing.T) {
			w := whole(1)
			spoil(&w)
			if err := s.Commit(t.Context(), w); err == nil {
				t.Fatal("accepted")
			}
			wantWritten(t, s, 1)
		})
	}
	t.Run("a refused write hurts no other beside it", func(t *testing.T) {
		const pairs = 24
		var group sync.WaitGroup
		for i := range int64(pairs) {
			group.Go(func() {
				c := simple(100 + i)
				if err := s.Commit(t.Context(), reconcile.Write{Change: &c, Journal: []journal.Entry{{Action: "good"}}}); err != nil {
					t.Errorf("good write %d: %v", i, err)
				}
			})
			group.Go(func() {
				c := simple(200 + i)
				c.Rev = 5
				err := s.Commit(t.Context(), reconcile.Write{Journal: []journal.Entry{{Action: "bad"}}, Change: &c})
				if fault.KindOf(err) != fault.Changed {
					t.Errorf("bad write %d: %v", i, err)
				}
			})
		}
		group.Wait()
		for i := range int64(pairs) {
			want(t, revision(t, s, pull("app", 100+i)), 1, "revision of a good write")
			want(t, revision(t, s, pull("app", 200+i)), 0, "revision of a bad write")
		}
		wantWhole(t, s, 2+pairs)
	})
	t.Run("the store answers", func(t *testing.T) {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// wantWritten wants the first n whole writes and no more.
func wantWritten(t *testing.T, s Store, n int64) {
	t.Helper()
	ctx := t.Context()
	want(t, revision(t, s, pull("app", 1)), n, "revision of the change")
	target, err := s.Target(ctx, ref.TargetID{Repo: repo("app"), Environment: "production"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, target.Rev, n, "revision of the target")
	releases, err := s.Releases(ctx, branch("app", "main"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, int64(len(releases)), n, "number of releases")
	reviews, err := s.Reviews(ctx, pull("app", 1))
	if err != nil {
		t.Fatal(err)
	}
	want(t, int64(len(reviews)), n, "number of reviews")
	cursor, err := s.Cursor(ctx, branch("app", "main"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, cursor, cursorAt(n), "cursor")
	for i := range n + 1 {
		freeze, err := s.Freeze(ctx, branch("app", fmt.Sprint("frozen-", i)))
		if err != nil {
			t.Fatal(err)
		}
		want(t, freeze != nil, i < n, fmt.Sprintf("presence of freeze %d", i))
		_, found, err := s.Snapshot(ctx, snapshot(fmt.Sprint("snapshot ", i)).Hash)
		if err != nil {
			t.Fatal(err)
		}
		want(t, found, i < n, fmt.Sprintf("presence of snapshot %d", i))
	}
	wantWhole(t, s, 2*n)
	next, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want(t, next.IsZero(), n == 0, "emptiness of the queue")
}

// cursorAt is where the cursor stands after n whole writes.
func cursorAt(n int64) ref.SHA {
	if n == 0 {
		return ""
	}
	return sha(fmt.Sprint("cursor ", n))
}

func testReopen(t *testing.T, place Place) {
	open := place(t)
	clock := NewClock()
	s, err := open(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	c := filled[change.Change](5000)
	c.Rev = 0
	key := reconcile.ChangeKey(c.ID)
	commit(t, s, reconcile.Write{Change: &c, Journal: []journal.Entry{{Action: "before"}}, Due: []reconcile.Due{{Key: key, At: clock.Now()}}})
	held := claimOne(t, s, clock, key, time.Minute)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("a closed store refuses", func(t *testing.T) {
		wantFault(t, s.Commit(t.Context(), reconcile.Write{}), fault.Later, "closed")
	})
	s, err = open(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Run("what was committed is there when opened again", func(t *testing.T) {
		got, found, err := s.Change(t.Context(), c.ID)
		if !found || err != nil {
			t.Fatalf("found %v, error %v", found, err)
		}
		c.Rev = 1
		want(t, got, c, "change")
	})
	t.Run("the journal goes on", func(t *testing.T) {
		commit(t, s, reconcile.Write{Journal: []journal.Entry{{Action: "after"}}})
		wantWhole(t, s, 2)
	})
	t.Run("a claim outlives the process, and its lease ends", func(t *testing.T) {
		claims, err := s.Claim(t.Context(), clock.Now(), 1, time.Minute)
		if err != nil || len(claims) != 0 {
			t.Fatalf("claimed %v: %v", claims, err)
		}
		clock.Advance(time.Minute)
		if again := claimOne(t, s, clock, key, time.Minute); again.Token <= held.Token {
			t.Fatalf("token %d after %d", again.Token, held.Token)
		}
	})
}
