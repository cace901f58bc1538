//go:build !linux

package kubernetes

import (
	"context"
	"errors"
)

// bringUpRealNode fails: a real node is made of Linux namespaces and cgroups.
func (c *Cluster) bringUpRealNode(context.Context, Config) error {
	_, why := Detect()
	return errors.New(why)
}
