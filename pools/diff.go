package pools

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Part is what of a set a change is about.
type Part string

// The parts of a set.
const (
	OfVocabulary  Part = "vocabulary" // with the currency
	OfPools       Part = "pool"
	OfCoordinates Part = "coordinate"
	OfAssignments Part = "assignment"
)

// Act is what happened to a part.
type Act string

// What can happen.
const (
	Added   Act = "added"
	Removed Act = "removed"
	Changed Act = "changed"
)

// Change is one difference between two sets.
type Change struct {
	Part Part `json:"part"`
	// Name is that of the pool, coordinate or assignment; "" for the vocabulary.
	Name string `json:"name,omitempty"`
	Act  Act    `json:"act"`
	// Text says it in one sentence, without a full stop.
	Text string `json:"text"`
}

// subject is a thing in a set with all that is said of it. Hash and Diff both
// go by subjects, so that they agree.
type subject struct {
	part  Part
	name  string
	facts []fact
}

// fact is one thing that is said. An empty value is shown as none.
type fact struct{ key, value, none string }

// Diff is what changes from a to b: the vocabulary first, then pools,
// assignments and coordinates, by name.
func Diff(a, b Set) []Change {
	before, after := a.subjects(), b.subjects()
	old, kept := byName(before), byName(after)
	var out []Change
	for _, was := range before {
		if _, still := kept[was.id()]; !still {
			out = append(out, Change{was.part, was.name, Removed, was.title() + " is gone"})
		}
	}
	for _, is := range after {
		was, known := old[is.id()]
		if !known {
			out = append(out, Change{is.part, is.name, Added, is.told()})
			continue
		}
		for i, f := range is.facts {
			if was.facts[i].value != f.value {
				out = append(out, Change{is.part, is.name, Changed, is.changed(was.facts[i], f)})
			}
		}
	}
	slices.SortStableFunc(out, func(x, y Change) int { return cmp.Compare(x.Part.order(), y.Part.order()) })
	return out
}

// subjects are the set's, in an order that its meaning alone decides.
func (s Set) subjects() []subject {
	out := []subject{{part: OfVocabulary, facts: []fact{
		{"roles", strings.Join(s.Vocabulary.Roles, ", "), "none"},
		{"tiers", strings.Join(s.Vocabulary.Tiers, ", "), "none"},
		{"shapes", strings.Join(s.Shapes, ", "), "none"},
		{"currency", s.Currency, "none"},
	}}}
	for _, p := range slices.SortedFunc(slices.Values(s.Pools), func(p, q Pool) int { return p.Name.Compare(q.Name) }) {
		out = append(out, subject{OfPools, p.Name.String(), p.facts()})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Assignments)) {
		out = append(out, subject{OfAssignments, name, s.Assignments[name].facts()})
	}
	for _, a := range s.Addresses() {
		out = append(out, subject{OfCoordinates, a.String(), []fact{{"assignment", s.Replicas[a], "none"}}})
	}
	return out
}

func (p Pool) facts() []fact {
	var canary, share, limit, deadline string
	if p.Canary != nil {
		canary, share = p.Canary.Assignment, strconv.FormatFloat(p.Canary.Share, 'g', -1, 64)
	}
	if p.Limit != 0 {
		limit = strconv.Itoa(p.Limit)
	}
	if p.Deadline != 0 {
		deadline = p.Deadline.String()
	}
	return []fact{
		{"number of coordinates", strconv.Itoa(p.Replicas), ""},
		{"operator", p.Operator, "unknown"},
		{"limit", limit, "one for each coordinate"},
		{"daily budget", bound(p.Daily), "none"},
		{"deadline", deadline, "the server's"},
		{"canary", canary, "none"},
		{"canary's share", share, "none"},
	}
}

func (a Assignment) facts() []fact {
	return []fact{
		{"provider", a.Provider, "none"},
		{"model", a.Model, "none"},
		{"prompt file", a.Prompt.File, "none"},
		{"prompt", a.Prompt.Hash, "none"},
		{"parameters", a.Parameters, "none"},
		{"price of input", a.Prices.Input.String(), ""},
		{"price of output", a.Prices.Output.String(), ""},
		{"price of what is read from a cache", a.Prices.CacheRead.String(), ""},
		{"price of what is written to a cache", a.Prices.CacheWrite.String(), ""},
		{"budget", bound(a.Budget), "none"},
	}
}

// title names a subject in a sentence.
func (s subject) title() string {
	if s.part == OfCoordinates {
		return s.name
	}
	return string(s.part) + " " + s.name
}

// told is the sentence about one that is new.
func (s subject) told() string {
	switch s.part {
	case OfCoordinates:
		return fmt.Sprintf("%s is new and runs %s", s.title(), s.facts[0].shown())
	case OfPools:
		return fmt.Sprintf("%s is new; number of coordinates: %s", s.title(), s.facts[0].shown())
	default:
		return fmt.Sprintf("%s is new: %s of %s", s.title(), s.facts[1].shown(), s.facts[0].shown())
	}
}

// changed is the sentence about a fact that is another one now.
func (s subject) changed(was, is fact) string {
	switch {
	case s.part == OfCoordinates:
		return fmt.Sprintf("%s runs %s instead of %s", s.title(), is.shown(), was.shown())
	case s.part == OfVocabulary:
		return fmt.Sprintf("the %s: %s instead of %s", is.key, is.shown(), was.shown())
	case s.part == OfAssignments && is.key == "prompt":
		const short = 12 // digits tell two texts apart
		return fmt.Sprintf("%s: its prompt reads otherwise (%.*s instead of %.*s)", s.title(), short, is.shown(), short, was.shown())
	default:
		return fmt.Sprintf("%s: its %s is %s instead of %s", s.title(), is.key, is.shown(), was.shown())
	}
}

func (f fact) shown() string {
	if f.value == "" {
		return f.none
	}
	return clip(f.value)
}

// bound is an amount; "" where there is none.
func bound(m Money) string {
	if m == 0 {
		return ""
	}
	return m.String()
}

func (s subject) id() string { return string(s.part) + " " + s.name }

func byName(all []subject) map[string]subject {
	m := make(map[string]subject, len(all))
	for _, s := range all {
		m[s.id()] = s
	}
	return m
}

func (p Part) order() int {
	return slices.Index([]Part{OfVocabulary, OfPools, OfAssignments, OfCoordinates}, p)
}
