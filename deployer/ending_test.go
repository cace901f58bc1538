package deployer_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/deployer"
)

// disturb makes some passes in which the machine, and no person, goes wrong:
// killed, late, or with a cluster that does not answer.
func (d *driver) disturb(n int) {
	for range n {
		switch rapid.SampledFrom([]string{"pass", "killed", "late", "arrive", "down", "up", "time"}).Draw(d.t, "what") {
		case "pass":
			d.step(d.carryOut)
		case "killed":
			d.step(func(deployer.Pin, deployer.Observation) {})
		case "late":
			d.step(func(p deployer.Pin, _ deployer.Observation) { d.late = append(d.late, p) })
		case "arrive":
			d.arrive()
		case "down":
			d.down = true
		case "up":
			d.down = false
		case "time":
			d.now = d.now.Add(time.Duration(rapid.IntRange(1, 100).Draw(d.t, "seconds")) * time.Second)
		}
	}
}

func (d *driver) calm() {
	d.down = false
	d.arrive()
	d.run(d.t)
}

func TestGoodReleasesAlwaysEndHealthyOnTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{world: takenOver(t), t: t}
		for range rapid.IntRange(1, 6).Draw(t, "releases") {
			d.good()
			d.disturb(rapid.IntRange(0, 8).Draw(t, "passes"))
		}
		d.calm()
		newest := d.releases[len(d.releases)-1]
		if d.field != newest.Pin.String() || phaseOf(d.target) != deployer.PhaseHealthy || d.target.Current.Back {
			t.Fatalf("runs %s (%s), want %s healthy", d.field, phaseOf(d.target), newest.Version)
		}
		last := int64(0)
		for _, p := range d.pinned {
			if p.Release.Position < last {
				t.Fatalf("pinned %s", d.pins())
			}
			last = p.Release.Position
		}
		if barred(d.target) != "" {
			t.Fatalf("barred %s, all of them good", barred(d.target))
		}
	})
}

func TestABadReleaseAlwaysEndsOnTheOldImageAfterOneRollback(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{world: takenOver(t), t: t}
		old := oldImage
		if rapid.Bool().Draw(t, "a healthy release before") {
			old = d.good().Pin.String()
			d.calm()
		}
		bad := d.bad()
		d.disturb(rapid.IntRange(0, 20).Draw(t, "passes"))
		d.calm()
		if d.field != old || phaseOf(d.target) != deployer.PhaseHealthy {
			t.Fatalf("runs %s (%s), want %s healthy", d.field, phaseOf(d.target), old)
		}
		if got := d.backs(); got != 1 {
			t.Fatalf("went back %d times", got)
		}
		if barred(d.target) != bad.Version {
			t.Fatalf("barred %q, want %s", barred(d.target), bad.Version)
		}
		d.merge(false, bad.Version)
		d.disturb(rapid.IntRange(0, 20).Draw(t, "more passes"))
		d.calm()
		if fix := d.releases[len(d.releases)-1]; d.field != fix.Pin.String() {
			t.Fatalf("runs %s, want the fix %s: %s", d.field, fix.Version, d.target.Reason)
		}
	})
}

// backs counts the deployments that went back.
func (d *driver) backs() int {
	n := 0
	for _, p := range append(d.target.Past, *d.target.Current) {
		if p.Back {
			n++
		}
	}
	return n
}

func TestAfterAPersonsRollbackNothingIsPinnedUntilTheyResume(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{world: takenOver(t), t: t}
		d.good()
		d.calm()
		d.good()
		d.disturb(rapid.IntRange(0, 8).Draw(t, "before"))
		d.down = false
		d.person(d.target.WithRequest("olga", "", "v1", d.now))
		if d.target.Request == nil {
			t.Skip("v2 was not begun yet")
		}
		d.calm()
		if d.version(d.field).Version != "v1" {
			t.Fatalf("runs %s, want v1: %s", d.field, d.target.Reason)
		}
		pins := len(d.pinned)
		for range rapid.IntRange(1, 4).Draw(t, "releases") {
			d.merge(false, d.anyVersion("reverts"))
			d.disturb(rapid.IntRange(0, 8).Draw(t, "passes"))
		}
		d.calm()
		if len(d.pinned) != pins || d.version(d.field).Version != "v1" {
			t.Fatalf("pinned %s after the rollback, runs %s", d.pins(), d.field)
		}
		d.merge(false, "v2")
		d.person(d.target.WithResume("olga", "", d.now))
		d.calm()
		if newest := d.releases[len(d.releases)-1]; d.field != newest.Pin.String() {
			t.Fatalf("after the resume runs %s, want %s: %s", d.field, newest.Version, d.target.Reason)
		}
	})
}

func TestWithAClusterThatNeverAnswersNothingIsEverHealthy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{world: takenOver(t), t: t}
		d.good()
		if rapid.Bool().Draw(t, "pinned before") {
			d.pass()
		}
		d.down = true
		for range rapid.IntRange(1, 30).Draw(t, "passes") {
			d.now = d.now.Add(time.Minute)
			if action := d.next(d.look()); action != nil {
				t.Fatalf("asked for %T", action)
			}
		}
		if d.target.Healthy != nil || barred(d.target) != "" {
			t.Fatalf("healthy %+v, barred %q", d.target.Healthy, barred(d.target))
		}
	})
}
