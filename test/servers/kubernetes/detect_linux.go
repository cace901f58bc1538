package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Detect says which level this machine can have, and why not the higher one; on
// level Kubelet it says what was found. It tries what it can rather than ask:
// it makes and removes a cgroup in each hierarchy, and starts a program in
// namespaces of its own.
func Detect() (Level, string) {
	if os.Geteuid() != 0 {
		return Kwok, "a real node needs root, this is user " + fmt.Sprint(os.Geteuid())
	}
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return Kwok, "a real node needs containerd and runc from Debian's packages, and " + tool + " is not on PATH"
		}
	}
	found, err := hierarchies()
	if err != nil {
		return Kwok, "a real node needs cgroups: " + err.Error()
	}
	if why := found.lacks(); why != "" {
		return Kwok, why
	}
	trial, err := newCgroup(found)
	if err != nil {
		return Kwok, "a real node needs cgroups of its own: " + err.Error()
	}
	if err := trial.remove(); err != nil {
		return Kwok, "a real node needs cgroups of its own: " + err.Error()
	}
	if err := tryNamespaces(); err != nil {
		return Kwok, "a real node needs namespaces of its own: " + err.Error()
	}
	return Kubelet, "root, cgroup v1 and namespaces"
}

func tryNamespaces() error {
	self, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	trial := exec.Command(self) //nolint:gosec // ends by itself at once
	trial.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	return trial.Run()
}
