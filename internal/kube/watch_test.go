package kube_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/deployer"
	"slipway/internal/kube"
)

// nudges are what a running Watch said.
type nudges struct {
	place
	specs atomic.Pointer[[]deployer.Spec]
	said  chan string
}

// watching starts a Watch over a client, and ends it with the test.
func (p place) watching(c *kube.Cluster, specs ...deployer.Spec) *nudges {
	n := &nudges{place: p, said: make(chan string, 1)}
	n.specs.Store(&specs)
	ctx, stop := context.WithCancel(p.Context())
	var done sync.WaitGroup
	done.Go(func() {
		c.Watch(ctx, func() []deployer.Spec { return *n.specs.Load() }, func(namespace, deployment string) {
			if namespace != p.namespace {
				p.Errorf("a nudge for %s/%s", namespace, deployment)
			}
			select {
			case n.said <- deployment:
			default: // one that waits says enough
			}
		})
	})
	p.Cleanup(func() { stop(); done.Wait() })
	return n
}

// expect waits for the next nudge and says how long that took.
func (n *nudges) expect(deployment string, limit time.Duration) time.Duration {
	n.Helper()
	began := time.Now()
	select {
	case got := <-n.said:
		if got != deployment {
			n.Fatalf("a nudge for %q, want %q", got, deployment)
		}
	case <-time.After(limit):
		n.Fatalf("no nudge for %q within %s", deployment, limit)
	}
	return time.Since(began)
}

// quiet takes nudges until there has been none for a while.
func (n *nudges) quiet() {
	for {
		select {
		case <-n.said:
		case <-time.After(time.Second):
			return
		}
	}
}

func TestWatchNudgesWhenTheDeploymentOrAPodChanges(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	n := p.watching(p.slipway, p.spec())
	p.deploy(goodV1)
	n.expect("app", 10*time.Second)
	p.rollout(deployer.RolloutComplete, goodV1)
	n.quiet()

	p.annotate("weather", "fair")
	t.Logf("a write to the Deployment was heard of after %s", n.expect("app", 5*time.Second))
	n.quiet()

	pod := p.observe().Pods[0].Name
	_, err := p.admin.CoreV1().Pods(p.namespace).Patch(t.Context(), pod, "application/merge-patch+json",
		[]byte(`{"status":{"message":"wet"}}`), metav1.PatchOptions{}, "status")
	p.must(err)
	t.Logf("a write to a pod's status was heard of after %s", n.expect("app", 5*time.Second))
}

func TestWatchFollowsTheSpecs(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.rollout(deployer.RolloutComplete, goodV1)
	elsewhere := p.spec()
	elsewhere.Cluster = "another"
	n := p.watching(p.slipway, elsewhere)
	n.silent()
	one := p.spec()
	one.Deployment = "one"
	n.specs.Store(&[]deployer.Spec{one})
	n.expect("one", 10*time.Second)
	n.quiet()
	n.specs.Store(&[]deployer.Spec{one, p.spec()})
	n.expect("app", 10*time.Second) // though its namespace was watched already
	n.quiet()
	n.specs.Store(&[]deployer.Spec{})
	p.eventually("the end of the nudges", 20*time.Second, func() string {
		p.annotate("weather", time.Now().String())
		select {
		case <-n.said:
			return "there are still some"
		case <-time.After(200 * time.Millisecond):
			return ""
		}
	})
}

func TestWatchComesBackAfterTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.rollout(deployer.RolloutComplete, goodV1)
	wire := cutLine(t, p.cluster)
	n := p.watching(connect(t, wire.kubeconfig), p.spec())
	n.expect("app", 10*time.Second)
	n.quiet()
	wire.cut()
	p.annotate("weather", "foul") // nobody hears of it
	n.silent()
	wire.mend()
	t.Logf("back after %s", n.expect("app", 45*time.Second))
	n.quiet()
	p.annotate("weather", "fair")
	n.expect("app", 5*time.Second)
}

// silent fails the test if there is a nudge within a second.
func (n *nudges) silent() {
	n.Helper()
	select {
	case got := <-n.said:
		n.Fatalf("a nudge for %q", got)
	case <-time.After(time.Second):
	}
}
