package pools_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"slipway/pools"
)

func TestAnAmountIsAPlainDecimal(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       pools.Money
		fault      string
	}{
		{"a whole number", "3", 3_000_000, ""},
		{"decimals", "2.5", 2_500_000, ""},
		{"the least", "0.000001", 1, ""},
		{"zeros at the end", "2.500000", 2_500_000, ""},
		{"nothing is nought", "0", 0, ""},
		{"the most", "9223372036854.775807", pools.MaxMoney, ""},
		{"more than the most", "9223372036854.775808", 0, "the highest amount"},
		{"far more than the most", "99999999999999", 0, "is not an amount"},
		{"below nought", "-1", 0, "not below 0"},
		{"a sign", "+1", 0, "is not an amount"},
		{"too fine", "0.0000001", 0, "at most 6 decimals"},
		{"an exponent", "1e3", 0, "is not an amount"},
		{"hexadecimal", "0x1", 0, "is not an amount"},
		{"a leading zero", "01", 0, "is not an amount"},
		{"no digit before the point", ".5", 0, "is not an amount"},
		{"no digit after the point", "5.", 0, "is not an amount"},
		{"a comma", "2,5", 0, "is not an amount"},
		{"a currency", "$2", 0, "is not an amount"},
		{"no number", "NaN", 0, "is not an amount"},
		{"a line end", "1\n", 0, "is not an amount"},
		{"nothing at all", "", 0, "is not an amount"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := pools.ParseMoney(row.text)
			wants(t, err, row.fault)
			if got != row.want {
				t.Errorf("%q is %d, want %d", row.text, got, row.want)
			}
		})
	}
}

func TestAmountsSurviveTextAndJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := pools.Money(rapid.Int64Range(0, math.MaxInt64).Draw(t, "amount"))
		if got, err := pools.ParseMoney(m.String()); err != nil || got != m {
			t.Fatalf("%d is written %s and read as %d: %v", m, m, got, err)
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var number, text pools.Money
		if err := json.Unmarshal(data, &number); err != nil || number != m {
			t.Fatalf("%s is read as %d: %v", data, number, err)
		}
		if err := json.Unmarshal([]byte(`"`+m.String()+`"`), &text); err != nil || text != m {
			t.Fatalf("%q is read as %d: %v", m, text, err)
		}
	})
	if s := pools.Money(math.MinInt64).String(); s != "-9223372036854.775808" {
		t.Errorf("the least is written %s", s)
	}
	for _, bad := range []string{`-1`, `1e-7`, `1e2`, `"x"`, `true`, `{}`, `"1`} {
		var m pools.Money
		if err := json.Unmarshal([]byte(bad), &m); err == nil {
			t.Errorf("%s is read as %d", bad, m)
		}
	}
}

func TestCost(t *testing.T) {
	prices := pools.Prices{Input: 3_000_000, Output: 15_000_000, CacheRead: 300_000, CacheWrite: 3_750_000}
	for _, row := range []struct {
		name   string
		prices pools.Prices
		tokens pools.Tokens
		want   string
	}{
		{"no tokens cost nothing", prices, pools.Tokens{}, "0"},
		{"a million of each costs each price", prices, pools.Tokens{Input: 1e6, Output: 1e6, CacheRead: 1e6, CacheWrite: 1e6}, "22.05"},
		{"a part of a millionth is a whole one", pools.Prices{Input: 1}, pools.Tokens{Input: 1}, "0.000001"},
		{"the parts are added up before", pools.Prices{Input: 1, Output: 1}, pools.Tokens{Input: 500_000, Output: 500_000}, "0.000001"},
		{"what is free costs nothing", pools.Prices{}, pools.Tokens{Input: 1e9}, "0"},
		{"too much is the highest amount", pools.Prices{Input: pools.MaxMoney}, pools.Tokens{Input: math.MaxInt64}, pools.MaxMoney.String()},
		{"too much of everything is", pools.Prices{Input: pools.MaxMoney, Output: pools.MaxMoney, CacheRead: pools.MaxMoney, CacheWrite: pools.MaxMoney},
			pools.Tokens{Input: math.MaxInt64, Output: math.MaxInt64, CacheRead: math.MaxInt64, CacheWrite: math.MaxInt64}, pools.MaxMoney.String()},
		{"tokens below nought do not pay anything back", prices, pools.Tokens{Input: 1e6, Output: -1e6}, "3"},
		{"nor do prices below nought", pools.Prices{Input: 1_000_000, Output: -1}, pools.Tokens{Input: 1e6, Output: 1e6}, "1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.prices.Cost(row.tokens).String(); got != row.want {
				t.Errorf("it costs %s, want %s", got, row.want)
			}
		})
	}
}

// TestCostIsTheExactSumRoundedUp compares with numbers that have no bounds.
func TestCostIsTheExactSumRoundedUp(t *testing.T) {
	any64 := rapid.OneOf(rapid.Int64Range(0, 1e9), rapid.Int64Range(0, math.MaxInt64), rapid.Int64())
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) int64 { return any64.Draw(t, what) }
		p := pools.Prices{Input: pools.Money(draw("a")), Output: pools.Money(draw("b")), CacheRead: pools.Money(draw("c")), CacheWrite: pools.Money(draw("d"))}
		n := pools.Tokens{Input: draw("e"), Output: draw("f"), CacheRead: draw("g"), CacheWrite: draw("h")}
		want := new(big.Int)
		for _, k := range [][2]int64{{int64(p.Input), n.Input}, {int64(p.Output), n.Output}, {int64(p.CacheRead), n.CacheRead}, {int64(p.CacheWrite), n.CacheWrite}} {
			if k[0] > 0 && k[1] > 0 {
				want.Add(want, new(big.Int).Mul(big.NewInt(k[0]), big.NewInt(k[1])))
			}
		}
		want.Div(want.Add(want, big.NewInt(999_999)), big.NewInt(1_000_000))
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		got := p.Cost(n)
		if int64(got) != want.Int64() {
			t.Fatalf("%+v of %+v cost %d, want %s", n, p, got, want)
		}
		more := n.Add(pools.Tokens{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4})
		if p.Cost(more) < got {
			t.Fatalf("%+v cost less than %+v: %d, %d", more, n, p.Cost(more), got)
		}
	})
}

func TestSumsDoNotRunOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		want := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		switch {
		case want.IsInt64():
		case want.Sign() > 0:
			want.SetInt64(math.MaxInt64)
		default:
			want.SetInt64(math.MinInt64)
		}
		if got := pools.Money(a).Add(pools.Money(b)); int64(got) != want.Int64() {
			t.Fatalf("%d + %d = %d", a, b, got)
		}
		sum := pools.Tokens{Input: a, CacheWrite: b}.Add(pools.Tokens{Input: b, CacheWrite: a})
		if sum.Input != want.Int64() || sum.CacheWrite != want.Int64() || sum.Output != 0 {
			t.Fatalf("%d and %d are %+v", a, b, sum)
		}
	})
	if n := (pools.Tokens{Input: 1, Output: 20, CacheRead: 300, CacheWrite: 4000}).Total(); n != 4321 {
		t.Errorf("%d in all", n)
	}
	if n := (pools.Tokens{Input: math.MaxInt64, Output: 1}).Total(); n != math.MaxInt64 {
		t.Errorf("%d in all", n)
	}
}
