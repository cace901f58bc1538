package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testChanges(t *testing.T, place Place) {
	s, _ := start(t, place)
	t.Run("a change never seen is not found", func(t *testing.T) {
		_, found, err := s.Change(t.Context(), pull("app", 404))
		if found || err != nil {
			t.Fatalf("found %v, error %v", found, err)
		}
	})
	t.Run("every field of a change is kept", func(t *testing.T) {
		c := filled[change.Change](1000)
		c.Rev = 0
		commit(t, s, reconcile.Write{Change: &c})
		want(t, c.Rev, 0, "the caller's revision")
		got, found, err := s.Change(t.Context(), c.ID)
		if !found || err != nil {
			t.Fatalf("found %v, error %v", found, err)
		}
		c.Rev = 1
		want(t, got, c, "change")
	})
	t.Run("times come back in UTC at microseconds", func(t *testing.T) {
		c := simple(2)
		c.Opened = time.Date(2026, 3, 1, 13, 0, 0, 123_456_789, time.FixedZone("east", 3600))
		c.Gates = []change.Gate{{Name: change.Code, At: c.Opened}}
		commit(t, s, reconcile.Write{Change: &c})
		got, _, err := s.Change(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		kept := time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)
		if got.Opened != kept || got.Gates[0].At != kept {
			t.Fatalf("got %v and %v, want %v", got.Opened, got.Gates[0].At, kept)
		}
		if c.Opened.Nanosecond() != 123_456_789 {
			t.Fatal("the caller's change was altered")
		}
	})
	t.Run("a change without identity is refused", func(t *testing.T) {
		refuse(t, s, reconcile.Write{Change: &change.Change{}}, fault.Permanent, "identity")
	})
	t.Run("a write over another revision than the stored one is refused", func(t *testing.T) {
		c := simple(3)
		commit(t, s, reconcile.Write{Change: &c})
		refuse(t, s, reconcile.Write{Change: &c}, fault.Changed, "acme/app#3", "revision 0")
		c.Rev = 1
		c.Title = "second"
		commit(t, s, reconcile.Write{Change: &c})
		refuse(t, s, reconcile.Write{Change: &c}, fault.Changed, "revision 1")
		c.Rev = 3
		refuse(t, s, reconcile.Write{Change: &c}, fault.Changed, "revision 3")
		want(t, revision(t, s, c.ID), 2, "revision")
	})
	t.Run("a revision of a change that is not there is refused", func(t *testing.T) {
		c := simple(4)
		c.Rev = 7
		refuse(t, s, reconcile.Write{Change: &c}, fault.Changed)
		want(t, revision(t, s, c.ID), 0, "revision")
	})
	t.Run("of writers of one revision exactly one succeeds", func(t *testing.T) { oneOf(t, s) })
	t.Run("filters", func(t *testing.T) { testFilters(t, s) })
}

func oneOf(t *testing.T, s Store) {
	const writers = 16
	faults := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			c := simple(5)
			c.Title = fmt.Sprint("by ", i)
			faults[i] = s.Commit(t.Context(), reconcile.Write{Change: &c})
		})
	}
	group.Wait()
	won := -1
	for i, err := range faults {
		if err == nil && won < 0 {
			won = i
			continue
		}
		wantFault(t, err, fault.Changed)
	}
	got, _, err := s.Change(t.Context(), pull("app", 5))
	if err != nil {
		t.Fatal(err)
	}
	want(t, got.Title, fmt.Sprint("by ", won), "title")
}

func testFilters(t *testing.T, s Store) {
	add := func(name string, number int64, base string, outcome change.Outcome, merge ref.SHA) {
		c := change.Change{ID: pull(name, number), Base: base, Outcome: outcome, Head: sha(fmt.Sprint(name, number)), MergeSHA: merge}
		commit(t, s, reconcile.Write{Change: &c})
	}
	add("one", 11, "main", change.OutcomeHealthy, sha("merge 11"))
	add("one", 12, "main", change.Open, "")
	add("one", 13, "next", change.Open, sha("merge 13"))
	add("one", 14, "main", change.OutcomeClosed, "")
	add("two", 12, "main", change.Open, "")
	one := repo("one")
	for name, c := range map[string]struct {
		filter reconcile.Filter
		want   []string
	}{
		"by repository, newest number first":  {reconcile.Filter{Repo: one}, []string{"acme/one#14", "acme/one#13", "acme/one#12", "acme/one#11"}},
		"by base":                             {reconcile.Filter{Repo: one, Base: "next"}, []string{"acme/one#13"}},
		"unfinished are those without end":    {reconcile.Filter{Repo: one, Unfinished: true}, []string{"acme/one#13", "acme/one#12"}},
		"by head":                             {reconcile.Filter{SHA: sha("one14")}, []string{"acme/one#14"}},
		"by merge commit":                     {reconcile.Filter{SHA: sha("merge 11")}, []string{"acme/one#11"}},
		"a commit of nothing finds nothing":   {reconcile.Filter{SHA: sha("nothing")}, nil},
		"a limit keeps the newest":            {reconcile.Filter{Repo: one, Limit: 2}, []string{"acme/one#14", "acme/one#13"}},
		"all conditions hold together":        {reconcile.Filter{Repo: one, Base: "main", Unfinished: true, SHA: sha("one12"), Limit: 9}, []string{"acme/one#12"}},
		"equal numbers go by repository":      {reconcile.Filter{Base: "main", Unfinished: true, Limit: 2}, []string{"acme/one#12", "acme/two#12"}},
		"another repository's are not listed": {reconcile.Filter{Repo: repo("three")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := s.Changes(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range list {
				want(t, c.Rev, 1, "revision")
				got = append(got, c.ID.String())
			}
			want(t, got, c.want, "changes")
		})
	}
}

func testTargets(t *testing.T, place Place) {
	s, _ := start(t, place)
	id := ref.TargetID{Repo: repo("app"), Environment: "production"}
	t.Run("a target never stored is new, with its identity", func(t *testing.T) {
		got, err := s.Target(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, deployer.Target{ID: id}, "target")
	})
	t.Run("every field of a target is kept", func(t *testing.T) {
		target := filled[deployer.Target](2000)
		target.ID, target.Rev = id, 0
		commit(t, s, reconcile.Write{Target: &target})
		got, err := s.Target(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		target.Rev = 1
		want(t, got, target, "target")
	})
	t.Run("a write over another revision than the stored one is refused", func(t *testing.T) {
		target := deployer.Target{ID: id}
		refuse(t, s, reconcile.Write{Target: &target}, fault.Changed, "acme/app/production", "revision 0")
		target.Rev = 2
		refuse(t, s, reconcile.Write{Target: &target}, fault.Changed)
		target.Rev = 1
		commit(t, s, reconcile.Write{Target: &target})
		got, err := s.Target(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, deployer.Target{ID: id, Rev: 2}, "target")
		refuse(t, s, reconcile.Write{Target: &target}, fault.Changed, "revision 1")
	})
	t.Run("a target without identity is refused", func(t *testing.T) {
		refuse(t, s, reconcile.Write{Target: &deployer.Target{}}, fault.Permanent, "identity")
	})
	t.Run("targets are listed by name", func(t *testing.T) {
		for _, name := range []string{"zoo", "app"} {
			target := deployer.Target{ID: ref.TargetID{Repo: repo(name), Environment: "lab"}}
			commit(t, s, reconcile.Write{Target: &target})
		}
		list, err := s.Targets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, target := range list {
			got = append(got, fmt.Sprint(target.ID, " ", target.Rev))
		}
		want(t, got, []string{"acme/app/lab 1", "acme/app/production 2", "acme/zoo/lab 1"}, "targets")
	})
}
