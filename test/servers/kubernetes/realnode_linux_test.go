package kubernetes

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clients "k8s.io/client-go/kubernetes"
)

// needRealNode skips the test where there can be no real node.
func needRealNode(t *testing.T) {
	t.Helper()
	if level, why := Detect(); level != Kubelet {
		t.Skipf("NOT TESTED ON THIS MACHINE, NO REAL NODE: %s", why)
	}
}

func TestRealNode(t *testing.T) {
	needRealNode(t)
	needBinaries(t, Kubelet)
	shop := newShop(t)
	before := lookAround(t)

	// Somebody's cluster was killed here before: its cgroups are what a kill
	// leaves, and the next cluster removes.
	killed := killVictim(t, Kubelet, true)
	if len(cgroupsOf(t, killed)) == 0 {
		t.Error("a killed cluster left no cgroups: the test has lost its subject")
	}

	cluster := newCluster(t, Config{Level: Kubelet, Registries: []string{shop.host}})
	if left := cgroupsOf(t, killed); len(left) > 0 {
		t.Errorf("the killed cluster's cgroups are still there: %v", left)
	}
	t.Run("all at once", func(t *testing.T) { // returns when they are done
		t.Run("pods are pulled, roll, answer and log", func(t *testing.T) { t.Parallel(); shop.serves(t, cluster) })
		t.Run("a crashing container loops", func(t *testing.T) { t.Parallel(); shop.crashes(t, cluster) })
		t.Run("an image that is not there is waited for", func(t *testing.T) { t.Parallel(); shop.lacks(t, cluster) })
		t.Run("a service account may do what its roles say, and no more", func(t *testing.T) { t.Parallel(); holdsRoles(t, cluster) })
		t.Run("two run at once", func(t *testing.T) { t.Parallel(); newCluster(t, Config{Level: Kubelet}) })
	})

	me := strconv.Itoa(os.Getpid())
	doomed := family(t, cluster.supervisor.pid)
	if len(doomed) < 8 {
		t.Errorf("the cluster consists of %d processes: the test has lost its subject", len(doomed))
	}
	if len(cgroupsOf(t, me)) == 0 {
		t.Error("the cluster has no cgroups: the test has lost its subject")
	}
	if err := cluster.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := alive(t, doomed); len(left) > 0 {
		t.Errorf("processes left:\n%s", strings.Join(left, "\n"))
	}
	if left := cgroupsOf(t, me); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
	leavesNothing(t, before)
}

func TestARealNodeIsRefusedWhereItCannotBe(t *testing.T) {
	needRealNode(t)
	t.Parallel()
	binaries := needBinaries(t, Kubelet)
	without := binaries
	without.Root = t.TempDir()
	for name, c := range map[string]struct {
		config Config
		says   string
	}{
		"in a folder that is hidden from the node": {Config{Dir: "/var/lib/slipway-test", Binaries: binaries}, "hidden"},
		"without containerd":                       {Config{Dir: t.TempDir(), Binaries: without}, "make servers"},
		"with a registry elsewhere":                {Config{Dir: t.TempDir(), Binaries: binaries, Registries: []string{"registry.test:5000"}}, "is not on 127.0.0.1"},
		"with a registry without a port":           {Config{Dir: t.TempDir(), Binaries: binaries, Registries: []string{loopback}}, "missing port"},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Level = Kubelet
			_, err := Start(t.Context(), c.config)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
			if _, err := os.Stat("/var/lib/slipway-test"); err == nil {
				t.Error("it made the folder that it refused")
			}
		})
	}
}

func TestNothingOutlivesAKilledParent(t *testing.T) {
	for name, c := range map[string]struct {
		level Level
		ready bool
	}{
		"fake nodes":                        {Kwok, true},
		"fake nodes, killed while starting": {Kwok, false},
		// TestRealNode kills the parent of one that is ready.
		"a real node, killed while starting": {Kubelet, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.level == Kubelet {
				needRealNode(t)
			}
			before := lookAround(t)
			killed := killVictim(t, c.level, c.ready)
			leavesNothing(t, before)
			all, err := hierarchies()
			if err != nil {
				t.Fatal(err)
			}
			if err := sweepCgroups(all); err != nil {
				t.Error(err)
			}
			if left := cgroupsOf(t, killed); len(left) > 0 {
				t.Errorf("cgroups left: %v", left)
			}
		})
	}
}

func TestADeadProgramEndsTheClusterAndIsNamed(t *testing.T) {
	t.Parallel()
	for program, blamed := range map[string]string{
		"kube-scheduler": "kube-scheduler ended (killed by signal 9",
		supervisorName:   "the supervisor ended (signal: killed)",
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			cluster := newDoomedCluster(t)
			all := family(t, cluster.supervisor.pid)
			kill(t, all, program)
			waitDone(t, cluster)
			err := cluster.Err()
			for _, part := range []string{blamed, program + ".log"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want an error that says %q", err, part)
				}
			}
			eventually(t, "the end of its processes", func() error {
				if left := alive(t, all); len(left) > 0 {
					return fmt.Errorf("left are:\n%s", strings.Join(left, "\n"))
				}
				return nil
			})
		})
	}
}

// kill kills the one of the processes that goes by the name.
func kill(t *testing.T, processes []string, name string) {
	t.Helper()
	for _, process := range processes {
		pid, err := strconv.Atoi(strings.Split(process, "-")[1])
		if err != nil {
			t.Fatal(err)
		}
		command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err != nil {
			t.Fatal(err)
		}
		if called, _, _ := strings.Cut(string(command), "\x00"); called == name {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no %s among %v", name, processes)
}

// newDoomedCluster starts a cluster that is not expected to end in order.
func newDoomedCluster(t *testing.T) *Cluster {
	t.Helper()
	cluster, err := Start(t.Context(), Config{Level: Kwok, Dir: filepath.Join(t.TempDir(), "cluster"), Binaries: needBinaries(t, Kwok)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = cluster.Stop(ctx) // its error is the test's to judge
	})
	return cluster
}

// shop is a registry on the loopback with images of testdata/app.
type shop struct {
	host   string
	images map[string]string // references pinned to their digest, by tag
}

func newShop(t *testing.T) *shop {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(quiet())))
	t.Cleanup(server.Close)
	program := filepath.Join(t.TempDir(), "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the service: %v\n%s", err, out)
	}
	base, err := singleProgram(program, "app")
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{host: strings.TrimPrefix(server.URL, "http://"), images: map[string]string{}}
	for _, tag := range []string{"v1", "v2", "crash"} {
		s.push(t, base, tag)
	}
	return s
}

func (s *shop) push(t *testing.T, base v1.Image, tag string) {
	t.Helper()
	config, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Env = []string{"VERSION=" + tag}
	if tag == "crash" {
		config.Config.Env = append(config.Config.Env, "CRASH=yes")
	}
	image, err := mutate.ConfigFile(base, config)
	if err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(s.host + "/acme/app:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	s.images[tag] = reference.Name() + "@" + digest.String()
}

func (s *shop) serves(t *testing.T, cluster *Cluster) {
	api := cluster.admin
	namespace := newNamespace(t, api)
	if _, err := api.CoreV1().Services(namespace).Create(t.Context(), &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: "app"},
		Spec: core.ServiceSpec{
			Selector: map[string]string{"app": "app"},
			Ports:    []core.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	deploy(t, api, namespace, s.images["v1"], 2)
	rolled(t, api, namespace, s.images["v1"], 2)
	roll(t, api, namespace, s.images["v2"])
	_, digest, _ := strings.Cut(s.images["v2"], "@")
	for _, pod := range rolled(t, api, namespace, s.images["v2"], 2) {
		if got, want := pod.Status.ContainerStatuses[0].ImageID, s.host+"/acme/app@"+digest; got != want {
			t.Errorf("the image of %s is %q, want %q", pod.Name, got, want)
		}
		answer, err := api.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").
			Name("http:" + pod.Name + ":8080").SubResource("proxy").Suffix("hello").DoRaw(t.Context())
		if err != nil || string(answer) != "v2 /hello\n" {
			t.Errorf("through the pod proxy: got %q and %v", answer, err)
		}
		said, err := api.CoreV1().Pods(namespace).GetLogs(pod.Name, &core.PodLogOptions{}).DoRaw(t.Context())
		if err != nil || string(said) != "starting v2\n" {
			t.Errorf("its log: got %q and %v", said, err)
		}
	}
	eventually(t, "an answer of v2 through the service proxy", func() error {
		answer, err := throughService(t, api, namespace)
		if err == nil && answer != "v2 /hello\n" {
			err = fmt.Errorf("answered %q", answer)
		}
		return err
	})
}

func throughService(t *testing.T, api clients.Interface, namespace string) (string, error) {
	answer, err := api.CoreV1().Services(namespace).ProxyGet("http", "app", "http", "hello", nil).DoRaw(t.Context())
	return string(answer), err
}

func (s *shop) crashes(t *testing.T, cluster *Cluster) {
	api := cluster.admin
	namespace := newNamespace(t, api)
	deploy(t, api, namespace, s.images["crash"], 1)
	pod := waiting(t, api, namespace, "CrashLoopBackOff", 2)
	if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 1 {
		t.Errorf("the last end of its container is %+v, want exit code 1", last)
	}
	said, err := api.CoreV1().Pods(namespace).GetLogs(pod.Name, &core.PodLogOptions{Previous: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	if text, err := io.ReadAll(said); err != nil || !strings.Contains(string(text), "crashing as told") {
		t.Errorf("its log: got %q and %v", text, err)
	}
}

func (s *shop) lacks(t *testing.T, cluster *Cluster) {
	namespace := newNamespace(t, cluster.admin)
	deploy(t, cluster.admin, namespace, s.host+"/acme/app:absent", 1)
	waiting(t, cluster.admin, namespace, "ImagePullBackOff", 0)
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
