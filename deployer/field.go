package deployer

import (
	"slices"

	"slipway/internal/ref"
)

// holding is what the image field says of the current deployment.
type holding uint8

const (
	// holdsForeign: somebody else put their image there.
	holdsForeign holding = iota
	// holdsImage: the pin was applied.
	holdsImage
	// holdsBefore: the pin was not applied yet.
	holdsBefore
	// holdsLate: an earlier pin of Slipway's own came through after it was
	// given up.
	holdsLate
)

func (t Target) holding(o Observation) holding {
	c := t.Current
	switch {
	case o.Image == c.Image:
		return holdsImage
	case o.Image == c.From && (c.Applied.IsZero() || o.Owned != ref.No):
		return holdsBefore
	case o.Owned == ref.Yes && t.pinned(o.Image):
		return holdsLate
	default:
		return holdsForeign
	}
}

// expected is the image that Slipway left in the field.
func (t Target) expected() string {
	switch {
	case t.Current != nil && t.Current.Applied.IsZero():
		return t.Current.From
	case t.Current != nil:
		return t.Current.Image
	case t.TakenOver != nil:
		return t.TakenOver.Image
	default:
		return ""
	}
}

// pinned says whether Slipway ever wanted the image here.
func (t Target) pinned(image string) bool {
	return slices.ContainsFunc(t.Past, func(d Deployment) bool { return d.Image == image })
}

// releaseOf finds the release of an image; zero when it is of none.
func (t Target) releaseOf(image string, known []Release) Release {
	if image == "" {
		return Release{}
	}
	mine := slices.Clone(t.Past)
	for _, d := range []*Deployment{t.Current, t.Healthy} {
		if d != nil {
			mine = append(mine, *d)
		}
	}
	for _, d := range mine {
		if d.Image == image && d.Release.Version != "" {
			return d.Release
		}
	}
	for _, r := range known {
		if r.Pin.String() == image {
			return r
		}
	}
	return Release{}
}

// Owns says whether Slipway alone owns the image field of that container, by
// consent, and finds there what it left: a take-over would change nothing.
func (t Target) Owns(s Spec, o Observation) bool {
	return t.TakenOver != nil && !t.elsewhere(s) && o.Owned == ref.Yes && o.Image == t.expected()
}

// elsewhere says whether a spec is for another container than the target's.
func (t Target) elsewhere(s Spec) bool {
	return t.Spec.Deployment != "" && s.place() != t.Spec.place()
}

// place is the container that a spec is about.
func (s Spec) place() Spec {
	return Spec{Cluster: s.Cluster, Namespace: s.Namespace, Deployment: s.Deployment, Container: s.Container}
}

// proven says whether the phase can only be reached by proving good.
func (p Phase) proven() bool {
	return p == PhaseHealthy || p == PhaseSimulated || p == PhaseReplaced
}
