//go:build unix

package git

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the command and its helpers (git-remote-http, index-pack) end
// together: asked first, for git then removes its lock files.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// endGroup ends what is left of the group. The group's number cannot have been
// given anew while one of its members lives; if none does, nothing is hit.
func endGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
