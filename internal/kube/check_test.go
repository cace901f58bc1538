package kube_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"slipway/deployer"
	"slipway/internal/kube"
)

func TestCheckSaysEachMissingRightWithItsMend(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	some := p.account(
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}, ResourceNames: []string{"app"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}},
	)
	other := p.spec()
	other.Deployment, other.Health = "web", deployer.Health{URL: "http://web.example/healthz", Field: "revision"}
	var want []string
	for _, lack := range []string{
		"list deployments", "watch deployments", "list replicasets", "get pods/proxy", "get deployments web", "patch deployments web",
	} {
		want = append(want, "cluster test: Slipway may not "+lack+" in namespace "+p.namespace+
			"; apply manifests/target in namespace "+p.namespace+" to grant it")
	}
	if diff := cmp.Diff(want, some.Check(t.Context(), []deployer.Spec{p.spec(), other})); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestCheckIsContentWithEnough(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	if faults := p.slipway.Check(t.Context(), []deployer.Spec{p.spec()}); len(faults) != 0 {
		t.Errorf("faults: %q", faults)
	}
}

func TestCheckOfAClusterThatDoesNotAnswerIsOneFault(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	wire := cutLine(t, p.cluster)
	wire.cut()
	faults := hurried(t, wire.kubeconfig).Check(t.Context(), []deployer.Spec{p.spec()})
	if len(faults) != 1 || !strings.HasPrefix(faults[0], "cluster test does not answer") {
		t.Errorf("faults: %q", faults)
	}
}

func TestNewWantsOneWayToTheCluster(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		config kube.Config
		say    string
	}{
		{"no way", kube.Config{Name: "test"}, "no kubeconfig is named"},
		{"two ways", kube.Config{Name: "test", Kubeconfig: "x", InCluster: true}, "choose one"},
		{"a kubeconfig that is not there", kube.Config{Name: "test", Kubeconfig: "nowhere/kubeconfig"}, "nowhere/kubeconfig"},
		{"no pod around", kube.Config{Name: "test", InCluster: true}, "unable to load in-cluster configuration"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := kube.New(test.config)
			if err == nil || !strings.Contains(err.Error(), test.say) || !strings.Contains(err.Error(), "cluster test") {
				t.Errorf("error %v, want one that says %q", err, test.say)
			}
		})
	}
}
