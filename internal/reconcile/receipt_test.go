package reconcile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// signed has receipts carry a seal that a test can tell.
func signed(_ *world, c *reconcile.Config) {
	c.Sign = func(r change.Receipt) (change.Receipt, error) {
		r.Key, r.Signature = "test", "sealed "+string(r.Merge)
		return r, nil
	}
}

func TestAJudgedMergeGetsItsReceipt(t *testing.T) {
	w := gated(t, "ready", signed)
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	w.hint(id)
	c := w.seen(id, "the receipt", func(c change.Change) bool { return c.Receipt != nil && c.Note != nil && c.Note.Done && c.Version != "" })
	r := c.Receipt
	if r.Head != c.Intent.Head || r.Merge != c.MergeSHA || r.Policy == "" || r.Policy != c.Policy || r.Snapshot != c.Intent.Snapshot ||
		r.Journal.Seq == 0 || r.Journal.Hash == "" || r.Signature != "sealed "+string(c.MergeSHA) || r.Method != "squash" || r.Tree == "" || r.Parent == "" {
		t.Errorf("receipt %+v", r)
	}
	if len(r.Reviews) != 2 || r.Reviews[0].Observed != r.Head || r.Reviews[0].Commit != r.Head {
		t.Errorf("reviews %+v", r.Reviews)
	}
	if len(r.Statuses) != 1 || r.Statuses[0].Reporter != "ci-bot" || r.Statuses[0].State != gate.StateSuccess {
		t.Errorf("statuses %+v", r.Statuses)
	}
	var kept change.Receipt
	told := w.entries("merge.receipt")
	if len(told) != 1 || json.Unmarshal([]byte(told[0].Data["receipt"]), &kept) != nil || kept.Signature != r.Signature {
		t.Fatalf("journal %+v", told)
	}
	w.history.mutex.Lock()
	note := w.history.notes[c.MergeSHA]
	w.history.mutex.Unlock()
	if !strings.Contains(note, r.Signature) {
		t.Errorf("note %q", note)
	}
	if c.Gate(change.Merged).State != change.Passed {
		t.Errorf("merged gate %+v", c.Gate(change.Merged))
	}
}

func TestM6WhatLandedOtherwiseFreezesTheBranch(t *testing.T) {
	w := gated(t, "ready")
	bad, next := w.propose(1, map[string]string{"x": "1"}), w.propose(2, map[string]string{"y": "1"})
	w.satisfy(bad)
	landing := &landings{history: w.history, say: change.Landed{Equal: ref.No, Parent: "p", Tree: "t", Want: "w", Why: "x differs"}}
	w = rebuilt(t, w, func(c *reconcile.Config) { c.Git = landing })
	w.run()
	w.hint(next)
	w.seen(next, "the other one", func(c change.Change) bool { return c.Head != "" })
	w.hint(bad)
	c := w.seen(bad, "the failed gate", func(c change.Change) bool { return c.Gate(change.Merged).State == change.Failed })
	if c.Receipt != nil || !strings.Contains(c.Gate(change.Merged).Reason, "x differs") {
		t.Errorf("receipt %+v, reason %q", c.Receipt, c.Gate(change.Merged).Reason)
	}
	if told := w.entries("branch.frozen"); len(told) != 1 || told[0].Data["judged_tree"] != "w" {
		t.Errorf("journal %+v", told)
	}
	w.satisfy(next)
	w.hint(next)
	frozen := w.seen(next, "the freeze", func(c change.Change) bool {
		return len(c.Verdict) > 0 && c.Verdict[0].Code == gate.CodeFrozen
	})
	if frozen.Intent != nil || w.forge.merges != 1 {
		t.Fatalf("merges %d, intent %+v", w.forge.merges, frozen.Intent)
	}
	if w.log.count("branch frozen") != 1 {
		t.Error("the log does not say it")
	}
	landing.pass()
	if err := w.engine.Unfreeze(t.Context(), mainBranch, w.person()); err != nil {
		t.Fatal(err)
	}
	w.seen(next, "the merge after the freeze", func(c change.Change) bool { return c.Receipt != nil })
	if c := w.stored(bad); c.Gate(change.Merged).State != change.Failed || !c.Gate(change.Image).At.IsZero() {
		t.Errorf("what landed otherwise went on: %+v", c.Gates)
	}
	if err := w.engine.Unfreeze(t.Context(), mainBranch, w.person()); fault.KindOf(err) != fault.Permanent {
		t.Errorf("twice: %v", err)
	}
}

func TestAnUnknownLandingWaits(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	landing := &landings{history: w.history, say: change.Landed{Why: "the head is not in the mirror"}}
	w = rebuilt(t, w, func(c *reconcile.Config) { c.Git = landing })
	w.run()
	w.hint(id)
	c := w.seen(id, "the question", func(c change.Change) bool { return c.Landed != nil })
	if c.Gate(change.Merged).State == change.Passed || c.Receipt != nil || len(w.entries("branch.frozen")) > 0 {
		t.Fatalf("merged gate %+v", c.Gate(change.Merged))
	}
	landing.pass()
	w.seen(id, "the receipt", func(c change.Change) bool { return c.Receipt != nil })
}

func TestARefusedNoteHoldsNothingUp(t *testing.T) {
	w := gated(t, "ready")
	w.history.noNote = errors.New("no rights to refs/notes")
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	w.hint(id)
	c := w.seen(id, "the version in spite of the note", func(c change.Change) bool { return c.Version != "" && c.Note != nil && c.Note.Pause.Times > 0 })
	if len(w.entries("refused.merge.note")) != 1 || c.Note.Done {
		t.Fatalf("note %+v", c.Note)
	}
	w.history.mutex.Lock()
	w.history.noNote = nil
	w.history.mutex.Unlock()
	c.Note.Pause = change.Pause{}
	w.until("the note", func() bool {
		if c := w.stored(id); c.Note.Done {
			return true
		} else if c.Note.Pause.Times > 0 {
			c.Note.Pause = change.Pause{}
			_ = w.store.Commit(t.Context(), reconcile.Write{Change: &c, Due: []reconcile.Due{{Key: reconcile.ChangeKey(id), At: time.Now()}}}) // its worker may be quicker
		}
		return false
	})
}

func TestAnEmergencyIsToldToAll(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	hold := w.comment(id, "dave", "/hold wait for me")
	w.hint(id)
	w.seen(id, "the hold", func(c change.Change) bool { return c.Talk.Heard >= hold && len(c.Holds) == 1 })
	w.comment(id, "ann", "/emergency the site is down @everybody")
	w.hint(id)
	c := w.seen(id, "the merge", func(c change.Change) bool { return c.Receipt != nil && len(c.Talk.Answers) == 0 })
	if c.Receipt.Emergency == nil || c.Receipt.Emergency.By != "ann" {
		t.Fatalf("receipt %+v", c.Receipt)
	}
	told := w.entries("merge.emergency")
	if len(told) != 1 || told[0].Actor != "ann" || !strings.Contains(told[0].Reason, "the site is down") {
		t.Errorf("journal %+v", told)
	}
	var all strings.Builder
	for _, said := range w.bots(id) {
		all.WriteString(said.Body)
	}
	if !strings.Contains(all.String(), "Merged in an emergency") || !strings.Contains(all.String(), "`ann`") || !strings.Contains(all.String(), "`the site is down @everybody`") {
		t.Errorf("said %s", all.String())
	}
	if w.log.count("merged in an emergency") != 1 {
		t.Error("the log does not say it")
	}
}

func TestNothingMergesOnWhatIsRemembered(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.change(id, func(p *openPull) {
		old := *p
		old.remembered = nil
		p.remembered = &old
		p.reviews[1].Eligible, p.reviews[1].Official = ref.No, ref.No // a right that was taken since
	})
	w.run()
	w.hint(id)
	c := w.seen(id, "the verdict", func(c change.Change) bool { return len(c.Verdict) > 0 })
	if c.Intent != nil || w.forge.merges > 0 || c.Gate(change.Reviewed).State == change.Passed {
		t.Fatalf("intent %+v", c.Intent)
	}
	if len(w.entries("merge")) > 0 {
		t.Error("the journal tells of an intent on what was remembered")
	}
}

// TestANoteThatCanNeverBeWrittenIsGivenUp: else every merge there ever was would
// be tried for ever.
func TestANoteThatCanNeverBeWrittenIsGivenUp(t *testing.T) {
	w := gated(t, "ready")
	w.history.noNote = fault.AsPermanent(errors.New("no rights to refs/notes"))
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	w.hint(id)
	w.seen(id, "the first try", func(c change.Change) bool { return c.Note != nil && c.Note.Pause.Times > 0 })
	w.until("the end of the tries", func() bool {
		c := w.stored(id)
		if c.Note.GivenUp {
			return true
		}
		if c.Note.Pause.Times >= 29 {
			return false // its worker is at it: another write would take its revision away
		}
		c.Note.Pause = change.Pause{Times: 29, Reason: c.Note.Pause.Reason}                                                                // most of a day later
		_ = w.store.Commit(t.Context(), reconcile.Write{Change: &c, Due: []reconcile.Due{{Key: reconcile.ChangeKey(id), At: time.Now()}}}) // its worker may be quicker
		return false
	})
	if told := w.entries("refused.merge.note"); len(told) < 1 || !strings.Contains(fmt.Sprint(told), "given up") {
		t.Errorf("journal %+v", told)
	}
}
