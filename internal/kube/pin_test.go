package kube_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/kube"
	"slipway/internal/ref"
)

func release(version string) deployer.Release {
	return deployer.Release{
		Change:  ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: 7},
		Version: version,
		Merge:   "1111111111111111111111111111111111111111",
	}
}

// claims is what Slipway's apply owns of the Deployment, as a set of fields.
func (p place) claims() string {
	p.Helper()
	for _, e := range p.live().ManagedFields {
		if e.Manager == kube.Manager {
			if e.Operation != metav1.ManagedFieldsOperationApply {
				p.Errorf("Slipway owns fields by %s", e.Operation)
			}
			return e.FieldsV1.GetRawString()
		}
	}
	return ""
}

const (
	imageClaim       = `"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}}}}}}`
	annotationsClaim = `"f:metadata":{"f:annotations":{"f:slipway.dev/change":{},"f:slipway.dev/revision":{},"f:slipway.dev/version":{}}},`
)

func TestAPinChangesTheImageAndSlipwaysAnnotationsAndNothingElse(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.rollout(deployer.RolloutComplete, goodV1)
	p.takeOver()
	before := p.live()
	p.pin(goodV2, release("v1.2.3"))
	after := p.live()

	want := before.DeepCopy()
	want.Spec.Template.Spec.Containers[0].Image = goodV2
	want.Annotations[kube.AnnotationChange] = "acme/app#7"
	want.Annotations[kube.AnnotationVersion] = "v1.2.3"
	want.Annotations[kube.AnnotationRevision] = "1111111111111111111111111111111111111111"
	for _, d := range []*appsv1.Deployment{want, after} {
		delete(d.Annotations, "deployment.kubernetes.io/revision") // the controller's
	}
	if diff := cmp.Diff(want.Spec, after.Spec); diff != "" {
		t.Errorf("the spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Annotations, after.Annotations); diff != "" {
		t.Errorf("the annotations (-want +got):\n%s", diff)
	}
	if got, want := p.claims(), "{"+annotationsClaim+imageClaim+"}"; got != want {
		t.Errorf("Slipway owns\n%s, want\n%s", got, want)
	}

	p.pin(goodV1, deployer.Release{}) // the image from before the take-over
	for key := range p.live().Annotations {
		if strings.HasPrefix(key, "slipway.dev/") {
			t.Errorf("%s is left over from the release", key)
		}
	}
	if got, want := p.claims(), "{"+imageClaim+"}"; got != want {
		t.Errorf("Slipway owns\n%s, want\n%s", got, want)
	}
}

func TestAPinThatIsSoAlreadyWritesNothing(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.takeOver()
	o := p.observe()
	p.pin(goodV2, release("v1.2.3"))
	p.rollout(deployer.RolloutComplete, goodV2)
	before := p.live().ResourceVersion

	// The preconditions are those of the first try, whose answer was lost.
	p.must(p.slipway.Pin(t.Context(), p.spec(), pinOf(o, goodV2, release("v1.2.3"))))
	if after := p.live().ResourceVersion; after != before {
		t.Errorf("the Deployment went from %s to %s", before, after)
	}
}

func TestPinRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		meddle  func(p place, pin *deployer.Pin)
		want    fault.Kind
		say     []string
		remains string
	}{
		{
			name:    "an object whose spec changed since it was observed",
			meddle:  func(p place, _ *deployer.Pin) { p.scale(3) },
			want:    fault.Changed,
			say:     []string{"its spec changed since it was observed"},
			remains: goodV1,
		}, {
			name:    "an object that was deleted and made again",
			meddle:  func(p place, _ *deployer.Pin) { p.remake(goodV1) },
			want:    fault.Changed,
			say:     []string{"deleted and made again"},
			remains: goodV1,
		}, {
			name:    "an object that is gone",
			meddle:  func(p place, _ *deployer.Pin) { p.remove() },
			want:    fault.Permanent,
			say:     []string{"not found"},
			remains: "",
		}, {
			name:    "a field that does not hold the image which was expected",
			meddle:  func(_ place, pin *deployer.Pin) { pin.Deployment.From = goodV2 + "0" },
			want:    fault.Changed,
			say:     []string{"holds " + goodV1, "not " + goodV2 + "0"},
			remains: goodV1,
		}, {
			name:    "a field that a rival took, and names the rival",
			meddle:  func(p place, pin *deployer.Pin) { p.set(goodV1 + "1"); p.look(pin) },
			want:    fault.Permanent,
			say:     []string{"belongs to kubectl-set", "container app"},
			remains: goodV1 + "1",
		}, {
			name:    "a field that a rival shares, and names the rival",
			meddle:  func(p place, pin *deployer.Pin) { p.share(goodV1); p.look(pin) },
			want:    fault.Permanent,
			say:     []string{"belongs to argocd"},
			remains: goodV1,
		}, {
			name:    "an annotation of Slipway's that a rival wrote, and names both",
			meddle:  func(p place, pin *deployer.Pin) { p.annotate(kube.AnnotationVersion, "v9"); p.look(pin) },
			want:    fault.Permanent,
			say:     []string{`conflict with "harbour-master"`, "slipway.dev/version"},
			remains: goodV1,
		}, {
			name:    "a pin without the version of the object",
			meddle:  func(_ place, pin *deployer.Pin) { pin.ResourceVersion = "12" },
			want:    fault.Permanent,
			say:     []string{"lacks the object's identity"},
			remains: goodV1,
		}, {
			name:    "a pin without the identity of the object",
			meddle:  func(_ place, pin *deployer.Pin) { pin.UID = "" },
			want:    fault.Permanent,
			say:     []string{"lacks the object's identity"},
			remains: goodV1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := inNamespace(t, fakeNodes(t))
			p.deploy(goodV1)
			p.rollout(deployer.RolloutComplete, goodV1)
			p.takeOver()
			pin := pinOf(p.observe(), goodV2, release("v1.2.3"))
			test.meddle(p, &pin)
			err := p.slipway.Pin(t.Context(), p.spec(), pin)
			if err == nil || fault.KindOf(err) != test.want {
				t.Fatalf("error %v of kind %v, want kind %v", err, fault.KindOf(err), test.want)
			}
			p.has(err.Error(), append(test.say, "pin of deployment "+p.namespace+"/app")...)
			if o := p.observe(); o.Image != test.remains {
				t.Errorf("the field holds %q, want %q", o.Image, test.remains)
			}
		})
	}
}

func TestAPinWithoutTheRightSaysHowItIsGiven(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.rollout(deployer.RolloutComplete, goodV1)
	p.takeOver()
	reader := p.account(rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get"}})
	err := reader.Pin(t.Context(), p.spec(), pinOf(p.observe(), goodV2, release("v1.2.3")))
	if err == nil || fault.KindOf(err) != fault.Permanent {
		t.Fatalf("error %v of kind %v", err, fault.KindOf(err))
	}
	p.has(err.Error(), "forbidden", "apply manifests/target in namespace "+p.namespace)
}

func TestAPinThatGetsNoAnswerIsTriedLater(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.takeOver()
	wire := cutLine(t, p.cluster)
	wire.cut()
	err := hurried(t, wire.kubeconfig).Pin(t.Context(), p.spec(), pinOf(p.observe(), goodV2, release("v1.2.3")))
	if err == nil || fault.KindOf(err) != fault.Later {
		t.Fatalf("error %v of kind %v", err, fault.KindOf(err))
	}
}

func TestAPinComesThroughWhileTheStatusIsBusy(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.takeOver()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var busy sync.WaitGroup
	defer busy.Wait()
	defer stop()
	writes := make(chan struct{})
	busy.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond) // far busier than any controller
		defer tick.Stop()
		for i := 0; ; i++ {
			patch := fmt.Sprintf(`{"status":{"collisionCount":%d}}`, i)
			_, err := p.admin.AppsV1().Deployments(p.namespace).Patch(ctx, "app", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
			if err != nil {
				return
			}
			if i == 0 {
				close(writes)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	<-writes
	for _, image := range []string{goodV2, goodV1, goodV2, goodV1, goodV2} {
		p.eventually("the pin of "+image, 20*time.Second, func() string {
			o := p.observe()
			p.eventually("a write to the status", 10*time.Second, func() string {
				if strings.HasPrefix(o.ResourceVersion, p.live().ResourceVersion+"/") {
					return "it is as it was observed"
				}
				return ""
			})
			err := p.slipway.Pin(t.Context(), p.spec(), pinOf(o, image, release("v1.2.3")))
			if err != nil && fault.KindOf(err) == fault.Changed {
				return err.Error() // outrun even so: the reconciler looks again
			}
			p.must(err)
			return ""
		})
	}
}

// look renews a pin's preconditions.
func (p place) look(pin *deployer.Pin) {
	p.Helper()
	o := p.observe()
	pin.UID, pin.ResourceVersion, pin.Deployment.From = o.UID, o.ResourceVersion, o.Image
}

func (p place) annotate(key, value string) {
	p.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value)
	_, err := p.admin.AppsV1().Deployments(p.namespace).Patch(p.Context(), "app", types.MergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "harbour-master"})
	p.must(err)
}

func (p place) scale(replicas int) {
	p.Helper()
	_, err := p.admin.AppsV1().Deployments(p.namespace).Patch(p.Context(), "app", types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas), metav1.PatchOptions{})
	p.must(err)
}

// share applies the image as it stands under another name.
func (p place) share(image string) {
	p.Helper()
	patch := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"app"},"spec":{"template":{"spec":{"containers":[{"name":"app","image":"` + image + `"}]}}}}`
	_, err := p.admin.AppsV1().Deployments(p.namespace).Patch(p.Context(), "app", types.ApplyPatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "argocd"})
	p.must(err)
}

func (p place) remove() {
	p.Helper()
	p.must(p.admin.AppsV1().Deployments(p.namespace).Delete(p.Context(), "app", metav1.DeleteOptions{}))
	p.eventually("the removal", 10*time.Second, func() string {
		if p.observe().Read == ref.Yes {
			return "it is still there"
		}
		return ""
	})
}

// remake leaves another object under the same name.
func (p place) remake(image string) {
	p.Helper()
	p.remove()
	p.deploy(image)
}

// account connects as a service account with one rule in the namespace.
func (p place) account(rules ...rbacv1.PolicyRule) *kube.Cluster {
	p.Helper()
	meta := metav1.ObjectMeta{Name: "reader", Namespace: p.namespace}
	_, err := p.admin.CoreV1().ServiceAccounts(p.namespace).Create(p.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	p.must(err)
	_, err = p.admin.RbacV1().Roles(p.namespace).Create(p.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	p.must(err)
	_, err = p.admin.RbacV1().RoleBindings(p.namespace).Create(p.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: meta.Name, Namespace: p.namespace}},
	}, metav1.CreateOptions{})
	p.must(err)
	kubeconfig, err := p.cluster.ServiceAccountKubeconfig(p.Context(), p.namespace, meta.Name)
	p.must(err)
	return connect(p.T, kubeconfig)
}
