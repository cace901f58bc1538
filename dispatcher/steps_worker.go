package dispatcher

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/pools"
)

// call is what a worker's call says of itself.
type call struct {
	as    pools.Address
	id    AttemptID
	token int64
	name  string // for the journal: heartbeat, register, complete, fail
}

// holding is a turn at the attempt that a call may speak for.
type holding struct {
	*turn
	a *Attempt
}

// phases are the ones that a heartbeat may name, in order.
func phases() []Phase { return []Phase{Claimed, Preparing, Running, Publishing} }

// held finds the attempt of a call, or refuses it: another coordinate's, one
// whose token is not the item's last, one that has ended, and one whose lease is
// over though nobody has ended it yet.
func (c call) held(v View) (holding, Write, error) {
	s, a := c.find(v)
	switch {
	case a == nil:
		return holding{}, Write{}, fault.AsPermanent(fmt.Errorf("attempt %d: %w", c.id, ErrUnknown))
	case a.Address != c.as:
		return holding{}, c.refusal(v, a, "it is an attempt of "+a.Address.String()), fmt.Errorf("attempt %d: %w", c.id, ErrForeign)
	}
	why := ""
	switch {
	case c.token != a.Token:
		why = "the token is not the attempt's"
	case a.Outcome != Live:
		why = "it has ended: " + string(a.Outcome)
	case s.work.Item.Mode == Single && a.Token != s.work.Item.Token:
		why = "the item was given to another since"
	case !v.Now.Before(a.Until):
		why = "its lease is over since " + a.Until.UTC().Format(time.RFC3339)
	default:
		return holding{s, a}, Write{}, nil
	}
	return holding{}, c.refusal(v, a, why), fmt.Errorf("attempt %d: %w: %s", c.id, ErrStale, why)
}

// beat takes a heartbeat: the lease is held on, what it has cost is settled, and
// whoever is to stand down is told. One that is being stood down keeps its lease
// for one more from when it was told: then it has acknowledged, or has ended
// without. A coordinate that stopped without being told has failed.
func beat(v View, t terms, as pools.Address, id AttemptID, b Beat) (Write, Pulse, error) {
	c := call{as, id, b.Token, "heartbeat"}
	if _, a := c.find(v); b.Stopped && c.repeats(v, func(a Attempt) bool { return a.Outcome == StoodDown }) {
		return Write{}, Pulse{Until: a.Until, StandDown: a.StandDown}, nil
	}
	h, w, err := c.held(v)
	if err != nil {
		return w, Pulse{}, err
	}
	h.t = t
	if err := b.check(*h.a); err != nil {
		return c.refusal(v, h.a, err.Error()), Pulse{}, err
	}
	h.report(b)
	h.w.Seats = seen(v, as)
	h.watch()
	switch {
	case b.Stopped && h.a.StandDown != "":
		h.acknowledge("")
	case b.Stopped:
		h.failed("it stopped by itself", false)
	case h.a.StandDown == "":
		h.a.Until = later(h.a.Until, h.now.Add(t.lease))
	case h.a.Told.IsZero():
		h.a.Told, h.a.Until = h.now, later(h.a.Until, h.now.Add(t.lease))
		h.note(self, "work.told", h.a, h.a.StandDown)
	}
	return h.done(), Pulse{Until: h.a.Until, StandDown: h.a.StandDown}, nil
}

// register binds a pull request and its head to an attempt (W2). others are
// attempts that have registered the same pull request: a build of another item
// has it for itself.
func register(v View, t terms, as pools.Address, id AttemptID, r Registration, others []Attempt) (Write, error) {
	c := call{as, id, r.Token, "register"}
	h, w, err := c.held(v)
	if err != nil {
		return w, err
	}
	h.t = t
	if why := h.unfit(r, others); why != "" {
		return c.refusal(v, h.a, why), unfitted(id, r, why)
	}
	if h.a.Pull == r.Pull && h.a.Head == r.Head {
		return Write{}, nil
	}
	h.note(as.String(), "work.registered", h.a, "", "pull_request", r.Pull.String(), "head", string(r.Head), "before", string(h.a.Head))
	h.a.Pull, h.a.Head = r.Pull, r.Head
	h.w.Look = append(h.w.Look, r.Pull)
	return h.done(), nil
}

// complete ends an attempt well: its evidence is awaited from now on. A
// completion sent again is as good as the first. One that comes after a
// stand-down only acknowledges that.
func complete(v View, t terms, as pools.Address, id AttemptID, done Completion) (Write, error) {
	c := call{as, id, done.Token, "complete"}
	if c.repeats(v, func(a Attempt) bool { return a.passed(Completed) }) {
		return Write{}, nil
	}
	h, w, err := c.held(v)
	if err != nil {
		return w, err
	}
	h.t = t
	if err := done.check(*h.a); err != nil {
		return c.refusal(v, h.a, err.Error()), err
	}
	if h.a.StandDown == "" {
		if why := h.lacks(done); why != "" {
			return c.refusal(v, h.a, why), fault.AsPermanent(fmt.Errorf("attempt %d cannot complete: %s", id, why))
		}
	}
	h.report(done.Beat)
	h.w.Seats = seen(v, as)
	if why := h.a.StandDown; why != "" {
		h.acknowledge("it completed after it was to stop")
		return h.done(), fmt.Errorf("attempt %d: %w: it is to stand down: %s", id, ErrStale, why)
	}
	h.a.Verdict = done.Verdict
	h.a.Phases = append(h.a.Phases[:len(h.a.Phases):len(h.a.Phases)], Passed{Completed, h.now})
	h.end(h.a, Finished, clip(done.Summary, longestReason))
	if h.work.Item.State == Working {
		h.move(Landing, "")
	}
	h.note(as.String(), "work.completed", h.a, "", "pull_request", h.a.Pull.String(), "head", string(h.a.Head), "verdict", h.a.Verdict, "cost", h.a.Cost.Amount.String())
	h.w.Look = append(h.w.Look, h.a.Pull)
	return h.done(), nil
}

// fail ends an attempt badly, and offers its item again after a rest, or gives
// it up. One that a worker hands back because it was told to stop is no failure.
// A failure sent again is as good as the first.
func fail(v View, t terms, as pools.Address, id AttemptID, f Failure) (Write, error) {
	c := call{as, id, f.Token, "fail"}
	if c.repeats(v, func(a Attempt) bool {
		return (a.Outcome == Failed || a.Outcome == StoodDown || a.Outcome == Returned) && !a.untaken() && !a.passed(Completed)
	}) {
		return Write{}, nil
	}
	h, w, err := c.held(v)
	if err != nil {
		return w, err
	}
	h.t = t
	if err := f.check(*h.a); err != nil {
		return c.refusal(v, h.a, err.Error()), err
	}
	h.report(f.Beat)
	h.w.Seats = seen(v, as)
	reason := clip(f.Reason, longestReason)
	if reason == "" {
		reason = "it gave no reason"
	}
	switch {
	case h.a.StandDown != "":
		h.acknowledge(reason)
	case f.Returned && h.a.Head == "" && len(h.work.Attempts) <= mostReturns:
		h.returned(reason)
	default:
		h.failed(reason, f.Final)
	}
	return h.done(), nil
}

// report takes over what a worker says of its attempt.
func (h holding) report(b Beat) {
	h.a.Beat = h.now
	h.charge(h.a, b.Tokens, b.Amount)
	if b.Phase != "" && !h.a.passed(b.Phase) && ahead(h.a.Phases, b.Phase) {
		h.a.Phases = append(h.a.Phases[:len(h.a.Phases):len(h.a.Phases)], Passed{b.Phase, h.now})
		h.note(h.a.Address.String(), "work.phase", h.a, "", "phase", string(b.Phase))
	}
	h.observe(b.Model)
}

// observe compares the model that was really used with the assigned one. A
// difference is said once, and is not forgotten when a later report agrees.
func (h holding) observe(model string) {
	assigned, was := h.a.Assignment.Model, h.a.Observed
	if model == "" || (was != "" && !sameModel(was, assigned) && sameModel(model, assigned)) || sameModel(model, was) {
		return
	}
	h.a.Observed = clip(model, longestName)
	if !sameModel(model, assigned) {
		h.note(self, "work.model_differs", h.a, fmt.Sprintf("the command used %s where %s is assigned", h.a.Observed, assigned),
			"assigned", assigned, "observed", h.a.Observed)
	}
}

// watch stands an attempt down whose time or budget is over.
func (h holding) watch() {
	switch {
	case !h.now.Before(h.a.Deadline):
		h.standDown(self, h.a, "its deadline of "+h.a.Deadline.UTC().Format(time.RFC3339)+" is over")
	case h.a.Reserved > 0 && h.a.Cost.Amount >= h.a.Reserved:
		h.standDown(self, h.a, fmt.Sprintf("its budget of %s is used up", h.a.Reserved))
	}
}

// acknowledge ends an attempt that was stood down.
func (h holding) acknowledge(how string) {
	if h.a.Told.IsZero() {
		h.a.Told = h.now
	}
	h.a.Acknowledged = h.now
	reason := h.a.StandDown
	h.end(h.a, StoodDown, reason)
	h.note(h.a.Address.String(), "work.acknowledged", h.a, how, "spent_after", h.a.SpentAfter.String())
	h.ended(h.a, reason, h.t.after(h.work.Item.Tries+1), false)
}

// mostReturns is after how many attempts of an item one that is handed back
// counts all the same: workers that stop again and again come to an end.
const mostReturns = 20

// returned ends an attempt that its worker hands back because it was told to
// stop. Another can have the item at once.
func (h holding) returned(reason string) {
	h.end(h.a, Returned, reason)
	h.note(h.a.Address.String(), "work.returned", h.a, reason, "cost", h.a.Cost.Amount.String())
	switch i := h.work.Item; {
	case i.State != Working:
	case i.usedUp():
		h.die(fmt.Sprintf("its budget of %s is used up; last: %s", i.Budget, reason))
	default:
		h.offer(reason, 0)
	}
}

// failed ends an attempt badly.
func (h holding) failed(reason string, final bool) {
	h.end(h.a, Failed, reason)
	h.note(h.a.Address.String(), "work.failed", h.a, reason, "final", yes(final), "cost", h.a.Cost.Amount.String())
	h.ended(h.a, reason, h.t.after(h.work.Item.Tries+1), final)
}

// unfit says why an attempt cannot have a pull request; "" when it can.
func (h holding) unfit(r Registration, others []Attempt) string {
	i := h.work.Item
	if r.Pull.Number < 1 || r.Pull.Repo != i.Repo {
		return "the work is on " + i.Repo.String()
	}
	if _, err := ref.ParseSHA(string(r.Head)); err != nil {
		return err.Error()
	}
	if i.Kind == Review {
		if r.Pull != i.Pull || r.Head != i.Head {
			return fmt.Sprintf("the review is asked of %s at %s", i.Pull, i.Head)
		}
		return ""
	}
	for _, o := range others {
		if o.Item != i.ID && o.Pull == r.Pull && o.Branch != "" {
			return fmt.Sprintf("the pull request was registered for item %d", o.Item)
		}
	}
	return ""
}

// lacks says what is missing for an attempt to complete; "" for nothing.
func (h holding) lacks(done Completion) string {
	if h.a.Head == "" {
		return "it has registered no pull request and head"
	}
	if h.work.Item.Kind != Review {
		return ""
	}
	switch done.Verdict {
	case "approved", "changes_requested", "commented":
		return ""
	default:
		return fmt.Sprintf("a review says approved, changes_requested or commented, and not %q", clip(done.Verdict, longestName))
	}
}

// find brings the attempt of a call in its turn; nil when there is none.
func (c call) find(v View) (*turn, *Attempt) {
	for _, work := range v.Works {
		for n := range work.Attempts {
			if work.Attempts[n].ID == c.id {
				s := begin(v, terms{}, work)
				return s, &s.work.Attempts[n]
			}
		}
	}
	return nil, nil
}

// repeats says whether a call was obeyed before: it is by the same coordinate
// with the same token, for an attempt that ended so.
func (c call) repeats(v View, so func(Attempt) bool) bool {
	_, a := c.find(v)
	return a != nil && a.Address == c.as && a.Token == c.token && so(*a)
}

// refusal is the journal's entry of a call that was refused.
func (c call) refusal(v View, a *Attempt, why string) Write {
	e := entry(v.Now, c.as.String(), "refused.work."+c.name, a.Item, a, why, "given_token", strconv.FormatInt(c.token, 10))
	w := Write{}
	w.Journal = append(w.Journal, e)
	return w
}

// check refuses a heartbeat that makes no sense for its attempt: it goes back to
// an earlier phase, or names a cost that cannot be. A budget has to survive it.
func (b Beat) check(a Attempt) error {
	if b.Phase != "" && !ahead(nil, b.Phase) {
		return fault.AsPermanent(fmt.Errorf("there is no phase %q; there are %v", clip(string(b.Phase), longestName), phases()))
	}
	if b.Phase != "" && len(a.Phases) > 0 {
		if last := a.Phases[len(a.Phases)-1].Phase; last != b.Phase && !ahead(a.Phases, b.Phase) {
			return fault.AsPermanent(fmt.Errorf("the phase goes back from %s to %s", last, b.Phase))
		}
	}
	kinds := []int64{b.Tokens.Input, b.Tokens.Output, b.Tokens.CacheRead, b.Tokens.CacheWrite}
	switch {
	case b.Amount < 0 || slices.Min(kinds) < 0:
		return fault.AsPermanent(errors.New("a cost is not below nought"))
	case slices.Max(kinds) > mostTokens:
		return fault.AsPermanent(fmt.Errorf("no attempt uses over %d tokens of a kind", mostTokens))
	case b.Amount > mostMoney, b.Amount == 0 && a.Assignment.Prices.Cost(b.Tokens) > mostMoney:
		return fault.AsPermanent(fmt.Errorf("no attempt costs over %s", mostMoney))
	default:
		return nil
	}
}

// ahead says whether a phase comes after the last that was passed. What is no
// phase comes after none.
func ahead(passed []Passed, p Phase) bool {
	at := -1
	if len(passed) > 0 {
		at = slices.Index(phases(), passed[len(passed)-1].Phase)
	}
	return slices.Index(phases(), p) > at
}

// seen is a coordinate that has called.
func seen(v View, as pools.Address) []Seat {
	for _, s := range v.Seats {
		if s.Address == as {
			s.Seen = v.Now
			return []Seat{s}
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
