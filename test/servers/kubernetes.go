package servers

import (
	"context"
	"os"
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
	if why := noDebian(); why != "" {
		return why + ", as containerd and runc do; fake nodes work without"
	}
	return ""
}

// unpackContainerd unpacks containerd and what it runs containers with.
func unpackContainerd(ctx context.Context, w Workshop) error {
	return w.unpackDebian(ctx, func(context.Context) ([]string, error) {
		return []string{"containerd", "runc", "containernetworking-plugins"}, nil
	})
}
