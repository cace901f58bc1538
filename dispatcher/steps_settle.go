package dispatcher

import (
	"fmt"
	"strings"

	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/pools"
)

// landing is what is known of a pull request. The zero value is nothing, and
// nothing is settled by it.
type landing struct {
	Pull ref.PullID
	// Read says that the rest was read.
	Read bool
	// Head is the one that it has, or had when it ended.
	Head ref.SHA
	// Opener is the coordinate that opened it: it is no other's (W2). The zero one
	// is not said.
	Opener pools.Address
	// Merged says that it was merged, as Merge.
	Merged bool
	Merge  ref.SHA
	// Outcome is how its change ended; open while it has not.
	Outcome change.Outcome
	// Reviewed are the coordinates that have a review on a head, as the forge
	// shows it.
	Reviewed []sighting
}

// sighting is a review that was seen.
type sighting struct {
	By   pools.Address
	Head ref.SHA
}

// purposeGone begins the reason of a review that nobody needs any more.
const purposeGone = "its purpose is gone"

// settle has an item of the View follow what its pull request shows. The same
// facts a second time change nothing.
func settle(v View, t terms, id ItemID, l landing) (Write, error) {
	work, err := v.item(id)
	if err != nil {
		return Write{}, err
	}
	s := begin(v, t, work)
	switch {
	case !l.Read:
	case work.Item.Kind == Review:
		s.review(l)
	default:
		s.build(l)
	}
	return s.done(), nil
}

// build settles an item whose evidence is a pull request that ends healthy.
func (s *turn) build(l landing) {
	a := s.landed(l)
	if l.Outcome == change.OutcomeClosed {
		a = s.last(l.Pull) // whoever waits for it, waits in vain
	}
	if a == nil {
		return
	}
	switch l.Outcome {
	case change.OutcomeHealthy, change.OutcomeSimulated, change.OutcomeSupersede:
		s.accept(a, l)
		s.ship(a, "its change ended "+string(l.Outcome))
	case change.OutcomeRolled:
		s.retract(a, "its change was rolled back")
	case change.OutcomeClosed:
		s.retract(a, "its pull request was closed")
	default:
		if l.Merged {
			s.accept(a, l)
		}
	}
}

// review settles an item whose evidence is a review on the head it was asked
// for.
func (s *turn) review(l landing) {
	i := &s.work.Item
	if i.over() || l.Pull != i.Pull {
		return
	}
	for n := range s.work.Attempts {
		a := &s.work.Attempts[n]
		if a.Outcome != Live && a.Head == i.Head && l.saw(a.Address, i.Head) {
			s.accept(a, l)
			s.ship(a, "its review was seen")
			return
		}
	}
	switch {
	case l.Outcome == change.OutcomeClosed:
		s.withdraw(self, purposeGone, l.Pull.String()+" was closed")
		return
	case l.Merged || l.Outcome != change.Open:
		s.withdraw(self, purposeGone, l.Pull.String()+" was merged")
		return
	case l.Head != "" && l.Head != i.Head:
		s.withdraw(self, purposeGone, fmt.Sprintf("the head moved to %s", l.Head))
		return
	}
	a := s.last(i.Pull)
	if i.State != Landing || a == nil || s.now.Before(i.Since.Add(s.t.sight)) {
		return
	}
	s.fell(a, fmt.Sprintf("no review by %s was seen on %s within %s", a.Address, i.Head, s.t.sight))
}

// accept gives the item to the attempt whose pull request merged, or whose
// review was seen. All others stop.
func (s *turn) accept(a *Attempt, l landing) {
	i := &s.work.Item
	if i.Accepted != a.ID {
		by := a.Address
		i.Accepted, i.AcceptedBy = a.ID, &by
		s.note(self, "work.accepted", a, "", "pull_request", l.Pull.String(), "head", string(l.Head), "merge", string(l.Merge))
	}
	s.standAllDown(self, madeWay+a.Address.String(), a.ID)
	if i.State == Ready || i.State == Dead || (i.State == Working && a.Outcome != Live) {
		s.move(Landing, "")
	}
}

// ship ends the item: its evidence is there. A live attempt completes first.
func (s *turn) ship(a *Attempt, reason string) {
	if a.Outcome == Live {
		return
	}
	if a.Outcome != Shipped {
		a.Outcome, a.Reason = Shipped, reason
		if a.Ended.IsZero() {
			a.Ended = s.now
		}
	}
	if s.work.Item.State != Done {
		s.move(Done, reason)
		s.note(self, "work.done", a, reason, "spent", s.work.Item.Spent.String())
	}
}

// retract takes the acceptance back from an attempt whose change did not stay.
// A live attempt that was not accepted goes on: it may open another pull
// request.
func (s *turn) retract(a *Attempt, reason string) {
	i := &s.work.Item
	accepted := i.Accepted == a.ID
	if accepted {
		i.Accepted, i.AcceptedBy = 0, nil
		s.note(self, "work.retracted", a, reason, "pull_request", a.Pull.String())
	}
	if accepted || a.Outcome == Finished || a.Outcome == Shipped {
		s.fell(a, reason)
	}
}

// fell fails an attempt that had come to its end, and offers its item again.
func (s *turn) fell(a *Attempt, reason string) {
	i := &s.work.Item
	if a.Outcome != Live && a.Outcome != Failed {
		a.Outcome, a.Reason = Failed, reason
		s.note(self, "work.failed", a, reason, "pull_request", a.Pull.String())
	}
	switch i.State {
	case Done:
		i.State = Landing // it is not over after all
	case Landing:
	default:
		return
	}
	s.again(reason, s.t.after(i.Tries+1), false)
}

// landed is the attempt whose work a pull request is: of those of whoever opened
// it the one that registered its head, or else the latest; nil for none.
func (s *turn) landed(l landing) *Attempt {
	var found *Attempt
	for n := range s.work.Attempts {
		a := &s.work.Attempts[n]
		if !l.owns(*a) {
			continue
		}
		if found == nil || a.Head == l.Head || found.Head != l.Head {
			found = a
		}
	}
	return found
}

// owns says whether an attempt registered the pull request as its own.
func (l landing) owns(a Attempt) bool {
	return a.Pull == l.Pull && a.Head != "" && (l.Opener == (pools.Address{}) || l.Opener == a.Address)
}

// last is the item's latest attempt that registered a pull request; nil for
// none.
func (s *turn) last(pull ref.PullID) *Attempt {
	for n := len(s.work.Attempts) - 1; n >= 0; n-- {
		if a := &s.work.Attempts[n]; a.Pull == pull && a.Head != "" {
			return a
		}
	}
	return nil
}

// saw says whether a review was seen.
func (l landing) saw(by pools.Address, head ref.SHA) bool {
	for _, r := range l.Reviewed {
		if r.By == by && strings.EqualFold(string(r.Head), string(head)) {
			return true
		}
	}
	return false
}
