package process

import (
	"os"
	"syscall"
)

// attributes give the program a process group of its own, so that a Ctrl-C at
// the terminal reaches us and not it, and have it killed when we die.
func attributes(contain bool, as *Account) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: as.credential()}
	if contain && os.Geteuid() == 0 {
		a.Cloneflags = syscall.CLONE_NEWPID
	}
	return a
}
