package pools

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Hash is the SHA-256, in hexadecimal, of what decides how work turns out:
// provider, model, the prompt's text and the parameters. Neither the record's
// name nor its prices and budget are in it, so that a cheaper tariff does not
// make another thing of the same model.
func (a Assignment) Hash() string {
	h := sha256.New()
	for _, part := range []string{a.Provider, a.Model, a.Prompt.Hash, a.Parameters} {
		fmt.Fprintf(h, "%q\n", part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Pool is the pool of that name; found is false for none.
func (s Set) Pool(n PoolName) (p Pool, found bool) {
	i := slices.IndexFunc(s.Pools, func(p Pool) bool { return p.Name == n })
	if i < 0 {
		return Pool{}, false
	}
	return s.Pools[i], true
}

// Addresses are all coordinates, in order.
func (s Set) Addresses() []Address {
	return slices.SortedFunc(maps.Keys(s.Replicas), Address.Compare)
}

// Assigned is what a coordinate runs for an item: its own assignment, or the
// canary of its pool for that share of the items. The same set gives the same
// answer each time. found is false where there is no such coordinate.
func (s Set) Assigned(a Address, item int64) (as Assignment, found bool) {
	as, _, found = s.Fit(a, item, nil)
	return as, found
}

// Fit is what a coordinate runs for an item that some models must not take, and
// whether that is its pool's canary. It is the canary where the item is one of
// its share and its model may take it. ok is false where there is no such
// coordinate, or where its own model must not take the item: Place does not
// give it then.
func (s Set) Fit(a Address, item int64, avoid []string) (as Assignment, canary, ok bool) {
	as, ok = s.Assignments[s.Replicas[a]]
	if !ok || among(as.Model, avoid) {
		return Assignment{}, false, false
	}
	p, _ := s.Pool(a.Pool())
	if p.Canary == nil || !p.Canary.draws(item) {
		return as, false, true
	}
	other, known := s.Assignments[p.Canary.Assignment]
	if !known || among(other.Model, avoid) {
		return as, false, true
	}
	return other, true, true
}

// Place is every coordinate, in order, that a selector chooses and whose own
// model is not one to avoid, in whatever case that is written. Whatever the
// canaries, each of them can take the work.
func (s Set) Place(sel Selector, avoid []string) []Address {
	var out []Address
	for a, name := range s.Replicas {
		as, known := s.Assignments[name]
		if known && sel.Matches(a) && !among(as.Model, avoid) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, Address.Compare)
	return out
}

// Hash is the SHA-256, in hexadecimal, of everything that the set means: two
// sets with the same hash have no Diff. Its number and how its source is
// written (comments, order, quoting) are not in it.
func (s Set) Hash() string {
	h := sha256.New()
	for _, subject := range s.subjects() {
		for _, f := range subject.facts {
			fmt.Fprintf(h, "%q %q %q %q\n", subject.part, subject.name, f.key, f.value)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// draws says whether an item is one of the share. A higher share keeps the
// items that a lower one has.
func (c Canary) draws(item int64) bool {
	digest := sha256.Sum256([]byte("canary " + strconv.FormatInt(item, 10)))
	const exact = 53 // bits that a float64 holds
	at := math.Ldexp(float64(binary.BigEndian.Uint64(digest[:])>>(64-exact)), -exact)
	return at < c.Share
}

func among(model string, avoid []string) bool {
	return slices.ContainsFunc(avoid, func(m string) bool { return strings.EqualFold(m, model) })
}
