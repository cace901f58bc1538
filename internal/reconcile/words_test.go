package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// TestWhatWasSaidWhileNothingWasHeardIsForNoHead: the comments could not be read
// when the head was seen first, so one that comes to light later may be older
// than that head.
func TestWhatWasSaidWhileNothingWasHeardIsForNoHead(t *testing.T) {
	for says, who := range map[string]string{"/emergency the site is down": "ann", "/merge when ready": "alice"} {
		t.Run(says, func(t *testing.T) {
			w := gated(t, "asked")
			id := w.propose(1, map[string]string{"x": "1"})
			w.run()
			w.hint(id)
			w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
			said := w.comment(id, who, says)
			w.change(id, func(p *openPull) { p.mute = true })
			pushed := w.history.push("feature-1", "more", map[string]string{"y": "1"})
			w.change(id, func(p *openPull) { p.Head = pushed })
			w.hint(id)
			w.seen(id, "the new head", func(c change.Change) bool { return c.Head == pushed })
			w.change(id, func(p *openPull) { p.mute = false })
			w.hint(id)
			c := w.seen(id, "the command", func(c change.Change) bool { return c.Talk.Heard >= said })
			if c.Emergency != nil || c.Asked != nil {
				t.Fatalf("it holds for %s: %+v %+v", pushed.Short(), c.Emergency, c.Asked)
			}
		})
	}
}

// TestACommentThatSomebodyEditedGivesNoCommand: whoever may write to a
// repository may edit the comments of others.
func TestACommentThatSomebodyEditedGivesNoCommand(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	said := w.comment(id, "ann", "/emergency the site is down")
	w.change(id, func(p *openPull) { p.comments[len(p.comments)-1].Edited = time.Now().Add(time.Second) })
	w.hint(id)
	c := w.seen(id, "the comment", func(c change.Change) bool { return c.Talk.Heard >= said && len(c.Talk.Answers) == 0 })
	if c.Emergency != nil {
		t.Fatalf("it was obeyed: %+v", c.Emergency)
	}
	if spoken := w.bots(id); len(spoken) != 1 || !strings.Contains(spoken[0].Body, "edited") {
		t.Errorf("said %+v", spoken)
	}
	if told := w.entries("refused.order.emergency"); len(told) != 1 || told[0].Actor != "ann" {
		t.Errorf("journal %+v", told)
	}
}

// TestWordsThatMayBeAnothersLetNothingMerge: within the second in which a
// comment was made no time tells that somebody else has edited it.
func TestWordsThatMayBeAnothersLetNothingMerge(t *testing.T) {
	cases := map[string]struct {
		who, says string
		own       ref.Fact
		refused   string
	}{
		"another's emergency":         {"ann", "/emergency the site is down", ref.No, "refused.order.emergency"},
		"one that may be another's":   {"ann", "/emergency the site is down", ref.Unknown, "refused.order.emergency"},
		"another's lifting of a hold": {"alice", "/unhold", ref.No, "refused.order.unhold"},
		"one that may be":             {"alice", "/unhold", ref.Unknown, "refused.order.unhold"},
		"another's request":           {"alice", "/merge when ready", ref.No, "refused.order.merge"},
		"a request that may be":       {"alice", "/merge when ready", ref.Unknown, "refused.order.merge"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := gated(t, "asked")
			id := w.propose(1, map[string]string{"x": "1"})
			w.run()
			w.hint(id)
			w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
			held := w.comment(id, "alice", "/hold")
			w.hint(id)
			w.seen(id, "the hold", func(c change.Change) bool { return c.Talk.Heard >= held })
			said := w.comment(id, tc.who, tc.says)
			w.forge.mutex.Lock()
			w.forge.wrote = map[int64]ref.Fact{said: tc.own}
			w.forge.mutex.Unlock()
			w.hint(id)
			c := w.seen(id, "the comment", func(c change.Change) bool { return c.Talk.Heard >= said })
			if len(c.Holds) != 1 || c.Asked != nil || c.Emergency != nil {
				t.Fatalf("it was obeyed: %+v %+v %+v", c.Holds, c.Asked, c.Emergency)
			}
			if told := w.entries(tc.refused); len(told) != 1 || told[0].Actor != tc.who {
				t.Errorf("journal %+v", told)
			}
		})
	}
}

// TestAHoldIsObeyedWhoeverWroteIt: it lets nothing merge, and must not wait.
func TestAHoldIsObeyedWhoeverWroteIt(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	w.forge.mutex.Lock()
	said := w.forge.add(id, "alice", "/hold")
	w.forge.wrote = map[int64]ref.Fact{said: ref.Unknown}
	w.forge.mutex.Unlock()
	w.hint(id)
	w.seen(id, "the hold", func(c change.Change) bool { return len(c.Holds) == 1 })
}

// TestAStrangerCannotUseUpWhatPeopleAreToldWith: refusals are reacted to at
// once, and leave room for what explains.
func TestAStrangerCannotUseUpWhatPeopleAreToldWith(t *testing.T) {
	w := gated(t, "ready", explaining, func(_ *world, c *reconcile.Config) { c.CommentBudget = 4 })
	id := w.propose(1, map[string]string{"x": "1"})
	var last int64
	for range 12 {
		last = w.comment(id, "mallory", strings.Repeat("/hold "+strings.Repeat("x", 900)+"\n", 10))
	}
	w.run()
	w.hint(id)
	c := w.seen(id, "the commands", func(c change.Change) bool { return c.Talk.Heard >= last })
	w.explained(1, "What is asked of it")
	w.until("a reaction to each", func() bool { return len(w.reactions()) == 12 })
	if len(c.Holds) > 0 {
		t.Errorf("held: %+v", c.Holds)
	}
	kept := 0
	for _, a := range w.stored(id).Talk.Answers {
		kept += len(a.Text)
	}
	if kept > 16<<10 {
		t.Errorf("%d bytes of answers wait in the record", kept)
	}
}

// TestALoginIsNoToken: a forge where anybody may have an account may have one
// with the name of a token.
func TestALoginIsNoToken(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	if err := w.engine.Order(t.Context(), id, authz.Actor{Name: "ops", Roles: []authz.Role{authz.Operator}}, authz.Hold, "not today"); err != nil {
		t.Fatal(err)
	}
	said := w.comment(id, "Ops", "/unhold")
	w.hint(id)
	c := w.seen(id, "the command", func(c change.Change) bool { return c.Talk.Heard >= said && len(c.Talk.Answers) == 0 })
	if len(c.Holds) != 1 || c.Holds[0].By != "token ops" {
		t.Fatalf("holds %+v", c.Holds)
	}
	if told := w.entries("order.hold"); len(told) != 1 || told[0].Actor != "token ops" {
		t.Errorf("journal %+v", told)
	}
	if told := w.entries("refused.order.unhold"); len(told) != 1 || told[0].Actor != "Ops" {
		t.Errorf("journal %+v", told)
	}
	if err := w.engine.Order(t.Context(), id, authz.Actor{Name: "OPS", Roles: []authz.Role{authz.Reader}}, authz.Unhold, ""); err != nil {
		t.Errorf("whoever set it cannot lift it: %v", err)
	}
}

// TestAFloodOfCommentsIsHeardInParts: reading one can take most of a second, so
// a look that had to read a hundred would never come to its end; and what was
// not heard yet may hold it.
func TestAFloodOfCommentsIsHeardInParts(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	first := w.comment(id, "mallory", "/etc/passwd\n"+strings.Repeat("x", 16_000))
	for range 20 {
		w.comment(id, "mallory", "/etc/passwd\n"+strings.Repeat("x", 16_000))
	}
	last := w.comment(id, "alice", "/hold not yet")
	w.satisfy(id)
	w.run()
	w.hint(id)
	w.seen(id, "the first part", func(c change.Change) bool { return c.Talk.Heard >= first && c.Talk.Heard < last })
	c := w.seen(id, "the end", func(c change.Change) bool { return c.Talk.Heard == last })
	if w.forge.merges > 0 || len(c.Holds) != 1 {
		t.Fatalf("%d merges, holds %+v", w.forge.merges, c.Holds)
	}
}

// TestNobodyAsksWhoseWordsAStrangersAre: what is refused in any case costs the
// forge nothing.
func TestNobodyAsksWhoseWordsAStrangersAre(t *testing.T) {
	w := gated(t, "asked")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	var last int64
	for range 20 {
		last = w.comment(id, "mallory", "/unhold\n/emergency now\n/merge when ready")
	}
	w.hint(id)
	w.seen(id, "the stranger's commands", func(c change.Change) bool { return c.Talk.Heard >= last })
	w.forge.mutex.Lock()
	asked := w.forge.witnessed
	w.forge.mutex.Unlock()
	if asked != 0 {
		t.Errorf("the forge was asked %d times", asked)
	}
	said := w.comment(id, "alice", "/merge when ready")
	w.hint(id)
	w.seen(id, "the author's command", func(c change.Change) bool { return c.Talk.Heard >= said && c.Asked != nil })
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	if w.forge.witnessed == 0 {
		t.Error("the author's words were not asked after")
	}
}

// TestAFloodOfCommandsIsAnsweredInParts: every answer rewrites the record, so it
// must not hold thousands of them.
func TestAFloodOfCommandsIsAnsweredInParts(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	var last int64
	for range 120 {
		last = w.comment(id, "mallory", "/retry")
	}
	w.run()
	w.hint(id)
	w.seen(id, "the first part", func(c change.Change) bool {
		reactionless := 0
		for _, a := range c.Talk.Answers {
			if a.Reaction != "" {
				reactionless++
			}
		}
		if reactionless > 50 {
			t.Fatalf("%d comments wait for their reaction", reactionless)
		}
		return c.Talk.Heard > 0 && c.Talk.Heard < last
	})
	w.seen(id, "the end", func(c change.Change) bool { return c.Talk.Heard >= last })
	w.until("a reaction to each", func() bool { return len(w.reactions()) == 120 })
}
