package deployer_test

import (
	"strings"
	"testing"
	"time"

	"slipway/deployer"
)

// rollBack asks for a way back as olga.
func rollBack(t *testing.T, w *world, version string) {
	t.Helper()
	w.target = must(w.target.WithRequest("olga", "it is slow", version, w.now))(t)
}

func TestAPersonsRollbackSticks(t *testing.T) {
	for _, s := range []story{
		{
			name: "back to the release before, barring what was left and holding the target",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga",
			reason: "held by olga: rolled back by olga: it is slow",
		},
		{
			name: "nothing newer is deployed until a person resumes",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
				w.merge(false, "v2")
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "a resume alone does not bring back what was left, nor what contains it",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
				w.good()
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2",
			reason: "v3 waits: it contains the barred commit of v2",
		},
		{
			name: "a resume that allows it brings it back",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
				lift(t, w, "v2")
				w.run(t)
			},
			pins: "v1 v2 v1 v2", version: "v2", phase: deployer.PhaseHealthy,
		},
		{
			name: "what a person went back behind does not return with a resume",
			tell: func(t *testing.T, w *world) {
				for range 3 {
					w.good()
					w.run(t)
				}
				rollBack(t, w, "v1")
				w.run(t)
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1 v2 v3 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v3", reason: "v3 waits: it is barred",
		},
		{
			name: "the only release can be left for the image from before the take-over",
			tell: func(t *testing.T, w *world) { w.good(); w.run(t); rollBack(t, w, ""); w.run(t) },
			pins: "v1 before", phase: deployer.PhaseHealthy, barred: "v1", holder: "olga", reason: "held by olga",
		},
		{
			name: "in the middle of a rollout",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.slow = time.Minute
				w.good()
				w.pass()
				w.pass()
				rollBack(t, w, "")
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "before the pin was applied it is never applied",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.decide(w.look()) // recorded, then killed
				rollBack(t, w, "")
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "while Slipway goes back already, it is their rollback from then on",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.bad()
				w.slow = time.Minute
				w.pass()
				w.pass()
				rollBack(t, w, "")
				w.run(t)
				if by := w.target.Current.By; by != "olga" {
					t.Errorf("the way back is by %s", by)
				}
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "twice in a row goes back twice",
			tell: func(t *testing.T, w *world) {
				for range 3 {
					w.good()
					w.run(t)
				}
				rollBack(t, w, "")
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
			},
			pins: "v1 v2 v3 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v3 v2", holder: "olga", reason: "held by olga",
		},
		{
			name: "a request waits for the cluster to answer",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				rollBack(t, w, "")
				w.down = true
				w.pass()
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy, reason: "the rollback asked for by olga waits: the cluster did not answer",
		},
		{
			name: "when the way back is bad the person's hold stands",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.merge(false, "v1")
				w.run(t)
				w.releases[0].crashes = true
				rollBack(t, w, "")
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseFailed, barred: "v2", holder: "olga", reason: "held by olga",
		},
	} {
		t.Run(s.name, s.run)
	}
}

func TestLeavingAReleaseThatCameBackMarksItsFirstDeploymentToo(t *testing.T) {
	w := takenOver(t)
	for range 3 {
		w.good()
		w.run(t)
	}
	rollBack(t, w, "")
	w.run(t)
	rollBack(t, w, "")
	w.run(t)
	for _, d := range w.target.Past {
		if d.Release.Version == "v2" && d.Phase != deployer.PhaseRolledBack {
			t.Errorf("v2 was left and one of its deployments is %s (back: %v)", d.Phase, d.Back)
		}
	}
	if w.target.Current.Of != "v2" {
		t.Errorf("the way back is of %q, want v2", w.target.Current.Of)
	}
}

func TestARollbackThatCannotBeIsRefusedAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		tell    func(t *testing.T, w *world)
		version string
		want    string
	}{
		"of a target that was not taken over": {func(_ *testing.T, w *world) { w.target.TakenOver = nil }, "", "not taken over"},
		"before anything was deployed":        {func(*testing.T, *world) {}, "", "nothing was deployed here yet"},
		"to what runs":                        {func(t *testing.T, w *world) { w.good(); w.run(t) }, "v1", "v1 is the current release"},
		"to a version never deployed": {
			func(t *testing.T, w *world) { w.good(); w.good(); w.run(t) }, "v1", "v1 was never healthy here",
		},
		"to a barred version": {
			func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.run(t)
				rollBack(t, w, "")
				w.run(t)
			},
			"v2", "v2 is barred: slipway deploy resume acme/app/production --allow v2",
		},
		"beside another request": {
			func(t *testing.T, w *world) { w.good(); w.run(t); rollBack(t, w, "") }, "", "the rollback asked for by olga is still to be done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := takenOver(t)
			c.tell(t, w)
			if _, err := w.target.WithRequest("ivan", "", c.version, w.now); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestARequestThatCannotBeAnyMoreIsDeniedAndClears(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	w.target.Request = &deployer.Request{By: "olga", Version: "v7", At: w.now}
	w.run(t)
	if w.target.Request != nil || w.target.Hold != nil || len(w.pinned) != 1 {
		t.Errorf("the request is %v, the hold %v, pinned %s", w.target.Request, w.target.Hold, w.pins())
	}
	if want := "the rollback to v7 asked for by olga was not done: v7 was never healthy here"; w.target.Denied != want {
		t.Errorf("denied with %q, want %q", w.target.Denied, want)
	}
	w.good()
	w.run(t)
	rollBack(t, w, "")
	if w.target.Denied != "" {
		t.Errorf("a new request keeps the old denial %q", w.target.Denied)
	}
}

func TestResumeSaysWhenThereIsNothingToResume(t *testing.T) {
	w := takenOver(t)
	if _, err := w.target.WithResume("olga", "", w.now); err == nil || !strings.Contains(err.Error(), "it is not held") {
		t.Errorf("got %v", err)
	}
	held := w.target.WithHold("olga", "", w.now)
	if _, err := held.WithResume("olga", "v3", w.now); err == nil || !strings.Contains(err.Error(), "v3 is not barred") {
		t.Errorf("got %v", err)
	}
}

func TestALiftedBarNamesWhoLiftedIt(t *testing.T) {
	w := takenOver(t)
	w.bad()
	w.run(t)
	lift(t, w, "v1")
	if b := w.target.Barred[0]; b.Lifted != "olga" || !b.LiftedAt.Equal(w.now) {
		t.Errorf("the bar is %+v", b)
	}
}

func TestTakeOver(t *testing.T) {
	w := newWorld()
	if _, err := w.target.WithTakeOver(oldImage, rival, w.now); err == nil {
		t.Error("was taken over without consent")
	}
	consented := must(w.target.WithConsent(w.shown("olga")))(t)
	if after, action := deployer.Next(consented, w.look(), w.now); action != nil || !strings.Contains(after.Reason, "olga agreed to") {
		t.Errorf("before it is done: %T, reason %q", action, after.Reason)
	}
	w.takeOver(t)
	if got := *w.target.TakenOver; got.By != "olga" || got.Image != oldImage || got.Owner != rival {
		t.Errorf("the take-over is %+v", got)
	}
	w.good()
	w.pass()
	if _, err := w.target.WithConsent(w.shown("olga")); err == nil {
		t.Error("consent was taken in the middle of a rollout")
	}
	if w.target.Consent != nil || phaseOf(w.target) != deployer.PhaseRolling {
		t.Errorf("a refused consent changed the target: %+v", w.target)
	}
	w.run(t)
	w.target = must(must(w.target.WithConsent(w.shown("ivan")))(t).WithTakeOver(w.field, deployer.Itself, w.now))(t)
	if w.target.Current == nil || w.target.Current.Release.Version != "v1" {
		t.Errorf("taken over again as it stands, the current deployment is %+v", w.target.Current)
	}
}

func TestWhatSlipwayOwnsNeedsNoTakeOver(t *testing.T) {
	tests := []struct {
		name string
		tell func(w *world, s *deployer.Spec)
		owns bool
	}{
		{name: "the field as Slipway left it", tell: func(*world, *deployer.Spec) {}, owns: true},
		{name: "another image", tell: func(w *world, _ *deployer.Spec) { w.field = "registry.example/acme/app:hand" }},
		{name: "another owner of the same image", tell: func(w *world, _ *deployer.Spec) { w.owner = rival }},
		{name: "another Deployment", tell: func(_ *world, s *deployer.Spec) { s.Deployment = "web" }},
		{name: "another container", tell: func(_ *world, s *deployer.Spec) { s.Container = "web" }},
		{name: "another question for its health", tell: func(_ *world, s *deployer.Spec) { s.Health.Path = "/live" }, owns: true},
		{name: "nobody consented", tell: func(w *world, _ *deployer.Spec) { w.target.TakenOver = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := takenOver(t)
			w.good()
			w.run(t)
			s := spec()
			tt.tell(w, &s)
			if got := w.target.Owns(s, w.look()); got != tt.owns {
				t.Errorf("owns is %t", got)
			}
		})
	}
}

func TestATakeOverMovesTheTargetToWhatWasConsentedTo(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	shown := w.shown("ivan")
	shown.Spec.Deployment, shown.Image = "web", w.field // it happens to run the same image
	consented := must(w.target.WithConsent(shown))(t)
	if consented.Spec != w.target.Spec {
		t.Errorf("the consent alone moved the target to %+v", consented.Spec)
	}
	if after := consented.WithoutConsent(); after.Spec != w.target.Spec || after.Consent != nil || after.Current == nil {
		t.Errorf("without the consent it is %+v", after)
	}
	after := must(consented.WithTakeOver(shown.Image, shown.Owner, w.now))(t)
	if after.Spec != shown.Spec || after.TakenOver.Spec != shown.Spec {
		t.Errorf("it is at %+v, by consent to %+v", after.Spec, after.TakenOver.Spec)
	}
	if after.Current != nil || after.Healthy != nil {
		t.Errorf("what proved healthy elsewhere counts there: current %+v, healthy %+v", after.Current, after.Healthy)
	}
	if len(after.Past) != 1 || after.Past[0].Phase != deployer.PhaseReplaced {
		t.Errorf("the past is %+v", after.Past)
	}
}

func TestAReleaseBringsItsHealthAndDeadlineButNotItsPlace(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	w.good()
	s := spec()
	s.Health.Path, s.Deadline = "/live", time.Hour
	w.releases[1].Spec = s
	w.run(t)
	if w.target.Spec != s {
		t.Errorf("the target is %+v, want %+v", w.target.Spec, s)
	}
	w.target = must(w.target.WithRequest("olga", "slow", "", w.now))(t)
	w.run(t)
	if w.target.Spec != spec() {
		t.Errorf("after the way back it is %+v, want %+v", w.target.Spec, spec())
	}
}

func TestActsOfPeopleLeaveTheGivenTargetAlone(t *testing.T) {
	w := takenOver(t)
	w.bad()
	w.run(t)
	before := w.target
	lift(t, w, "v1")
	if before.Barred[0].Lifted != "" {
		t.Error("the bar was lifted in the target that was given")
	}
}
