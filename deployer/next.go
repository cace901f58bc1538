package deployer

import (
	"fmt"
	"slices"
	"time"

	"slipway/internal/ref"
)

// Itself is how Slipway signs what it decides without a person.
const Itself = "slipway"

// kept is how many past deployments a target remembers.
const kept = 50

// patience is the deadline of a rollout whose policy names none.
const patience = 10 * time.Minute

// Next is the target's next state and at most one action. The caller records
// the state, performs the action once, and observes again. Nothing is taken
// for done because it was recorded: whether a pin was applied is read from
// Observation.Image, so that being killed at any point loses and doubles
// nothing. On the same facts it comes to rest: a state it returns twice, it
// returns for ever.
func Next(t Target, o Observation, now time.Time) (Target, Action) {
	t = t.clone()
	t.Reason = ""
	if t.TakenOver == nil || t.Consent != nil {
		t.Reason = t.untaken()
		return t, nil
	}
	if t.Request != nil {
		if o.Read != ref.Yes {
			t.Reason = fmt.Sprintf("the rollback asked for by %s waits: %s", t.Request.By, unreadable(t, o))
			return t, nil
		}
		var way *Deployment
		if t, way = answer(t, o, now); way != nil {
			return start(t, o, *way)
		}
	}
	if t.rolling() {
		return roll(t, o, now)
	}
	return rest(t, o, now)
}

// Running is the release that the target runs as far as Slipway knows, and
// zero when it knows none: nothing of Slipway's was pinned yet, or a way back
// led to the image from before the take-over. known are releases it may be
// found among besides those the target remembers.
func (t Target) Running(known []Release) Release {
	return t.releaseOf(t.expected(), known)
}

// rest is a target between two rollouts.
func rest(t Target, o Observation, now time.Time) (Target, Action) {
	if o.Read != ref.Yes {
		t.Reason = unreadable(t, o)
		return t, nil
	}
	c := t.Current
	if c != nil && c.Applied.IsZero() && o.Image == c.Image {
		c.Applied = now // the pin came through after all
	}
	t.Drift = ""
	if o.Image != t.expected() {
		if c != nil && c.Phase.proven() && o.Owned == ref.Yes && t.holding(o) != holdsForeign {
			return again(t, o, now) // the field is Slipway's own, so this forces nobody
		}
		t.Drift = fmt.Sprintf("%s set the image to %s where %s was left", whoever(o.Owner), o.Image, t.expected())
	}
	if t.Hold != nil {
		t.Reason = t.held()
		return t, nil
	}
	chosen, why := choose(t, o)
	t.Reason = why
	switch {
	case t.Drift != "":
		t.Reason = t.Drift + "; release it there, or take the target over again: slipway deploy takeover " + t.ID.String()
		return t, nil
	case chosen != nil:
		return start(t, o, Deployment{
			Release: *chosen, Image: chosen.Pin.String(), By: Itself, At: now,
		})
	case c != nil && c.Phase == PhaseFailed && t.retriable(*c):
		return again(t, o, now) // a person resumed: what failed gets another try
	case c != nil && c.Phase == PhaseFailed && why == "":
		t.Reason = fmt.Sprintf("%s failed and no newer release is ready: %s", c.name(), c.Reason)
	}
	return t, nil
}

// roll is a target in the middle of a rollout.
func roll(t Target, o Observation, now time.Time) (Target, Action) {
	c := t.Current
	late := !now.Before(c.Deadline)
	if o.Read != ref.Yes {
		if o.Read == ref.No && late {
			return stop(t, o, unreadable(t, o), now), nil
		}
		// A cluster that does not answer proves nothing, neither good nor bad.
		return waiting(t, unreadable(t, o)), nil
	}
	t.Drift = ""
	held := t.holding(o)
	if held == holdsForeign {
		return stop(t, o, fmt.Sprintf("%s set the image to %s while %s was rolling out", whoever(o.Owner), o.Image, c.name()), now), nil
	}
	if held != holdsImage {
		return apply(t, o, now)
	}
	if c.Applied.IsZero() {
		c.Applied, c.Deadline = now, now.Add(c.limit())
		late = false
	}

	found := judge(*c, o)
	c.Pods = found.pods
	switch {
	case !found.rolled:
		c.Rolled = time.Time{}
	case c.Rolled.IsZero():
		c.Rolled = now
	}
	switch {
	case found.state == good:
		return settle(t, o, now), nil
	case found.state == bad:
		return fail(t, o, found.reason, now)
	case found.state == unasked:
		// Whatever the clock says: a slow look must not cost a good rollout its
		// chance to answer.
		return waiting(t, found.reason), Ask{Health: c.Release.Spec.Health}
	case late && found.state == empty:
		// Going back would prove as little, so somebody has to look.
		return stop(t, o, found.reason, now), nil
	case late:
		return fail(t, o, fmt.Sprintf("not healthy within %s: %s", c.limit(), found.reason), now)
	}
	return waiting(t, found.reason), nil
}

// apply asks for the pin that was recorded and is not in the field.
func apply(t Target, o Observation, now time.Time) (Target, Action) {
	c := t.Current
	if o.Refused != "" {
		return stop(t, o, "the pin was refused: "+o.Refused, now), nil
	}
	if t.Hold != nil && !c.Back && c.Applied.IsZero() {
		return waiting(t, t.held()), nil
	}
	c.From = o.Image
	c.Reason = ""
	return t, Pin{Deployment: *c, UID: o.UID, ResourceVersion: o.ResourceVersion}
}

// start makes d the current deployment and asks for its pin, unless the field
// holds it already.
func start(t Target, o Observation, d Deployment) (Target, Action) {
	d.From, d.Phase = o.Image, PhaseRolling
	d.Deadline = d.At.Add(d.limit())
	t.remember()
	t.Current = &d
	t.Spec.Health, t.Spec.Deadline = d.Release.Spec.Health, d.Release.Spec.Deadline
	t.Reason = ""
	o.Refused = "" // it was said of the pin before
	return roll(t, o, d.At)
}

// again rolls out the current deployment once more.
func again(t Target, o Observation, now time.Time) (Target, Action) {
	c := t.Current
	c.Phase, c.Reason, c.Ended, c.Rolled = PhaseRolling, "", time.Time{}, time.Time{}
	c.From, c.Deadline = o.Image, now.Add(c.limit())
	t.Reason = ""
	o.Refused = ""
	return roll(t, o, now)
}

// settle ends a rollout that proved good.
func settle(t Target, o Observation, now time.Time) Target {
	c := t.Current
	c.Phase, c.Ended, c.Reason = PhaseHealthy, now, ""
	if o.Simulated {
		c.Phase = PhaseSimulated
	}
	for i := range t.Past {
		if t.Past[i].Phase == PhaseHealthy {
			t.Past[i].Phase = PhaseReplaced
		}
	}
	healthy := *c
	t.Healthy = &healthy
	return tell(t, o, now)
}

// stop ends a rollout that can neither succeed nor go back, and holds the
// target until a person has looked.
func stop(t Target, o Observation, reason string, now time.Time) Target {
	c := t.Current
	c.Phase, c.Ended, c.Reason = PhaseFailed, now, reason
	if t.Hold == nil {
		t.Hold = &Hold{By: Itself, Reason: c.name() + " failed: " + reason, At: now}
	}
	return tell(t, o, now)
}

// tell brings what people are told of a target between two rollouts up to
// date, and begins nothing: what ended is recorded first.
func tell(t Target, o Observation, now time.Time) Target {
	if told, _ := rest(t.clone(), o, now); !told.rolling() {
		return told
	}
	return t
}

// waiting tells people what a rollout waits for.
func waiting(t Target, reason string) Target {
	t.Current.Reason, t.Reason = reason, t.Current.name()+" is rolling out: "+reason
	return t
}

// remember moves the current deployment to the past.
func (t *Target) remember() {
	if t.Current == nil {
		return
	}
	t.Past = slices.Insert(t.Past, 0, *t.Current)
	t.Past = t.Past[:min(len(t.Past), kept)]
	t.Current = nil
}

func (t Target) rolling() bool { return t.Current != nil && t.Current.Phase == PhaseRolling }

// retriable says whether a failed deployment may be tried again once nothing
// holds the target: a release that never reached the field has to be chosen
// anew instead, by all the rules.
func (t Target) retriable(d Deployment) bool {
	return !t.bars(d.Release) && (d.Back || !d.Applied.IsZero())
}

func (t Target) untaken() string {
	if t.Consent != nil {
		return fmt.Sprintf("the take-over that %s agreed to is still to be done", t.Consent.By)
	}
	return "not taken over: slipway deploy takeover " + t.ID.String()
}

func (t Target) held() string { return fmt.Sprintf("held by %s: %s", t.Hold.By, t.Hold.Reason) }

func (t Target) clone() Target {
	t.Past, t.Barred = slices.Clone(t.Past), slices.Clone(t.Barred)
	if t.Current != nil {
		c := *t.Current
		t.Current = &c
	}
	return t
}

func (d Deployment) limit() time.Duration {
	if d.Release.Spec.Deadline > 0 {
		return d.Release.Spec.Deadline
	}
	return patience
}

// name is what people call it.
func (d Deployment) name() string {
	if d.Release.Version == "" {
		return "the image from before the take-over"
	}
	if d.Back {
		return "the way back to " + d.Release.Version
	}
	return d.Release.Version
}

func unreadable(t Target, o Observation) string {
	s := "the cluster did not answer"
	if o.Read == ref.No {
		s = fmt.Sprintf("the Deployment %s/%s does not exist", t.Spec.Namespace, t.Spec.Deployment)
	}
	if o.Detail != "" {
		s += ": " + o.Detail
	}
	return s
}

func whoever(owner string) string {
	if owner == "" {
		return "somebody"
	}
	return owner
}
