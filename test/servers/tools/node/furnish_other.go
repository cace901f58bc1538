//go:build !linux

package main

import (
	"fmt"
	"runtime"
	"syscall"
)

// furnish fails for private surroundings: they are made of Linux namespaces.
func furnish(s Setup) error {
	if s.Private {
		return fmt.Errorf("private namespaces need Linux, this is %s", runtime.GOOS)
	}
	return nil
}

func attributes() *syscall.SysProcAttr { return nil }
