package kubernetes

import "syscall"

// apart keeps the supervisor out of the terminal's process group, where Ctrl-C
// would end it before its cluster is stopped, and has it killed with the thread
// that starts it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
