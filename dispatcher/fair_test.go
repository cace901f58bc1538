package dispatcher

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// turns has one coordinate work, and says how many items it was given up to and
// with the one that is waited for. between runs after each.
func (y *yard) turns(until ItemID, most int, between func()) int {
	for n := 1; n <= most; n++ {
		c := y.claim("builder-lite-0")
		if err := y.failed(c, Failure{Reason: "it is done with", Final: true}); err != nil {
			y.fail("%v", err)
		}
		if c.Item.ID == until {
			return n
		}
		if between != nil {
			between()
		}
	}
	return most + 1
}

func TestAFloodDelaysOthersByNoMoreThanATurnOrTwo(t *testing.T) {
	y := newYard(t)
	y.many(1000, Submission{})
	y.turns(0, 5, nil)
	one := y.want("bob", Submission{})
	if n := y.turns(one.ID, 10, nil); n > 3 {
		t.Errorf("one item behind a flood was given as the %d.", n)
	}
	other := y.want("ann", Submission{Repo: otherRepo()})
	if n := y.turns(other.ID, 10, nil); n > 3 {
		t.Errorf("one item of another repository was given as the %d.", n)
	}
}

func TestANewcomerWaitsForTwoTurnsOfEveryOtherFlowAtTheMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := newYard(t)
		flows := rapid.IntRange(1, 5).Draw(t, "flows")
		flow := rapid.IntRange(1, flows)
		for range rapid.IntRange(0, 40).Draw(t, "items") {
			y.want(fmt.Sprintf("flow %d", flow.Draw(t, "of")), Submission{})
			if rapid.IntRange(0, 3).Draw(t, "serve") == 0 {
				y.turns(0, 1, nil)
			}
		}
		one := y.want("newcomer", Submission{})
		n := y.turns(one.ID, 100, func() {
			for range rapid.IntRange(0, 2).Draw(t, "more") {
				y.want(fmt.Sprintf("flow %d", flow.Draw(t, "of")), Submission{})
			}
		})
		if n > 2*flows+1 {
			t.Fatalf("with %d flows it was given as the %d.", flows, n)
		}
	})
}

func TestFlowsThatComeOneByOneDoNotKeepABacklogWaiting(t *testing.T) {
	y := newYard(t)
	y.want("x", Submission{}) // one of them is always there
	y.many(10, Submission{})
	who := 0
	last := ItemID(len(y.works))
	n := y.turns(last, 100, func() {
		who++
		y.want([]string{"x", "y"}[who%2], Submission{})
	})
	if n > 35 {
		t.Errorf("the last of ten was given as the %d.", n)
	}
}

func TestAgeingBoundsHowLongTheLowestWaits(t *testing.T) {
	y := newYard(t)
	low := y.want("ann", Submission{Priority: "lowest"})
	y.want("bob", Submission{Priority: "high"})
	begin, n := y.now, 0
	got := y.turns(low.ID, 100, func() {
		n++
		y.pass(5 * time.Minute)
		y.want(fmt.Sprintf("flow %d", n%4), Submission{Priority: []string{"high", "highest"}[n%2]})
	})
	if waited := y.now.Sub(begin); got > 100 || waited > 4*testTerms.rise+30*time.Minute {
		t.Errorf("it waited for %s, while %d were given", waited, got)
	}
}

func TestLevelsAreReadAndWrittenByTheirWords(t *testing.T) {
	for n, word := range levels() {
		if l, err := ParseLevel(word); err != nil || l != Level(n) || l.String() != word {
			t.Errorf("%s is %s, %v", word, l, err)
		}
	}
	if l, err := ParseLevel(""); err != nil || l != Normal {
		t.Errorf("nothing is %s, %v", l, err)
	}
	if _, err := ParseLevel("Normal"); err == nil {
		t.Error("another case was read")
	}
	if Level(9).String() != "level 9" {
		t.Errorf("an unknown level is %s", Level(9))
	}
}
