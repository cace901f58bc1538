package deployer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/internal/ref"
)

const rival = "kubectl-edit"

// world is a branch of releases and a cluster that runs their images, as far as
// a target can tell: a real field, real ownership, and pods that are as good as
// their image. It carries out a pin as an API server does, on its precondition.
type world struct {
	now      time.Time
	target   deployer.Target
	releases []release

	field    string
	owner    string
	revision int // resource version
	pods     int
	// slow pods become ready only at that time after the pin.
	ready     time.Time
	slow      time.Duration
	simulated bool
	down      bool // the cluster does not answer
	gone      bool // there is no such Deployment
	mute      bool // pods run and do not answer
	unread    bool // git does not answer: relations are unknown

	pinned []deployer.Deployment // as applied, in order
}

// release is one merge of the branch. fault names the version that broke it:
// its own, or an earlier one whose commit it contains without a revert.
type release struct {
	deployer.Release
	crashes bool
	reverts string // the version whose commit it takes out
}

const oldImage = "registry.example/acme/app:before"

func newWorld() *world {
	w := &world{
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), field: oldImage, owner: rival, revision: 1, pods: 2,
		target: deployer.Target{
			ID:   ref.TargetID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Environment: "production"},
			Spec: spec(),
		},
	}
	return w
}

func spec() deployer.Spec {
	return deployer.Spec{
		Environment: "production", Cluster: "main", Namespace: "app", Deployment: "app", Container: "app",
		Health:   deployer.Health{Port: 8080, Path: "/healthz", Field: "revision"},
		Deadline: 5 * time.Minute,
	}
}

// takenOver is a world whose field is Slipway's.
func takenOver(t require) *world {
	w := newWorld()
	w.takeOver(t)
	return w
}

// shown is what a person who consents now was shown.
func (w *world) shown(to string) deployer.TakeOver {
	return deployer.TakeOver{By: to, At: w.now, Image: w.field, Owner: w.owner, Spec: spec()}
}

func (w *world) takeOver(t require) {
	t.Helper()
	consented := must(w.target.WithConsent(w.shown("olga")))(t)
	w.target = must(consented.WithTakeOver(w.field, w.owner, w.now))(t)
	w.owner = deployer.Itself
	w.revision++
}

// merge adds the next release: v1, v2, …
func (w *world) merge(crashes bool, reverts string) release {
	n := len(w.releases) + 1
	r := release{crashes: crashes, reverts: reverts, Release: deployer.Release{
		Change:   ref.PullID{Repo: w.target.ID.Repo, Number: int64(n)},
		Version:  fmt.Sprintf("v%d", n),
		Merge:    ref.SHA(fmt.Sprintf("%040x", n)),
		Position: int64(n), Spec: spec(),
		Pin: ref.Pin{
			Repository: "registry.example/acme/app", Tag: ref.Tag(fmt.Sprintf("v%d", n)),
			Digest: ref.Digest(fmt.Sprintf("sha256:%064x", n)),
		},
	}}
	w.releases = append(w.releases, r)
	return r
}

func (w *world) good() release { return w.merge(false, "") }
func (w *world) bad() release  { return w.merge(true, "") }

// version finds the release of an image.
func (w *world) version(image string) release {
	for _, r := range w.releases {
		if r.Pin.String() == image {
			return r
		}
	}
	return release{}
}

// broken says whether an image crashes: its release is broken, or contains a
// broken one that nothing after it took out.
func (w *world) broken(image string) bool {
	r := w.version(image)
	for _, earlier := range w.releases {
		if earlier.Position <= r.Position && earlier.crashes && w.contains(r, earlier) {
			return true
		}
	}
	return false
}

// contains says whether r has the commit of an earlier release without its
// revert.
func (w *world) contains(r, earlier release) bool {
	if earlier.Position > r.Position {
		return false
	}
	for _, between := range w.releases {
		if between.Position > earlier.Position && between.Position <= r.Position && between.reverts == earlier.Version {
			return false
		}
	}
	return true
}

// look is what one observation finds, before anybody is asked for health.
func (w *world) look() deployer.Observation {
	o := deployer.Observation{Simulated: w.simulated, Releases: w.candidates()}
	switch {
	case w.down:
		o.Detail = "connection refused"
		return o
	case w.gone:
		o.Read = ref.No
		return o
	}
	o.Read, o.Image, o.Owner, o.Owned = ref.Yes, w.field, w.owner, ref.Known(w.owner == deployer.Itself)
	o.UID, o.ResourceVersion = "uid", fmt.Sprint(w.revision)
	o.Rollout.State = deployer.RolloutComplete
	up := ref.Yes
	switch {
	case w.broken(w.field):
		o.Rollout = deployer.Rollout{State: deployer.RolloutFailed, Reason: "pod app-0 is in CrashLoopBackOff"}
		up = ref.No
	case w.now.Before(w.ready):
		o.Rollout = deployer.Rollout{State: deployer.RolloutInProgress, Reason: "0 of 2 pods are ready"}
		up = ref.No
	}
	_, digest, _ := strings.Cut(w.field, "@")
	id := "registry.example/acme/app@" + digest
	if w.simulated {
		id = ""
	}
	for i := range w.pods {
		o.Pods = append(o.Pods, deployer.Pod{Name: fmt.Sprintf("app-%d", i), Image: w.field, ImageID: id, Ready: up})
	}
	return o
}

func (w *world) candidates() []deployer.Candidate {
	known := make([]deployer.Release, 0, len(w.releases))
	for _, r := range w.releases {
		known = append(known, r.Release)
	}
	running := w.target.Running(known)
	list := make([]deployer.Candidate, 0, len(w.releases))
	for _, r := range w.releases {
		c := deployer.Candidate{Release: r.Release}
		if !w.unread {
			c.BarredRead = ref.Yes
			c.Descends = ref.Known(r.Position >= running.Position)
			for _, b := range w.target.Barred {
				if b.Lifted == "" && w.contains(r, w.byVersion(b.Version)) {
					c.Barred = b.Version
				}
			}
		}
		list = append(list, c)
	}
	return list
}

func (w *world) byVersion(version string) release {
	for _, r := range w.releases {
		if r.Version == version {
			return r
		}
	}
	return release{}
}

// ask probes the pods of an observation.
func (w *world) ask(o deployer.Observation) deployer.Observation {
	o.Pods = append([]deployer.Pod(nil), o.Pods...)
	revision := "a commit nobody knows"
	if r := w.version(w.field); r.Version != "" {
		revision = string(r.Merge)
	}
	for i := range o.Pods {
		o.Pods[i].Probe = deployer.Probe{
			Answered: ref.Yes, Revision: revision, Answer: `{"revision":"…"}`, At: w.now,
		}
		if w.mute {
			o.Pods[i].Probe = deployer.Probe{Answered: ref.No, Detail: "503", At: w.now}
		}
	}
	return o
}

// apply does what an API server does with a pin, and returns its refusal.
func (w *world) apply(p deployer.Pin) (refused string) {
	switch {
	case w.down || w.gone || p.ResourceVersion != fmt.Sprint(w.revision):
		return "" // observe again
	case w.owner != deployer.Itself:
		return fmt.Sprintf("conflict: %s owns the image", w.owner)
	}
	w.field = p.Deployment.Image
	w.revision++
	w.ready = w.now.Add(w.slow)
	w.pinned = append(w.pinned, p.Deployment)
	return ""
}

// pass is one pass of the shell: observe, decide, record, act once.
func (w *world) pass() deployer.Action {
	o := w.look()
	action := w.decide(o)
	if _, ok := action.(deployer.Ask); ok {
		return w.decide(w.ask(o))
	}
	if p, ok := action.(deployer.Pin); ok {
		if refused := w.apply(p); refused != "" {
			o.Refused = refused
			return w.decide(o)
		}
	}
	return action
}

func (w *world) decide(o deployer.Observation) (a deployer.Action) {
	w.target, a = deployer.Next(w.target, o, w.now)
	return a
}

// run makes passes, some seconds apart, until n in a row change nothing.
func (w *world) run(t require) {
	t.Helper()
	for still, passes := 0, 0; still < 3; passes++ {
		if passes > 500 {
			t.Fatalf("the target does not come to rest: %+v", w.target)
		}
		before := fmt.Sprintf("%+v", w.target.Current) + w.target.Reason + w.field
		w.pass()
		w.now = w.now.Add(10 * time.Second)
		if w.target.Current != nil && w.target.Current.Phase == deployer.PhaseRolling && !w.down {
			continue
		}
		if before == fmt.Sprintf("%+v", w.target.Current)+w.target.Reason+w.field {
			still++
		} else {
			still = 0
		}
	}
}

// require is what a test and a property check have in common.
type require interface {
	Helper()
	Fatalf(format string, args ...any)
}

var _ require = (*testing.T)(nil)

// must ends the test on an error.
func must(t deployer.Target, err error) func(require) deployer.Target {
	return func(r require) deployer.Target {
		r.Helper()
		if err != nil {
			r.Fatalf("%v", err)
		}
		return t
	}
}
