package kube

import (
	"context"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"slipway/deployer"
)

// respec is how often Watch asks which Deployments it is to watch.
const respec = 2 * time.Second

// watcher is one run of Watch.
type watcher struct {
	cluster *Cluster
	notify  func(namespace, deployment string)

	mu     sync.Mutex
	wanted map[string]map[string]bool // namespace, deployment
	stops  map[string]context.CancelFunc
	done   sync.WaitGroup
}

// Watch calls notify when one of the specs' Deployments in this cluster, or a
// pod of it, may have changed, until ctx ends; then it waits for all that it
// started. A nudge is a hint: there may be too many, and after a lost connection
// each Deployment gets one. specs is asked every two seconds; notify must not
// block. Connections that fail are tried again, ever more slowly.
func (c *Cluster) Watch(ctx context.Context, specs func() []deployer.Spec, notify func(namespace, deployment string)) {
	w := &watcher{cluster: c, notify: notify, stops: map[string]context.CancelFunc{}}
	defer w.done.Wait()
	again := time.NewTicker(respec)
	defer again.Stop()
	for {
		w.follow(ctx, specs())
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// follow starts and stops the watches of namespaces, as the specs want.
func (w *watcher) follow(ctx context.Context, specs []deployer.Spec) {
	wanted := map[string]map[string]bool{}
	for _, s := range specs {
		if s.Cluster != w.cluster.name {
			continue
		}
		if wanted[s.Namespace] == nil {
			wanted[s.Namespace] = map[string]bool{}
		}
		wanted[s.Namespace][s.Deployment] = true
	}
	w.mu.Lock()
	before := w.wanted
	w.wanted = wanted
	w.mu.Unlock()
	for namespace, stop := range w.stops {
		if wanted[namespace] == nil {
			stop()
			delete(w.stops, namespace)
		}
	}
	for namespace, deployments := range wanted {
		if w.stops[namespace] == nil {
			w.start(ctx, namespace)
			continue
		}
		for deployment := range deployments {
			if !before[namespace][deployment] { // its namespace was listed without it
				w.notify(namespace, deployment)
			}
		}
	}
}

func (w *watcher) start(ctx context.Context, namespace string) {
	ctx, stop := context.WithCancel(klog.NewContext(ctx, w.cluster.log)) //nolint:gosec // follow calls it, or ctx ends with Watch
	w.stops[namespace] = stop
	w.reflect(ctx, namespace, appsv1.SchemeGroupVersion.WithResource("deployments"), deploymentItself)
	w.reflect(ctx, namespace, corev1.SchemeGroupVersion.WithResource("pods"), deploymentOfPod)
}

// reflect keeps one list and watch going. Only the metadata is transferred, and
// nothing is kept of it.
func (w *watcher) reflect(ctx context.Context, namespace string, of schema.GroupVersionResource, deployment func(metav1.Object) string) {
	client := w.cluster.meta.Resource(of).Namespace(namespace)
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, o)
		},
	}, w.cluster.meta)
	reflector := cache.NewReflectorWithOptions(source, &metav1.PartialObjectMetadata{},
		nudges{w: w, namespace: namespace, deployment: deployment},
		cache.ReflectorOptions{Name: of.Resource + " in " + namespace, Logger: &w.cluster.log})
	w.done.Go(func() { reflector.RunWithContext(ctx) })
}

// nudge notifies of one Deployment, if it is wanted.
func (w *watcher) nudge(namespace, deployment string) {
	w.mu.Lock()
	wanted := w.wanted[namespace][deployment]
	w.mu.Unlock()
	if wanted {
		w.notify(namespace, deployment)
	}
}

// nudgeAll notifies of all that is wanted in a namespace.
func (w *watcher) nudgeAll(namespace string) {
	w.mu.Lock()
	var names []string
	for name := range w.wanted[namespace] {
		names = append(names, name)
	}
	w.mu.Unlock()
	for _, name := range names {
		w.notify(namespace, name)
	}
}

// nudges is the store of a reflector that keeps nothing and passes nudges on.
type nudges struct {
	w          *watcher
	namespace  string
	deployment func(metav1.Object) string
}

// Add implements cache.ReflectorStore.
func (n nudges) Add(object any) error { return n.about(object) }

// Update implements cache.ReflectorStore.
func (n nudges) Update(object any) error { return n.about(object) }

// Delete implements cache.ReflectorStore.
func (n nudges) Delete(object any) error { return n.about(object) }

// Resync implements cache.ReflectorStore.
func (n nudges) Resync() error { return nil }

// Replace implements cache.ReflectorStore: anything may have changed since the
// connection was lost.
func (n nudges) Replace([]any, string) error {
	n.w.nudgeAll(n.namespace)
	return nil
}

func (n nudges) about(object any) error {
	if o, ok := object.(metav1.Object); ok {
		n.w.nudge(n.namespace, n.deployment(o))
	}
	return nil
}

func deploymentItself(o metav1.Object) string { return o.GetName() }

// deploymentOfPod reads the Deployment's name from the pod's metadata alone: its
// ReplicaSet is called by the Deployment and the template's hash, which is a
// label of the pod too. Empty is a pod of something else.
func deploymentOfPod(o metav1.Object) string {
	by := metav1.GetControllerOfNoCopy(o)
	hash := o.GetLabels()[appsv1.DefaultDeploymentUniqueLabelKey]
	if by == nil || by.Kind != "ReplicaSet" || hash == "" {
		return ""
	}
	name, ok := strings.CutSuffix(by.Name, "-"+hash)
	if !ok {
		return ""
	}
	return name
}
