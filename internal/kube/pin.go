package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

// Pin applies the image and Slipway's annotations to the very object that was
// observed. Any write to the object since then, even of its status, is
// fault.Changed: another look is cheap, and so is the next try. Another owner of
// the image is fault.Permanent and named. What is so already is success.
func (c *Cluster) Pin(ctx context.Context, s deployer.Spec, p deployer.Pin) error {
	if p.UID == "" || p.ResourceVersion == "" || p.Deployment.Image == "" {
		return fault.AsPermanent(fmt.Errorf("pin of %s: it lacks the object's identity or the image", named(s)))
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	live, err := c.typed.AppsV1().Deployments(s.Namespace).Get(ctx, s.Deployment, metav1.GetOptions{})
	if err != nil {
		return failed(err, "pin", s)
	}
	wanted := annotationsOf(p.Deployment.Release)
	done, err := standing(live, s.Container, p, wanted)
	if err != nil {
		return fmt.Errorf("pin of %s: %w", named(s), err)
	}
	if done {
		return nil
	}
	_, err = c.typed.AppsV1().Deployments(s.Namespace).Apply(ctx,
		imageApply(s, p.UID, p.ResourceVersion, p.Deployment.Image, wanted),
		metav1.ApplyOptions{FieldManager: Manager})
	if err != nil {
		return failed(err, "pin", s)
	}
	return nil
}

// standing holds the live object against the pin's preconditions. done says that
// the pin has been carried out already, whoever saw it last.
func standing(live *appsv1.Deployment, container string, p deployer.Pin, wanted map[string]string) (done bool, err error) {
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
	if live.ResourceVersion != p.ResourceVersion {
		return false, fault.AsChanged(errors.New("it changed since it was observed"))
	}
	return false, nil
}

// imageApply is all that Slipway ever says of a Deployment. What it said before
// and does not say again is removed by the API server.
func imageApply(s deployer.Spec, uid, version, image string, annotations map[string]string) *appsac.DeploymentApplyConfiguration {
	container := corac.Container().WithName(s.Container).WithImage(image)
	template := corac.PodTemplateSpec().WithSpec(corac.PodSpec().WithContainers(container))
	d := appsac.Deployment(s.Deployment, s.Namespace).
		WithUID(types.UID(uid)).
		WithResourceVersion(version).
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
