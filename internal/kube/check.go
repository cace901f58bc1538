package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/deployer"
)

// checksAtOnce bounds the questions of one Check.
const checksAtOnce = 16

// right is something that Slipway must be allowed to do.
type right struct {
	verb, group, resource, subresource string
	namespace                          string
	name                               string // empty: all of them
}

// Check says what is wrong with the way to the cluster and with Slipway's rights
// on the specs' targets there: a sentence with its mend for each fault, none when
// all is well. Reading logs is optional, and not checked.
func (c *Cluster) Check(ctx context.Context, specs []deployer.Spec) []string {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if err := c.typed.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Error(); err != nil {
		return []string{fmt.Sprintf("cluster %s does not answer: %v; check its address, certificate and credentials", c.name, err)}
	}
	rights := rightsFor(specs)
	faults := make([]string, len(rights))
	var group errgroup.Group
	group.SetLimit(checksAtOnce)
	for i, r := range rights {
		group.Go(func() error {
			faults[i] = c.lacking(ctx, r)
			return nil
		})
	}
	_ = group.Wait() // what could not be asked is a fault among the others
	return slices.DeleteFunc(faults, func(s string) bool { return s == "" })
}

// lacking asks for one right; empty is granted.
func (c *Cluster) lacking(ctx context.Context, r right) string {
	review, err := c.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{
		Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{
			Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.subresource,
			Namespace: r.namespace, Name: r.name,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Sprintf("cluster %s does not say whether Slipway may %s: %v", c.name, r, err)
	}
	if review.Status.Allowed {
		return ""
	}
	return fmt.Sprintf("cluster %s: Slipway may not %s; %s", c.name, r, rightsMend(r.namespace))
}

// rightsFor lists what the methods of Cluster need, each right once.
func rightsFor(specs []deployer.Spec) []right {
	var all []right
	for _, s := range specs {
		all = append(all,
			right{verb: "get", group: "apps", resource: "deployments", namespace: s.Namespace, name: s.Deployment},
			right{verb: "patch", group: "apps", resource: "deployments", namespace: s.Namespace, name: s.Deployment},
			right{verb: "list", group: "apps", resource: "deployments", namespace: s.Namespace},
			right{verb: "watch", group: "apps", resource: "deployments", namespace: s.Namespace},
			right{verb: "list", group: "apps", resource: "replicasets", namespace: s.Namespace},
			right{verb: "list", resource: "pods", namespace: s.Namespace},
			right{verb: "watch", resource: "pods", namespace: s.Namespace},
		)
		if s.Health.URL == "" {
			all = append(all, right{verb: "get", resource: "pods", subresource: "proxy", namespace: s.Namespace})
		}
	}
	slices.SortStableFunc(all, func(a, b right) int { return strings.Compare(a.namespace, b.namespace) })
	seen := map[right]bool{}
	return slices.DeleteFunc(all, func(r right) bool {
		again := seen[r]
		seen[r] = true
		return again
	})
}

func (r right) String() string {
	what := r.resource
	if r.subresource != "" {
		what += "/" + r.subresource
	}
	if r.name != "" {
		what += " " + r.name
	}
	return fmt.Sprintf("%s %s in namespace %s", r.verb, what, r.namespace)
}
