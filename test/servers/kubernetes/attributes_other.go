//go:build !linux

package kubernetes

import "syscall"

// apart keeps the supervisor out of the terminal's process group, where Ctrl-C
// would end it before its cluster is stopped.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}
