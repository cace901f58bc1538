package reconcile

import (
	"context"
	"errors"
	"fmt"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// observeLanded reads what a merged change needs next. The policy is that of
// the merge commit itself.
func (e *Engine) observeLanded(ctx context.Context, repo Repository, c change.Change, p gate.PullRequest) (*seen, error) {
	s := &seen{observation: change.Observation{Pull: p}}
	if p.Merged == ref.Yes && p.MergeSHA == "" {
		return nil, fmt.Errorf("the forge says it is merged and names no commit")
	}
	var err error
	if s.plan, err = e.landedPlan(ctx, repo, c, p); err != nil {
		return nil, err
	}
	o := &s.observation
	target, err := e.Store.Target(ctx, e.targetOf(repo, s.plan))
	if err != nil {
		return nil, err
	}
	o.Target, o.TargetReason = target, target.Reason
	if o.Elsewhere = p.Base != repo.Branch; o.Elsewhere {
		return s, nil
	}
	if o.Release, err = e.release(ctx, repo, c.ID, p.MergeSHA, o); err != nil {
		return nil, err
	}
	if o.NewerHealthy, err = e.newerHealthy(ctx, repo, p.MergeSHA, target); err != nil {
		return nil, err
	}
	if c.Gate(change.PostMergeCI).State != change.Passed {
		o.PostMerge, err = repo.Forge.Checks(ctx, repo.ID, p.MergeSHA)
		return s, err
	}
	if o.Release == nil {
		return s, nil
	}
	if o.Release.Offered.IsZero() {
		return s, e.observeImage(ctx, repo, o)
	}
	return s, e.observeRevert(ctx, repo, c, o)
}

// landedPlan is the policy on the merge commit. Only whether a merge without a
// verdict is released is asked of the commit before it: such a merge must not
// write its own permission (M8).
func (e *Engine) landedPlan(ctx context.Context, repo Repository, c change.Change, p gate.PullRequest) (change.Plan, error) {
	plan, err := e.plan(ctx, repo, p.Base, p.MergeSHA)
	if err != nil || c.Judged(p.MergedBy, repo.Bot) {
		return plan, err
	}
	plan.Merge.Unjudged = "hold"
	commit, err := e.Git.Commit(ctx, repo.ID, p.MergeSHA)
	if err != nil || len(commit.Parents) == 0 {
		return plan, err
	}
	before, err := e.plan(ctx, repo, p.Base, commit.Parents[0])
	if err == nil && len(before.Faults) == 0 {
		plan.Merge.Unjudged = before.Merge.Unjudged
	}
	return plan, err
}

func (e *Engine) targetOf(repo Repository, plan change.Plan) ref.TargetID {
	return ref.TargetID{Repo: repo.ID, Environment: plan.Deploy.Environment}
}

func (e *Engine) release(ctx context.Context, repo Repository, id ref.PullID, merge ref.SHA, o *change.Observation) (*change.Release, error) {
	all, err := e.Store.Releases(ctx, ref.BranchID{Repo: id.Repo, Name: repo.Branch})
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Merge != merge {
			continue
		}
		o.Image.Built, o.Image.Repository = r.Built, repo.Image
		out := &change.Release{Tag: r.Tag, Position: r.Position}
		if r.Ready != nil {
			out.Offered = r.Ready.Pin
		}
		return out, nil
	}
	return nil, nil
}

// newerHealthy is what runs healthy on the target, if that is another release
// whose commit contains this one: ancestry is the evidence of supersession.
func (e *Engine) newerHealthy(ctx context.Context, repo Repository, merge ref.SHA, t deployer.Target) (*deployer.Release, error) {
	if t.Healthy == nil || t.Current == nil || t.Healthy.Release.Merge == "" || t.Healthy.Release.Merge == merge {
		return nil, nil
	}
	healthy := t.Healthy.Release
	contains, err := e.Git.Contains(ctx, repo.ID, healthy.Merge, merge)
	if err != nil {
		// A commit that a rewritten branch has lost is in nothing that is known to
		// be healthy, and must not keep the change from being looked at.
		if e.once(ChangeKey(healthy.Change), "no relation to "+string(merge)) {
			e.Log.Warn("relation unknown", "version", healthy.Version, "commit", merge, "error", err)
		}
		return nil, nil
	}
	if !contains {
		return nil, nil
	}
	return &healthy, nil
}

// observeImage reads tag, page and image, each only when the one before is
// there: nothing later is acted on without it.
func (e *Engine) observeImage(ctx context.Context, repo Repository, o *change.Observation) (err error) {
	tag := o.Release.Tag
	if o.Tag, err = repo.Forge.Tag(ctx, repo.ID, tag); err != nil || o.Tag.Exists != ref.Yes {
		return err
	}
	if o.Page, err = repo.Forge.Page(ctx, repo.ID, tag); err != nil || o.Page.Exists != ref.Yes {
		return err
	}
	if o.Image.Built == "" {
		return nil
	}
	o.Image.Exists, o.Image.Digest, err = e.Images.Resolve(ctx, repo.Image, tag)
	return err
}

func (e *Engine) observeRevert(ctx context.Context, repo Repository, c change.Change, o *change.Observation) (err error) {
	if c.Revert == nil {
		return nil
	}
	if c.Revert.State == change.RevertImpossible {
		o.Revert.Impossible = c.Revert.Reason
		return nil
	}
	o.Revert, err = repo.Forge.FindPull(ctx, repo.ID, c.Revert.Branch, repo.Branch)
	return err
}

// actOnChange does one thing. Its precondition is named in the call.
func (e *Engine) actOnChange(ctx context.Context, claim Claim, repo Repository, c change.Change, s seen, action change.Action) error {
	switch a := action.(type) {
	case change.PostStatus:
		return repo.Forge.PostStatus(ctx, c.ID.Repo, a.Posted)
	case change.Merge:
		return e.merge(ctx, repo, c, s, a)
	case change.VerifyLanding:
		return e.verifyLanding(ctx, claim, repo, c, a)
	case change.ReserveVersion:
		return e.Store.Commit(ctx, Write{Due: []Due{{BranchKey(a.Branch), e.Now()}}})
	case change.CreateTag:
		return repo.Forge.CreateTag(ctx, c.ID.Repo, a.Tag, a.Commit, tagMessage(c))
	case change.PublishRelease:
		return e.publish(ctx, repo, c, a)
	case change.BuildImage:
		return e.build(ctx, repo, c, s, a)
	case change.PushImage:
		return e.push(ctx, repo, c, s, a)
	case change.OfferRelease:
		return e.offer(ctx, repo, c, s, a)
	case change.OpenRevert:
		return e.openRevert(ctx, repo, c, a)
	default:
		return fault.AsPermanent(fmt.Errorf("no way to do %T", action))
	}
}

func (e *Engine) publish(ctx context.Context, repo Repository, c change.Change, a change.PublishRelease) error {
	commits, err := e.commitsOf(ctx, repo, c)
	if err != nil {
		return err
	}
	return repo.Forge.PublishPage(ctx, c.ID.Repo, a.Tag, string(a.Tag), releaseNotes(commits))
}

// commitsOf are the commits that are new in a change's release.
func (e *Engine) commitsOf(ctx context.Context, repo Repository, c change.Change) ([]Commit, error) {
	all, err := e.Store.Releases(ctx, ref.BranchID{Repo: c.ID.Repo, Name: repo.Branch})
	if err != nil {
		return nil, err
	}
	var before ref.SHA
	for _, r := range all {
		if r.Position == c.Position-1 {
			before = r.Merge
		}
	}
	return e.news(ctx, c.ID.Repo, before, c.MergeSHA)
}

// news are the commits that a merge brings since the release before it. The
// first release has none before it, and tells of the merge alone: the history
// from before Slipway was released by others.
func (e *Engine) news(ctx context.Context, repo ref.RepoID, before, merge ref.SHA) ([]Commit, error) {
	if before != "" {
		return e.Git.Between(ctx, repo, before, merge)
	}
	commit, err := e.Git.Commit(ctx, repo, merge)
	return []Commit{commit}, err
}

func (e *Engine) buildOf(repo Repository, c change.Change, p change.Plan) Build {
	return Build{
		Repo: c.ID.Repo, Commit: c.MergeSHA, Tag: c.Tag, Version: c.Version, Change: c.ID,
		Repository: repo.Image, Source: repo.Source, Plan: p.Build,
	}
}

// build makes the image and records its digest, so that a push that was cut
// off can be told from somebody else's image (R1).
func (e *Engine) build(ctx context.Context, repo Repository, c change.Change, s seen, _ change.BuildImage) error {
	digest, err := e.Images.Build(ctx, e.buildOf(repo, c, s.plan))
	if err != nil {
		return err
	}
	return e.built(ctx, repo, c, digest)
}

// push publishes the image. Where what was built is gone and comes out
// differently now (another toolchain), its digest takes the place of the one
// that never was published.
func (e *Engine) push(ctx context.Context, repo Repository, c change.Change, s seen, a change.PushImage) error {
	b := e.buildOf(repo, c, s.plan)
	err := e.Images.Push(ctx, b, a.Digest)
	if fault.KindOf(err) != fault.Changed {
		return err
	}
	digest, buildErr := e.Images.Build(ctx, b)
	if buildErr != nil || digest == a.Digest {
		return errors.Join(err, buildErr)
	}
	e.Log.Warn("built anew", "change", c.ID, "digest", digest, "instead_of", a.Digest)
	return e.built(ctx, repo, c, digest)
}

func (e *Engine) built(ctx context.Context, repo Repository, c change.Change, digest ref.Digest) error {
	r, err := e.reserved(ctx, repo, c)
	if err != nil {
		return err
	}
	r.Built = digest
	return e.Store.Commit(ctx, Write{Release: &r, Journal: entries(e.Now(), "image.built", c.ID.String(), string(digest), string(c.Tag)+" built from "+c.MergeSHA.Short())})
}

func (e *Engine) reserved(ctx context.Context, repo Repository, c change.Change) (Release, error) {
	all, err := e.Store.Releases(ctx, ref.BranchID{Repo: c.ID.Repo, Name: repo.Branch})
	if err != nil {
		return Release{}, err
	}
	for _, r := range all {
		if r.Merge == c.MergeSHA {
			return r, nil
		}
	}
	return Release{}, fault.AsChanged(fmt.Errorf("%s has no version", c.ID))
}

func (e *Engine) offer(ctx context.Context, repo Repository, c change.Change, s seen, a change.OfferRelease) error {
	r, err := e.reserved(ctx, repo, c)
	if err != nil {
		return err
	}
	r.Ready = &deployer.Release{
		Change: c.ID, Version: c.Version, Merge: c.MergeSHA, Pin: a.Pin, Position: c.Position, Spec: s.plan.Deploy,
	}
	t, err := e.Store.Target(ctx, a.Target)
	if err != nil {
		return err
	}
	w := Write{Release: &r, Due: []Due{{TargetKey(a.Target), e.Now()}},
		Journal: entries(e.Now(), "release.offered", c.ID.String(), a.Pin.String(), c.Version+" is ready for "+a.Target.String())}
	if t.Rev == 0 || t.Branch != repo.Branch {
		t.Branch = repo.Branch
		if t.TakenOver == nil && t.Consent == nil {
			t.Spec = s.plan.Deploy // else the place is the one that was consented to
		}
		w.Target = &t
	}
	return e.Store.Commit(ctx, w)
}

func (e *Engine) openRevert(ctx context.Context, repo Repository, c change.Change, a change.OpenRevert) error {
	base := ref.BranchID{Repo: c.ID.Repo, Name: repo.Branch}
	title, body := revertMessage(c, a.Commit)
	err := e.Git.Revert(ctx, base, a.Commit, a.Branch, title+"\n\n"+body)
	if errors.Is(err, ErrNotRevertible) {
		if err := e.cannotRevert(ctx, c.ID, err); err != nil {
			return err
		}
		e.Log.Error("rolled back", "change", c.ID, "version", c.Version, "no_revert", err)
		_, err := repo.Forge.Comment(ctx, c.ID, rolledBack(c)+" Git cannot revert it by itself, so somebody has to: "+codeSpan(err.Error()))
		return err
	}
	if err != nil {
		return err
	}
	id, err := repo.Forge.OpenPull(ctx, c.ID.Repo, a.Branch, repo.Branch, title, body)
	if err != nil {
		return err
	}
	e.Log.Error("rolled back", "change", c.ID, "version", c.Version, "revert", id, "people", c.Author)
	_, err = repo.Forge.Comment(ctx, c.ID, fmt.Sprintf("%s The revert is #%d.", rolledBack(c), id.Number))
	return err
}

// cannotRevert records that git cannot undo the commit by itself: a person has
// to, and the change ends without waiting for it.
func (e *Engine) cannotRevert(ctx context.Context, id ref.PullID, cause error) error {
	c, found, err := e.Store.Change(ctx, id)
	if err != nil || !found || c.Revert == nil {
		return errors.Join(cause, err)
	}
	c.Revert = &change.Revert{Branch: c.Revert.Branch, State: change.RevertImpossible, Reason: cause.Error()}
	w := Write{Change: &c, Journal: entries(e.Now(), "revert.impossible", id.String(), string(c.MergeSHA), cause.Error())}
	if err := e.Store.Commit(ctx, w); err != nil {
		return err
	}
	e.moved(id)
	return nil
}
