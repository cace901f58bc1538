package change

import (
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// judge takes over the verdict on an open pull request.
func judge(c *Change, o Observation, p Plan, now time.Time) Action {
	v := o.Verdict
	explain(c, o, p, now)
	reviewed := c.Gate(Reviewed)
	reviewed.Owner = reviewOwner(v)
	evidence := Evidence{Head: v.Head, Approvals: v.Approvals, Checks: checks(v.Checks)}
	state, text := v.Status()
	want := Posted{Head: o.Pull.Head, State: state, Text: text}

	// M1: a verdict is about one head; on any other one it is no verdict.
	if v.Outcome != gate.Merge || v.Head != o.Pull.Head || v.Head == "" {
		c.Intent = nil
		reviewed.wait(evidence, text)
		if v.Outcome == gate.Block {
			reviewed.State = Failed
		}
		if shown(c, o, want) {
			return nil
		}
		c.Posted = want
		return PostStatus{Posted: want}
	}
	evidence.Snapshot = o.Snapshot
	c.Intent = intend(c, o, p, now)
	reviewed.pass(c.Intent.At, evidence)
	c.Gate(Merged).wait(Evidence{Head: v.Head}, "being merged")
	c.Posted = want
	var approvals []int64
	for _, a := range v.Approvals {
		approvals = append(approvals, a.ReviewID)
	}
	return Merge{Intent: *c.Intent, Status: want, Method: p.Merge.Method, Approvals: approvals}
}

// explain keeps what was found, for people: the reasons, the requirements with
// the time since which each waits, and the acts that would merge it.
func explain(c *Change, o Observation, p Plan, now time.Time) {
	v := o.Verdict
	c.Snapshot, c.Policy = o.Snapshot, p.Gate.Hash
	c.Verdict, c.Acts = nil, v.Acts
	for _, r := range v.Reasons {
		c.Verdict = append(c.Verdict, Reason{Code: r.Code, Sentence: r.Sentence, Who: r.Who})
	}
	since := map[string]time.Time{}
	for _, r := range c.Requirements {
		since[r.Key] = r.Since
	}
	c.Requirements = nil
	for _, r := range v.Requirements {
		r.Since = time.Time{}
		switch r.State {
		case gate.Met, gate.NotNeeded, gate.Waived:
		default:
			if r.Since = since[r.Key]; r.Since.IsZero() {
				r.Since = now
			}
		}
		c.Requirements = append(c.Requirements, r)
	}
	if o.Replay != nil {
		c.Replay = o.Replay
	}
}

// intend is the merge that the verdict allows. The time at which a head was
// first found good stays; what it rests on is what was judged last, for that
// is what the merge is made on.
func intend(c *Change, o Observation, p Plan, now time.Time) *MergeIntent {
	i := MergeIntent{Head: o.Verdict.Head, Base: o.Pull.Base, BaseHead: o.Pull.BaseHead, At: now, Commits: 1, Method: p.Merge.Method,
		Snapshot: o.Snapshot, Policy: p.Gate.Hash, Approvals: o.Verdict.Approvals, TellLater: o.StatusNeeded == ref.No}
	if c.Intent != nil && c.Intent.Head == i.Head {
		i.At = c.Intent.At
	}
	if p.Merge.Method == "rebase" {
		i.Commits = o.Commits
	}
	if o.Verdict.Waived && c.Emergency != nil {
		waiver := *c.Emergency
		i.Emergency = &waiver
	}
	return &i
}

// shown says whether the head carries the status already. A forge may shorten
// a text, so the same state is enough once this very status was posted.
func shown(c *Change, o Observation, want Posted) bool {
	if o.Posted == want {
		return true
	}
	return c.Posted == want && o.Posted.Head == want.Head && o.Posted.State == want.State
}

// identify takes over what the pull request is. What was asked or waived for
// one head and base was for no other one (M7).
func identify(c *Change, p gate.PullRequest) {
	if c.Head != p.Head || c.Base != p.Base {
		c.Requirements, c.Acts, c.Replay = nil, nil, nil
		if c.Asked != nil && (c.Asked.Head != p.Head || c.Base != p.Base) {
			c.Asked = nil
		}
		if c.Emergency != nil && (c.Emergency.Head != p.Head || c.Base != p.Base) {
			c.Emergency = nil
		}
	}
	c.Title, c.Author, c.Base, c.Opened, c.Labels = p.Title, p.Author, p.Base, p.Opened.UTC(), p.Labels
	if c.Head != p.Head {
		c.Head = p.Head
		*c.Gate(Reviewed) = Gate{Name: Reviewed, State: Waiting, Owner: ownerOf(Reviewed)}
		*c.Gate(Merged) = Gate{Name: Merged, State: Waiting, Owner: ownerOf(Merged)}
	}
}

func reviewOwner(v gate.Verdict) string {
	if len(v.Reasons) == 0 || len(v.Reasons[0].Who) == 0 {
		return ownerOf(Reviewed)
	}
	return strings.Join(v.Reasons[0].Who, ", ")
}

func checks(results []gate.CheckResult) []Check {
	var out []Check
	for _, r := range results {
		out = append(out, Check{Context: r.Context, State: r.State, URL: r.URL})
	}
	return out
}

// verified holds everything after a judged merge back until what landed was
// found to be what was judged, and its receipt is there (M6). What an earlier
// version of Slipway released without that is not held back now.
func verified(c *Change, o Observation, p Plan, now time.Time) (Action, bool) {
	if c.Unjudged {
		return nil, true
	}
	g, e := c.Gate(Merged), c.merge()
	if c.Intent != nil {
		e.Snapshot = c.Intent.Snapshot
	}
	if c.Receipt != nil || c.Intent == nil || (o.Release != nil && !o.Release.Offered.IsZero()) {
		g.pass(c.MergedAt, e)
		return nil, true
	}
	if c.Landed != nil && c.Landed.Equal == ref.No {
		g.fail(now, e, "what landed is not what was judged: %s", c.Landed.Why)
		superseded(c, o, now)
		return nil, false
	}
	reason := "what landed is being compared with what was judged"
	if c.Landed != nil && c.Landed.Why != "" {
		reason = "whether what landed is what was judged cannot be told: " + c.Landed.Why
	}
	g.wait(e, reason)
	method := c.Intent.Method
	if method == "" { // an intent of an earlier version
		method = p.Merge.Method
	}
	return VerifyLanding{Merge: c.MergeSHA, Head: c.Intent.Head, Method: method, Commits: max(1, c.Intent.Commits), After: c.Intent.BaseHead}, false
}
