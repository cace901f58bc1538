package deployer

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"slipway/internal/ref"
)

// choose picks the release to roll out next, or says why the newest one has to
// wait. Older ones that it passes over are superseded by it.
func choose(t Target, o Observation) (*Release, string) {
	known := make([]Release, 0, len(o.Releases))
	for _, c := range o.Releases {
		known = append(known, c.Release)
	}
	running := t.Running(known)
	newestFirst := slices.Clone(o.Releases)
	slices.SortStableFunc(newestFirst, func(a, b Candidate) int { return cmp.Compare(b.Position, a.Position) })

	first := ""
	for _, c := range newestFirst {
		if !t.ahead(c.Release, running) {
			break
		}
		why, final := t.obstacle(c, running)
		if why == "" {
			return &c.Release, ""
		}
		if first == "" {
			first = c.Version + " waits: " + why
		}
		if !final {
			return nil, first // its facts will come: nothing older goes before it
		}
	}
	return nil, first
}

// ahead says whether a release is newer than the one that runs. Before the
// first pin the running one itself counts too: it is then verified, not moved.
func (t Target) ahead(r, running Release) bool {
	if t.Current == nil {
		return r.Position >= running.Position
	}
	return r.Position > running.Position
}

// obstacle says what keeps a newer release from being pinned. It is final when
// only a person or another commit can change it.
func (t Target) obstacle(c Candidate, running Release) (why string, final bool) {
	switch {
	case c.Pin.IsZero():
		return "its image is not ready", false
	case c.Spec.Environment != t.ID.Environment:
		return fmt.Sprintf("it is for the environment %q", c.Spec.Environment), true
	case t.elsewhere(c.Spec):
		return fmt.Sprintf("it is for the container %s of %s/%s in %s, which was not taken over: slipway deploy takeover %s",
			c.Spec.Container, c.Spec.Namespace, c.Spec.Deployment, c.Spec.Cluster, t.ID), true
	case t.bars(c.Release):
		return "it is barred: " + t.barOf(c.Release).Reason, true
	case t.otherwise(c.Release):
		return "it was another image before, and a version has one", true
	case t.left(c.Release):
		return "it ran here before and was left", true
	}
	if t.barring() {
		switch {
		case c.BarredRead != ref.Yes:
			return "whether it contains a barred commit is not known yet", false
		case c.Barred != "" && t.barsVersion(c.Barred):
			return fmt.Sprintf("it contains the barred commit of %s without its revert", c.Barred), true
		}
	}
	if running.Merge == "" {
		return "", false // nothing runs that it could fall behind
	}
	switch c.Descends {
	case ref.Yes:
		return "", false
	case ref.No:
		return fmt.Sprintf("it does not descend from %s, which runs", running.Version), true
	default:
		return fmt.Sprintf("whether it descends from %s is not known yet", running.Version), false
	}
}

// left says whether the release ran here since the take-over and another took
// its place, and nobody allowed it again afterwards. Only a person brings it
// back (D4): what they went back behind stays behind.
func (t Target) left(r Release) bool {
	return slices.ContainsFunc(t.Past, func(d Deployment) bool {
		ran := !d.Back && !d.Applied.Before(t.TakenOver.At)
		return ran && d.Release.Version == r.Version && !t.allowed(r.Version, d.At)
	})
}

// allowed says whether a person lifted a bar of the version after a time.
func (t Target) allowed(version string, after time.Time) bool {
	return slices.ContainsFunc(t.Barred, func(b Bar) bool {
		return b.Version == version && b.Lifted != "" && b.LiftedAt.After(after)
	})
}

// otherwise says whether the version was pinned here to another image (R1).
func (t Target) otherwise(r Release) bool {
	return slices.ContainsFunc(t.Past, func(d Deployment) bool {
		return d.Release.Version == r.Version && d.Image != r.Pin.String()
	})
}

// bars says whether a bar that nobody lifted names the release.
func (t Target) bars(r Release) bool { return t.barOf(r).Version != "" }

func (t Target) barOf(r Release) Bar {
	for _, b := range t.Barred {
		if b.Lifted == "" && (r.Pin.Digest != "" && b.Digest == r.Pin.Digest || r.Merge != "" && b.Merge == r.Merge) {
			return b
		}
	}
	return Bar{}
}

func (t Target) barring() bool {
	return slices.ContainsFunc(t.Barred, func(b Bar) bool { return b.Lifted == "" })
}

func (t Target) barsVersion(version string) bool {
	return slices.ContainsFunc(t.Barred, func(b Bar) bool { return b.Lifted == "" && b.Version == version })
}
