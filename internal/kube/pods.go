package kube

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/deployer"
	"slipway/internal/ref"
)

// tooManyRestarts is when a container that ended is taken to be in a crash
// loop though the kubelet does not say so at the moment of the look.
const tooManyRestarts = 2

// messageLimit bounds what is quoted of a message, in bytes.
const messageLimit = 1 << 10

// failure is why a pod cannot become ready without a change.
type failure struct {
	pod       string
	container string
	sentence  string
	crashed   bool // it ran, so its log may say more
}

// currentSet is the ReplicaSet of the Deployment's template as it was read: the
// one whose template is the same but for the hash label. nil means that the
// controller has not made it yet. Of several the controller takes the oldest.
func currentSet(d *appsv1.Deployment, sets []appsv1.ReplicaSet) *appsv1.ReplicaSet {
	var current *appsv1.ReplicaSet
	for i := range sets {
		set := &sets[i]
		if !metav1.IsControlledBy(set, d) || !sameTemplate(&set.Spec.Template, &d.Spec.Template) {
			continue
		}
		if current == nil || set.CreationTimestamp.Before(&current.CreationTimestamp) {
			current = set
		}
	}
	return current
}

func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// splitPods sorts the Deployment's pods that are neither ending nor ended into
// those of the current ReplicaSet, by name, and a count of the older ones.
func splitPods(d *appsv1.Deployment, sets []appsv1.ReplicaSet, current *appsv1.ReplicaSet, pods []corev1.Pod) (now []corev1.Pod, older int) {
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if current != nil && metav1.IsControlledBy(&pod, current) {
			now = append(now, pod)
			continue
		}
		if slices.ContainsFunc(sets, func(s appsv1.ReplicaSet) bool {
			return metav1.IsControlledBy(&s, d) && metav1.IsControlledBy(&pod, &s)
		}) {
			older++
		}
	}
	slices.SortFunc(now, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return now, older
}

// podOf is what one pod shows of a container.
func podOf(pod *corev1.Pod, container string) deployer.Pod {
	p := deployer.Pod{Name: pod.Name, Ready: ref.Known(podReady(pod))}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == container {
			p.Image = pod.Spec.Containers[i].Image
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == container {
			p.ImageID = pod.Status.ContainerStatuses[i].ImageID
		}
	}
	return p
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// failureOf finds the first container of a pod that will not come up as it is.
// A single failed pull is not yet that; the back-off that follows the next one
// is.
func failureOf(pod *corev1.Pod) (failure, bool) {
	for i := range pod.Status.InitContainerStatuses {
		if f, bad := containerFailure(pod.Name, &pod.Status.InitContainerStatuses[i], true); bad {
			return f, true
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if f, bad := containerFailure(pod.Name, &pod.Status.ContainerStatuses[i], false); bad {
			return f, true
		}
	}
	return failure{}, false
}

func containerFailure(pod string, s *corev1.ContainerStatus, initial bool) (failure, bool) {
	f := failure{pod: pod, container: s.Name}
	begin := fmt.Sprintf("pod %s: container %s", pod, s.Name)
	if w := s.State.Waiting; w != nil {
		switch w.Reason {
		case "CrashLoopBackOff":
			f.crashed = true
			f.sentence = fmt.Sprintf("%s is in %s after %s%s", begin, w.Reason, restarts(s.RestartCount), lastEnd(s.LastTerminationState.Terminated))
			return f, true
		case "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError":
			f.sentence = fmt.Sprintf("%s is in %s%s", begin, w.Reason, quoted(w.Message))
			return f, true
		}
		return failure{}, false
	}
	t := s.State.Terminated
	if t == nil || s.RestartCount < tooManyRestarts || initial && t.ExitCode == 0 {
		return failure{}, false
	}
	f.crashed = true
	f.sentence = fmt.Sprintf("%s ended again after %s%s", begin, restarts(s.RestartCount), lastEnd(t))
	return f, true
}

// lastEnd says how a container ended, as a continuation of a sentence.
func lastEnd(t *corev1.ContainerStateTerminated) string {
	if t == nil {
		return ""
	}
	said := fmt.Sprintf(", last with exit code %d", t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" {
		said += " (" + t.Reason + ")"
	}
	return said + quoted(t.Message)
}

func restarts(n int32) string {
	if n == 1 {
		return "1 restart"
	}
	return fmt.Sprintf("%d restarts", n)
}

// quoted is a message as a continuation of a sentence, on one line.
func quoted(message string) string {
	if message = oneLine(message, messageLimit); message == "" {
		return ""
	}
	return ": " + message
}
