package kube_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"slipway/deployer"
	"slipway/internal/ref"
	cluster "slipway/test/servers/kubernetes"
)

// yard is a real node with a registry that it pulls from.
type yard struct {
	place
	repository string // of the registry, without tag
	layer      v1.Layer
}

// realNode starts a cluster with a kubelet and containerd, and a registry.
func realNode(t *testing.T) yard {
	t.Helper()
	if level, why := cluster.Detect(); level != cluster.Kubelet {
		t.Skip("no real node: " + why)
	}
	binaries, err := cluster.Find("", cluster.Kubelet)
	if err != nil {
		t.Fatal(err)
	}
	host := serveRegistry(t)
	// Not the test's context, which ends before the namespace is removed.
	node, err := cluster.Start(context.Background(), cluster.Config{
		Level: cluster.Kubelet, Dir: filepath.Join(t.TempDir(), "kubelet"), Binaries: binaries, Registries: []string{host},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return yard{place: inNamespace(t, node), repository: host + "/acme/app", layer: appLayer(t)}
}

func serveRegistry(t *testing.T) (host string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(t.Output(), "", 0))), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends when it is closed
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return listener.Addr().String()
}

// appLayer builds the program that the tests deploy.
func appLayer(t *testing.T) v1.Layer {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "app"), "./testdata/app")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	archive := filepath.Join(dir, "layer.tar")
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-cf", archive, "app").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	layer, err := tarball.LayerFromFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// push publishes an image that has its environment from the arguments, and
// returns the pin.
func (y yard) push(tag string, env ...string) string {
	y.Helper()
	image, err := mutate.AppendLayers(empty.Image, y.layer)
	y.must(err)
	file, err := image.ConfigFile()
	y.must(err)
	file.OS, file.Architecture = "linux", "amd64"
	file.Config.Entrypoint, file.Config.Env = []string{"/app"}, env
	image, err = mutate.ConfigFile(image, file)
	y.must(err)
	reference, err := name.ParseReference(y.repository+":"+tag, name.Insecure)
	y.must(err)
	y.must(remote.Write(reference, image, remote.WithContext(y.Context())))
	d, err := image.Digest()
	y.must(err)
	return y.repository + ":" + tag + "@" + d.String()
}

func TestARealRollout(t *testing.T) {
	t.Parallel()
	y := realNode(t)
	good1, good2 := y.push("v1", "REVISION=one"), y.push("v2", "REVISION=two")
	crash := y.push("v3", "REVISION=three", "CRASH=no such quay \x1b[1m")
	lost := strings.Replace(good2, ":v2@sha256:", ":v4@sha256:0000", 1)
	lost = lost[:len(lost)-4]

	y.deploy(good1, alone)
	y.rollout(deployer.RolloutComplete, good1)
	y.takeOver()
	y.expectRevision(good1, "one")

	y.pin(good2, release("v0.2.0"))
	y.rollout(deployer.RolloutComplete, good2)
	y.expectRevision(good2, "two")

	y.pin(crash, release("v0.3.0"))
	o := y.rollout(deployer.RolloutFailed, crash)
	y.has(o.Rollout.Reason, "container app", "exit code 3", "its log ends: opening the harbour | no such quay [1m")

	y.pin(good2, release("v0.2.0"))
	y.rollout(deployer.RolloutComplete, good2)
	y.pin(lost, release("v0.4.0"))
	o = y.rollout(deployer.RolloutFailed, lost)
	y.has(o.Rollout.Reason, "container app is in ImagePullBackOff", "not found")

	y.pin(good2, release("v0.2.0"))
	y.rollout(deployer.RolloutComplete, good2)
	y.expectRevision(good2, "two")
	y.questions("two")
}

// expectRevision asks every pod and compares the digests that really run.
func (y yard) expectRevision(image, revision string) {
	y.Helper()
	o := y.observe()
	pods := y.slipway.Probe(y.Context(), y.spec(), o.Pods)
	if len(pods) != 2 {
		y.Errorf("%d pods, want 2", len(pods))
	}
	_, digest, _ := strings.Cut(image, "@")
	for _, pod := range pods {
		if !strings.HasSuffix(pod.ImageID, "@"+digest) {
			y.Errorf("pod %s runs %s, want %s", pod.Name, pod.ImageID, digest)
		}
		if p := pod.Probe; p.Answered != ref.Yes || p.Revision != revision || p.Detail != "" || p.At.IsZero() {
			y.Errorf("pod %s answered %+v, want revision %s", pod.Name, p, revision)
		}
	}
}

// questions puts the health question in every way to a real pod.
func (y yard) questions(revision string) {
	pods := y.observe().Pods[:1]
	for _, test := range []struct {
		path     string
		port     int
		answered ref.Fact
		revision string
		detail   string
		answer   string
	}{
		{path: "/healthz", answered: ref.Yes, revision: revision, answer: `{"status":"ok","revision":"two"}`},
		{path: "/slash/", answered: ref.Yes, revision: revision, answer: `{"status":"ok"`},
		{path: "/query?of=a%20b&x=1", answered: ref.Yes, revision: "a b", answer: `{"revision":"a b"}`},
		{path: "/long", answered: ref.Yes, revision: revision, answer: `{"revision":"two"`},
		{path: "/sick", answered: ref.No, detail: "answered with status 500", answer: `{"status":"ok"`},
		{path: "/text", answered: ref.No, detail: "not a JSON object", answer: "all is well"},
		{path: "/list", answered: ref.No, detail: "not a JSON object"},
		{path: "/null", answered: ref.No, detail: "not a JSON object"},
		{path: "/without", answered: ref.No, detail: `no field "revision"`},
		{path: "/number", answered: ref.No, detail: "not a string"},
		{path: "/empty", answered: ref.No, detail: "not a string with something in it"},
		{path: "/big", answered: ref.No, detail: "more than 64 KiB"},
		{path: "/status", answered: ref.No, detail: "answered with status 403"},
		{path: "/away", answered: ref.No, detail: "answered with status 302"},
		{path: "/slow", answered: ref.No, detail: "no answer in 3s"},
		{path: "/nowhere", answered: ref.No, detail: "answered with status 404"},
		{path: "/healthz", port: 8081, answered: ref.No, detail: "the pod could not be reached"},
		{path: "/../../app/proxy/healthz", answered: ref.Unknown, detail: "not a plain path"},
		{path: "/x/%2e%2e/healthz", answered: ref.Unknown, detail: "not a plain path"},
		{path: "healthz", answered: ref.Unknown, detail: "not a path"},
		{path: "//elsewhere.invalid/healthz", answered: ref.Unknown, detail: "not a path"},
		{path: "/healthz", port: 70000, answered: ref.Unknown, detail: "not a port"},
	} {
		y.Run(fmt.Sprintf("asked for %s at %d", test.path, test.port), func(t *testing.T) {
			s := y.spec()
			s.Health.Path = test.path
			if test.port != 0 {
				s.Health.Port = test.port
			}
			p := y.slipway.Probe(t.Context(), s, pods)[0].Probe
			if p.Answered != test.answered || p.Revision != test.revision {
				t.Errorf("answered %v with %q, want %v with %q", p.Answered, p.Revision, test.answered, test.revision)
			}
			if !strings.Contains(p.Detail, test.detail) || test.detail == "" && p.Detail != "" {
				t.Errorf("detail %q, want %q", p.Detail, test.detail)
			}
			if !strings.HasPrefix(p.Answer, test.answer) || len(p.Answer) > 200 {
				t.Errorf("answer %q, want %q and at most 200 bytes", p.Answer, test.answer)
			}
			if p.At.IsZero() {
				t.Error("it has no time")
			}
		})
	}
	unready := slices.Concat(pods, []deployer.Pod{{Name: "app-2", Ready: ref.No}, {Name: "app-3"}})
	for _, pod := range y.slipway.Probe(y.Context(), y.spec(), unready)[1:] {
		if pod.Probe != (deployer.Probe{}) {
			y.Errorf("pod %s is not ready and was asked: %+v", pod.Name, pod.Probe)
		}
	}
}

// alone leaves the container of the app alone in the pod, with a readiness probe.
func alone(d *appsv1.Deployment) {
	s := &d.Spec.Template.Spec
	s.Containers = s.Containers[:1]
	s.TerminationGracePeriodSeconds = new(int64)
	s.Containers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}, PeriodSeconds: 1,
	}
}
