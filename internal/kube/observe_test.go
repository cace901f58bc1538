package kube_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/kube"
	"slipway/internal/ref"
)

// Images of the fake nodes: the words in the tags make them fail.
const (
	digest   = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	goodV1   = "registry.example/app:v1" + digest
	goodV2   = "registry.example/app:v2" + digest
	badCrash = "registry.example/app:v2-bad-crash" + digest
	badPull  = "registry.example/app:v2-bad-pull" + digest
	badProbe = "registry.example/app:v2-bad-probe" + digest
)

func TestObserveReadsTheFieldItsOwnerAndThePods(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	o := p.rollout(deployer.RolloutComplete, goodV1)
	live := p.live()

	if o.Read != ref.Yes || o.Owner != "kubectl-client-side-apply" || o.Owned != ref.No {
		t.Errorf("read %v, owner %q, owned %v", o.Read, o.Owner, o.Owned)
	}
	if want := fmt.Sprintf("%s/%d", live.ResourceVersion, live.Generation); o.UID != string(live.UID) || o.ResourceVersion != want {
		t.Errorf("identity %s at %s, want %s at %s", o.UID, o.ResourceVersion, live.UID, want)
	}
	if len(o.Pods) != 2 {
		t.Fatalf("%d pods, want 2", len(o.Pods))
	}
	for _, pod := range o.Pods {
		if pod.Image != goodV1 || pod.ImageID != "fake"+digest || pod.Ready != ref.Yes || pod.Name == "" {
			t.Errorf("pod %+v", pod)
		}
		if pod.Probe != (deployer.Probe{}) {
			t.Errorf("the pod was asked: %+v", pod.Probe)
		}
	}
}

func TestADeploymentThatDoesNotExistIsAnObservation(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	o := p.observe()
	if o.Read != ref.No {
		t.Errorf("read %v", o.Read)
	}
	p.has(o.Detail, "deployment "+p.namespace+"/app does not exist in cluster test")
}

func TestAContainerThatDoesNotExistIsAnErrorThatNamesThoseThatDo(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	s := p.spec()
	s.Container = "web"
	o, err := p.slipway.Observe(t.Context(), s)
	if err == nil || fault.KindOf(err) != fault.Permanent || o.Read != ref.Unknown {
		t.Fatalf("read %v, error %v of kind %v", o.Read, err, fault.KindOf(err))
	}
	p.has(err.Error(), `no container "web"`, "app, side")
}

func TestAClusterThatDoesNotAnswerLeavesEverythingUnknown(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	line := cutLine(t, p.cluster)
	line.cut()
	o, err := hurried(t, line.kubeconfig).Observe(t.Context(), p.spec())
	if err == nil || fault.KindOf(err) != fault.Later {
		t.Fatalf("error %v of kind %v", err, fault.KindOf(err))
	}
	if o.Read != ref.Unknown || o.Owned != ref.Unknown || o.Detail == "" {
		t.Errorf("observed %+v", o)
	}
}

func TestSimulatedNodesAreMarkedInEveryObservation(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	simulated, err := kube.New(kube.Config{Name: "test", Kubeconfig: p.cluster.Kubeconfig, Simulated: true})
	p.must(err)
	for range 2 { // not there, and there
		o, err := simulated.Observe(t.Context(), p.spec())
		p.must(err)
		if !o.Simulated {
			t.Errorf("not marked: %+v", o)
		}
		if o.Read == ref.No {
			p.deploy(goodV1)
		}
	}
	pods := simulated.Probe(t.Context(), p.spec(), []deployer.Pod{{Name: "app-1", Ready: ref.Yes}})
	if got := pods[0].Probe; got.Answered != ref.Unknown || got.At.IsZero() || !strings.Contains(got.Detail, "simulated") {
		t.Errorf("probe %+v", got)
	}
}

func TestABadRolloutFailsAtOnceAndSaysWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, image string
		say         []string
	}{
		{"a crash loop", badCrash, []string{"container app is in CrashLoopBackOff", "exit code 1"}},
		{"an image that cannot be pulled", badPull, []string{"container app is in ImagePullBackOff", badPull}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := inNamespace(t, fakeNodes(t))
			p.deploy(goodV1)
			p.rollout(deployer.RolloutComplete, goodV1)
			p.takeOver()
			p.pin(test.image, deployer.Release{})
			o := p.rollout(deployer.RolloutFailed, test.image)
			p.has(o.Rollout.Reason, append(test.say, "pod app-")...)
			for _, pod := range o.Pods {
				if pod.Image != test.image {
					t.Errorf("a pod of the older template counts: %+v", pod)
				}
			}
		})
	}
}

func TestAWayBackIsNotBornFailed(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	deadline, one := int32(2), intstr.FromInt32(1)
	// More pods of the bad template than of the good one are left, so that going
	// back is no progress at first, and the controller keeps its old verdict.
	p.deploy(goodV1, func(d *appsv1.Deployment) {
		d.Spec.ProgressDeadlineSeconds = &deadline
		d.Spec.Strategy = appsv1.DeploymentStrategy{
			Type:          appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &one, MaxSurge: &one},
		}
	})
	p.rollout(deployer.RolloutComplete, goodV1)
	p.takeOver()
	p.pin(badProbe, deployer.Release{})
	o := p.rollout(deployer.RolloutFailed, badProbe)
	p.has(o.Rollout.Reason, "timed out progressing", "pods are ready")

	p.pin(goodV1, deployer.Release{})
	p.eventually("the way back", 30e9, func() string {
		o := p.observe()
		if o.Image != goodV1 || o.Rollout.State == deployer.RolloutFailed {
			t.Fatalf("%s failed: %s", o.Image, o.Rollout.Reason)
		}
		if o.Rollout.State != deployer.RolloutComplete {
			return o.Rollout.Reason
		}
		return ""
	})
}

func TestNothingIsCompleteBeforeEveryPodIsTheNewOne(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.rollout(deployer.RolloutComplete, goodV1)
	p.takeOver()
	p.pin(goodV2, deployer.Release{})
	p.eventually("the rollout", 30e9, func() string {
		o := p.observe()
		for _, pod := range o.Pods {
			if pod.Image != goodV2 {
				t.Fatalf("a pod of the older template counts: %+v", pod)
			}
		}
		if o.Rollout.State != deployer.RolloutComplete {
			return o.Rollout.Reason
		}
		if len(o.Pods) != 2 {
			t.Fatalf("complete with %d pods", len(o.Pods))
		}
		return ""
	})
}
