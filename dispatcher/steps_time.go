package dispatcher

import (
	"fmt"
	"time"
)

// overdue ends what time has ended: leases, the deadlines of attempts and of
// items; and it raises what has waited long. An item whose attempt let its lease
// end is offered again at once.
func overdue(v View, t terms) Write {
	var out Write
	for _, work := range v.Works {
		s := begin(v, t, work)
		s.expire()
		s.giveUp()
		s.rise()
		out.add(s.done())
	}
	return out
}

// expire ends the attempts whose lease is over, and stands down those whose
// deadline is.
func (s *turn) expire() {
	for n := range s.work.Attempts {
		a := &s.work.Attempts[n]
		switch {
		case a.Outcome != Live:
		case !s.now.Before(a.Until):
			s.lost(a)
		case !s.now.Before(a.Deadline):
			s.standDown(self, a, "its deadline of "+a.Deadline.UTC().Format(time.RFC3339)+" is over")
		}
	}
}

// lost ends an attempt whose coordinate was not heard of in time.
func (s *turn) lost(a *Attempt) {
	outcome, reason := Expired, fmt.Sprintf("%s was not heard of from %s on", a.Address, later(a.Beat, a.Started).UTC().Format(time.RFC3339))
	if a.StandDown != "" {
		reason = a.StandDown + "; " + reason
	}
	if !a.Told.IsZero() {
		outcome, reason = StoodDown, a.StandDown+"; it did not acknowledge"
	}
	s.end(a, outcome, reason)
	s.note(self, "work.expired", a, reason, "outcome", string(outcome), "cost", a.Cost.Amount.String())
	s.ended(a, reason, 0, false)
}

// giveUp ends the item whose deadline is over. What has merged is on its way
// and is left to arrive.
func (s *turn) giveUp() {
	i := s.work.Item
	if i.over() || !overdueBy(i, s.now) {
		return
	}
	if i.Accepted != 0 {
		s.note(self, "work.late", nil, "its deadline is over, and it has merged: it is left to arrive", "deadline", i.Deadline.UTC().Format(time.RFC3339))
		s.work.Item.Deadline = time.Time{} // said once
		return
	}
	reason := "its deadline of " + i.Deadline.UTC().Format(time.RFC3339) + " is over"
	s.standAllDown(self, reason, 0)
	s.die(reason)
}
