package dispatcher

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/pools"
)

// The steps: each is what one transaction of the store decides, as a function
// of what it reads to what it writes. They have no context, no clock but the
// View's and no memory, so a store may run one again and the result is the
// same.
//
//	step        the View's scope                       what it does
//	draft       none                                   reads a Submission before the transaction
//	submit      item.scope()                           a new item, or the one that has the key
//	match       Ready, PerLane, Seats, Load, Set,      gives items to coordinates that ask
//	            Requests
//	reclaim     Request or Requests, Set               the attempt that a repeated claim got
//	giveBack    Attempt                                a claim whose answer nobody took
//	beat        Attempt (Seats: then Seen is kept)     a heartbeat
//	register    Attempt                                a pull request of an attempt
//	complete    Attempt                                an attempt that ends well
//	fail        Attempt                                an attempt that ends badly
//	overdue     Overdue                                leases, deadlines and rises that are over
//	settle      Items                                  what a pull request tells of its items
//	stuck       Ready or Items, Seats (all), Load, Set what items wait for that nothing can take
//	cancel      Items                                  an item is withdrawn
//	retry       Items, Flow                            a dead letter is offered again
//	cordon      Seats, Set                             a coordinate takes no new work
//	uncordon    Seats                                  it does again
//
// A step that refuses returns its error and, beside it, a Write that holds the
// journal's entry of the refusal and nothing that the refused call asked for.
// The Write is carried out whatever the error says: the function given to
// Transact keeps the error for itself and returns the Write with nil, else
// nobody would ever read of the refusal.

// What a worker's call can be refused for. Both are journalled.
var (
	// ErrStale is an attempt that is no longer the caller's to speak for: its
	// token is not the item's last, its lease is over, or it has ended.
	ErrStale = errors.New("the attempt is not held any more")
	// ErrForeign is an attempt of another coordinate.
	ErrForeign = errors.New("the attempt is another coordinate's")
	// ErrUnknown is a number that nothing has.
	ErrUnknown = errors.New("there is none")
)

// terms are the rules that all steps share. They are made with said().
type terms struct {
	// lease is how long an attempt is held without a heartbeat, beat how much to
	// leave between two.
	lease, beat time.Duration
	// deadline is how long one attempt may take where its pool says nothing.
	deadline time.Duration
	// attempts is how many an item has that says nothing.
	attempts int
	// rise is how long an item waits for its next level; 0: thirty minutes.
	rise time.Duration
	// pause is what follows a first failure; it doubles up to longest. 0: half a
	// minute, and half an hour.
	pause, longest time.Duration
	// sight is how long a finished review may take to be seen on the forge; 0:
	// ten minutes.
	sight time.Duration
}

// What stands where terms say nothing.
const (
	leaseUnsaid    = time.Minute
	beatUnsaid     = 20 * time.Second
	deadlineUnsaid = time.Hour
	attemptsUnsaid = 3
	riseUnsaid     = 30 * time.Minute
	pauseUnsaid    = 30 * time.Second
	longestUnsaid  = 30 * time.Minute
	sightUnsaid    = 10 * time.Minute
)

// The names under which Slipway itself and a coordinate act in the journal.
const self = "slipway"

// madeWay begins the reason of a stand-down for another attempt that was
// accepted.
const madeWay = "it was accepted from "

// said fills in what terms leave open.
func (t terms) said() terms {
	for of, unsaid := range map[*time.Duration]time.Duration{
		&t.lease: leaseUnsaid, &t.beat: beatUnsaid, &t.deadline: deadlineUnsaid, &t.rise: riseUnsaid,
		&t.pause: pauseUnsaid, &t.longest: longestUnsaid, &t.sight: sightUnsaid,
	} {
		if *of <= 0 {
			*of = unsaid
		}
	}
	if t.attempts <= 0 {
		t.attempts = attemptsUnsaid
	}
	return t
}

// tries is how many attempts an item may have.
func (t terms) tries(i Item) int {
	if i.Attempts > 0 {
		return i.Attempts
	}
	return t.attempts
}

// after is how long an item rests that failed so many times.
func (t terms) after(tries int) time.Duration {
	d := t.pause
	for range tries - 1 {
		if d >= t.longest {
			break
		}
		d *= 2
	}
	return min(d, t.longest)
}

// turn is one step on its way through one item: what was read, what becomes of
// it, and what is written besides.
type turn struct {
	t    terms
	now  time.Time
	was  Work
	work Work
	w    Write
}

func begin(v View, t terms, work Work) *turn {
	return &turn{t: t, now: v.Now, was: work, work: Work{Item: work.Item, Attempts: slices.Clone(work.Attempts)}}
}

// done is what the step writes: the item and the attempts that are no longer as
// they were read, and what was noted.
func (s *turn) done() Write {
	if !reflect.DeepEqual(s.was.Item, s.work.Item) {
		s.w.Items = append(s.w.Items, s.work.Item)
	}
	for i, a := range s.work.Attempts {
		if !reflect.DeepEqual(s.was.Attempts[i], a) {
			s.w.Attempts = append(s.w.Attempts, a)
		}
	}
	return s.w
}

// note adds an entry about the item to the journal; data are keys and values in
// turn. of is the attempt that it is about, nil for none.
func (s *turn) note(actor, action string, of *Attempt, reason string, data ...string) {
	s.w.Journal = append(s.w.Journal, entry(s.now, actor, action, s.work.Item.ID, of, reason, data...))
}

// move brings the item to a state, for a reason.
func (s *turn) move(to State, reason string) {
	i := &s.work.Item
	if i.State != to {
		i.State, i.Since = to, s.now
	}
	i.Reason, i.Ended, i.Raise = reason, time.Time{}, time.Time{}
	if i.over() {
		i.Ended = s.now
	}
	if to != Ready {
		i.NotBefore = time.Time{}
	}
}

// again offers the item once more after an attempt that counts, unless it has
// had all it may have, or the attempt asks for that: then it is dead. rest is
// how long it is left alone. What has merged meanwhile only has to arrive.
func (s *turn) again(reason string, rest time.Duration, final bool) {
	i := &s.work.Item
	i.Tries++
	switch limit := s.t.tries(*i); {
	case i.over():
	case i.Accepted != 0:
		s.move(Landing, reason)
	case final:
		s.die("it cannot be done: " + reason)
	case i.Tries >= limit:
		s.die(fmt.Sprintf("attempt %d of %d: %s", i.Tries, limit, reason))
	case i.usedUp():
		s.die(fmt.Sprintf("its budget of %s is used up; last: %s", i.Budget, reason))
	default:
		s.offer(reason, rest)
	}
}

// ended offers the item again whose live attempt has ended without success. One
// that had to make way for another is no try.
func (s *turn) ended(a *Attempt, reason string, rest time.Duration, final bool) {
	switch {
	case s.work.Item.State != Working:
	case strings.HasPrefix(a.StandDown, madeWay) && s.work.Item.Accepted == 0:
		s.offer(s.work.Item.Reason, 0)
	default:
		s.again(reason, rest, final)
	}
}

// offer lets the item wait for a coordinate, once nobody works on it any more.
func (s *turn) offer(reason string, rest time.Duration) {
	if s.work.live() != nil {
		s.move(Working, reason)
		return
	}
	s.move(Ready, reason)
	i := &s.work.Item
	i.NotBefore = time.Time{}
	if rest > 0 {
		i.NotBefore = s.now.Add(rest)
	}
	i.Raise = s.t.rises(*i, s.now)
}

// die gives the item up.
func (s *turn) die(reason string) {
	s.move(Dead, reason)
	s.note(self, "work.dead", nil, reason, "tries", strconv.Itoa(s.work.Item.Tries))
}

// end ends a live attempt: what is left of its reservation is free again.
func (s *turn) end(a *Attempt, o Outcome, reason string) {
	s.release(a)
	a.Outcome, a.Reason, a.Ended = o, reason, s.now
}

// standDown tells a live attempt to stop, when it next asks.
func (s *turn) standDown(actor string, a *Attempt, reason string) {
	if a.Outcome != Live || a.StandDown != "" {
		return
	}
	a.StandDown = reason
	s.note(actor, "work.stood_down", a, reason)
}

// standAllDown tells every live attempt but one to stop.
func (s *turn) standAllDown(actor, reason string, but AttemptID) {
	for i := range s.work.Attempts {
		if a := &s.work.Attempts[i]; a.ID != but {
			s.standDown(actor, a, reason)
		}
	}
}

// usedUp says that nothing is left of the item's own budget.
func (i Item) usedUp() bool { return i.Budget > 0 && i.Spent+i.Reserved >= i.Budget }

// over says that nothing becomes of an item by itself any more.
func (i Item) over() bool { return i.State == Done || i.State == Dead || i.State == Cancelled }

// live is the item's first attempt that is live; nil for none.
func (w Work) live() *Attempt {
	for i := range w.Attempts {
		if w.Attempts[i].Outcome == Live {
			return &w.Attempts[i]
		}
	}
	return nil
}

// passed says whether an attempt has come to a phase.
func (a Attempt) passed(p Phase) bool {
	return slices.ContainsFunc(a.Phases, func(x Passed) bool { return x.Phase == p })
}

// untaken says that nobody was there to take the claim: nothing was done in it.
// One that its worker handed back may have done something.
func (a Attempt) untaken() bool { return a.Outcome == Returned && a.Beat.IsZero() }

// seats are the coordinates that the View knows.
func (v View) seats() map[pools.Address]Seat {
	out := make(map[pools.Address]Seat, len(v.Seats))
	for _, s := range v.Seats {
		out[s.Address] = s
	}
	return out
}

// item finds an item of the View.
func (v View) item(id ItemID) (Work, error) {
	for _, w := range v.Works {
		if w.Item.ID == id {
			return w, nil
		}
	}
	return Work{}, fault.AsPermanent(fmt.Errorf("item %d: %w", id, ErrUnknown))
}

// entry is one of the journal, about an item and one of its attempts.
func entry(now time.Time, actor, action string, id ItemID, of *Attempt, reason string, data ...string) journal.Entry {
	e := journal.Entry{At: now, Actor: actor, Action: action, Subject: subject(id), Reason: reason, Data: map[string]string{}}
	if of != nil {
		e.Identity = of.Address.String()
		e.Data["token"] = strconv.FormatInt(of.Token, 10)
		if of.ID != 0 {
			e.Data["attempt"] = strconv.FormatInt(int64(of.ID), 10)
		}
	}
	for i := 0; i+1 < len(data); i += 2 {
		if data[i+1] != "" {
			e.Data[data[i]] = data[i+1]
		}
	}
	if len(e.Data) == 0 {
		e.Data = nil
	}
	return e
}

// subject names an item in the journal.
func subject(id ItemID) string { return "item " + strconv.FormatInt(int64(id), 10) }

// add is what a Write holds with another's.
func (w *Write) add(o Write) {
	w.Items = append(w.Items, o.Items...)
	w.Attempts = append(w.Attempts, o.Attempts...)
	w.Seats = append(w.Seats, o.Seats...)
	w.Spends = append(w.Spends, o.Spends...)
	w.Journal = append(w.Journal, o.Journal...)
	w.Look = append(w.Look, o.Look...)
}
