// Package process runs the programs of the test servers: each dies with the
// process that started it, ends with the end of its log in the error, and
// leaves nothing behind. It knows no server by name.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Spec is a program to run.
type Spec struct {
	Name string    // what errors call it
	Path string    // the program's file
	Args []string  // its arguments, without its own name
	Env  []string  // its whole environment; nothing is inherited
	Dir  string    // its working directory
	Log  io.Writer // receives everything it writes, one write at a time; nil for none

	// Contain asks that whatever the program itself started ends with it. It
	// holds on Linux for root, by a process namespace; elsewhere the program's
	// process group is all that is ended.
	Contain bool

	// As is the account to run the program as, on Unix and for root alone; nil is
	// this process's own.
	As *Account
}

// Account is a user of the system, with its group.
type Account struct{ UID, GID uint32 }

// Process is a running program, or one that has ended.
type Process struct {
	name    string
	cmd     *exec.Cmd
	log     *tail
	done    chan struct{}
	failure error // valid once done is closed; nil if it ended with status 0
}

// Start starts the program. On Linux the kernel kills it when this process
// ends, however it ends.
func Start(s Spec) (*Process, error) {
	p := &Process{name: s.Name, log: &tail{out: s.Log}, done: make(chan struct{})}
	started := make(chan error)
	go p.run(s, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	return p, nil
}

// Pid returns the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log returns the end of what the program has written so far.
func (p *Process) Log() string { return p.log.String() }

// Ended says how the program ended, with the end of its log. It is for a program
// that was not told to stop, so status 0 is an error too. It must not be called
// before Done is closed.
func (p *Process) Ended() error {
	how := "ended by itself"
	if p.failure != nil {
		how = p.failure.Error()
	}
	return fmt.Errorf("%s: %s\n%s", p.name, how, p.log)
}

// Failed says how a program that is to end by itself failed, with the end of its
// log; nil if it ended with status 0. It must not be called before Done is
// closed.
func (p *Process) Failed() error {
	if p.failure == nil {
		return nil
	}
	return p.Ended()
}

// Stop asks the program to end and waits; when ctx ends first, or after ten
// seconds, it kills the program. The program has ended when Stop returns,
// whatever it returns; the error says that it had to be killed.
func (p *Process) Stop(ctx context.Context) error {
	const grace = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not stop when told and was killed: %w", p.name, ctx.Err())
	}
}

// Interrupt sends the program what Ctrl-C sends. It may go on.
func (p *Process) Interrupt() { p.signal(syscall.SIGINT) }

// Kill ends the program at once and waits until it has.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// run starts the program and waits for it, all on one thread that nobody else
// uses and that ends with the program: the kernel ties a child's parent-death
// signal to the thread that started it.
func (p *Process) run(s Spec, started chan<- error) {
	runtime.LockOSThread()
	defer close(p.done)
	err := p.launch(s, s.Contain)
	if errors.Is(err, syscall.EPERM) && s.Contain {
		err = p.launch(s, false) // no right to a namespace: do without
	}
	started <- err
	if err != nil {
		return
	}
	p.failure = p.cmd.Wait()
	p.signalGroup(syscall.SIGKILL) // what it left running in its group
}

func (p *Process) launch(s Spec, contain bool) error {
	p.cmd = exec.Command(s.Path, s.Args...) //nolint:gosec // the servers' own programs
	p.cmd.Env, p.cmd.Dir = s.Env, s.Dir
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// A grandchild that keeps the log open must not keep Wait from returning.
	p.cmd.WaitDelay = 2 * time.Second
	p.cmd.SysProcAttr = attributes(contain, s.As)
	return p.cmd.Start()
}

// signal sends a signal to the program unless it has ended.
func (p *Process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // fails only when it has ended
}
