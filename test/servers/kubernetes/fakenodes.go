package kubernetes

import (
	"bytes"
	"context"
	_ "embed" // for the stages
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"text/template"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	fakeNodes = 3

	// fakeMark is the annotation that says that a node is not real. It is
	// kwok's own, and what kwok looks for.
	fakeMark = "kwok.x-k8s.io/node"

	// fakePods is the network that fake pods have their addresses from.
	fakePods = "10.1.0.0/16"

	// The range that ports are chosen from: below the one that systems take
	// ports from for outgoing connections, which come and go at any moment.
	firstPort, lastPort = 20000, 29999
	portTries           = 100
)

//go:embed stages.tmpl
var stagesTemplate string

// bringUpFakeNodes starts a control plane and nodes that only say they run pods.
func (c *Cluster) bringUpFakeNodes(ctx context.Context, config Config) error {
	stages, err := stages(config.BadTags)
	if err != nil {
		return err
	}
	stagesFile, err := c.files.write(stages, "stages.yaml")
	if err != nil {
		return err
	}
	choose := config.ports
	if choose == nil {
		choose = freePorts
	}
	ports, err := choose(ctx, 3)
	if err != nil {
		return err
	}
	p := &plane{
		etcd: ports[0], etcdPeers: ports[1], api: ports[2],
		kube: config.Binaries.Kube, env: environment(c.files),
	}
	if err := c.prepare(p, p.url()); err != nil {
		return err
	}
	if c.supervisor, err = launch(config.Binaries.Node, apart(), c.files, setup{}); err != nil {
		return err
	}
	c.undo = append(c.undo, c.supervisor.stop)
	if err := c.setUp(ctx); err != nil {
		return err
	}
	if err := c.startPlane(ctx, p); err != nil {
		return err
	}
	for i := range fakeNodes {
		if _, err := c.admin.CoreV1().Nodes().Create(ctx, fakeNode(i+1), meta.CreateOptions{}); err != nil {
			return fmt.Errorf("make a fake node: %w", err)
		}
	}
	if err := c.start(p.program("kwok", c.files, []string{
		"--kubeconfig=" + p.kubeconfig, "--config=" + stagesFile,
		"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=" + fakeMark + "=fake",
		"--node-lease-duration-seconds=40", "--cidr=" + fakePods, "--node-ip=10.99.0.1",
		// It would listen for logs and exec on a fixed port, and has neither.
		"--node-port=0", "--server-address=",
	})); err != nil {
		return err
	}
	return c.until(ctx, "the nodes", c.nodesReady(fakeNodes))
}

func fakeNode(number int) *core.Node {
	name := fmt.Sprintf("fake-%d", number)
	room := core.ResourceList{
		core.ResourceCPU:    resource.MustParse("32"),
		core.ResourceMemory: resource.MustParse("64Gi"),
		core.ResourcePods:   resource.MustParse("110"),
	}
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"type": "kwok", core.LabelHostname: name, core.LabelOSStable: "linux"},
			Annotations: map[string]string{fakeMark: "fake"},
		},
		Status: core.NodeStatus{Capacity: room, Allocatable: room},
	}
}

// stages fills in which images fail, as regular expressions over image
// references. The words in the tags work without being listed.
func stages(badTags []string) ([]byte, error) {
	crash := []string{"[^/@]*bad-crash[^/@]*"}
	for _, tag := range badTags {
		if !tagPattern.MatchString(tag) {
			return nil, fmt.Errorf("%q in BadTags is not an image tag", tag)
		}
		// A dot in brackets needs no backslash, which would have to pass
		// through YAML, jq and a Go template.
		crash = append(crash, strings.ReplaceAll(tag, ".", "[.]"))
	}
	fill, err := template.New("stages").Delims("[[", "]]").Parse(stagesTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the stages: %w", err)
	}
	var filled bytes.Buffer
	err = fill.Execute(&filled, map[string]string{
		"Crash":   tagIs(strings.Join(crash, "|")),
		"Pull":    tagIs("[^/@]*bad-pull[^/@]*"),
		"Probe":   tagIs("[^/@]*bad-probe[^/@]*"),
		"Unready": tagIs(strings.Join(append(crash, "[^/@]*bad-probe[^/@]*"), "|")),
	})
	if err != nil {
		return nil, fmt.Errorf("fill in the stages: %w", err)
	}
	return filled.Bytes(), nil
}

// tagPattern is the grammar of image tags.
var tagPattern = regexp.MustCompile(`^\w[\w.-]{0,127}$`)

// tagIs matches references whose tag is one of the alternatives, with or
// without a digest behind it.
func tagIs(alternatives string) string { return ":(" + alternatives + ")(@|$)" }

// freePorts finds ports on the loopback that nobody listens on.
func freePorts(ctx context.Context, count int) ([]int, error) {
	var ports []int
	var listen net.ListenConfig
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // any will do
		l, err := listen.Listen(ctx, "tcp", local(port))
		if err != nil {
			continue
		}
		// Held until all are chosen, so that none is chosen twice.
		defer l.Close()
		if ports = append(ports, port); len(ports) == count {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found %d of %d free ports between %d and %d", len(ports), count, firstPort, lastPort)
}
