package pools_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"slipway/pools"
)

func address(s string) pools.Address {
	a, err := pools.ReadAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// crew is two builders and a reviewer, of three models.
func crew() pools.Set {
	of := func(name, model string) pools.Assignment {
		return pools.Assignment{Name: name, Provider: "acme", Model: model, Prompt: pools.Prompt{File: "p.md", Hash: "aa"}, Prices: pools.Prices{Input: 1}}
	}
	return pools.Set{
		Vocabulary: vocabulary(), Currency: "USD", Shapes: []string{"bug"},
		Pools: []pools.Pool{
			{Name: pools.PoolName{Role: "builder", Tier: "lite"}, Replicas: 2},
			{Name: pools.PoolName{Role: "reviewer", Tier: "heavy"}, Replicas: 1},
		},
		Assignments: map[string]pools.Assignment{"quick": of("quick", "m-1"), "careful": of("careful", "m-2"), "other": of("other", "m-3")},
		Replicas:    map[pools.Address]string{address("builder-lite-0"): "quick", address("builder-lite-1"): "careful", address("reviewer-heavy-0"): "other"},
	}
}

func TestAnAssignmentsHashIsOfWhatRuns(t *testing.T) {
	base := crew().Assignments["quick"]
	for name, row := range map[string]struct {
		edit func(*pools.Assignment)
		same bool
	}{
		"another provider is another":      {func(a *pools.Assignment) { a.Provider = "elsewhere" }, false},
		"another model is another":         {func(a *pools.Assignment) { a.Model = "m-2" }, false},
		"another text is another":          {func(a *pools.Assignment) { a.Prompt.Hash = "bb" }, false},
		"other parameters are another":     {func(a *pools.Assignment) { a.Parameters = "{}" }, false},
		"a name does not matter":           {func(a *pools.Assignment) { a.Name = "slow" }, true},
		"a prompt's file does not matter":  {func(a *pools.Assignment) { a.Prompt.File = "q.md" }, true},
		"prices do not matter":             {func(a *pools.Assignment) { a.Prices.Input = 7 }, true},
		"a budget does not matter":         {func(a *pools.Assignment) { a.Budget = 7 }, true},
		"what moves between fields counts": {func(a *pools.Assignment) { a.Provider, a.Model = "acm", "em-1" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			other := base
			row.edit(&other)
			if (other.Hash() == base.Hash()) != row.same {
				t.Errorf("%s and %s", base.Hash(), other.Hash())
			}
		})
	}
}

func TestPlaceGivesWhoCanTakeTheWork(t *testing.T) {
	for _, row := range []struct {
		name, selector string
		avoid          []string
		want           string
	}{
		{"a role chooses all its coordinates, in order", "builder", nil, "builder-lite-0 builder-lite-1"},
		{"everything is every coordinate", "*", nil, "builder-lite-0 builder-lite-1 reviewer-heavy-0"},
		{"a model to avoid takes nothing", "*", []string{"m-2"}, "builder-lite-0 reviewer-heavy-0"},
		{"in whatever case it is written", "*", []string{"M-2", "m-1"}, "reviewer-heavy-0"},
		{"nobody is left", "builder", []string{"m-1", "m-2"}, ""},
		{"a pool that there is not has nobody", "builder-heavy", nil, ""},
		{"one coordinate", "*-*-1", nil, "builder-lite-1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			sel, err := pools.ParseSelector(row.selector, vocabulary())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range crew().Place(sel, row.avoid) {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != row.want {
				t.Errorf("%s gives %q, want %q", row.selector, got, row.want)
			}
		})
	}
}

func TestPlaceAndFitAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sets().Draw(t, "set")
		sel := selectorsOf(s.Vocabulary).Draw(t, "selector")
		avoid := rapid.SliceOfN(rapid.SampledFrom([]string{"m-1", "M-2", "x"}), 0, 2).Draw(t, "avoid")
		item := rapid.Int64().Draw(t, "item")
		avoided := func(model string) bool {
			return slices.ContainsFunc(avoid, func(m string) bool { return strings.EqualFold(m, model) })
		}
		placed := s.Place(sel, avoid)
		if !slices.IsSortedFunc(placed, pools.Address.Compare) {
			t.Fatalf("%v", placed)
		}
		for a, name := range s.Replicas {
			own := s.Assignments[name]
			can := sel.Matches(a) && !avoided(own.Model)
			if slices.Contains(placed, a) != can {
				t.Fatalf("%s runs %s; %s avoiding %v gives %v", a, own.Model, sel, avoid, placed)
			}
			as, canary, ok := s.Fit(a, item, avoid)
			if ok == avoided(own.Model) || ok && avoided(as.Model) || !canary && ok && as.Name != name {
				t.Fatalf("%s runs %s for %d avoiding %v, canary %v", a, as.Model, item, avoid, canary)
			}
			if p, _ := s.Pool(a.Pool()); canary && (p.Canary == nil || p.Canary.Assignment != as.Name) {
				t.Fatalf("%s runs %s, which is no canary of %+v", a, as.Name, p)
			}
		}
		for _, a := range placed {
			if _, known := s.Replicas[a]; !known {
				t.Fatalf("%s is not in the set", a)
			}
		}
	})
}

func TestWhatIsNotThereIsNotAssigned(t *testing.T) {
	s := crew()
	if as, found := s.Assigned(address("builder-lite-2"), 1); found {
		t.Errorf("a coordinate that there is not runs %+v", as)
	}
	if _, found := s.Pool(pools.PoolName{Role: "builder", Tier: "heavy"}); found {
		t.Error("there is a pool that there is not")
	}
	if p, found := s.Pool(pools.PoolName{Role: "builder", Tier: "lite"}); !found || p.Replicas != 2 {
		t.Errorf("the pool is %+v, %v", p, found)
	}
	var zero pools.Set
	if _, found := zero.Assigned(address("builder-lite-0"), 1); found || len(zero.Place(pools.Selector{}, nil)) > 0 || len(zero.Addresses()) > 0 {
		t.Error("an empty set has somebody")
	}
}

// TestACanaryHasItsShare counts over many items. With n items the count is off
// by more than six standard deviations about once in 10^9.
func TestACanaryHasItsShare(t *testing.T) {
	const items = 5_000
	drawn := map[float64]map[int64]bool{}
	for _, share := range []float64{0, 0.01, 0.1, 0.5, 1} {
		s := crew()
		s.Pools[0].Canary = &pools.Canary{Assignment: "other", Share: share}
		drawn[share] = map[int64]bool{}
		for item := int64(1); item <= items; item++ {
			as, canary, ok := s.Fit(address("builder-lite-0"), item, nil)
			again, _ := s.Assigned(address("builder-lite-1"), item)
			switch {
			case !ok || canary != (as.Name == "other") || canary != (again.Name == "other"):
				t.Fatalf("item %d: %s, %v, and %s beside it", item, as.Name, canary, again.Name)
			case canary:
				drawn[share][item] = true
			}
		}
		got, want := float64(len(drawn[share])), share*items
		if math.Abs(got-want) > 6*math.Sqrt(items*share*(1-share)) {
			t.Errorf("%v of %d items are the canary's, want %v", got, items, want)
		}
	}
	for item := range drawn[0.1] {
		if !drawn[0.5][item] {
			t.Fatalf("item %d is the canary's at a tenth and not at a half", item)
		}
	}
}

func TestACanaryStepsBackFromWhatItMustNotTake(t *testing.T) {
	s := crew()
	s.Pools[0].Canary = &pools.Canary{Assignment: "other", Share: 1}
	for _, row := range []struct {
		name   string
		avoid  []string
		want   string
		canary bool
	}{
		{"the canary takes it", nil, "other", true},
		{"a model of nobody here changes nothing", []string{"m-9"}, "other", true},
		{"the canary's own model must not", []string{"M-3"}, "quick", false},
		{"the coordinate's model must not", []string{"m-1"}, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			as, canary, ok := s.Fit(address("builder-lite-0"), 7, row.avoid)
			if as.Name != row.want || canary != row.canary || ok != (row.want != "") {
				t.Errorf("%q, %v, %v", as.Name, canary, ok)
			}
		})
	}
}

func TestDiffSaysWhatChanges(t *testing.T) {
	lite := pools.PoolName{Role: "builder", Tier: "lite"}
	for name, row := range map[string]struct {
		edit func(*pools.Set)
		want []pools.Change
	}{
		"nothing":                            {func(*pools.Set) {}, nil},
		"a number and a comment are nothing": {func(s *pools.Set) { s.Number, s.Source = 9, "# a comment" }, nil},
		"a swap": {func(s *pools.Set) { s.Replicas[address("builder-lite-0")] = "careful" },
			[]pools.Change{{Part: pools.OfCoordinates, Name: "builder-lite-0", Act: pools.Changed, Text: "builder-lite-0 runs careful instead of quick"}}},
		"another model": {func(s *pools.Set) { a := s.Assignments["quick"]; a.Model = "m-9"; s.Assignments["quick"] = a },
			[]pools.Change{{Part: pools.OfAssignments, Name: "quick", Act: pools.Changed, Text: "assignment quick: its model is m-9 instead of m-1"}}},
		"another prompt": {func(s *pools.Set) {
			a := s.Assignments["quick"]
			a.Prompt.Hash = strings.Repeat("b", 64)
			s.Assignments["quick"] = a
		},
			[]pools.Change{{Part: pools.OfAssignments, Name: "quick", Act: pools.Changed, Text: "assignment quick: its prompt reads otherwise (bbbbbbbbbbbb instead of aa)"}}},
		"a new pool comes before its coordinate": {func(s *pools.Set) {
			s.Pools = append(s.Pools, pools.Pool{Name: pools.PoolName{Role: "builder", Tier: "heavy"}, Replicas: 1})
			s.Replicas[address("builder-heavy-0")] = "careful"
		}, []pools.Change{
			{Part: pools.OfPools, Name: "builder-heavy", Act: pools.Added, Text: "pool builder-heavy is new; number of coordinates: 1"},
			{Part: pools.OfCoordinates, Name: "builder-heavy-0", Act: pools.Added, Text: "builder-heavy-0 is new and runs careful"},
		}},
		"a coordinate less": {func(s *pools.Set) { delete(s.Replicas, address("builder-lite-1")); s.Pools[0].Replicas = 1 },
			[]pools.Change{
				{Part: pools.OfPools, Name: "builder-lite", Act: pools.Changed, Text: "pool builder-lite: its number of coordinates is 1 instead of 2"},
				{Part: pools.OfCoordinates, Name: "builder-lite-1", Act: pools.Removed, Text: "builder-lite-1 is gone"},
			}},
		"a pool's bounds": {func(s *pools.Set) {
			s.Pools[0] = pools.Pool{Name: lite, Replicas: 2, Limit: 3, Daily: 2_500_000, Deadline: time.Hour}
		},
			[]pools.Change{
				{Part: pools.OfPools, Name: "builder-lite", Act: pools.Changed, Text: "pool builder-lite: its limit is 3 instead of one for each coordinate"},
				{Part: pools.OfPools, Name: "builder-lite", Act: pools.Changed, Text: "pool builder-lite: its daily budget is 2.5 instead of none"},
				{Part: pools.OfPools, Name: "builder-lite", Act: pools.Changed, Text: "pool builder-lite: its deadline is 1h0m0s instead of the server's"},
			}},
		"an assignment more": {func(s *pools.Set) {
			s.Assignments["new"] = pools.Assignment{Name: "new", Provider: "acme", Model: "m-7"}
		},
			[]pools.Change{{Part: pools.OfAssignments, Name: "new", Act: pools.Added, Text: "assignment new is new: m-7 of acme"}}},
		"the vocabulary": {func(s *pools.Set) { s.Vocabulary.Roles = []string{"builder"}; s.Currency = "EUR" },
			[]pools.Change{
				{Part: pools.OfVocabulary, Act: pools.Changed, Text: "the roles: builder instead of builder, reviewer"},
				{Part: pools.OfVocabulary, Act: pools.Changed, Text: "the currency: EUR instead of USD"},
			}},
	} {
		t.Run(name, func(t *testing.T) {
			b := crew()
			row.edit(&b)
			if diff := cmp.Diff(row.want, pools.Diff(crew(), b)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDiffIsEmptyIffTheHashesAreEqual compares a set with another, and with one
// that differs in a single thing.
func TestDiffIsEmptyIffTheHashesAreEqual(t *testing.T) {
	same := 0
	rapid.Check(t, func(t *rapid.T) {
		a := sets().Draw(t, "a")
		b := sets().Draw(t, "b")
		if rapid.Bool().Draw(t, "close") {
			b = nudged(t, a)
		}
		diff := pools.Diff(a, b)
		if (len(diff) == 0) != (a.Hash() == b.Hash()) {
			t.Fatalf("hashes %s and %s, and yet %v", a.Hash(), b.Hash(), diff)
		}
		if len(diff) == 0 {
			same++
		}
		if back := pools.Diff(b, a); len(back) != len(diff) {
			t.Fatalf("%d things change one way and %d the other: %v, %v", len(diff), len(back), diff, back)
		}
		for _, c := range diff {
			if c.Text == "" || strings.Contains(c.Text, "\n") || c.Act == "" || c.Part == "" {
				t.Fatalf("%+v", c)
			}
		}
	})
	if same == 0 {
		t.Error("no two sets were the same")
	}
}

// nudged is a copy of a set, of which one thing may be another.
func nudged(t *rapid.T, s pools.Set) pools.Set {
	s.Assignments, s.Replicas, s.Pools = maps.Clone(s.Assignments), maps.Clone(s.Replicas), slices.Clone(s.Pools)
	s.Number++
	s.Source += "\n# more"
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0:
		s.Vocabulary.Roles = slices.Clone(s.Vocabulary.Roles)
		s.Vocabulary.Roles[0] += "x"
	case 1:
		a := s.Assignments["run-0"]
		a.Prices.CacheWrite++
		s.Assignments["run-0"] = a
	case 2:
		s.Assignments["more"] = pools.Assignment{Name: "more"}
	case 3:
		for _, a := range s.Addresses() {
			delete(s.Replicas, a)
			break
		}
	case 4:
		if len(s.Pools) > 0 {
			s.Pools[0].Canary = &pools.Canary{Assignment: "run-0", Share: 0.75}
		}
	}
	return s
}

func TestASetSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := sets().Draw(t, "set")
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got pools.Set
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%v of %s", err, data)
		}
		if diff := cmp.Diff(want, got); diff != "" || got.Hash() != want.Hash() {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestAHashDoesNotHangOnTheOrderOfMaps(t *testing.T) {
	s := crew()
	want := s.Hash()
	for range 20 {
		if got := crew().Hash(); got != want {
			t.Fatal("two hashes of one set")
		}
	}
	slices.Reverse(s.Pools)
	if s.Hash() != want {
		t.Error("the order of the pools is in the hash")
	}
	if len(want) != 64 || fmt.Sprint(len(s.Addresses())) != "3" {
		t.Errorf("%s of %v", want, s.Addresses())
	}
}
