package kube_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/deployer"
	"slipway/internal/kube"
	cluster "slipway/test/servers/kubernetes"
)

// shared is the cluster of fake nodes that the tests of this package share; each
// has a namespace of its own.
var shared struct {
	sync.Mutex
	dir     string
	started *cluster.Cluster
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.started != nil {
		if err := shared.started.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir) // the system's folder for such things
	}
	os.Exit(code)
}

// fakeNodes is the shared cluster, started by the first test that needs it.
func fakeNodes(t *testing.T) *cluster.Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.started == nil && shared.err == nil {
		shared.started, shared.err = startFakeNodes()
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.started
}

func startFakeNodes() (*cluster.Cluster, error) {
	binaries, err := cluster.Find("", cluster.Kwok)
	if err != nil {
		return nil, err
	}
	if shared.dir, err = os.MkdirTemp("", "slipway-kube-"); err != nil {
		return nil, err
	}
	return cluster.Start(context.Background(), cluster.Config{
		Level: cluster.Kwok, Dir: filepath.Join(shared.dir, "kwok"), Binaries: binaries,
	})
}

// place is a namespace with an administrator and Slipway's own client.
type place struct {
	*testing.T
	cluster   *cluster.Cluster
	namespace string
	admin     kubernetes.Interface
	slipway   *kube.Cluster
}

// inNamespace makes a namespace named after the test.
func inNamespace(t *testing.T, c *cluster.Cluster) place {
	t.Helper()
	admin, err := clientOf(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	p := place{T: t, cluster: c, admin: admin, slipway: connect(t, c.Kubeconfig)}
	made, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
	}, metav1.CreateOptions{})
	p.must(err)
	p.namespace = made.Name
	t.Cleanup(func() {
		ctx := context.Background()
		if err := admin.CoreV1().Namespaces().Delete(ctx, p.namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return p
}

func connect(t *testing.T, kubeconfig string) *kube.Cluster {
	t.Helper()
	c, err := kube.New(kube.Config{Name: "test", Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hurried waits no longer than a second, for clusters that do not answer.
func hurried(t *testing.T, kubeconfig string) *kube.Cluster {
	t.Helper()
	c, err := kube.New(kube.Config{Name: "test", Kubeconfig: kubeconfig, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clientOf(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}

func (p place) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// spec is the target that the tests deploy to.
func (p place) spec() deployer.Spec {
	return deployer.Spec{
		Environment: "production", Cluster: "test", Namespace: p.namespace, Deployment: "app", Container: "app",
		Health: deployer.Health{Port: 8080, Path: "/healthz", Field: "revision"},
	}
}

// deploy creates the Deployment that a team's own manifest would make.
func (p place) deploy(image string, change ...func(*appsv1.Deployment)) {
	p.Helper()
	replicas := int32(2)
	labels := map[string]string{"app": "app"}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: p.namespace, Annotations: map[string]string{"team": "harbour"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{
					{
						Name: "app", Image: image,
						Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
						Env:   []corev1.EnvVar{{Name: "DEPTH", Value: "12"}},
					},
					{Name: "side", Image: "registry.example/side:v1"},
				}},
			},
		},
	}
	for _, c := range change {
		c(d)
	}
	_, err := p.admin.AppsV1().Deployments(p.namespace).Create(p.Context(), d, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	p.must(err)
}

// set changes the image as a person with kubectl would.
func (p place) set(image string) {
	p.Helper()
	patch := `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"` + image + `"}]}}}}`
	_, err := p.admin.AppsV1().Deployments(p.namespace).Patch(p.Context(), "app", "application/strategic-merge-patch+json", []byte(patch),
		metav1.PatchOptions{FieldManager: "kubectl-set"})
	p.must(err)
}

func (p place) observe() deployer.Observation {
	p.Helper()
	o, err := p.slipway.Observe(p.Context(), p.spec())
	p.must(err)
	return o
}

func (p place) live() *appsv1.Deployment {
	p.Helper()
	d, err := p.admin.AppsV1().Deployments(p.namespace).Get(p.Context(), "app", metav1.GetOptions{})
	p.must(err)
	return d
}

// takeOver makes the image Slipway's.
func (p place) takeOver() {
	p.Helper()
	_, _, err := p.slipway.TakeOver(p.Context(), p.spec())
	p.must(err)
}

// pin pins an image against a fresh look, again when the object was written in
// between, as the reconciler does.
func (p place) pin(image string, release deployer.Release) {
	p.Helper()
	p.eventually("the pin of "+image, 10*time.Second, func() string {
		if err := p.tryPin(image, release); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (p place) tryPin(image string, release deployer.Release) error {
	o, err := p.slipway.Observe(p.Context(), p.spec())
	if err != nil {
		return err
	}
	return p.slipway.Pin(p.Context(), p.spec(), pinOf(o, image, release))
}

// pinOf is a pin whose preconditions are what was observed.
func pinOf(o deployer.Observation, image string, release deployer.Release) deployer.Pin {
	return deployer.Pin{
		Deployment: deployer.Deployment{Image: image, From: o.Image, Release: release},
		UID:        o.UID, ResourceVersion: o.ResourceVersion,
	}
}

// rollout waits until the rollout is in a state, and returns that look.
func (p place) rollout(want deployer.RolloutState, image string) deployer.Observation {
	p.Helper()
	var last deployer.Observation
	began := time.Now()
	p.eventually(fmt.Sprintf("rollout state %d of %s", want, image), time.Minute, func() string {
		last = p.observe()
		if last.Image == image && last.Rollout.State == want {
			return ""
		}
		return fmt.Sprintf("%s, state %d: %s", last.Image, last.Rollout.State, last.Rollout.Reason)
	})
	p.Logf("%s after %.1f s: %s", image, time.Since(began).Seconds(), last.Rollout.Reason)
	return last
}

// eventually asks until there is no reason left to wait, and fails the test with
// the last one when there still is at the limit.
func (p place) eventually(what string, limit time.Duration, reason func() string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		why := reason()
		if why == "" {
			return
		}
		select {
		case <-ctx.Done():
			p.Fatalf("%s: not within %s: %s", what, limit, why)
		case <-tick.C:
		}
	}
}

// has fails the test unless the text contains every part.
func (p place) has(text string, parts ...string) {
	p.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			p.Errorf("%q does not say %q", text, part)
		}
	}
}
