package kube

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// entry is one manager's claims, as an API server writes them.
func entry(manager string, operation metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{
		Manager: manager, Operation: operation, APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{},
	}
	e.FieldsV1.SetRawString(fields)
	return e
}

const (
	// claimsOfApply is what kubectl's client-side apply claims of a Deployment.
	claimsOfApply = `{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},` +
		`"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{` +
		`"k:{\"name\":\"app\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{}},` +
		`"k:{\"name\":\"side\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	claimsOfApplyLess = `{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},` +
		`"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{` +
		`"k:{\"name\":\"app\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:name":{}},` +
		`"k:{\"name\":\"side\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	claimsOfImage = `{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{"f:image":{}}}}}}}`
	claimsOfPin   = `{"f:metadata":{"f:annotations":{"f:slipway.dev/version":{}}},"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	claimsOfState = `{"f:status":{"f:replicas":{}}}`
)

func TestImageOwners(t *testing.T) {
	apply, update := metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	for _, test := range []struct {
		name    string
		entries []metav1.ManagedFieldsEntry
		owners  string
		rivals  string
		ours    bool
	}{
		{
			name:    "the manager that wrote the whole manifest owns the image",
			entries: []metav1.ManagedFieldsEntry{entry("kubectl-client-side-apply", update, claimsOfApply), entry("kube-controller-manager", update, claimsOfState)},
			owners:  "kubectl-client-side-apply", rivals: "kubectl-client-side-apply",
		}, {
			name:    "another container's image is not this one's",
			entries: []metav1.ManagedFieldsEntry{entry("kubectl-client-side-apply", update, claimsOfApplyLess)},
		}, {
			name:    "Slipway's own apply makes it Slipway's",
			entries: []metav1.ManagedFieldsEntry{entry("helm", update, claimsOfApplyLess), entry(Manager, apply, claimsOfPin)},
			owners:  "slipway", ours: true,
		}, {
			name:    "an edit under Slipway's name is not Slipway's",
			entries: []metav1.ManagedFieldsEntry{entry(Manager, update, claimsOfImage)},
			owners:  "slipway (by update, not by apply)", rivals: "slipway (by update, not by apply)",
		}, {
			name:    "a field that is shared is not Slipway's alone",
			entries: []metav1.ManagedFieldsEntry{entry(Manager, apply, claimsOfPin), entry("argocd", apply, claimsOfImage)},
			owners:  "argocd, slipway", rivals: "argocd",
		}, {
			name:    "an object without managed fields belongs to nobody",
			entries: nil,
		}, {
			name:    "a claim on nothing claims nothing",
			entries: []metav1.ManagedFieldsEntry{{Manager: "empty", Operation: update}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			owners, err := imageOwners(test.entries, "app")
			if err != nil {
				t.Fatal(err)
			}
			if got := ownerNames(owners); got != test.owners {
				t.Errorf("owners %q, want %q", got, test.owners)
			}
			if got := rivalNames(owners); got != test.rivals {
				t.Errorf("rivals %q, want %q", got, test.rivals)
			}
			if got := solelyOurs(owners); got != test.ours {
				t.Errorf("solely ours is %v", got)
			}
		})
	}
}

func TestManagedFieldsThatCannotBeReadAreAnError(t *testing.T) {
	entries := []metav1.ManagedFieldsEntry{entry("odd", metav1.ManagedFieldsOperationUpdate, `{"f:spec":[]}`)}
	if owners, err := imageOwners(entries, "app"); err == nil {
		t.Fatalf("read as %v", owners)
	}
	if kept, err := withoutRivals(entries, "app"); err == nil {
		t.Fatalf("rewritten as %v", kept)
	}
}

func TestRivalsLoseSlipwaysFieldsAndNothingElse(t *testing.T) {
	apply, update := metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	kept, err := withoutRivals([]metav1.ManagedFieldsEntry{
		entry("kubectl-client-side-apply", update, claimsOfApply),
		entry("kubectl-set", update, claimsOfImage),
		entry(Manager, apply, claimsOfPin),
		entry("kube-controller-manager", update, claimsOfState),
	}, "app")
	if err != nil {
		t.Fatal(err)
	}
	want := []metav1.ManagedFieldsEntry{
		entry("kubectl-client-side-apply", update, claimsOfApplyLess),
		entry(Manager, apply, claimsOfPin),
		entry("kube-controller-manager", update, claimsOfState),
	}
	if diff := cmp.Diff(plain(t, want), plain(t, kept)); diff != "" {
		t.Errorf("managed fields (-want +got):\n%s", diff)
	}
}

// plain is a value as decoded JSON, so that the order of keys does not count.
func plain(t *testing.T, value any) any {
	t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(body, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}
