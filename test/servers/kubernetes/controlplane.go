package kubernetes

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	kubeconfig "k8s.io/client-go/tools/clientcmd/api"
)

const (
	loopback     = "127.0.0.1"
	serviceRange = "10.0.0.0/24"
	serviceIP    = "10.0.0.1" // the first of the range: what pods call the API by
	masters      = "system:masters"
)

// plane is the control plane: where it listens and who may use it. Addresses
// are as its own programs see them, which on level Kubelet is from within the
// namespaces.
type plane struct {
	etcd, etcdPeers, api int // ports on the loopback

	apiFlags   []string // further flags of the API server
	kubeconfig string   // path; for the controllers and the scheduler
	caFile     string
	authority  *authority

	kube string // the binary
	env  []string
}

// prepare writes the keys, certificates and kubeconfigs. The API is reached by
// url from outside.
func (c *Cluster) prepare(p *plane, url string) error {
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	p.authority = authority
	if p.caFile, err = c.files.write(authority.pem, pkiFolder, "ca.crt"); err != nil {
		return err
	}
	serving, err := authority.server("kube-apiserver",
		[]net.IP{net.ParseIP(loopback), net.ParseIP(serviceIP)},
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"})
	if err != nil {
		return err
	}
	if err := c.writePair("apiserver", serving); err != nil {
		return err
	}
	toKubelet, err := authority.client("kube-apiserver-kubelet-client", masters)
	if err != nil {
		return err
	}
	if err := c.writePair("kubelet-client", toKubelet); err != nil {
		return err
	}
	private, public, err := signingKey()
	if err != nil {
		return err
	}
	if _, err := c.files.write(private, pkiFolder, "sa.key"); err != nil {
		return err
	}
	if _, err := c.files.write(public, pkiFolder, "sa.pub"); err != nil {
		return err
	}

	components, err := authority.client("slipway-components", masters)
	if err != nil {
		return err
	}
	if p.kubeconfig, err = c.files.writeKubeconfig("components", p.url(), authority.pem, "", certified(components)); err != nil {
		return err
	}
	admin, err := authority.client("slipway-admin", masters)
	if err != nil {
		return err
	}
	c.URL, c.CA = url, authority.pem
	if c.Kubeconfig, err = c.files.writeKubeconfig("admin", url, authority.pem, "", certified(admin)); err != nil {
		return err
	}
	c.admin, err = client(c.Kubeconfig)
	return err
}

// startPlane starts the control plane and waits until the API serves.
func (c *Cluster) startPlane(ctx context.Context, p *plane) error {
	if err := c.start(p.program("etcd", c.files, p.etcdFlags(c.files))); err != nil {
		return err
	}
	if err := c.start(p.program("kube-apiserver", c.files, p.apiserverFlags(c.files))); err != nil {
		return err
	}
	if err := c.until(ctx, "kube-apiserver", c.apiReady); err != nil {
		return err
	}
	c.say("the API serves on %s", c.URL)
	if err := c.start(p.program("kube-controller-manager", c.files, p.controllerFlags(c.files))); err != nil {
		return err
	}
	return c.start(p.program("kube-scheduler", c.files, p.schedulerFlags()))
}

// start starts a service of the cluster.
func (c *Cluster) start(p program) error {
	_, err := c.supervisor.start(p, true)
	return err
}

func (p *plane) url() string { return "https://" + local(p.api) }

// program describes one of the programs in the multi-call binary, which tells
// from its own name which of them to be.
func (p *plane) program(name string, f files, flags []string) program {
	return program{
		Name: name, Path: p.kube, Args: append([]string{name}, flags...),
		Env: p.env, Dir: f.dir, Log: f.log(name),
	}
}

// etcdFlags trade durability, which a test's cluster has no use for, for speed.
func (p *plane) etcdFlags(f files) []string {
	clients, peers := "http://"+local(p.etcd), "http://"+local(p.etcdPeers)
	return []string{
		"--name=slipway", "--data-dir=" + f.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=slipway=" + peers,
	}
}

func (p *plane) apiserverFlags(f files) []string {
	return append([]string{
		"--etcd-servers=http://" + local(p.etcd),
		"--bind-address=" + loopback, "--advertise-address=" + loopback, "--secure-port=" + strconv.Itoa(p.api),
		// A loopback address may not stand in the API's own Endpoints.
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + f.path(pkiFolder, "apiserver.crt"), "--tls-private-key-file=" + f.path(pkiFolder, "apiserver.key"),
		"--client-ca-file=" + p.caFile,
		"--kubelet-client-certificate=" + f.path(pkiFolder, "kubelet-client.crt"), "--kubelet-client-key=" + f.path(pkiFolder, "kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + f.path(pkiFolder, "sa.pub"), "--service-account-signing-key-file=" + f.path(pkiFolder, "sa.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--enable-priority-and-fairness=false", "--profiling=false",
	}, p.apiFlags...)
}

func (p *plane) controllerFlags(f files) []string {
	return []string{
		"--kubeconfig=" + p.kubeconfig, "--leader-elect=false", "--secure-port=0", "--profiling=false",
		"--root-ca-file=" + p.caFile, "--service-account-private-key-file=" + f.path(pkiFolder, "sa.key"),
		"--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

func (p *plane) schedulerFlags() []string {
	return []string{
		"--kubeconfig=" + p.kubeconfig, "--leader-elect=false", "--secure-port=0", "--profiling=false",
		"--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

func (c *Cluster) writePair(name string, pair keyPair) error {
	if _, err := c.files.write(pair.cert, pkiFolder, name+".crt"); err != nil {
		return err
	}
	_, err := c.files.write(pair.key, pkiFolder, name+".key")
	return err
}

// nodeUser is the identity under which a kubelet uses the API, which lets it
// see no more than its own node needs.
func (p *plane) nodeUser(node string) (*kubeconfig.AuthInfo, error) {
	pair, err := p.authority.client("system:node:"+node, "system:nodes")
	if err != nil {
		return nil, err
	}
	return certified(pair), nil
}

// environment is all that the programs see of ours: a place for their files,
// and where other programs are.
func environment(f files, path ...string) []string {
	list := ""
	for _, dir := range path {
		list += dir + string(filepath.ListSeparator)
	}
	return []string{
		fmt.Sprintf("PATH=%s/usr/sbin:/usr/bin:/sbin:/bin", list),
		"HOME=" + f.dir, "TMPDIR=" + f.path(tmpFolder), "KUBECACHEDIR=" + f.path(tmpFolder),
	}
}

func local(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
