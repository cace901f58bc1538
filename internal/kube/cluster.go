// Package kube speaks to one Kubernetes cluster. It reads a Deployment with the
// pods of its current template, pins the image of one container by server-side
// apply, asks pods how they are, and tells when something may have changed. It
// decides nothing, and it writes nothing but that one field and Slipway's own
// annotations.
package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"slipway/deployer"
)

// Manager is the name under which Slipway owns fields.
const Manager = "slipway"

// defaultTimeout bounds what Config does not bound.
const defaultTimeout = 10 * time.Second

// Config says which cluster, and how to reach it: exactly one of Kubeconfig and
// InCluster.
type Config struct {
	// Name is the cluster's name in specs and in errors.
	Name string
	// Kubeconfig is the path of a kubeconfig file; its current context counts.
	Kubeconfig string
	// InCluster uses the service account of the pod that this runs in.
	InCluster bool
	// Simulated marks a cluster of fake nodes: nobody answers a probe there.
	Simulated bool
	// Timeout bounds one call of a method, however many requests that is; 0 is
	// ten seconds. Probe has limits of its own, and Watch has none.
	Timeout time.Duration
	// Log hears of watches that fail; nil is nobody.
	Log *slog.Logger
}

// Cluster is one Kubernetes cluster. It is safe for concurrent use.
type Cluster struct {
	name      string
	simulated bool
	timeout   time.Duration
	typed     kubernetes.Interface
	meta      metadata.Interface
	// api sends requests with Slipway's credentials, and so never follows a
	// redirect: behind the pod proxy it would be the pod that says where to.
	api *http.Client
	// open sends requests without any credentials.
	open *http.Client
	log  klog.Logger
}

// New prepares the clients and sends nothing yet. Its errors are about the
// configuration.
func New(c Config) (*Cluster, error) {
	config, err := restConfig(c)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	api, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	api.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	typed, err := kubernetes.NewForConfigAndClient(config, api)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	meta, err := metadata.NewForConfigAndClient(config, api)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &Cluster{
		name:      c.Name,
		simulated: c.Simulated,
		timeout:   timeout,
		typed:     typed,
		meta:      meta,
		api:       api,
		open:      &http.Client{CheckRedirect: sameHost},
		log:       clusterLog(c),
	}, nil
}

// restConfig turns off what client-go does on its own: its five requests a
// second, which would queue a look behind others, and its warnings on standard
// error.
func restConfig(c Config) (*rest.Config, error) {
	config, err := loadConfig(c)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = Manager
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	return config, nil
}

func loadConfig(c Config) (*rest.Config, error) {
	if c.InCluster && c.Kubeconfig != "" {
		return nil, errors.New("both a kubeconfig and the pod's own service account are asked for: choose one")
	}
	if c.InCluster {
		return rest.InClusterConfig()
	}
	if c.Kubeconfig == "" {
		return nil, errors.New("no kubeconfig is named, and the pod's own service account is not asked for")
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}

func clusterLog(c Config) klog.Logger {
	if c.Log == nil {
		return logr.Discard()
	}
	return logr.FromSlogHandler(c.Log.With("cluster", c.Name).Handler())
}

func (c *Cluster) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

// named is how errors speak of the Deployment that a spec means.
func named(s deployer.Spec) string {
	return "deployment " + s.Namespace + "/" + s.Deployment
}
