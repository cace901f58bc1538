package kubernetes

import (
	"bytes"
	"context"
	_ "embed" // for the configuration files
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/template"

	"golang.org/x/sys/unix"
)

const (
	// pauseImage is the first container of every pod. It is imported: nobody
	// serves it.
	pauseImage = "slipway.local/pause:1"

	overlayMagic = 0x794c7630 // OVERLAYFS_SUPER_MAGIC of linux/magic.h
)

var (
	//go:embed containerd.toml
	containerdTemplate string
	//go:embed cni.conflist
	cniTemplate string
	//go:embed kubelet.yaml
	kubeletTemplate string
)

// node is what the configuration files are filled with.
type node struct {
	Dir         string // of the cluster
	Root        string // of the unpacked packages
	Socket      string // of containerd
	Pause       string
	Snapshotter string

	Bridge, IP, Network string
	KubeletPort         int
	Cgroup              string
	CA                  string
}

// startContainerd starts what runs the containers.
func (c *Cluster) startContainerd(root string, env []string) error {
	n := node{
		Dir: c.files.dir, Root: root, Socket: containerdSocket, Pause: pauseImage,
		Snapshotter: snapshotter(c.files.dir), Bridge: bridgeName, Network: podNetwork,
	}
	config, err := c.configure(containerdTemplate, n, "containerd.toml")
	if err != nil {
		return err
	}
	if _, err := c.configure(cniTemplate, n, "cni", "10-slipway.conflist"); err != nil {
		return err
	}
	return c.start(program{
		Name: "containerd", Path: filepath.Join(root, "usr/bin/containerd"), Args: []string{"containerd", "--config=" + config},
		Env: env, Dir: c.files.dir, Log: c.files.log("containerd"),
	})
}

// importPause gives containerd the image of every pod's first container.
func (c *Cluster) importPause(ctx context.Context, binaries Binaries, env []string) error {
	archive := c.files.path(tmpFolder, "pause.tar")
	if err := writePause(pauseImage, binaries.Node, archive); err != nil {
		return err
	}
	socket := filepath.Join("/proc", strconv.Itoa(c.supervisor.pid), "root", containerdSocket)
	if err := c.until(ctx, "containerd", func(context.Context) error { _, err := os.Stat(socket); return err }); err != nil {
		return err
	}
	imported, err := c.supervisor.start(program{
		Name: "ctr", Path: filepath.Join(binaries.Root, "usr/bin/ctr"),
		Args: []string{"ctr", "--address=" + containerdSocket, "--namespace=k8s.io", "images", "import", "--snapshotter=" + snapshotter(c.files.dir), archive},
		Env:  env, Dir: c.files.dir, Log: c.files.log("ctr"),
	}, false)
	if err != nil {
		return err
	}
	if err := c.finished(ctx, imported); err != nil {
		return fmt.Errorf("import the image of pods' first container: %w", err)
	}
	return os.Remove(archive)
}

// startKubelet starts the node's agent.
func (c *Cluster) startKubelet(p *plane, group *cgroup, port int, env []string) error {
	config, err := c.configure(kubeletTemplate, node{
		Dir: c.files.dir, Socket: containerdSocket, IP: nodeIP, KubeletPort: port, Cgroup: "/" + group.name, CA: p.caFile,
	}, "kubelet.yaml")
	if err != nil {
		return err
	}
	user, err := p.nodeUser(nodeName)
	if err != nil {
		return err
	}
	access, err := c.files.writeKubeconfig("kubelet", p.url(), p.authority.pem, "", user)
	if err != nil {
		return err
	}
	run := p.program("kubelet", c.files, []string{
		"--config=" + config, "--kubeconfig=" + access,
		"--root-dir=" + c.files.path("kubelet"), "--cert-dir=" + c.files.path("kubelet", "pki"),
		"--hostname-override=" + nodeName, "--node-ip=" + nodeIP,
	})
	run.Env = env
	return c.start(run)
}

// configure fills in a configuration file and returns its path.
func (c *Cluster) configure(text string, n node, elem ...string) (string, error) {
	name := elem[len(elem)-1]
	fill, err := template.New(name).Parse(text)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	var filled bytes.Buffer
	if err := fill.Execute(&filled, n); err != nil {
		return "", fmt.Errorf("fill in %s: %w", name, err)
	}
	return c.files.write(filled.Bytes(), elem...)
}

// snapshotter chooses how containerd stacks the layers of images: overlayfs
// does not go on top of itself, which is where we are within a container.
func snapshotter(dir string) string {
	var fs unix.Statfs_t
	err := unix.Statfs(dir, &fs)
	for errors.Is(err, unix.EINTR) {
		err = unix.Statfs(dir, &fs)
	}
	if err != nil || fs.Type == overlayMagic {
		return "native"
	}
	return "overlayfs"
}
