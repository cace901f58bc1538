package pools_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"slipway/pools"
)

func vocabulary() pools.Vocabulary {
	return pools.Vocabulary{Roles: []string{"builder", "reviewer"}, Tiers: []string{"lite", "standard", "heavy"}}
}

func TestAnAddressIsReadInOneWayOnly(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       pools.Address
		fault      string
	}{
		{"role, tier and replica", "builder-lite-0", pools.Address{Role: "builder", Tier: "lite"}, ""},
		{"the highest replica", "reviewer-heavy-9999", pools.Address{Role: "reviewer", Tier: "heavy", Replica: 9999}, ""},
		{"nothing", "", pools.Address{}, "is not <role>-<tier>-<replica>"},
		{"a role outside the vocabulary", "tester-lite-0", pools.Address{}, `there is no role "tester"; the roles are builder, reviewer`},
		{"a tier outside the vocabulary", "builder-huge-0", pools.Address{}, `there is no tier "huge"; the tiers are lite, standard, heavy`},
		{"a leading zero", "builder-lite-00", pools.Address{}, "is not"},
		{"a leading zero before a number", "builder-lite-01", pools.Address{}, "is not"},
		{"a sign", "builder-lite-+1", pools.Address{}, "is not"},
		{"a negative replica", "builder-lite--1", pools.Address{}, "is not"},
		{"a replica that is too high", "builder-lite-10000", pools.Address{}, "is not"},
		{"digits that are not ASCII", "builder-lite-٣", pools.Address{}, "is not"},
		{"upper case", "Builder-lite-0", pools.Address{}, "is not"},
		{"a blank before", " builder-lite-0", pools.Address{}, "is not"},
		{"a line end after", "builder-lite-0\n", pools.Address{}, "is not"},
		{"no replica", "builder-lite", pools.Address{}, "is not"},
		{"a fourth part", "builder-lite-0-0", pools.Address{}, "is not"},
		{"a free part", "builder-*-0", pools.Address{}, "is not"},
		{"an empty part", "builder--0", pools.Address{}, "is not"},
		{"a role that begins with a digit", "1builder-lite-0", pools.Address{}, "is not"},
		{"a role that is too long", strings.Repeat("a", 21) + "-lite-0", pools.Address{}, "is not"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := pools.ParseAddress(row.text, vocabulary())
			wants(t, err, row.fault)
			if got != row.want {
				t.Errorf("%q is read as %+v", row.text, got)
			}
		})
	}
}

func TestASelectorIsWrittenLikeTheAddressItRestrictsTo(t *testing.T) {
	zero := 0
	for _, row := range []struct {
		name, text, canonical string
		want                  pools.Selector
		fault                 string
	}{
		{"a role", "builder", "builder", pools.Selector{Role: "builder"}, ""},
		{"a pool", "builder-lite", "builder-lite", pools.Selector{Role: "builder", Tier: "lite"}, ""},
		{"a coordinate", "builder-lite-0", "builder-lite-0", pools.Selector{Role: "builder", Tier: "lite", Replica: &zero}, ""},
		{"the first of each tier", "builder-*-0", "builder-*-0", pools.Selector{Role: "builder", Replica: &zero}, ""},
		{"a tier of every role", "*-lite", "*-lite", pools.Selector{Tier: "lite"}, ""},
		{"everything", "*", "*", pools.Selector{}, ""},
		{"what is free at the end is left out", "builder-*-*", "builder", pools.Selector{Role: "builder"}, ""},
		{"nothing but free parts", "*-*-*", "*", pools.Selector{}, ""},
		{"nothing", "", "", pools.Selector{}, "is not <role>"},
		{"a role outside the vocabulary", "tester", "", pools.Selector{}, "there is no role"},
		{"a tier outside the vocabulary", "*-huge", "", pools.Selector{}, "there is no tier"},
		{"a part of a word", "build*", "", pools.Selector{}, "is not"},
		{"a leading zero", "builder-lite-00", "", pools.Selector{}, "is not"},
		{"a range", "builder-lite-0..3", "", pools.Selector{}, "is not"},
		{"upper case", "BUILDER", "", pools.Selector{}, "is not"},
		{"a fourth part", "*-*-*-*", "", pools.Selector{}, "is not"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := pools.ParseSelector(row.text, vocabulary())
			wants(t, err, row.fault)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("%q is read otherwise (-want +got):\n%s", row.text, diff)
			}
			if err == nil && got.String() != row.canonical {
				t.Errorf("%q is written %q, want %q", row.text, got, row.canonical)
			}
		})
	}
}

func TestAPoolIsRoleAndTier(t *testing.T) {
	got, err := pools.ParsePoolName("builder-lite", vocabulary())
	if err != nil || got != (pools.PoolName{Role: "builder", Tier: "lite"}) {
		t.Errorf("read as %+v: %v", got, err)
	}
	for _, text := range []string{"", "builder", "builder-lite-0", "builder-*", "Builder-lite", "tester-lite", "builder-huge"} {
		if got, err := pools.ParsePoolName(text, vocabulary()); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestNamesSurviveJSON(t *testing.T) {
	one := 1
	type names struct {
		Address  pools.Address
		Nobody   pools.Address
		Pool     pools.PoolName
		None     pools.PoolName
		Selector pools.Selector
		Run      map[pools.Address]string
	}
	want := names{
		Address: pools.Address{Role: "builder", Tier: "lite", Replica: 3}, Pool: pools.PoolName{Role: "builder", Tier: "lite"},
		Selector: pools.Selector{Tier: "lite", Replica: &one}, Run: map[pools.Address]string{{Role: "a", Tier: "b"}: "x"},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if text := `{"Address":"builder-lite-3","Nobody":"","Pool":"builder-lite","None":"","Selector":"*-lite-1","Run":{"a-b-0":"x"}}`; string(data) != text {
		t.Errorf("written as %s", data)
	}
	var got names
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`{"Address":"builder-lite"}`, `{"Pool":"builder-lite-0"}`, `{"Selector":""}`, `{"Run":{"x":"y"}}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := vocabularies().Draw(t, "vocabulary")
		a := addressesOf(v).Draw(t, "address")
		if got, err := pools.ParseAddress(a.String(), v); err != nil || got != a {
			t.Fatalf("%+v is written %s and read as %+v: %v", a, a, got, err)
		}
		sel := selectorsOf(v).Draw(t, "selector")
		got, err := pools.ParseSelector(sel.String(), v)
		if err != nil || !cmp.Equal(got, sel) {
			t.Fatalf("%+v is written %s and read as %+v: %v", sel, sel, got, err)
		}
	})
}

func TestASelectorMatchesWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := vocabulary()
		a, sel := addressesOf(v).Draw(t, "address"), selectorsOf(v).Draw(t, "selector")
		want := true
		said, is := strings.Split(sel.String(), "-"), strings.Split(a.String(), "-")
		for i, part := range said {
			want = want && (part == pools.Free || part == is[i])
		}
		if got := sel.Matches(a); got != want {
			t.Fatalf("%s matches %s: %v", sel, a, got)
		}
		if sel.Matches(pools.Address{}) {
			t.Fatalf("%s matches nobody", sel)
		}
	})
}

func TestAddressesAreOrderedByPoolAndNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(addressesOf(vocabulary()), 3, 3).Draw(t, "addresses")
		a, b, c := all[0], all[1], all[2]
		if a.Compare(b) != -b.Compare(a) || (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%s and %s: %d and %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%s, %s, %s", a, b, c)
		}
		if a.Pool() == b.Pool() && (a.Compare(b) < 0) != (a.Replica < b.Replica) {
			t.Fatalf("%s before %s: %d", a, b, a.Compare(b))
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"builder-lite-0", "reviewer-heavy-9999", "builder-lite-00", "a-b-1", "builder-*-0", ""} {
		f.Add(s)
	}
	shape := regexp.MustCompile(`^(builder|reviewer)-(lite|standard|heavy)-(0|[1-9][0-9]{0,3})$`)
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	f.Fuzz(func(t *testing.T, s string) {
		a, err := pools.ParseAddress(s, vocabulary())
		if (err == nil) != shape.MatchString(s) {
			t.Fatalf("%q: %+v, %v", s, a, err)
		}
		if err != nil {
			return
		}
		if a.String() != s || !label.MatchString(s) {
			t.Fatalf("%q is written %q", s, a)
		}
	})
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{"*", "builder", "builder-lite", "*-lite-0", "builder-*-*", "builder-lite-00", "", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sel, err := pools.ParseSelector(s, vocabulary())
		if err != nil {
			return
		}
		again, err := pools.ParseSelector(sel.String(), vocabulary())
		if err != nil || !cmp.Equal(again, sel) {
			t.Fatalf("%q is %+v, written %q, and read as %+v: %v", s, sel, sel, again, err)
		}
		if a, err := pools.ParseAddress(s, vocabulary()); err == nil && !sel.Matches(a) {
			t.Fatalf("%q does not match itself", s)
		}
		v := vocabulary()
		if sel.Role != "" && !slices.Contains(v.Roles, sel.Role) || sel.Tier != "" && !slices.Contains(v.Tiers, sel.Tier) {
			t.Fatalf("%q is outside the vocabulary", s)
		}
	})
}

// wants asks for an error with a part of its text, or for none.
func wants(t *testing.T, err error, part string) {
	t.Helper()
	if (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want %q", err, part)
	}
}
