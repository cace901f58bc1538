package demo

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// folder is how the name of every demo's folder begins; the process id of the
// demo follows.
const folder = "slipway-demo-"

// sweep removes the folders of demos that were killed: they hold passwords.
func sweep(temp string) error {
	found, err := filepath.Glob(filepath.Join(temp, folder+"*-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range found {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), folder), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || pid < 1 || alive(pid) {
			continue
		}
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// alive says whether there may be such a process: one that is another user's
// counts too.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
