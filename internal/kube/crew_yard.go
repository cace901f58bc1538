package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"slipway/internal/onboard"
	"slipway/pools"
)

// CrewYard is a cluster that the coordinates run on, with the rights of whoever
// sets it up.
type CrewYard struct {
	*Cluster
	Site CrewSite
}

var _ onboard.Yard = CrewYard{}

// most of the differences of one object are told.
const toldDifferences = 6

// Name is the cluster's.
func (y CrewYard) Name() string { return y.name }

// Compare asks the API server what applying each object would change, which
// fills in all defaults as it would then.
func (y CrewYard) Compare(ctx context.Context, w onboard.Crew) ([]onboard.Thing, error) {
	ctx, cancel := y.bounded(ctx)
	defer cancel()
	var all []onboard.Thing
	live, err := y.liveSets(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the pools in cluster %s: %w", y.name, err)
	}
	missing := false // the namespace, without which nothing can be asked
	for _, o := range renderCrew(y.Site, w.Coordinates) {
		t := onboard.Thing{Name: o.kind + " " + o.meta.GetName(), Of: o}
		if set, is := o.Object.(*appsv1.StatefulSet); is {
			was := live[set.Name]
			delete(live, set.Name)
			t.Drops = drops(was, set)
			if was != nil && was.Status.UpdatedReplicas < was.Status.Replicas {
				all = append(all, onboard.Thing{Name: t.Name, Held: fmt.Sprintf("%d of its pods began with an earlier template and keep it until they are deleted: drain each, then delete its pod",
					was.Status.Replicas-was.Status.UpdatedReplicas)})
			}
		}
		lines, err := y.differences(ctx, o, missing)
		switch {
		case apierrors.IsForbidden(err), apierrors.IsConflict(err), apierrors.IsInvalid(err):
			t.Denied, t.Lines = err.Error(), []onboard.Line{{What: "as wanted", Is: "not known", Should: "yes"}}
		case err != nil:
			return nil, fmt.Errorf("compare %s in cluster %s: %w", t.Name, y.name, err)
		case len(lines) == 0:
			continue
		default:
			t.Lines = lines
		}
		missing = missing || o.kind == "Namespace" && len(lines) > 0 && lines[0].What == there
		all = append(all, t)
	}
	for _, name := range slices.Sorted(maps.Keys(live)) { // of no pool any more
		zero := live[name].DeepCopy()
		none := int32(0)
		zero.Spec.Replicas = &none
		if gone := drops(live[name], zero); len(gone) > 0 {
			empty := thing("StatefulSet", &appsv1.StatefulSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: y.Site.Namespace}, Spec: zero.Spec})
			all = append(all, onboard.Thing{Name: "StatefulSet " + name, Of: empty, Drops: gone,
				Lines: []onboard.Line{{What: "spec.replicas", Is: fmt.Sprint(len(gone)), Should: "0"}}})
		}
	}
	return all, nil
}

// Make makes one object so. Whoever else has set a part of it to something else
// is named in the refusal, and nothing is forced.
func (y CrewYard) Make(ctx context.Context, of any) error {
	ctx, cancel := y.bounded(ctx)
	defer cancel()
	o, ok := of.(object)
	if !ok {
		return fmt.Errorf("a cluster holds no %T of a crew", of)
	}
	_, err := y.apply(ctx, o, false)
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		err = errors.Join(onboard.ErrDenied, err)
	}
	if err != nil {
		return fmt.Errorf("set up the pools in cluster %s: %w", y.name, err)
	}
	return nil
}

// Manifests are the same objects as one List in JSON, for who applies them
// otherwise. No secret is among them.
func (s CrewSite) Manifests(coordinates []pools.Address) ([]byte, error) {
	var items []map[string]any
	for _, o := range renderCrew(s, coordinates) {
		fields, err := o.fields()
		if err != nil {
			return nil, err
		}
		items = append(items, fields)
	}
	data, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, "", "  ")
	return append(data, '\n'), err
}

// liveSets are the StatefulSets of pools that are there.
func (y CrewYard) liveSets(ctx context.Context) (map[string]*appsv1.StatefulSet, error) {
	list, err := y.typed.AppsV1().StatefulSets(y.Site.Namespace).List(ctx, metav1.ListOptions{LabelSelector: managedLabel + "=" + Manager + "," + poolLabel})
	if err != nil {
		return nil, err
	}
	all := map[string]*appsv1.StatefulSet{}
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	return all, nil
}

// differences are what applying an object would change.
func (y CrewYard) differences(ctx context.Context, o object, missing bool) ([]onboard.Line, error) {
	absent := []onboard.Line{{What: there, Is: "no", Should: "yes"}}
	if missing {
		return absent, nil
	}
	is, err := y.get(ctx, o)
	if apierrors.IsNotFound(err) {
		return absent, nil
	}
	if err != nil {
		return nil, err
	}
	should, err := y.apply(ctx, o, true)
	if err != nil {
		return nil, err
	}
	before, err := bare(is)
	if err != nil {
		return nil, err
	}
	after, err := bare(should)
	if err != nil {
		return nil, err
	}
	var lines []onboard.Line
	compare("", before, after, &lines)
	if n := len(lines); n > toldDifferences {
		lines = append(lines[:toldDifferences], onboard.Line{What: "and more", Is: fmt.Sprint(n-toldDifferences) + " other values", Should: "as wanted"})
	}
	return lines, nil
}

func (y CrewYard) get(ctx context.Context, o object) (runtime.Object, error) {
	r, client := y.resource(o)
	into := reflect.New(reflect.TypeOf(o.Object).Elem()).Interface().(runtime.Object)
	err := client.Get().NamespaceIfScoped(o.meta.GetNamespace(), o.meta.GetNamespace() != "").Resource(r).Name(o.meta.GetName()).Do(ctx).Into(into)
	return into, err
}

// apply makes an object so by server-side apply, or says what that would make.
func (y CrewYard) apply(ctx context.Context, o object, dryRun bool) (runtime.Object, error) {
	fields, err := o.fields()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	r, client := y.resource(o)
	options := &metav1.PatchOptions{FieldManager: Manager}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	into := reflect.New(reflect.TypeOf(o.Object).Elem()).Interface().(runtime.Object)
	err = client.Patch(types.ApplyPatchType).NamespaceIfScoped(o.meta.GetNamespace(), o.meta.GetNamespace() != "").Resource(r).Name(o.meta.GetName()).
		VersionedParams(options, scheme.ParameterCodec).Body(body).Do(ctx).Into(into)
	return into, err
}

// fields are what an object says, and nothing that it leaves open.
func (o object) fields() (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o.Object)
	if err != nil {
		return nil, err
	}
	delete(fields, "status")
	stripTimes(fields)
	return fields, nil
}

func (y CrewYard) resource(o object) (string, rest.Interface) {
	switch o.Object.(type) {
	case *appsv1.StatefulSet:
		return "statefulsets", y.typed.AppsV1().RESTClient()
	case *networkingv1.NetworkPolicy:
		return "networkpolicies", y.typed.NetworkingV1().RESTClient()
	case *corev1.Service:
		return "services", y.typed.CoreV1().RESTClient()
	case *corev1.ServiceAccount:
		return "serviceaccounts", y.typed.CoreV1().RESTClient()
	default:
		return "namespaces", y.typed.CoreV1().RESTClient()
	}
}

// drops are the coordinates whose pods would go with fewer replicas.
func drops(is, should *appsv1.StatefulSet) (gone []pools.Address) {
	if is == nil {
		return nil
	}
	for n := count(should); n < count(is); n++ {
		if a, err := pools.ReadAddress(fmt.Sprintf("%s-%d", is.Name, n)); err == nil {
			gone = append(gone, a)
		}
	}
	return gone
}

func count(s *appsv1.StatefulSet) int {
	if s.Spec.Replicas == nil {
		return 1
	}
	return int(*s.Spec.Replicas)
}

// there is what an object that is absent differs in.
const there = "there"

// bare is an object without what the API server keeps about it.
func bare(o runtime.Object) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	delete(fields, "status")
	delete(fields, "apiVersion") // not told with every answer
	delete(fields, "kind")
	if meta, ok := fields["metadata"].(map[string]any); ok {
		for _, kept := range []string{"managedFields", "resourceVersion", "generation"} {
			delete(meta, kept)
		}
	}
	return fields, nil
}

// stripTimes takes out creation times, which typed objects write as null.
func stripTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		if at, found := v["creationTimestamp"]; found && at == nil {
			delete(v, "creationTimestamp")
		}
		for _, inner := range v {
			stripTimes(inner)
		}
	case []any:
		for _, inner := range v {
			stripTimes(inner)
		}
	}
}

// compare tells where two values differ.
func compare(path string, is, should any, lines *[]onboard.Line) {
	a, aMap := is.(map[string]any)
	b, bMap := should.(map[string]any)
	if aMap && bMap {
		keys := map[string]bool{}
		for k := range a {
			keys[k] = true
		}
		for k := range b {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			compare(strings.TrimPrefix(path+"."+k, "."), a[k], b[k], lines)
		}
		return
	}
	x, xList := is.([]any)
	z, zList := should.([]any)
	if xList && zList && len(x) == len(z) {
		for i := range x {
			compare(fmt.Sprintf("%s[%d]", path, i), x[i], z[i], lines)
		}
		return
	}
	if !reflect.DeepEqual(is, should) {
		*lines = append(*lines, onboard.Line{What: path, Is: shown(is), Should: shown(should)})
	}
}

func shown(v any) string {
	if v == nil {
		return "none"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 120
	if text := []rune(string(data)); len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(data)
}
