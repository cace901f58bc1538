package pools

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

const (
	// million is how many millionths make one of a currency, and how many tokens
	// a price is for.
	million  = 1_000_000
	decimals = 6
	// MaxMoney is the highest amount. Sums and costs that would be above it are
	// it, so that an overflow is never cheap.
	MaxMoney Money = math.MaxInt64
)

var moneyPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,12})(?:\.([0-9]{1,6}))?$`)

// ParseMoney reads a decimal such as 2.5. It refuses what is below 0, what has
// more than six decimals, an exponent, a sign, and every other way to write a
// number.
func ParseMoney(s string) (Money, error) {
	m := moneyPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not an amount: want a decimal such as 2.5, not below 0, with at most %d decimals", clip(s), decimals)
	}
	units, _ := strconv.ParseInt(m[1], 10, 64)                                              // at most 13 digits
	parts, _ := strconv.ParseInt((m[2] + strings.Repeat("0", decimals))[:decimals], 10, 64) // six digits
	if units > math.MaxInt64/million || units*million > math.MaxInt64-parts {
		return 0, fmt.Errorf("%q is more than %s, the highest amount", s, MaxMoney)
	}
	return Money(units*million + parts), nil
}

// String is the exact decimal, without zeros that say nothing: 2.5.
func (m Money) String() string {
	sign, all := "", uint64(m) // #nosec G115 -- a negative amount is turned round below
	if m < 0 {
		sign, all = "-", -all
	}
	s := fmt.Sprintf("%s%d.%06d", sign, all/million, all%million)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Add is the sum; where that has no place, the highest amount.
func (m Money) Add(n Money) Money { return Money(sum(int64(m), int64(n))) }

// MarshalJSON writes the exact decimal as a number.
func (m Money) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON reads a number, or the same in a string, as ParseMoney does.
func (m *Money) UnmarshalJSON(b []byte) (err error) {
	if bytes.Equal(b, []byte("null")) {
		return nil // as every other value in JSON
	}
	text := string(b)
	if inner, found := strings.CutPrefix(text, `"`); found {
		text = strings.TrimSuffix(inner, `"`)
	}
	*m, err = ParseMoney(text)
	return err
}

// Cost is what tokens cost at these prices, rounded up to a millionth, at most
// MaxMoney. What is below 0 counts as nothing.
func (p Prices) Cost(t Tokens) Money {
	var high, low, carry uint64
	for _, kind := range [...]struct {
		price Money
		count int64
	}{{p.Input, t.Input}, {p.Output, t.Output}, {p.CacheRead, t.CacheRead}, {p.CacheWrite, t.CacheWrite}} {
		if kind.price <= 0 || kind.count <= 0 {
			continue
		}
		h, l := bits.Mul64(uint64(kind.price), uint64(kind.count))
		low, carry = bits.Add64(low, l, 0)
		high, _ = bits.Add64(high, h, carry) // four products below 2^126 each
	}
	low, carry = bits.Add64(low, million-1, 0)
	high += carry
	if high >= million {
		return MaxMoney
	}
	cost, _ := bits.Div64(high, low, million)
	return Money(min(cost, math.MaxInt64)) // #nosec G115 -- bounded here
}

// Add is the sum of each kind; where that has no place, the highest number.
func (t Tokens) Add(u Tokens) Tokens {
	return Tokens{
		Input:      sum(t.Input, u.Input),
		Output:     sum(t.Output, u.Output),
		CacheRead:  sum(t.CacheRead, u.CacheRead),
		CacheWrite: sum(t.CacheWrite, u.CacheWrite),
	}
}

// Total is how many there are of all kinds.
func (t Tokens) Total() int64 {
	return sum(sum(t.Input, t.Output), sum(t.CacheRead, t.CacheWrite))
}

// sum adds without running over.
func sum(a, b int64) int64 {
	switch c := a + b; {
	case a > 0 && b > 0 && c < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && c >= 0:
		return math.MinInt64
	default:
		return c
	}
}

// clip is a text short enough to be repeated.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
