package storetest

import (
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
	"slipway/pools"
)

func testWorkLists(t *testing.T, place Place) {
	s, clock := start(t, place)
	review := item("review")
	review.Kind, review.Pull, review.Repo = dispatcher.Review, pull("two", 5), repo("two")
	landing := item("landing")
	landing.State = dispatcher.Landing
	done := item("done")
	done.State = dispatcher.Done
	ids := submit(t, s, item("waits"), review, landing, done)
	live, ended, other := attempt(ids[1], 0, 1, clock), attempt(ids[2], 0, 1, clock), attempt(ids[2], 1, 2, clock)
	ended.Outcome, ended.Pull = dispatcher.Finished, pull("app", 7)
	other.Outcome, other.Pull = dispatcher.Failed, pull("app", 8)
	var attempts []dispatcher.AttemptID
	transact(t, s, dispatcher.Scope{Items: ids}, func(dispatcher.View) dispatcher.Write {
		return dispatcher.Write{Attempts: []dispatcher.Attempt{live, ended, other}, Numbered: func(_ []dispatcher.ItemID, a []dispatcher.AttemptID) { attempts = a }}
	})
	open := []dispatcher.State{dispatcher.Ready, dispatcher.Working, dispatcher.Landing}
	for name, c := range map[string]struct {
		filter   dispatcher.Filter
		items    []int // by index in ids
		attempts []int
	}{
		"all, newest first":                        {dispatcher.Filter{}, []int{3, 2, 1, 0}, []int{2, 1, 0}},
		"by repository":                            {dispatcher.Filter{Repo: repo("two")}, []int{1}, []int{0}},
		"by state, of an attempt that of its item": {dispatcher.Filter{States: []dispatcher.State{dispatcher.Landing, dispatcher.Done}}, []int{3, 2}, []int{2, 1}},
		"what is open":                             {dispatcher.Filter{States: open}, []int{2, 1, 0}, []int{2, 1, 0}},
		"what is open of a repository":             {dispatcher.Filter{States: open, Repo: repo("app")}, []int{2, 0}, []int{2, 1}},
		"by kind":                                  {dispatcher.Filter{Kind: dispatcher.Review}, []int{1}, []int{0}},
		"by the pull request under review":         {dispatcher.Filter{Pull: pull("two", 5)}, []int{1}, nil},
		"by the registered pull request":           {dispatcher.Filter{Pull: pull("app", 7)}, nil, []int{1}},
		"by coordinate":                            {dispatcher.Filter{Address: seat(1)}, []int{2}, []int{2}},
		"live":                                     {dispatcher.Filter{Live: true}, []int{1}, []int{0}},
		"live, by coordinate":                      {dispatcher.Filter{Live: true, Address: seat(1)}, nil, nil},
		"a limit keeps the newest":                 {dispatcher.Filter{Limit: 2}, []int{3, 2}, []int{2, 1}},
		"all conditions hold together":             {dispatcher.Filter{Repo: repo("app"), Kind: dispatcher.Build, States: open, Address: seat(0), Limit: 5}, []int{2}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			items, err := s.Items(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			want(t, itemIDs(items), at(ids, c.items), "items")
			got, err := s.Attempts(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			want(t, attemptIDs(got), at(attempts, c.attempts), "attempts")
			for _, a := range got {
				want(t, a.Assignment, live.Assignment, "assignment")
			}
		})
	}
}

// at picks by index.
func at[T any](all []T, which []int) (some []T) {
	for _, i := range which {
		some = append(some, all[i])
	}
	return some
}

func testWorkPools(t *testing.T, place Place) {
	s, clock := start(t, place)
	t.Run("pool configs are numbered, and the last is in force", func(t *testing.T) {
		if _, found, err := s.Set(t.Context()); found || err != nil {
			t.Fatalf("found %v, error %v", found, err)
		}
		var kept []dispatcher.StoredSet
		for n := range int64(3) {
			set := dispatcher.StoredSet{Set: filled[pools.Set](1000 * (n + 1)), At: clock.Now(), By: "ada", Why: "swap"}
			write(t, s, dispatcher.Write{Set: &set})
			set.Number = n + 1
			kept = append([]dispatcher.StoredSet{set}, kept...)
			got, found, err := s.Set(t.Context())
			if err != nil || !found {
				t.Fatalf("found %v, error %v", found, err)
			}
			want(t, got, set, "pool config")
			want(t, *look(t, s, dispatcher.Scope{Set: true}).Set, set, "pool config within a transaction")
		}
		for n, wanted := range map[int][]dispatcher.StoredSet{0: nil, 1: kept[:1], 2: kept[:2], 9: kept} {
			got, err := s.History(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			want(t, got, wanted, "history")
		}
	})
	t.Run("a credential is found by its hash, replaced by it, and listed by coordinate and age", func(t *testing.T) {
		all := []dispatcher.Credential{
			{Hash: "bb", Address: seat(10), Created: clock.Now()},
			{Hash: "cc", Address: seat(2), Created: clock.Now().Add(time.Hour), Expires: clock.Now().Add(2 * time.Hour)},
			{Hash: "aa", Address: seat(2), Created: clock.Now()},
		}
		write(t, s, dispatcher.Write{Credentials: all})
		all[2].Revoked = clock.Now().Add(time.Minute)
		write(t, s, dispatcher.Write{Credentials: all[2:]})
		got, err := s.Credentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, []dispatcher.Credential{all[2], all[1], all[0]}, "credentials")
		one, found, err := s.Credential(t.Context(), "aa")
		if err != nil || !found {
			t.Fatalf("found %v, error %v", found, err)
		}
		want(t, one, all[2], "credential")
		if _, found, err := s.Credential(t.Context(), "dd"); found || err != nil {
			t.Fatalf("found %v, error %v", found, err)
		}
	})
	t.Run("seats are listed by coordinate, ten after two", func(t *testing.T) {
		asked := []pools.Address{seat(10), seat(2), {Role: "auditor", Tier: "lite"}}
		transact(t, s, dispatcher.Scope{Seats: asked}, func(dispatcher.View) (w dispatcher.Write) {
			for _, a := range asked {
				w.Seats = append(w.Seats, dispatcher.Seat{Address: a})
			}
			return w
		})
		list, err := s.Seats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, list, []dispatcher.Seat{{Address: asked[2]}, {Address: asked[1]}, {Address: asked[0]}}, "seats")
	})
}

func testWorkReopen(t *testing.T, place Place) {
	open := place(t)
	clock := NewClock()
	s, err := open(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	i := item("kept")
	i.Deadline, i.Pull = clock.Now().Add(time.Hour), ref.PullID{}
	ids, _ := write(t, s, dispatcher.Write{Items: []dispatcher.Item{i}, Attempts: []dispatcher.Attempt{attempt(0, 0, 1, clock)}, Set: &dispatcher.StoredSet{Set: filled[pools.Set](1000), At: clock.Now()}})
	before := work(t, s, ids[0])
	set, _, err := s.Set(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = open(clock.Now); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Run("what was written is there when opened again", func(t *testing.T) {
		want(t, work(t, s, ids[0]), before, "work")
		again, _, err := s.Set(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, again, set, "pool config")
		due, err := s.Due(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, due, clock.Now().Add(time.Minute), "due")
	})
	t.Run("numbers go on rising", func(t *testing.T) {
		next, attempts := write(t, s, dispatcher.Write{Items: []dispatcher.Item{item("next")}, Attempts: []dispatcher.Attempt{attempt(0, 1, 1, clock)}})
		if next[0] <= ids[0] || attempts[0] <= before.Attempts[0].ID {
			t.Fatalf("item %d after %d, attempt %d after %d", next[0], ids[0], attempts[0], before.Attempts[0].ID)
		}
	})
}
