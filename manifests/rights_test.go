package manifests_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/deployer"
	"slipway/internal/kube"
	"slipway/internal/ref"
)

const (
	before = "registry.acme.example/acme/app:v1"
	after  = "registry.acme.example/acme/app:v2@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

func TestTheManifestsRunSlipwayWithTheLeastRights(t *testing.T) {
	h := newHarbour(t)
	for _, namespace := range []string{"acme", "bare", "elsewhere"} {
		_, err := h.admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
		h.must(err)
	}
	h.deploy("acme", "app")
	h.deploy("acme", "other")
	h.volume()
	h.apply(render(t, "example"))
	h.apply(render(t, "example")) // again changes nothing, and conflicts with nothing
	h.apply(into("bare", render(t, "target")))
	if t.Failed() {
		return
	}
	kubeconfig, err := h.cluster.ServiceAccountKubeconfig(t.Context(), "slipway", "slipway")
	h.must(err)

	h.runs()
	t.Run("what it needs is allowed", func(t *testing.T) { h.with(t).allowed(kubeconfig) })
	t.Run("nothing more is granted", func(t *testing.T) { h.with(t).granted(kubeconfig) })
	t.Run("everything else is refused", func(t *testing.T) { h.with(t).refused(kubeconfig) })
}

// volume is where Slipway's state can go.
func (h harbour) volume() {
	h.Helper()
	_, err := h.admin.CoreV1().PersistentVolumes().Create(h.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "state"},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}},
		},
	}, metav1.CreateOptions{})
	h.must(err)
}

// runs waits for Slipway's pod, which the namespace's security policy, the
// volume and the scheduler all have to let through.
func (h harbour) runs() {
	h.Helper()
	h.eventually("Slipway's pod", func() string {
		set, err := h.admin.AppsV1().StatefulSets("slipway").Get(h.Context(), "slipway", metav1.GetOptions{})
		h.must(err)
		if set.Status.ReadyReplicas == 1 {
			return ""
		}
		events, err := h.admin.CoreV1().Events("slipway").List(h.Context(), metav1.ListOptions{})
		h.must(err)
		why := "not ready"
		for _, e := range events.Items {
			why += "; " + e.Reason + ": " + e.Message
		}
		return why
	})
}

// allowed does with the account all that Slipway does.
func (h harbour) allowed(kubeconfig string) {
	slipway, err := kube.New(kube.Config{Name: "here", Kubeconfig: kubeconfig})
	h.must(err)
	spec := deployer.Spec{
		Cluster: "here", Namespace: "acme", Deployment: "app", Container: "app",
		Health: deployer.Health{Port: 8080, Path: "/healthz", Field: "revision"},
	}
	bare := spec
	bare.Namespace, bare.Deployment = "bare", "any"
	if faults := slipway.Check(h.Context(), []deployer.Spec{spec, bare}); len(faults) > 0 {
		h.Errorf("faults: %q", faults)
	}

	nudged := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(h.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		slipway.Watch(ctx, func() []deployer.Spec { return []deployer.Spec{spec} }, func(string, string) {
			select {
			case nudged <- struct{}{}:
			default:
			}
		})
	})
	defer watching.Wait()
	defer stop()
	select {
	case <-nudged:
	case <-time.After(10 * time.Second):
		h.Error("no nudge")
	}

	image, owner, err := slipway.TakeOver(h.Context(), spec)
	h.must(err)
	if image != before || owner != "team" {
		h.Errorf("took over %s from %s", image, owner)
	}
	o, err := slipway.Observe(h.Context(), spec)
	h.must(err)
	h.must(slipway.Pin(h.Context(), spec, deployer.Pin{
		Deployment: deployer.Deployment{Image: after, From: o.Image, Release: deployer.Release{Version: "v2"}}, UID: o.UID, ResourceVersion: o.ResourceVersion,
	}))
	h.eventually("the rollout", func() string {
		o, err = slipway.Observe(h.Context(), spec)
		h.must(err)
		if o.Image != after || o.Owned != ref.Yes || o.Rollout.State != deployer.RolloutComplete {
			return o.Image + " of " + o.Owner + ": " + o.Rollout.Reason
		}
		return ""
	})
	// Nobody is there to answer, but the question is put.
	for _, pod := range slipway.Probe(h.Context(), spec, o.Pods) {
		if pod.Probe.Answered != ref.No {
			h.Errorf("pod %s: %+v", pod.Name, pod.Probe)
		}
	}
}

// granted compares the account's rules in a target with those it has anywhere.
func (h harbour) granted(kubeconfig string) {
	client, _ := h.clientOf(kubeconfig)
	everywhere := h.rules(client, "elsewhere")
	apps, pods := []string{"apps"}, []string{""}
	common := []authv1.ResourceRule{
		{APIGroups: apps, Resources: []string{"deployments"}, Verbs: []string{"list", "watch"}},
		{APIGroups: apps, Resources: []string{"replicasets"}, Verbs: []string{"list"}},
		{APIGroups: pods, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}},
		{APIGroups: pods, Resources: []string{"pods/proxy"}, Verbs: []string{"get"}},
	}
	for namespace, own := range map[string][]authv1.ResourceRule{
		"acme": {
			{APIGroups: apps, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}, ResourceNames: []string{"app"}},
			{APIGroups: pods, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		},
		"bare":    {{APIGroups: apps, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}}},
		"slipway": nil,
		"default": nil,
	} {
		want := slices.Concat(everywhere, own)
		if own != nil {
			want = append(want, common...)
		}
		if diff := cmp.Diff(ordered(want), ordered(h.rules(client, namespace))); diff != "" {
			h.Errorf("rights in namespace %s (-want +got):\n%s", namespace, diff)
		}
	}
	for _, rule := range everywhere {
		if !slices.Contains([]string{"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}, strings.Join(rule.APIGroups, ",")) {
			h.Errorf("a right in the whole cluster: %+v", rule)
		}
	}
}

func (h harbour) rules(client kubernetes.Interface, namespace string) []authv1.ResourceRule {
	h.Helper()
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(h.Context(),
		&authv1.SelfSubjectRulesReview{Spec: authv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
	h.must(err)
	return review.Status.ResourceRules
}

// refused tries what Slipway must not be able to do.
func (h harbour) refused(kubeconfig string) {
	const (
		apps = "/apis/apps/v1/namespaces/"
		core = "/api/v1/namespaces/"
	)
	_, config := h.clientOf(kubeconfig)
	client, err := rest.HTTPClientFor(config)
	h.must(err)
	for _, test := range []struct{ name, method, path string }{
		{"read the target's secrets", "GET", core + "acme/secrets"},
		{"read one secret", "GET", core + "acme/secrets/app"},
		{"read its own secrets", "GET", core + "slipway/secrets/slipway"},
		{"read all secrets", "GET", "/api/v1/secrets"},
		{"read configuration", "GET", core + "acme/configmaps"},
		{"create a Deployment", "POST", apps + "acme/deployments"},
		{"delete the Deployment", "DELETE", apps + "acme/deployments/app"},
		{"replace the Deployment", "PUT", apps + "acme/deployments/app"},
		{"scale the Deployment", "PATCH", apps + "acme/deployments/app/scale"},
		{"patch the status", "PATCH", apps + "acme/deployments/app/status"},
		{"read another Deployment", "GET", apps + "acme/deployments/other"},
		{"patch another Deployment", "PATCH", apps + "acme/deployments/other"},
		{"patch a StatefulSet", "PATCH", apps + "slipway/statefulsets/slipway"},
		{"read another namespace's Deployments", "GET", apps + "elsewhere/deployments"},
		{"patch another namespace's Deployment", "PATCH", apps + "elsewhere/deployments/app"},
		{"read Deployments everywhere", "GET", "/apis/apps/v1/deployments"},
		{"patch a ReplicaSet", "PATCH", apps + "acme/replicasets/app"},
		{"create a pod", "POST", core + "acme/pods"},
		{"delete a pod", "DELETE", core + "acme/pods/app"},
		{"run a command in a pod", "POST", core + "acme/pods/app/exec?command=id"},
		{"attach to a pod", "POST", core + "acme/pods/app/attach"},
		{"forward a port", "POST", core + "acme/pods/app/portforward"},
		{"post to a pod", "POST", core + "acme/pods/app:8080/proxy/healthz"},
		{"ask a pod elsewhere", "GET", core + "elsewhere/pods/app:8080/proxy/healthz"},
		{"read logs that were not granted", "GET", core + "bare/pods/app/log"},
		{"make a token", "POST", core + "slipway/serviceaccounts/slipway/token"},
		{"list namespaces", "GET", "/api/v1/namespaces"},
		{"list nodes", "GET", "/api/v1/nodes"},
		{"grant itself a role", "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/acme/rolebindings"},
		{"widen its role", "PATCH", "/apis/rbac.authorization.k8s.io/v1/namespaces/acme/roles/slipway"},
	} {
		request, err := http.NewRequestWithContext(h.Context(), test.method, config.Host+test.path, strings.NewReader("{}"))
		h.must(err)
		request.Header.Set("Content-Type", "application/json")
		if test.method == "PATCH" {
			request.Header.Set("Content-Type", "application/merge-patch+json")
		}
		response, err := client.Do(request)
		h.must(err)
		body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		response.Body.Close()
		h.must(err)
		if response.StatusCode != http.StatusForbidden {
			h.Errorf("it may %s: %d %s", test.name, response.StatusCode, body)
		}
	}
}

func (h harbour) clientOf(kubeconfig string) (kubernetes.Interface, *rest.Config) {
	h.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	h.must(err)
	client, err := kubernetes.NewForConfig(config)
	h.must(err)
	return client, config
}

// deploy makes a Deployment as its team does.
func (h harbour) deploy(namespace, name string) {
	h.Helper()
	labels := map[string]string{"app": name}
	_, err := h.admin.AppsV1().Deployments(namespace).Create(h.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: before}}},
			},
		},
	}, metav1.CreateOptions{FieldManager: "team"})
	h.must(err)
}

// with reports to another test.
func (h harbour) with(t *testing.T) harbour {
	h.T = t
	return h
}

// into puts objects into a namespace, as an overlay does.
func into(namespace string, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	for _, o := range objects {
		o.SetNamespace(namespace)
	}
	return objects
}

func ordered(rules []authv1.ResourceRule) []string {
	var lines []string
	for _, r := range rules {
		lines = append(lines, strings.Join(r.APIGroups, ",")+" "+strings.Join(r.Resources, ",")+" "+strings.Join(r.ResourceNames, ",")+": "+strings.Join(r.Verbs, ","))
	}
	slices.Sort(lines)
	return lines
}
