package manifests_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway/config"
)

// What the pod mounts has to be what slipway.yaml speaks of.
func TestTheConfigurationFitsThePod(t *testing.T) {
	for _, folder := range []string{"base", "example"} {
		t.Run(folder, func(t *testing.T) {
			objects := render(t, folder)
			var set appsv1.StatefulSet
			var said corev1.ConfigMap
			decode(t, objects, "StatefulSet", &set)
			decode(t, objects, "ConfigMap", &said)
			pod, container := set.Spec.Template.Spec, set.Spec.Template.Spec.Containers[0]

			server := load(t, said.Data["slipway.yaml"], mountOf(t, container, "secrets"), secretFiles(pod))
			_, port, err := net.SplitHostPort(server.Listen)
			if err != nil || port != strconv.Itoa(int(container.Ports[0].ContainerPort)) {
				t.Errorf("it listens at %q (%v), the pod's port is %d", server.Listen, err, container.Ports[0].ContainerPort)
			}
			if server.Store.Path != mountOf(t, container, "state") {
				t.Errorf("the store is at %s, the volume at %s", server.Store.Path, mountOf(t, container, "state"))
			}
			for _, cache := range []string{server.Build.GoCache, server.Build.GoModCache} {
				if !strings.HasPrefix(cache, mountOf(t, container, "cache")+"/") {
					t.Errorf("the cache %s is not on its volume", cache)
				}
			}
			if want := "--config=" + mountOf(t, container, "config") + "/slipway.yaml"; !slices.Contains(container.Args, want) {
				t.Errorf("the arguments %q lack %s", container.Args, want)
			}
			if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.ConfigMap != nil && v.ConfigMap.Name == said.Name }) {
				t.Errorf("the pod does not mount the ConfigMap %s", said.Name)
			}
		})
	}
}

// load reads the configuration with the secrets in files of the given names.
func load(t *testing.T, text, secrets string, files []string) config.Server {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("the "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "slipway.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, secrets+"/", dir+"/")), 0o600); err != nil {
		t.Fatal(err)
	}
	server, faults := config.LoadServer(file)
	for _, f := range faults {
		t.Error(f)
	}
	return server
}

func secretFiles(pod corev1.PodSpec) []string {
	var names []string
	for _, volume := range pod.Volumes {
		if volume.Secret == nil {
			continue
		}
		for _, item := range volume.Secret.Items {
			names = append(names, item.Path)
		}
	}
	return names
}

func mountOf(t *testing.T, container corev1.Container, volume string) string {
	t.Helper()
	for _, mount := range container.VolumeMounts {
		if mount.Name == volume {
			return mount.MountPath
		}
	}
	t.Fatalf("nothing is mounted from the volume %s", volume)
	return ""
}

// decode reads the one object of a kind.
func decode(t *testing.T, objects []*unstructured.Unstructured, kind string, into any) {
	t.Helper()
	objects = slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return o.GetKind() != kind })
	if len(objects) != 1 {
		t.Fatalf("%d objects of kind %s", len(objects), kind)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, into); err != nil {
		t.Fatal(err)
	}
}
