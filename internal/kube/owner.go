package kube

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// owner is one field manager's claim on a field.
type owner struct {
	manager   string
	operation metav1.ManagedFieldsOperationType
}

// ours says that the claim is the one Slipway's own apply makes.
func (o owner) ours() bool {
	return o.manager == Manager && o.operation == metav1.ManagedFieldsOperationApply
}

func (o owner) String() string {
	if o.manager == Manager && !o.ours() {
		return fmt.Sprintf("%s (by %s, not by apply)", o.manager, strings.ToLower(string(o.operation)))
	}
	return o.manager
}

// imagePath is where the image of a container is in a Deployment.
func imagePath(container string) fieldpath.Path {
	return fieldpath.MakePathOrDie("spec", "template", "spec", "containers",
		fieldpath.KeyByFields("name", container), "image")
}

// imageOwners lists the claims on a container's image, sorted by manager. There
// are several when managers applied the same value.
func imageOwners(entries []metav1.ManagedFieldsEntry, container string) ([]owner, error) {
	path := imagePath(container)
	var owners []owner
	for _, e := range entries {
		set, err := fieldsOf(e)
		if err != nil {
			return nil, err
		}
		if set.Has(path) {
			owners = append(owners, owner{e.Manager, e.Operation})
		}
	}
	slices.SortFunc(owners, func(a, b owner) int {
		return strings.Compare(a.manager+string(a.operation), b.manager+string(b.operation))
	})
	return slices.Compact(owners), nil
}

// slipwayFields is every field that Slipway may own of a Deployment.
func slipwayFields(container string) *fieldpath.Set {
	set := fieldpath.NewSet(imagePath(container))
	for _, key := range annotationKeys() {
		set.Insert(fieldpath.MakePathOrDie("metadata", "annotations", key))
	}
	return set
}

// withoutRivals is entries with Slipway's fields left to Slipway alone.
func withoutRivals(entries []metav1.ManagedFieldsEntry, container string) ([]metav1.ManagedFieldsEntry, error) {
	disputed := slipwayFields(container)
	kept := make([]metav1.ManagedFieldsEntry, 0, len(entries))
	for _, e := range entries {
		if (owner{e.Manager, e.Operation}).ours() {
			kept = append(kept, e)
			continue
		}
		set, err := fieldsOf(e)
		if err != nil {
			return nil, err
		}
		rest := set.Difference(disputed)
		if rest.Empty() {
			continue
		}
		if rest.Size() != set.Size() {
			raw, err := rest.ToJSON()
			if err != nil {
				return nil, fmt.Errorf("write the managed fields of %s: %w", e.Manager, err)
			}
			e.FieldsV1 = &metav1.FieldsV1{}
			e.FieldsV1.SetRawBytes(raw)
		}
		kept = append(kept, e)
	}
	return kept, nil
}

// solelyOurs says that Slipway's apply has the only claim.
func solelyOurs(owners []owner) bool {
	return len(owners) == 1 && owners[0].ours()
}

// ownerNames joins the managers, for people.
func ownerNames(owners []owner) string {
	names := make([]string, 0, len(owners))
	for _, o := range owners {
		names = append(names, o.String())
	}
	return strings.Join(names, ", ")
}

// rivalNames joins the managers other than Slipway's apply.
func rivalNames(owners []owner) string {
	return ownerNames(slices.DeleteFunc(slices.Clone(owners), owner.ours))
}

func fieldsOf(e metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if e.FieldsV1 == nil || len(e.FieldsV1.GetRawBytes()) == 0 {
		return set, nil
	}
	if err := set.FromJSON(e.FieldsV1.GetRawReader()); err != nil {
		return nil, fmt.Errorf("read the managed fields of %s: %w", e.Manager, err)
	}
	return set, nil
}
