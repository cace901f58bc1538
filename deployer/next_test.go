package deployer_test

import (
	"strings"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/internal/ref"
)

// story is one named rule, told as what happens and what must have come of it.
type story struct {
	name string
	tell func(t *testing.T, w *world)
	// Of the end:
	version string // what runs: a version, or "" for the image from before
	phase   deployer.Phase
	pins    string // versions pinned, in order; "before" is the image from before
	barred  string // versions barred and not lifted
	holder  string // who holds the target
	reason  string // part of Target.Reason
}

func (s story) run(t *testing.T) {
	w := takenOver(t)
	s.tell(t, w)
	if got := w.version(w.field).Version; got != s.version {
		t.Errorf("runs %q, want %q", got, s.version)
	}
	if got := phaseOf(w.target); got != s.phase {
		t.Errorf("the current deployment is %q, want %q", got, s.phase)
	}
	if got := w.pins(); got != s.pins {
		t.Errorf("pinned %q, want %q", got, s.pins)
	}
	if got := barred(w.target); got != s.barred {
		t.Errorf("barred %q, want %q", got, s.barred)
	}
	if got := holder(w.target); got != s.holder {
		t.Errorf("held by %q, want %q", got, s.holder)
	}
	if s.reason == "" && w.target.Reason != "" || !strings.Contains(w.target.Reason, s.reason) {
		t.Errorf("the reason is %q, want %q", w.target.Reason, s.reason)
	}
}

func (w *world) pins() string {
	names := make([]string, 0, len(w.pinned))
	for _, d := range w.pinned {
		if d.Release.Version == "" {
			names = append(names, "before")
			continue
		}
		names = append(names, d.Release.Version)
	}
	return strings.Join(names, " ")
}

func phaseOf(t deployer.Target) deployer.Phase {
	if t.Current == nil {
		return ""
	}
	return t.Current.Phase
}

func barred(t deployer.Target) string {
	var names []string
	for _, b := range t.Barred {
		if b.Lifted == "" {
			names = append(names, b.Version)
		}
	}
	return strings.Join(names, " ")
}

func holder(t deployer.Target) string {
	if t.Hold == nil {
		return ""
	}
	return t.Hold.By
}

func TestReleasesRollForward(t *testing.T) {
	for _, s := range []story{
		{
			name: "a release that every pod proves is healthy",
			tell: func(t *testing.T, w *world) { w.good(); w.run(t) },
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy,
		},
		{
			name: "of several releases the newest is pinned, and the older ones are passed over",
			tell: func(t *testing.T, w *world) { w.good(); w.good(); w.good(); w.run(t) },
			pins: "v3", version: "v3", phase: deployer.PhaseHealthy,
		},
		{
			name: "a newer release waits for the verdict on the one that rolls",
			tell: func(t *testing.T, w *world) {
				w.slow = time.Minute
				w.good()
				w.pass()
				w.good()
				w.pass()
				if w.pins() != "v1" {
					t.Errorf("pinned %q while v1 was rolling out", w.pins())
				}
				w.run(t)
			},
			pins: "v1 v2", version: "v2", phase: deployer.PhaseHealthy,
		},
		{
			name: "an older release that is ready late never follows a newer one",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.good()
				all := w.releases
				w.releases = all[1:]
				w.run(t)
				w.releases = all
				w.run(t)
			},
			pins: "v2", version: "v2", phase: deployer.PhaseHealthy,
		},
		{
			name: "on fake nodes a complete rollout is simulated, and nobody is asked",
			tell: func(t *testing.T, w *world) { w.simulated, w.mute = true, true; w.good(); w.run(t) },
			pins: "v1", version: "v1", phase: deployer.PhaseSimulated,
		},
		{
			name: "a release for another environment is not for this target",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.releases[0].Spec.Environment = "staging"
				w.run(t)
			},
			reason: `v1 waits: it is for the environment "staging"`,
		},
		{
			name: "a release for another Deployment waits for its take-over",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.releases[0].Spec.Deployment = "web"
				w.run(t)
			},
			reason: "v1 waits: it is for the container app of app/web in main, which was not taken over: slipway deploy takeover acme/app/production",
		},
		{
			name: "so does one for another container, and the one before it rolls out",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.good()
				w.releases[1].Spec.Container = "web"
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy,
			reason: "v2 waits: it is for the container web of app/app in main, which was not taken over",
		},
		{
			name: "a version that comes back with another digest is refused",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.bad()
				w.run(t)
				lift(t, w, "v2")
				w.releases[1].Pin.Digest = w.releases[0].Pin.Digest[:70] + "f"
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, reason: "another image before",
		},
	} {
		t.Run(s.name, s.run)
	}
}

func lift(t *testing.T, w *world, version string) {
	t.Helper()
	w.target = must(w.target.WithResume("olga", version, w.now))(t)
}

func TestNothingMovesWithoutAWordOnWhy(t *testing.T) {
	for _, s := range []story{
		{
			name: "whether a release descends from what runs is unknown: it waits",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.unread = true
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy, reason: "whether it descends from v1 is not known yet",
		},
		{
			name: "while a bar stands, unread ancestry waits even for a first release",
			tell: func(t *testing.T, w *world) {
				w.bad()
				w.run(t)
				w.good()
				w.unread = true
				w.run(t)
			},
			pins: "v1 before", phase: deployer.PhaseHealthy, barred: "v1", reason: "whether it contains a barred commit is not known yet",
		},
		{
			name: "a held target pins nothing",
			tell: func(t *testing.T, w *world) {
				w.target = w.target.WithHold("olga", "a sale is on", w.now)
				w.good()
				w.run(t)
			},
			holder: "olga", reason: "held by olga: a sale is on",
		},
		{
			name: "a hold stops a pin that was recorded and not yet applied",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.decide(w.look()) // recorded, then killed
				w.target = w.target.WithHold("olga", "wait", w.now)
				w.pass()
			},
			phase: deployer.PhaseRolling, holder: "olga", reason: "held by olga: wait",
		},
		{
			name: "a hold set during a rollout lets it end",
			tell: func(t *testing.T, w *world) {
				w.slow = time.Minute
				w.good()
				w.pass()
				w.target = w.target.WithHold("olga", "wait", w.now)
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy, holder: "olga", reason: "held by olga",
		},
		{
			name:   "a cluster that does not answer is named",
			tell:   func(t *testing.T, w *world) { w.good(); w.down = true; w.pass() },
			reason: "the cluster did not answer: connection refused",
		},
		{
			name:   "a Deployment that does not exist is named",
			tell:   func(t *testing.T, w *world) { w.good(); w.gone = true; w.pass() },
			reason: "the Deployment app/app does not exist",
		},
	} {
		t.Run(s.name, s.run)
	}
}

func TestATargetThatWasNotTakenOverIsNeverPinned(t *testing.T) {
	w := newWorld()
	w.good()
	w.run(t)
	if len(w.pinned) > 0 {
		t.Errorf("pinned %s", w.pins())
	}
	if want := "not taken over: slipway deploy takeover acme/app/production"; w.target.Reason != want {
		t.Errorf("the reason is %q, want %q", w.target.Reason, want)
	}
	w.takeOver(t)
	w.run(t)
	if w.pins() != "v1" {
		t.Errorf("after the take-over pinned %q, want v1", w.pins())
	}
}

func TestATargetThatRunsAReleaseAlreadyIsVerifiedNotMoved(t *testing.T) {
	w := newWorld()
	w.good()
	w.good()
	w.field = w.releases[1].Pin.String()
	w.takeOver(t)
	w.run(t)
	if len(w.pinned) > 0 || phaseOf(w.target) != deployer.PhaseHealthy || w.target.Current.Release.Version != "v2" {
		t.Errorf("pinned %q, current %+v", w.pins(), w.target.Current)
	}
}

func TestARevisionThatDoesNotDescendFromTheRunningOneIsNeverPinned(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	w.good()
	o := w.look()
	o.Releases[1].Descends = ref.No
	w.decide(o)
	if w.target.Current.Release.Version != "v1" {
		t.Errorf("moved to %s", w.target.Current.Release.Version)
	}
	if want := "v2 waits: it does not descend from v1, which runs"; w.target.Reason != want {
		t.Errorf("the reason is %q, want %q", w.target.Reason, want)
	}
}

func TestKilledBeforeOrAfterThePinItIsAppliedOnce(t *testing.T) {
	for name, kill := range map[string]func(w *world, a deployer.Action){
		"before": func(*world, deployer.Action) {},
		"after":  func(w *world, a deployer.Action) { w.apply(a.(deployer.Pin)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := takenOver(t)
			w.good()
			action := w.decide(w.look())
			if _, ok := action.(deployer.Pin); !ok {
				t.Fatalf("asked for %T, want a pin", action)
			}
			kill(w, action)
			w.run(t)
			if w.pins() != "v1" || phaseOf(w.target) != deployer.PhaseHealthy {
				t.Errorf("pinned %q and is %s, want v1 once and healthy", w.pins(), phaseOf(w.target))
			}
		})
	}
}

func TestTheEvidenceOfAHealthyRollout(t *testing.T) {
	w := takenOver(t)
	w.slow = 20 * time.Second
	r := w.good()
	from := w.now
	w.run(t)
	d := w.target.Healthy
	if d == nil || d.Image != r.Pin.String() || d.From != oldImage || d.By != deployer.Itself {
		t.Fatalf("the healthy deployment is %+v", d)
	}
	if len(d.Pods) != 2 || d.Pods[0].Revision != string(r.Merge) || !strings.HasSuffix(d.Pods[0].ImageID, string(r.Pin.Digest)) {
		t.Errorf("the evidence is %+v", d.Pods)
	}
	if d.Applied.Before(from) || d.Rolled.Sub(d.Applied) < 10*time.Second || d.Ended.Before(d.Rolled) {
		t.Errorf("applied %s, rolled %s, ended %s", d.Applied, d.Rolled, d.Ended)
	}
}
