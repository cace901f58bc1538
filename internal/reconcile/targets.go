package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// lookTarget observes a target, lets the deployer decide, records and acts.
// There is one worker per target, so two releases can never race for it.
func (e *Engine) lookTarget(ctx context.Context, claim Claim, id ref.TargetID) (time.Time, error) {
	repo, ok := e.repos[id.Repo]
	if !ok {
		return time.Time{}, nil
	}
	old, err := e.Store.Target(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	if old.Rev == 0 {
		return time.Time{}, nil // nothing was ever offered to it
	}
	o, ready, err := e.observeTarget(ctx, repo, old)
	if err != nil {
		return time.Time{}, fmt.Errorf("observe %s: %w", id, err)
	}
	spec := specOf(old, ready)
	if old.Consent != nil && o.Read == ref.Yes {
		return e.takeOver(ctx, claim, old, o)
	}
	now := e.Now()
	next, action := deployer.Next(old, o, now)
	next.Spec = spec
	if ask, ok := action.(deployer.Ask); ok {
		s := spec
		s.Health = ask.Health
		o.Pods = e.Clusters[spec.Cluster].Probe(ctx, s, o.Pods)
		now = e.Now()
		next, action = deployer.Next(old, o, now)
		next.Spec = spec
	}
	if err := e.recordTarget(ctx, claim, old, next, action); err != nil {
		return time.Time{}, fmt.Errorf("record %s: %w", id, err)
	}
	pin, ok := action.(deployer.Pin)
	if !ok {
		return e.nextTargetLook(next, action, now), nil
	}
	err = e.Clusters[spec.Cluster].Pin(ctx, spec, pin)
	switch {
	case err == nil:
		return now, nil
	case fault.KindOf(err) != fault.Permanent:
		return time.Time{}, fmt.Errorf("pin %s to %s: %w", id, pin.Deployment.Image, err)
	}
	return e.targetRefused(ctx, claim, id, o, err)
}

// observeTarget reads the cluster and relates the releases that are ready to
// what runs and to what is barred.
func (e *Engine) observeTarget(ctx context.Context, repo Repository, t deployer.Target) (deployer.Observation, []deployer.Release, error) {
	releases, err := e.Store.Releases(ctx, ref.BranchID{Repo: repo.ID, Name: t.Branch})
	if err != nil {
		return deployer.Observation{}, nil, err
	}
	var ready []deployer.Release
	for _, r := range releases {
		if r.Ready != nil && r.Ready.Spec.Environment == t.ID.Environment {
			ready = append(ready, *r.Ready)
		}
	}
	spec := specOf(t, ready)
	o := e.observeCluster(ctx, repo, t, spec)
	running := t.Running(ready)
	for _, r := range ready {
		if r.Position < running.Position {
			o.Releases = append(o.Releases, deployer.Candidate{Release: r}) // behind what runs: never chosen, so not asked about
			continue
		}
		c, err := e.candidate(ctx, repo, t, r, running)
		if err != nil {
			return o, nil, err
		}
		o.Releases = append(o.Releases, c)
	}
	return o, ready, nil
}

func (e *Engine) observeCluster(ctx context.Context, repo Repository, t deployer.Target, spec deployer.Spec) deployer.Observation {
	cluster, ok := e.Clusters[spec.Cluster]
	switch {
	case !ok:
		return deployer.Observation{Detail: fmt.Sprintf("the server's configuration has no cluster %q", spec.Cluster)}
	case !slices.Contains(repo.Namespaces[spec.Cluster], spec.Namespace):
		return deployer.Observation{Detail: fmt.Sprintf("the server's configuration does not let %s deploy to namespace %q of cluster %q", repo.ID, spec.Namespace, spec.Cluster)}
	}
	o, err := cluster.Observe(ctx, spec)
	if err != nil {
		e.Log.Warn("observe", "target", t.ID, "error", err)
		return deployer.Observation{Detail: err.Error(), Simulated: o.Simulated}
	}
	return o
}

// candidate relates a release to what runs and to what is barred.
func (e *Engine) candidate(ctx context.Context, repo Repository, t deployer.Target, r, running deployer.Release) (deployer.Candidate, error) {
	c := deployer.Candidate{Release: r, BarredRead: ref.Yes}
	if running.Merge != "" {
		contains, err := e.Git.Contains(ctx, repo.ID, r.Merge, running.Merge)
		if err != nil {
			return c, fmt.Errorf("whether %s contains %s: %w", r.Version, running.Version, err)
		}
		c.Descends = ref.Known(contains)
	}
	for _, bar := range t.Barred {
		if bar.Lifted != "" || bar.Merge == "" {
			continue
		}
		brings, err := e.brings(ctx, repo, r.Merge, bar.Merge)
		if err != nil {
			return c, fmt.Errorf("whether %s brings %s back: %w", r.Version, bar.Version, err)
		}
		if brings {
			c.Barred = bar.Version
		}
	}
	return c, nil
}

// brings says whether a commit contains a barred one without its revert (D3).
func (e *Engine) brings(ctx context.Context, repo Repository, merge, barred ref.SHA) (bool, error) {
	contains, err := e.Git.Contains(ctx, repo.ID, merge, barred)
	if err != nil || !contains {
		return false, err
	}
	undone, err := e.Git.Undone(ctx, repo.ID, barred, merge)
	return err == nil && !undone, err
}

// specOf is how the target is reached now: as its newest release says.
func specOf(t deployer.Target, ready []deployer.Release) deployer.Spec {
	if t.Consent != nil {
		return t.Consent.Spec
	}
	spec, newest := t.Spec, int64(0)
	for _, r := range ready {
		if r.Position > newest {
			spec, newest = r.Spec, r.Position
		}
	}
	return spec
}

// recordTarget stores the new state, tells of what is new, and wakes the
// changes it concerns.
func (e *Engine) recordTarget(ctx context.Context, claim Claim, old, next deployer.Target, action deployer.Action) error {
	changed, err := differ(old, next)
	if err != nil || !changed {
		return err
	}
	now := e.Now()
	w := Write{Fence: &claim, Target: &next, Journal: targetEntries(old, next, action, now)}
	changes, err := e.Store.Changes(ctx, Filter{Repo: next.ID.Repo, Base: next.Branch, Unfinished: true})
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.MergeSHA != "" {
			w.Due = append(w.Due, Due{ChangeKey(c.ID), now})
		}
	}
	for _, d := range next.Past { // a change that had ended healthy may be taken back
		if d.Phase == deployer.PhaseRolledBack && !d.Release.Change.IsZero() {
			w.Due = append(w.Due, Due{ChangeKey(d.Release.Change), now})
		}
	}
	if err := e.Store.Commit(ctx, w); err != nil {
		return err
	}
	for _, j := range w.Journal {
		e.Log.Info(j.Action, "target", next.ID, "identity", j.Identity, "reason", j.Reason)
	}
	return nil
}

// targetRefused hands a permanent refusal back to the deployer, which decides
// what it means for the deployment.
func (e *Engine) targetRefused(ctx context.Context, claim Claim, id ref.TargetID, o deployer.Observation, cause error) (time.Time, error) {
	t, err := e.Store.Target(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	o.Refused = cause.Error()
	next, _ := deployer.Next(t, o, e.Now())
	if err := e.recordTarget(ctx, claim, t, next, nil); err != nil {
		return time.Time{}, err
	}
	e.Log.Error("pin refused", "target", id, "error", cause)
	return e.Now().Add(e.Active), nil
}

// takeOver makes Slipway the owner of the image field that a person consented
// to, if it still is as they saw it (D6).
func (e *Engine) takeOver(ctx context.Context, claim Claim, t deployer.Target, o deployer.Observation) (time.Time, error) {
	consent := *t.Consent
	entry := journal.Entry{At: e.Now(), Actor: consent.By, Action: "deploy.takeover", Subject: t.ID.String(), Identity: consent.Image, Reason: "the image field was owned by " + consent.Owner}
	if !consented(consent, o) {
		next := t.WithoutConsent()
		entry.Action, entry.Identity = "refused.deploy.takeover", o.Image
		entry.Reason = fmt.Sprintf("the consent is to the image %q owned by %q; now it is %q owned by %q", consent.Image, consent.Owner, o.Image, o.Owner)
		return e.Now(), e.Store.Commit(ctx, Write{Fence: &claim, Target: &next, Journal: []journal.Entry{entry}})
	}
	if _, _, err := e.Clusters[consent.Spec.Cluster].TakeOver(ctx, consent.Spec); err != nil {
		return time.Time{}, fmt.Errorf("take over %s: %w", t.ID, err)
	}
	next, err := t.WithTakeOver(consent.Image, consent.Owner, e.Now())
	if err != nil {
		return time.Time{}, fault.AsPermanent(err)
	}
	return e.Now(), e.Store.Commit(ctx, Write{Fence: &claim, Target: &next, Journal: []journal.Entry{entry}})
}

// consented says whether the field still is what a person agreed to take over.
// A take-over that was cut off has left Slipway among the owners, or alone.
func consented(to deployer.TakeOver, o deployer.Observation) bool {
	if o.Image != to.Image {
		return false
	}
	known := append(strings.Split(to.Owner, ", "), self, "")
	return !slices.ContainsFunc(strings.Split(o.Owner, ", "), func(owner string) bool { return !slices.Contains(known, owner) })
}

// nextTargetLook is soon while something rolls, though a watch will mostly be
// earlier.
func (e *Engine) nextTargetLook(t deployer.Target, action deployer.Action, now time.Time) time.Time {
	switch {
	case action != nil:
		return now.Add(250 * time.Millisecond) // asked, and not answered as it should be yet
	case t.Current != nil && t.Current.Phase == deployer.PhaseRolling:
		return now.Add(time.Second)
	default:
		return now.Add(e.Active)
	}
}

// targetEntries tell what is new between two states of a target.
func targetEntries(old, next deployer.Target, action deployer.Action, now time.Time) []journal.Entry {
	var out []journal.Entry
	add := func(actor, verb, identity, reason string) {
		out = append(out, journal.Entry{At: now, Actor: actor, Action: verb, Subject: next.ID.String(), Identity: identity, Reason: reason})
	}
	if d := next.Current; d != nil && (old.Current == nil || !old.Current.At.Equal(d.At) || old.Current.Phase != d.Phase) {
		verb := "deploy." + string(d.Phase)
		if d.Back && d.Phase == deployer.PhaseRolling {
			verb = "deploy.rollback"
		}
		add(d.By, verb, d.Image, d.Reason)
	}
	for _, b := range next.Barred[min(len(old.Barred), len(next.Barred)):] {
		add(b.By, "deploy.bar", string(b.Digest), b.Version+": "+b.Reason)
	}
	if next.Hold != nil && old.Hold == nil {
		add(next.Hold.By, "deploy.hold", "", next.Hold.Reason)
	}
	if old.Hold != nil && next.Hold == nil {
		add(self, "deploy.resume", "", "")
	}
	if _, ok := action.(deployer.Pin); ok && len(out) == 0 {
		add(self, "deploy.pin", next.Current.Image, "")
	}
	if next.Reason != old.Reason && next.Reason != "" {
		add(self, "deploy.waiting", "", next.Reason)
	}
	return out
}
