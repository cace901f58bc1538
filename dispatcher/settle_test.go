package dispatcher_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/change"
	"slipway/internal/ref"
)

func asking(c *dispatcher.Config) {
	c.Reviews = dispatcher.ReviewRule{On: true, Level: dispatcher.High}
}

// look looks twice: the same facts a second time change nothing.
func (d *dock) look() {
	d.t.Helper()
	if err := d.LookNow(d.t.Context(), pull); err != nil {
		d.t.Fatal(err)
	}
	before, said := fmt.Sprintf("%+v", d.items(dispatcher.Filter{})), len(d.told("work."))
	if err := d.LookNow(d.t.Context(), pull); err != nil {
		d.t.Fatal(err)
	}
	if after := fmt.Sprintf("%+v", d.items(dispatcher.Filter{})); after != before || len(d.told("work.")) != said {
		d.t.Errorf("a second look changed something:\n%s\n%s", before, after)
	}
}

func (d *dock) reviews(states ...dispatcher.State) []dispatcher.Item {
	d.t.Helper()
	return d.items(dispatcher.Filter{Kind: dispatcher.Review, States: states})
}

func TestABuildIsDoneWhenItsChangeIsLive(t *testing.T) {
	d := newDock(t)
	item := d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	d.finish(g, pull, head(1), "")
	c := d.judged(change.Change{Head: head(1), Author: "Builder-Lite-0"}, 2)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Landing {
		t.Fatalf("while it is open: %s", i.State)
	}
	c.MergeSHA = head(7)
	c = d.judged(c, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Landing || i.Accepted != g.Attempt || i.AcceptedBy.String() != "builder-lite-0" {
		t.Fatalf("once it merged: %+v", i)
	}
	c.Outcome = change.OutcomeHealthy
	c = d.judged(c, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Done {
		t.Fatalf("once it is live: %+v", i)
	}
	c.Outcome = change.OutcomeRolled
	d.judged(c, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Ready || i.Accepted != 0 || i.AcceptedBy != nil {
		t.Errorf("once it was rolled back: %+v", i)
	}
}

func TestWhatNobodyRegisteredIsNobodysWork(t *testing.T) {
	for name, test := range map[string]struct {
		author string
		head   ref.SHA
		want   dispatcher.State
	}{
		"another's pull request":               {"mallory", head(1), dispatcher.Ready},
		"a head that somebody else pushed":     {"builder-lite-0", head(2), dispatcher.Cancelled},
		"the head that the attempt registered": {"builder-lite-0", head(1), dispatcher.Done},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDock(t)
			item := d.submit("Mend the pump")
			d.finish(d.claim("builder-lite-0"), pull, head(1), "")
			d.judged(change.Change{Head: test.head, Author: test.author, MergeSHA: head(7), Outcome: change.OutcomeHealthy}, 0)
			d.look()
			if i := d.item(item.ID); i.State != test.want {
				t.Errorf("it is %s (%s), want %s", i.State, i.Reason, test.want)
			}
		})
	}
}

func TestAnItemDoesNotWaitForAPullRequestThatIsNotItsOwn(t *testing.T) {
	for name, test := range map[string]struct {
		author string // "" for one that nobody knows of
		after  time.Duration
		says   string
	}{
		"another's fails at once":          {"mallory", 0, "acme/app#5 is mallory's"},
		"one that is unseen may come late": {"", 11 * time.Minute, "nothing is known of acme/app#5"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDock(t)
			item := d.submit("Mend the pump")
			d.finish(d.claim("builder-lite-0"), pull, head(1), "")
			if test.author != "" {
				d.judged(change.Change{Head: head(1), Author: test.author}, 2)
			}
			if test.after > 0 {
				d.look()
				if i := d.item(item.ID); i.State != dispatcher.Landing {
					t.Fatalf("it may only be late: %s", i.State)
				}
				d.ahead.Add(int64(test.after))
			}
			d.look()
			if i := d.item(item.ID); i.State != dispatcher.Ready || i.Tries != 1 || !strings.Contains(i.Reason, test.says) {
				t.Errorf("it is %s, with %d tries: %q", i.State, i.Tries, i.Reason)
			}
		})
	}
}

func TestACompletionWithAnothersPullRequestFailsWithoutAnotherHint(t *testing.T) {
	d := newDock(t, func(c *dispatcher.Config) { c.Resync = time.Hour })
	item := d.submit("Mend the pump")
	d.judged(change.Change{Head: head(1), Author: "mallory"}, 2)
	d.finish(d.claim("builder-lite-0"), pull, head(1), "")
	d.until("the item is offered again", func() bool { return d.item(item.ID).State == dispatcher.Ready })
	if told := d.told("work.failed"); len(told) != 1 || told[0].Reason != "acme/app#5 is mallory's" {
		t.Errorf("the journal tells %+v", told)
	}
}

func TestW2OnlyWhoOpenedAPullRequestHasItsHeadRegistered(t *testing.T) {
	d := newDock(t, func(c *dispatcher.Config) { c.Lease = time.Second })
	item := d.submit("Mend the pump")
	first := d.claim("builder-lite-0")
	if err := d.Register(t.Context(), first.Builder, first.Attempt, dispatcher.Registration{Token: first.Token, Pull: pull, Head: head(1)}); err != nil {
		t.Fatal(err)
	}
	d.ahead.Add(int64(2 * time.Minute)) // it dies
	d.finish(d.claim("builder-lite-1"), pull, head(2), "")
	d.judged(change.Change{Head: head(2), Author: "builder-lite-0", MergeSHA: head(7), Outcome: change.OutcomeHealthy}, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Cancelled || i.Accepted != 0 || !strings.Contains(i.Reason, "which no attempt registered") {
		t.Errorf("it is %+v", i)
	}
}

func TestW1WhatMergesIsAcceptedThoughItsItemWasGivenUp(t *testing.T) {
	for name, giveUp := range map[string]func(*dock, dispatcher.ItemID){
		"dead": func(d *dock, id dispatcher.ItemID) {
			d.ahead.Add(int64(time.Hour))
			d.until("it is dead", func() bool { return d.item(id).State == dispatcher.Dead })
		},
		"cancelled": func(d *dock, id dispatcher.ItemID) {
			if err := d.Cancel(t.Context(), "olga", id, "not now"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDock(t)
			item, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Repo: app, Title: "Mend the pump", Deadline: time.Now().Add(30 * time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			g := d.claim("builder-lite-0")
			d.finish(g, pull, head(1), "")
			giveUp(d, item.ID)
			c := d.judged(change.Change{Head: head(1), Author: "builder-lite-0", MergeSHA: head(7)}, 0)
			d.look()
			if i := d.item(item.ID); i.Accepted != g.Attempt {
				t.Errorf("once it merged: %+v", i)
			}
			c.Outcome = change.OutcomeHealthy
			d.judged(c, 0)
			d.look()
			if i := d.item(item.ID); i.State != dispatcher.Done {
				t.Errorf("once it is live: %+v", i)
			}
		})
	}
}

func TestAHintIsFollowedAndAResyncRepeatsIt(t *testing.T) {
	d := newDock(t)
	item := d.submit("Mend the pump")
	d.finish(d.claim("builder-lite-0"), pull, head(1), "")
	c := d.judged(change.Change{Head: head(1), Author: "builder-lite-0", MergeSHA: head(7)}, 0)
	if err := d.Look(t.Context(), pull); err != nil {
		t.Fatal(err)
	}
	d.until("the hint is followed", func() bool { return d.item(item.ID).Accepted != 0 })
	c.Outcome = change.OutcomeHealthy
	d.judged(c, 0)
	if err := d.ResyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.until("a resync makes up for one that was lost", func() bool { return d.item(item.ID).State == dispatcher.Done })
}
