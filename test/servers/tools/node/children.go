package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// children are the processes that were started here. As the first process of a
// PID namespace the supervisor also inherits the orphans of everybody else.
type children struct {
	report  *json.Encoder
	running map[int]string // the started ones' names by PID
}

// start starts a process. That it cannot be started is a report, not an error:
// an error means that nobody listens.
func (c *children) start(s Start) error {
	pid, err := fork(s)
	if err != nil {
		return c.report.Encode(Report{Exited: &Exited{Name: s.Name, Status: err.Error()}})
	}
	c.running[pid] = s.Name
	return nil
}

// reap collects everything that ended. Several ends can show as one signal.
func (c *children) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		name, ours := c.running[pid]
		if !ours {
			continue
		}
		delete(c.running, pid)
		// Nobody listening shows as the end of the orders.
		_ = c.report.Encode(Report{Exited: &Exited{
			Name:   name,
			OK:     status.Exited() && status.ExitStatus() == 0,
			Status: describe(status),
		}})
	}
}

// kill ends what still runs and waits for it. In a PID namespace of its own the
// kernel would do the same to everything as soon as the supervisor is gone.
func (c *children) kill() {
	for pid := range c.running {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
	for pid := range c.running {
		var status syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(pid, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
				break
			}
		}
	}
}

func fork(s Start) (pid int, err error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	pid, err = syscall.ForkExec(s.Path, s.Args, &syscall.ProcAttr{
		Dir:   s.Dir,
		Env:   s.Env,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   attributes(),
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", s.Path, err)
	}
	return pid, nil
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", status.Signal(), status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
