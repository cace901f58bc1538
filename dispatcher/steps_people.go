package dispatcher

import (
	"errors"
	"fmt"
	"strings"

	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/pools"
)

// cancel withdraws an item. Whoever works on it is told to stop when it next
// asks. What is over stays as it is.
func cancel(v View, t terms, by string, id ItemID, reason string) (Write, error) {
	work, err := v.item(id)
	if err != nil {
		return Write{}, err
	}
	switch i := work.Item; {
	case i.State == Cancelled:
		return Write{}, nil
	case i.over():
		return refused(v, by, "cancel", id, "it is "+string(i.State)), fault.AsPermanent(fmt.Errorf("cancel item %d: it is %s", id, i.State))
	}
	s := begin(v, t, work)
	s.withdraw(by, "cancelled by "+by, reason)
	return s.done(), nil
}

// withdraw cancels the item and stands down its attempts.
func (s *turn) withdraw(actor, what, reason string) {
	if reason = clip(reason, longestReason); reason != "" {
		what += ": " + reason
	}
	s.move(Cancelled, what)
	s.note(actor, "work.cancelled", nil, reason)
	s.standAllDown(actor, what, 0)
}

// retry offers a dead letter again, or a cancelled one, as if it had been
// submitted now. It waits until nobody works on it any more. One whose pull
// request has merged meanwhile only has to arrive.
func retry(v View, t terms, by string, id ItemID, reason string) (Write, error) {
	work, err := v.item(id)
	if err != nil {
		return Write{}, err
	}
	i := work.Item
	why := ""
	switch {
	case i.State != Dead && i.State != Cancelled:
		why = "it is " + string(i.State)
	case work.live() != nil:
		why = work.live().Address.String() + " has not stopped yet"
	case overdueBy(i, v.Now):
		why = "its deadline is over"
	case i.Budget > 0 && i.Spent+i.Reserved >= i.Budget:
		why = fmt.Sprintf("its budget of %s is used up", i.Budget)
	}
	if why != "" {
		return refused(v, by, "retry", id, why), fault.AsPermanent(fmt.Errorf("retry item %d: %s", id, why))
	}
	s := begin(v, t, work)
	n := &s.work.Item
	n.Tries, n.Raised, n.Rank = 0, n.Level, follows(v)
	s.note(by, "work.retried", nil, clip(reason, longestReason), "from", string(i.State), "was", i.Reason)
	if i.Accepted != 0 {
		s.move(Landing, "")
		return s.done(), nil
	}
	s.offer("", 0)
	return s.done(), nil
}

// cordon keeps new work from a coordinate. What it has goes on and ends by
// itself; drain says that this is waited for, and changes what is told.
func cordon(v View, by string, a pools.Address, drain bool, reason string) (Write, error) {
	seat, err := v.known(a)
	if err != nil {
		return seatRefused(v, by, "cordon", a, err), err
	}
	reason = clip(reason, longestReason)
	if seat.Cordoned && seat.Reason == reason {
		return Write{}, nil
	}
	seat.Cordoned, seat.By, seat.Reason = true, by, reason
	what := "work.cordoned"
	if drain {
		what = "work.drained"
	}
	return Write{Seats: []Seat{seat}, Journal: []journal.Entry{{At: v.Now, Actor: by, Action: what, Subject: a.String(), Reason: reason}}}, nil
}

// uncordon lets a coordinate have work again.
func uncordon(v View, by string, a pools.Address, reason string) (Write, error) {
	seat, err := v.known(a)
	if err != nil {
		return seatRefused(v, by, "uncordon", a, err), err
	}
	if !seat.Cordoned {
		return Write{}, nil
	}
	e := journal.Entry{At: v.Now, Actor: by, Action: "work.uncordoned", Subject: a.String(), Reason: clip(reason, longestReason)}
	if seat.Reason != "" {
		e.Data = map[string]string{"was": seat.Reason}
	}
	seat.Cordoned, seat.By, seat.Reason = false, "", ""
	return Write{Seats: []Seat{seat}, Journal: []journal.Entry{e}}, nil
}

// known is a coordinate that is in the pool config, or was once.
func (v View) known(a pools.Address) (Seat, error) {
	for _, s := range v.Seats {
		if s.Address == a {
			return s, nil
		}
	}
	if v.Set == nil {
		return Seat{}, fault.AsPermanent(errors.New("there is no pool config yet"))
	}
	if _, there := v.Set.Replicas[a]; !there {
		return Seat{}, fault.AsPermanent(fmt.Errorf("no coordinate is %s; there are %s", a, places(v.Set.Set)))
	}
	return Seat{Address: a}, nil
}

// refused is the journal's entry of what somebody was not allowed to do with an
// item.
func refused(v View, by, what string, id ItemID, why string) Write {
	return Write{Journal: []journal.Entry{entry(v.Now, by, "refused.work."+what, id, nil, why)}}
}

func seatRefused(v View, by, what string, a pools.Address, err error) Write {
	return Write{Journal: []journal.Entry{{At: v.Now, Actor: by, Action: "refused.work." + what, Subject: a.String(), Reason: strings.TrimSpace(err.Error())}}}
}
