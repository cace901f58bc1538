//go:build unix

package process

import "syscall"

// credential is the account as the system takes it; nil is nobody else's.
func (a *Account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.UID, Gid: a.GID}
}

// signalGroup sends a signal to what is left of the program's process group.
func (p *Process) signalGroup(s syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, s) // fails when the group is empty
}
