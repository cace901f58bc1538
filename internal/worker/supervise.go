package worker

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A supervisor is a process between the worker and a command. It is there so
// that every process of the command, wherever it has gone to, is a descendant
// of one that has no other children: it is told what to run on its standard
// input, and ends everything when it is told to, when the command has ended by
// itself, and when that input ends because the worker is no more.

// order is what a supervisor is told to run.
type order struct {
	Args  []string      `json:"args"` // the first is an absolute path
	Dir   string        `json:"dir"`
	Env   []string      `json:"env"`
	Grace time.Duration `json:"grace"`
}

// outcome is what a supervisor says when nothing of the command is left.
type outcome struct {
	Exit   int    `json:"exit"`
	Signal string `json:"signal,omitempty"`
	// Error says why it could not be started.
	Error string `json:"error,omitempty"`
	// Left are the processes that outlived the command, by name, and Alive those
	// that could not be ended.
	Left  []string `json:"left,omitempty"`
	Alive []string `json:"alive,omitempty"`
}

const (
	// stop is the line that tells a supervisor to end the command.
	stop = "stop\n"
	// mark is a variable by whose value the command's processes are known when
	// their supervisor is no more.
	mark = "SLIPWAY_RUN"
	// killLimit is how long killed processes may take to be gone.
	killLimit = 10 * time.Second
	// outcomeLimit bounds what a supervisor says, in bytes.
	outcomeLimit = 64 << 10
)

var errUnsupervised = errors.New("its supervisor was ended from outside")

// supervise runs a command until it ends or ctx does, and returns when none of
// its processes is left. Its standard output goes to out, its standard error to
// errs; both to errs if out is nil.
func (w *Worker) supervise(ctx context.Context, o order, out, errs io.Writer) (outcome, error) {
	value := rand.Text()
	o.Env = append(o.Env, mark+"="+value)
	text, err := json.Marshal(o)
	if err != nil {
		return outcome{}, err
	}
	control, tell, err := os.Pipe()
	if err != nil {
		return outcome{}, err
	}
	defer tell.Close()
	said := &bounded{limit: outcomeLimit}
	// What it says goes to a descriptor of its own, and it keeps the room's lock
	// as long as anything of the command lives.
	result, say, err := os.Pipe()
	if err != nil {
		control.Close()
		return outcome{}, err
	}
	defer result.Close()
	cmd := exec.Command(w.Supervisor[0], w.Supervisor[1:]...) //nolint:gosec // the program itself
	cmd.Env = []string{}                                      // not nil, which would be the worker's own
	cmd.Stdin = control
	cmd.Stdout, cmd.Stderr = out, errs
	if out == nil {
		cmd.Stdout = errs
	}
	cmd.ExtraFiles = []*os.File{say, w.Room.lock}
	cmd.WaitDelay = killLimit
	apart(cmd)
	before := children()
	err = cmd.Start()
	control.Close()
	say.Close()
	if err != nil {
		return outcome{}, err
	}
	heard, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(said, result) // ends with the supervisor
	}()
	go func() {
		defer close(done)
		_ = cmd.Wait() // what it says tells how it went
	}()
	_, _ = tell.Write(append(text, '\n')) // one that is gone says so by its end
	var limit <-chan time.Time
	for told, waiting := ctx.Done(), true; waiting; {
		select {
		case <-heard:
			waiting = false
		case <-told:
			_, _ = tell.WriteString(stop)
			told, limit = nil, time.After(o.Grace+2*killLimit)
		case <-limit:
			_ = cmd.Process.Kill()
			limit = nil
		}
	}
	var got outcome
	if len(said.text) == 0 || json.Unmarshal(bytes.TrimSpace(said.text), &got) != nil {
		got.Alive, err = endMarked(mark+"="+value, killLimit), errUnsupervised
		if w.Inherits {
			before[cmd.Process.Pid] = true // it is waited for below
			got.Alive = append(got.Alive, endOrphans(before, killLimit)...)
		}
	}
	<-done
	return got, err
}

// lookPath finds a program on the PATH of an environment.
func lookPath(name string, env []string) (string, error) {
	for _, v := range env {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not on the command's PATH", name)
}
