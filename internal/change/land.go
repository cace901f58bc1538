package change

import (
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// landed follows a merged change: version, checks on the merge commit, tag,
// release page, image. Each step waits for the one before, but the version is
// reserved at once, so that versions follow the order of the branch however
// long anyone's checks take (R5).
func landed(c *Change, o Observation, p Plan, now time.Time) Action {
	merged(c, o, p, now)
	if o.Elsewhere {
		c.Outcome = OutcomeClosed
		c.Gate(Merged).pass(c.MergedAt, c.merge())
		c.Gate(PostMergeCI).wait(Evidence{MergeSHA: c.MergeSHA}, "it was merged to "+c.Base+", which is not released here")
		return nil
	}
	faulty := len(p.Faults) > 0 && !c.Releasable
	if !c.Unjudged && !faulty {
		c.Releasable = true // its version is reserved meanwhile, in the branch's order
	}
	if action, ok := verified(c, o, p, now); !ok {
		return action
	}
	if faulty {
		// Defaults in the place of what the file meant could release anything
		// anywhere.
		if !superseded(c, o, now) {
			c.Gate(PostMergeCI).fail(now, Evidence{MergeSHA: c.MergeSHA}, "not released: the policy on the merge commit is faulty: %s", p.Faults[0])
		}
		return nil
	}
	if c.Unjudged && p.Merge.Unjudged != "deploy" {
		if superseded(c, o, now) {
			return nil
		}
		c.Gate(PostMergeCI).wait(Evidence{MergeSHA: c.MergeSHA}, "not released by itself: it was merged without a verdict (merge.unjudged)")
		return nil
	}
	c.Releasable = true
	if o.Release == nil && c.PassedOver != "" {
		if !superseded(c, o, now) {
			c.Gate(Image).wait(Evidence{MergeSHA: c.MergeSHA}, "passed over: "+c.PassedOver)
		}
		return nil
	}
	if o.Release == nil {
		c.Gate(Image).wait(Evidence{MergeSHA: c.MergeSHA}, "waiting for its version")
		return ReserveVersion{Branch: ref.BranchID{Repo: c.ID.Repo, Name: c.Base}}
	}
	c.Version, c.Tag, c.Position = string(o.Release.Tag), o.Release.Tag, o.Release.Position
	// What is deployed already is not built again, and what a newer healthy
	// version contains need not be.
	if o.Release.Offered.IsZero() && superseded(c, o, now) {
		return nil
	}
	if !checked(c, o, p, now) {
		return nil
	}
	if action, ready := imaged(c, o, now); !ready {
		return action
	}
	return deployed(c, o, now)
}

func merged(c *Change, o Observation, p Plan, now time.Time) {
	if c.MergeSHA == "" {
		judged := c.Judged(o.Pull.MergedBy, p.Gate.Bot)
		pull := o.Pull
		if judged {
			pull.Head = c.Intent.Head // what the forge was held to; the branch may have moved since
		}
		identify(c, pull)
		c.MergeSHA, c.MergedBy, c.MergedAt = o.Pull.MergeSHA, o.Pull.MergedBy, o.Pull.MergedAt.UTC()
		if c.MergedAt.IsZero() {
			c.MergedAt = now
		}
		if judged && c.MergedAt.Before(c.Intent.At) {
			c.MergedAt = c.Intent.At // a forge that counts whole seconds
		}
		c.Unjudged = !judged
		c.Verdict, c.Acts, c.Refusal = nil, nil, nil
	}
	c.Gate(Code).pass(c.Opened, Evidence{Head: c.Head})
	c.Gate(Opened).pass(c.Opened, Evidence{Head: c.Head, PullRequest: c.ID})
	if !c.Unjudged {
		return
	}
	c.Gate(Merged).pass(c.MergedAt, c.merge())
	reviewed := c.Gate(Reviewed)
	if p.Merge.Unjudged == "deploy" {
		reviewed.reach(Skipped, c.MergedAt, reviewed.Evidence)
		reviewed.Reason = "merged by " + c.MergedBy + " without a verdict; the policy's merge.unjudged is deploy"
		return
	}
	reviewed.fail(c.MergedAt, reviewed.Evidence, "merged by %s without a verdict", c.MergedBy)
}

// merge is the evidence of the merge.
func (c *Change) merge() Evidence {
	return Evidence{Head: c.Head, MergeSHA: c.MergeSHA, MergedBy: c.MergedBy}
}

// Judged says whether a merge was ours: it was intended on a verdict, and the
// bot made it. The forge held the call to the judged head, so that needs no
// second look, at a head branch that anyone may have pushed to since.
func (c Change) Judged(mergedBy, bot string) bool {
	return c.Intent != nil && bot != "" && strings.EqualFold(mergedBy, bot)
}

// superseded ends a change whose commit a newer healthy version contains.
func superseded(c *Change, o Observation, now time.Time) bool {
	n := o.NewerHealthy
	if n == nil {
		return false
	}
	c.Outcome = OutcomeSupersede
	for _, name := range []GateName{PostMergeCI, Image, Rollout, Health} {
		g := c.Gate(name)
		if g.State != Waiting {
			continue
		}
		e := g.Evidence
		e.SupersededBy, e.Descendant = n.Version, n.Merge
		g.reach(Skipped, now, e)
		g.Reason = n.Version + " contains it and is healthy"
	}
	return true
}

func checked(c *Change, o Observation, p Plan, now time.Time) bool {
	g := c.Gate(PostMergeCI)
	e := Evidence{MergeSHA: c.MergeSHA}
	switch {
	case g.State == Passed:
		return true // what was green at its time stays so; a later re-run is CI's affair
	case len(p.PostMerge) == 0:
		g.fail(now, e, "the policy declares no post-merge check (post_merge.checks)")
		return false
	case o.PostMerge.SHA != c.MergeSHA:
		g.wait(e, "the checks on the merge commit have not been read")
		return false
	}
	results := gate.CheckRequired(p.PostMerge, o.PostMerge)
	e.Checks = checks(results)
	var failing, pending *gate.Reason
	for _, r := range results {
		switch {
		case r.Reason == nil:
		case r.Reason.Outcome == gate.Block && failing == nil:
			failing = r.Reason
		case r.Reason.Outcome != gate.Block && pending == nil:
			pending = r.Reason
		}
	}
	switch {
	case failing != nil:
		g.fail(now, e, "%s", failing.Sentence)
	case pending != nil:
		g.wait(e, pending.Sentence)
	default:
		g.pass(now, e)
		return true
	}
	return false
}

// imaged is ready once the registry holds, under the version's tag, exactly
// the digest that was built.
func imaged(c *Change, o Observation, now time.Time) (Action, bool) {
	g := c.Gate(Image)
	if g.State == Passed && !o.Release.Offered.IsZero() {
		return nil, true
	}
	e := Evidence{MergeSHA: c.MergeSHA, Version: c.Version, Tag: c.Tag, Digest: o.Image.Built, Release: o.Page.URL}
	switch {
	case o.Tag.Exists == ref.Unknown:
		g.wait(e, "about to be tagged")
		return nil, false
	case o.Tag.Exists == ref.No:
		g.wait(e, "being tagged")
		return CreateTag{Tag: c.Tag, Commit: c.MergeSHA}, false
	case o.Tag.Commit != c.MergeSHA:
		// R3: a published tag never moves, so this one is lost to us.
		g.fail(now, e, "tag %s already names commit %s, not %s: remove it if it is not wanted, and retry", c.Tag, o.Tag.Commit.Short(), c.MergeSHA.Short())
		return nil, false
	case o.Page.Exists == ref.No:
		g.wait(e, "the release page is being made")
		return PublishRelease{Tag: c.Tag}, false
	case o.Page.Exists == ref.Unknown:
		g.wait(e, "about to get its release page")
		return nil, false
	case o.Image.Built == "":
		g.wait(e, "being built")
		return BuildImage{Tag: c.Tag, Commit: c.MergeSHA}, false
	case o.Image.Exists == ref.Unknown:
		g.wait(e, "about to be pushed")
		return nil, false
	case o.Image.Exists == ref.No:
		g.wait(e, "being pushed")
		return PushImage{Tag: c.Tag, Commit: c.MergeSHA, Digest: o.Image.Built}, false
	case o.Image.Digest != o.Image.Built:
		g.fail(now, e, "the registry holds %s under %s, which is not the image built here (%s)", o.Image.Digest, c.Tag, o.Image.Built)
		return nil, false
	}
	c.Pin = ref.Pin{Repository: o.Image.Repository, Tag: c.Tag, Digest: o.Image.Built}
	e.Image = c.Pin.String()
	g.pass(now, e)
	return nil, true
}
