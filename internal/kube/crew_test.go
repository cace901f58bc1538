package kube_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/kube"
	"slipway/internal/onboard"
	"slipway/pools"
)

// seats reads coordinates.
func seats(t *testing.T, names ...string) (all []pools.Address) {
	t.Helper()
	for _, n := range names {
		a, err := pools.ReadAddress(n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func crewSite(namespace string) kube.CrewSite {
	return kube.CrewSite{
		Namespace: namespace, Image: "registry.example/builders@sha256:" + strings.Repeat("ab", 32), Command: []string{"agent", "--say", "$(HOME)"},
		Environment: map[string]string{"LANG": "C.UTF-8"}, Credentials: map[string]kube.KeyOf{"PROVIDER_KEY": {Secret: "providers", Key: "key"}},
		Server: "https://slipway.example", Forge: "https://git.example", CPU: "500m", Memory: "1Gi",
		Egress: []kube.Egress{{CIDR: "192.0.2.0/24", Ports: []int{443}}, {Namespace: "slipway"}},
	}
}

type plain string

func (p plain) Reveal() string { return string(p) }

// TestThePoolsRunAsTheirCoordinates has a real API server take what the pools
// need, in a namespace that lets in restricted pods only.
func TestThePoolsRunAsTheirCoordinates(t *testing.T) {
	p := inNamespace(t, fakeNodes(t))
	namespace := p.namespace + "-pools"
	t.Cleanup(func() {
		if err := p.admin.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	yard := kube.CrewYard{Cluster: p.slipway, Site: crewSite(namespace)}
	want := onboard.Crew{Coordinates: seats(t, "builder-lite-0", "builder-lite-1", "reviewer-heavy-0")}
	compare := func() []onboard.Thing {
		t.Helper()
		things, err := yard.Compare(t.Context(), want)
		p.must(err)
		return things
	}
	names := func(things []onboard.Thing) (all []string) {
		for _, thing := range things {
			all = append(all, thing.Name)
		}
		return all
	}
	made := compare()
	if diff := cmp.Diff([]string{
		"Namespace " + namespace,
		"ServiceAccount builder-lite", "Service builder-lite", "NetworkPolicy builder-lite", "StatefulSet builder-lite",
		"ServiceAccount reviewer-heavy", "Service reviewer-heavy", "NetworkPolicy reviewer-heavy", "StatefulSet reviewer-heavy",
	}, names(made)); diff != "" {
		t.Fatal(diff)
	}
	for _, thing := range made {
		p.must(yard.Make(t.Context(), thing.Of))
	}
	if left := compare(); len(left) > 0 {
		t.Errorf("a second look finds %+v", left)
	}
	if diff := cmp.Diff([]string{"builder-lite-0", "builder-lite-1", "reviewer-heavy-0"}, p.podsOf(namespace, 3)); diff != "" {
		t.Errorf("the pods are not the coordinates: %s", diff)
	}
	_, err := p.admin.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "root"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "root", Image: "root"}}},
	}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("the namespace takes any pod: %v", err)
	}

	yard.Site.Image = "registry.example/builders:next"
	changed := compare()
	if diff := cmp.Diff([]string{"StatefulSet builder-lite", "StatefulSet reviewer-heavy"}, names(changed)); diff != "" {
		t.Fatal(diff)
	}
	if line := changed[0].Lines[0]; line.Should != `"registry.example/builders:next"` || !strings.HasPrefix(line.What, "spec.template.spec.containers") {
		t.Errorf("it says %+v", line)
	}
	before := p.uids(namespace)
	p.must(yard.Make(t.Context(), changed[0].Of))
	p.eventually("the pods to be of an earlier template", 20*time.Second, func() string {
		things := compare()
		if slices.ContainsFunc(things, func(t onboard.Thing) bool { return strings.Contains(t.Held, "drain each") }) {
			return ""
		}
		return fmt.Sprint(names(things))
	})
	if diff := cmp.Diff(before, p.uids(namespace)); diff != "" {
		t.Errorf("a new template restarts pods at work: %s", diff)
	}

	want.Coordinates = seats(t, "builder-lite-0")
	var drops []string
	for _, thing := range compare() {
		for _, a := range thing.Drops {
			drops = append(drops, a.String())
		}
	}
	if diff := cmp.Diff([]string{"builder-lite-1", "reviewer-heavy-0"}, drops); diff != "" {
		t.Errorf("it does not say whose pods go: %s", diff)
	}
}

// TestNobodyElsesFieldIsForced leaves what another has set, and says who.
func TestNobodyElsesFieldIsForced(t *testing.T) {
	p := inNamespace(t, fakeNodes(t))
	yard := kube.CrewYard{Cluster: p.slipway, Site: crewSite(p.namespace)}
	want := onboard.Crew{Coordinates: seats(t, "builder-lite-0")}
	things, err := yard.Compare(t.Context(), want)
	p.must(err)
	for _, thing := range things {
		p.must(yard.Make(t.Context(), thing.Of))
	}
	_, err = p.admin.CoreV1().Services(p.namespace).Patch(t.Context(), "builder-lite", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"slipway/pool":"ours"}}}`), metav1.PatchOptions{FieldManager: "harbour"})
	p.must(err)
	things, err = yard.Compare(t.Context(), want)
	p.must(err)
	if len(things) != 1 || things[0].Name != "Service builder-lite" || !strings.Contains(things[0].Denied, "harbour") {
		t.Errorf("it says %+v", things)
	}
	if err := yard.Make(t.Context(), things[0].Of); !apierrors.IsConflict(err) {
		t.Errorf("it was forced: %v", err)
	}
}

// TestAShelfHoldsASecretEach puts, replaces and clears, and leaves alone what
// others made.
func TestAShelfHoldsASecretEach(t *testing.T) {
	p := inNamespace(t, fakeNodes(t))
	shelf := kube.CrewShelf{Cluster: p.slipway, Namespace: p.namespace}
	a := seats(t, "builder-lite-0")[0]
	for _, worker := range []string{"first", "second"} {
		p.must(shelf.Put(t.Context(), a, onboard.Secrets{Worker: plain(worker), Forge: plain("token")}))
		held, err := shelf.Held(t.Context())
		p.must(err)
		if len(held) != 1 || held[a].Worker.Reveal() != worker || held[a].Forge.Reveal() != "token" {
			t.Errorf("it holds %v", held)
		}
		if said := fmt.Sprintf("%v %+v %#v %s", held, held, held, held); strings.Contains(said, worker) {
			t.Errorf("the secret is printed: %s", said)
		}
	}
	p.must(shelf.Clear(t.Context(), a))
	p.must(shelf.Clear(t.Context(), a))
	if held, err := shelf.Held(t.Context()); err != nil || len(held) > 0 {
		t.Errorf("it still holds %v, %v", held, err)
	}
	_, err := p.admin.CoreV1().Secrets(p.namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: a.String()}}, metav1.CreateOptions{})
	p.must(err)
	if err := shelf.Put(t.Context(), a, onboard.Secrets{Worker: plain("x"), Forge: plain("y")}); err == nil || !strings.Contains(err.Error(), "was not made by Slipway") {
		t.Errorf("somebody else's Secret is taken over: %v", err)
	}
}

// TestAPodsCommandSeesItsOwnSecretsAlone reads the template: the pool's secrets
// are mounted where nobody's command runs.
func TestAPodsCommandSeesItsOwnSecretsAlone(t *testing.T) {
	p := inNamespace(t, fakeNodes(t))
	yard := kube.CrewYard{Cluster: p.slipway, Site: crewSite(p.namespace)}
	things, err := yard.Compare(t.Context(), onboard.Crew{Coordinates: seats(t, "builder-lite-0", "builder-lite-1")})
	p.must(err)
	for _, thing := range things {
		p.must(yard.Make(t.Context(), thing.Of))
	}
	set, err := p.admin.AppsV1().StatefulSets(p.namespace).Get(t.Context(), "builder-lite", metav1.GetOptions{})
	p.must(err)
	spec := set.Spec.Template.Spec
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		t.Errorf("%+v, %+v", spec.AutomountServiceAccountToken, set.Spec.UpdateStrategy)
	}
	if spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace {
		t.Error("the command sees the keeper's files through its processes")
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		all := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "pool" })
		if works := slices.Contains(c.Command, "agent"); works == all {
			t.Errorf("the container %s: works %v, sees the pool's secrets %v", c.Name, works, all)
		}
		if slices.Contains(c.Command, "agent") && !slices.Contains(c.Command, "$$(HOME)") {
			t.Errorf("its arguments are changed: %q", c.Command)
		}
	}
}

// podsOf waits for so many pods and says their names.
func (p place) podsOf(namespace string, n int) (names []string) {
	p.Helper()
	p.eventually(fmt.Sprintf("%d pods", n), 20*time.Second, func() string {
		list, err := p.admin.CoreV1().Pods(namespace).List(p.Context(), metav1.ListOptions{})
		p.must(err)
		names = nil
		for _, pod := range list.Items {
			names = append(names, pod.Name)
		}
		slices.Sort(names)
		if len(names) < n {
			return fmt.Sprint(names)
		}
		return ""
	})
	return names
}

func (p place) uids(namespace string) (all []string) {
	p.Helper()
	list, err := p.admin.CoreV1().Pods(namespace).List(p.Context(), metav1.ListOptions{})
	p.must(err)
	for _, pod := range list.Items {
		all = append(all, pod.Name+" "+string(pod.UID))
	}
	slices.Sort(all)
	return all
}
