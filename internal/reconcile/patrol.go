package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"slipway/internal/journal"
)

// Patrol examines everything on a schedule and tells what is new and what is
// gone. What it found it remembers while it runs, and tells once when it
// starts: whoever restarts Slipway wants to know how things stand, and the
// journal is for what has changed.
type Patrol struct {
	// Ask examines everything.
	Ask func(context.Context) []Finding
	// Next is when it is to be done again; zero: never.
	Next func(after time.Time) time.Time
	// Limit bounds one round.
	Limit time.Duration
	// Record keeps entries in the journal.
	Record func(ctx context.Context, entries []journal.Entry) error
	// Found is told of how many there are, and Alarmed of each that is new.
	Found   func(n int)
	Alarmed func(kind string)
	Now     func() time.Time
	Log     *slog.Logger
}

// Run goes its rounds until ctx ends. A round under way is cut off then.
func (p Patrol) Run(ctx context.Context) {
	known := p.first(ctx)
	for {
		next := p.Next(p.Now())
		if next.IsZero() {
			return
		}
		wait := time.NewTimer(next.Sub(p.Now()))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
			known = p.Round(ctx, known)
		}
	}
}

// Known are findings that were told, by what makes them the same.
type Known map[string]Finding

func (p Patrol) first(ctx context.Context) Known {
	known := Known{}
	all, _ := p.ask(ctx)
	for _, f := range all {
		known[f.key()] = f
		p.Log.Error("found at start", "area", f.Area, "fault", f.Fault, "mend", f.Mend)
	}
	p.Found(len(known))
	return known
}

// Round examines once, tells the differences to what is known, and returns what
// is known now. A difference that could not be recorded is told again.
func (p Patrol) Round(ctx context.Context, known Known) Known {
	found := Known{}
	all, whole := p.ask(ctx)
	for _, f := range all {
		found[f.key()] = f
	}
	if ctx.Err() != nil {
		return known
	}
	if !whole { // what was not asked is not gone
		p.Log.Warn("not everything was examined in time", "limit", p.Limit)
		for key, f := range known {
			found[key] = f
		}
	}
	p.Found(len(found))
	var entries []journal.Entry
	for key, f := range found {
		if _, told := known[key]; !told {
			p.Log.Error("drift found", "area", f.Area, "fault", f.Fault, "mend", f.Mend)
			p.Alarmed("drift")
			entries = append(entries, p.entry("drift.found", f))
		}
	}
	for key, f := range known {
		if _, still := found[key]; !still {
			p.Log.Info("drift gone", "area", f.Area, "fault", f.Fault)
			entries = append(entries, p.entry("drift.gone", f))
		}
	}
	if len(entries) == 0 {
		return found
	}
	if err := p.Record(ctx, entries); err != nil {
		p.Log.Error("keep drift in the journal", "error", err)
		return known
	}
	return found
}

// ask examines everything; whole is false when it was cut off.
func (p Patrol) ask(ctx context.Context) (found []Finding, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	found = p.Ask(ctx)
	return found, ctx.Err() == nil
}

func (p Patrol) entry(action string, f Finding) journal.Entry {
	e := journal.Entry{At: p.Now(), Actor: "slipway", Action: action, Subject: f.Area, Reason: f.Fault}
	if f.Mend != "" {
		e.Data = map[string]string{"mend": f.Mend}
	}
	return e
}

// numbers differ from one time to the next in the same fault: ports, times.
var numbers = regexp.MustCompile(`[0-9]+`)

// key is what makes a finding the same as another time.
func (f Finding) key() string {
	return fmt.Sprintf("%s\x00%s", f.Area, numbers.ReplaceAllString(f.Fault, "#"))
}
