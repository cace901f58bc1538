//go:build unix

package worker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// The descriptors that a supervisor is given beside the usual three.
const (
	resultFD = 3
	lockFD   = 4
)

// orderLimit bounds what a supervisor is told to run, in bytes.
const orderLimit = 8 << 20

// process is one of the command's.
type process struct {
	pid   int
	start string // tells it from another that has its number later
	name  string
}

// supervisor ends a command with all that it started.
type supervisor struct {
	main    int // the command's own process
	status  syscall.WaitStatus
	ended   bool // the command's own process has
	none    bool // there is no descendant at all
	signals chan os.Signal
	stop    chan time.Duration // a wish to end it, with the grace
}

// Supervise runs what it is told on standard input, as the worker that started
// it wishes, and returns the exit code of its process. It is no command for
// people.
func Supervise() int {
	syscall.CloseOnExec(resultFD)
	syscall.CloseOnExec(lockFD)
	result := os.NewFile(resultFD, "result")
	s := &supervisor{signals: make(chan os.Signal, 32), stop: make(chan time.Duration, 4)}
	signal.Notify(s.signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	control := bufio.NewReaderSize(os.Stdin, 64<<10)
	var o order
	text, err := wish(control)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil || result == nil || len(o.Args) == 0 {
		fmt.Fprintln(os.Stderr, "a supervisor is started by a worker, which tells it what to run")
		return 2
	}
	said := outcome{}
	if err := adopt(); err != nil {
		said.Error = "its processes cannot be followed: " + err.Error()
	} else if err := s.begin(o); err != nil {
		said.Error = err.Error()
	} else {
		go s.listen(control, o.Grace)
		said = s.watch()
	}
	if err := json.NewEncoder(result).Encode(said); err != nil {
		return 1
	}
	return 0
}

// wish reads a line of limited length.
func wish(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > orderLimit:
			return nil, errTooLong
		case !errors.Is(err, bufio.ErrBufferFull):
			return text, err
		}
	}
}

func (s *supervisor) begin(o order) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	p, err := os.StartProcess(o.Args[0], o.Args, &os.ProcAttr{
		Dir: o.Dir, Env: o.Env,
		Files: []*os.File{null, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	s.main = p.Pid
	return p.Release() // it is waited for with all the others
}

// listen waits for the worker's word. The end of the input is the worker's own
// end: then there is nobody whose grace it could be.
func (s *supervisor) listen(r *bufio.Reader, grace time.Duration) {
	for {
		text, err := wish(r)
		if err != nil {
			s.stop <- 0
			return
		}
		if string(text) == stop {
			s.stop <- grace
		}
	}
}

// watch waits until the command has ended, or is to, and then ends what is left
// of it.
func (s *supervisor) watch() outcome {
	grace, told := leftGrace, false
	for s.reap(); !s.ended && !told; {
		select {
		case got := <-s.signals:
			s.reap()
			told = got != syscall.SIGCHLD
		case grace = <-s.stop:
			told = true
		}
	}
	var said outcome
	if !s.none {
		left := s.end(grace)
		if !told {
			said.Left = left
		}
	}
	if !s.none {
		said.Alive = names(s.living())
	}
	switch {
	case !s.ended: // it cannot be ended
		said.Signal = "none"
	case s.status.Signaled():
		said.Signal = s.status.Signal().String()
	default:
		said.Exit = s.status.ExitStatus()
	}
	return said
}

// leftGrace is how long what outlived the command may take to end.
const leftGrace = 2 * time.Second

// end asks everything to end, kills what does not within grace, and says what
// there was.
func (s *supervisor) end(grace time.Duration) []string {
	first := s.living()
	if grace > 0 {
		s.signal(first, syscall.SIGTERM)
		s.await(grace, func() {})
	}
	s.await(killLimit, func() { s.signal(s.living(), syscall.SIGKILL) })
	return names(first)
}

// await waits until there is no descendant any more, at most so long, and does
// something again and again meanwhile: new ones may come all the time.
func (s *supervisor) await(limit time.Duration, again func()) {
	over := time.NewTimer(limit)
	defer over.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s.reap()
		if s.none {
			return
		}
		again()
		select {
		case <-over.C:
			return
		case hurry := <-s.stop:
			if hurry == 0 { // the worker is no more
				over.Reset(0)
			}
		case <-s.signals:
		case <-tick.C:
		}
	}
}

// reap takes note of whoever has ended. With no child left there is no
// descendant: what loses its parent becomes a child of the supervisor.
func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			s.none = errors.Is(err, syscall.ECHILD)
			return
		case pid == 0:
			return
		case pid == s.main:
			s.ended, s.status = true, status
		}
	}
}

func names(list []process) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.name)
	}
	slices.Sort(out)
	return out
}

// apart gives the supervisor a session of its own, so that what a terminal
// sends to the worker does not reach it.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
