package stage

import (
	"context"
	"fmt"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// system is the namespace of Slipway's own service account.
const system = "slipway"

// namespaces makes Slipway's account and the projects' namespace, with the
// rights that manifests/target gives: one namespace, no secrets, nothing made
// or deleted.
func (s *Stage) namespaces(ctx context.Context) error {
	for _, name := range []string{system, Org} {
		ns := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}
		if _, err := s.kube.CoreV1().Namespaces().Create(ctx, ns, meta.CreateOptions{}); err != nil {
			return err
		}
	}
	account := &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: system, Namespace: system}}
	if _, err := s.kube.CoreV1().ServiceAccounts(system).Create(ctx, account, meta.CreateOptions{}); err != nil {
		return err
	}
	role := &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "slipway-target", Namespace: Org}, Rules: []rbac.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list", "watch", "patch"}},
		{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods/proxy", "pods/log"}, Verbs: []string{"get"}},
	}}
	if _, err := s.kube.RbacV1().Roles(Org).Create(ctx, role, meta.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: role.Name, Namespace: Org},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: system, Namespace: system}},
	}
	if _, err := s.kube.RbacV1().RoleBindings(Org).Create(ctx, binding, meta.CreateOptions{}); err != nil {
		return err
	}
	var err error
	s.Kubeconfig, err = s.Cluster.ServiceAccountKubeconfig(ctx, system, system)
	return err
}

// run makes the Deployment and the Service of a project, as its people would,
// with an image from before Slipway.
func (s *Stage) run(ctx context.Context, name, image string) error {
	labels := map[string]string{"app": name}
	port := intstr.FromInt32(8080)
	// No pod goes before its successor is ready, so a bad version costs nobody
	// an answer.
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	replicas, deadline := int32(2), int32(120)
	deployment := &apps.Deployment{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: Org, Labels: labels},
		Spec: apps.DeploymentSpec{
			Replicas: &replicas, ProgressDeadlineSeconds: &deadline,
			Selector: &meta.LabelSelector{MatchLabels: labels},
			Strategy: apps.DeploymentStrategy{Type: apps.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &apps.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one}},
			Template: core.PodTemplateSpec{
				ObjectMeta: meta.ObjectMeta{Labels: labels},
				Spec: core.PodSpec{
					TerminationGracePeriodSeconds: new(int64),
					Containers: []core.Container{{
						Name: "app", Image: image, Ports: []core.ContainerPort{{ContainerPort: port.IntVal}},
						ReadinessProbe: &core.Probe{PeriodSeconds: 1,
							ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/healthz", Port: port}}},
					}},
				},
			},
		},
	}
	if _, err := s.kube.AppsV1().Deployments(Org).Create(ctx, deployment, meta.CreateOptions{FieldManager: "kubectl-create"}); err != nil {
		return err
	}
	service := &core.Service{ObjectMeta: meta.ObjectMeta{Name: name, Namespace: Org},
		Spec: core.ServiceSpec{Selector: labels, Ports: []core.ServicePort{{Port: 80, TargetPort: port}}}}
	_, err := s.kube.CoreV1().Services(Org).Create(ctx, service, meta.CreateOptions{})
	return err
}

// Available waits until the project's Deployment has all its pods.
func (p *Project) Available(ctx context.Context) error {
	return await(ctx, "the Deployment "+p.Name+" to be available", func(ctx context.Context) (bool, error) {
		d, err := p.stage.kube.AppsV1().Deployments(Org).Get(ctx, p.Name, meta.GetOptions{})
		if err != nil {
			return false, err
		}
		return d.Status.ObservedGeneration == d.Generation && d.Status.AvailableReplicas == *d.Spec.Replicas && d.Status.Replicas == *d.Spec.Replicas, nil
	})
}

// Image is what the project's Deployment holds now.
func (p *Project) Image(ctx context.Context) (string, error) {
	d, err := p.stage.kube.AppsV1().Deployments(Org).Get(ctx, p.Name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	return d.Spec.Template.Spec.Containers[0].Image, nil
}

// Revisions counts the rollouts that the project's Deployment has seen.
func (p *Project) Revisions(ctx context.Context) (string, error) {
	d, err := p.stage.kube.AppsV1().Deployments(Org).Get(ctx, p.Name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	return d.Annotations["deployment.kubernetes.io/revision"], nil
}

// Ask asks the service once, through the API server's service proxy, and
// returns what it answered.
func (p *Project) Ask(ctx context.Context, path string) (string, error) {
	b, err := p.stage.kube.CoreV1().Services(Org).ProxyGet("http", p.Name, "80", path, nil).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", p.Name, err)
	}
	return string(b), nil
}
