// Package manifests_test applies the manifests to a real API server, and holds
// what Slipway may do there against what it needs.
package manifests_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	cluster "slipway/test/servers/kubernetes"
)

// harbour is a cluster of fake nodes to apply the manifests to.
type harbour struct {
	*testing.T
	cluster *cluster.Cluster
	admin   kubernetes.Interface
	dynamic dynamic.Interface
	groups  []*restmapper.APIGroupResources
	warned  *warnings
}

func newHarbour(t *testing.T) harbour {
	t.Helper()
	h := harbour{T: t, warned: &warnings{}}
	binaries, err := cluster.Find("", cluster.Kwok)
	h.must(err)
	// Not the test's context, which ends before the cluster is stopped.
	h.cluster, err = cluster.Start(context.Background(), cluster.Config{
		Level: cluster.Kwok, Dir: filepath.Join(t.TempDir(), "kwok"), Binaries: binaries,
	})
	h.must(err)
	t.Cleanup(func() {
		if err := h.cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", h.cluster.Kubeconfig)
	h.must(err)
	config.QPS, config.WarningHandler = -1, h.warned
	h.admin, err = kubernetes.NewForConfig(config)
	h.must(err)
	h.dynamic, err = dynamic.NewForConfig(config)
	h.must(err)
	h.groups, err = restmapper.GetAPIGroupResources(h.admin.Discovery())
	h.must(err)
	return h
}

// render builds a kustomization as people do.
func render(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	binaries, err := cluster.Find("", cluster.Kwok)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binaries.Kube, "kubectl", "kustomize", folder)
	command.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("kustomize %s: %v\n%s", folder, err, stderr.String())
	}
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("kustomize %s: %v", folder, err)
		}
		objects = append(objects, object)
	}
}

// apply applies objects as an administrator. Unknown or doubled fields are
// refused, and whatever the API server warns of is a fault too.
func (h harbour) apply(objects []*unstructured.Unstructured) {
	h.Helper()
	mapper := restmapper.NewDiscoveryRESTMapper(h.groups)
	for _, object := range objects {
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		h.must(err)
		body, err := object.MarshalJSON()
		h.must(err)
		_, err = h.resource(mapping.Resource, object.GetNamespace()).Patch(h.Context(), object.GetName(),
			"application/apply-patch+yaml", body, metav1.PatchOptions{FieldManager: "operator", FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			h.Errorf("%s %s is refused: %v", object.GetKind(), object.GetName(), err)
		}
	}
	for _, text := range h.warned.take() {
		h.Errorf("the API server warns: %s", text)
	}
}

func (h harbour) resource(of schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return h.dynamic.Resource(of)
	}
	return h.dynamic.Resource(of).Namespace(namespace)
}

// eventually asks until there is no reason left to wait.
func (h harbour) eventually(what string, reason func() string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for why := reason(); why != ""; why = reason() {
		select {
		case <-ctx.Done():
			h.Fatalf("%s: not within a minute: %s", what, why)
		case <-tick.C:
		}
	}
}

func (h harbour) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// warnings collects what an API server warns of.
type warnings struct {
	mu   sync.Mutex
	said []string
}

var _ rest.WarningHandler = (*warnings)(nil)

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(code int, agent, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf("%d %s %s", code, agent, text))
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.said
	w.said = nil
	return said
}
