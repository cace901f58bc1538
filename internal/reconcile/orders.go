package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// given is an order to a change: by a comment or over the API.
type given struct {
	by authz.Actor
	// token says that by is the name of a token, which is nobody's login.
	token bool
	verb  authz.Verb
	args  string
	// head is the one that is asked or waived for; "" when it is not known which
	// one whoever gave the order saw.
	head ref.SHA
	at   time.Time
	// edited says that it stands in a comment that was changed before it was read.
	edited bool
	// doubtful says that nobody can tell whether it stands in such a one.
	doubtful bool
}

// Order gives an order to a change: hold, unhold, merge, retry or emergency,
// with the reason as args. What the table does not allow, or makes no sense, is
// journalled and fault.Permanent.
func (e *Engine) Order(ctx context.Context, id ref.PullID, actor authz.Actor, verb authz.Verb, args string) error {
	if _, ok := e.repos[id.Repo]; !ok {
		return fault.AsPermanent(fmt.Errorf("repository %s is not served here", id.Repo))
	}
	for try := 0; ; try++ {
		c, found, err := e.Store.Change(ctx, id)
		if err != nil {
			return err
		}
		if !found {
			return fault.AsPermanent(fmt.Errorf("%s is not known here", id))
		}
		o := given{by: actor, token: true, verb: verb, args: args, head: c.Head, at: e.Now()}
		next, err := obey(c, o)
		if err != nil {
			cause := err
			if err := e.Store.Commit(ctx, Write{Journal: []journal.Entry{o.entry(c, cause)}}); err != nil {
				return fmt.Errorf("%w (and the journal: %w)", cause, err)
			}
			return fault.AsPermanent(cause)
		}
		due := []Due{{ChangeKey(id), e.Now()}}
		if verb == authz.Retry {
			e.doubt(due)
		}
		err = e.Store.Commit(ctx, Write{Change: &next, Journal: []journal.Entry{o.entry(c, nil)}, Due: due})
		if fault.KindOf(err) == fault.Changed && try < 10 {
			continue
		}
		if err == nil {
			e.moved(id)
		}
		return err
	}
}

// Unfreeze lets merges to a branch go on. A branch that is not frozen is
// fault.Permanent; both are journalled.
func (e *Engine) Unfreeze(ctx context.Context, b ref.BranchID, by Person) error {
	if _, ok := e.repos[b.Repo]; !ok {
		return fault.AsPermanent(fmt.Errorf("repository %s is not served here", b.Repo))
	}
	frozen, err := e.Store.Freeze(ctx, b)
	if err != nil {
		return err
	}
	entry := journal.Entry{At: e.Now(), Actor: by.Name, Action: "order.unfreeze", Subject: b.String(), Reason: by.Reason}
	if frozen == nil {
		cause := fmt.Errorf("%s is not frozen", b)
		entry.Action, entry.Reason = "refused.order.unfreeze", cause.Error()
		return errors.Join(fault.AsPermanent(cause), e.Store.Commit(ctx, Write{Journal: []journal.Entry{entry}}))
	}
	entry.Data = map[string]string{"frozen_for": frozen.Reason, "frozen_at": frozen.At.UTC().Format(time.RFC3339)}
	due, err := e.openDue(ctx, b)
	if err != nil {
		return err
	}
	return e.Store.Commit(ctx, Write{Freeze: &BranchFreeze{Branch: b, Lifted: true}, Journal: []journal.Entry{entry}, Due: due})
}

// atOnce is how many changes are looked at at once when something about all of
// them moved.
const atOnce = 50

// openDue makes due whatever may still merge to a branch.
func (e *Engine) openDue(ctx context.Context, b ref.BranchID) ([]Due, error) {
	changes, err := e.Store.Changes(ctx, Filter{Repo: b.Repo, Base: b.Name, Unfinished: true})
	if err != nil {
		return nil, fmt.Errorf("changes of %s: %w", b, err)
	}
	changes = slices.DeleteFunc(changes, func(c change.Change) bool { return c.MergeSHA != "" })
	return e.spread(changesDue(changes, e.Now()), atOnce, e.Now()), nil
}

// who gave it, as it is kept and shown: no login is written like a token.
func (o given) who() string {
	if o.token {
		return "token " + o.by.Name
	}
	return o.by.Name
}

// entry is the order in the journal; cause is why it was refused.
func (o given) entry(c change.Change, cause error) journal.Entry {
	j := journal.Entry{At: o.at, Actor: o.who(), Action: "order." + string(o.verb), Subject: c.ID.String(), Identity: string(o.head), Reason: o.args}
	if cause != nil {
		j.Action, j.Reason = "refused."+j.Action, cause.Error()
	}
	return j
}

// obey is the record after an order. An error says, to whoever gave the order,
// why it is not followed.
func obey(c change.Change, o given) (change.Change, error) {
	mine := func(h gate.Hold) bool { return strings.EqualFold(h.By, o.who()) }
	if slices.ContainsFunc(c.Holds, mine) {
		o.by.Roles = append(slices.Clone(o.by.Roles), authz.Setter)
	}
	if err := authz.Check(o.by, o.verb, o.at); err != nil {
		return c, err
	}
	if c.MergeSHA != "" && o.verb != authz.Retry || c.Outcome != change.Open {
		return c, errors.New("it is not open any more")
	}
	switch o.verb {
	case authz.Hold:
		c.Holds = append(slices.DeleteFunc(slices.Clone(c.Holds), mine), gate.Hold{By: o.who(), Reason: o.args, At: o.at})
	case authz.Unhold:
		return unhold(c, o, mine)
	case authz.Merge:
		if o.head == "" {
			return c, errUnseen
		}
		c.Asked = &gate.Asked{By: o.who(), Head: o.head, At: o.at}
	case authz.Retry:
		c.Refusal = nil
	case authz.Waive:
		switch {
		case o.head == "":
			return c, errUnseen
		case strings.TrimSpace(o.args) == "":
			return c, errors.New("an emergency wants its reason")
		}
		c.Emergency = &gate.Emergency{By: o.who(), Reason: o.args, Head: o.head, At: o.at}
	default:
		return c, fmt.Errorf("%s is no order to a pull request", o.verb)
	}
	return c, nil
}

// errUnseen refuses what is bound to a head when it is not known which head was
// meant: a push may have come in between.
var errUnseen = errors.New("it was given before its present head was seen, so it may have meant another one: look at the head and say it again")

// errEdited refuses what stands in an edited comment: whoever may write to the
// repository may edit what others said.
var errEdited = errors.New("the comment was edited before it was read, so its words may be somebody else's: say it again in a new one")

// errDoubtful refuses what would let something merge and may be somebody else's.
var errDoubtful = errors.New("the forge does not tell whether its author wrote this comment as it stands, since it is long or its author hides what they do: say it in a short comment of its own, or to the server")

// unhold lifts the holds that somebody may lift: an operator all, anybody else
// their own.
func unhold(c change.Change, o given, mine func(gate.Hold) bool) (change.Change, error) {
	if len(c.Holds) == 0 {
		return c, errors.New("nobody holds it by command; a label is taken off in the forge")
	}
	lifts := mine
	if slices.Contains(o.by.Roles, authz.Operator) {
		lifts = func(gate.Hold) bool { return true }
	}
	c.Holds = slices.DeleteFunc(slices.Clone(c.Holds), lifts)
	return c, nil
}
