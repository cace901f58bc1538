package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// verifyLanding compares what landed with what was judged, by real git. Only
// what is equal gets its receipt and goes on; what is not freezes the branch.
func (e *Engine) verifyLanding(ctx context.Context, claim Claim, repo Repository, c change.Change, a change.VerifyLanding) error {
	if err := e.Git.Fetch(ctx, c.ID.Repo); err != nil {
		return fmt.Errorf("fetch %s: %w", c.ID.Repo, err)
	}
	found, err := e.Git.Landed(ctx, c.ID.Repo, Landing{Merge: a.Merge, Head: a.Head, Method: a.Method, Commits: a.Commits, After: a.After})
	if err != nil {
		return err
	}
	switch found.Equal {
	case ref.Yes:
		return e.receive(ctx, claim, repo, c.ID, found)
	case ref.No:
		return e.freeze(ctx, claim, c.ID, found)
	default:
		cause := fmt.Errorf("what landed cannot be compared: %s", found.Why)
		if c.Landed != nil && *c.Landed == found {
			return cause // it is told already
		}
		return errors.Join(cause, e.amend(ctx, claim, c.ID, nil, func(c change.Change) change.Change { c.Landed = &found; return c }))
	}
}

// freeze keeps everything from merging to a branch on which something landed
// that was not judged, and tells people.
func (e *Engine) freeze(ctx context.Context, claim Claim, id ref.PullID, found change.Landed) error {
	c, err := e.stored(ctx, id)
	if err != nil {
		return err
	}
	b := ref.BranchID{Repo: id.Repo, Name: c.Base}
	due, err := e.openDue(ctx, b)
	if err != nil {
		return err
	}
	c.Landed = &found
	now := e.Now()
	reason := fmt.Sprintf("what %s landed as %s is not what was judged: %s", id, c.MergeSHA.Short(), found.Why)
	entry := journal.Entry{At: now, Actor: self, Action: "branch.frozen", Subject: b.String(), Identity: string(c.MergeSHA), Reason: reason,
		Data: map[string]string{"landed_tree": string(found.Tree), "judged_tree": string(found.Want), "parent": string(found.Parent)}}
	w := Write{Fence: &claim, Change: &c, Freeze: &BranchFreeze{Branch: b, Reason: reason, At: now}, Journal: []journal.Entry{entry}, Due: due}
	if err := e.Store.Commit(ctx, w); err != nil {
		return err
	}
	e.moved(id)
	e.alarm("branch.frozen")
	e.Log.Error("branch frozen", "branch", b, "change", id, "commit", c.MergeSHA, "reason", reason)
	return nil
}

// receive writes the receipt of a merge, signed, to the record and the journal.
func (e *Engine) receive(ctx context.Context, claim Claim, repo Repository, id ref.PullID, found change.Landed) error {
	c, err := e.stored(ctx, id)
	if err != nil {
		return err
	}
	r, err := e.receipt(ctx, repo, c, found)
	if err != nil {
		return err
	}
	if e.Sign != nil {
		if r, err = e.Sign(r); err != nil {
			return fmt.Errorf("sign the receipt of %s: %w", id, err)
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the receipt of %s: %w", id, err)
	}
	now := e.Now()
	c.Landed, c.Receipt = &found, &r
	entries := []journal.Entry{{At: now, Actor: self, Action: "merge.receipt", Subject: id.String(), Identity: string(r.Merge),
		Reason: "what landed is what was judged", Data: map[string]string{"receipt": string(text)}}}
	if m := r.Emergency; m != nil {
		entries = append(entries, journal.Entry{At: now, Actor: m.By, Action: "merge.emergency", Subject: id.String(), Identity: string(r.Merge), Reason: m.Reason})
	}
	if err := e.Store.Commit(ctx, Write{Fence: &claim, Change: &c, Journal: entries}); err != nil {
		return err
	}
	e.moved(id)
	if m := r.Emergency; m != nil {
		e.alarm("merge.emergency")
		e.Log.Error("merged in an emergency", "change", id, "commit", r.Merge, "by", m.By, "reason", m.Reason)
	}
	return nil
}

// receipt says what landed and on whose word, from the snapshot that was
// judged.
func (e *Engine) receipt(ctx context.Context, repo Repository, c change.Change, found change.Landed) (change.Receipt, error) {
	i := *c.Intent
	s, known, err := e.judged(ctx, c)
	switch {
	case err != nil:
		return change.Receipt{}, err
	case !known:
		return change.Receipt{}, fault.AsPermanent(fmt.Errorf("the snapshot %q on which %s was judged is gone", i.Snapshot, c.ID))
	}
	plan, err := e.plan(ctx, repo, s.Pull.Base, s.Pull.BaseHead)
	if err != nil {
		return change.Receipt{}, err
	}
	seq, hash, err := e.Store.Head(ctx)
	if err != nil {
		return change.Receipt{}, err
	}
	r := change.Receipt{
		Change: c.ID, Base: c.Base, Method: i.Method, Head: i.Head, Merge: c.MergeSHA, Parent: found.Parent, Tree: found.Tree,
		MergedBy: c.MergedBy, MergedAt: c.MergedAt, Policy: i.Policy, Snapshot: i.Snapshot, Emergency: i.Emergency,
		Reviews: []change.ReceiptReview{}, Statuses: []change.ReceiptStatus{}, Journal: change.JournalHead{Seq: seq, Hash: hash},
	}
	for _, a := range i.Approvals {
		at := slices.IndexFunc(s.Reviews, func(v gate.Review) bool { return v.ID == a.ReviewID })
		if at < 0 {
			return change.Receipt{}, fault.AsPermanent(fmt.Errorf("review %d is not in the snapshot on which %s was judged", a.ReviewID, c.ID))
		}
		v := s.Reviews[at]
		r.Reviews = append(r.Reviews, change.ReceiptReview{Login: v.Reviewer, ID: v.ID, Commit: v.Commit, Observed: v.ObservedHead, Kind: a.Kind, Model: a.Model})
	}
	for _, check := range c.Gate(change.Reviewed).Evidence.Checks {
		r.Statuses = append(r.Statuses, change.ReceiptStatus{Context: check.Context, State: check.State, URL: check.URL, Reporter: reporter(check.Context, plan.Gate, s.Checks)})
	}
	return r, nil
}

// reporter names who reported a required check: the account, or the job of the
// workflow.
func reporter(context string, p gate.Policy, c gate.Checks) string {
	at := slices.IndexFunc(p.Checks, func(r gate.CheckRule) bool { return r.Context == context })
	if at < 0 {
		return ""
	}
	rule := p.Checks[at]
	if rule.Workflow == "" {
		return rule.Creator
	}
	for _, j := range slices.Backward(c.Jobs) {
		if j.Workflow == rule.Workflow && j.Name == rule.Job && (rule.Event == "" || j.Event == rule.Event) {
			return fmt.Sprintf("%s, job %s of run %d", j.Workflow, j.Name, j.RunID)
		}
	}
	return rule.Workflow + ", job " + rule.Job
}

// note attaches the receipt to the merge commit. It serves those who have
// nothing but the repository, and holds nothing up.
func (e *Engine) note(ctx context.Context, claim Claim, c change.Change) error {
	text, err := json.MarshalIndent(c.Receipt, "", "  ")
	if err != nil {
		return err
	}
	failed := e.Git.Note(ctx, c.ID.Repo, c.MergeSHA, string(text)+"\n")
	var was change.Note
	if c.Note != nil {
		was = *c.Note
	}
	next := change.Note{Done: failed == nil}
	var told []journal.Entry
	if failed != nil {
		next.Pause = was.Pause.After(failed.Error(), e.Now())
		reason := failed.Error()
		if next.GivenUp = next.Pause.Hopeless(); next.GivenUp {
			reason = fmt.Sprintf("given up after %d tries: %s", next.Pause.Times, reason)
		}
		if next.GivenUp || was.Pause.Reason != next.Pause.Reason {
			told = entries(e.Now(), "refused.merge.note", c.ID.String(), string(c.MergeSHA), reason)
		}
		e.Log.Warn("note", "change", c.ID, "commit", c.MergeSHA, "again_at", next.Pause.Until, "error", failed)
	}
	return e.amend(ctx, claim, c.ID, told, func(c change.Change) change.Change { c.Note = &next; return c })
}

func (e *Engine) stored(ctx context.Context, id ref.PullID) (change.Change, error) {
	c, found, err := e.Store.Change(ctx, id)
	if err == nil && !found {
		err = fmt.Errorf("%s is not in the store", id)
	}
	return c, err
}

// amend changes the stored record by a function, under the claim; it tries
// again when an order was quicker.
func (e *Engine) amend(ctx context.Context, claim Claim, id ref.PullID, told []journal.Entry, f func(change.Change) change.Change) error {
	for try := 0; ; try++ {
		c, err := e.stored(ctx, id)
		if err != nil {
			return err
		}
		next := f(c)
		if err = e.Store.Commit(ctx, Write{Fence: &claim, Change: &next, Journal: told}); err == nil {
			e.moved(id)
		}
		if fault.KindOf(err) != fault.Changed || try == 3 {
			return err
		}
	}
}

// tellEmergency has it said to all that something was merged in an emergency.
func tellEmergency(old, next change.Change) change.Change {
	if old.MergeSHA != "" || next.MergeSHA == "" || next.Unjudged || next.Intent == nil || next.Intent.Emergency == nil {
		return next
	}
	m := next.Intent.Emergency
	return next.WithAnswer(change.Answer{Key: "emergency " + string(next.MergeSHA), Alarm: true, Text: strings.Join([]string{
		"**Merged in an emergency.**", codeSpan(m.By), "waived what was missing, for this reason:", codeSpan(m.Reason)}, " ")})
}
