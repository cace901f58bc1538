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
	ready, err := e.ready(ctx, old)
	if err != nil {
		return time.Time{}, err
	}
	d := e.decide(ctx, repo, old, ready)
	if old.Consent != nil && d.observed.Read == ref.Yes {
		return e.takeOver(ctx, claim, old, d.observed)
	}
	changed, err := e.recordTarget(ctx, claim, old, d.next, d.action)
	if err != nil {
		return time.Time{}, fmt.Errorf("record %s: %w", id, err)
	}
	if d.unread != nil {
		return time.Time{}, fmt.Errorf("observe %s: %w", id, d.unread)
	}
	pin, ok := d.action.(deployer.Pin)
	if !ok {
		return e.nextTargetLook(d, changed), nil
	}
	err = e.Clusters[old.Spec.Cluster].Pin(ctx, d.next.Spec, pin)
	switch {
	case err == nil:
		return d.at, nil
	case fault.KindOf(err) != fault.Permanent:
		return time.Time{}, fmt.Errorf("pin %s to %s: %w", id, pin.Deployment.Image, err)
	}
	return e.targetRefused(ctx, claim, id, d.observed, err)
}

// decision is what follows for a target from one look.
type decision struct {
	observed deployer.Observation
	at       time.Time
	next     deployer.Target
	action   deployer.Action
	// unread says why the cluster could not be read; what was decided stands all
	// the same.
	unread error
}

// decide looks and lets the deployer decide, in as many steps as it asks for.
// Where it looks, and later writes, is where a person agreed to: no release
// leads anywhere else (D6).
func (e *Engine) decide(ctx context.Context, repo Repository, old deployer.Target, ready []deployer.Release) (d decision) {
	decide := func() {
		d.at = e.Now()
		d.next, d.action = deployer.Next(old, d.observed, d.at)
	}
	place := old.Spec
	switch {
	case old.Consent != nil:
		place = old.Consent.Spec
	case old.TakenOver == nil: // nothing there concerns Slipway yet
		decide()
		d.next.Spec = declaredBy(old, ready)
		return d
	}
	if d.observed, d.unread = e.observeCluster(ctx, repo, place); d.unread != nil {
		d.observed = unanswered(d.observed, d.unread)
	}
	d.observed.Releases = unrelated(ready)
	decide()
	if ask, ok := d.action.(deployer.Ask); ok {
		place.Health = ask.Health
		d.observed.Pods = e.Clusters[place.Cluster].Probe(ctx, place, d.observed.Pods)
		decide()
	}
	if atRest(d.next) && d.observed.Read == ref.Yes && old.Consent == nil {
		// Only the choice of the next release asks how they are related; a rollout
		// and a way back must not wait for git.
		d.observed.Releases = e.related(ctx, repo, old, ready)
		decide()
	}
	return d
}

// declaredBy is where and how the newest release wants to be deployed.
func declaredBy(t deployer.Target, ready []deployer.Release) deployer.Spec {
	spec, newest := t.Spec, int64(0)
	for _, r := range ready {
		if r.Position > newest {
			spec, newest = r.Spec, r.Position
		}
	}
	return spec
}

func atRest(t deployer.Target) bool {
	return t.Current == nil || t.Current.Phase != deployer.PhaseRolling
}

// recordTarget stores the new state, tells of what is new, and wakes the
// changes it concerns. It says whether the state changed.
func (e *Engine) recordTarget(ctx context.Context, claim Claim, old, next deployer.Target, action deployer.Action) (bool, error) {
	changed, err := differ(old, next)
	if err != nil || !changed {
		return false, err
	}
	now := e.Now()
	w := Write{Fence: &claim, Target: &next, Journal: targetEntries(old, next, action, now)}
	changes, err := e.Store.Changes(ctx, Filter{Repo: next.ID.Repo, Base: next.Branch, Unfinished: true})
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		if c.MergeSHA != "" {
			w.Due = append(w.Due, Due{ChangeKey(c.ID), now})
		}
	}
	for _, d := range leftNow(old, next) { // a change that had ended healthy may be taken back
		if !d.Release.Change.IsZero() {
			w.Due = append(w.Due, Due{ChangeKey(d.Release.Change), now})
		}
	}
	if err := e.Store.Commit(ctx, w); err != nil {
		return false, err
	}
	for _, j := range w.Journal {
		e.Log.Info(j.Action, "target", next.ID, "identity", j.Identity, "reason", j.Reason)
	}
	return true, nil
}

// leftNow are the past deployments that were not rolled back in the old state,
// and those whose way back has come further since.
func leftNow(old, next deployer.Target) []deployer.Deployment {
	known := old.Past
	if old.Current != nil {
		known = append([]deployer.Deployment{*old.Current}, known...)
	}
	back := func(d deployer.Deployment) bool {
		c := next.Current
		return c != nil && c.Back && c.Of == d.Release.Version && (old.Current == nil || old.Current.Phase != c.Phase)
	}
	var out []deployer.Deployment
	for _, d := range next.Past {
		before := slices.IndexFunc(known, func(k deployer.Deployment) bool { return k.At.Equal(d.At) && k.Image == d.Image })
		if d.Phase == deployer.PhaseRolledBack && (back(d) || before < 0 || known[before].Phase != deployer.PhaseRolledBack) {
			out = append(out, d)
		}
	}
	return out
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
	if _, err := e.recordTarget(ctx, claim, t, next, nil); err != nil {
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
func (e *Engine) nextTargetLook(d decision, changed bool) time.Time {
	switch rest := atRest(d.next); {
	case rest && changed:
		return d.at // what ended was recorded first; now the next may begin
	case !rest && d.observed.Read != ref.Unknown:
		return d.at.Add(time.Second)
	default:
		return d.at.Add(e.Active)
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
