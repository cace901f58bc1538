package reconcile

import (
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
	"slipway/internal/ref"
)

// PolicyFile is where a repository keeps its policy.
const PolicyFile = ".slipway.yaml"

// observe reads what Decide needs at this stage of the change, and no more. It
// is nil for what is none of ours.
func (e *Engine) observe(ctx context.Context, claim Claim, repo Repository, c change.Change) (*seen, error) {
	fingerprint := c.Fingerprint
	if listed := e.brief(c.ID); listed != "" && c.MergeSHA == "" {
		fingerprint = listed // as it was before the look: what comes after it is news
	}
	s, err := e.observeStage(ctx, repo, c)
	if err != nil || s == nil {
		return nil, err
	}
	if s.heard.change.ID.IsZero() {
		s.heard.change = c
	}
	s.observation.Fingerprint, s.observation.Seq = fingerprint, claim.Seq
	if o := &s.observation; o.Pull.Canary() {
		o.Verdict = o.Verdict.Caught()
	}
	return s, nil
}

func (e *Engine) observeStage(ctx context.Context, repo Repository, c change.Change) (*seen, error) {
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
	s, err := e.judge(ctx, repo, c, e.believesNothing(c.ID))
	if err != nil || s == nil {
		return nil, err
	}
	if s.remembered && s.observation.Verdict.Outcome == gate.Merge {
		// Nothing is merged on what was remembered: it is judged again on facts of
		// this very moment, before anything is recorded as intended.
		return e.judge(ctx, repo, c, true)
	}
	return s, nil
}

// judge looks at a pull request that is not known to be merged, hears what was
// said on it and judges it.
func (e *Engine) judge(ctx context.Context, repo Repository, c change.Change, fresh bool) (*seen, error) {
	look, plan, err := e.behold(ctx, repo, c, fresh)
	if err != nil {
		return nil, err
	}
	p := look.Snapshot.Pull
	elsewhere := p.Base != repo.Branch
	if p.Merged == ref.Yes {
		if elsewhere && c.Rev == 0 {
			return nil, nil
		}
		return e.observeLanded(ctx, repo, c, p)
	}
	s := &seen{plan: plan, heard: heard{change: c}, comments: look.Comments, commentsRead: look.CommentsRead, remembered: look.Remembered && !fresh}
	if s.reviews, err = e.markReviews(ctx, &look.Snapshot, elsewhere); err != nil {
		return nil, err
	}
	if elsewhere && c.Rev == 0 {
		if s.reviews == nil {
			return nil, nil
		}
		return nil, e.Store.Commit(ctx, Write{Reviews: s.reviews})
	}
	if elsewhere {
		fault := fmt.Sprintf("its base is %s; only pull requests to %s are merged here", p.Base, repo.Branch)
		s.plan.Gate.Faults = append(slices.Clone(s.plan.Gate.Faults), fault)
	}
	s.heard = e.hear(ctx, repo, c, look, s.plan)
	if err := e.complete(ctx, repo, s, &look.Snapshot); err != nil {
		return nil, err
	}
	return s, s.evaluate(look, repo, e.Now())
}

// complete fills in what the forge does not know.
func (e *Engine) complete(ctx context.Context, repo Repository, s *seen, snapshot *gate.Snapshot) error {
	c, p := s.heard.change, snapshot.Pull
	snapshot.Holds = c.Holds
	if c.Asked != nil && c.Base == p.Base {
		snapshot.Asked = c.Asked
	}
	if c.Emergency != nil && c.Base == p.Base {
		snapshot.Emergency = c.Emergency
	}
	snapshot.Crew = e.crew(ctx, snapshot, s.plan.Gate)
	frozen, err := e.Store.Freeze(ctx, ref.BranchID{Repo: repo.ID, Name: p.Base})
	if err != nil {
		return err
	}
	if snapshot.FrozenRead = ref.Yes; frozen != nil {
		snapshot.Frozen = frozen.Reason
	}
	if p.Open != ref.Yes || p.Head == "" || !touches(*snapshot, PolicyFile) {
		return nil
	}
	brought, err := e.plan(ctx, repo, fmt.Sprintf("#%d", p.ID.Number), p.Head)
	if err != nil {
		return err
	}
	snapshot.HeadPolicyFaults = brought.Faults
	if snapshot.FilesRead == ref.Yes && brought.Gate.Hash != s.plan.Gate.Hash {
		s.observation.Replay = e.replayHead(ctx, repo, c, p.Head, brought, s.plan)
	}
	return nil
}

// evaluate judges the snapshot, and keeps it by its hash. What changes with
// every look and is never judged is left out of it, so that the same facts have
// the same hash.
func (s *seen) evaluate(look Look, repo Repository, now time.Time) error {
	snapshot := look.Snapshot
	shown := posted(snapshot, repo.Bot)
	snapshot.Pull.Updated = time.Time{}
	snapshot.Checks.Statuses = slices.DeleteFunc(slices.Clone(snapshot.Checks.Statuses), func(st gate.Status) bool {
		return st.Context == gate.StatusContext
	})
	body, err := json.Marshal(snapshot)
	if err != nil {
		return fmt.Errorf("encode the snapshot of %s: %w", snapshot.Pull.ID, err)
	}
	sum := sha256.Sum256(body)
	s.snapshot = &Snapshot{Hash: hex.EncodeToString(sum[:]), Body: body}
	o := &s.observation
	o.StatusNeeded = look.StatusNeeded
	o.Pull, o.Commits, o.Posted, o.Snapshot = look.Snapshot.Pull, len(snapshot.Commits), shown, s.snapshot.Hash
	o.Verdict = gate.Evaluate(snapshot, s.plan.Gate, now)
	if o.Verdict.Outcome == gate.Merge && (s.commentsRead != ref.Yes || s.heard.more) {
		o.Verdict = unheard(o.Verdict, now)
	}
	return nil
}

// unheard is a verdict that waits because somebody may have held the pull
// request in a comment that could not be read.
func unheard(v gate.Verdict, now time.Time) gate.Verdict {
	v.Outcome, v.Recheck = gate.Wait, now.Add(10*time.Second)
	v.Reasons = []gate.Reason{{Code: gate.CodeUnknown, Outcome: gate.Wait, Sentence: "not all comments were read yet, and one may hold it", Who: []string{self}}}
	return v
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
	s.Reviews = slices.Clone(s.Reviews)
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

// touches says whether a pull request may change a file: also when it is not
// known which files it changes.
func touches(s gate.Snapshot, path string) bool {
	return s.FilesRead != ref.Yes || slices.ContainsFunc(s.Files, func(f gate.File) bool { return f.Path == path || f.Previous == path })
}

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
