package dispatcher

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/pools"
)

// prospect is all that a look at a pull request goes by.
type prospect struct {
	change change.Change
	// snapshot is the one judged last; nil when there is none.
	snapshot *gate.Snapshot
	// builds are the items whose attempts registered the pull request under their
	// own name, strangers those where it is another's, and reviews those that ask
	// for a review of it.
	builds, strangers, reviews []Work
}

// look has the items of a pull request follow it, asks for the reviews that it
// lacks, and withdraws those that nobody needs any more. The same facts a second
// time change nothing.
func (d *Dispatcher) look(ctx context.Context, id ref.PullID) error {
	p, found, err := d.behold(ctx, id)
	if err != nil {
		return err
	}
	if err := d.disown(ctx, p, id, found); err != nil || !found {
		return err
	}
	after := map[ItemID]Item{}
	scope := p.scope()
	if len(scope.Items) > 0 {
		err := d.transact(ctx, scope, func(v View) (Write, error) {
			var w Write
			w, after = d.lookStep(v, p)
			return w, nil
		})
		if err != nil {
			return fmt.Errorf("settle the items of %s: %w", id, err)
		}
	}
	for n, w := range p.reviews {
		if i, read := after[w.Item.ID]; read {
			p.reviews[n].Item = i
		}
	}
	if err := d.askReviews(ctx, p); err != nil {
		return fmt.Errorf("ask for reviews of %s: %w", id, err)
	}
	return nil
}

// behold reads what is known of a pull request; found is false when it has no
// record, and then all that registered it are strangers.
func (d *Dispatcher) behold(ctx context.Context, id ref.PullID) (p prospect, found bool, err error) {
	if p.change, found, err = d.Changes.Change(ctx, id); err != nil {
		return p, false, err
	}
	attempts, err := d.Store.Attempts(ctx, Filter{Pull: id, Kind: Build})
	if err != nil {
		return p, false, err
	}
	own := map[ItemID]bool{}
	for _, a := range attempts {
		own[a.Item] = own[a.Item] || found && d.login(a.Address) == strings.ToLower(p.change.Author)
	}
	for _, item := range slices.Sorted(maps.Keys(own)) {
		w, there, err := d.Store.Work(ctx, item)
		switch {
		case err != nil:
			return p, false, err
		case !there:
		case own[item]:
			p.builds = append(p.builds, w)
		default:
			p.strangers = append(p.strangers, w)
		}
	}
	if !found {
		return p, false, nil
	}
	if p.reviews, err = d.reviewsOf(ctx, id); err != nil {
		return p, false, err
	}
	if len(p.reviews) > 0 || d.Reviews.On {
		p.snapshot, err = d.snapshot(ctx, p.change.Snapshot)
	}
	return p, true, err
}

// disown fails the attempts that finished with a pull request which is not
// theirs (W2), or which nobody has seen in time: their items would wait for ever.
func (d *Dispatcher) disown(ctx context.Context, p prospect, id ref.PullID, found bool) error {
	why, grace := fmt.Sprintf("nothing is known of %s", id), d.terms.sight
	if found && p.change.Author != "" {
		why, grace = fmt.Sprintf("%s is %s's", id, p.change.Author), 0 // and will not be another's
	}
	var scope Scope
	for _, w := range p.strangers {
		if w.Item.State == Landing {
			scope.Items = append(scope.Items, w.Item.ID)
		}
	}
	if len(scope.Items) == 0 {
		return nil
	}
	err := d.transact(ctx, scope, func(v View) (Write, error) { return unseen(v, d.terms, id, grace, why), nil })
	if err != nil {
		return fmt.Errorf("settle items of %s: %w", id, err)
	}
	return nil
}

// unseen fails what has waited longer than grace for a pull request.
func unseen(v View, t terms, id ref.PullID, grace time.Duration, why string) Write {
	var out Write
	for _, work := range v.Works {
		s := begin(v, t, work)
		a := s.last(id)
		if a == nil || a.Outcome != Finished || work.Item.State != Landing || v.Now.Before(work.Item.Since.Add(grace)) {
			continue
		}
		s.fell(a, why)
		out.add(s.done())
	}
	return out
}

// snapshot is a judged snapshot; nil when it is not there any more.
func (d *Dispatcher) snapshot(ctx context.Context, hash string) (*gate.Snapshot, error) {
	if hash == "" {
		return nil, nil //nolint:nilnil // there is none before the first verdict
	}
	body, found, err := d.Changes.Snapshot(ctx, hash)
	if err != nil || !found {
		return nil, err
	}
	var s gate.Snapshot
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", hash, err)
	}
	return &s, nil
}

// scope is what the look's step reads: the items that may have to follow.
func (p prospect) scope() Scope {
	var s Scope
	for _, w := range p.builds { // also what was given up: its pull request may merge all the same
		s.Items = append(s.Items, w.Item.ID)
	}
	for _, w := range p.reviews {
		if !w.Item.over() {
			s.Items = append(s.Items, w.Item.ID)
		}
	}
	return s
}

// lookStep is what becomes of the items of a pull request, and how they are
// afterwards.
func (d *Dispatcher) lookStep(v View, p prospect) (Write, map[ItemID]Item) {
	var out Write
	after := map[ItemID]Item{}
	l := d.landing(p)
	p = p.as(v.Works)
	avoid := p.avoid()
	for _, work := range v.Works {
		after[work.Item.ID] = work.Item // another look may have been quicker
		w, err := d.fate(v, p, l, work)
		if err != nil {
			continue // it is not in the View any more
		}
		if len(w.Items) == 0 {
			w.Items = shun(work.Item, p, avoid)
		}
		for _, i := range w.Items {
			after[i.ID] = i
		}
		out.add(w)
	}
	return out, after
}

// fate is what becomes of one item.
func (d *Dispatcher) fate(v View, p prospect, l landing, work Work) (Write, error) {
	i := work.Item
	switch {
	case i.Kind == Build && l.Merged && !registered(work, l):
		// What landed is not what an attempt registered (W2): it is nobody's.
		if i.over() || l.Outcome == change.Open {
			return Write{}, nil
		}
		return cancel(v, d.terms, self, i.ID, fmt.Sprintf("%s was merged at %s, which no attempt registered", p.change.ID, p.change.Head))
	case i.Kind == Review && i.State == Ready && i.Submitter == self && i.Head == p.change.Head && p.enough():
		return cancel(v, d.terms, self, i.ID, p.change.ID.String()+" has the approvals that it needs")
	default:
		return settle(v, d.terms, i.ID, l)
	}
}

// landing is what a pull request shows.
func (d *Dispatcher) landing(p prospect) landing {
	c := p.change
	l := landing{Pull: c.ID, Read: true, Head: c.Head, Merged: c.MergeSHA != "", Merge: c.MergeSHA, Outcome: c.Outcome}
	for _, w := range p.builds {
		for _, a := range w.Attempts {
			if a.Pull == c.ID && d.login(a.Address) == strings.ToLower(c.Author) {
				l.Opener = a.Address
			}
		}
	}
	if p.snapshot == nil {
		return l
	}
	by := map[string]pools.Address{}
	for _, w := range p.reviews {
		for _, a := range w.Attempts {
			by[d.login(a.Address)] = a.Address
		}
	}
	for _, r := range p.snapshot.Reviews {
		if a, known := by[strings.ToLower(r.Reviewer)]; known && r.State != gate.ReviewNone {
			l.Reviewed = append(l.Reviewed, sighting{By: a, Head: r.Commit})
		}
	}
	return l
}

// shun keeps the models from a waiting review that take part in its pull request
// by now, and no longer those of reviews that came to nothing.
func shun(i Item, p prospect, avoid []string) []Item {
	if i.Kind != Review || i.State != Ready || i.Head != p.change.Head {
		return nil
	}
	if !i.asked() {
		avoid = p.wrote()
	}
	spared := p.spared()
	now := slices.DeleteFunc(slices.Clone(i.Avoid), func(m string) bool { return among(m, spared) && !among(m, avoid) })
	for _, m := range avoid {
		if !among(m, now) {
			now = append(now, m)
		}
	}
	if slices.Equal(now, i.Avoid) {
		return nil
	}
	i.Avoid = now
	return []Item{i}
}

// as is the prospect with its reviews as a transaction reads them.
func (p prospect) as(works []Work) prospect {
	p.reviews = slices.Clone(p.reviews)
	for n, w := range p.reviews {
		if at := slices.IndexFunc(works, func(read Work) bool { return read.Item.ID == w.Item.ID }); at >= 0 {
			p.reviews[n] = works[at]
		}
	}
	return p
}

// registered says whether an attempt registered the head that was merged.
func registered(w Work, l landing) bool {
	return slices.ContainsFunc(w.Attempts, func(a Attempt) bool { return l.owns(a) && a.Head == l.Head })
}
