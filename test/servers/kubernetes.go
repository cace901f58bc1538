package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// The entries that make up the Kubernetes test server.
const (
	Kubernetes           Name = "kubernetes"            // every Kubernetes program, etcd and kwok in one: kube
	KubernetesNode       Name = "kubernetes-node"       // the supervisor of a cluster's programs: slipway-node
	KubernetesContainerd Name = "kubernetes-containerd" // what runs real containers: Debian's packages, unpacked
)

const kubernetesVersion = "1.36.3"

// kubernetesArtifacts describes what the Kubernetes test server is made of.
func kubernetesArtifacts() []Artifact {
	const version = "k8s.io/component-base/version."
	return []Artifact{{
		Name:     KubernetesNode,
		Title:    "kubernetes supervisor",
		About:    5 * time.Second,
		Programs: []Program{{Module: "node", Package: ".", Output: "slipway-node"}},
	}, {
		Name:   KubernetesContainerd,
		Title:  "containerd, runc, CNI",
		About:  10 * time.Second,
		Recipe: "Debian's packages, 1",
		Unfit:  noDebianContainers,
		Finish: unpackContainerd,
	}, {
		Name:  Kubernetes,
		Title: "kubernetes " + kubernetesVersion,
		About: 320 * time.Second,
		Programs: []Program{{
			Module:  "kubernetes",
			Package: ".",
			Output:  "kube",
			LDFlags: "-X " + version + "gitVersion=v" + kubernetesVersion + " -X " + version + "gitMajor=1 -X " + version + "gitMinor=36",
		}},
	}}
}

// noDebianContainers says why a machine gets no containerd; it does with fake
// nodes then.
func noDebianContainers() string {
	if runtime.GOOS != "linux" {
		return "real containers need Linux; fake nodes work here"
	}
	if os.Geteuid() != 0 {
		return "real containers need root; fake nodes work without"
	}
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not on PATH: containerd and runc come from Debian's packages; fake nodes work without"
		}
	}
	return ""
}

// unpackContainerd fetches Debian's packages and unpacks their programs into
// the entry. Nothing is installed.
func unpackContainerd(ctx context.Context, w Workshop) error {
	packages := filepath.Join(w.Out, "packages")
	if err := os.Mkdir(packages, 0o755); err != nil { //nolint:gosec // apt drops to a user who must get in
		return err
	}
	download := func() error {
		_, err := w.Run(ctx, packages, nil, "apt-get", "download", "containerd", "runc", "containernetworking-plugins")
		return err
	}
	if err := download(); err != nil {
		// The usual reason is package lists that are missing or old.
		if _, err := w.Run(ctx, packages, nil, "apt-get", "update"); err != nil {
			return fmt.Errorf("fetch the lists of Debian's packages: %w", err)
		}
		if err := download(); err != nil {
			return fmt.Errorf("fetch Debian's packages: %w", err)
		}
	}
	found, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range found {
		if _, err := w.Run(ctx, packages, nil, "dpkg-deb", "-x", deb, filepath.Join(packages, "root")); err != nil {
			return err
		}
	}
	// Their services and configuration are for an installed containerd.
	if err := os.Rename(filepath.Join(packages, "root", "usr"), filepath.Join(w.Out, "usr")); err != nil {
		return err
	}
	return os.RemoveAll(packages)
}
