package deployer_test

import (
	"strings"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/internal/ref"
)

func TestRollbacksAtTheEdges(t *testing.T) {
	for _, s := range []story{
		{
			name: "farther back while Slipway goes back already: the way back is still of the bad version",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.run(t)
				w.bad()
				w.slow = time.Minute
				w.pass()
				w.pass()
				rollBack(t, w, "v1")
				w.run(t)
				if of := w.target.Current.Of; of != "v3" {
					t.Errorf("the way back is of %q, want v3", of)
				}
			},
			pins: "v1 v2 v3 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v3 v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "from the image from before the take-over there is nowhere to go, and nothing to bar",
			tell: func(t *testing.T, w *world) {
				w.bad()
				w.run(t)
				if _, err := w.target.WithRequest("olga", "", "", w.now); err == nil || !strings.Contains(err.Error(), "no release before") {
					t.Errorf("got %v", err)
				}
			},
			pins: "v1 before", phase: deployer.PhaseHealthy, barred: "v1", reason: "v1 waits: it is barred",
		},
		{
			name: "a failed first release that is resumed waits for a newer one",
			tell: func(t *testing.T, w *world) {
				w.target.TakenOver.Image, w.field = "", ""
				w.bad()
				w.run(t)
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseFailed, barred: "v1", reason: "v1 failed and no newer release is ready",
		},
		{
			name: "a failed first release that is allowed again is tried again where it is",
			tell: func(t *testing.T, w *world) {
				w.target.TakenOver.Image, w.field = "", ""
				w.bad()
				w.run(t)
				w.releases[0].crashes = false
				lift(t, w, "v1")
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy,
		},
		{
			name: "a bad release with only barred ones behind it stops rather than go back",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.target.Barred = []deployer.Bar{{
					Version: "v1", Digest: w.releases[0].Pin.Digest, Merge: w.releases[0].Merge, By: "olga", At: w.now,
				}}
				w.merge(true, "v1")
				w.run(t)
			},
			pins: "v1 v2", version: "v2", phase: deployer.PhaseFailed, barred: "v1 v2", holder: deployer.Itself,
			reason: "there is no healthy release to go back to",
		},
		{
			name: "a pin that comes through after it was refused is seen, and verified on a resume",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				v2 := w.good()
				w.seize(v1.Pin.String())
				w.run(t)
				w.field, w.owner = v2.Pin.String(), deployer.Itself
				w.revision++
				w.run(t)
				if w.target.Drift != "" {
					t.Errorf("is taken for a drift: %s", w.target.Drift)
				}
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1", version: "v2", phase: deployer.PhaseHealthy,
		},
		{
			name: "a release whose image is not ready waits, and nothing older goes before it",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.good()
				w.releases[1].Pin = ref.Pin{}
				w.run(t)
			},
			reason: "v2 waits: its image is not ready",
		},
		{
			name: "nothing is pinned while the take-over is to be renewed",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.target = must(w.target.WithConsent(w.shown("olga")))(t)
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy, reason: "the take-over that olga agreed to is still to be done",
		},
		{
			name: "what ran again after a bar was lifted, and was then left, does not return",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
				lift(t, w, "v2")
				w.run(t)
				w.good()
				w.run(t)
				rollBack(t, w, "v1")
				w.run(t)
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1 v2 v1 v2 v3 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v3", reason: "v3 waits: it is barred",
		},
		{
			name: "a rollback never leads forward",
			tell: func(t *testing.T, w *world) {
				for range 3 {
					w.good()
					w.run(t)
				}
				rollBack(t, w, "v1")
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
			},
			pins: "v1 v2 v3 v1 before", phase: deployer.PhaseHealthy, barred: "v3 v1", holder: "olga", reason: "held by olga",
		},
		{
			name: "a failed way back can be asked for again, and is not barred by that",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.bad()
				w.pass()
				w.releases[0].crashes = true
				w.run(t)
				w.releases[0].crashes = false
				rollBack(t, w, "v1")
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "what is barred already is not barred twice",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.target.Barred = []deployer.Bar{{Version: "v1", Digest: v1.Pin.Digest, Merge: v1.Merge, By: "olga", At: w.now}}
				w.merge(true, "v1")
				w.run(t)
				lift(t, w, "v1")
				rollBack(t, w, "v1")
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "a deployment that failed and was not barred is no place to go back to",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.pods = 0
				w.run(t)
				w.pods = 2
				w.good()
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
				if _, err := w.target.WithRequest("olga", "", "v2", w.now); err == nil || !strings.Contains(err.Error(), "never healthy") {
					t.Errorf("got %v", err)
				}
			},
			pins: "v1 v2 v3", version: "v3", phase: deployer.PhaseHealthy,
		},
	} {
		t.Run(s.name, s.run)
	}
}

func TestABarHoldsForTheCommitUnderAnyDigest(t *testing.T) {
	w := takenOver(t)
	w.bad()
	w.run(t)
	o := w.look()
	o.Releases[0].Version, o.Releases[0].Pin.Digest, o.Releases[0].Barred = "v1.rebuilt", "sha256:"+ref.Digest(strings.Repeat("e", 64)), ""
	if action := w.decide(o); action != nil || !strings.Contains(w.target.Reason, "it is barred") {
		t.Errorf("asked for %T, reason %q", action, w.target.Reason)
	}
}

func TestANewerHealthyReleaseReplacesTheOneBefore(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	w.good()
	w.slow = time.Minute
	w.pass()
	w.pass()
	if got := w.target.Past[0].Phase; got != deployer.PhaseHealthy {
		t.Errorf("while v2 rolls out v1 is %s", got)
	}
	w.run(t)
	if got := w.target.Past[0].Phase; got != deployer.PhaseReplaced {
		t.Errorf("once v2 is healthy v1 is %s", got)
	}
}

func TestTheDeadlineIsTenMinutesUnlessThePolicySaysOtherwise(t *testing.T) {
	for want, declared := range map[time.Duration]time.Duration{10 * time.Minute: 0, 3 * time.Minute: 3 * time.Minute} {
		w := takenOver(t)
		w.good()
		w.releases[0].Spec.Deadline = declared
		w.pass()
		w.now = w.now.Add(time.Minute)
		w.pods = 0
		w.pass()
		if got := w.target.Current.Deadline.Sub(w.target.Current.Applied); got != want {
			t.Errorf("declared %s, the deadline is %s after the pin was applied, want %s", declared, got, want)
		}
	}
}

func TestTheDeadlineCountsFromThePinNotFromTheIntent(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.decide(w.look()) // recorded, then killed for an hour
	w.now = w.now.Add(time.Hour)
	w.slow = time.Minute
	w.run(t)
	if w.pins() != "v1" || phaseOf(w.target) != deployer.PhaseHealthy {
		t.Errorf("pinned %q, %s: %s", w.pins(), phaseOf(w.target), w.target.Reason)
	}
}

func TestRunning(t *testing.T) {
	w := takenOver(t)
	check := func(want string) {
		t.Helper()
		if got := w.target.Running(nil).Version; got != want {
			t.Errorf("runs %q, want %q", got, want)
		}
	}
	check("")
	w.good()
	w.decide(w.look())
	check("") // recorded is not applied
	w.run(t)
	check("v1")
	w.good()
	w.decide(w.look())
	check("v1")
	w.run(t)
	check("v2")
	rollBack(t, w, "v1")
	w.run(t)
	check("v1")
}
