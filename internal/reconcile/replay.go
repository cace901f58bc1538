package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Replay is what another policy would have made of a repository's changes. Each
// was judged again by both policies, on the facts of its last verdict and as of
// the same time.
type Replay struct {
	Repo ref.RepoID `json:"repo"`
	// Policy and InForce are the hashes of the policy that was tried and of the
	// one that is in force.
	Policy  string `json:"policy"`
	InForce string `json:"in_force"`
	// Faults are what is wrong with the policy that was tried; with any, nothing
	// was judged by it.
	Faults []string `json:"faults,omitempty"`
	Judged int      `json:"judged"`
	// Differ are the changes whose verdict would be another: first those that
	// would not have been merged, then the others that would come out otherwise,
	// then those that would do so for other reasons; each newest first.
	Differ []Difference `json:"differ"`
}

// Difference is one change on which two policies do not agree.
type Difference struct {
	Change ref.PullID `json:"pull_request"`
	Title  string     `json:"title"`
	Head   ref.SHA    `json:"head"`
	Was    Judgement  `json:"was"`
	Would  Judgement  `json:"would_be"`
}

// Judgement is a verdict, for people.
type Judgement struct {
	Outcome string          `json:"outcome"` // wait, block, merge
	Reasons []change.Reason `json:"reasons,omitempty"`
}

// The replay that a pull request with another policy gets by itself.
const (
	replayed      = 50 // changes
	replayTime    = 5 * time.Second
	replayExample = 5
)

// Replay judges the changes of a repository that ended after since, or have
// not, by a policy file beside the one in force: the last limit of them, all if
// limit is 0. It only reads.
func (e *Engine) Replay(ctx context.Context, id ref.RepoID, policy []byte, since time.Time, limit int) (Replay, error) {
	repo, ok := e.repos[id]
	if !ok {
		return Replay{}, fault.AsPermanent(fmt.Errorf("repository %s is not served here", id))
	}
	tip, err := repo.Forge.Branch(ctx, ref.BranchID{Repo: id, Name: repo.Branch})
	if err != nil {
		return Replay{}, fmt.Errorf("tip of %s: %w", id, err)
	}
	inForce, err := e.plan(ctx, repo, repo.Branch, tip)
	if err != nil {
		return Replay{}, err
	}
	tried := e.Policy(id, "the policy to replay", policy, true)
	tried.Gate.Bot = repo.Bot
	return e.replay(ctx, repo, tried, inForce, since, limit)
}

func (e *Engine) replay(ctx context.Context, repo Repository, tried, inForce change.Plan, since time.Time, limit int) (Replay, error) {
	r := Replay{Repo: repo.ID, Policy: tried.Gate.Hash, InForce: inForce.Gate.Hash, Faults: tried.Faults, Differ: []Difference{}}
	if len(r.Faults) > 0 {
		return r, nil
	}
	changes, err := e.Store.Changes(ctx, Filter{Repo: repo.ID, Base: repo.Branch, Limit: limit})
	if err != nil {
		return r, err
	}
	for _, c := range changes {
		s, found, err := e.judged(ctx, c)
		if err != nil {
			return r, err
		}
		if !found || (!c.Ended.IsZero() && c.Ended.Before(since)) {
			continue
		}
		at := e.Now()
		if c.Intent != nil {
			at = c.Intent.At
		}
		r.Judged++
		d := Difference{Change: c.ID, Title: c.Title, Head: s.Pull.Head,
			Was: judgement(gate.Evaluate(s, inForce.Gate, at)), Would: judgement(gate.Evaluate(s, tried.Gate, at))}
		if d.weight() > 0 {
			r.Differ = append(r.Differ, d)
		}
	}
	slices.SortStableFunc(r.Differ, func(a, b Difference) int { return b.weight() - a.weight() })
	return r, nil
}

// replayHead replays, once per head and one at a time, the policy that an open
// pull request would bring: anybody may propose one, and what it costs to judge
// by is theirs to choose. One that takes too long is kept as far as it got; one
// that cannot be had keeps nothing from going on.
func (e *Engine) replayHead(ctx context.Context, repo Repository, c change.Change, head ref.SHA, tried, inForce change.Plan) *change.Replay {
	if c.Replay != nil && c.Replay.Head == head || len(tried.Faults) > 0 || len(inForce.Faults) > 0 {
		return nil
	}
	r, err := e.replayInTurn(ctx, repo, tried, inForce)
	cut := errors.Is(err, context.DeadlineExceeded)
	if err != nil {
		e.Log.Warn("replay a policy", "change", c.ID, "error", err)
	}
	if err != nil && !cut {
		return nil
	}
	out := &change.Replay{Head: head, Policy: r.Policy, Judged: r.Judged, Cut: cut, Differ: len(r.Differ)}
	for _, d := range r.Differ[:min(replayExample, len(r.Differ))] {
		out.Examples = append(out.Examples, fmt.Sprintf("%s would be %s instead of %s", d.Change, d.Would, d.Was))
	}
	return out
}

// replayInTurn waits for its turn, for as long as it may then take.
func (e *Engine) replayInTurn(ctx context.Context, repo Repository, tried, inForce change.Plan) (Replay, error) {
	turn, cancel := context.WithTimeout(ctx, replayTime)
	defer cancel()
	if e.replays.Acquire(turn, 1) != nil {
		return Replay{}, errors.New("others were being replayed all the time")
	}
	defer e.replays.Release(1)
	ctx, stop := context.WithTimeout(ctx, replayTime)
	defer stop()
	return e.replay(ctx, repo, tried, inForce, time.Time{}, replayed)
}

// judged is the snapshot on which a change was judged last: that of its merge
// once there is one.
func (e *Engine) judged(ctx context.Context, c change.Change) (s gate.Snapshot, found bool, err error) {
	hash := c.Snapshot
	if c.MergeSHA != "" && c.Intent != nil && !c.Unjudged {
		hash = c.Intent.Snapshot
	}
	if hash == "" {
		return s, false, nil
	}
	body, found, err := e.Store.Snapshot(ctx, hash)
	if err != nil || !found {
		return s, false, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, false, fmt.Errorf("snapshot %s of %s: %w", hash, c.ID, err)
	}
	return s, true, nil
}

func judgement(v gate.Verdict) Judgement {
	j := Judgement{Outcome: v.Outcome.String()}
	for _, r := range v.Reasons {
		j.Reasons = append(j.Reasons, change.Reason{Code: r.Code, Sentence: r.Sentence, Who: r.Who})
	}
	return j
}

// weight is how much a difference matters. 0 is none: the same reasons in other
// words, such as another count of approvals, make no other verdict.
func (d Difference) weight() int {
	switch {
	case d.Was.Outcome != d.Would.Outcome && d.Was.Outcome == gate.Merge.String():
		return 3
	case d.Was.Outcome != d.Would.Outcome:
		return 2
	case !slices.Equal(d.Was.codes(), d.Would.codes()):
		return 1
	default:
		return 0
	}
}

func (j Judgement) codes() []gate.Code {
	var out []gate.Code
	for _, r := range j.Reasons {
		out = append(out, r.Code)
	}
	slices.Sort(out)
	return out
}

// String is the outcome with its first reason.
func (j Judgement) String() string {
	if len(j.Reasons) == 0 {
		return j.Outcome
	}
	return j.Outcome + " (" + j.Reasons[0].Sentence + ")"
}
