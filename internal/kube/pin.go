package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	corac "k8s.io/client-go/applyconfigurations/core/v1"

	"slipway/deployer"
	"slipway/internal/fault"
)

// Slipway's annotations on a Deployment: which change, version and commit its
// image comes from.
const (
	AnnotationChange   = "slipway.dev/change"
	AnnotationVersion  = "slipway.dev/version"
	AnnotationRevision = "slipway.dev/revision"
)

// pinTries bounds how often a pin starts again because the object was written
// between its own look and its own write.
const pinTries = 10

// Pin applies the image and Slipway's annotations to the very object that was
// observed, if its spec is still the one that was observed and the field still
// holds what the pin comes from; otherwise it is fault.Changed. Writes to the
// status do not count, or a busy controller would keep every pin away. Another
// owner of the image is fault.Permanent and named. What is so already is success.
func (c *Cluster) Pin(ctx context.Context, s deployer.Spec, p deployer.Pin) error {
	seen, err := parseVersion(p.ResourceVersion)
	if err != nil || p.UID == "" || p.Deployment.Image == "" {
		return fault.AsPermanent(fmt.Errorf("pin of %s: it lacks the object's identity or the image", named(s)))
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for range pinTries {
		var outrun bool
		if outrun, err = c.pin(ctx, s, p, seen); !outrun {
			break
		}
	}
	return err
}

// pin looks and applies once. outrun says that nothing stood against it but a
// write in between.
func (c *Cluster) pin(ctx context.Context, s deployer.Spec, p deployer.Pin, seen version) (outrun bool, err error) {
	live, err := c.typed.AppsV1().Deployments(s.Namespace).Get(ctx, s.Deployment, metav1.GetOptions{})
	if err != nil {
		return false, failed(err, "pin", s)
	}
	wanted := annotationsOf(p.Deployment.Release)
	done, err := standing(live, s.Container, p, seen, wanted)
	if err != nil {
		return false, fmt.Errorf("pin of %s: %w", named(s), err)
	}
	if done {
		return false, nil
	}
	_, err = c.typed.AppsV1().Deployments(s.Namespace).Apply(ctx,
		imageApply(s, live, p.Deployment.Image, wanted), metav1.ApplyOptions{FieldManager: Manager})
	if err != nil {
		err = failed(err, "pin", s)
		return fault.KindOf(err) == fault.Changed, err
	}
	return false, nil
}

// standing holds the live object against the pin's preconditions. done says that
// the pin has been carried out already, whoever saw it last.
func standing(live *appsv1.Deployment, container string, p deployer.Pin, seen version, wanted map[string]string) (done bool, err error) {
	image, err := imageOf(live, container)
	if err != nil {
		return false, fault.AsPermanent(err)
	}
	owners, err := imageOwners(live.ManagedFields, container)
	if err != nil {
		return false, err
	}
	if string(live.UID) != p.UID {
		return false, fault.AsChanged(errors.New("it was deleted and made again"))
	}
	if rivals := rivalNames(owners); rivals != "" {
		return false, fault.AsPermanent(fmt.Errorf("the image of container %s belongs to %s; %s", container, rivals, rivalMend))
	}
	if image == p.Deployment.Image && solelyOurs(owners) && maps.Equal(annotationsIn(live), wanted) {
		return true, nil
	}
	if image != p.Deployment.From {
		return false, fault.AsChanged(fmt.Errorf("container %s holds %s, not %s", container, image, p.Deployment.From))
	}
	if live.Generation != seen.generation {
		return false, fault.AsChanged(fmt.Errorf("its spec changed since it was observed, from generation %d to %d", seen.generation, live.Generation))
	}
	return false, nil
}

// imageApply is all that Slipway ever says of a Deployment. What it said before
// and does not say again is removed by the API server.
// It is bound to the object as it was read.
func imageApply(s deployer.Spec, live *appsv1.Deployment, image string, annotations map[string]string) *appsac.DeploymentApplyConfiguration {
	container := corac.Container().WithName(s.Container).WithImage(image)
	template := corac.PodTemplateSpec().WithSpec(corac.PodSpec().WithContainers(container))
	d := appsac.Deployment(s.Deployment, s.Namespace).
		WithUID(live.UID).
		WithResourceVersion(live.ResourceVersion).
		WithSpec(appsac.DeploymentSpec().WithTemplate(template))
	if len(annotations) > 0 {
		d.WithAnnotations(annotations)
	}
	return d
}

// annotationsOf says where a release comes from; an image from before the
// take-over comes from nowhere that Slipway knows.
func annotationsOf(r deployer.Release) map[string]string {
	if r.Version == "" {
		return map[string]string{}
	}
	return map[string]string{
		AnnotationChange:   r.Change.String(),
		AnnotationVersion:  r.Version,
		AnnotationRevision: string(r.Merge),
	}
}

// annotationsIn are Slipway's annotations as they stand.
func annotationsIn(d *appsv1.Deployment) map[string]string {
	found := map[string]string{}
	for _, key := range annotationKeys() {
		if value, ok := d.Annotations[key]; ok {
			found[key] = value
		}
	}
	return found
}

func annotationKeys() []string {
	return []string{AnnotationChange, AnnotationVersion, AnnotationRevision}
}
