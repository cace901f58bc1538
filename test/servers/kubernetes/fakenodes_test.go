package kubernetes

import (
	"context"
	"net"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const someDigest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"

func TestFakeNodes(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, Config{Level: Kwok, BadTags: []string{"v0.2.0"}})
	api := cluster.admin

	t.Run("there are three, marked as fake", func(t *testing.T) {
		nodes, err := api.CoreV1().Nodes().List(t.Context(), meta.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(nodes.Items) != 3 {
			t.Errorf("got %d nodes, want 3", len(nodes.Items))
		}
		for _, node := range nodes.Items {
			if node.Annotations[fakeMark] != "fake" || !nodeReady(node) {
				t.Errorf("the node %s: annotations %v, ready %t", node.Name, node.Annotations, nodeReady(node))
			}
		}
	})

	t.Run("a deployment rolls, and its pods echo the digest they are pinned to", func(t *testing.T) {
		t.Parallel()
		namespace := newNamespace(t, api)
		deploy(t, api, namespace, "registry.test/acme/app:v0.1.0", 3)
		rolled(t, api, namespace, "registry.test/acme/app:v0.1.0", 3)
		pinned := "registry.test/acme/app:v0.1.1@" + someDigest
		roll(t, api, namespace, pinned)
		for _, pod := range rolled(t, api, namespace, pinned, 3) {
			if got := pod.Status.ContainerStatuses[0].ImageID; got != "fake@"+someDigest {
				t.Errorf("the image of %s is %q, want fake@%s", pod.Name, got, someDigest)
			}
		}
	})

	t.Run("an image with a bad tag crash-loops for ever, and the old pods stay", func(t *testing.T) {
		t.Parallel()
		namespace := newNamespace(t, api)
		deploy(t, api, namespace, "registry.test/acme/app:v0.1.0", 2)
		rolled(t, api, namespace, "registry.test/acme/app:v0.1.0", 2)
		roll(t, api, namespace, "registry.test/acme/app:v0.2.0@"+someDigest)
		pod := waiting(t, api, namespace, "CrashLoopBackOff", 2)
		if podReady(pod) {
			t.Error("the crashing pod is ready")
		}
		if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode == 0 {
			t.Errorf("the last end of its container is %+v, want one with an exit code", last)
		}
		deployment, err := api.AppsV1().Deployments(namespace).Get(t.Context(), "app", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if deployment.Status.ReadyReplicas != 2 {
			t.Errorf("%d pods are ready beside it, want 2", deployment.Status.ReadyReplicas)
		}
	})

	t.Run("an image that cannot be pulled is waited for", func(t *testing.T) {
		t.Parallel()
		namespace := newNamespace(t, api)
		deploy(t, api, namespace, "registry.test/acme/app:v3-bad-pull", 1)
		if pod := waiting(t, api, namespace, "ImagePullBackOff", 0); pod.Status.Phase != core.PodPending {
			t.Errorf("the pod is %s, want Pending", pod.Status.Phase)
		}
	})

	t.Run("a pod that fails its probe runs and is not ready", func(t *testing.T) {
		t.Parallel()
		namespace := newNamespace(t, api)
		deploy(t, api, namespace, "registry.test/acme/app:bad-probe", 1)
		eventually(t, "the failed probe", func() error {
			pods, err := api.CoreV1().Pods(namespace).List(t.Context(), meta.ListOptions{})
			if err != nil {
				return err
			}
			for _, pod := range pods.Items {
				if podReady(pod) {
					t.Fatalf("the pod is ready: %s", describe(pod))
				}
				if pod.Status.Phase == core.PodRunning && probeFailed(pod) {
					return nil
				}
			}
			return errNotYet
		})
	})

	t.Run("a service account may do what its roles say, and no more", func(t *testing.T) {
		t.Parallel()
		holdsRoles(t, cluster)
	})
}

func TestStartTriesAgainWhenSomebodyTookAPort(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", local(0))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tries := 0
	cluster := newCluster(t, Config{Level: Kwok, ports: func(ctx context.Context, count int) ([]int, error) {
		ports, err := freePorts(ctx, count)
		if tries++; tries == 1 && err == nil {
			ports[0] = taken.Addr().(*net.TCPAddr).Port
		}
		return ports, err
	}})
	if tries != 2 {
		t.Errorf("chose ports %d times, want 2", tries)
	}
	if err := cluster.apiReady(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tags  []string
		fault bool
	}{
		"no bad tags":                    {tags: nil},
		"a version":                      {tags: []string{"v0.2.0"}},
		"a reference in place of a tag":  {tags: []string{"acme/app:v1"}, fault: true},
		"a digest in place of a tag":     {tags: []string{someDigest}, fault: true},
		"a regular expression":           {tags: []string{".*"}, fault: true},
		"something empty among the tags": {tags: []string{"v1", ""}, fault: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			filled, err := stages(c.tags)
			if (err != nil) != c.fault {
				t.Fatalf("got the error %v, want one: %t", err, c.fault)
			}
			if strings.Contains(string(filled), "[[") && !strings.Contains(string(filled), "[[.]]") {
				t.Error("something was not filled in")
			}
		})
	}
}

func probeFailed(pod core.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return strings.Contains(condition.Message, "probe failed")
		}
	}
	return false
}
