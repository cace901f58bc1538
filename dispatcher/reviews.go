package dispatcher

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// lacking is the requirement that reviews meet.
const lacking = "approvals"

// hindering are the requirements that have to hold before a review is asked for:
// without them its head is not to be merged, or not to stay. Checks are none of
// them: they run meanwhile.
func hindering() []string {
	return []string{"open", "draft", "hold", "base", "policy", "registered", "veto"}
}

// wanting is how many reviews are to be asked for: the approvals that the head
// lacks, without those that were asked for already. One that was given up, or
// that a person cancelled, stays asked for: it is theirs to say. What people
// asked for comes on top: nobody knows whether it is to count.
func (d *Dispatcher) wanting(p prospect) int {
	c := p.change
	base, served := d.Serves(c.ID.Repo)
	if !d.Reviews.On || !served || c.Base != base || c.Outcome != change.Open || c.MergeSHA != "" || c.Head == "" {
		return 0
	}
	if p.snapshot == nil || p.snapshot.Pull.Head != c.Head || p.snapshot.Pull.Canary() {
		return 0
	}
	for _, r := range c.Requirements {
		if slices.Contains(hindering(), r.Key) && pending(r) {
			return 0
		}
	}
	n := 0
	for _, r := range c.Requirements {
		if r.Key == lacking && pending(r) {
			n = r.Lacks
		}
	}
	for _, w := range p.reviews {
		i := w.Item
		if i.Head != c.Head || !i.asked() || i.withdrawn() {
			continue
		}
		if i.State != Done || d.approvedInVain(w, c) {
			n--
		}
	}
	return max(n, 0)
}

// approvedInVain says whether a review approved the head and does not count: as
// its reviewer may not approve there, the next one would not count either, and
// people have to see to that first.
func (d *Dispatcher) approvedInVain(w Work, c change.Change) bool {
	for _, a := range w.Attempts {
		if a.ID != w.Item.Accepted || a.Verdict != string(gate.ReviewApproved) {
			continue
		}
		counted := c.Gate(change.Reviewed).Evidence.Approvals
		return !slices.ContainsFunc(counted, func(g gate.Approval) bool { return strings.ToLower(g.Login) == d.login(a.Address) })
	}
	return false
}

// askReviews submits the reviews that the head of a pull request lacks. If its
// record has moved since it was read, that is for the next look.
func (d *Dispatcher) askReviews(ctx context.Context, p prospect) error {
	n := d.wanting(p)
	if n == 0 {
		return nil
	}
	c := p.change
	now, _, err := d.Changes.Change(ctx, c.ID)
	if err != nil {
		return err
	}
	if now.Rev != c.Rev {
		d.looks.add(c.ID)
		return nil
	}
	nth := 1
	for _, w := range p.reviews {
		if w.Item.Head == c.Head {
			nth++
		}
	}
	scope, err := d.scopeOf(ctx, d.review(c, nth))
	if err != nil {
		return err
	}
	for _, w := range slices.Concat(p.builds, p.reviews) {
		scope.Items = append(scope.Items, w.Item.ID)
	}
	return d.transact(ctx, scope, func(v View) (Write, error) { return d.asks(v, p, nth, n) })
}

// asks submits n reviews of a head, from the nth on. All of them at once, and by
// what the transaction reads: of two that were asked for one after the other the
// first could be taken before the second is told which model that was.
func (d *Dispatcher) asks(v View, p prospect, nth, n int) (all Write, err error) {
	avoid := p.as(v.Works).avoid()
	for ; n > 0; n, nth = n-1, nth+1 {
		i := d.review(p.change, nth)
		i.Avoid = avoid
		w, item, existed, err := submit(v, d.terms, i, nil)
		if err != nil || existed {
			all.add(w)
			return all, err // who asked for it meanwhile asked for the others as well
		}
		hindered(v, &w)
		all.add(w)
		v.Last = max(v.Last, item.Rank)
	}
	return all, nil
}

// review is the nth review of a head.
func (d *Dispatcher) review(c change.Change, nth int) Item {
	base, _ := d.Serves(c.ID.Repo)
	i, _ := draft(self, Submission{ // of what is well formed there is nothing to say
		Kind: Review, Repo: c.ID.Repo, Pull: c.ID, Base: c.Base,
		Key:      fmt.Sprintf(reviewKey+"%s at %s %d", c.ID, c.Head, nth),
		Title:    clip(fmt.Sprintf("Review %s: %s", c.ID, oneLine(c.Title)), longestTitle),
		Spec:     reviewSpec(c),
		Selector: d.Reviews.selector(), Priority: d.Reviews.Level.String(),
	}, base)
	i.Head = c.Head
	return i
}

// aim completes a review that somebody asks for: which head, and by which models
// not. Whose model has reviewed it already is no matter: a person may want one
// that counts for nothing.
func (d *Dispatcher) aim(ctx context.Context, i *Item) error {
	p, found, err := d.behold(ctx, i.Pull)
	if err != nil || !found {
		return err // an item without a head is refused with all its other faults
	}
	if p.change.Outcome == change.Open && p.change.MergeSHA == "" {
		i.Head, i.Avoid = p.change.Head, p.wrote()
	}
	return nil
}

// avoid are the models that must not review the head: those that wrote any of
// the pull request, and those of the others that review it or did.
func (p prospect) avoid() []string {
	models := p.wrote()
	for _, w := range p.reviews {
		for _, a := range w.Attempts {
			if w.Item.Head == p.change.Head && reviewing(a) {
				models = with(models, a.Assignment.Model)
			}
		}
	}
	return models
}

// wrote are the models that wrote any of the pull request.
func (p prospect) wrote() (models []string) {
	for _, w := range p.builds {
		for _, a := range w.Attempts {
			if a.Pull == p.change.ID {
				models = with(models, a.Assignment.Model)
			}
		}
	}
	return models
}

func with(models []string, m string) []string {
	if m == "" || among(m, models) {
		return models
	}
	return append(models, m)
}

// spared are the models of those who were to review the head and came to nothing.
func (p prospect) spared() []string {
	var models []string
	for _, w := range p.reviews {
		for _, a := range w.Attempts {
			if w.Item.Head == p.change.Head && !reviewing(a) {
				models = append(models, a.Assignment.Model)
			}
		}
	}
	return models
}

// reviewing says whether an attempt reviews its head, or did.
func reviewing(a Attempt) bool {
	return a.Outcome == Live || a.Outcome == Finished || a.Outcome == Shipped
}

// enough says whether the head has the approvals that it needs.
func (p prospect) enough() bool {
	return slices.ContainsFunc(p.change.Requirements, func(r gate.Requirement) bool { return r.Key == lacking && r.State == gate.Met })
}

// asked says whether it is a review that Slipway asks for by itself, so that it
// counts.
func (i Item) asked() bool { return i.Kind == Review && strings.HasPrefix(i.Key, reviewKey) }

// withdrawn says whether an item was cancelled by Slipway and not by a person.
func (i Item) withdrawn() bool {
	return i.State == Cancelled && (strings.HasPrefix(i.Reason, purposeGone) || strings.HasPrefix(i.Reason, "cancelled by "+self+":"))
}

// pending says whether a requirement keeps the head from merging.
func pending(r gate.Requirement) bool {
	return r.State == gate.Unmet || r.State == gate.Violated || r.State == gate.Unread
}

// selector is whom the rule asks; "" leaves it to the kind of the work.
func (r ReviewRule) selector() string {
	if r.Selector.Role == "" && r.Selector.Tier == "" && r.Selector.Replica == nil {
		return ""
	}
	return r.Selector.String()
}

// reviewSpec is what a reviewer is to do.
func reviewSpec(c change.Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Review %s at commit %s, which is to be merged to %s.\n\n", c.ID, c.Head, c.Base)
	fmt.Fprintf(&b, "Say whether it does what it sets out to do, whether it does so without breaking anything else, and whether it is tested. Approve it, or ask for changes and name each of them. The review is of that commit alone; another one will be reviewed anew.\n")
	return b.String()
}

// among says whether a list names a model, in whatever way.
func among(model string, list []string) bool {
	return slices.ContainsFunc(list, func(m string) bool { return sameModel(m, model) })
}

// oneLine joins the lines of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// issueNumber is that of the issue that an item came from; 0 for none.
func issueNumber(i Item) int64 {
	before, number, _ := strings.Cut(i.Key, "#")
	if before != issueKey+i.Repo.String() {
		return 0
	}
	p, err := ref.ParsePull(i.Repo.String() + "#" + number)
	if err != nil {
		return 0
	}
	return p.Number
}
