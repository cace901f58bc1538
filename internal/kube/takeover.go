package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/deployer"
	"slipway/internal/fault"
)

// takeOverTries bounds how often a take-over starts again because the object was
// written in between. It changes no value, so trying again is harmless.
const takeOverTries = 10

// TakeOver makes Slipway the only owner of the image field as it stands: no pod
// is restarted. It returns the image and who owned it before ("" is nobody, a
// list is several). It is the one place that forces anything.
func (c *Cluster) TakeOver(ctx context.Context, s deployer.Spec) (image, previous string, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for try := range takeOverTries {
		var before string
		image, before, err = c.takeOver(ctx, s)
		if try == 0 { // a try that lost a race half-way has joined the owners already
			previous = before
		}
		if fault.KindOf(err) != fault.Changed {
			break
		}
	}
	if err != nil {
		return "", "", err
	}
	return image, previous, nil
}

func (c *Cluster) takeOver(ctx context.Context, s deployer.Spec) (image, previous string, err error) {
	deployments := c.typed.AppsV1().Deployments(s.Namespace)
	live, err := deployments.Get(ctx, s.Deployment, metav1.GetOptions{})
	if err != nil {
		return "", "", failed(err, "take-over", s)
	}
	image, err = imageOf(live, s.Container)
	if err != nil {
		return "", "", fault.AsPermanent(fmt.Errorf("take-over of %s: %w", named(s), err))
	}
	owners, err := imageOwners(live.ManagedFields, s.Container)
	if err != nil {
		return "", "", fmt.Errorf("take-over of %s: %w", named(s), err)
	}
	previous = ownerNames(owners)
	if solelyOurs(owners) {
		return image, previous, nil
	}
	// An apply also gives up what it does not repeat, hence the annotations.
	applied, err := deployments.Apply(ctx,
		imageApply(s, live, image, annotationsIn(live)),
		metav1.ApplyOptions{FieldManager: Manager, Force: true})
	if err != nil {
		return "", previous, failed(err, "take-over", s)
	}
	if err := c.dismissRivals(ctx, s, applied); err != nil {
		return "", previous, err
	}
	return image, previous, nil
}

// dismissRivals removes the other managers' claims on the image. Force does not
// do that where the value stays the same: the API server then counts everybody
// as an owner, and the first pin would be a conflict.
func (c *Cluster) dismissRivals(ctx context.Context, s deployer.Spec, d *appsv1.Deployment) error {
	kept, err := withoutRivals(d.ManagedFields, s.Container)
	if err != nil {
		return fmt.Errorf("take-over of %s: %w", named(s), err)
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": d.UID, "resourceVersion": d.ResourceVersion, "managedFields": kept,
	}})
	if err != nil {
		return fmt.Errorf("take-over of %s: %w", named(s), err)
	}
	after, err := c.typed.AppsV1().Deployments(s.Namespace).Patch(ctx, s.Deployment, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: Manager})
	if err != nil {
		return failed(err, "take-over", s)
	}
	owners, err := imageOwners(after.ManagedFields, s.Container)
	if err != nil {
		return fmt.Errorf("take-over of %s: %w", named(s), err)
	}
	if !solelyOurs(owners) {
		return fault.AsPermanent(errors.New("take-over of " + named(s) + ": the image still belongs to " + ownerNames(owners)))
	}
	return nil
}
