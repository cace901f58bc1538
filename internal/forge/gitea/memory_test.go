package gitea

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func numbered(n int64) ref.PullID {
	return ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: n}
}

func TestTheMemoryForgetsWhatWasNotUsedForLongest(t *testing.T) {
	var m memory
	for n := range int64(memoryPulls) {
		m.keep(kept{id: numbered(n), push: pushed{by: "alice"}})
	}
	m.recall(numbered(0)) // used again
	m.keep(kept{id: numbered(memoryPulls)})
	if m.recall(numbered(0)).push.by != "alice" {
		t.Error("what was just used is gone")
	}
	if m.recall(numbered(1)).push.by != "" {
		t.Error("what was not used for longest is still there")
	}
	if len(m.of) != memoryPulls || m.order.Len() != memoryPulls {
		t.Errorf("it holds %d pull requests, and %d in order", len(m.of), m.order.Len())
	}
}

func TestTheMemoryIsBoundedByWeight(t *testing.T) {
	var m memory
	long := func(n int) *talk {
		return &talk{timeline: timeline{comments: []reconcile.Comment{{Body: strings.Repeat("x", n)}}}}
	}
	for n := range int64(100) {
		m.keep(kept{id: numbered(n), talk: long(keptBytes * 3 / 4)})
	}
	if m.bytes > memoryBytes || len(m.of) < 20 {
		t.Errorf("it holds %d pull requests of %d bytes", len(m.of), m.bytes)
	}
	m.keep(kept{id: numbered(99), talk: long(keptBytes)})
	if m.recall(numbered(99)).talk != nil {
		t.Error("more than is kept of one was kept, or what was kept before of it")
	}
	for n := range int64(100) {
		m.keep(kept{id: numbered(n)})
	}
	if want := 100 * keptBasic; m.bytes != want {
		t.Errorf("with nothing to hold it holds %d bytes, want %d", m.bytes, want)
	}
}

func TestWhatLiesBetweenBaseAndHead(t *testing.T) {
	at := record{pull: gate.PullRequest{Head: "h1", Base: "main", BaseHead: "b2"}, mergeBase: "m1"}
	now := time.Unix(1e9, 0)
	same := history{at: now.Add(-time.Hour), head: "h1", branch: "main", base: "b2", mergeBase: "m1"}
	with := func(change func(*history)) history {
		h := same
		change(&h)
		return h
	}
	for name, test := range map[string]struct {
		history     history
		loose, firm bool
	}{
		"of the same head and base it serves":                            {same, true, true},
		"of another head it does not":                                    {with(func(h *history) { h.head = "h0" }), false, false},
		"of another base branch it does not":                             {with(func(h *history) { h.branch = "next" }), false, false},
		"of a base that moved on it serves a look that may remember":     {with(func(h *history) { h.base = "b1" }), true, false},
		"with an author who is nobody known it serves for a while":       {with(func(h *history) { h.unmapped, h.at = true, now }), true, false},
		"and then no longer":                                             {with(func(h *history) { h.unmapped, h.at = true, now.Add(-recentAge) }), false, false},
		"of a base that moved and parts elsewhere from the head it none": {with(func(h *history) { h.base, h.mergeBase = "b1", "m0" }), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if loose, firm := test.history.lies(at, false, now), test.history.lies(at, true, now); loose != test.loose || firm != test.firm {
				t.Errorf("got %v, and exactly %v", loose, firm)
			}
		})
	}
	var none *history
	if none.lies(at, false, now) {
		t.Error("none serves")
	}
}

func TestWhatPeopleDidStands(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := record{pull: gate.PullRequest{Head: "h1", Base: "main", Updated: now.Add(-time.Hour)}, comments: 1, reviews: 1}
	with := func(change func(*record)) record {
		r := at
		change(&r)
		return r
	}
	for name, test := range map[string]struct {
		record record
		age    time.Duration
		want   bool
	}{
		"while nothing changes":            {at, talkAge - 1, true},
		"not for ever":                     {at, talkAge, false},
		"not with a new date":              {with(func(r *record) { r.pull.Updated = now }), 0, false},
		"not with a new head":              {with(func(r *record) { r.pull.Head = "h2" }), 0, false},
		"not with a new base":              {with(func(r *record) { r.pull.Base = "next" }), 0, false},
		"not with fewer comments":          {with(func(r *record) { r.comments = 0 }), 0, false},
		"not with another review":          {with(func(r *record) { r.reviews = 2 }), 0, false},
		"though the base's tip moved":      {with(func(r *record) { r.pull.BaseHead = "b2" }), 0, true},
		"though the merge base is another": {with(func(r *record) { r.mergeBase = "m2" }), 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			k := &talk{as: at.stamp(), at: now.Add(-test.age)}
			if got := k.stands(test.record, now); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestWhenTheFeedIsAskedAgain(t *testing.T) {
	begun := time.Unix(1e9, 0)
	missed := pushed{first: begun, last: begun}
	for name, test := range map[string]struct {
		push         pushed
		after        time.Duration
		fresh, loose bool
	}{
		"not once it told":                      {pushed{by: "alice", first: begun, last: begun}, time.Hour, false, false},
		"at once by a fresh look":               {missed, 0, true, false},
		"in a minute by any":                    {missed, recentAge, true, true},
		"never again once it was asked late":    {pushed{first: begun, last: begun.Add(recentAge)}, time.Hour, false, false},
		"still if it was asked often but early": {pushed{first: begun, last: begun.Add(recentAge - 1)}, 2 * recentAge, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if fresh, loose := test.push.ask(begun.Add(test.after), true), test.push.ask(begun.Add(test.after), false); fresh != test.fresh || loose != test.loose {
				t.Errorf("got %v, and without need %v", fresh, loose)
			}
		})
	}
}

func TestARecordIsSettledWhenAnotherChangeWouldShow(t *testing.T) {
	updated := time.Unix(1e9, 0)
	for name, test := range map[string]struct {
		read time.Time
		want bool
	}{
		"not in the same second":             {updated, false},
		"not in the next":                    {updated.Add(time.Second), false},
		"two seconds later":                  {updated.Add(2 * time.Second), true},
		"not by a clock that goes backwards": {updated.Add(-time.Hour), false},
		"not where the server names no time": {time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (record{pull: gate.PullRequest{Updated: updated}, read: test.read}).settled(); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if (record{read: updated}).settled() {
		t.Error("a record without a date is settled")
	}
}

func TestAListIsRecentForAMinute(t *testing.T) {
	var r recent
	now := time.Unix(1e9, 0)
	r.keep("Acme/Reviewers", roster{logins: []string{"carol"}, at: now})
	if l, ok := r.get("acme/reviewers", now.Add(recentAge-1)); !ok || len(l.logins) != 1 {
		t.Errorf("got %v, %v", l, ok)
	}
	if _, ok := r.get("acme/reviewers", now.Add(recentAge)); ok {
		t.Error("it is recent after a minute")
	}
	for n := range recentLimit {
		r.keep(fmt.Sprint(n), roster{at: now})
	}
	if len(r.lists) > recentLimit {
		t.Errorf("it holds %d", len(r.lists))
	}
}
