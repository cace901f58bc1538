package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/journal"
)

const (
	// refusalEvery is how often the journal, which forgets nothing, is told of the
	// same refusal: a worker that goes on and on with a stale token must not fill
	// it.
	refusalEvery = time.Minute
	// mostReasons is how many reasons of one coordinate and call are told apart at
	// a time.
	mostReasons  = 20
	otherReasons = "other reasons"
)

// refusal is what was refused, to whom and why.
type refusal struct{ actor, action, reason string }

// denial is a refusal that the journal was told of a short while ago.
type denial struct {
	entry journal.Entry // the last of them
	at    time.Time     // when it was told
	again int           // how often it was refused after that
}

// refusals are those that the journal was told of a short while ago.
type refusals struct {
	mu   sync.Mutex
	told map[refusal]denial
}

// obey is transact for a worker's call: of a refusal, the journal is told once a
// minute, with how many like it there were since.
func (d *Dispatcher) obey(ctx context.Context, scope Scope, step func(View) (Write, error)) error {
	var said error
	undo := func() {}
	err := d.transact(ctx, scope, func(v View) (w Write, _ error) {
		undo() // the transaction is repeated
		undo = func() {}
		w, said = step(v)
		if said != nil && len(w.Journal) == 1 && strings.HasPrefix(w.Journal[0].Action, "refused.") {
			w.Journal, undo = d.refused.note(w.Journal[0])
		}
		return w, nil
	})
	if err != nil {
		undo()
		return err
	}
	return said
}

// note counts a refusal, and gives what the journal is to be told of it, which
// may be nothing. undo takes it back.
func (r *refusals) note(e journal.Entry) (told []journal.Entry, undo func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := refusal{e.Actor, e.Action, e.Reason}
	if _, known := r.told[of]; !known && r.reasons(of, e.At) >= mostReasons {
		of.reason = otherReasons
	}
	was, known := r.told[of]
	undo = func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if known {
			r.told[of] = was
		} else {
			delete(r.told, of)
		}
	}
	if known && e.At.Sub(was.at) < refusalEvery {
		r.told[of] = denial{entry: e, at: was.at, again: was.again + 1}
		return nil, undo
	}
	r.told[of] = denial{entry: e, at: e.At}
	e.Reason += was.more()
	return []journal.Entry{e}, undo
}

// reasons is how many of a coordinate and a call are told apart. Those that need
// not be any more are forgotten.
func (r *refusals) reasons(of refusal, now time.Time) int {
	n := 0
	for k, last := range r.told {
		switch {
		case k.actor != of.actor || k.action != of.action:
		case last.again == 0 && now.Sub(last.at) >= refusalEvery:
			delete(r.told, k)
		default:
			n++
		}
	}
	return n
}

// due gives the entries about what was refused again and was not told for a
// minute; what was not refused again is forgotten.
func (r *refusals) due(now time.Time) []journal.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []journal.Entry
	for k, last := range r.told {
		if now.Sub(last.at) < refusalEvery {
			continue
		}
		delete(r.told, k)
		if last.again > 0 {
			e := last.entry
			e.At, e.Reason = now, e.Reason+last.more()
			out = append(out, e)
			r.told[k] = denial{entry: last.entry, at: now}
		}
	}
	slices.SortFunc(out, func(a, b journal.Entry) int {
		return cmp.Or(cmp.Compare(a.Actor, b.Actor), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// more says how many refusals the journal was not told of one by one.
func (d denial) more() string {
	if d.again == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d more since %s)", d.again, d.at.UTC().Format(time.RFC3339))
}

// tellRefusals tells the journal how often was refused what it was told of.
func (d *Dispatcher) tellRefusals(ctx context.Context) error {
	if entries := d.refused.due(d.clock.show()); len(entries) > 0 {
		return d.transact(ctx, Scope{}, func(View) (Write, error) { return Write{Journal: entries}, nil })
	}
	return nil
}
