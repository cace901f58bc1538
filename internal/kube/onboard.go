package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authnv1 "k8s.io/api/authentication/v1"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/deployer"
	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// Ground prepares a cluster's namespaces with the rights of whoever onboards,
// which are more than Slipway itself has.
type Ground struct{ *Cluster }

var _ onboard.Ground = Ground{}

// roleName is that of the Role and of its binding, as in manifests/target.
const roleName = "slipway"

const (
	groupRBAC     = "rbac.authorization.k8s.io"
	groupApps     = "apps"
	accountPrefix = "system:serviceaccount:"
)

// Whoami is the account that the cluster knows this client by.
func (c *Cluster) Whoami(ctx context.Context) (string, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	review, err := c.typed.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authnv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask cluster %s who this is: %w", c.name, err)
	}
	return review.Status.UserInfo.Username, nil
}

// Lie reads whether the namespace is there, and which of the rights that
// Slipway needs its account lacks, by whatever they may be granted.
func (g Ground) Lie(ctx context.Context, w onboard.Place) (onboard.Site, error) {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	var is onboard.Site
	user, err := g.Whoami(ctx)
	if err != nil {
		return is, err
	}
	is.User = user
	_, err = g.typed.CoreV1().Namespaces().Get(ctx, w.Namespace, metav1.GetOptions{})
	switch {
	case err == nil:
		is.Exists = onboard.Read(true)
	case apierrors.IsNotFound(err):
		is.Exists = onboard.Read(false)
	default:
		is.Exists = onboard.Unread[bool](err.Error())
	}
	is.Missing = g.missing(ctx, w, user)
	binding, err := g.typed.RbacV1().RoleBindings(w.Namespace).Get(ctx, roleName, metav1.GetOptions{})
	switch {
	case err == nil:
		is.Bound = ref.Known(bound(binding, w.Subject))
	case apierrors.IsNotFound(err):
		is.Bound = ref.No
	}
	is.Refused = g.refused(ctx, w.Namespace)
	return is, nil
}

// Prepare makes one part so. It adds to a Role and to a binding that are there,
// and takes nothing from them.
func (g Ground) Prepare(ctx context.Context, p onboard.Part) error {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	var err error
	switch p := p.(type) {
	case onboard.Namespace:
		_, err = g.typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Name}}, writing())
		if apierrors.IsAlreadyExists(err) {
			err = nil
		}
	case onboard.Role:
		err = g.grant(ctx, p)
	case onboard.Binding:
		err = g.bind(ctx, p)
	default:
		return fmt.Errorf("a cluster holds no %T", p)
	}
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		err = errors.Join(onboard.ErrDenied, err)
	}
	if err != nil {
		return fmt.Errorf("set up cluster %s: %w", g.name, err)
	}
	return nil
}

// missing asks for each right: about the own account itself, or about another.
func (g Ground) missing(ctx context.Context, w onboard.Place, user string) onboard.Found[[]string] {
	lacks := []string{}
	for _, r := range rightsFor(specsOf(w)) {
		attributes := &authv1.ResourceAttributes{
			Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.subresource, Namespace: r.namespace, Name: r.name,
		}
		var allowed bool
		var err error
		if w.Subject == user {
			var review *authv1.SelfSubjectAccessReview
			review, err = g.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
				&authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}, metav1.CreateOptions{})
			allowed = err == nil && review.Status.Allowed
		} else {
			var review *authv1.SubjectAccessReview
			review, err = g.typed.AuthorizationV1().SubjectAccessReviews().Create(ctx,
				&authv1.SubjectAccessReview{Spec: authv1.SubjectAccessReviewSpec{
					User: w.Subject, Groups: groupsOf(w.Subject), ResourceAttributes: attributes,
				}}, metav1.CreateOptions{})
			allowed = err == nil && review.Status.Allowed
		}
		if err != nil {
			return onboard.Unread[[]string](err.Error())
		}
		if !allowed {
			lacks = append(lacks, strings.TrimSuffix(r.String(), " in namespace "+w.Namespace))
		}
	}
	return onboard.Read(lacks)
}

// refused asks which parts the account that looks may not make.
func (g Ground) refused(ctx context.Context, namespace string) (parts []string) {
	for _, p := range []struct {
		part            string
		group, resource string
		namespace       string
	}{
		{"namespace", "", "namespaces", ""}, {"role", groupRBAC, "roles", namespace}, {"binding", groupRBAC, "rolebindings", namespace},
	} {
		review, err := g.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{
			Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{
				Verb: "create", Group: p.group, Resource: p.resource, Namespace: p.namespace,
			}},
		}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			parts = append(parts, p.part)
		}
	}
	return parts
}

// grant makes the Role or adds what it lacks.
func (g Ground) grant(ctx context.Context, p onboard.Role) error {
	roles := g.typed.RbacV1().Roles(p.Namespace)
	is, err := roles.Get(ctx, roleName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = roles.Create(ctx, &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Name: roleName, Namespace: p.Namespace}, Rules: rulesFor(p),
		}, writing())
		return err
	}
	if err != nil {
		return err
	}
	changed := is.DeepCopy()
	for _, r := range rulesFor(p) {
		changed.Rules = extend(changed.Rules, r)
	}
	_, err = roles.Update(ctx, changed, metav1.UpdateOptions{FieldManager: Manager})
	return err
}

// bind makes the binding or adds the account to it.
func (g Ground) bind(ctx context.Context, p onboard.Binding) error {
	bindings := g.typed.RbacV1().RoleBindings(p.Namespace)
	is, err := bindings.Get(ctx, roleName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = bindings.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: roleName, Namespace: p.Namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: groupRBAC, Kind: "Role", Name: roleName},
			Subjects:   []rbacv1.Subject{subjectOf(p.Subject)},
		}, writing())
		return err
	}
	if err != nil || bound(is, p.Subject) {
		return err
	}
	if is.RoleRef.Kind != "Role" || is.RoleRef.Name != roleName {
		return fmt.Errorf("the RoleBinding %s in namespace %s binds %s %s: delete it first", roleName, p.Namespace, is.RoleRef.Kind, is.RoleRef.Name)
	}
	changed := is.DeepCopy()
	changed.Subjects = append(changed.Subjects, subjectOf(p.Subject))
	_, err = bindings.Update(ctx, changed, metav1.UpdateOptions{FieldManager: Manager})
	return err
}

// rulesFor are the rules of manifests/target, for named Deployments.
func rulesFor(p onboard.Role) []rbacv1.PolicyRule {
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{groupApps}, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}, ResourceNames: p.Deployments},
		{APIGroups: []string{groupApps}, Resources: []string{"deployments"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{groupApps}, Resources: []string{"replicasets"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}},
	}
	if p.Probed {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/proxy"}, Verbs: []string{"get"}})
	}
	return rules
}

// extend adds a rule where no rule for the same things with the same verbs is;
// names are added to one that has names.
func extend(rules []rbacv1.PolicyRule, r rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for i, has := range rules {
		if !slices.Equal(has.APIGroups, r.APIGroups) || !slices.Equal(has.Resources, r.Resources) || !slices.Equal(has.Verbs, r.Verbs) ||
			(len(has.ResourceNames) == 0) != (len(r.ResourceNames) == 0) {
			continue
		}
		for _, n := range r.ResourceNames {
			if !slices.Contains(has.ResourceNames, n) {
				rules[i].ResourceNames = append(rules[i].ResourceNames, n)
			}
		}
		return rules
	}
	return append(rules, r)
}

func specsOf(w onboard.Place) []deployer.Spec {
	var specs []deployer.Spec
	for _, d := range w.Deployments {
		s := deployer.Spec{Cluster: w.Cluster, Namespace: w.Namespace, Deployment: d}
		if !w.Probed {
			s.Health.URL = "elsewhere"
		}
		specs = append(specs, s)
	}
	return specs
}

func bound(b *rbacv1.RoleBinding, account string) bool {
	want := subjectOf(account)
	return b.RoleRef.Kind == "Role" && b.RoleRef.Name == roleName && slices.Contains(b.Subjects, want)
}

// subjectOf is an account by its user name.
func subjectOf(account string) rbacv1.Subject {
	if namespace, name, found := strings.Cut(strings.TrimPrefix(account, accountPrefix), ":"); found && strings.HasPrefix(account, accountPrefix) {
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	}
	return rbacv1.Subject{APIGroup: groupRBAC, Kind: rbacv1.UserKind, Name: account}
}

// groupsOf are those that every account of its kind is in.
func groupsOf(account string) []string {
	groups := []string{"system:authenticated"}
	if s := subjectOf(account); s.Kind == rbacv1.ServiceAccountKind {
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+s.Namespace)
	}
	return groups
}

func writing() metav1.CreateOptions { return metav1.CreateOptions{FieldManager: Manager} }
