//go:build unix

package process

import "syscall"

// signalGroup sends a signal to what is left of the program's process group.
func (p *Process) signalGroup(s syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, s) // fails when the group is empty
}
