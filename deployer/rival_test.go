package deployer_test

import (
	"strings"
	"testing"
	"time"

	"slipway/deployer"
)

// seize lets a rival set the image and own the field.
func (w *world) seize(image string) {
	w.field, w.owner = image, rival
	w.revision++
}

const rivalImage = "registry.example/acme/app:hotfix"

func TestNothingIsForcedOverARival(t *testing.T) {
	for _, s := range []story{
		{
			name: "drift of a settled target is told and left alone",
			tell: func(t *testing.T, w *world) { w.good(); w.run(t); w.seize(rivalImage); w.run(t) },
			pins: "v1", phase: deployer.PhaseHealthy, reason: "kubectl-edit set the image to " + rivalImage,
		},
		{
			name: "a newer release is not pinned over a drift",
			tell: func(t *testing.T, w *world) { w.good(); w.run(t); w.seize(rivalImage); w.good(); w.run(t) },
			pins: "v1", phase: deployer.PhaseHealthy, reason: "take the target over again: slipway deploy takeover",
		},
		{
			name: "the drift clears when the image is right again, and the release goes out",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.seize(rivalImage)
				w.good()
				w.run(t)
				w.field, w.owner = v1.Pin.String(), deployer.Itself
				w.revision++
				w.run(t)
				if w.target.Drift != "" {
					t.Errorf("the drift stays: %s", w.target.Drift)
				}
			},
			pins: "v1 v2", version: "v2", phase: deployer.PhaseHealthy,
		},
		{
			name: "taken over again, with consent, the newest release goes out from there",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.seize(rivalImage)
				w.run(t)
				w.takeOver(t)
				w.run(t)
			},
			pins: "v1 v1", version: "v1", phase: deployer.PhaseHealthy,
		},
		{
			name: "a field that a rival owns refuses the pin: it stops, and bars nothing",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.seize(v1.Pin.String()) // the same image, so no drift
				w.good()
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseFailed, holder: deployer.Itself,
			reason: "the pin was refused: conflict: kubectl-edit owns the image",
		},
		{
			name: "once the rival has let go, a resume pins what was refused",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.seize(v1.Pin.String())
				w.good()
				w.run(t)
				w.owner = deployer.Itself
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1 v2", version: "v2", phase: deployer.PhaseHealthy,
		},
		{
			name: "an image that somebody else set in the middle of a rollout stops it",
			tell: func(t *testing.T, w *world) { w.good(); w.pass(); w.seize(rivalImage); w.run(t) },
			pins: "v1", phase: deployer.PhaseFailed, holder: deployer.Itself,
			reason: "kubectl-edit set the image to " + rivalImage + " while v1 was rolling out",
		},
		{
			name: "so does one who set it back",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.slow = time.Minute
				w.good()
				w.pass()
				w.pass()
				undo(w)
				w.run(t)
			},
			pins: "v1 v2", version: "v1", phase: deployer.PhaseFailed, holder: deployer.Itself,
			reason: "while v2 was rolling out",
		},
		{
			name: "an earlier pin of Slipway's own that comes through late is corrected",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				late := w.decide(w.look()).(deployer.Pin) // sent, and given up
				rollBack(t, w, "")
				w.run(t)
				if w.apply(late) != "" || w.version(w.field).Version != "v2" {
					t.Fatal("the late pin did not come through")
				}
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "an older image in Slipway's own name is put right, even on a held target",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.good()
				w.run(t)
				w.target = w.target.WithHold("olga", "wait", w.now)
				restore(w, v1)
				w.run(t)
			},
			pins: "v1 v2 v2", version: "v2", phase: deployer.PhaseHealthy, holder: "olga", reason: "held by olga",
		},
		{
			name: "what is put right and proves bad goes back to the one before",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.good()
				w.run(t)
				restore(w, v1)
				w.releases[1].crashes = true
				w.run(t)
			},
			pins: "v1 v2 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", reason: "v2 waits: it is barred",
		},
		{
			name: "a release refused twice is pinned on the third try",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.good()
				w.seize(v1.Pin.String())
				for range 2 {
					w.run(t)
					w.target = must(w.target.WithResume("olga", "", w.now))(t)
				}
				w.owner = deployer.Itself
				w.run(t)
			},
			pins: "v1 v2", version: "v2", phase: deployer.PhaseHealthy,
		},
		{
			name: "a refused release that is resumed still has to be known to descend",
			tell: func(t *testing.T, w *world) {
				v1 := w.good()
				w.run(t)
				w.good()
				w.seize(v1.Pin.String())
				w.run(t)
				w.owner, w.unread = deployer.Itself, true
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseFailed, reason: "whether it descends from v1 is not known yet",
		},
	} {
		t.Run(s.name, s.run)
	}
}

// restore puts an older image back in Slipway's own name, as a restored backup
// of the cluster does.
func restore(w *world, r release) {
	w.field = r.Pin.String()
	w.revision++
}

// undo is kubectl rollout undo: the image from before, by somebody else.
func undo(w *world) { w.seize(w.target.Current.From) }

func TestARollbackOverARivalIsDenied(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	w.good()
	w.run(t)
	w.seize(rivalImage)
	rollBack(t, w, "")
	w.run(t)
	if w.pins() != "v1 v2" || w.target.Request != nil || w.target.Hold != nil {
		t.Errorf("pinned %q, request %v, hold %v", w.pins(), w.target.Request, w.target.Hold)
	}
	if !strings.Contains(w.target.Denied, "kubectl-edit set the image to "+rivalImage+", and Slipway forces nothing") {
		t.Errorf("denied with %q", w.target.Denied)
	}
}

func TestAWayBackThatIsRefusedStops(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	w.bad()
	w.pass()
	w.owner = rival
	w.revision++
	w.run(t)
	if w.pins() != "v1 v2" || phaseOf(w.target) != deployer.PhaseFailed || holder(w.target) != deployer.Itself || barred(w.target) != "v2" {
		t.Errorf("pinned %q, %s, held by %q, barred %q", w.pins(), phaseOf(w.target), holder(w.target), barred(w.target))
	}
	w.owner = deployer.Itself
	w.target = must(w.target.WithResume("olga", "", w.now))(t)
	w.run(t)
	if w.pins() != "v1 v2 v1" || phaseOf(w.target) != deployer.PhaseHealthy {
		t.Errorf("after the resume pinned %q, %s", w.pins(), phaseOf(w.target))
	}
}

func TestTheRefusalOfOnePinIsNotHeldAgainstTheNext(t *testing.T) {
	w := takenOver(t)
	for range 2 {
		w.good()
		w.run(t)
	}
	w.good()
	w.decide(w.look())
	rollBack(t, w, "v1")
	o := w.look()
	o.Refused = "conflict over v3"
	pin, ok := w.decide(o).(deployer.Pin)
	if !ok || pin.Deployment.Release.Version != "v1" {
		t.Errorf("asked for %+v: %s", pin, w.target.Reason)
	}
}
