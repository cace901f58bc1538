package reconcile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
	switch old.Outcome {
	case change.OutcomeRolled, change.OutcomeSupersede:
		return time.Time{}, nil // nothing changes it any more
	}
	s, err := e.observe(ctx, repo, old)
	if err != nil {
		return time.Time{}, fmt.Errorf("observe %s: %w", id, err)
	}
	if s == nil { // not ours: another base branch
		return time.Time{}, nil
	}
	now := e.Now()
	next, action := change.Decide(old, s.observation, s.plan, now)
	progress, err := e.recordChange(ctx, claim, old, next, *s, action)
	if err != nil {
		return time.Time{}, fmt.Errorf("record %s: %w", id, err)
	}
	if action == nil {
		if progress && next.MergeSHA != "" && next.Outcome == change.Open {
			return now, nil // what the next gate needs has not been read yet
		}
		return e.nextLook(next, s.observation.Verdict, now), nil
	}
	switch action.(type) {
	case change.BuildImage, change.PushImage:
		if !e.builds.TryAcquire(1) {
			return now.Add(time.Second), nil // others are at it; this worker has better to do than wait
		}
		defer e.builds.Release(1)
	}
	if err := e.actOnChange(ctx, repo, next, *s, action); err != nil {
		return time.Time{}, e.refused(ctx, claim, id, action, err)
	}
	switch action.(type) {
	case change.PostStatus, change.ReserveVersion:
		// Nothing follows from a status, and a version comes from the branch's
		// worker, which makes the change due.
		return e.nextLook(next, s.observation.Verdict, now), nil
	}
	if !progress { // the same step again: what does not show is not done over and over
		return now.Add(time.Second), nil
	}
	return now, nil // what came of it is observed, not assumed
}

// observe reads what Decide needs at this stage of the change, and no more.
func (e *Engine) observe(ctx context.Context, repo Repository, c change.Change) (*seen, error) {
	if c.MergeSHA != "" {
		return e.observeLanded(ctx, repo, c, gate.PullRequest{
			ID: c.ID, Title: c.Title, Author: c.Author, Head: c.Head, Base: c.Base, Labels: c.Labels,
			Merged: ref.Yes, Open: ref.No, MergeSHA: c.MergeSHA, MergedBy: c.MergedBy, MergedAt: c.MergedAt, Opened: c.Opened,
		})
	}
	if c.Outcome == change.OutcomeClosed {
		// It may have been reopened; else there is nothing to read.
		p, err := repo.Forge.Pull(ctx, c.ID)
		if err != nil || (p.Open != ref.Yes && p.Merged != ref.Yes) {
			return nil, err
		}
	}
	look, err := repo.Forge.Look(ctx, c.ID, Want{Fresh: true})
	if err != nil {
		return nil, err
	}
	snapshot := look.Snapshot
	p := snapshot.Pull
	elsewhere := p.Base != repo.Branch
	if p.Merged == ref.Yes {
		if elsewhere && c.Rev == 0 {
			return nil, nil
		}
		return e.observeLanded(ctx, repo, c, p)
	}
	s := &seen{}
	if s.reviews, err = e.markReviews(ctx, &snapshot, elsewhere); err != nil {
		return nil, err
	}
	if elsewhere && c.Rev == 0 {
		if s.reviews == nil {
			return nil, nil
		}
		return nil, e.Store.Commit(ctx, Write{Reviews: s.reviews})
	}
	if s.plan, err = e.plan(ctx, repo, p.Base, p.BaseHead); err != nil {
		return nil, err
	}
	if elsewhere {
		fault := fmt.Sprintf("its base is %s; only pull requests to %s are merged here", p.Base, repo.Branch)
		s.plan.Gate.Faults = append(slices.Clone(s.plan.Gate.Faults), fault)
	}
	if snapshot.HeadPolicyFaults, err = e.headPolicy(ctx, repo, p); err != nil {
		return nil, err
	}
	body, err := json.Marshal(snapshot)
	if err != nil {
		return nil, fmt.Errorf("encode the snapshot of %s: %w", c.ID, err)
	}
	sum := sha256.Sum256(body)
	s.snapshot = &Snapshot{Hash: hex.EncodeToString(sum[:]), Body: body}
	s.observation = change.Observation{
		Pull:     p,
		Verdict:  gate.Evaluate(snapshot, s.plan.Gate, e.Now()),
		Snapshot: s.snapshot.Hash,
		Commits:  len(snapshot.Commits),
		Posted:   posted(snapshot, repo.Bot),
	}
	return s, nil
}

// markReviews gives each review the head it was first observed on, and says
// which are observed now for the first time. A review of the change onto
// another base was of something else: it is remembered with no head, and so
// never counts (M7).
func (e *Engine) markReviews(ctx context.Context, s *gate.Snapshot, elsewhere bool) (*ReviewsSeen, error) {
	known, err := e.Store.Reviews(ctx, s.Pull.ID)
	if err != nil {
		return nil, err
	}
	fresh := ReviewsSeen{Pull: s.Pull.ID, Head: s.Pull.Head}
	if elsewhere {
		fresh.Head = ""
	}
	for i, r := range s.Reviews {
		head, ok := known[r.ID]
		if !ok {
			head = fresh.Head
			fresh.IDs = append(fresh.IDs, r.ID)
		}
		s.Reviews[i].ObservedHead = head
	}
	if len(fresh.IDs) == 0 {
		return nil, nil
	}
	return &fresh, nil
}

// plan is the policy file on a commit of the base branch (M8). A commit never
// changes, so its plan is read once.
func (e *Engine) plan(ctx context.Context, repo Repository, branch string, at ref.SHA) (change.Plan, error) {
	key := planKey{repo.ID, at}
	e.mu.Lock()
	plan, ok := e.plans[key]
	e.mu.Unlock()
	if ok {
		return plan, nil
	}
	where := fmt.Sprintf("%s@%s:%s", repo.ID, branch, PolicyFile)
	data, found, err := repo.Forge.File(ctx, repo.ID, at, PolicyFile)
	if err != nil { // also one for good: what is refused now may be granted later
		return change.Plan{}, fmt.Errorf("read %s: %w", where, err)
	}
	plan = e.Policy(repo.ID, where, data, found)
	plan.Gate.Bot = repo.Bot
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.plans) > 1000 {
		clear(e.plans)
	}
	e.plans[key] = plan
	return plan, nil
}

// headPolicy says what is wrong with the policy file that a pull request would
// bring to its base.
func (e *Engine) headPolicy(ctx context.Context, repo Repository, p gate.PullRequest) ([]string, error) {
	if p.Open != ref.Yes || p.Head == "" {
		return nil, nil
	}
	plan, err := e.plan(ctx, repo, fmt.Sprintf("#%d", p.ID.Number), p.Head)
	return plan.Faults, err
}

// PolicyFile is where a repository keeps its policy.
const PolicyFile = ".slipway.yaml"

// posted is the gate's own status as the forge shows it on the head.
func posted(s gate.Snapshot, bot string) change.Posted {
	var last gate.Status
	for _, st := range s.Checks.Statuses {
		if st.Context == gate.StatusContext && strings.EqualFold(st.Creator, bot) && st.ID > last.ID {
			last = st
		}
	}
	if last.ID == 0 {
		return change.Posted{}
	}
	return change.Posted{Head: s.Pull.Head, State: last.State, Text: last.Description}
}

// recordChange stores the new record and the journal entries for what is new
// in it, before anything is done. It says whether the record changed.
func (e *Engine) recordChange(ctx context.Context, claim Claim, old, next change.Change, s seen, action change.Action) (bool, error) {
	changed, err := differ(old, next)
	if err != nil {
		return false, err
	}
	if !changed && s.reviews == nil {
		return false, nil
	}
	now := e.Now()
	w := Write{Fence: &claim, Change: &next, Reviews: s.reviews, Snapshot: s.snapshot, Journal: changeEntries(old, next, action, now)}
	if old.MergeSHA == "" && next.MergeSHA != "" {
		w.Due = append(w.Due, Due{BranchKey(ref.BranchID{Repo: next.ID.Repo, Name: next.Base}), now})
	}
	if err := e.Store.Commit(ctx, w); err != nil {
		return false, err
	}
	e.tellChange(old, next)
	return changed, nil
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
		e.Log.Error("merged without a verdict", "change", next.ID, "by", next.MergedBy, "commit", next.MergeSHA)
	}
	if next.Outcome != old.Outcome {
		e.Meter.Ended(next.Outcome)
		e.Log.Info("ended", "change", next.ID, "outcome", next.Outcome, "version", next.Version)
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
	e.Log.Error("refused", "change", id, "action", change.Verb(action), "times", next.Refusal.Times, "until", next.Refusal.Until, "error", err)
	return fault.AsChanged(err) // looked at again at once: what was refused may have to be told
}

// nextLook is when a change is looked at without a hint: soon while something
// moves by itself, seldom while it waits for people, never once it has ended.
func (e *Engine) nextLook(c change.Change, v gate.Verdict, now time.Time) time.Time {
	if c.Outcome != change.Open {
		return time.Time{}
	}
	wait := e.Idle
	if c.MergeSHA != "" || moving(v) {
		wait = e.Active
	}
	next := now.Add(wait)
	if again := e.recheck(ChangeKey(c.ID), v, now); !again.IsZero() && again.Before(next) {
		next = again
	}
	if r := c.Refusal; r != nil && r.Until.After(now) && r.Until.Before(next) {
		next = r.Until
	}
	if g := c.Current(); g != nil && g.Deadline.After(now) && g.Deadline.Before(next) {
		next = g.Deadline.Add(time.Millisecond)
	}
	return next
}

// firstRecheck is how soon a verdict that time alone may change is looked at
// again.
const firstRecheck = 300 * time.Millisecond

// recheck is when to look again at a verdict that time alone may change: soon
// at first, for most forges have their answer within a second, and ever more
// seldom, up to four times what the verdict asks for.
func (e *Engine) recheck(k Key, v gate.Verdict, now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Recheck.IsZero() {
		delete(e.rechecks, k)
		return time.Time{}
	}
	n := e.rechecks[k]
	e.rechecks[k] = min(n+1, 16)
	return now.Add(min(firstRecheck<<n, 4*v.Recheck.Sub(now)))
}

func moving(v gate.Verdict) bool {
	for _, r := range v.Reasons {
		switch r.Code {
		case gate.CodeCheckPending, gate.CodeCheckMissing, gate.CodeUnknown:
			return true
		}
	}
	return false
}
