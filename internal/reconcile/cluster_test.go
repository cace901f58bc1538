package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// cluster runs Deployments of one pod, as an API server with its controllers
// would: fields have owners, writes have preconditions, and a pod is as good as
// the image it runs.
type cluster struct {
	watch func(namespace, deployment string)

	mutex       sync.Mutex
	deployments map[string]*deployment
	programs    map[string]program
	down        func() error // set while it does not answer
	looks       int
	taken       []string // what was taken over by force, in order
	pins        []string
}

// deployment is one object; its images and their owners by container.
type deployment struct {
	images   map[string]string
	owners   map[string][]string
	revision int
}

// program is what an image does when it runs.
type program struct {
	revision string
	broken   bool
	slow     bool // never gets ready
}

func newCluster() *cluster {
	c := &cluster{deployments: map[string]*deployment{}, programs: map[string]program{imageBefore: {revision: "before"}}}
	c.create("app", "app")
	return c
}

// create makes a Deployment with containers that run the image from before.
func (c *cluster) create(name string, containers ...string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	d := &deployment{images: map[string]string{}, owners: map[string][]string{}, revision: 1}
	for _, container := range containers {
		d.images[container], d.owners[container] = imageBefore, []string{handOwner}
	}
	c.deployments["acme/"+name] = d
}

// image makes an image known to the nodes.
func (c *cluster) image(name string, p program) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.programs[name] = p
}

// set changes an image by hand, by force.
func (c *cluster) set(name, container, image, owner string) {
	c.mutex.Lock()
	d := c.deployments["acme/"+name]
	d.images[container], d.owners[container] = image, []string{owner}
	d.revision++
	c.mutex.Unlock()
	c.watch("acme", name)
}

// answer ends or begins the time in which the cluster fails with an error.
func (c *cluster) answer(failing func() error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.down = failing
}

func (c *cluster) field(name, container string) (image string, owners []string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	d := c.deployments["acme/"+name]
	return d.images[container], slices.Clone(d.owners[container])
}

func (c *cluster) count() (looks int, taken, pins []string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.looks, slices.Clone(c.taken), slices.Clone(c.pins)
}

func (c *cluster) Observe(_ context.Context, s deployer.Spec) (deployer.Observation, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.looks++
	if c.down != nil {
		return deployer.Observation{}, c.down()
	}
	d, err := c.find(s)
	if err != nil || d == nil {
		return deployer.Observation{Read: ref.Known(d != nil), Detail: "it does not exist"}, err
	}
	image, owners := d.images[s.Container], d.owners[s.Container]
	o := deployer.Observation{
		Read: ref.Yes, Image: image, Owner: strings.Join(owners, ", "), Owned: ref.Known(slices.Equal(owners, []string{deployer.Itself})),
		UID: s.Deployment, ResourceVersion: fmt.Sprint(d.revision),
	}
	_, digest, _ := strings.Cut(image, "@")
	pod := deployer.Pod{Name: s.Deployment + "-0", Image: image, ImageID: "registry.example/acme/app@" + digest, Ready: ref.Yes}
	switch p, known := c.programs[image]; {
	case !known, p.broken:
		pod.Ready = ref.No
		o.Rollout = deployer.Rollout{State: deployer.RolloutFailed, Reason: "the container ends"}
	case p.slow:
		pod.Ready = ref.No
		o.Rollout = deployer.Rollout{State: deployer.RolloutInProgress, Reason: "0 of 1 pods are ready"}
	default:
		o.Rollout.State = deployer.RolloutComplete
	}
	o.Pods = []deployer.Pod{pod}
	return o, nil
}

func (c *cluster) Probe(_ context.Context, _ deployer.Spec, pods []deployer.Pod) []deployer.Pod {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	pods = slices.Clone(pods)
	for i, p := range pods {
		pods[i].Probe = deployer.Probe{Answered: ref.Yes, Revision: c.programs[p.Image].revision, At: time.Now()}
	}
	return pods
}

func (c *cluster) Pin(_ context.Context, s deployer.Spec, p deployer.Pin) error {
	err := c.pin(s, p)
	if err == nil {
		c.watch(s.Namespace, s.Deployment)
	}
	return err
}

func (c *cluster) pin(s deployer.Spec, p deployer.Pin) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.down != nil {
		return c.down()
	}
	d, err := c.find(s)
	switch {
	case err != nil:
		return err
	case d == nil || fmt.Sprint(d.revision) != p.ResourceVersion || p.UID != s.Deployment:
		return fault.AsChanged(errors.New("the object moved"))
	case !slices.Equal(d.owners[s.Container], []string{deployer.Itself}):
		return fault.AsPermanent(fmt.Errorf("conflict with %s", d.owners[s.Container]))
	}
	d.images[s.Container] = p.Deployment.Image
	d.revision++
	c.pins = append(c.pins, s.Deployment+"/"+s.Container+" "+p.Deployment.Image)
	return nil
}

func (c *cluster) TakeOver(_ context.Context, s deployer.Spec) (image, owner string, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.down != nil {
		return "", "", c.down()
	}
	d, err := c.find(s)
	if err != nil || d == nil {
		return "", "", errors.Join(err, fault.AsPermanent(errors.New("there is nothing to take over")))
	}
	owner = strings.Join(d.owners[s.Container], ", ")
	d.owners[s.Container] = []string{deployer.Itself}
	d.revision++
	c.taken = append(c.taken, s.Deployment+"/"+s.Container)
	return d.images[s.Container], owner, nil
}

func (c *cluster) Check(context.Context, []deployer.Spec) []string { return nil }

// find is the Deployment, nil if there is none.
func (c *cluster) find(s deployer.Spec) (*deployment, error) {
	d := c.deployments[s.Namespace+"/"+s.Deployment]
	if d == nil {
		return nil, nil
	}
	if _, ok := d.images[s.Container]; !ok {
		return nil, fault.AsPermanent(fmt.Errorf("there is no container %s in %s", s.Container, s.Deployment))
	}
	return d, nil
}
