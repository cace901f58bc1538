package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"

	"slipway/config"
	"slipway/gate"
)

// withGate is the minimal policy with more in its gate section.
func withGate(lines string) []byte {
	return []byte(strings.Replace(minimal, "gate:\n", "gate:\n"+lines, 1))
}

func freeze(t interface{ Fatalf(string, ...any) }, window string) gate.Freeze {
	plan, faults := config.ParsePolicy(config.PolicyFile, withGate("  freeze:\n    - {name: w, "+window+"}\n"))
	if len(faults) > 0 || len(plan.Gate.Freezes) != 1 {
		t.Fatalf("%s: %v", window, faults)
	}
	return plan.Gate.Freezes[0]
}

func TestFreezeWindows(t *testing.T) {
	const never = "0001-01-01T00:00:00Z"
	weekend := `cron: "0 16 * * 5", for: 62h, time_zone: Europe/Berlin`
	night := `cron: "30 2 * * *", for: 1h, time_zone: Europe/Berlin`
	for _, row := range []struct {
		name, window, now string
		active            bool
		next              string
	}{
		{"before a weekend it is open until Friday 16:00", weekend, "2026-06-04T12:00:00Z", false, "2026-06-05T14:00:00Z"},
		{"the moment it opens is within", weekend, "2026-06-05T14:00:00Z", true, "2026-06-08T04:00:00Z"},
		{"the moment it closes is not", weekend, "2026-06-08T04:00:00Z", false, "2026-06-12T14:00:00Z"},
		{"in winter it is the same hour of the clock", weekend, "2026-01-09T15:00:00Z", true, "2026-01-12T05:00:00Z"},
		{"across the change to summer time it lasts as many hours", weekend, "2026-03-28T12:00:00Z", true, "2026-03-30T05:00:00Z"},
		{"across the change to winter time as well", weekend, "2026-10-25T12:00:00Z", true, "2026-10-26T04:00:00Z"},
		{"a time that the clocks skip is not lost", night, "2026-03-29T01:45:00Z", true, "2026-03-29T02:30:00Z"},
		{"nor does it open before", night, "2026-03-29T01:29:59Z", false, "2026-03-29T01:30:00Z"},
		{"a time that comes twice opens twice, which is one window here", night, "2026-10-25T01:15:00Z", true, "2026-10-25T02:30:00Z"},
		{"the day after it is as ever", night, "2026-10-26T01:15:00Z", false, "2026-10-26T01:30:00Z"},
		{"windows that overlap are one", `cron: "0 16 * * 1-5", for: 25h`, "2026-06-02T20:00:00Z", true, "2026-06-06T17:00:00Z"},
		{"windows that touch are one", `cron: "0 8,9,10 * * *", for: 1h`, "2026-06-02T08:30:00Z", true, "2026-06-02T11:00:00Z"},
		{"without a time zone it is UTC", `cron: "0 16 * * 5", for: 1h`, "2026-06-05T16:30:00Z", true, "2026-06-05T17:00:00Z"},
		{"a year's only day", `cron: "0 0 24 12 *", for: 72h`, "2026-12-27T00:00:00Z", false, "2027-12-24T00:00:00Z"},
		{"a leap day", `cron: "0 0 29 2 *", for: 24h`, "2026-06-01T00:00:00Z", false, "2028-02-29T00:00:00Z"},
		{"once: before", `from: "2026-12-24T00:00", to: "2026-12-27T00:00:00", time_zone: Europe/Berlin`, "2026-12-01T00:00:00Z", false, "2026-12-23T23:00:00Z"},
		{"once: within", `from: "2026-12-24T00:00", to: "2026-12-27T00:00:00", time_zone: Europe/Berlin`, "2026-12-23T23:00:00Z", true, "2026-12-26T23:00:00Z"},
		{"once: after it never comes again", `from: 2026-12-24T00:00, to: 2026-12-27T00:00, time_zone: Europe/Berlin`, "2026-12-26T23:00:00Z", false, never},
		{"once, from and to an hour that comes twice: from the first, to the second", `from: 2026-10-25T02:30, to: 2026-10-25T02:31, time_zone: Europe/Berlin`, "2026-10-25T01:00:00Z", true, "2026-10-25T01:31:00Z"},
	} {
		t.Run(row.name, func(t *testing.T) {
			active, next := freeze(t, row.window).Active(moment(t, row.now))
			if want := moment(t, row.next); active != row.active || !next.Equal(want) {
				t.Errorf("active %v until %s, want %v until %s", active, next.UTC().Format(time.RFC3339), row.active, row.next)
			}
		})
	}
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	m, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestFreezeWindowsAgreeWithTheClock compares with the plain reading of the
// promise: a window is open if some minute within its length before now is one
// at which the clocks show an opening, or would, had they not been turned.
func TestFreezeWindowsAgreeWithTheClock(t *testing.T) {
	turns := []string{
		"2026-03-29T01:00:00Z Europe/Berlin", "2026-10-25T01:00:00Z Europe/Berlin", "2026-03-08T07:00:00Z America/New_York",
		"2026-11-01T06:00:00Z America/New_York", "2026-04-04T15:00:00Z Australia/Lord_Howe", "2026-10-03T15:30:00Z Australia/Lord_Howe",
		"2026-06-01T00:00:00Z UTC",
	}
	crons := []string{"30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "15 1,2,3 * * 0", "45 23 * * *", "0 3 * * *", "10 2 29 3 *"}
	activeOnes := 0
	rapid.Check(t, func(t *rapid.T) {
		at, zone, _ := strings.Cut(rapid.SampledFrom(turns).Draw(t, "turn"), " ")
		turn, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		expr := rapid.SampledFrom(crons).Draw(t, "cron")
		lasts := time.Duration(rapid.IntRange(1, 55).Draw(t, "minutes")) * time.Minute
		now := turn.Add(time.Duration(rapid.IntRange(-36*60, 36*60).Draw(t, "offset")) * time.Minute)
		f := freeze(t, fmt.Sprintf("cron: %q, for: %s, time_zone: %s", expr, lasts, zone))
		schedule, err := cron.ParseStandard(expr)
		if err != nil {
			t.Fatal(err)
		}
		active, next := f.Active(now)
		if want := open(schedule, loc, lasts, now); active != want {
			t.Fatalf("%s for %s in %s at %s: active %v, want %v", expr, lasts, zone, now.In(loc), active, want)
		}
		if active {
			activeOnes++
		}
		for m := now.Add(time.Minute); m.Before(next) && m.Before(now.Add(2*time.Hour)); m = m.Add(time.Minute) {
			if open(schedule, loc, lasts, m) != active {
				t.Fatalf("it changes at %s, before %s", m.In(loc), next.In(loc))
			}
		}
		if changed, _ := f.Active(next); changed == active {
			t.Fatalf("it does not change at %s", next.In(loc))
		}
	})
	if activeOnes == 0 {
		t.Error("no window was ever open")
	}
}

// open is the promise, minute by minute.
func open(schedule cron.Schedule, loc *time.Location, lasts time.Duration, now time.Time) bool {
	shows := func(t time.Time) bool { return schedule.Next(t.Add(-time.Second)).Equal(t) }
	for m := now; m.After(now.Add(-lasts)); m = m.Add(-time.Minute) {
		_, offset := m.In(loc).Zone()
		if shows(m.UTC().Add(time.Duration(offset) * time.Second)) {
			return true
		}
		_, before := m.Add(-24 * time.Hour).In(loc).Zone()
		unturned := m.UTC().Add(time.Duration(before) * time.Second)
		_, later := m.Add(24 * time.Hour).In(loc).Zone()
		if skipped := before < later && offset == later && unturned.Add(-time.Duration(later)*time.Second).Before(transition(m, loc)); skipped && shows(unturned) {
			return true
		}
	}
	return false
}

// transition is the turn of the clocks before t.
func transition(t time.Time, loc *time.Location) time.Time {
	start, _ := t.In(loc).ZoneBounds()
	return start
}

func TestFreezeFaults(t *testing.T) {
	for _, row := range []struct{ name, window, want string }{
		{"neither cron nor from", "reason: x", "does not say when: name a cron and how long it lasts (for), or a from and a to"},
		{"both", `cron: "0 0 * * *", for: 1h, from: 2026-01-01T00:00, to: 2026-01-02T00:00`, "names a cron and a from; a window recurs or comes once"},
		{"a cron without its length", `cron: "0 0 * * *"`, "does not say how long it lasts (for)"},
		{"a cron with an end", `cron: "0 0 * * *", for: 1h, to: 2026-01-02T00:00`, "names a to, which only a window with a from has: say how long it lasts (for)"},
		{"a from without an end", `from: 2026-01-01T00:00`, "does not say when it closes (to)"},
		{"a from with a length", `from: 2026-01-01T00:00, to: 2026-01-02T00:00, for: 1h`, "names a for, which only a window with a cron has: say when it closes (to)"},
		{"an end before the start", `from: 2026-01-02T00:00, to: 2026-01-01T00:00`, "closes (2026-01-01T00:00) before it has opened (2026-01-02T00:00)"},
		{"a window that would never close", `cron: "0 * * * *", for: 2h`, `opens again before it has closed, for ever: "0 * * * *" does so more often than every 2h`},
		{"one that touches itself for ever", `cron: "0 0 * * *", for: 24h`, `opens again before it has closed, for ever: "0 0 * * *" does so more often than every 24h`},
		{"a day that never comes", `cron: "0 0 30 2 *", for: 1h`, `the cron "0 0 30 2 *" names a day that never comes`},
		{"a descriptor", `cron: "@daily", for: 1h`, `cron: "@daily" is not five fields of cron, as "0 16 * * 5"`},
		{"a zone in the cron", `cron: "TZ=UTC 0 0 * * *", for: 1h`, `cron: "TZ=UTC 0 0 * * *" is not five fields of cron, as "0 16 * * 5"`},
		{"an hour that there is not", `cron: "0 24 * * *", for: 1h`, `cron: "0 24 * * *" is no schedule of cron: end of range (24) above maximum (23): 24`},
		{"a zone that there is not", `cron: "0 0 * * *", for: 1h, time_zone: Europe/Bärlin`, `time_zone: "Europe/Bärlin" is not an IANA time zone such as Europe/Berlin`},
		{"the machine's own zone", `cron: "0 0 * * *", for: 1h, time_zone: Local`, `time_zone: "Local" is another one on each machine: name it, as Europe/Berlin`},
		{"a day that there is not", `from: 2026-02-30T00:00, to: 2026-03-01T00:00`, `from: "2026-02-30T00:00" is a day or an hour that there is not`},
		{"a date without a time", `from: 2026-02-01, to: 2026-03-01T00:00`, `from: "2026-02-01" is not a time such as 2026-12-24T00:00`},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan, faults := config.ParsePolicy(config.PolicyFile, withGate("  freeze:\n    - {name: w, "+row.window+"}\n"))
			at := "gate.freeze[0]: "
			if strings.Contains(row.want, ": \"") && strings.HasPrefix(row.window, strings.SplitN(row.want, ":", 2)[0]) || strings.HasPrefix(row.want, "time_zone:") {
				at = "gate.freeze[0]."
			}
			says(t, faults, []string{".slipway.yaml:4: " + at + row.want})
			if len(plan.Gate.Freezes) != 0 {
				t.Error("a faulty window is asked all the same")
			}
		})
	}
}
