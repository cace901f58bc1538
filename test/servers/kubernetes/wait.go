package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// beat is how often a condition is looked at again.
	beat = 50 * time.Millisecond

	// lookLimit is how long one look may take: an API server without its etcd
	// accepts a request and answers nothing.
	lookLimit = 2 * time.Second
)

// until looks at a condition until it holds, the context ends or a program of
// the cluster dies. The last reason why it does not hold goes into the error.
func (c *Cluster) until(ctx context.Context, what string, holds func(context.Context) error) error {
	again := time.NewTicker(beat)
	defer again.Stop()
	for {
		looking, stop := context.WithTimeout(ctx, lookLimit)
		err := holds(looking)
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case dead := <-c.supervisor.failed:
			return fmt.Errorf("wait for %s: %w", what, dead)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (%w)", what, context.Cause(ctx), err)
		}
	}
}

// finished waits for a program that is to end by itself.
func (c *Cluster) finished(ctx context.Context, p *process) error {
	select {
	case <-p.done:
		return p.err
	case dead := <-c.supervisor.failed:
		return dead
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// apiReady holds when the API server calls itself ready.
func (c *Cluster) apiReady(ctx context.Context) error {
	return c.admin.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// nodesReady holds when so many nodes are ready and pods can be put on them,
// and the service account that pods run as is there.
func (c *Cluster) nodesReady(count int) func(context.Context) error {
	return func(ctx context.Context) error {
		nodes, err := c.admin.CoreV1().Nodes().List(ctx, meta.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, node := range nodes.Items {
			if nodeReady(node) && len(node.Spec.Taints) == 0 {
				ready++
			}
		}
		if ready < count {
			return fmt.Errorf("%d of %d nodes are ready", ready, count)
		}
		_, err = c.admin.CoreV1().ServiceAccounts(meta.NamespaceDefault).Get(ctx, "default", meta.GetOptions{})
		return err
	}
}

func nodeReady(node core.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// setUp waits for the supervisor's setup.
func (c *Cluster) setUp(ctx context.Context) error {
	select {
	case err := <-c.supervisor.ready:
		return err
	case <-ctx.Done():
		return errors.Join(errors.New("wait for the supervisor"), context.Cause(ctx))
	}
}
