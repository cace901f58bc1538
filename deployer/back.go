package deployer

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// fail ends a rollout that proved bad. It goes back once, to the last healthy
// deployment, and what was bad is barred (D3); a way back that is bad itself
// ends there, for a person to look at.
func fail(t Target, o Observation, reason string, now time.Time) (Target, Action) {
	c := t.Current
	if c.Back {
		return stop(t, o, reason+"; Slipway goes back once", now), nil
	}
	t.bar(c.Release, Itself, reason, now)
	way, found := t.lastGood(o)
	if !found {
		return stop(t, o, reason+"; there is no healthy release to go back to", now), nil
	}
	way.By, way.At = Itself, now
	t.leave(reason, now)
	return start(t, o, way)
}

// answer turns a person's request into the way back they asked for, or denies
// it with a reason. What they leave is barred and the target held, so that
// nothing brings it back (D4). No way back means there is nothing to pin.
func answer(t Target, o Observation, now time.Time) (Target, *Deployment) {
	r, c := *t.Request, t.Current
	t.Request, t.Denied = nil, ""
	if c != nil && (o.Image != t.expected() && t.holding(o) == holdsForeign) {
		t.Denied = denial(r, fmt.Sprintf("%s set the image to %s, and Slipway forces nothing", whoever(o.Owner), o.Image))
		return t, nil
	}
	if c != nil && t.rolling() && c.Back && (r.Version == "" || r.Version == c.Release.Version) {
		c.By = r.By // they want what is under way
		t.Hold = &Hold{By: r.By, Reason: r.sentence(), At: now}
		return t, nil
	}
	way, err := t.wayTo(r.Version)
	if err != nil {
		t.Denied = denial(r, err.Error())
		return t, nil
	}
	way.By, way.At = r.By, now
	if c.Release.Version != way.Release.Version {
		t.bar(c.Release, r.By, r.sentence(), now)
	}
	t.Hold = &Hold{By: r.By, Reason: r.sentence(), At: now}
	t.leave(r.sentence(), now)
	return t, &way
}

// wayTo finds the deployment that a person wants back: of a version that was
// healthy here, or with "" the last one before the current release.
func (t Target) wayTo(version string) (Deployment, error) {
	c := t.Current
	if c == nil {
		return Deployment{}, errors.New("nothing was deployed here yet")
	}
	if version == "" {
		for _, d := range t.history() {
			older := c.Release.Version == "" || d.Release.Position < c.Release.Position
			if older && d.Image != c.Image && t.usable(d) {
				return t.wayOf(d), nil
			}
		}
		if before, ok := t.before(nil); ok {
			return before, nil
		}
		return Deployment{}, fmt.Errorf("no release before %s was healthy here", c.name())
	}
	if c.Release.Version == version && c.Phase != PhaseFailed {
		return Deployment{}, fmt.Errorf("%s is the current release", version)
	}
	for _, d := range t.history() {
		if d.Release.Version == version && t.usable(d) {
			return t.wayOf(d), nil
		}
	}
	if slices.ContainsFunc(t.Barred, func(b Bar) bool { return b.Lifted == "" && b.Version == version }) {
		return Deployment{}, fmt.Errorf("%s is barred: slipway deploy resume %s --allow %s", version, t.ID, version)
	}
	return Deployment{}, fmt.Errorf("%s was never healthy here", version)
}

// lastGood finds where a bad rollout, barred already, goes back to.
func (t Target) lastGood(o Observation) (Deployment, bool) {
	for _, d := range t.history() {
		if t.usable(d) {
			return t.wayOf(d), true
		}
	}
	if t.Healthy != nil && t.Healthy.Release.Version != "" {
		return Deployment{}, false // the image from before is too long ago
	}
	known := make([]Release, 0, len(o.Releases))
	for _, c := range o.Releases {
		known = append(known, c.Release)
	}
	return t.before(known)
}

// history lists the last healthy deployment and then the past, newest first.
func (t Target) history() []Deployment {
	if t.Healthy == nil {
		return t.Past
	}
	return append([]Deployment{*t.Healthy}, t.Past...)
}

// usable says whether one may go back to a deployment.
func (t Target) usable(d Deployment) bool {
	return d.Phase.proven() && !t.bars(d.Release) && !t.elsewhere(d.Release.Spec)
}

// wayOf is the way back to a deployment, still to be signed and dated.
func (t Target) wayOf(d Deployment) Deployment {
	return Deployment{Release: d.Release, Image: d.Image, Back: true, Of: t.leaving()}
}

// before is the way back to the image from before the take-over. Nothing but
// how to ask for health is known of it, unless it was a release's.
func (t Target) before(known []Release) (Deployment, bool) {
	image := t.TakenOver.Image
	r := t.releaseOf(image, known)
	if r.Version == "" {
		r = Release{Spec: t.Current.Release.Spec}
	}
	if image == "" || image == t.Current.Image || t.bars(r) {
		return Deployment{}, false
	}
	return Deployment{Release: r, Image: image, Back: true, Of: t.leaving()}, true
}

// leaving is the version that the next way back leaves: that of a way back
// which never proved itself is the one it was to leave.
func (t Target) leaving() string {
	if t.Current.Back && !t.Current.Phase.proven() {
		return t.Current.Of
	}
	return t.Current.Release.Version
}

// leave marks the current release as left, also where it ran before a way
// back led to it.
func (t *Target) leave(reason string, now time.Time) {
	c := t.Current
	for i, d := range t.Past {
		if c.Phase.proven() && c.Back && !d.Back && d.Phase.proven() && d.Image == c.Image {
			t.Past[i].Phase, t.Past[i].Reason = PhaseRolledBack, reason
		}
	}
	c.Phase, c.Ended, c.Reason = PhaseRolledBack, now, reason
}

// bar keeps a release away; a release from before the take-over has no name to
// be barred by.
func (t *Target) bar(r Release, by, reason string, now time.Time) {
	if r.Version == "" || t.bars(r) {
		return
	}
	t.Barred = append(t.Barred, Bar{
		Version: r.Version, Digest: r.Pin.Digest, Merge: r.Merge, Reason: reason, By: by, At: now,
	})
}

func (r Request) sentence() string {
	s := "rolled back by " + r.By
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

func denial(r Request, why string) string {
	to := orElse(r.Version, "the release before")
	return fmt.Sprintf("the rollback to %s asked for by %s was not done: %s", to, r.By, why)
}
