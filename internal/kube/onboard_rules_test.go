package kube

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"slipway/internal/onboard"
)

func TestOnboardingGrantsWhatTheManifestsGrant(t *testing.T) {
	data, err := os.ReadFile("../../manifests/target/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict(data, &role); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(role.Rules, rulesFor(onboard.Role{Probed: true})); diff != "" || role.Name != roleName {
		t.Errorf("%s (-manifests +onboarding):\n%s", role.Name, diff)
	}
	named := rulesFor(onboard.Role{Deployments: []string{"app"}})
	if len(named) != len(role.Rules)-1 || !cmp.Equal(named[0].ResourceNames, []string{"app"}) {
		t.Errorf("for one Deployment that is not probed: %+v", named)
	}
}

func TestARuleIsExtendedOnlyWhereItIsForTheSame(t *testing.T) {
	get := func(names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}, ResourceNames: names}
	}
	other := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}}
	tests := []struct {
		name string
		has  []rbacv1.PolicyRule
		add  rbacv1.PolicyRule
		want []rbacv1.PolicyRule
	}{
		{"none yet", nil, get("app"), []rbacv1.PolicyRule{get("app")}},
		{"another name joins", []rbacv1.PolicyRule{get("app")}, get("web"), []rbacv1.PolicyRule{get("app", "web")}},
		{"the same name is there already", []rbacv1.PolicyRule{get("app")}, get("app"), []rbacv1.PolicyRule{get("app")}},
		{"a rule for all is not narrowed to names", []rbacv1.PolicyRule{get()}, get("app"), []rbacv1.PolicyRule{get(), get("app")}},
		{"a rule for other things stays", []rbacv1.PolicyRule{other}, get("app"), []rbacv1.PolicyRule{other, get("app")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, extend(test.has, test.add)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
