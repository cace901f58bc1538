package kube

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Limits of one look.
const (
	listLimit   = 2000 // pods, or ReplicaSets, of one Deployment
	logLines    = 20
	logRead     = 16 << 10 // bytes read of a log's last lines
	logQuoted   = 2 << 10  // bytes of them that are quoted
	logPatience = 2 * time.Second
)

// Observe reads the Deployment and the pods of its current template. A
// Deployment that does not exist is an observation (Read is No), not an error; a
// container that does not exist is fault.Permanent and names those that do.
func (c *Cluster) Observe(ctx context.Context, s deployer.Spec) (deployer.Observation, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	o := deployer.Observation{Simulated: c.simulated}
	d, err := c.typed.AppsV1().Deployments(s.Namespace).Get(ctx, s.Deployment, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		o.Read, o.Detail = ref.No, named(s)+" does not exist in cluster "+c.name
		return o, nil
	}
	if err == nil {
		o, err = c.observe(ctx, s, d)
	} else {
		err = failed(err, "read", s)
	}
	if err != nil {
		return deployer.Observation{Simulated: c.simulated, Detail: err.Error()}, err
	}
	return o, nil
}

// observe completes a look at a Deployment that was read.
func (c *Cluster) observe(ctx context.Context, s deployer.Spec, d *appsv1.Deployment) (deployer.Observation, error) {
	image, err := imageOf(d, s.Container)
	if err != nil {
		return deployer.Observation{}, fault.AsPermanent(fmt.Errorf("read of %s: %w", named(s), err))
	}
	owners, err := imageOwners(d.ManagedFields, s.Container)
	if err != nil {
		return deployer.Observation{}, fmt.Errorf("read of %s: %w", named(s), err)
	}
	sets, pods, err := c.children(ctx, s, d)
	if err != nil {
		return deployer.Observation{}, err
	}
	current := currentSet(d, sets)
	now, older := splitPods(d, sets, current, pods)
	rollout, err := c.rollout(ctx, d, current, now, older)
	if err != nil {
		return deployer.Observation{}, fmt.Errorf("read of %s: %w", named(s), err)
	}
	o := deployer.Observation{
		Read:            ref.Yes,
		Simulated:       c.simulated,
		Image:           image,
		Owner:           ownerNames(owners),
		Owned:           ref.Known(solelyOurs(owners)),
		UID:             string(d.UID),
		ResourceVersion: versionOf(d).String(),
		Rollout:         rollout,
	}
	for i := range now {
		o.Pods = append(o.Pods, podOf(&now[i], s.Container))
	}
	return o, nil
}

// children lists what the Deployment's selector finds. Both lists are read after
// the Deployment, so neither is older than it.
func (c *Cluster) children(ctx context.Context, s deployer.Spec, d *appsv1.Deployment) ([]appsv1.ReplicaSet, []corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, nil, fault.AsPermanent(fmt.Errorf("read of %s: %w", named(s), err))
	}
	options := metav1.ListOptions{LabelSelector: selector.String(), Limit: listLimit}
	var sets *appsv1.ReplicaSetList
	var pods *corev1.PodList
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if sets, err = c.typed.AppsV1().ReplicaSets(s.Namespace).List(ctx, options); err != nil {
			return failed(err, "list of the ReplicaSets", s)
		}
		return tooMany(sets.Continue, "ReplicaSets", s)
	})
	group.Go(func() (err error) {
		if pods, err = c.typed.CoreV1().Pods(s.Namespace).List(ctx, options); err != nil {
			return failed(err, "list of the pods", s)
		}
		return tooMany(pods.Continue, "pods", s)
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return sets.Items, pods.Items, nil
}

// rollout is rolloutOf, unless a pod of the current template shows already that
// it will come to nothing.
func (c *Cluster) rollout(ctx context.Context, d *appsv1.Deployment, current *appsv1.ReplicaSet, now []corev1.Pod, older int) (deployer.Rollout, error) {
	for i := range now {
		f, bad := failureOf(&now[i])
		if !bad {
			continue
		}
		reason := f.sentence
		if last := c.lastLines(ctx, d.Namespace, f); last != "" {
			reason += "; its log ends: " + last
		}
		return deployer.Rollout{State: deployer.RolloutFailed, Reason: reason}, nil
	}
	return rolloutOf(d, current, now, older)
}

// lastLines is the end of a crashed container's log on one line. It is worth
// having and no more: the right to read it is optional, and without it, or when
// the node does not answer, it is empty.
func (c *Cluster) lastLines(ctx context.Context, namespace string, f failure) string {
	if !f.crashed {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	lines, limit := int64(logLines), int64(logRead)
	body, err := c.typed.CoreV1().Pods(namespace).GetLogs(f.pod, &corev1.PodLogOptions{
		Container: f.container, TailLines: &lines, LimitBytes: &limit,
	}).Stream(ctx)
	if err != nil {
		return ""
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, logRead))
	if err != nil {
		return ""
	}
	return oneLine(string(text), logQuoted)
}

// imageOf is the image that the template gives a container.
func imageOf(d *appsv1.Deployment, container string) (string, error) {
	var names []string
	for i := range d.Spec.Template.Spec.Containers {
		if d.Spec.Template.Spec.Containers[i].Name == container {
			return d.Spec.Template.Spec.Containers[i].Image, nil
		}
		names = append(names, d.Spec.Template.Spec.Containers[i].Name)
	}
	return "", fmt.Errorf("there is no container %q: there are %s", container, strings.Join(names, ", "))
}

func tooMany(more, what string, s deployer.Spec) error {
	if more == "" {
		return nil
	}
	return fault.AsPermanent(fmt.Errorf("%s has more than %d %s: more than is read in one look", named(s), listLimit, what))
}
