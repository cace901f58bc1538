package dispatcher

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/pools"
)

func TestACostThatCannotBeIsRefusedAndChangesNothing(t *testing.T) {
	for rule, b := range map[string]Beat{
		"more money than there is":          {Amount: mostMoney + 1},
		"as much as a number holds":         {Amount: math.MaxInt64, Tokens: pools.Tokens{Input: math.MaxInt64}},
		"too many tokens that go in":        {Tokens: pools.Tokens{Input: mostTokens + 1}},
		"too many tokens that come out":     {Tokens: pools.Tokens{Output: mostTokens + 1}},
		"too many tokens that are read":     {Tokens: pools.Tokens{CacheRead: mostTokens + 1}, Amount: 1},
		"too many tokens that are kept":     {Tokens: pools.Tokens{CacheWrite: mostTokens + 1}},
		"tokens whose price is beyond that": {Tokens: pools.Tokens{Input: mostTokens, Output: mostTokens}},
	} {
		for name, call := range map[string]func(*yard, claim) error{
			"heartbeat": func(y *yard, c claim) error { _, err := y.beat(c, b); return err },
			"complete":  func(y *yard, c claim) error { return y.complete(c, Completion{Beat: b}) },
			"fail":      func(y *yard, c claim) error { return y.failed(c, Failure{Beat: b, Reason: "no"}) },
		} {
			t.Run(rule+": "+name, func(t *testing.T) {
				y := newYard(t)
				y.want("ann", Submission{})
				c := y.claim("builder-lite-0")
				if err := y.register(c, 1, 1); err != nil {
					t.Fatal(err)
				}
				was, spends := y.works[0], len(y.spends)
				if err := call(y, c); fault.KindOf(err) != fault.Permanent || errors.Is(err, ErrStale) {
					t.Fatalf("it came to %v", err)
				}
				if !reflect.DeepEqual(was, y.works[0]) || len(y.spends) != spends || y.said("refused.work."+name) != 1 {
					t.Errorf("it changed something: %+v", y.works[0])
				}
			})
		}
	}
}

func TestTheMostThatCanBeReportedBreaksNoSum(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{Attempts: 20})
	for range 19 {
		c := y.claim("builder-lite-0")
		if _, err := y.beat(c, Beat{Amount: mostMoney, Tokens: pools.Tokens{Input: mostTokens, Output: mostTokens}}); err != nil {
			t.Fatal(err)
		}
		if _, err := y.beat(c, Beat{Stopped: true}); err != nil {
			t.Fatal(err)
		}
		y.now = y.now.Add(24 * time.Hour)
	}
	if i := y.stands(1, Ready); i.Spent != 19*mostMoney || i.Reserved != 0 || y.attempt(19).Cost.Tokens.Total() != 2*mostTokens {
		t.Errorf("the item is %+v", i)
	}
}

func TestW5MoneyMovesFromReservedToSpentAndTheRestIsFreed(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{Budget: 5_000_000})
	c := y.claim("builder-lite-0")
	lite := account{at("builder-lite-0").Pool(), day(y.now)}
	check := func(when string, spent, reserved pools.Money) {
		t.Helper()
		i, s := y.item(1), y.spends[lite]
		if i.Spent != spent || i.Reserved != reserved || s.Spent != spent || s.Reserved != reserved {
			t.Fatalf("%s: the item has %s and %s, the pool %s and %s", when, i.Spent, i.Reserved, s.Spent, s.Reserved)
		}
	}
	check("claimed", 0, 2_000_000)
	for _, step := range []struct {
		when                    string
		b                       Beat
		spent, reserved, amount pools.Money
	}{
		{"tokens are priced", Beat{Tokens: pools.Tokens{Input: 500_000}}, 500_000, 1_500_000, 500_000},
		{"an amount goes before tokens", Beat{Amount: 700_000}, 700_000, 1_300_000, 700_000},
		{"a total never goes down", Beat{Amount: 1}, 700_000, 1_300_000, 700_000},
		{"what is over the reservation is spent all the same", Beat{Amount: 2_300_000}, 2_300_000, 0, 2_300_000},
	} {
		if _, err := y.beat(c, step.b); err != nil {
			t.Fatal(err)
		}
		check(step.when, step.spent, step.reserved)
	}
	y.now = y.now.Add(24 * time.Hour) // the day of the attempt's start counts
	y.tend()
	check("expired", 2_300_000, 0)
	two := y.claim("builder-lite-2")
	y.now = y.now.Add(time.Second)
	lite.day = day(y.now)
	if i := y.item(1); i.Reserved != 1_000_000 || y.spends[lite].Reserved != 1_000_000 {
		t.Fatalf("the second attempt has set aside %s of %+v", i.Reserved, y.spends[lite])
	}
	y.land(two, 1, 1)
	y.settle(1, landing{Pull: pullOf(1), Outcome: change.OutcomeHealthy})
	if i := y.stands(1, Done); i.Reserved != 0 || i.Spent != 2_300_000 || y.spends[lite].Reserved != 0 {
		t.Errorf("the item is %+v", i)
	}
}
