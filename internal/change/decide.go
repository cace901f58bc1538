package change

import (
	"fmt"
	"slices"
	"time"

	"slipway/internal/ref"
)

// New is the record of a pull request that is seen for the first time.
func New(id ref.PullID) Change {
	c := Change{ID: id}
	for _, n := range GateNames() {
		c.Gates = append(c.Gates, Gate{Name: n, State: Waiting, Owner: ownerOf(n)})
	}
	return c
}

// Gate is the gate of that name.
func (c *Change) Gate(n GateName) *Gate {
	for i := range c.Gates {
		if c.Gates[i].Name == n {
			return &c.Gates[i]
		}
	}
	return &Gate{Name: n, State: Waiting} // a record from elsewhere, without gates
}

// Current is the first gate that is not behind the change, or nil.
func (c *Change) Current() *Gate {
	for i := range c.Gates {
		if s := c.Gates[i].State; s == Waiting || s == Failed {
			return &c.Gates[i]
		}
	}
	return nil
}

// Decide brings the record up to what was observed and says what to do next:
// at most one action, nil for waiting. The record must be stored before the
// action is done, and everything is observed again after it, so a crash
// between any two steps is answered by the next look (A5). Decide is stable:
// the same facts and time again change nothing.
func Decide(c Change, o Observation, p Plan, now time.Time) (Change, Action) {
	c.Gates = slices.Clone(c.Gates)
	switch {
	case c.Outcome == OutcomeHealthy || c.Outcome == OutcomeSimulated:
		return recalled(c, o, now), nil
	case c.Outcome == OutcomeClosed && c.MergeSHA == "" && (o.Pull.Open == ref.Yes || o.Pull.Merged == ref.Yes):
		c.Outcome, c.Ended = Open, time.Time{} // reopened
	case c.Outcome != Open:
		return c, nil
	}
	c.Fingerprint, c.Seq = o.Fingerprint, o.Seq
	action := c.permitted(decide(&c, o, p, now), o, now)
	deadlines(&c, p, now)
	if c.Outcome != Open && c.Ended.IsZero() {
		c.Ended = now
	}
	return c, action
}

func decide(c *Change, o Observation, p Plan, now time.Time) Action {
	switch {
	case o.Pull.Merged == ref.Yes:
		return landed(c, o, p, now)
	case c.MergeSHA != "":
		return nil // merged once is merged; a forge that says otherwise is not believed
	case o.Pull.Merged == ref.Unknown || o.Pull.Open == ref.Unknown || o.Pull.Head == "":
		return nil
	}
	identify(c, o.Pull)
	c.Gate(Code).pass(o.Pull.Opened.UTC(), Evidence{Head: o.Pull.Head})
	c.Gate(Opened).pass(o.Pull.Opened.UTC(), Evidence{Head: o.Pull.Head, PullRequest: c.ID})
	if o.Pull.Open == ref.No {
		c.Outcome = OutcomeClosed
		c.Intent = nil
		c.Gate(Merged).wait(Evidence{}, "closed without a merge")
		return nil
	}
	return judge(c, o, p, now)
}

// WithoutPull ends a change whose pull request the forge no longer has, unless
// it has landed or ended already. Should it come back, Decide reopens it.
func (c Change) WithoutPull(now time.Time) Change {
	if c.Outcome != Open || c.MergeSHA != "" {
		return c
	}
	c.Gates = slices.Clone(c.Gates)
	c.Outcome, c.Ended, c.Intent = OutcomeClosed, now, nil
	c.Gate(Merged).wait(Evidence{}, "the pull request was deleted in the forge")
	return c
}

// deadlines gives the gate whose turn it is its deadline, and notes when one
// has gone by.
func deadlines(c *Change, p Plan, now time.Time) {
	g := c.Current()
	if g == nil || c.Outcome != Open {
		return
	}
	if limit := p.Deadlines.of(g.Name); g.Deadline.IsZero() && limit > 0 {
		g.Deadline = now.Add(limit)
	}
	if !g.Deadline.IsZero() && now.After(g.Deadline) {
		g.Overdue = true
	}
}

func (d Deadlines) of(n GateName) time.Duration {
	switch n {
	case Reviewed:
		return d.Review
	case Merged:
		return d.Merge
	case PostMergeCI:
		return d.PostMergeCI
	case Image:
		return d.Image
	case Rollout:
		return d.Rollout
	case Health:
		return d.Health
	default:
		return 0
	}
}

func (g *Gate) pass(at time.Time, e Evidence) { g.reach(Passed, at, e) }

// reach sets a state that is behind the change; its time is kept when it was
// there already, and its evidence may still grow.
func (g *Gate) reach(s GateState, at time.Time, e Evidence) {
	if g.State != s {
		g.State, g.At, g.Overdue = s, at, false
	}
	g.Evidence, g.Reason = e, ""
}

func (g *Gate) wait(e Evidence, reason string) {
	if g.State != Waiting {
		g.State, g.At = Waiting, time.Time{}
	}
	g.Evidence, g.Reason = e, reason
}

func (g *Gate) fail(at time.Time, e Evidence, format string, args ...any) {
	if g.State != Failed {
		g.State, g.At = Failed, at
	}
	g.Evidence, g.Reason = e, fmt.Sprintf(format, args...)
}

// ownerOf says who must act while a gate waits.
func ownerOf(n GateName) string {
	switch n {
	case Code, Opened:
		return "author"
	case Reviewed:
		return "reviewers"
	case PostMergeCI:
		return "ci"
	case Health:
		return "operator"
	default:
		return "slipway"
	}
}
