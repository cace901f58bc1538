package kube

import (
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway/deployer"
)

// rolloutOf is the state of the Deployment's rollout, without regard to why a
// pod may be failing: what kstatus computes, held against the pods themselves.
// pods are those of the current template, older counts the others.
func rolloutOf(d *appsv1.Deployment, current *appsv1.ReplicaSet, pods []corev1.Pod, older int) (deployer.Rollout, error) {
	if d.DeletionTimestamp != nil {
		return deployer.Rollout{State: deployer.RolloutUnknown, Reason: "the Deployment is being deleted"}, nil
	}
	if d.Status.ObservedGeneration < d.Generation {
		return inProgress("the controller has not seen the change yet"), nil
	}
	computed, err := compute(d)
	if err != nil {
		return deployer.Rollout{}, err
	}
	if why, failed := stalled(computed, current); failed {
		if short := unproven(d, pods, older); short != "" {
			why += ": " + short
		}
		return deployer.Rollout{State: deployer.RolloutFailed, Reason: why}, nil
	}
	if why := unproven(d, pods, older); why != "" {
		return inProgress(why), nil
	}
	if computed.Status != status.CurrentStatus {
		return inProgress(oneLine(computed.Message, messageLimit)), nil
	}
	return deployer.Rollout{State: deployer.RolloutComplete, Reason: fmt.Sprintf("%d of %d pods are updated and available", len(pods), replicas(d))}, nil
}

func compute(d *appsv1.Deployment) (*status.Result, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d)
	if err != nil {
		return nil, fmt.Errorf("compute the status: %w", err)
	}
	u := &unstructured.Unstructured{Object: object}
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	computed, err := status.Compute(u)
	if err != nil {
		return nil, fmt.Errorf("compute the status: %w", err)
	}
	return computed, nil
}

// stalled says why the current template cannot come up. The controller keeps an
// exceeded progress deadline when the template changes, until the new one makes
// progress, so a way back would be born failed; the condition's message names
// the ReplicaSet that was late.
func stalled(computed *status.Result, current *appsv1.ReplicaSet) (why string, failed bool) {
	if computed.Status != status.FailedStatus {
		return "", false
	}
	why = computed.Message
	for _, c := range computed.Conditions {
		if c.Message != "" {
			why = c.Message
		}
	}
	why = strings.TrimSuffix(oneLine(why, messageLimit), ".")
	ofAnother := strings.HasPrefix(why, "ReplicaSet ") && (current == nil || !strings.Contains(why, `"`+current.Name+`"`))
	return why, !ofAnother
}

// unproven says what of the pods themselves keeps the rollout from being
// complete; empty is nothing.
func unproven(d *appsv1.Deployment, pods []corev1.Pod, older int) string {
	want, ready := replicas(d), 0
	for i := range pods {
		if podReady(&pods[i]) {
			ready++
		}
	}
	s := d.Status
	switch {
	case d.Spec.Paused:
		return "the Deployment is paused"
	case want == 0:
		return "the Deployment is scaled to zero: no pod can prove anything"
	case ready < want:
		return fmt.Sprintf("%d of %d pods are ready", ready, want)
	case len(pods) > want:
		return fmt.Sprintf("%d pods of the current template where %d are wanted", len(pods), want)
	case older > 0:
		return fmt.Sprintf("pods of an older template are still there: %d", older)
	case int(s.UpdatedReplicas) != want || int(s.Replicas) != want || int(s.AvailableReplicas) != want:
		return fmt.Sprintf("%d of %d pods are available", s.AvailableReplicas, want)
	}
	return ""
}

// replicas is how many pods are wanted; the API's default is one.
func replicas(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

func inProgress(reason string) deployer.Rollout {
	return deployer.Rollout{State: deployer.RolloutInProgress, Reason: reason}
}
