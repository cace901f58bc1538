package reconcile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// seen is what one look at a change brought home.
type seen struct {
	observation change.Observation
	plan        change.Plan
	snapshot    *Snapshot
	reviews     *ReviewsSeen
	// heard is the record with the commands followed.
	heard heard
	// comments are those of the pull request, if they were read.
	comments     []Comment
	commentsRead ref.Fact
	remembered   bool
}

// lookChange observes a change, decides, records, and acts once.
func (e *Engine) lookChange(ctx context.Context, claim Claim, id ref.PullID) (time.Time, error) {
	repo, ok := e.repos[id.Repo]
	if !ok {
		return time.Time{}, nil
	}
	old, found, err := e.Store.Change(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	if !found {
		old = change.New(id)
	}
	if at := e.held(claim, old, e.Now()); !at.IsZero() {
		return at, errHeld
	}
	switch old.Outcome {
	case change.OutcomeRolled, change.OutcomeSupersede:
		return e.speak(ctx, claim, repo, id, seen{}, true), nil // nothing else changes it any more
	}
	if next, spared, err := e.glance(ctx, claim, repo, old); spared || err != nil {
		return next, err
	}
	next, err := e.lookWhole(ctx, claim, repo, old)
	if err == nil && !next.IsZero() && !next.After(e.Now()) {
		e.pace.follows(id)
	}
	return next, err
}

func (e *Engine) lookWhole(ctx context.Context, claim Claim, repo Repository, old change.Change) (time.Time, error) {
	id := old.ID
	s, err := e.observe(ctx, claim, repo, old)
	switch {
	case errors.Is(err, ErrNoPull) && old.MergeSHA == "":
		return e.gone(ctx, claim, repo, old)
	case err != nil:
		return time.Time{}, fmt.Errorf("observe %s: %w", id, err)
	}
	if s == nil { // not ours: another base branch
		return time.Time{}, nil
	}
	now := e.Now()
	e.pace.looked(id, now)
	if old.MergeSHA == "" && s.observation.Pull.Merged == ref.Yes && old.Intent != nil && old.Intent.TellLater && old.Intent.Head == old.Posted.Head {
		e.tellStatus(ctx, repo, id, old.Posted) // before that it landed is recorded: then nobody asks again
	}
	next, action := change.Decide(s.heard.change, s.observation, s.plan, now)
	next = tellEmergency(old, next)
	progress, err := e.recordChange(ctx, claim, old, next, *s, action)
	if err != nil {
		return time.Time{}, fmt.Errorf("record %s: %w", id, err)
	}
	if action == nil {
		if progress && next.MergeSHA != "" && next.Outcome == change.Open {
			return now, nil // what the next gate needs has not been read yet
		}
		return earlier(e.after(old, next, s.observation.Verdict, now), e.speak(ctx, claim, repo, id, *s, true)), nil
	}
	switch action.(type) {
	case change.BuildImage, change.PushImage:
		if !e.builds.TryAcquire(1) {
			return now.Add(time.Second), nil // others are at it; this worker has better to do than wait
		}
		defer e.builds.Release(1)
	}
	if err := e.actOnChange(ctx, claim, repo, next, *s, action); err != nil {
		e.speak(ctx, claim, repo, id, *s, false)
		return time.Time{}, e.refused(ctx, claim, id, action, err)
	}
	switch action.(type) {
	case change.PostStatus, change.ReserveVersion:
		// Nothing follows from a status, and a version comes from the branch's
		// worker, which makes the change due.
		return earlier(e.after(old, next, s.observation.Verdict, now), e.speak(ctx, claim, repo, id, *s, true)), nil
	case change.Merge:
		e.doubt([]Due{{ChangeKey(id), now}}) // whether it is merged is asked of the forge itself
	case change.VerifyLanding:
	default:
		e.speak(ctx, claim, repo, id, *s, false)
	}
	if !progress { // the same step again: what does not show is not done over and over
		return now.Add(time.Second), nil
	}
	return now, nil // what came of it is observed, not assumed
}

// after is the next look without a hint. What the list showed anew is looked at
// once more, when a second change within the same second would show.
func (e *Engine) after(old, next change.Change, v gate.Verdict, now time.Time) time.Time {
	at := e.nextLook(next, v, now)
	if next.Outcome == change.Open && next.MergeSHA == "" && next.Fingerprint != old.Fingerprint {
		e.pace.settles(next.ID)
		at = earlier(at, now.Add(settle))
	}
	return at
}

// earlier is the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// recordChange stores the new record and the journal entries for what is new
// in it, before anything is done. It says whether the record changed.
func (e *Engine) recordChange(ctx context.Context, claim Claim, old, next change.Change, s seen, action change.Action) (bool, error) {
	marked := old
	marked.Seq, marked.Fingerprint = next.Seq, next.Fingerprint // where it was looked at is no progress
	changed, err := differ(marked, next)
	if err != nil {
		return false, err
	}
	if !changed && s.reviews == nil && old.Seq == next.Seq && old.Fingerprint == next.Fingerprint {
		return false, nil
	}
	now := e.Now()
	w := Write{Fence: &claim, Change: &next, Reviews: s.reviews, Snapshot: s.snapshot,
		Journal: append(s.heard.entries, changeEntries(old, next, action, now)...)}
	w.Due = s.heard.again(now)
	e.doubt(w.Due)
	if old.MergeSHA == "" && next.MergeSHA != "" {
		w.Due = append(w.Due, Due{BranchKey(ref.BranchID{Repo: next.ID.Repo, Name: next.Base}), now})
	}
	if err := e.Store.Commit(ctx, w); err != nil {
		return false, err
	}
	e.tellOrders(s.heard.entries)
	e.tellChange(old, next)
	if changed {
		e.moved(next.ID)
	}
	return changed, nil
}

// moved tells whoever wants to know that there is another record of a change.
func (e *Engine) moved(id ref.PullID) {
	if e.Changed != nil {
		e.Changed(id)
	}
}

// differ compares two records as they are stored.
func differ(a, b any) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	if err != nil {
		return false, err
	}
	return !bytes.Equal(x, y), nil
}

// tellChange counts what is new in a record, and logs it for people.
func (e *Engine) tellChange(old, next change.Change) {
	for i, g := range next.Gates {
		if i >= len(old.Gates) || old.Gates[i].State != g.State {
			e.Meter.Reached(g.Name, g.State)
			e.Log.Info("gate", "change", next.ID, "gate", g.Name, "state", g.State, "reason", g.Reason)
		}
		if g.Overdue && (i >= len(old.Gates) || !old.Gates[i].Overdue) {
			e.Meter.Overdue(g.Name)
			e.Log.Error("overdue", "change", next.ID, "gate", g.Name, "owner", g.Owner, "deadline", g.Deadline, "reason", g.Reason)
		}
	}
	if next.Unjudged && !old.Unjudged {
		e.alarm("merge.unjudged")
		e.Log.Error("merged without a verdict", "change", next.ID, "by", next.MergedBy, "commit", next.MergeSHA)
	}
	if next.Outcome != old.Outcome {
		e.Meter.Ended(next.Outcome)
		e.Log.Info("ended", "change", next.ID, "outcome", next.Outcome, "version", next.Version)
	}
}

// alarm counts what people have to know at once.
func (e *Engine) alarm(what string) {
	if a, ok := e.Meter.(Alarmer); ok {
		a.Alarmed(what)
	}
}

// refused journals a permanent refusal once and stops the change there, for
// people to see; every error goes back to the loop.
func (e *Engine) refused(ctx context.Context, claim Claim, id ref.PullID, action change.Action, err error) error {
	err = fmt.Errorf("%s %s: %w", change.Verb(action), id, err)
	if fault.KindOf(err) != fault.Permanent {
		return err
	}
	c, found, readErr := e.Store.Change(ctx, id)
	if readErr != nil || !found {
		return err
	}
	next := c.WithRefusal(action, err.Error(), e.Now())
	w := Write{Fence: &claim, Change: &next}
	if c.Refusal == nil || c.Refusal.Reason != next.Refusal.Reason {
		w.Journal = refusalEntry(c, action, err, e.Now())
	}
	if writeErr := e.Store.Commit(ctx, w); writeErr != nil {
		e.Log.Warn("keep a refusal", "change", id, "error", writeErr)
		return err
	}
	e.moved(id)
	e.Log.Error("refused", "change", id, "action", change.Verb(action), "times", next.Refusal.Times, "until", next.Refusal.Until, "error", err)
	return fault.AsChanged(err) // looked at again at once: what was refused may have to be told
}
