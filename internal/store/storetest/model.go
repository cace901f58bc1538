package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

// row is what the model knows of one key. A nil time is none.
type row struct {
	due, until *time.Time
	seq, token int64
	failures   int
	owed       bool // somebody asked for a look that no claim has answered
	pending    bool // a claim was taken and not given back
}

// machine drives a store and the model side by side.
type machine struct {
	t      *testing.T
	s      Store
	clock  *Clock
	run    int // which of the runs on this store; each has its own keys
	rows   map[reconcile.Key]*row
	claims []reconcile.Claim // every claim ever taken
}

// testModel: in any sequence of due, claim, done and passing time, the store
// does what the model does, no key is held twice, and no due is lost.
func testModel(t *testing.T, place Place) {
	s, clock := start(t, place)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := &machine{t: t, s: s, clock: clock, run: run, rows: map[reconcile.Key]*row{}}
		m.clear(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"due":   m.due,
			"claim": m.claim,
			"done":  m.done,
			"fence": m.fence,
			"pass": func(rt *rapid.T) {
				clock.Advance(time.Duration(rapid.IntRange(1, 8).Draw(rt, "seconds")) * time.Second)
			},
			"": m.check,
		})
		m.drain(rt)
	})
}

// clear gives back what a run that failed left behind, so that the next one,
// which looks for a shorter way to the same fault, has an empty queue.
func (m *machine) clear(rt *rapid.T) {
	left, err := m.s.Claim(m.t.Context(), m.clock.Advance(time.Hour), 100, time.Minute)
	if err != nil {
		rt.Fatal(err)
	}
	for _, c := range left {
		if err := m.s.Done(m.t.Context(), c, time.Time{}, false); err != nil {
			rt.Fatal(err)
		}
	}
}

func (m *machine) due(rt *rapid.T) {
	var all []reconcile.Due
	for range rapid.IntRange(1, 3).Draw(rt, "keys") {
		all = append(all, reconcile.Due{Key: m.drawKey(rt), At: m.drawTime(rt, "at")})
	}
	if err := m.s.Accept(m.t.Context(), all); err != nil {
		rt.Fatal(err)
	}
	for _, d := range all {
		m.made(d)
	}
}

func (m *machine) made(d reconcile.Due) {
	r := m.rows[d.Key]
	if r == nil {
		r = &row{}
		m.rows[d.Key] = r
	}
	r.seq++
	r.owed = true
	if r.due == nil || d.At.Before(*r.due) {
		r.due = &d.At
	}
}

func (m *machine) claim(rt *rapid.T) {
	n := rapid.IntRange(0, 4).Draw(rt, "n")
	lease := time.Duration(rapid.IntRange(1, 10).Draw(rt, "lease")) * time.Second
	got, err := m.s.Claim(m.t.Context(), m.clock.Now(), n, lease)
	if err != nil {
		rt.Fatal(err)
	}
	m.takeAll(rt, got, n, lease)
}

// takeAll compares claims with the model and takes them there too.
func (m *machine) takeAll(rt *rapid.T, got []reconcile.Claim, n int, lease time.Duration) {
	now := m.clock.Now()
	for _, c := range got {
		for _, other := range m.claims {
			if other.Key == c.Key && other.Token >= c.Token {
				rt.Fatalf("%s: token %d after %d", c.Key, c.Token, other.Token)
			}
		}
		if r := m.rows[c.Key]; r != nil && r.until != nil && r.until.After(now) {
			rt.Fatalf("%s is held twice", c.Key)
		}
	}
	var expected []reconcile.Claim
	for _, k := range m.claimable(now, n) {
		r := m.rows[k]
		until := now.Add(lease)
		r.token++
		expected = append(expected, reconcile.Claim{Key: k, Token: r.token, Seq: r.seq, Failures: r.failures, Until: until})
		r.until = &until
		r.pending, r.owed = true, false
		if r.due != nil && !r.due.After(now) {
			r.due = nil
		}
		if r.due != nil {
			r.owed = true
		}
	}
	want(rt, got, expected, "claims")
	m.claims = append(m.claims, got...)
}

func (m *machine) done(rt *rapid.T) {
	if len(m.claims) == 0 {
		rt.Skip("nothing was claimed")
	}
	c := rapid.SampledFrom(m.claims).Draw(rt, "claim")
	failed := rapid.Bool().Draw(rt, "failed")
	var next time.Time
	if rapid.Bool().Draw(rt, "again") {
		next = m.drawTime(rt, "next")
	}
	err := m.s.Done(m.t.Context(), c, next, failed)
	r := m.rows[c.Key]
	if r.token != c.Token || r.until == nil {
		wantFault(rt, err, fault.Changed)
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	r.until, r.pending = nil, false
	r.failures++
	if !failed {
		r.failures = 0
	}
	if !next.IsZero() {
		r.owed = true
		if r.due == nil || next.Before(*r.due) {
			r.due = &next
		}
	}
}

// fence writes under a claim: refused whole unless the claim is live.
func (m *machine) fence(rt *rapid.T) {
	if len(m.claims) == 0 {
		rt.Skip("nothing was claimed")
	}
	c := rapid.SampledFrom(m.claims).Draw(rt, "claim")
	d := reconcile.Due{Key: m.drawKey(rt), At: m.drawTime(rt, "at")}
	err := m.s.Commit(m.t.Context(), reconcile.Write{Fence: &c, Due: []reconcile.Due{d}, Journal: []journal.Entry{{Action: "fenced"}}})
	r := m.rows[c.Key]
	if r.token != c.Token || r.until == nil || !r.until.After(m.clock.Now()) {
		wantFault(rt, err, fault.Changed)
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	m.made(d)
}

// check holds after every step.
func (m *machine) check(rt *rapid.T) {
	var next time.Time
	for _, r := range m.rows {
		if at := r.ready(); at != nil && (next.IsZero() || at.Before(next)) {
			next = *at
		}
	}
	got, err := m.s.Next(m.t.Context())
	if err != nil {
		rt.Fatal(err)
	}
	want(rt, got, next, "next time")
}

// drain lets all leases end and all times come: whatever was promised to
// anybody must now be there, and once it is given back there is nothing left.
func (m *machine) drain(rt *rapid.T) {
	now := m.clock.Advance(time.Hour)
	got, err := m.s.Claim(m.t.Context(), now, 100, time.Minute)
	if err != nil {
		rt.Fatal(err)
	}
	var keys, owed []reconcile.Key
	for _, c := range got {
		keys = append(keys, c.Key)
	}
	for k, r := range m.rows {
		if r.owed || r.pending {
			owed = append(owed, k)
		}
	}
	slices.Sort(keys)
	slices.Sort(owed)
	want(rt, keys, owed, "keys that are owed a look")
	m.takeAll(rt, got, 100, time.Minute)
	for _, c := range got {
		if err := m.s.Done(m.t.Context(), c, time.Time{}, false); err != nil {
			rt.Fatal(err)
		}
	}
	next, err := m.s.Next(m.t.Context())
	if err != nil {
		rt.Fatal(err)
	}
	want(rt, next, time.Time{}, "next time of an empty queue")
}

func (m *machine) claimable(now time.Time, n int) []reconcile.Key {
	var keys []reconcile.Key
	for k, r := range m.rows {
		if at := r.ready(); at != nil && !at.After(now) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b reconcile.Key) int {
		return cmp.Or(m.rows[a].ready().Compare(*m.rows[b].ready()), cmp.Compare(a, b))
	})
	return keys[:min(n, len(keys))]
}

// ready is when the key can be claimed.
func (r *row) ready() *time.Time {
	if r.until != nil {
		return r.until
	}
	return r.due
}

func (m *machine) drawTime(rt *rapid.T, label string) time.Time {
	return m.clock.Now().Add(time.Duration(rapid.IntRange(-5, 20).Draw(rt, label)) * time.Second)
}

func (m *machine) drawKey(rt *rapid.T) reconcile.Key {
	return reconcile.Key(fmt.Sprint("change acme/app", m.run, "#", rapid.IntRange(1, 4).Draw(rt, "key")))
}
