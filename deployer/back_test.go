package deployer_test

import (
	"strings"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/internal/ref"
)

func TestBadReleasesGoBackOnce(t *testing.T) {
	for _, s := range []story{
		{
			name: "a release that crashes goes back to the last healthy pin and is barred",
			tell: func(t *testing.T, w *world) { w.good(); w.run(t); w.bad(); w.run(t) },
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2",
			reason: "v2 waits: it is barred",
		},
		{
			name: "a failed first release goes back to the image from before the take-over",
			tell: func(t *testing.T, w *world) { w.bad(); w.run(t) },
			pins: "v1 before", phase: deployer.PhaseHealthy, barred: "v1", reason: "v1 waits: it is barred",
		},
		{
			name: "a failed first release with nothing before it stops and says why",
			tell: func(t *testing.T, w *world) {
				w.target.TakenOver.Image, w.field = "", ""
				w.bad()
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseFailed, barred: "v1", holder: deployer.Itself,
			reason: "there is no healthy release to go back to",
		},
		{
			name: "a way back that is bad too stops there",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.bad()
				w.pass() // pins v2
				w.releases[0].crashes = true
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseFailed, barred: "v2", holder: deployer.Itself,
			reason: "Slipway goes back once",
		},
		{
			name: "the release after a bad one, with the same fault in it, is held back",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.bad()
				w.run(t)
				w.good()
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2",
			reason: "v3 waits: it contains the barred commit of v2 without its revert",
		},
		{
			name: "a bad release does not block its own fix",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.bad()
				w.run(t)
				w.merge(false, "v2")
				w.run(t)
			},
			pins: "v1 v2 v1 v3", version: "v3", phase: deployer.PhaseHealthy, barred: "v2",
		},
		{
			name: "what was passed over goes out after all when the newest was bad",
			tell: func(t *testing.T, w *world) { w.good(); w.run(t); w.good(); w.bad(); w.run(t) },
			pins: "v1 v3 v1 v2", version: "v2", phase: deployer.PhaseHealthy, barred: "v3",
			reason: "v3 waits: it is barred",
		},
		{
			name: "a rollout that is not healthy by its deadline goes back",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.slow = time.Hour
				w.good()
				w.pass()
				w.pass()
				w.slow = 0
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", reason: "not healthy within 5m0s",
		},
		{
			name: "pods that run and do not answer are not healthy",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.good()
				w.mute = true
				for range 40 {
					w.pass()
					w.now = w.now.Add(10 * time.Second)
					if w.target.Current.Back {
						break
					}
				}
				w.mute = false
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", reason: "does not answer: 503",
		},
		{
			name: "a cluster that does not answer is not taken for a bad release, whatever the deadline",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.pass()
				w.down = true
				for range 100 {
					w.now = w.now.Add(time.Minute)
					w.pass()
				}
				if phaseOf(w.target) != deployer.PhaseRolling {
					t.Errorf("is %s while the cluster does not answer", phaseOf(w.target))
				}
				w.down = false
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy,
		},
		{
			name: "past its deadline and readable again, an unfinished rollout goes back",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.run(t)
				w.slow = 2 * time.Hour
				w.good()
				w.pass()
				w.pass()
				w.slow, w.down = 0, true
				w.now = w.now.Add(time.Hour)
				w.pass()
				w.down = false
				w.run(t)
			},
			pins: "v1 v2 v1", version: "v1", phase: deployer.PhaseHealthy, barred: "v2", reason: "not healthy within",
		},
		{
			name: "scaled to zero is no proof of anything: it stops, bars nothing, and a resume tries again",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.pods = 0
				w.run(t)
				if phaseOf(w.target) != deployer.PhaseFailed || !strings.Contains(w.target.Reason, "scaled to zero") {
					t.Errorf("is %s because of %q", phaseOf(w.target), w.target.Reason)
				}
				w.pods = 1
				w.target = must(w.target.WithResume("olga", "", w.now))(t)
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseHealthy,
		},
		{
			name: "a Deployment that is gone by the deadline stops the rollout",
			tell: func(t *testing.T, w *world) {
				w.good()
				w.pass()
				w.gone = true
				w.run(t)
			},
			pins: "v1", version: "v1", phase: deployer.PhaseFailed, holder: deployer.Itself, reason: "does not exist",
		},
	} {
		t.Run(s.name, s.run)
	}
}

func TestPodsProveTheirImage(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*deployer.Observation)
		want  string
	}{
		"a pod that runs another digest": {
			func(o *deployer.Observation) { o.Pods[1].ImageID = "registry.example/acme/app@sha256:00" },
			"pod app-1 runs registry.example/acme/app@sha256:00",
		},
		"a pod whose image the runtime does not name": {
			func(o *deployer.Observation) { o.Pods[0].ImageID = "" },
			"pod app-0 does not say which image it runs",
		},
		"a pod that is not ready": {
			func(o *deployer.Observation) { o.Pods[1].Ready = ref.No },
			"pod app-1 is not ready",
		},
		"a pod whose readiness is unknown": {
			func(o *deployer.Observation) { o.Pods[1].Ready = ref.Unknown },
			"pod app-1 is not ready",
		},
		"a pod that answers another revision": {
			func(o *deployer.Observation) { o.Pods[1].Probe.Revision = "other" },
			`pod app-1 answers revision "other"`,
		},
		"a pod that answers no revision": {
			func(o *deployer.Observation) { o.Pods[1].Probe.Revision = "" },
			`pod app-1 answers revision ""`,
		},
		"a pod of which nobody can tell whether it answers": {
			func(o *deployer.Observation) { o.Pods[0].Probe.Answered = ref.Unknown },
			"pod app-0 does not answer",
		},
		"a rollout whose state is unknown": {
			func(o *deployer.Observation) { o.Rollout.State = deployer.RolloutUnknown },
			"how far the rollout is cannot be told",
		},
		"a rollout in progress": {
			func(o *deployer.Observation) {
				o.Rollout = deployer.Rollout{State: deployer.RolloutInProgress, Reason: "1 of 2"}
			},
			"1 of 2",
		},
	} {
		t.Run(name+" is not healthy", func(t *testing.T) {
			w := takenOver(t)
			w.good()
			w.pass()
			o := w.ask(w.look())
			c.spoil(&o)
			if action := w.decide(o); action != nil {
				t.Errorf("asked for %T", action)
			}
			if phaseOf(w.target) != deployer.PhaseRolling || !strings.Contains(w.target.Current.Reason, c.want) {
				t.Errorf("is %s because of %q, want rolling because of %q", phaseOf(w.target), w.target.Current.Reason, c.want)
			}
			w.pass()
			if phaseOf(w.target) != deployer.PhaseHealthy {
				t.Errorf("is %s once all is well, want healthy", phaseOf(w.target))
			}
		})
	}
}

func TestWithoutAHealthQuestionNothingIsHealthy(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.releases[0].Spec.Health = deployer.Health{}
	w.pass()
	w.pass()
	if phaseOf(w.target) != deployer.PhaseRolling || !strings.Contains(w.target.Reason, "no health question is declared") {
		t.Errorf("is %s because of %q", phaseOf(w.target), w.target.Reason)
	}
}

func TestAFailedReleaseIsKeptWithItsReason(t *testing.T) {
	w := takenOver(t)
	w.good()
	w.run(t)
	bad := w.bad()
	w.run(t)
	back, left := w.target.Current, w.target.Past[0]
	if left.Phase != deployer.PhaseRolledBack || !strings.Contains(left.Reason, "CrashLoopBackOff") || left.Release.Version != bad.Version {
		t.Errorf("the release left is %+v", left)
	}
	if !back.Back || back.Of != bad.Version || back.By != deployer.Itself || back.From != bad.Pin.String() {
		t.Errorf("the way back is %+v", back)
	}
	if bar := w.target.Barred[0]; bar.Digest != bad.Pin.Digest || bar.Merge != bad.Merge || bar.By != deployer.Itself {
		t.Errorf("the bar is %+v", bar)
	}
}

func TestTheTargetRemembersFiftyDeployments(t *testing.T) {
	w := takenOver(t)
	for range 60 {
		w.good()
		w.run(t)
	}
	if n := len(w.target.Past); n != 50 || w.target.Past[0].Release.Version != "v59" {
		t.Errorf("remembers %d, the newest %s", n, w.target.Past[0].Release.Version)
	}
}
