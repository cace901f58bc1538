package reconcile

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

const (
	// fullLook is how often what waits for people alone is looked at whole.
	fullLook = 4 * time.Hour
	// settle is when a pull request is looked at once more after its list entry
	// changed: forges count whole seconds, so within one of them a second change
	// shows no difference.
	settle = 2 * time.Second
	// firstRecheck is how soon a verdict that time alone may change is looked at
	// again.
	firstRecheck = 300 * time.Millisecond
	// interval is how often a change is looked at on average, at the most, and
	// credit how many looks may follow each other at once: with both, it is less
	// than one a second over any eleven seconds.
	interval = 1100 * time.Millisecond
	credit   = 2
	// landing is the credit after a merge: its steps come in a row.
	landing = 10
)

// pace says when a change may be looked at: once a second on average, whatever
// the number of events (GCRA, with some looks of credit), and not at all faster
// than the rate of the resync where only the clock asks for it.
type pace struct {
	mu sync.Mutex
	// due is the theoretical time of the next look at each change.
	due map[ref.PullID]time.Time
	// merged are those with the credit of what follows a merge.
	merged map[ref.PullID]bool
	// free are the changes whose next look follows from the last one.
	free map[ref.PullID]bool
	// whole is when each change was looked at whole.
	whole map[ref.PullID]time.Time
	// unsettled are those whose list entry changed with the last look.
	unsettled map[ref.PullID]bool
	// slots are the places that the resync has given out, and last the last one.
	slots map[ref.PullID]time.Time
	last  time.Time
	every time.Duration // between two slots; 0: no limit
}

func newPace(rate float64) *pace {
	p := &pace{due: map[ref.PullID]time.Time{}, merged: map[ref.PullID]bool{}, free: map[ref.PullID]bool{}, whole: map[ref.PullID]time.Time{},
		unsettled: map[ref.PullID]bool{}, slots: map[ref.PullID]time.Time{}}
	if rate > 0 {
		p.every = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait is when a change may be looked at; zero is now.
func (p *pace) wait(id ref.PullID, merged bool, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if merged {
		p.merged[id] = true
	}
	if p.free[id] {
		delete(p.free, id)
		return time.Time{}
	}
	due := p.due[id]
	if at := p.soonest(id); now.Before(at) {
		return at
	}
	if len(p.due) > 20_000 {
		for id, at := range p.due {
			if at.Before(now) {
				delete(p.due, id)
			}
		}
	}
	if due.Before(now) {
		due = now
	}
	p.due[id] = due.Add(interval)
	return time.Time{}
}

// next is when an event may bring about the next look at a change; it takes no
// credit.
func (p *pace) next(id ref.PullID, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.soonest(id); now.Before(at) {
		return at
	}
	return now
}

// soonest is when the credit allows the next look.
func (p *pace) soonest(id ref.PullID) time.Time {
	looks := time.Duration(credit)
	if p.merged[id] {
		looks = landing
	}
	return p.due[id].Add(-(looks - 1) * interval)
}

// follows lets the next look at a change be made at once: it observes what came
// of the last one.
func (p *pace) follows(id ref.PullID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free[id] = true
}

// slot is when the resync may look at a change; zero is now.
func (p *pace) slot(id ref.PullID, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.every == 0 {
		return time.Time{}
	}
	if at, ok := p.slots[id]; ok {
		if now.Before(at) {
			return at
		}
		delete(p.slots, id)
		return time.Time{}
	}
	at := p.last.Add(p.every)
	if !at.After(now) {
		p.last = now
		return time.Time{}
	}
	p.last, p.slots[id] = at, at
	return at
}

// looked notes a whole look.
func (p *pace) looked(id ref.PullID, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whole[id] = now
}

// stale says whether a whole look is due. What was looked at before the start
// is taken to have been so then.
func (p *pace) stale(id ref.PullID, every time.Duration, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.whole[id]
	if !ok {
		p.whole[id] = now
		return false
	}
	return now.Sub(at) >= every
}

// settles notes that a change has to be looked at whole once more.
func (p *pace) settles(id ref.PullID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsettled[id] = true
}

// settling says, once, whether a change had to be looked at whole once more.
func (p *pace) settling(id ref.PullID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := p.unsettled[id]
	delete(p.unsettled, id)
	return again
}

// forget drops what is known of a change that has ended.
func (p *pace) forget(id ref.PullID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.due, id)
	delete(p.merged, id)
	delete(p.free, id)
	delete(p.whole, id)
	delete(p.unsettled, id)
	delete(p.slots, id)
}

// errHeld says that a key came before its time: it was not looked at.
var errHeld = errors.New("before its time")

// held says until when a look has to wait; zero is not at all.
func (e *Engine) held(claim Claim, c change.Change, now time.Time) time.Time {
	if at := e.pace.wait(c.ID, c.MergeSHA != "", now); !at.IsZero() {
		return at
	}
	if !byClock(claim, c) || e.rechecking(claim.Key) {
		return time.Time{}
	}
	return e.pace.slot(c.ID, now)
}

// byClock says whether nobody has made the key due since it was looked at, so
// that only time asks for this look.
func byClock(claim Claim, c change.Change) bool { return c.Rev > 0 && claim.Seq == c.Seq }

// glance spares the whole look at a change that waits for nothing but checks,
// when only the clock asks for one and the checks are still those that were
// judged (B6).
func (e *Engine) glance(ctx context.Context, claim Claim, repo Repository, c change.Change) (next time.Time, spared bool, err error) {
	now := e.Now()
	if e.pace.settling(c.ID) || !byClock(claim, c) || c.Outcome != change.Open || c.MergeSHA != "" || !waitsFor(c, checkCodes()) ||
		e.timely(c, now) || e.pace.stale(c.ID, e.full(), now) {
		return time.Time{}, false, nil
	}
	s, found, err := e.judged(ctx, c)
	if err != nil || !found || s.Pull.Head != c.Head {
		return time.Time{}, false, err
	}
	plan, err := e.plan(ctx, repo, s.Pull.Base, s.Pull.BaseHead)
	if err != nil {
		return time.Time{}, false, err
	}
	checks, err := repo.Forge.Checks(ctx, repo.ID, c.Head)
	if err != nil || !sameChecks(plan.Gate.Checks, checks, s.Checks) {
		return time.Time{}, false, err
	}
	return e.nextLook(c, gate.Verdict{}, now), true, nil
}

// timely says whether something about a change is due by the clock.
func (e *Engine) timely(c change.Change, now time.Time) bool {
	if g := c.Current(); g != nil && !g.Deadline.IsZero() && now.After(g.Deadline) && !g.Overdue {
		return true
	}
	return len(c.Talk.Answers) > 0 || (c.Refusal != nil && now.After(c.Refusal.Until)) || e.rechecking(ChangeKey(c.ID))
}

// sameChecks says whether the required checks stand as they stood. Jobs that no
// rule names are left aside: not every read brings them.
func sameChecks(rules []gate.CheckRule, now, then gate.Checks) bool {
	named := func(c gate.Checks) gate.Checks {
		c.Jobs = slices.DeleteFunc(slices.Clone(c.Jobs), func(j gate.Job) bool {
			return !slices.ContainsFunc(rules, func(r gate.CheckRule) bool { return r.Workflow != "" && r.Workflow == j.Workflow })
		})
		c.Statuses = slices.DeleteFunc(slices.Clone(c.Statuses), func(s gate.Status) bool { return s.Context == gate.StatusContext })
		return c
	}
	return now.SHA == then.SHA && now.StatusesRead == then.StatusesRead && now.JobsRead == then.JobsRead &&
		reflect.DeepEqual(gate.CheckRequired(rules, named(now)), gate.CheckRequired(rules, named(then)))
}

// nextLook is when a change is looked at without a hint: soon while something
// moves by itself, seldom while it waits for people, never once it has ended.
func (e *Engine) nextLook(c change.Change, v gate.Verdict, now time.Time) time.Time {
	if c.Outcome != change.Open {
		e.pace.forget(c.ID)
		return time.Time{}
	}
	next := now.Add(e.interval(c))
	if again := e.recheck(ChangeKey(c.ID), v, now); !again.IsZero() && again.Before(next) {
		next = again
	}
	if r := c.Refusal; r != nil && r.Until.After(now) && r.Until.Before(next) {
		next = r.Until
	}
	if g := c.Current(); g != nil && g.Deadline.After(now) && g.Deadline.Before(next) {
		next = g.Deadline.Add(time.Millisecond)
	}
	return next
}

// interval is how long a change may go without a look when nothing is heard.
func (e *Engine) interval(c change.Change) time.Duration {
	has := func(codes ...gate.Code) bool {
		return slices.ContainsFunc(c.Verdict, func(r change.Reason) bool { return slices.Contains(codes, r.Code) })
	}
	switch {
	case c.MergeSHA != "", len(c.Verdict) == 0, has(gate.CodeUnknown):
		return e.Active
	case !waitsFor(c, checkCodes()):
		return e.full() // the list tells of what people do
	case has(gate.CodeCheckPending, gate.CodeCheckMissing):
		return e.Active
	default:
		return e.Idle // a red check is somebody's to mend
	}
}

func (e *Engine) full() time.Duration {
	if e.Full > 0 {
		return e.Full
	}
	return fullLook
}

// recheck is when to look again at a verdict that time alone may change. A
// fixed time is kept to. What the forge is still working on is looked at soon
// at first, for most forges have their answer within a second, and ever more
// seldom, up to four times what the verdict asks for.
func (e *Engine) recheck(k Key, v gate.Verdict, now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	polls := slices.ContainsFunc(v.Reasons, func(r gate.Reason) bool { return r.Code == gate.CodeUnknown })
	if v.Recheck.IsZero() || !polls {
		delete(e.rechecks, k)
		if !v.Recheck.IsZero() {
			return v.Recheck.Add(time.Millisecond)
		}
		return time.Time{}
	}
	n := e.rechecks[k]
	e.rechecks[k] = min(n+1, 16)
	return now.Add(min(firstRecheck<<n, 4*v.Recheck.Sub(now)))
}

func (e *Engine) rechecking(k Key) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rechecks[k] > 0
}

// waitsFor says whether a change waits for nothing but what the codes say.
func waitsFor(c change.Change, codes []gate.Code) bool {
	return len(c.Verdict) > 0 && !slices.ContainsFunc(c.Verdict, func(r change.Reason) bool { return !slices.Contains(codes, r.Code) })
}

func checkCodes() []gate.Code {
	return []gate.Code{gate.CodeCheckPending, gate.CodeCheckMissing, gate.CodeCheckForeign, gate.CodeCheckFailed}
}
