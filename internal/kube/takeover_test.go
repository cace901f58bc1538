package kube_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

func TestATakeOverChangesTheOwnerAndRestartsNothing(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	before := p.rollout(deployer.RolloutComplete, goodV1)
	generation := p.live().Generation

	image, owner, err := p.slipway.TakeOver(t.Context(), p.spec())
	p.must(err)
	if image != goodV1 || owner != "kubectl-client-side-apply" {
		t.Errorf("took over %q from %q", image, owner)
	}
	after := p.observe()
	if after.Owner != "slipway" || after.Owned != ref.Yes {
		t.Errorf("it belongs to %q, owned %v", after.Owner, after.Owned)
	}
	if got, want := p.claims(), "{"+imageClaim+"}"; got != want {
		t.Errorf("Slipway owns\n%s, want\n%s", got, want)
	}
	if p.live().Generation != generation || !cmp.Equal(before.Pods, after.Pods) {
		t.Errorf("something was restarted: generation %d to %d, pods\n%s", generation, p.live().Generation, cmp.Diff(before.Pods, after.Pods))
	}
	for _, e := range p.live().ManagedFields {
		if e.Manager == "kubectl-client-side-apply" {
			p.has(e.FieldsV1.GetRawString(), `"f:env"`, `"f:replicas"`, `k:{\"name\":\"side\"}":{".":{},"f:image"`)
		}
	}
}

func TestATakeOverNamesEverybodyWhoOwnedTheField(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.share(goodV1)
	_, owner, err := p.slipway.TakeOver(t.Context(), p.spec())
	p.must(err)
	if owner != "argocd, kubectl-client-side-apply" {
		t.Errorf("took over from %q", owner)
	}
	p.pin(goodV2, release("v1.2.3"))
	if o := p.observe(); o.Owned != ref.Yes {
		t.Errorf("it belongs to %q", o.Owner)
	}
}

func TestATakeOverOfWhatIsSlipwaysWritesNothing(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.takeOver()
	p.rollout(deployer.RolloutComplete, goodV1)
	before := p.live().ResourceVersion
	_, owner, err := p.slipway.TakeOver(t.Context(), p.spec())
	p.must(err)
	if after := p.live().ResourceVersion; owner != "slipway" || after != before {
		t.Errorf("from %q, and the Deployment went from %s to %s", owner, before, after)
	}
}

func TestATakeOverAfterARivalKeepsTheRivalsImageAndSlipwaysAnnotations(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	p.deploy(goodV1)
	p.takeOver()
	p.pin(goodV2, release("v1.2.3"))
	p.set(goodV1)
	image, owner, err := p.slipway.TakeOver(t.Context(), p.spec())
	p.must(err)
	if image != goodV1 || owner != "kubectl-set" {
		t.Errorf("took over %q from %q", image, owner)
	}
	if got, want := p.claims(), "{"+annotationsClaim+imageClaim+"}"; got != want {
		t.Errorf("Slipway owns\n%s, want\n%s", got, want)
	}
	p.pin(goodV2, release("v1.2.4"))
}

func TestATakeOverOfNothingIsPermanent(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	_, _, err := p.slipway.TakeOver(t.Context(), p.spec())
	if err == nil || fault.KindOf(err) != fault.Permanent {
		t.Errorf("error %v of kind %v", err, fault.KindOf(err))
	}
	if o := p.observe(); o.Read != ref.No {
		t.Errorf("the take-over made one: %+v", o)
	}
}
