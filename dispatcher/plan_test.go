package dispatcher

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"slipway/pools"
)

func TestAMatchGivesACoordinateOnlyWhatItMayHave(t *testing.T) {
	for _, test := range []struct {
		rule string
		set  func(*yard)
		asks []string
		want string // coordinate:item, in order
	}{
		{"one that asks gets one item", func(y *yard) { y.many(2, Submission{}) }, []string{"builder-lite-0"}, "builder-lite-0:1"},
		{"each gets another", func(y *yard) { y.many(2, Submission{}) }, []string{"builder-lite-1", "builder-lite-0"}, "builder-lite-1:1 builder-lite-0:2"},
		{"one that asks twice gets one", func(y *yard) { y.many(2, Submission{}) }, []string{"builder-lite-0", "builder-lite-0"}, "builder-lite-0:1"},
		{"an item has one taker", func(y *yard) { y.many(1, Submission{}) }, []string{"builder-lite-1", "builder-lite-0"}, "builder-lite-1:1"},
		{"a role takes its own work", func(y *yard) { y.many(1, Submission{}); y.review(1, 1) }, []string{"reviewer-lite-0", "builder-lite-0"}, "reviewer-lite-0:2 builder-lite-0:1"},
		{"a tier is kept to", func(y *yard) { y.many(1, Submission{Selector: "builder-heavy"}) }, []string{"builder-lite-0", "builder-heavy-0"}, "builder-heavy-0:1"},
		{"a replica is kept to", func(y *yard) { y.many(1, Submission{Selector: "builder-lite-2"}) }, []string{"builder-lite-0", "builder-lite-2"}, "builder-lite-2:1"},
		{"any tier may be left open", func(y *yard) { y.many(1, Submission{Selector: "builder-*-0"}) }, []string{"builder-lite-1", "builder-heavy-0"}, "builder-heavy-0:1"},
		{"a coordinate that is not in the config gets nothing", func(y *yard) { y.many(1, Submission{}) }, []string{"builder-lite-3", "builder-huge-0"}, ""},
		{"a cordoned one gets nothing", func(y *yard) {
			y.many(1, Submission{})
			if err := y.cordon("builder-lite-0", true); err != nil {
				y.fail("%v", err)
			}
		}, []string{"builder-lite-0", "builder-lite-1"}, "builder-lite-1:1"},
		{"one with a live attempt gets nothing", func(y *yard) { y.many(2, Submission{}); y.claim("builder-lite-0") }, []string{"builder-lite-0", "builder-lite-1"}, "builder-lite-1:2"},
		{"a full pool gets nothing", func(y *yard) {
			y.many(4, Submission{})
			y.set.Pools[1].Limit = 2
			y.claim("builder-lite-0")
		}, []string{"builder-lite-1", "builder-lite-2", "builder-heavy-0"}, "builder-lite-1:2 builder-heavy-0:3"},
		{"an avoided model gets nothing", func(y *yard) { y.review(1, 1, "OTHER-ONE") }, []string{"reviewer-lite-0", "reviewer-lite-1"}, "reviewer-lite-1:1"},
		{"an avoided model is one behind another provider too", func(y *yard) { y.review(1, 1, "large") }, []string{"reviewer-lite-1", "reviewer-lite-0"}, "reviewer-lite-0:1"},
		{"a canary that is to be avoided is not drawn", func(y *yard) {
			y.set.Pools[2].Canary = &pools.Canary{Assignment: "small", Share: 1}
			y.review(1, 1, "acme/small")
		}, []string{"reviewer-lite-0"}, "reviewer-lite-0:1"},
		{"the next item is taken where the first must not be", func(y *yard) { y.review(1, 1, "other-one"); y.review(2, 2) }, []string{"reviewer-lite-0"}, "reviewer-lite-0:2"},
		{"an item whose deadline is over is not given", func(y *yard) {
			y.want("ann", Submission{Deadline: y.now.Add(time.Minute)})
			y.now = y.now.Add(time.Minute)
		}, []string{"builder-lite-0"}, ""},
		{"a higher level goes first", func(y *yard) { y.want("ann", Submission{}); y.want("ann", Submission{Priority: "high"}) }, []string{"builder-lite-0"}, "builder-lite-0:2"},
		{"between lanes too", func(y *yard) {
			y.want("ann", Submission{})
			y.want("ann", Submission{Selector: "builder-lite", Priority: "high"})
			y.want("ann", Submission{Selector: "*-lite", Priority: "highest"})
		}, []string{"builder-lite-0", "builder-lite-1", "builder-lite-2"}, "builder-lite-0:3 builder-lite-1:2 builder-lite-2:1"},
		{"within a level the flows take turns", func(y *yard) { y.many(3, Submission{}); y.want("bob", Submission{}) }, []string{"builder-lite-0", "builder-lite-1", "builder-lite-2"}, "builder-lite-0:1 builder-lite-1:2 builder-lite-2:4"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			test.set(y)
			got := ""
			for _, c := range y.ask(test.asks...) {
				if got != "" {
					got += " "
				}
				got += fmt.Sprintf("%s:%d", c.Attempt.Address, c.Item.ID)
				y.stands(c.Item.ID, Working)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// many wants several alike by one submitter.
func (y *yard) many(n int, s Submission) {
	for range n {
		y.want("ann", s)
	}
}

func TestW5NothingIsClaimedBeyondABudget(t *testing.T) {
	for _, test := range []struct {
		rule   string
		set    func(*yard)
		budget pools.Money
		as     string
		want   pools.Money // reserved
		none   bool
	}{
		{"the assignment's", nil, 0, "builder-lite-0", 2_000_000, false},
		{"the item's, where it is less", nil, 500_000, "builder-lite-0", 500_000, false},
		{"an assignment without one sets aside all that the item has", nil, 7_000_000, "builder-heavy-0", 7_000_000, false},
		{"without any bound nothing is set aside", nil, 0, "builder-heavy-0", 0, false},
		{"what the item has spent is gone", func(y *yard) { y.works[0].Item.Spent = 6_500_000 }, 7_000_000, "builder-lite-0", 500_000, false},
		{"what it has set aside is not there", func(y *yard) { y.works[0].Item.Reserved = 6_500_000 }, 7_000_000, "builder-lite-0", 500_000, false},
		{"an item that has nothing left is not given", func(y *yard) { y.works[0].Item.Spent = 7_000_000 }, 7_000_000, "builder-lite-0", 0, true},
		{"what the pool has left of the day", func(y *yard) { y.spentToday("builder-lite-0", 18_000_000, 1_100_000) }, 0, "builder-lite-0", 900_000, false},
		{"a pool that has nothing left gets nothing", func(y *yard) { y.spentToday("builder-lite-0", 10_000_000, 10_000_000) }, 0, "builder-lite-0", 0, true},
		{"a pool that has spent too much gets nothing", func(y *yard) { y.spentToday("builder-lite-0", 30_000_000, 0) }, 0, "builder-lite-0", 0, true},
		{"what another pool has spent does not count", func(y *yard) { y.spentToday("builder-lite-0", 30_000_000, 0) }, 0, "builder-heavy-0", 0, false},
		{"a day later it is there again", func(y *yard) {
			y.spentToday("builder-lite-0", 20_000_000, 0)
			y.now = y.now.Add(24 * time.Hour)
		}, 0, "builder-lite-0", 2_000_000, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			y.want("ann", Submission{Budget: test.budget})
			if test.set != nil {
				test.set(y)
			}
			got := y.ask(test.as)
			if test.none != (len(got) == 0) {
				t.Fatalf("got %+v", got)
			}
			if !test.none && got[0].Attempt.Reserved != test.want {
				t.Errorf("set aside %s, want %s", got[0].Attempt.Reserved, test.want)
			}
		})
	}
	// Those that are served together share what is left.
	y := newYard(t)
	y.many(3, Submission{})
	y.spentToday("builder-lite-0", 17_000_000, 0)
	var sum pools.Money
	claims := y.ask("builder-lite-0", "builder-lite-1", "builder-lite-2")
	for _, c := range claims {
		sum += c.Attempt.Reserved
	}
	if len(claims) != 2 || sum != 3_000_000 {
		t.Errorf("%d claims set aside %s of 3", len(claims), sum)
	}
}

func (y *yard) spentToday(name string, spent, reserved pools.Money) {
	p := at(name).Pool()
	y.spends[account{p, day(y.now)}] = Spend{Pool: p, Day: day(y.now), Spent: spent, Reserved: reserved}
}

func TestP2AnAttemptPinsWhatItRunsAndASwapAffectsTheNext(t *testing.T) {
	y := newYard(t)
	y.many(4, Submission{})
	one := y.claim("builder-lite-0")
	y.swap("builder-lite-0", "large")
	if _, err := y.beat(one, Beat{Phase: Running}); err != nil {
		t.Fatal(err)
	}
	if a := y.attempt(1); a.Assignment.Name != "small" || a.Set != 1 || a.Epoch != 1 || a.Branch != "work/1-builder-lite-0" || a.Config != a.Assignment.Hash() {
		t.Errorf("the first attempt is %+v", a)
	}
	y.land(one, 1, 1)
	two := y.claim("builder-lite-0")
	if a := y.attempt(2); a.Assignment.Name != "large" || a.Set != 2 || a.Epoch != 2 || two.Attempt.Branch != "work/2-builder-lite-0" {
		t.Errorf("the second attempt is %+v", a)
	}
	y.land(two, 2, 2)
	y.swap("builder-lite-1", "large") // a new set, and the same for this one
	three := y.claim("builder-lite-0")
	if a := y.attempt(3); a.Set != 3 || a.Epoch != 2 {
		t.Errorf("the third attempt is %+v", a)
	}
	y.land(three, 3, 3)
	y.set.Pools[1].Canary = &pools.Canary{Assignment: "other", Share: 1}
	y.claim("builder-lite-0")
	if a := y.attempt(4); !a.Canary || a.Assignment.Name != "other" || a.Epoch != 3 {
		t.Errorf("the fourth attempt is %+v", a)
	}
}

func TestAnAttemptIsOverWithItsPoolsTimeOrItsItems(t *testing.T) {
	y := newYard(t)
	y.set.Pools[1].Deadline = 10 * time.Minute
	y.want("ann", Submission{})
	y.want("ann", Submission{Deadline: y.now.Add(5 * time.Minute)})
	y.want("ann", Submission{Selector: "builder-heavy"})
	claims := y.ask("builder-lite-0", "builder-lite-1", "builder-heavy-0")
	for n, want := range []time.Duration{10 * time.Minute, 5 * time.Minute, time.Hour} {
		if d := claims[n].Attempt.Deadline.Sub(y.now); d != want {
			t.Errorf("attempt %d has %s", n+1, d)
		}
	}
}

func TestARepeatedClaimGivesTheSameAttempt(t *testing.T) {
	y := newYard(t)
	y.many(2, Submission{})
	p := poller{at("builder-lite-0"), "once"}
	first := y.match(p)[0]
	reclaimed := func(p poller) (c claim, found bool, err error) {
		y.transact(Scope{Request: p.Request, Set: true}, func(v View) (w Write) {
			c, found, w, err = reclaim(v, p)
			return w
		})
		return c, found, err
	}
	if got := y.match(p); len(got) != 0 {
		t.Fatalf("the same claim got another attempt: %+v", got)
	}
	if c, found, err := reclaimed(p); !found || err != nil || c.Attempt.ID != first.Attempt.ID || c.Item.ID != first.Item.ID {
		t.Fatalf("reclaimed %+v, %v, %v", c, found, err)
	}
	if _, found, err := reclaimed(poller{p.Address, "never"}); found || err != nil {
		t.Fatalf("what was never sent: %v, %v", found, err)
	}
	if _, _, err := reclaimed(poller{at("builder-lite-1"), "once"}); !errors.Is(err, ErrForeign) {
		t.Fatalf("somebody else's: %v", err)
	}
	y.land(first, 1, 1)
	if got := y.match(p); len(got) != 0 {
		t.Fatalf("a late copy of the claim got another attempt: %+v", got)
	}
	if _, found, err := reclaimed(p); !found || !errors.Is(err, ErrStale) {
		t.Fatalf("a late copy of the claim: %v, %v", found, err)
	}
}

func TestAClaimThatNobodyTookIsGivenBackAndCountsAsNoTry(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{Attempts: 1})
	c := y.claim("builder-lite-0")
	back := func(id AttemptID) {
		y.transact(Scope{Attempt: id}, func(v View) Write { return giveBack(v, y.t, id, "its worker had gone") })
	}
	back(c.Attempt.ID)
	if i, a := y.stands(1, Ready), y.attempt(1); a.Outcome != Returned || i.Tries != 0 || i.Reserved != 0 || i.Token != 1 {
		t.Fatalf("the attempt is %+v of %+v", a, i)
	}
	if _, err := y.beat(c, Beat{}); !errors.Is(err, ErrStale) {
		t.Fatalf("its worker came after all: %v", err)
	}
	c = y.claim("builder-lite-1")
	if _, err := y.beat(c, Beat{}); err != nil {
		t.Fatal(err)
	}
	back(c.Attempt.ID)
	if i := y.stands(1, Working); i.Token != 2 {
		t.Errorf("the item is %+v", i)
	}
}

func TestAMatchGivesNothingThatIsNotToBeOffered(t *testing.T) {
	y := newYard(t)
	y.want("ann", Submission{})
	v := y.view(Scope{Ready: y.lanes(), PerLane: 1, Load: true, Set: true})
	for rule, spoil := range map[string]func(*Item){
		"":                     func(*Item) {},
		"it rests":             func(i *Item) { i.NotBefore = v.Now.Add(1) },
		"it is somebody's":     func(i *Item) { i.State = Working },
		"its deadline is over": func(i *Item) { i.Deadline = v.Now },
	} {
		of := v
		of.Ready = []Item{v.Ready[0]}
		spoil(&of.Ready[0])
		if _, claims := match(of, y.t, []poller{{at("builder-lite-0"), "one"}}); (len(claims) == 1) != (rule == "") {
			t.Errorf("%q: %+v", rule, claims)
		}
	}
}

func TestBetweenLanesChanceDecides(t *testing.T) {
	y := newYard(t)
	y.many(300, Submission{})
	y.want("bob", Submission{Selector: "builder-lite"})
	for turn := 1; turn <= 40; turn++ {
		if c := y.claim("builder-lite-0"); c.Item.ID == 301 {
			return
		} else if err := y.failed(c, Failure{Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("a long lane kept a short one waiting for forty turns")
}
