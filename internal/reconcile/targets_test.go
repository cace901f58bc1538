package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

// elsewhere is spec for another Deployment or container.
func elsewhere(deployment, container string) deployer.Spec {
	s := spec()
	s.Deployment, s.Container = deployment, container
	return s
}

func TestATakeOverIsOfWhatThePersonSaw(t *testing.T) {
	w := newWorld(t)
	w.cluster.create("web", "app")
	w.release(spec(), false)
	w.history.push("main", "deploy elsewhere", map[string]string{reconcile.PolicyFile: policyFor("web", "app")})
	w.release(spec(), false) // still for the old place
	w.run()
	w.adopt()
	if _, taken, _ := w.cluster.count(); !slices.Equal(taken, []string{"web/app"}) {
		t.Errorf("taken over by force: %v", taken)
	}
	if got := w.target(); got.Spec.Deployment != "web" || got.TakenOver.Spec.Deployment != "web" || got.TakenOver.Owner != handOwner {
		t.Errorf("recorded: %+v at %+v", got.TakenOver, got.Spec)
	}
	w.says("it is for the container app of acme/app in main, which was not taken over: slipway deploy takeover " + production.String())
	if _, _, pins := w.cluster.count(); len(pins) > 0 {
		t.Errorf("pinned %v", pins)
	}
}

func TestConsentIsRefusedToWhatWasNotShown(t *testing.T) {
	tests := []struct {
		name   string
		tell   func(w *world, seen *reconcile.Offered)
		reason string
	}{
		{"nothing was shown", func(_ *world, seen *reconcile.Offered) { *seen = reconcile.Offered{} }, "nothing was"},
		{"the image changed", func(w *world, _ *reconcile.Offered) { w.cluster.set("app", "app", "another", handOwner) }, `"another"`},
		{"the owner changed", func(w *world, _ *reconcile.Offered) { w.cluster.set("app", "app", imageBefore, "argo") }, `"argo"`},
		{"the place changed", func(w *world, _ *reconcile.Offered) {
			w.cluster.create("web", "app")
			w.history.push("main", "elsewhere", map[string]string{reconcile.PolicyFile: policyFor("web", "app")})
		}, "Deployment acme/web"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			seen, err := w.engine.Inspect(t.Context(), production)
			if err != nil || seen.Taken || seen.Image != imageBefore || seen.Owner != handOwner {
				t.Fatalf("shown: %+v, %v", seen, err)
			}
			tt.tell(w, &seen)
			err = w.engine.TakeOver(t.Context(), production, w.person(), seen)
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v", err)
			}
			if told := w.entries("refused.order.takeover"); len(told) != 1 || told[0].Actor != operator || !strings.Contains(told[0].Reason, tt.reason) {
				t.Errorf("the journal says %+v", told)
			}
			if w.target().Consent != nil {
				t.Error("the consent was recorded")
			}
		})
	}
}

func TestAConsentIsWithdrawnWhenTheFieldChangedSince(t *testing.T) {
	w := newWorld(t)
	seen, err := w.engine.Inspect(t.Context(), production)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.engine.TakeOver(t.Context(), production, w.person(), seen); err != nil {
		t.Fatal(err)
	}
	w.cluster.set("app", "app", "another", handOwner)
	w.run() // only now does somebody carry it out
	w.until("the refusal", func() bool { return len(w.entries("refused.deploy.takeover")) == 1 })
	if got := w.target(); got.Consent != nil || got.TakenOver != nil {
		t.Errorf("consent %+v, taken over %+v", got.Consent, got.TakenOver)
	}
	if _, taken, _ := w.cluster.count(); len(taken) > 0 {
		t.Errorf("taken over by force: %v", taken)
	}
}

func TestATakeOverThatWasCutOffIsFinished(t *testing.T) {
	w := newWorld(t)
	seen, err := w.engine.Inspect(t.Context(), production)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.engine.TakeOver(t.Context(), production, w.person(), seen); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.cluster.TakeOver(t.Context(), spec()); err != nil { // done, and killed before it was recorded
		t.Fatal(err)
	}
	w.run()
	w.until("the take-over", func() bool { return w.target().TakenOver != nil })
	if got := w.target().TakenOver; got.Owner != handOwner || got.Image != imageBefore {
		t.Errorf("recorded: %+v", got)
	}
}

func TestATargetIsTakenOverAgainOnlyWhenThatChangesSomething(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	v1 := w.release(spec(), false)
	w.runs(v1)
	seen, err := w.engine.Inspect(t.Context(), production)
	if err != nil || !seen.Taken {
		t.Errorf("shown: %+v, %v", seen, err)
	}
	if err := w.engine.TakeOver(t.Context(), production, w.person(), seen); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "owns it already") {
		t.Errorf("got %v", err)
	}
	w.cluster.set("app", "app", imageBefore, handOwner)
	w.says("take the target over again")
	w.adopt()
	if _, owners := w.cluster.field("app", "app"); !slices.Equal(owners, []string{deployer.Itself}) {
		t.Errorf("owned by %v", owners)
	}
}

func TestAReleaseThatNamesAnotherPlaceMovesNothing(t *testing.T) {
	tests := []struct {
		name  string
		place deployer.Spec
	}{
		{"a container that does not exist", elsewhere("app", "web")},
		{"a Deployment that exists", elsewhere("web", "app")},
		{"a Deployment that does not", elsewhere("gone", "app")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.cluster.create("web", "app")
			w.run()
			w.adopt()
			v1 := w.release(spec(), false)
			w.runs(v1)
			v2 := w.release(spec(), false)
			w.runs(v2)
			v3 := w.release(tt.place, false)
			w.says(v3.Version + " waits: it is for the container " + tt.place.Container + " of acme/" + tt.place.Deployment)
			if got := w.target(); got.Spec.Deployment != "app" || got.Spec.Container != "app" || got.Hold != nil {
				t.Errorf("the target is at %+v, held: %v", got.Spec, got.Hold)
			}
			if err := w.engine.Rollback(t.Context(), production, w.person(), ""); err != nil {
				t.Fatal(err)
			}
			w.runs(v1)
		})
	}
}

func TestARolloutGoesOnWhenTheNextReleaseNamesAnotherPlace(t *testing.T) {
	w := newWorld(t)
	w.cluster.create("web", "app")
	w.run()
	w.adopt()
	v1 := w.release(spec(), false)
	w.cluster.image(v1.Pin.String(), program{revision: string(v1.Merge), slow: true})
	w.says("0 of 1 pods are ready")
	v2 := w.release(elsewhere("web", "app"), false)
	before, _, _ := w.cluster.count()
	w.until("another look", func() bool { looks, _, _ := w.cluster.count(); return looks > before+1 })
	w.cluster.image(v1.Pin.String(), program{revision: string(v1.Merge)})
	w.runs(v1)
	w.says(v2.Version + " waits")
	if got := w.target(); got.Hold != nil {
		t.Errorf("held: %+v", got.Hold)
	}
}

func TestTheReleaseStartedLastSaysHowToAskForHealth(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	s := spec()
	s.Health.Path, s.Deadline = "/live", 2*time.Minute
	w.runs(w.release(s, false))
	if got := w.target().Spec; got != s {
		t.Errorf("the target is %+v, want %+v", got, s)
	}
}

// A base that was pushed by force, and a mirror made anew: what runs is in no
// history any more.
func TestAVanishedCommitKeepsNobodyFromGoingBack(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	v1 := w.release(spec(), false)
	w.runs(v1)
	v2 := w.release(spec(), false)
	w.runs(v2)
	w.history.rewrite("main", v1.Merge)
	v3 := w.release(spec(), false)
	w.says(v3.Version + " waits: whether it descends from " + v2.Version + " is not known yet")
	w.cluster.set("app", "app", v1.Pin.String(), handOwner) // the watch goes on
	w.until("the drift", func() bool { return w.target().Drift != "" })
	w.cluster.set("app", "app", v2.Pin.String(), deployer.Itself)
	w.until("its end", func() bool { return w.target().Drift == "" })
	if n := w.log.count("msg=relate"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	if err := w.engine.Rollback(t.Context(), production, w.person(), ""); err != nil {
		t.Fatal(err)
	}
	w.runs(v1)
}

func TestARolloutDoesNotWaitForGit(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	v1 := w.release(spec(), false)
	w.runs(v1)
	v2 := w.release(spec(), false)
	w.cluster.image(v2.Pin.String(), program{slow: true})
	w.says(v2.Version + " is rolling out: 0 of 1 pods are ready")
	w.release(spec(), false) // which git will be asked about, but not now
	asked := w.history.questions()
	before, _, _ := w.cluster.count()
	w.until("more looks", func() bool { looks, _, _ := w.cluster.count(); return looks > before+1 })
	if now := w.history.questions(); now != asked {
		t.Errorf("git was asked %d times in the middle of a rollout", now-asked)
	}
}

func TestARevertedReleaseReturnsOnlyWithoutItsFault(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	v1 := w.release(spec(), false)
	w.runs(v1)
	v2 := w.release(spec(), true)
	w.until("the way back", func() bool { c := w.target().Current; return c.Back && c.Phase == deployer.PhaseHealthy })
	line := fmt.Sprintf("docs\n\nThis reverts commit %s.", v2.Merge)
	w.history.push("main", line, map[string]string{"docs": "x"})
	v3 := w.release(spec(), false)
	w.says(v3.Version + " waits: it contains the barred commit of " + v2.Version)
	w.history.push("main", "take it out", map[string]string{"file-2": ""})
	v4 := w.release(spec(), false)
	w.runs(v4)
	w.history.push("main", "and in again", map[string]string{"file-2": "x"})
	v5 := w.release(spec(), false)
	w.says(v5.Version + " waits: it contains the barred commit of " + v2.Version)
}

func TestAnUnansweringClusterIsAskedEverMoreSeldomAndToldOnce(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	v1 := w.release(spec(), false)
	w.cluster.image(v1.Pin.String(), program{revision: string(v1.Merge), slow: true})
	w.says("0 of 1 pods are ready")
	n := 0
	w.cluster.answer(func() error { n++; return fmt.Errorf("dial: refused, attempt %d", n) })
	w.says("the cluster did not answer")
	before, _, _ := w.cluster.count()
	began := time.Now()
	w.until("another three looks", func() bool { looks, _, _ := w.cluster.count(); return looks >= before+3 })
	if took := time.Since(began); took < 4*time.Second { // the least of 1 s, 2 s and 4 s, less a quarter each
		t.Errorf("three more looks took %s", took)
	}
	told := slices.DeleteFunc(w.entries("deploy.waiting"), func(e journal.Entry) bool { return !strings.Contains(e.Reason, "did not answer") })
	if len(told) != 1 {
		t.Errorf("the journal tells of it %d times: %+v", len(told), told)
	}
	if w.log.count("attempt 2") == 0 {
		t.Error("the log does not tell what the cluster said")
	}
	w.cluster.answer(nil)
	w.cluster.image(v1.Pin.String(), program{revision: string(v1.Merge)})
	w.cluster.watch("acme", "app") // as a watch does that is connected again
	w.runs(v1)
}

func TestWhatIsWrongForGoodWithThePlaceIsTold(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	w.runs(w.release(spec(), false))
	w.cluster.answer(func() error { return fault.AsPermanent(errors.New("there is no container app in app")) })
	w.cluster.watch("acme", "app")
	w.says("there is no container app in app")
}

func TestARecordWakesOnlyTheChangesThatItTakesBack(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	v1 := w.release(spec(), false)
	w.runs(v1)
	v2 := w.release(spec(), false)
	w.runs(v2)
	if n := w.forge.questions(v2.Change); n > 0 {
		t.Fatalf("the change of %s was looked at %d times before", v2.Version, n)
	}
	if err := w.engine.Rollback(t.Context(), production, w.person(), ""); err != nil {
		t.Fatal(err)
	}
	w.runs(v1)
	w.until("a look at the change that was taken back", func() bool { return w.forge.questions(v2.Change) > 0 })
	if err := w.engine.Resume(t.Context(), production, w.person(), ""); err != nil {
		t.Fatal(err)
	}
	w.until("the end of the hold", func() bool { return w.target().Hold == nil })
	v3 := w.release(spec(), false)
	w.says(v3.Version)
	// Once when it was left, and once when what took its place had proved itself.
	if n := w.forge.questions(v2.Change); n != 2 {
		t.Errorf("the change of %s was looked at %d times", v2.Version, n)
	}
}

func TestAPersonsRollbackTakesAHealthyChangeBack(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.adopt()
	w.runs(w.release(spec(), false))
	v2 := w.release(spec(), false)
	w.runs(v2)
	c := change.New(v2.Change)
	c.Base, c.Head, c.MergeSHA, c.Releasable, c.Version, c.Position, c.Outcome = "main", v2.Merge, v2.Merge, true, v2.Version, v2.Position, change.OutcomeHealthy
	w.keep(reconcile.Write{Change: &c})
	if err := w.engine.Rollback(t.Context(), production, w.person(), ""); err != nil {
		t.Fatal(err)
	}
	w.until("the change to be rolled back", func() bool {
		now, _, err := w.store.Change(t.Context(), v2.Change)
		return err == nil && now.Outcome == change.OutcomeRolled
	})
}
