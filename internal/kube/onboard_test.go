package kube_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"slipway/deployer"
	"slipway/internal/kube"
	"slipway/internal/onboard"
)

// slipwayAccount makes a service account without any right, and a client for it.
func (p place) slipwayAccount() (subject string, own *kube.Cluster) {
	p.Helper()
	_, err := p.admin.CoreV1().ServiceAccounts(p.namespace).Create(p.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "slipway"},
	}, metav1.CreateOptions{})
	p.must(err)
	path, err := p.cluster.ServiceAccountKubeconfig(p.Context(), p.namespace, "slipway")
	p.must(err)
	return "system:serviceaccount:" + p.namespace + ":slipway", connect(p.T, path)
}

func TestOnboardingGrantsTheLeastThatWorksOnceAndOnlyWhatIsMissing(t *testing.T) {
	p := inNamespace(t, fakeNodes(t))
	subject, own := p.slipwayAccount()
	admin := kube.Ground{Cluster: p.slipway}
	who, err := own.Whoami(t.Context())
	p.must(err)
	if who != subject {
		t.Fatalf("the account is %s, want %s", who, subject)
	}
	target := p.namespace + "-target"
	t.Cleanup(func() {
		if err := p.admin.CoreV1().Namespaces().Delete(context.Background(), target, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	want := onboard.Want{Places: []onboard.Place{{Cluster: "test", Namespace: target, Deployments: []string{"app"}, Probed: true, Subject: subject}}}
	plan := func(ground onboard.Ground) onboard.Plan {
		t.Helper()
		site, err := ground.Lie(t.Context(), want.Places[0])
		p.must(err)
		return onlyCluster(onboard.Make(want, onboard.World{Sites: map[string]onboard.Site{want.Places[0].Key(): site}}))
	}
	apply := func(ground onboard.Ground) []onboard.Outcome {
		t.Helper()
		return onboard.Apply(t.Context(), plan(ground), nil, map[string]onboard.Ground{"test": ground}, func(onboard.Outcome) {})
	}

	t.Run("an account without rights is told who has them", func(t *testing.T) {
		for _, o := range apply(kube.Ground{Cluster: own}) {
			if o.Done || o.Mend == "" {
				t.Errorf("%+v", o)
			}
		}
		if err := (kube.Ground{Cluster: own}).Prepare(t.Context(), onboard.Namespace{Name: target}); !errors.Is(err, onboard.ErrDenied) {
			t.Errorf("not denied: %v", err)
		}
	})
	t.Run("an administrator does it, and then nothing is left", func(t *testing.T) {
		for _, o := range apply(admin) {
			if !o.Done {
				t.Errorf("%s: %s", o.Step.Key, o.Fault)
			}
		}
		if left := plan(admin); len(left.Steps) > 0 {
			t.Errorf("left: %+v", left.Steps)
		}
		if left := plan(kube.Ground{Cluster: own}); len(left.Steps) > 0 {
			t.Errorf("left, as Slipway sees it: %+v", left.Steps)
		}
		spec := deployer.Spec{Cluster: "test", Namespace: target, Deployment: "app", Container: "app", Health: deployer.Health{Port: 8080}}
		if faults := own.Check(t.Context(), []deployer.Spec{spec}); len(faults) > 0 {
			t.Errorf("the doctor finds %q", faults)
		}
	})
	t.Run("a second Deployment is added to the first", func(t *testing.T) {
		want.Places[0].Deployments = []string{"web"}
		for _, o := range apply(admin) {
			if !o.Done {
				t.Errorf("%s: %s", o.Step.Key, o.Fault)
			}
		}
		role, err := p.admin.RbacV1().Roles(target).Get(t.Context(), "slipway", metav1.GetOptions{})
		p.must(err)
		if diff := cmp.Diff([]string{"app", "web"}, role.Rules[0].ResourceNames); diff != "" {
			t.Error(diff)
		}
		if len(role.Rules) != 5 {
			t.Errorf("%d rules: %+v", len(role.Rules), role.Rules)
		}
	})
	t.Run("a Role that was cut down is mended, and what people added stays", func(t *testing.T) {
		role, err := p.admin.RbacV1().Roles(target).Get(t.Context(), "slipway", metav1.GetOptions{})
		p.must(err)
		logs := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}}
		role.Rules = []rbacv1.PolicyRule{role.Rules[0], logs}
		_, err = p.admin.RbacV1().Roles(target).Update(t.Context(), role, metav1.UpdateOptions{})
		p.must(err)
		drift := plan(kube.Ground{Cluster: own})
		if len(drift.Steps) == 0 || drift.Steps[0].Key != "role test/"+target || drift.Steps[0].Blocked == "" {
			t.Errorf("as Slipway sees it: %+v", drift.Steps)
		}
		apply(admin)
		if left := plan(admin); len(left.Steps) > 0 {
			t.Errorf("left: %+v", left.Steps)
		}
		role, err = p.admin.RbacV1().Roles(target).Get(t.Context(), "slipway", metav1.GetOptions{})
		p.must(err)
		if !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Equal(r.Resources, logs.Resources) }) {
			t.Errorf("the right to logs is gone: %+v", role.Rules)
		}
	})
	t.Run("looking writes nothing", func(t *testing.T) {
		before := p.everything(target)
		plan(admin)
		plan(kube.Ground{Cluster: own})
		if diff := cmp.Diff(before, p.everything(target)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAClusterThatDoesNotAnswerIsAnError(t *testing.T) {
	dead := kube.Ground{Cluster: hurried(t, deadKubeconfig(t))}
	if _, err := dead.Lie(t.Context(), onboard.Place{Cluster: "test", Namespace: "acme", Subject: "slipway"}); err == nil {
		t.Error("no error")
	}
}

// onlyCluster leaves out what a forge would hold.
func onlyCluster(p onboard.Plan) onboard.Plan {
	p.Steps = slices.DeleteFunc(p.Steps, func(s onboard.Step) bool { return s.Needs != onboard.RightCluster })
	return p
}

// everything is the versions of all that onboarding could write.
func (p place) everything(namespace string) map[string]string {
	p.Helper()
	versions := map[string]string{}
	n, err := p.admin.CoreV1().Namespaces().Get(p.Context(), namespace, metav1.GetOptions{})
	p.must(err)
	versions["namespace"] = n.ResourceVersion
	roles, err := p.admin.RbacV1().Roles(namespace).List(p.Context(), metav1.ListOptions{})
	p.must(err)
	for _, r := range roles.Items {
		versions["role "+r.Name] = r.ResourceVersion
	}
	bindings, err := p.admin.RbacV1().RoleBindings(namespace).List(p.Context(), metav1.ListOptions{})
	p.must(err)
	for _, b := range bindings.Items {
		versions["binding "+b.Name] = b.ResourceVersion
	}
	if len(versions) < 3 {
		p.Errorf("found only %v", versions)
	}
	return versions
}

func deadKubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["dead"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	config.Contexts["dead"] = &clientcmdapi.Context{Cluster: "dead"}
	config.CurrentContext = "dead"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}
