package kube

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// podWith is a pod whose status is as a kubelet would write it.
func podWith(t *testing.T, status string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "app-1"}}
	if err := yaml.UnmarshalStrict([]byte(status), &pod.Status); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestFailureOfPod(t *testing.T) {
	for _, test := range []struct {
		name    string
		status  string
		want    string // empty: not failing
		crashed bool
	}{
		{
			name:   "a container that is being created has not failed",
			status: `containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]`,
		}, {
			name:   "a running container has not failed, however often it was restarted",
			status: `containerStatuses: [{name: app, restartCount: 7, state: {running: {}}}]`,
		}, {
			name: "a crash loop has failed, with its last exit code and message",
			status: `containerStatuses:
- name: app
  restartCount: 3
  state: {waiting: {reason: CrashLoopBackOff, message: back-off 40s restarting failed container}}
  lastState: {terminated: {exitCode: 2, reason: Error, message: "cannot listen\nin use"}}`,
			want:    "pod app-1: container app is in CrashLoopBackOff after 3 restarts, last with exit code 2: cannot listen | in use",
			crashed: true,
		}, {
			name: "being killed for memory is named",
			status: `containerStatuses:
- {name: app, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}`,
			want:    "pod app-1: container app is in CrashLoopBackOff after 1 restart, last with exit code 137 (OOMKilled)",
			crashed: true,
		}, {
			name:   "one failed pull may be an accident",
			status: `containerStatuses: [{name: app, state: {waiting: {reason: ErrImagePull, message: not found}}}]`,
		}, {
			name:   "backing off from pulls has failed",
			status: `containerStatuses: [{name: app, state: {waiting: {reason: ImagePullBackOff, message: "Back-off pulling image: not found"}}}]`,
			want:   "pod app-1: container app is in ImagePullBackOff: Back-off pulling image: not found",
		}, {
			name:   "an image name that is none has failed",
			status: `containerStatuses: [{name: app, state: {waiting: {reason: InvalidImageName, message: couldn't parse}}}]`,
			want:   "pod app-1: container app is in InvalidImageName: couldn't parse",
		}, {
			name:   "a configuration that is missing has failed",
			status: `containerStatuses: [{name: app, state: {waiting: {reason: CreateContainerConfigError, message: configmap "x" not found}}}]`,
			want:   `pod app-1: container app is in CreateContainerConfigError: configmap "x" not found`,
		}, {
			name:   "the first ends of a container may be an accident",
			status: `containerStatuses: [{name: app, restartCount: 1, state: {terminated: {exitCode: 1}}}]`,
		}, {
			name:    "ending after two restarts has failed before the kubelet says so",
			status:  `containerStatuses: [{name: app, restartCount: 2, state: {terminated: {exitCode: 1, reason: Error}}}]`,
			want:    "pod app-1: container app ended again after 2 restarts, last with exit code 1",
			crashed: true,
		}, {
			name:    "a server that ends without an error has failed too",
			status:  `containerStatuses: [{name: app, restartCount: 2, state: {terminated: {exitCode: 0, reason: Completed}}}]`,
			want:    "pod app-1: container app ended again after 2 restarts, last with exit code 0 (Completed)",
			crashed: true,
		}, {
			name: "an init container that is done has not failed",
			status: `initContainerStatuses: [{name: migrate, restartCount: 2, state: {terminated: {exitCode: 0, reason: Completed}}}]
containerStatuses: [{name: app, state: {running: {}}}]`,
		}, {
			name: "an init container that crashes keeps the pod down",
			status: `initContainerStatuses: [{name: migrate, restartCount: 2, state: {terminated: {exitCode: 1}}}]
containerStatuses: [{name: app, state: {waiting: {reason: PodInitializing}}}]`,
			want:    "pod app-1: container migrate ended again after 2 restarts, last with exit code 1",
			crashed: true,
		}, {
			name: "a container beside the pinned one keeps the pod down too",
			status: `containerStatuses:
- {name: app, state: {running: {}}}
- {name: side, state: {waiting: {reason: ErrImageNeverPull}}}`,
			want: "pod app-1: container side is in ErrImageNeverPull",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, bad := failureOf(podWith(t, test.status))
			if bad != (test.want != "") || f.sentence != test.want || f.crashed != test.crashed {
				t.Errorf("got %v %q crashed %v, want %q crashed %v", bad, f.sentence, f.crashed, test.want, test.crashed)
			}
		})
	}
}

func TestForeignTextIsMadeFitForASentence(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"lines are joined", "one\r\n\n two \n", "one | two"},
		{"what cannot be printed is dropped", "a\x1b[31mb\x00", "a[31mb"},
		{"what is no UTF-8 is marked", "a\xffb", "a\uFFFDb"},
		{"the end is kept, where the cause stands", strings.Repeat("x", 30) + " the cause", "…xxxxxxxxxx the cause"},
		{"a letter is not cut in two", strings.Repeat("x", 30) + "ä1234567890123456789", "…1234567890123456789"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := oneLine(test.text, 20); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := head("ab\ncdäef", 6); got != "ab cd" {
		t.Errorf("the head is %q", got)
	}
}

func TestDeploymentOfPod(t *testing.T) {
	owned := func(kind, owner, hash string) *metav1.PartialObjectMetadata {
		yes := true
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Labels:          map[string]string{"pod-template-hash": hash},
			OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: &yes}},
		}}
	}
	for _, test := range []struct {
		name string
		pod  *metav1.PartialObjectMetadata
		want string
	}{
		{"the ReplicaSet's name without the hash", owned("ReplicaSet", "app-web-5b484cb4c8", "5b484cb4c8"), "app-web"},
		{"a ReplicaSet of somebody else's making", owned("ReplicaSet", "plain", "5b484cb4c8"), ""},
		{"a ReplicaSet without a Deployment", owned("ReplicaSet", "plain", ""), ""},
		{"another kind of owner", owned("StatefulSet", "app-5b484cb4c8", "5b484cb4c8"), ""},
		{"no owner", &metav1.PartialObjectMetadata{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := deploymentOfPod(test.pod); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
