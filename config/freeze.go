package config

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a small image has no time zones of its own

	"github.com/robfig/cron/v3"

	"slipway/gate"
)

const (
	maxWindow = 366 * 24 * time.Hour
	// maxOpenings is how often a window may open again before it has closed.
	maxOpenings = 400
	// turn is more than any time zone's clocks were ever turned by at once, but
	// for a change of the date line.
	turn = 3 * time.Hour
)

// window is a freeze as the file has it.
type window struct {
	name, reason string
	cron         string
	schedule     cron.Schedule
	lasts        time.Duration
	zone         string
	from, to     string
	faulty       bool
}

func (r *reader) freezes(into *[]gate.Freeze) form {
	lines := map[string]int{}
	var windows []window
	blank := window{zone: "UTC"}
	return many(r, &windows, blank, func(w *window) form {
		return r.object(
			must("name", r.unique(&w.name, lines, label()), "What it is called where people read of it."),
			may("cron", r.cron(&w.cron, &w.schedule), "When it opens, again and again: five fields of cron (minute, hour, day of the month, month, day of the week)."),
			may("for", r.duration(&w.lasts, maxWindow), "How long it then lasts, in hours that really pass; needed with `cron`."),
			may("from", r.text(&w.from, localTime()), "When it opens, once: as `2026-12-24T00:00`."),
			may("to", r.text(&w.to, localTime()), "When that one closes; needed with `from`."),
			may("time_zone", r.text(&w.zone, that(timeZone)), "The time zone of all these, by its IANA name, as `Europe/Berlin`."),
			may("reason", r.text(&w.reason), "Why, for the people who wait."),
		).named("freeze").oneOf("cron", "from").with("cron", "for").with("for", "cron").with("from", "to").with("to", "from").
			then(func(n node) { r.window(n, w) }).noting(r, &w.faulty)
	}).then(func(node) {
		*into = nil
		for _, w := range windows {
			if !w.faulty {
				*into = append(*into, gate.Freeze{Name: w.name, Reason: w.reason, Active: w.active()})
			}
		}
	})
}

// window asks what lies between the keys.
func (r *reader) window(n node, w *window) {
	recurring, once := r.names(n, "cron"), r.names(n, "from")
	switch {
	case recurring && once:
		r.fault(n, "names a cron and a from; a window recurs or comes once")
	case !recurring && !once:
		r.fault(n, "does not say when: name a cron and how long it lasts (for), or a from and a to")
	case recurring && !r.names(n, "for"):
		r.fault(n, "does not say how long it lasts (for)")
	case recurring && r.names(n, "to"):
		r.fault(n, "names a to, which only a window with a from has: say how long it lasts (for)")
	case once && !r.names(n, "to"):
		r.fault(n, "does not say when it closes (to)")
	case once && r.names(n, "for"):
		r.fault(n, "names a for, which only a window with a cron has: say when it closes (to)")
	default:
		if wrong := w.wrong(); wrong != "" {
			r.fault(n, "%s", wrong)
		}
	}
}

// wrong says what makes no window, of values that are valid each by itself.
func (w *window) wrong() string {
	zone, err := time.LoadLocation(w.zone)
	switch {
	case err != nil:
	case w.schedule != nil && w.lasts > 0:
		s := recurring{w.schedule, w.lasts, zone}
		opens := s.next(time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC))
		if opens.IsZero() {
			return fmt.Sprintf("the cron %q names a day that never comes", w.cron)
		}
		if _, closes := s.closes(opens); !closes {
			return fmt.Sprintf("opens again before it has closed, for ever: %q does so more often than every %s", w.cron, short(w.lasts))
		}
	case w.from != "" && w.to != "":
		if from, to := w.bounds(zone); !to.After(from) {
			return fmt.Sprintf("closes (%s) before it has opened (%s)", w.to, w.from)
		}
	}
	return ""
}

// active is the function that the gate asks, of a window without a fault.
func (w *window) active() func(time.Time) (bool, time.Time) {
	zone, err := time.LoadLocation(w.zone)
	if err != nil {
		// The zone was found a moment ago. Were it gone, nothing would merge.
		return func(time.Time) (bool, time.Time) { return true, time.Time{} }
	}
	if w.schedule != nil {
		return recurring{w.schedule, w.lasts, zone}.active
	}
	from, to := w.bounds(zone)
	return func(now time.Time) (bool, time.Time) {
		switch {
		case now.Before(from):
			return false, from
		case now.Before(to):
			return true, to
		}
		return false, time.Time{}
	}
}

// bounds are the first moment at which the clocks show from, and the last at
// which they show to.
func (w *window) bounds(zone *time.Location) (from, to time.Time) {
	opens, closes := moments(clock(w.from), zone), moments(clock(w.to), zone)
	return opens[0], closes[len(closes)-1]
}

// recurring is a window that opens by cron and lasts for a while.
type recurring struct {
	schedule cron.Schedule // over the time that clocks show, as if it were UTC
	lasts    time.Duration
	zone     *time.Location
}

// active says whether now is within a window, and when that changes: windows
// that overlap or touch are one.
func (s recurring) active(now time.Time) (bool, time.Time) {
	opened := s.next(now.Add(-s.lasts))
	if opened.IsZero() || opened.After(now) {
		return false, opened
	}
	end, _ := s.closes(opened)
	return true, end
}

// closes is the end of the windows that start with the one at opened; false if
// there is none within reason.
func (s recurring) closes(opened time.Time) (time.Time, bool) {
	end := opened.Add(s.lasts)
	for range maxOpenings {
		opened = s.next(opened)
		if opened.IsZero() || opened.After(end) {
			return end, true
		}
		end = opened.Add(s.lasts)
	}
	return end, false
}

// next is the first opening after t; zero for none in the years to come.
//
// The schedule is asked for times that a clock shows. One that the clocks skip
// opens as if they had not been turned, one that they show twice opens twice:
// no freeze is lost to the change of the hour.
func (s recurring) next(t time.Time) time.Time {
	if straight := s.schedule.Next(wall(t.In(s.zone))); !straight.IsZero() {
		opens := moments(straight, s.zone)[0]
		if _, turned := t.Add(-turn).In(s.zone).ZoneBounds(); turned.IsZero() || turned.After(opens.Add(turn)) {
			return opens // no clock is turned in between
		}
	}
	shown := wall(t.In(s.zone)).Add(-turn)
	var first time.Time
	for {
		shown = s.schedule.Next(shown)
		if shown.IsZero() {
			return first
		}
		moments := moments(shown, s.zone)
		if !first.IsZero() && moments[0].Sub(first) > turn {
			return first
		}
		for _, m := range moments {
			if m.After(t) && (first.IsZero() || m.Before(first)) {
				first = m
			}
		}
		if !first.IsZero() && wall(first.In(s.zone)).Add(turn).Before(shown) {
			return first
		}
	}
}

// wall is what the clocks show at t, as if it were UTC.
func wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// moments are when the clocks of a zone show a time: once, twice, or, where
// they skip it, when they would have.
func moments(shown time.Time, zone *time.Location) []time.Time {
	const day = 24 * time.Hour
	near := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), 0, zone)
	_, before := near.Add(-day).Zone()
	_, after := near.Add(day).Zone()
	early := shown.Add(-time.Duration(before) * time.Second).In(zone)
	late := shown.Add(-time.Duration(after) * time.Second).In(zone)
	earlyShows, lateShows := wall(early).Equal(shown), wall(late).Equal(shown)
	switch {
	case before == after || !lateShows:
		return []time.Time{early}
	case !earlyShows:
		return []time.Time{late}
	}
	return []time.Time{early, late}
}

// cron is a schedule in the five fields of cron.
func (r *reader) cron(into *string, schedule *cron.Schedule) form {
	c := matches(cronPattern, "five fields of cron, as \"0 16 * * 5\"")
	f := r.text(into, c, that(func(s string) string {
		if _, err := parseCron(s); err != nil {
			return fmt.Sprintf("%q is no schedule of cron: %v", clip(s), err)
		}
		return ""
	}))
	return f.then(func(node) {
		if *into != "" && schedule != nil {
			*schedule, _ = parseCron(*into) // checked above
		}
	})
}

// parseCron reads five fields, over UTC.
func parseCron(s string) (cron.Schedule, error) {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	return parser.Parse("CRON_TZ=UTC " + s)
}

func timeZone(s string) string {
	if strings.EqualFold(s, "local") {
		return fmt.Sprintf("%q is another one on each machine: name it, as Europe/Berlin", s)
	}
	if _, err := time.LoadLocation(s); err != nil {
		return fmt.Sprintf("%q is not an IANA time zone such as Europe/Berlin", clip(s))
	}
	return ""
}

func localTime() check {
	c := matches(localPattern, "a time such as 2026-12-24T00:00")
	match := c.wrong
	c.wrong = func(s string) string {
		if wrong := match(s); wrong != "" {
			return wrong
		}
		if clock(s).IsZero() {
			return fmt.Sprintf("%q is a day or an hour that there is not", s)
		}
		return ""
	}
	return c
}

// clock reads a time that clocks show, as if it were UTC; zero if there is none
// such.
func clock(s string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
