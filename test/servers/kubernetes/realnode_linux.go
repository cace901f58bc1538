package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"slipway/test/servers"
)

const (
	// namespaces are what a real node has of its own.
	namespaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID

	nodeName   = "node-1"
	nodeIP     = "10.88.0.1"
	podNetwork = "10.88.0.0/16"
	bridgeName = "cni0"

	// Ports within the namespaces, where nobody else is but the registries.
	innerPorts = 6443

	// Places within the namespaces that leave with them.
	containerdSocket = "/run/containerd/containerd.sock"
	apiSocket        = "/run/slipway/api.sock"
	registrySocket   = "/run/slipway/registry-%d.sock"
)

// bringUpRealNode starts everything in namespaces of its own: only forwarded
// connections pass between them and the machine.
func (c *Cluster) bringUpRealNode(ctx context.Context, config Config) error {
	registries, err := registryPorts(config.Registries)
	if err != nil {
		return err
	}
	group, err := c.ownCgroup()
	if err != nil {
		return err
	}
	c.undo = append(c.undo, group.remove)

	ports := innerFree(registries, 4)
	kubeletPort := ports[3]
	p := &plane{
		etcd: ports[0], etcdPeers: ports[1], api: ports[2],
		kube: config.Binaries.Kube, env: environment(c.files),
	}
	outside, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return fmt.Errorf("listen for users of the API: %w", err)
	}
	c.undo = append(c.undo, func() error { return ignoreClosed(outside.Close()) })
	if err := c.prepare(p, "https://"+outside.Addr().String()); err != nil {
		return err
	}

	if err := c.enter(ctx, config, p, registries); err != nil {
		return err
	}
	if err := c.connect(ctx, outside, registries); err != nil {
		return err
	}
	root := config.Binaries.Root
	env := environment(c.files, filepath.Join(root, "usr/bin"), filepath.Join(root, "usr/sbin"))
	if err := c.startContainerd(root, env); err != nil {
		return err
	}
	if err := c.startPlane(ctx, p); err != nil {
		return err
	}
	if err := c.importPause(ctx, config.Binaries, env); err != nil {
		return err
	}
	if err := c.startKubelet(p, group, kubeletPort, env); err != nil {
		return err
	}
	return c.until(ctx, "the node", c.nodesReady(1))
}

// checkRealNode says what is wrong with the configuration of a real node, before
// anything is touched.
func checkRealNode(config Config) error {
	if level, why := Detect(); level != Kubelet {
		return errors.New(why)
	}
	for _, hidden := range hiddenFolders() {
		for _, dir := range []string{config.Dir, config.Binaries.Root, config.Binaries.Kube, config.Binaries.Node} {
			if strings.HasPrefix(dir, hidden+"/") {
				return fmt.Errorf("%s lies in %s, which is hidden from the node: choose another place", dir, hidden)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(config.Binaries.Root, "usr/bin/containerd")); err != nil {
		return fmt.Errorf("%w: %w", servers.ErrNotBuilt, err)
	}
	_, err := registryPorts(config.Registries)
	return err
}

// ownCgroup makes the cgroup that pods live below, after removing those of
// clusters that were killed.
func (c *Cluster) ownCgroup() (*cgroup, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	if err := sweepCgroups(all); err != nil {
		return nil, err
	}
	return newCgroup(all)
}

// enter starts the supervisor as the first process of new namespaces and has
// it furnish them.
func (c *Cluster) enter(ctx context.Context, config Config, p *plane, registries []int) error {
	attributes := apart()
	attributes.Cloneflags = namespaces
	s := setup{
		Private: true,
		Hide:    hiddenFolders(),
		// What the kubelet wants of the machine, and would write otherwise.
		Kernel: map[string]string{
			"vm/overcommit_memory":      "1",
			"vm/panic_on_oom":           "0",
			"kernel/panic":              "10",
			"kernel/panic_on_oops":      "1",
			"kernel/keys/root_maxkeys":  "1000000",
			"kernel/keys/root_maxbytes": "25000000",
		},
		Bridge:   &bridge{Name: bridgeName, Prefix: nodeIP + "/16"},
		Forwards: []forward{{From: address{"unix", apiSocket}, To: address{"tcp", local(p.api)}}},
	}
	for i, port := range registries {
		s.Forwards = append(s.Forwards, forward{
			From: address{"tcp", local(port)},
			To:   address{"unix", fmt.Sprintf(registrySocket, i)},
		})
	}
	var err error
	if c.supervisor, err = launch(config.Binaries.Node, attributes, c.files, s); err != nil {
		return err
	}
	c.undo = append(c.undo, c.supervisor.stop)
	return c.setUp(ctx)
}

// connect joins the two sides: users of the API come in, and pulls go out. The
// sockets between are reached through the supervisor's view of the file system,
// so that none of them lies about on the machine.
func (c *Cluster) connect(ctx context.Context, outside net.Listener, registries []int) error {
	inside := filepath.Join("/proc", strconv.Itoa(c.supervisor.pid), "root")
	c.undo = append(c.undo, newForwarder(outside, "unix", filepath.Join(inside, apiSocket)).shut)
	for i, port := range registries {
		socket, err := new(net.ListenConfig).Listen(ctx, "unix", filepath.Join(inside, fmt.Sprintf(registrySocket, i)))
		if err != nil {
			return fmt.Errorf("listen for pulls from the registry on port %d: %w", port, err)
		}
		c.undo = append(c.undo, newForwarder(socket, "tcp", local(port)).shut)
	}
	return nil
}

// hiddenFolders are where containerd, the CNI plugins and the kubelet write to
// whatever they are told.
func hiddenFolders() []string { return []string{"/run", "/var/lib", "/var/log"} }

// registryPorts reads the ports of registries on the loopback.
func registryPorts(registries []string) ([]int, error) {
	var ports []int
	for _, registry := range registries {
		host, service, err := net.SplitHostPort(registry)
		if err != nil {
			return nil, fmt.Errorf("the registry %q: %w", registry, err)
		}
		if host != loopback && host != "localhost" {
			return nil, fmt.Errorf("the registry %q is not on %s, and pods reach no other", registry, loopback)
		}
		port, err := strconv.ParseUint(service, 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("the registry %q has no port", registry)
		}
		if !slices.Contains(ports, int(port)) {
			ports = append(ports, int(port))
		}
	}
	return ports, nil
}

// innerFree chooses ports within the namespaces that no registry has.
func innerFree(taken []int, count int) []int {
	var free []int
	for port := innerPorts; len(free) < count; port++ {
		if !slices.Contains(taken, port) {
			free = append(free, port)
		}
	}
	return free
}

// shut closes the forwarder as a step of taking down.
func (f *forwarder) shut() error { return ignoreClosed(f.Close()) }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
