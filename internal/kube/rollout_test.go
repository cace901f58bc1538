package kube

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"slipway/deployer"
)

const (
	rolled = `
observedGeneration: 2
replicas: 2
updatedReplicas: 2
readyReplicas: 2
availableReplicas: 2
conditions:
- {type: Available, status: "True", reason: MinimumReplicasAvailable}
- {type: Progressing, status: "True", reason: NewReplicaSetAvailable, message: ReplicaSet "app-new" has successfully progressed.}`
	late = `
observedGeneration: 2
replicas: 3
updatedReplicas: 1
readyReplicas: 2
availableReplicas: 2
unavailableReplicas: 1
conditions:
- {type: Available, status: "True", reason: MinimumReplicasAvailable}
- {type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: ReplicaSet "app-new" has timed out progressing.}`
)

func TestRolloutOf(t *testing.T) {
	for _, test := range []struct {
		name   string
		status string
		change func(*appsv1.Deployment)
		set    string // the current ReplicaSet; empty: none yet
		ready  int    // pods of the current template
		unfit  int    // pods of it that are not ready
		older  int
		want   deployer.RolloutState
		reason string
	}{
		{
			name:   "every pod updated and available is complete",
			status: rolled, set: "app-new", ready: 2,
			want: deployer.RolloutComplete, reason: "2 of 2 pods are updated and available",
		}, {
			name:   "a status from before the change says nothing of it",
			status: strings.Replace(rolled, "observedGeneration: 2", "observedGeneration: 1", 1), set: "app-new", ready: 2,
			want: deployer.RolloutInProgress, reason: "the controller has not seen the change yet",
		}, {
			name:   "a status that counts pods which are not there is not believed",
			status: rolled, set: "app-new", ready: 1,
			want: deployer.RolloutInProgress, reason: "1 of 2 pods are ready",
		}, {
			name:   "a pod that is not ready is not counted",
			status: rolled, set: "app-new", ready: 1, unfit: 1,
			want: deployer.RolloutInProgress, reason: "1 of 2 pods are ready",
		}, {
			name:   "an older pod that serves keeps it from being complete",
			status: rolled, set: "app-new", ready: 2, older: 1,
			want: deployer.RolloutInProgress, reason: "pods of an older template are still there: 1",
		}, {
			name:   "a surplus pod keeps it from being complete",
			status: rolled, set: "app-new", ready: 3,
			want: deployer.RolloutInProgress, reason: "3 pods of the current template where 2 are wanted",
		}, {
			name:   "ready is not yet available",
			status: strings.Replace(rolled, "availableReplicas: 2", "availableReplicas: 1", 1), set: "app-new", ready: 2,
			want: deployer.RolloutInProgress, reason: "1 of 2 pods are available",
		}, {
			name:   "an exceeded progress deadline is a failure",
			status: late, set: "app-new", unfit: 1, older: 2,
			want: deployer.RolloutFailed, reason: `ReplicaSet "app-new" has timed out progressing: 0 of 2 pods are ready`,
		}, {
			name:   "the deadline that another template exceeded is not this one's",
			status: late, set: "app-old", ready: 1, older: 2,
			want: deployer.RolloutInProgress, reason: "1 of 2 pods are ready",
		}, {
			name:   "the deadline that another template exceeded is not that of one to come",
			status: late, older: 2,
			want: deployer.RolloutInProgress, reason: "0 of 2 pods are ready",
		}, {
			name:   "no pods at all prove nothing",
			status: "observedGeneration: 2\nconditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]",
			change: func(d *appsv1.Deployment) { *d.Spec.Replicas = 0 }, set: "app-new",
			want: deployer.RolloutInProgress, reason: "the Deployment is scaled to zero: no pod can prove anything",
		}, {
			name:   "a paused Deployment waits for whoever paused it",
			status: rolled, change: func(d *appsv1.Deployment) { d.Spec.Paused = true }, set: "app-new", ready: 2,
			want: deployer.RolloutInProgress, reason: "the Deployment is paused",
		}, {
			name:   "of a Deployment that is being deleted nothing is known",
			status: rolled, change: func(d *appsv1.Deployment) { now := metav1.Now(); d.DeletionTimestamp = &now }, set: "app-new", ready: 2,
			want: deployer.RolloutUnknown, reason: "the Deployment is being deleted",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			replicas := int32(2)
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "app", Generation: 2}, Spec: appsv1.DeploymentSpec{Replicas: &replicas}}
			if err := yaml.UnmarshalStrict([]byte(test.status), &d.Status); err != nil {
				t.Fatal(err)
			}
			if test.change != nil {
				test.change(d)
			}
			var set *appsv1.ReplicaSet
			if test.set != "" {
				set = &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: test.set}}
			}
			got, err := rolloutOf(d, set, append(podsThatAre(corev1.ConditionTrue, test.ready), podsThatAre(corev1.ConditionFalse, test.unfit)...), test.older)
			if err != nil {
				t.Fatal(err)
			}
			if want := (deployer.Rollout{State: test.want, Reason: test.reason}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestCurrentSetIsTheOldestOfTheSameTemplate(t *testing.T) {
	template := func(image, hash string) corev1.PodTemplateSpec {
		labels := map[string]string{"app": "app"}
		if hash != "" {
			labels["pod-template-hash"] = hash
		}
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}},
		}
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "app", UID: "d"}, Spec: appsv1.DeploymentSpec{Template: template("app:v2", "")}}
	set := func(name, owner, image string, age int64) appsv1.ReplicaSet {
		yes := true
		return appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, UID: types.UID(name), CreationTimestamp: metav1.Unix(1000-age, 0),
				OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: &yes}},
			},
			Spec: appsv1.ReplicaSetSpec{Template: template(image, name)},
		}
	}
	sets := []appsv1.ReplicaSet{
		set("stranger", "other", "app:v2", 99),
		set("former", "d", "app:v1", 50),
		set("twin", "d", "app:v2", 10),
		set("first", "d", "app:v2", 20),
	}
	if got := currentSet(d, sets); got == nil || got.Name != "first" {
		t.Errorf("the current ReplicaSet is %v", got)
	}
	if got := currentSet(d, sets[:2]); got != nil {
		t.Errorf("before the controller made it, the current ReplicaSet is %s", got.Name)
	}
}

func podsThatAre(ready corev1.ConditionStatus, count int) []corev1.Pod {
	var pods []corev1.Pod
	for i := range count {
		pods = append(pods, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("app-", ready, i)},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		})
	}
	return pods
}
