//go:build !linux

package kubernetes

import (
	"context"
	"errors"
)

// checkRealNode fails: a real node is made of Linux namespaces and cgroups.
func checkRealNode(Config) error {
	_, why := Detect()
	return errors.New(why)
}

// bringUpRealNode is not reached: checkRealNode comes first.
func (c *Cluster) bringUpRealNode(_ context.Context, config Config) error {
	return checkRealNode(config)
}
