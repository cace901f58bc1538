// Package kubernetes starts a real Kubernetes for the tests and the demo, and
// leaves nothing behind when it stops it: etcd, the API server, the controllers
// and the scheduler, with either a real kubelet and containerd in private
// namespaces or fake nodes that only say they run pods. It never touches a
// cluster that it did not start.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	clients "k8s.io/client-go/kubernetes"

	"slipway/test/servers"
)

// Level says how much of a cluster is real.
type Level string

// The levels.
const (
	Kubelet Level = "kubelet" // one real node: images are pulled, containers run, pods answer
	Kwok    Level = "kwok"    // three fake nodes: pods are scheduled and reported, nothing runs
)

const (
	// startLimit is how long a cluster may take to come up: ten times what it
	// takes on two cores, for machines that are busy.
	startLimit = 90 * time.Second

	// attempts is how often Start tries anew when somebody else took a port
	// between its choice and its use.
	attempts = 3
)

// Binaries says where the programs are. Find knows, after `make servers`.
type Binaries struct {
	Kube string // all of Kubernetes' programs, etcd and kwok in one
	Node string // slipway-node: the supervisor, and the first container of a pod
	Root string // folder with usr/ of the Debian packages of containerd, runc and the CNI plugins; level Kubelet only
}

// Config says what to start.
type Config struct {
	Level    Level
	Dir      string // everything is kept here, logs in log/; absent or empty before
	Binaries Binaries

	// Registries lists registries on the machine's loopback, as 127.0.0.1:PORT,
	// that pods pull from over plain HTTP by the same address. Level Kubelet only.
	Registries []string

	// BadTags lists image tags whose containers crash-loop. Level Kwok only: a
	// real container crashes by itself.
	BadTags []string

	Log io.Writer // receives a line per step; nil for none

	ports func(context.Context, int) ([]int, error) // chooses ports of the machine; nil means freePorts
}

// Cluster is a running Kubernetes. It ends when Stop is called, when the
// context given to Start ends, or when one of its programs does.
type Cluster struct {
	Level      Level
	Kubeconfig string // path; its user may do everything
	URL        string // of the API, on the machine's loopback
	CA         []byte // PEM; who vouches for the API server

	files      files
	log        io.Writer
	began      time.Time
	admin      clients.Interface
	supervisor *supervisor
	undo       []func() error // what was set up, to be taken down in reverse

	stop func() // asks for the end; may be called again
	done chan struct{}
	err  error // why it ended; read after done
}

// Find returns the binaries that `make servers` left in the cache; the empty
// cacheDir means the usual one. The error wraps servers.ErrNotBuilt when
// `make servers` would mend it.
func Find(cacheDir string, level Level) (Binaries, error) {
	kube, err := servers.Find(cacheDir, servers.Kubernetes)
	if err != nil {
		return Binaries{}, err
	}
	node, err := servers.Find(cacheDir, servers.KubernetesNode)
	if err != nil {
		return Binaries{}, err
	}
	found := Binaries{Kube: kube.Path("kube"), Node: node.Path("slipway-node")}
	if level != Kubelet {
		return found, nil
	}
	containerd, err := servers.Find(cacheDir, servers.KubernetesContainerd)
	if err != nil {
		return Binaries{}, err
	}
	found.Root = containerd.Dir
	return found, nil
}

// Start starts a cluster and returns when its nodes are ready for pods, after
// about 5 s. The cluster lives until ctx ends or Stop is called. When a program
// dies on the way the error names it and quotes the end of its log.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("start Kubernetes (%s): %w", config.Level, err)
	}
	for attempt := 1; ; attempt++ {
		cluster, err := start(ctx, config)
		if err == nil {
			return cluster, nil
		}
		var ended *ended
		if attempt == attempts || !errors.As(err, &ended) || !ended.portTaken() {
			return nil, fmt.Errorf("start Kubernetes (%s): %w", config.Level, err)
		}
	}
}

// Stop ends the cluster and returns once nothing of it is left but Dir. It may
// be called again. Its error is about clearing up, or says that ctx ended first;
// the clearing up goes on nevertheless.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stop()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return fmt.Errorf("stop Kubernetes (%s): %w", c.Level, ctx.Err())
	}
}

// Done is closed when the cluster has ended and is cleared up.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// Err says what ended the cluster unasked, with the end of the log of the
// program that died, or what could not be cleared up. It is nil before Done and
// after an orderly end.
func (c *Cluster) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// check says what is wrong with a configuration, before anything is touched.
func (config Config) check() error {
	if config.Dir == "" || !filepath.IsAbs(config.Dir) {
		return fmt.Errorf("the folder %q is not given by an absolute path", config.Dir)
	}
	found, err := os.ReadDir(config.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("the folder %s is not empty", config.Dir)
	}
	for _, program := range []string{config.Binaries.Kube, config.Binaries.Node} {
		if _, err := os.Stat(program); err != nil {
			return fmt.Errorf("%w: %w", servers.ErrNotBuilt, err)
		}
	}
	switch config.Level {
	case Kwok:
		_, err := stages(config.BadTags)
		return err
	case Kubelet:
		return checkRealNode(config)
	default:
		return fmt.Errorf("no level is called so: there are %s and %s", Kubelet, Kwok)
	}
}

func start(ctx context.Context, config Config) (*Cluster, error) {
	c := &Cluster{
		Level: config.Level,
		files: files{dir: config.Dir},
		log:   config.Log,
		began: time.Now(),
		done:  make(chan struct{}),
	}
	if c.log == nil {
		c.log = io.Discard
	}
	stop := make(chan struct{})
	c.stop = sync.OnceFunc(func() { close(stop) })

	if err := c.bringUp(ctx, config); err != nil {
		return nil, errors.Join(err, c.tearDown())
	}
	c.say("ready")
	go c.live(ctx, stop)
	return c, nil
}

func (c *Cluster) bringUp(ctx context.Context, config Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit,
		fmt.Errorf("not ready within %s, see the logs in %s", startLimit, c.files.logs()))
	defer cancel()
	if err := c.files.clear(); err != nil {
		return err
	}
	if config.Level == Kubelet {
		return c.bringUpRealNode(ctx, config)
	}
	return c.bringUpFakeNodes(ctx, config)
}

// live waits for the cluster's end and clears up after it.
func (c *Cluster) live(ctx context.Context, stop <-chan struct{}) {
	defer close(c.done)
	var why error
	select {
	case <-ctx.Done():
	case <-stop:
	case why = <-c.supervisor.failed:
	}
	c.err = errors.Join(why, c.tearDown())
}

// tearDown takes down what was set up, the newest first.
func (c *Cluster) tearDown() error {
	var faults []error
	for len(c.undo) > 0 {
		last := len(c.undo) - 1
		faults = append(faults, c.undo[last]())
		c.undo = c.undo[:last]
	}
	return errors.Join(faults...)
}

// say writes a line with the time since the start.
func (c *Cluster) say(format string, args ...any) {
	fmt.Fprintf(c.log, "kubernetes %s: %s after %.1f s\n", c.Level, fmt.Sprintf(format, args...), time.Since(c.began).Seconds())
}
