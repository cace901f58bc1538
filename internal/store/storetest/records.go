package storetest

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testReviews(t *testing.T, place Place) {
	s, _ := start(t, place)
	seen := func(t *testing.T, id ref.PullID, reviews map[int64]ref.SHA) {
		t.Helper()
		got, err := s.Reviews(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, reviews, "reviews of "+id.String())
	}
	seen(t, pull("app", 1), map[int64]ref.SHA{})
	commit(t, s, reconcile.Write{Reviews: &reconcile.ReviewsSeen{Pull: pull("app", 1), Head: sha("a"), IDs: []int64{1, 2}}})
	commit(t, s, reconcile.Write{Reviews: &reconcile.ReviewsSeen{Pull: pull("app", 1), Head: sha("b"), IDs: []int64{2, 3}}})
	commit(t, s, reconcile.Write{Reviews: &reconcile.ReviewsSeen{Pull: pull("app", 2), Head: sha("c"), IDs: []int64{1}}})
	commit(t, s, reconcile.Write{Reviews: &reconcile.ReviewsSeen{Pull: pull("two", 1), Head: sha("d"), IDs: []int64{1}}})
	t.Run("the first observation of a review stays", func(t *testing.T) {
		seen(t, pull("app", 1), map[int64]ref.SHA{1: sha("a"), 2: sha("a"), 3: sha("b")})
	})
	t.Run("each pull request has its own reviews", func(t *testing.T) {
		seen(t, pull("app", 2), map[int64]ref.SHA{1: sha("c")})
		seen(t, pull("two", 1), map[int64]ref.SHA{1: sha("d")})
	})
}

func testCursors(t *testing.T, place Place) {
	s, _ := start(t, place)
	main := branch("app", "main")
	at := func(t *testing.T, b ref.BranchID, commit ref.SHA) {
		t.Helper()
		got, err := s.Cursor(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, commit, "cursor of "+b.String())
	}
	step := func(from, to ref.SHA) reconcile.Write {
		return reconcile.Write{Cursor: &reconcile.Cursor{Branch: main, From: from, To: to}}
	}
	at(t, main, "")
	t.Run("a step from somewhere needs a cursor there", func(t *testing.T) {
		refuse(t, s, step(sha("a"), sha("b")), fault.Changed, "acme/app@main")
		at(t, main, "")
	})
	t.Run("a cursor moves from where it is, and from nowhere else", func(t *testing.T) {
		commit(t, s, step("", sha("a")))
		commit(t, s, step(sha("a"), sha("b")))
		refuse(t, s, step(sha("a"), sha("c")), fault.Changed, string(sha("a")))
		refuse(t, s, step("", sha("c")), fault.Changed)
		at(t, main, sha("b"))
	})
	t.Run("each branch has its own", func(t *testing.T) {
		at(t, branch("app", "next"), "")
		at(t, branch("two", "main"), "")
	})
	t.Run("a step to nothing is refused", func(t *testing.T) {
		refuse(t, s, step(sha("b"), ""), fault.Permanent, "commit")
		refuse(t, s, reconcile.Write{Cursor: &reconcile.Cursor{To: sha("c")}}, fault.Permanent, "branch")
		at(t, main, sha("b"))
	})
}

func testSnapshots(t *testing.T, place Place) {
	s, _ := start(t, place)
	kept := func(t *testing.T, hash, body string, there bool) {
		t.Helper()
		got, found, err := s.Snapshot(t.Context(), hash)
		if err != nil || found != there || string(got) != body {
			t.Fatalf("snapshot %q, found %v, error %v; want %q, %v", got, found, err, body, there)
		}
	}
	t.Run("a snapshot is found by its hash, however often it is kept", func(t *testing.T) {
		for range 2 {
			commit(t, s, reconcile.Write{Snapshot: snapshot("{\"n\":1}\x00")})
		}
		kept(t, snapshot("{\"n\":1}\x00").Hash, "{\"n\":1}\x00", true)
	})
	t.Run("the empty snapshot is one too", func(t *testing.T) {
		empty := snapshot("")
		empty.Body = nil
		commit(t, s, reconcile.Write{Snapshot: empty})
		kept(t, empty.Hash, "", true)
	})
	t.Run("a body that is not the hash's is refused", func(t *testing.T) {
		w := snapshot("one")
		w.Body = []byte("another")
		refuse(t, s, reconcile.Write{Snapshot: w}, fault.Permanent, w.Hash)
		kept(t, w.Hash, "", false)
	})
}

func testJournal(t *testing.T, place Place) {
	s, clock := start(t, place)
	t.Run("an empty journal has no head and verifies", func(t *testing.T) {
		wantHead(t, s, 0, "")
		seq, hash, err := s.VerifyJournal(t.Context())
		if seq != 0 || hash != "" || err != nil {
			t.Fatalf("%d %q %v", seq, hash, err)
		}
	})
	e := journal.Entry{
		At: clock.Now().Add(123_456_789 * time.Nanosecond).In(time.FixedZone("west", -3600)), Actor: "slipway", Action: "merge.intent",
		Subject: "acme/app#1", Identity: string(sha("m")), Reason: "all holds", Data: map[string]string{"b": "2", "a": "1 < 2"},
	}
	t.Run("entries come back as they were sealed, in the order of writing", func(t *testing.T) {
		other := journal.Entry{Action: "noted", Seq: 99, Prev: "forged", Hash: "forged"}
		commit(t, s, reconcile.Write{Journal: []journal.Entry{e, other}})
		first, err := journal.Seal(e, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		second, err := journal.Seal(other, 2, first.Hash)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Entries(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, []journal.Entry{first, second}, "entries")
		wantHead(t, s, 2, second.Hash)
	})
	t.Run("entries are read on from a place, up to a limit", func(t *testing.T) {
		for i := range 5 {
			commit(t, s, reconcile.Write{Journal: []journal.Entry{{Action: fmt.Sprint("step ", i)}}})
		}
		for _, c := range []struct {
			after int64
			limit int
			want  []int64
		}{{0, 2, []int64{1, 2}}, {2, 3, []int64{3, 4, 5}}, {6, 10, []int64{7}}, {7, 10, nil}, {0, 0, nil}, {0, -1, nil}} {
			entries, err := s.Entries(t.Context(), c.after, c.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, e := range entries {
				got = append(got, e.Seq)
			}
			want(t, got, c.want, fmt.Sprintf("entries after %d, limit %d", c.after, c.limit))
		}
	})
	t.Run("a chain longer than a page verifies", func(t *testing.T) {
		commit(t, s, reconcile.Write{Journal: make([]journal.Entry, 2500)})
		wantWhole(t, s, 2507)
	})
	t.Run("an entry whose time cannot be written is refused with its write", func(t *testing.T) {
		far := journal.Entry{Action: "far", At: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}
		refuse(t, s, reconcile.Write{Journal: []journal.Entry{e, far}}, fault.Permanent, "far")
		wantWhole(t, s, 2507)
	})
	t.Run("what is no text is replaced before it is sealed", func(t *testing.T) {
		const odd, plain = "a\xff\x00b", "a\uFFFD\uFFFDb"
		commit(t, s, reconcile.Write{Journal: []journal.Entry{{Actor: odd, Action: odd, Subject: odd, Identity: odd, Reason: odd, Data: map[string]string{odd: odd}}}})
		wantWhole(t, s, 2508)
		got, err := s.Entries(t.Context(), 2507, 1)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := journal.Seal(journal.Entry{Actor: plain, Action: plain, Subject: plain, Identity: plain, Reason: plain, Data: map[string]string{plain: plain}}, 2508, got[0].Prev)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, []journal.Entry{sealed}, "entry")
	})
	t.Run("whatever the bytes of an entry, it hashes the same when read back", func(t *testing.T) {
		raw := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) })
		any := rapid.OneOf(rapid.String(), raw, rapid.SampledFrom([]string{"\uFFFD", "\xff", "a\x00b", "\u2028<&>"}))
		rapid.Check(t, func(rt *rapid.T) {
			e := journal.Entry{
				At: time.UnixMicro(rapid.Int64Range(-1e15, 1e16).Draw(rt, "at")), Actor: any.Draw(rt, "actor"), Action: any.Draw(rt, "action"), Subject: any.Draw(rt, "subject"),
				Identity: any.Draw(rt, "identity"), Reason: any.Draw(rt, "reason"), Data: rapid.MapOfN(any, any, 0, 3).Draw(rt, "data"),
			}
			before, _, err := s.Head(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			if err := s.Commit(t.Context(), reconcile.Write{Journal: []journal.Entry{e}}); err != nil {
				rt.Fatal(err)
			}
			got, err := s.Entries(t.Context(), before, 1)
			if err != nil || len(got) != 1 {
				rt.Fatalf("read %d entries: %v", len(got), err)
			}
			again, err := journal.Seal(got[0], got[0].Seq, got[0].Prev)
			if err != nil || again.Hash != got[0].Hash {
				rt.Fatalf("hash %s, stored with %s: %v", again.Hash, got[0].Hash, err)
			}
		})
		if _, _, err := s.VerifyJournal(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func wantHead(t *testing.T, s Store, seq int64, hash string) {
	t.Helper()
	gotSeq, gotHash, err := s.Head(t.Context())
	if gotSeq != seq || gotHash != hash || err != nil {
		t.Fatalf("head %d %q, error %v; want %d %q", gotSeq, gotHash, err, seq, hash)
	}
}

// wantWhole wants a chain of n entries that holds up to the head.
func wantWhole(t *testing.T, s Store, n int64) {
	t.Helper()
	seq, hash, err := s.VerifyJournal(t.Context())
	if err != nil || seq != n {
		t.Fatalf("verified %d entries, want %d: %v", seq, n, err)
	}
	wantHead(t, s, n, hash)
}
