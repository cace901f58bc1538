package deployer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"slipway/deployer"
	"slipway/internal/ref"
)

// driver makes random things happen to a world and looks after every pass that
// the rules were kept.
type driver struct {
	*world
	t *rapid.T
	// late is a pin that was sent and not heard of again.
	late []deployer.Pin
}

// TestTheRulesHoldWhateverHappens is the promises D1 to D4, D6 and D7, and
// being stable on the same facts.
func TestTheRulesHoldWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{world: newWorld(), t: t}
		t.Repeat(map[string]func(*rapid.T){
			"merge": func(t *rapid.T) {
				d.merge(rapid.Bool().Draw(t, "crashes"), d.anyVersion("reverts"))
			},
			"pass":         func(*rapid.T) { d.step(d.carryOut) },
			"pass again":   func(*rapid.T) { d.step(d.carryOut) },
			"killed":       func(*rapid.T) { d.step(func(deployer.Pin, deployer.Observation) {}) },
			"sent late":    func(*rapid.T) { d.step(func(p deployer.Pin, _ deployer.Observation) { d.late = append(d.late, p) }) },
			"arrives late": func(*rapid.T) { d.arrive() },
			"time": func(t *rapid.T) {
				d.now = d.now.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "seconds")) * time.Second)
			},
			"slow":     func(t *rapid.T) { d.slow = time.Duration(rapid.IntRange(0, 400).Draw(t, "slow")) * time.Second },
			"down":     func(*rapid.T) { d.down = !d.down },
			"gone":     func(t *rapid.T) { d.gone = rapid.IntRange(0, 3).Draw(t, "gone") == 0 },
			"mute":     func(*rapid.T) { d.mute = !d.mute },
			"unread":   func(*rapid.T) { d.unread = !d.unread },
			"scale":    func(t *rapid.T) { d.pods = rapid.IntRange(0, 3).Draw(t, "pods") },
			"rival":    func(t *rapid.T) { d.seize(rapid.SampledFrom([]string{rivalImage, d.field}).Draw(t, "image")) },
			"let go":   func(*rapid.T) { d.owner = deployer.Itself },
			"consent":  func(*rapid.T) { d.consent() },
			"hold":     func(*rapid.T) { d.target = d.target.WithHold("olga", "wait", d.now) },
			"resume":   func(*rapid.T) { d.person(d.target.WithResume("olga", d.anyVersion("allow"), d.now)) },
			"rollback": func(*rapid.T) { d.person(d.target.WithRequest("olga", "slow", d.anyVersion("version"), d.now)) },
		})
	})
}

func (d *driver) anyVersion(label string) string {
	if len(d.releases) == 0 {
		return ""
	}
	names := []string{""}
	for _, r := range d.releases {
		names = append(names, r.Version)
	}
	return rapid.SampledFrom(names).Draw(d.t, label)
}

// person takes over what a person may do, and nothing when it was refused.
func (d *driver) person(t deployer.Target, err error) {
	if err == nil {
		d.target = t
	}
}

func (d *driver) consent() {
	d.person(d.target.WithConsent(d.shown("olga")))
	if d.target.Consent != nil && !d.down && !d.gone {
		d.takeOver(d.t)
	}
}

func (d *driver) carryOut(p deployer.Pin, o deployer.Observation) {
	if o.Refused = d.apply(p); o.Refused != "" {
		d.next(o)
	}
}

func (d *driver) arrive() {
	for _, p := range d.late {
		d.apply(p)
	}
	d.late = nil
}

// step is one pass of the shell, in which a pin comes to what carry says.
func (d *driver) step(carry func(deployer.Pin, deployer.Observation)) {
	o := d.look()
	switch action := d.next(o).(type) {
	case deployer.Ask:
		o = d.ask(o)
		if again, ok := d.next(o).(deployer.Ask); ok {
			d.t.Fatalf("asked, and asks again: %+v", again)
		}
	case deployer.Pin:
		carry(action, o)
	}
}

// next calls Next and holds what it says against the rules.
func (d *driver) next(o deployer.Observation) deployer.Action {
	before, same := d.target, clone(d.target)
	after, action := deployer.Next(before, o, d.now)
	if diff := cmp.Diff(same, before); diff != "" {
		d.t.Fatalf("changed the target that was given:\n%s", diff)
	}
	if pin, ok := action.(deployer.Pin); ok {
		d.mayPin(before, after, pin, o)
	}
	if before.Current != nil && before.Current.Phase == deployer.PhaseRolling && phaseOf(after) == deployer.PhaseHealthy {
		d.mayBeHealthy(*after.Current, o)
	}
	d.comesToRest(after, o)
	d.target = after
	return action
}

// mayPin holds a pin against D1, D3, D4, D6 and D7.
func (d *driver) mayPin(before, after deployer.Target, pin deployer.Pin, o deployer.Observation) {
	p := pin.Deployment
	image := d.version(p.Image)
	switch {
	case o.Read != ref.Yes:
		d.t.Fatalf("pins %s without having read the field", p.Image)
	case after.TakenOver == nil:
		d.t.Fatalf("pins %s on a target that was not taken over", p.Image)
	case p.From != o.Image || pin.ResourceVersion != o.ResourceVersion:
		d.t.Fatalf("pins %s on another precondition than what was read", p.Image)
	case cmp.Diff(*after.Current, p) != "":
		d.t.Fatalf("pins %s, which is not what is recorded", p.Image)
	case p.Release.Version != "" && p.Image != image.Pin.String():
		d.t.Fatalf("pins %s for %s", p.Image, p.Release.Version)
	}
	for _, b := range after.Barred {
		if b.Lifted == "" && b.Digest == p.Release.Pin.Digest && (!p.Back || before.Current.Image != p.Image) {
			d.t.Fatalf("pins %s, which is barred", p.Image)
		}
		if b.Lifted == "" && !p.Back && p.Applied.IsZero() && d.contains(image, d.byVersion(b.Version)) {
			if before.Current == nil || before.Current.Image != p.Image { // barred after it was chosen
				d.t.Fatalf("pins %s, which contains the barred %s", p.Image, b.Version)
			}
		}
	}
	if p.Back || !p.Applied.IsZero() {
		return // a way back, or putting right what was applied before
	}
	if after.Hold != nil {
		d.t.Fatalf("pins %s on a held target", p.Image)
	}
	if running := d.version(o.Image); running.Position > p.Release.Position {
		d.t.Fatalf("moves back from %s to %s", running.Version, p.Release.Version)
	}
}

// mayBeHealthy holds the evidence of a healthy rollout against D2.
func (d *driver) mayBeHealthy(c deployer.Deployment, o deployer.Observation) {
	if o.Read != ref.Yes || o.Image != c.Image || o.Rollout.State != deployer.RolloutComplete || len(o.Pods) == 0 {
		d.t.Fatalf("%s is called healthy on %+v", c.Image, o)
	}
	for _, p := range o.Pods {
		other := c.Release.Merge != "" && p.Probe.Revision != string(c.Release.Merge)
		if p.Ready != ref.Yes || p.Probe.Answered != ref.Yes || other {
			d.t.Fatalf("%s is called healthy with the pod %+v", c.Image, p)
		}
	}
}

// comesToRest looks at the same facts again and again: while nothing ends or
// begins nothing may change, and beginnings must come to an end.
func (d *driver) comesToRest(t deployer.Target, o deployer.Observation) {
	for range 8 {
		next, _ := deployer.Next(t, o, d.now)
		if cmp.Diff(t, next) == "" {
			return
		}
		if stage(t) == stage(next) {
			d.t.Fatalf("on the same facts, in the same phase, it changed:\n%s", cmp.Diff(t, next))
		}
		t = next
	}
	d.t.Fatalf("on the same facts it never comes to rest: %+v", t.Current)
}

// stage is everything that counts as progress.
func stage(t deployer.Target) string {
	s := fmt.Sprintf("%v %v %d", t.Request != nil, t.Hold != nil, len(t.Past))
	if c := t.Current; c != nil {
		s += fmt.Sprintf(" %s %s %v %v", c.Image, c.Phase, c.Applied, c.Deadline)
	}
	return s
}

// clone is a deep enough copy to notice a change by.
func clone(t deployer.Target) deployer.Target {
	t.Past = append([]deployer.Deployment(nil), t.Past...)
	t.Barred = append([]deployer.Bar(nil), t.Barred...)
	for _, d := range []**deployer.Deployment{&t.Current, &t.Healthy} {
		if *d != nil {
			c := **d
			*d = &c
		}
	}
	return t
}
