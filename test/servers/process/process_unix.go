//go:build unix && !linux

package process

import "syscall"

// attributes give the program a process group of its own. Killing it with us
// needs Linux: elsewhere a program outlives a kill -9 of ours.
func attributes(_ bool, as *Account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: as.credential()}
}
