package dispatcher

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/pools"
)

// machine does at random what people, workers, the clock and pull requests do,
// and holds the steps to their promises after each.
type machine struct {
	*yard
	claims []claim
	wanted int // items that were submitted
	heads  int
}

// actions are all that can happen, at any time.
func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"submit":   m.submits,
		"ask":      m.asks,
		"beat":     m.beats,
		"register": m.registers,
		"complete": m.completes,
		"fail":     m.fails,
		"stale":    m.stale,
		"repeat":   m.repeats,
		"return":   m.returns,
		"pass":     m.passes,
		"settle":   m.settles,
		"people":   m.people,
		"swap":     m.swaps,
		"stuck":    func(*rapid.T) { m.stuck() },
		"":         m.holds,
	}
}

func TestTheStepsKeepTheirPromisesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{yard: newYard(t)}
		for range 2 { // what goes wrong needs a long story
			t.Repeat(m.actions())
		}
		m.drain(t)
	})
}

func (m *machine) submits(t *rapid.T) {
	m.wanted++
	if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
		avoid := rapid.SampledFrom([][]string{nil, {"large"}, {"OTHER-one"}}).Draw(t, "avoid")
		m.review(int64(500+m.wanted), 500+m.wanted, avoid...)
		return
	}
	m.want(rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "by"), Submission{
		Selector: rapid.SampledFrom([]string{"", "builder-lite", "builder-lite-1", "builder-*-0"}).Draw(t, "selector"),
		Priority: rapid.SampledFrom(levels()).Draw(t, "priority"),
		Budget:   pools.Money(rapid.SampledFrom([]int{0, 1_500_000, 6_000_000}).Draw(t, "budget")),
		Attempts: rapid.IntRange(0, 4).Draw(t, "attempts"),
		Deadline: rapid.SampledFrom([]time.Time{{}, m.now.Add(20 * time.Minute)}).Draw(t, "deadline"),
	})
}

// asks checks that what is set aside never goes beyond a budget (W5).
func (m *machine) asks(t *rapid.T) {
	who := slices.Collect(maps.Keys(m.set.Replicas))
	slices.SortFunc(who, pools.Address.Compare)
	var pollers []poller
	for range rapid.IntRange(1, 4).Draw(t, "pollers") {
		m.asked++
		pollers = append(pollers, poller{rapid.SampledFrom(who).Draw(t, "who"), fmt.Sprintf("claim %d", m.asked)})
	}
	for _, c := range m.match(pollers...) {
		m.claims = append(m.claims, c)
		i, p := m.item(c.Item.ID), c.Attempt.Address.Pool()
		pool, _ := m.set.Pool(p)
		if i.Budget > 0 && (c.Attempt.Reserved <= 0 || i.Spent+i.Reserved > i.Budget) {
			t.Fatalf("item %d has %s of %s, and %s set aside", i.ID, i.Spent, i.Budget, i.Reserved)
		}
		if s := m.spends[account{p, day(m.now)}]; pool.Daily > 0 && (c.Attempt.Reserved <= 0 || s.Spent+s.Reserved > pool.Daily) {
			t.Fatalf("pool %s has spent %s of %s, and %s set aside", p, s.Spent, pool.Daily, s.Reserved)
		}
		if slices.ContainsFunc(i.Avoid, func(model string) bool { return sameModel(model, c.Attempt.Assignment.Model) }) {
			t.Fatalf("item %d avoids %v, and was given to %s", i.ID, i.Avoid, c.Attempt.Assignment.Model)
		}
	}
}

// live draws a claim that is held, if there is any.
func (m *machine) live(t *rapid.T) (claim, bool) {
	held := slices.DeleteFunc(slices.Clone(m.claims), func(c claim) bool {
		a := m.attempt(c.Attempt.ID)
		return a.Outcome != Live || !m.now.Before(a.Until)
	})
	if len(held) == 0 {
		return claim{}, false
	}
	return held[rapid.IntRange(0, len(held)-1).Draw(t, "claim")], true
}

func (m *machine) beats(t *rapid.T) {
	c, ok := m.live(t)
	if !ok {
		return
	}
	b := Beat{
		Phase: rapid.SampledFrom(append(phases(), "")).Draw(t, "phase"), Amount: pools.Money(rapid.IntRange(0, 3_000_000).Draw(t, "amount")),
		Tokens: pools.Tokens{Input: int64(rapid.IntRange(0, 500_000).Draw(t, "tokens"))}, Model: rapid.SampledFrom([]string{"", "small", "else"}).Draw(t, "model"),
		Stopped: rapid.IntRange(0, 5).Draw(t, "stopped") == 0,
	}
	was := m.attempt(c.Attempt.ID)
	told := was.StandDown
	p, err := m.beat(c, b)
	if at := slices.Index(phases(), b.Phase); at >= 0 && at < slices.Index(phases(), was.Phases[len(was.Phases)-1].Phase) {
		if fault.KindOf(err) != fault.Permanent || !reflect.DeepEqual(was, m.attempt(c.Attempt.ID)) {
			t.Fatalf("a heartbeat that goes back to %s came to %v", b.Phase, err)
		}
		return
	}
	if err != nil || (told != "" && p.StandDown == "") {
		t.Fatalf("a held attempt was told %+v, %v", p, err)
	}
}

func (m *machine) registers(t *rapid.T) {
	c, ok := m.live(t)
	if !ok {
		return
	}
	m.heads++
	if c.Item.Kind == Review {
		if err := m.register(c, c.Item.Pull.Number, int(c.Item.Pull.Number)); err != nil {
			t.Fatal(err)
		}
		return
	}
	// Each coordinate opens its own pull request for an item.
	n := int64(c.Item.ID)*10 + int64(c.Attempt.Address.Replica)
	if c.Attempt.Address.Tier == "heavy" {
		n += 5
	}
	if err := m.register(c, n, m.heads); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) completes(t *rapid.T) {
	c, ok := m.live(t)
	if !ok {
		return
	}
	was := m.attempt(c.Attempt.ID)
	err := m.complete(c, Completion{Verdict: "approved", Beat: Beat{Amount: pools.Money(rapid.IntRange(0, 3_000_000).Draw(t, "amount"))}})
	switch now := m.attempt(c.Attempt.ID); {
	case was.StandDown != "":
		if !errors.Is(err, ErrStale) || now.Outcome != StoodDown {
			t.Fatalf("a completion after a stand-down: %v, %s", err, now.Outcome)
		}
	case was.Head == "":
		if err == nil || now.Outcome != Live {
			t.Fatalf("it completed without evidence: %v, %s", err, now.Outcome)
		}
	case err != nil || now.Outcome != Finished:
		t.Fatalf("it did not complete: %v, %s", err, now.Outcome)
	}
}

func (m *machine) fails(t *rapid.T) {
	c, ok := m.live(t)
	if !ok {
		return
	}
	if err := m.failed(c, Failure{Reason: "no", Final: rapid.IntRange(0, 5).Draw(t, "final") == 0}); err != nil {
		t.Fatal(err)
	}
}

// stale makes a call that nobody may make, and looks whether it moved anything
// (W2).
func (m *machine) stale(t *rapid.T) {
	if len(m.claims) == 0 {
		return
	}
	c := m.claims[rapid.IntRange(0, len(m.claims)-1).Draw(t, "claim")]
	a := m.attempt(c.Attempt.ID)
	want := ErrStale
	switch {
	case rapid.Bool().Draw(t, "foreign"):
		c.Attempt.Address.Replica += 7
		want = ErrForeign
	case a.Outcome == Live && m.now.Before(a.Until):
		c.Attempt.Token += int64(rapid.SampledFrom([]int{-1, 1}).Draw(t, "off"))
	case a.Outcome != Live && a.Outcome != Expired && a.Outcome != Returned:
		return // it may say again how it ended
	}
	works, spends := m.state()
	var err error
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0:
		_, err = m.beat(c, Beat{Amount: 9_000_000, Phase: Publishing, Stopped: rapid.Bool().Draw(t, "stopped")})
	case 1:
		err = m.register(c, 9999, 9999)
	case 2:
		err = m.complete(c, Completion{Verdict: "approved"})
	default:
		err = m.failed(c, Failure{Reason: "no", Final: true})
	}
	afterWorks, afterSpends := m.state()
	if !errors.Is(err, want) || !reflect.DeepEqual(works, afterWorks) || !reflect.DeepEqual(spends, afterSpends) {
		t.Fatalf("a call for attempt %d that nobody may make came to %v", a.ID, err)
	}
	if e := m.journal[len(m.journal)-1]; e.Subject != subject(a.Item) || e.Action[:len("refused.")] != "refused." {
		t.Fatalf("the refusal is not in the journal: %+v", e)
	}
}

// repeats sends a claim or the end of an attempt once more: nothing changes.
func (m *machine) repeats(t *rapid.T) {
	if len(m.claims) == 0 {
		return
	}
	c := m.claims[rapid.IntRange(0, len(m.claims)-1).Draw(t, "claim")]
	a := m.attempt(c.Attempt.ID)
	works, spends := m.state()
	if got := m.match(c.Poller); len(got) != 0 {
		t.Fatalf("claim %q was given %+v besides", c.Poller.Request, got)
	}
	if a.passed(Completed) {
		if err := m.complete(c, Completion{Verdict: "approved"}); err != nil {
			t.Fatal(err)
		}
	} else if a.Outcome == Failed || a.Outcome == StoodDown {
		if err := m.failed(c, Failure{Reason: "no"}); err != nil {
			t.Fatal(err)
		}
	}
	if afterWorks, afterSpends := m.state(); !reflect.DeepEqual(works, afterWorks) || !reflect.DeepEqual(spends, afterSpends) {
		t.Fatalf("what was said twice changed something")
	}
}

func (m *machine) returns(t *rapid.T) {
	if c, ok := m.live(t); ok {
		m.transact(Scope{Attempt: c.Attempt.ID}, func(v View) Write { return giveBack(v, m.t, c.Attempt.ID, "nobody was there") })
	}
}

func (m *machine) passes(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.SampledFrom([]int{1, 20, 70, 700, 40_000}).Draw(t, "seconds")) * time.Second)
	if rapid.Bool().Draw(t, "tend") {
		m.tend()
	}
}

func (m *machine) settles(t *rapid.T) {
	if len(m.works) == 0 {
		return
	}
	w := m.works[rapid.IntRange(0, len(m.works)-1).Draw(t, "item")]
	l := landing{Pull: w.Item.Pull, Head: w.Item.Head}
	if w.Item.Kind == Build {
		pulls := m.opened(w)
		if len(pulls) == 0 {
			return
		}
		l = []landing{
			{}, {Merged: true}, {Merged: true, Outcome: change.OutcomeHealthy}, {Merged: true, Outcome: change.OutcomeRolled}, {Outcome: change.OutcomeClosed},
		}[rapid.IntRange(0, 4).Draw(t, "shows")]
		l.Pull = pulls[rapid.IntRange(0, len(pulls)-1).Draw(t, "pull")].Pull
	} else {
		switch rapid.IntRange(0, 5).Draw(t, "shows") {
		case 0:
			l.Head = headOf(1)
		case 1:
			l.Outcome = change.OutcomeClosed
		case 2, 3:
			for _, a := range w.Attempts {
				l.Reviewed = append(l.Reviewed, sighting{a.Address, w.Item.Head})
			}
		}
	}
	m.settle(w.Item.ID, l)
	works, _ := m.state()
	if m.settle(w.Item.ID, l); !reflect.DeepEqual(works[w.Item.ID-1], m.works[w.Item.ID-1]) {
		t.Fatalf("the same facts changed item %d twice: %+v", w.Item.ID, l)
	}
}

// opened are the attempts of a work that have a pull request.
func (m *machine) opened(w Work) []Attempt {
	return slices.DeleteFunc(slices.Clone(w.Attempts), func(a Attempt) bool { return a.Pull.IsZero() })
}

func (m *machine) people(t *rapid.T) {
	if len(m.works) == 0 {
		return
	}
	id := ItemID(rapid.IntRange(1, len(m.works)).Draw(t, "item"))
	seat := rapid.SampledFrom([]string{"builder-lite-0", "builder-heavy-0", "reviewer-lite-1"}).Draw(t, "seat")
	was := m.item(id).State
	var err error
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		if err = m.cancel(id, "why not"); (err == nil) != (was != Done && was != Dead) {
			t.Fatalf("cancel of an item that is %s: %v", was, err)
		}
	case 1:
		if err = m.retry(id); err == nil && was != Dead && was != Cancelled {
			t.Fatalf("retry of an item that is %s", was)
		}
	case 2:
		err = m.cordon(seat, true)
	default:
		err = m.cordon(seat, false)
	}
	if err != nil && m.journal[len(m.journal)-1].Actor != "olga" {
		t.Fatalf("the refusal is not in the journal: %v", err)
	}
}

func (m *machine) swaps(t *rapid.T) {
	m.swap(rapid.SampledFrom([]string{"builder-lite-0", "builder-heavy-0", "reviewer-lite-0"}).Draw(t, "seat"), rapid.SampledFrom([]string{"small", "large", "other"}).Draw(t, "to"))
}
