package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clients "k8s.io/client-go/kubernetes"

	"slipway/test/servers"
)

const (
	// victimEnv tells this test binary to start a cluster of the named level
	// and wait to be killed; victimDirEnv says where.
	victimEnv    = "SLIPWAY_TEST_VICTIM"
	victimDirEnv = "SLIPWAY_TEST_VICTIM_DIR"

	// patience is how long the slowest of what is waited for may take.
	patience = 60 * time.Second
)

func TestMain(m *testing.M) {
	if level := os.Getenv(victimEnv); level != "" {
		fmt.Fprintln(os.Stderr, beVictim(Level(level), os.Getenv(victimDirEnv)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beVictim starts a cluster, says so, and waits to be killed, or for whoever
// would do that to be gone.
func beVictim(level Level, dir string) error {
	binaries, err := Find("", level)
	if err != nil {
		return err
	}
	cluster, err := Start(context.Background(), Config{Level: level, Dir: dir, Binaries: binaries})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return errors.Join(errors.New("nobody killed the victim"), cluster.Stop(context.Background()))
}

// newVictim runs beVictim in a process of its own.
func newVictim(t *testing.T, level Level) (victim *exec.Cmd, said io.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim = exec.Command(self)
	victim.Env = append(os.Environ(), victimEnv+"="+string(level), victimDirEnv+"="+filepath.Join(t.TempDir(), "victim"))
	victim.Stderr = os.Stderr
	if _, err := victim.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	said, err = victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = victim.Process.Kill() // it is dead unless the test failed
		_ = victim.Wait()
	})
	return victim, said
}

// newCluster starts a cluster for a test and stops it afterwards.
func newCluster(t *testing.T, config Config) *Cluster {
	t.Helper()
	config.Dir = filepath.Join(t.TempDir(), "cluster")
	config.Binaries = needBinaries(t, config.Level)
	config.Log = testLog{t}
	cluster, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func needBinaries(t *testing.T, level Level) Binaries {
	t.Helper()
	binaries, err := Find("", level)
	if errors.Is(err, servers.ErrNotBuilt) {
		t.Fatalf("run make servers: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return binaries
}

// testLog makes a test's log out of the lines that a cluster writes. Those that
// come when the test is over are dropped.
type testLog struct{ t *testing.T }

func (l testLog) Write(line []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Logf("%s", line)
	}
	return len(line), nil
}

// eventually waits until a condition holds; its error says why it does not.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); ; {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

// newNamespace makes a namespace for one test.
func newNamespace(t *testing.T, api clients.Interface) string {
	t.Helper()
	made, err := api.CoreV1().Namespaces().Create(t.Context(),
		&core.Namespace{ObjectMeta: meta.ObjectMeta{GenerateName: "test-"}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Name
}

// deploy makes a Deployment named app, of one container of that name.
func deploy(t *testing.T, api clients.Interface, namespace, image string, replicas int32) {
	t.Helper()
	labels := map[string]string{"app": "app"}
	_, err := api.AppsV1().Deployments(namespace).Create(t.Context(), &apps.Deployment{
		ObjectMeta: meta.ObjectMeta{Name: "app"},
		Spec: apps.DeploymentSpec{
			Replicas: &replicas,
			Selector: &meta.LabelSelector{MatchLabels: labels},
			Template: core.PodTemplateSpec{
				ObjectMeta: meta.ObjectMeta{Labels: labels},
				Spec: core.PodSpec{Containers: []core.Container{{
					Name:  "app",
					Image: image,
					Ports: []core.ContainerPort{{Name: "http", ContainerPort: 8080}},
					ReadinessProbe: &core.Probe{
						ProbeHandler:  core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/ready", Port: intstr.FromString("http")}},
						PeriodSeconds: 1,
					},
				}}},
			},
		},
	}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// roll gives the Deployment another image.
func roll(t *testing.T, api clients.Interface, namespace, image string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image)
	if _, err := api.AppsV1().Deployments(namespace).Patch(t.Context(), "app",
		types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// rolled waits until every pod runs the image and is ready, and returns them.
func rolled(t *testing.T, api clients.Interface, namespace, image string, replicas int) []core.Pod {
	t.Helper()
	var pods []core.Pod
	eventually(t, "roll out "+image, func() error {
		list, err := api.CoreV1().Pods(namespace).List(t.Context(), meta.ListOptions{})
		if err != nil {
			return err
		}
		pods = list.Items
		if len(pods) != replicas {
			return fmt.Errorf("%d pods in place of %d", len(pods), replicas)
		}
		for _, pod := range pods {
			if pod.Spec.Containers[0].Image != image || !podReady(pod) {
				return fmt.Errorf("the pod %s with %s is %s", pod.Name, pod.Spec.Containers[0].Image, describe(pod))
			}
		}
		return nil
	})
	return pods
}

// waiting waits until a pod of the namespace waits for the given reason.
func waiting(t *testing.T, api clients.Interface, namespace, reason string, restarts int32) core.Pod {
	t.Helper()
	var met core.Pod
	eventually(t, "a pod in "+reason, func() error {
		list, err := api.CoreV1().Pods(namespace).List(t.Context(), meta.ListOptions{})
		if err != nil {
			return err
		}
		seen := errors.New("no pods")
		for _, pod := range list.Items {
			seen = errors.New(describe(pod))
			for _, status := range pod.Status.ContainerStatuses {
				if w := status.State.Waiting; w != nil && w.Reason == reason && status.RestartCount >= restarts {
					met = pod
					return nil
				}
			}
		}
		return seen
	})
	return met
}

func podReady(pod core.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

func describe(pod core.Pod) string {
	return fmt.Sprintf("%s %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
}

// holdsRoles checks that a service account that may read pods in one namespace
// can do that, and nothing elsewhere.
func holdsRoles(t *testing.T, cluster *Cluster) {
	t.Helper()
	ctx, api := t.Context(), cluster.admin
	own, other := newNamespace(t, api), newNamespace(t, api)
	if _, err := api.CoreV1().ServiceAccounts(own).Create(ctx,
		&core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: "reader"}}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.RbacV1().Roles(own).Create(ctx, &rbac.Role{
		ObjectMeta: meta.ObjectMeta{Name: "read-pods"},
		Rules:      []rbac.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}}},
	}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.RbacV1().RoleBindings(own).Create(ctx, &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "read-pods"},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: "read-pods"},
		Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: "reader", Namespace: own}},
	}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	path, err := cluster.ServiceAccountKubeconfig(ctx, own, "reader")
	if err != nil {
		t.Fatal(err)
	}
	reader, err := client(path)
	if err != nil {
		t.Fatal(err)
	}
	// The authorizer learns of new roles through a watch.
	eventually(t, "the role", func() error {
		_, err := reader.CoreV1().Pods(own).List(ctx, meta.ListOptions{})
		return err
	})
	if _, err := reader.CoreV1().Pods(other).List(ctx, meta.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing pods of another namespace: got %v, want forbidden", err)
	}
	if err := reader.CoreV1().Pods(own).Delete(ctx, "any", meta.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("deleting a pod of its own namespace: got %v, want forbidden", err)
	}
	if _, err := cluster.ServiceAccountKubeconfig(ctx, own, "nobody"); !apierrors.IsNotFound(err) {
		t.Errorf("a kubeconfig for an account that is not there: got %v, want not found", err)
	}
}

// waitDone waits for the cluster's end.
func waitDone(t *testing.T, cluster *Cluster) {
	t.Helper()
	select {
	case <-cluster.Done():
	case <-time.After(patience):
		t.Fatalf("the cluster has not ended within %s", patience)
	}
}
