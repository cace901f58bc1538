//go:build linux

package dispatch_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/dispatcher"
	"slipway/internal/journal"
	"slipway/pools"
)

// slack is how much later than its end a lease may be found over, beyond the
// time in which a server was being started: the machine is shared and busy.
const slack = 10 * time.Second

// audit reads what is left when everyone has gone.
func (c *crowd) audit() {
	s, err := openStore(c.ctx, c.store)
	if err != nil {
		c.t.Fatal(err)
	}
	defer s.Close()
	head, _, err := s.VerifyJournal(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var all []journal.Entry
	for int64(len(all)) < head {
		page, err := s.Entries(c.ctx, int64(len(all)), 1000)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, page...)
	}
	items, err := s.Items(c.ctx, dispatcher.Filter{})
	if err != nil {
		c.t.Fatal(err)
	}
	var attempts []dispatcher.Attempt
	for _, i := range items {
		w, _, err := s.Work(c.ctx, i.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		attempts = append(attempts, w.Attempts...)
		c.auditItem(w)
	}
	c.auditCrew(attempts)
	c.auditLost(items)
	c.auditJournal(all, len(attempts))
	c.auditWorkers()
	c.t.Logf("%d items, %d attempts, %d entries, %d answers to workers", len(items), len(attempts), head, len(c.events))
}

// auditLost: every item that was asked for is there, once, and has come to its
// end: nothing is lost, and nothing is left lying.
func (c *crowd) auditLost(items []dispatcher.Item) {
	found := map[string]dispatcher.Item{}
	for _, i := range items {
		if _, twice := found[i.Key]; twice {
			c.t.Errorf("%s is there twice", i.Key)
		}
		found[i.Key] = i
	}
	for n, id := range c.items {
		i, ok := found[fmt.Sprint("work ", n)]
		if !ok || i.ID != id {
			c.t.Errorf("item %d is lost: %+v", id, i)
		}
		if i.State != dispatcher.Landing && i.State != dispatcher.Cancelled && !resting(i) {
			c.t.Errorf("item %d is %s: %s", id, i.State, i.Reason)
		}
	}
	if len(items) != len(c.items) {
		c.t.Errorf("%d items, %d were submitted", len(items), len(c.items))
	}
}

// auditItem: no two leases of an item at one time, no budget kept for what has
// ended, and each lease over in its time.
func (c *crowd) auditItem(w dispatcher.Work) {
	var spent pools.Money
	var latest time.Duration
	for n, a := range w.Attempts {
		spent += a.Cost.Amount
		if a.Outcome == dispatcher.Live {
			c.t.Errorf("attempt %d is live", a.ID)
		}
		if n > 0 {
			before := w.Attempts[n-1]
			if a.Token <= before.Token || a.Started.Before(before.Ended) {
				c.t.Errorf("item %d: attempt %d (token %d) began %s, attempt %d (token %d) ended %s", w.Item.ID, a.ID, a.Token, a.Started, before.ID, before.Token, before.Ended)
			}
		}
		if a.Outcome == dispatcher.Expired {
			latest = max(latest, a.Ended.Sub(a.Until)-c.downBetween(a.Until, a.Ended))
			if a.Ended.Before(a.Until) {
				c.t.Errorf("attempt %d expired %s before its lease was over", a.ID, a.Until.Sub(a.Ended))
			}
		}
	}
	if latest > slack {
		c.t.Errorf("item %d: a lease was over %s before it was found so", w.Item.ID, latest)
	}
	if w.Item.Reserved != 0 || w.Item.Spent != spent {
		c.t.Errorf("item %d: reserved %s, spent %s of %s", w.Item.ID, w.Item.Reserved, w.Item.Spent, spent)
	}
}

// downBetween is how long servers were being started within a time.
func (c *crowd) downBetween(from, to time.Time) (sum time.Duration) {
	for _, d := range c.down {
		begin, end := d.from, d.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += max(0, end.Sub(begin))
	}
	return sum
}

// auditCrew: no coordinate holds two attempts at one time.
func (c *crowd) auditCrew(attempts []dispatcher.Attempt) {
	slices.SortFunc(attempts, func(a, b dispatcher.Attempt) int { return a.Started.Compare(b.Started) })
	last := map[pools.Address]dispatcher.Attempt{}
	for _, a := range attempts {
		if before, ok := last[a.Address]; ok && a.Started.Before(before.Ended) {
			c.t.Errorf("%s held attempts %d and %d", a.Address, before.ID, a.ID)
		}
		last[a.Address] = a
	}
}

// auditJournal goes through the entries in their order: whoever does something
// to an item holds it at that moment, and only one does.
func (c *crowd) auditJournal(all []journal.Entry, attempts int) {
	type lease struct {
		token  int64
		holder string
	}
	held := map[string]lease{} // by item
	last := map[string]int64{} // the last token, by item
	busy := map[string]string{}
	claims, stale := 0, 0
	for _, e := range all {
		token, _ := strconv.ParseInt(e.Data["token"], 10, 64) // 0 for entries about no attempt
		now := lease{token, e.Identity}
		switch e.Action {
		case "work.claimed":
			claims++
			if was, ok := held[e.Subject]; ok {
				c.t.Errorf("entry %d: %s is given to %s, and %s has it", e.Seq, e.Subject, e.Identity, was.holder)
			}
			if other, ok := busy[e.Identity]; ok {
				c.t.Errorf("entry %d: %s is given %s, and has %s", e.Seq, e.Identity, e.Subject, other)
			}
			if token <= last[e.Subject] {
				c.t.Errorf("entry %d: %s is given under token %d after %d", e.Seq, e.Subject, token, last[e.Subject])
			}
			held[e.Subject], last[e.Subject], busy[e.Identity] = now, token, e.Subject
		case "work.completed", "work.failed", "work.acknowledged", "work.expired", "work.returned":
			if held[e.Subject] != now {
				c.t.Errorf("entry %d: %s of %s by %s under token %d, held is %+v", e.Seq, e.Action, e.Subject, e.Identity, token, held[e.Subject])
			}
			delete(held, e.Subject)
			delete(busy, e.Identity)
		case "work.registered", "work.phase", "work.told", "work.stood_down":
			if held[e.Subject] != now {
				c.t.Errorf("entry %d: %s of %s by %s under token %d, held is %+v", e.Seq, e.Action, e.Subject, e.Identity, token, held[e.Subject])
			}
		default:
			if strings.HasPrefix(e.Action, "refused.") {
				stale++
			}
		}
	}
	for item, l := range held {
		c.t.Errorf("%s is still held by %s", item, l.holder)
	}
	if claims != attempts || claims == 0 {
		c.t.Errorf("%d claims are journalled, and there are %d attempts", claims, attempts)
	}
	if stale == 0 {
		c.t.Error("nothing was refused: nothing was tried")
	}
	c.t.Logf("%d claims, %d calls refused", claims, stale)
}

// auditWorkers holds what the workers were told against each other: each token
// is one coordinate's and one attempt's, and no call that was made after a newer
// token had been handed out was obeyed.
func (c *crowd) auditWorkers() {
	type grant struct {
		item  dispatcher.ItemID
		token int64
	}
	given := map[grant]event{}
	newest := map[dispatcher.ItemID][]event{}
	for _, e := range c.events {
		if e.Op != "claim" || e.Status != http.StatusOK {
			continue
		}
		g := grant{e.Item, e.Token}
		if other, ok := given[g]; ok && (other.As != e.As || other.Attempt != e.Attempt) {
			c.t.Errorf("item %d, token %d: attempt %d of %s and attempt %d of %s", e.Item, e.Token, other.Attempt, other.As, e.Attempt, e.As)
		}
		given[g] = e
		newest[e.Item] = append(newest[e.Item], e)
	}
	obeyed := 0
	for _, e := range c.events {
		if e.Says != "" {
			c.t.Errorf("%s of %s at item %d: status %d: %s", e.Op, e.As, e.Item, e.Status, e.Says)
		}
		// A completion or failure sent again is answered as the first was.
		if (e.Op != "beat" && e.Op != "register") || e.Status != http.StatusOK {
			continue
		}
		obeyed++
		for _, n := range newest[e.Item] {
			if n.Token > e.Token && e.Sent.After(n.Got) {
				c.t.Errorf("item %d: %s under token %d was obeyed for %s, sent %s after token %d had been given to %s", e.Item, e.Op, e.Token, e.As, e.Sent.Sub(n.Got), n.Token, n.As)
			}
		}
	}
	if obeyed == 0 {
		c.t.Error("no worker was ever obeyed")
	}
}
