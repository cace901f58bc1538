package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopGrace is how long the supervisor may take to end its processes before
	// it is killed itself.
	stopGrace = 10 * time.Second

	// logTail is how much of a dead program's log its error quotes, in bytes.
	logTail = 2 << 10

	supervisorName = "slipway-node"
)

// errStopped is how the supervisor ends when it is told to.
var errStopped = errors.New("stopped")

// supervisor is the process that the cluster's programs are children of. When
// this process dies, however it does, the supervisor's orders end, and with
// them the supervisor and all its children.
type supervisor struct {
	pid    int
	files  files
	cmd    *exec.Cmd
	orders io.Closer
	ready  chan error    // one value: what came of the setup
	failed chan error    // one value: the first service that ended unasked, or the supervisor
	gone   chan struct{} // closed once the supervisor has ended and is collected

	mu       sync.Mutex
	encoder  *json.Encoder
	stopping bool
	running  map[string]*process
}

// process is one program that the supervisor was told to start.
type process struct {
	service bool          // meant to run until the cluster ends
	done    chan struct{} // closed when it has ended
	err     error         // read after done
}

// ended says that a program of the cluster ended, and quotes its log.
type ended struct {
	component, status, log, tail string
}

func (e *ended) Error() string {
	return fmt.Sprintf("%s ended (%s); the end of %s:\n%s", e.component, e.status, e.log, e.tail)
}

// portTaken says whether it ended because somebody else took its port.
func (e *ended) portTaken() bool { return strings.Contains(e.tail, "address already in use") }

// The orders and reports, as the supervisor's own protocol.go has them.
type (
	order struct {
		Setup *setup   `json:"setup,omitempty"`
		Start *program `json:"start,omitempty"`
	}
	setup struct {
		Private  bool              `json:"private,omitempty"`
		Hide     []string          `json:"hide,omitempty"`
		Kernel   map[string]string `json:"kernel,omitempty"`
		Bridge   *bridge           `json:"bridge,omitempty"`
		Forwards []forward         `json:"forwards,omitempty"`
	}
	bridge struct {
		Name   string `json:"name"`
		Prefix string `json:"prefix"`
	}
	forward struct {
		From address `json:"from"`
		To   address `json:"to"`
	}
	address struct {
		Network string `json:"network"`
		Address string `json:"address"`
	}
	program struct {
		Name string   `json:"name"`
		Path string   `json:"path"`
		Args []string `json:"args"`
		Env  []string `json:"env"`
		Dir  string   `json:"dir"`
		Log  string   `json:"log"`
	}
	report struct {
		Ready  bool   `json:"ready"`
		Fault  string `json:"fault"`
		Exited *struct {
			Name   string `json:"name"`
			OK     bool   `json:"ok"`
			Status string `json:"status"`
		} `json:"exited"`
	}
)

// launch starts the supervisor; the attributes say in which namespaces. Its
// setup goes on when launch returns: await ready.
func launch(binary string, attributes *syscall.SysProcAttr, f files, s setup) (*supervisor, error) {
	log, err := os.OpenFile(f.log(supervisorName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(binary) // without the context: it is ended by stop, which lets it end its children first
	cmd.Args = []string{supervisorName}
	cmd.Dir = f.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "TMPDIR=" + f.path(tmpFolder)}
	cmd.Stderr = log
	cmd.SysProcAttr = attributes
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	reports, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	v := &supervisor{
		files:   f,
		cmd:     cmd,
		orders:  orders,
		encoder: json.NewEncoder(orders),
		ready:   make(chan error, 1),
		failed:  make(chan error, 1),
		gone:    make(chan struct{}),
		running: map[string]*process{},
	}
	started := make(chan error)
	go v.look(reports, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	if err := v.send(order{Setup: &s}); err != nil {
		return nil, errors.Join(err, v.stop())
	}
	return v, nil
}

// start tells the supervisor to start a program. A service is expected to run
// until the cluster ends; of others done tells the end.
func (v *supervisor) start(p program, service bool) (*process, error) {
	started := &process{service: service, done: make(chan struct{})}
	v.mu.Lock()
	v.running[p.Name] = started
	v.mu.Unlock()
	return started, v.send(order{Start: &p})
}

// stop ends the supervisor and all it started, and waits for that.
func (v *supervisor) stop() error {
	v.mu.Lock()
	v.stopping = true
	v.mu.Unlock()
	_ = v.orders.Close() // it may be dead already, which is what is wanted
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-v.gone:
		return nil
	case <-grace.C:
	}
	if err := v.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the supervisor: %w", err)
	}
	<-v.gone
	return nil
}

// look starts the supervisor and listens to it until it ends. The kernel kills
// the supervisor with the thread that started it, so that thread has to last:
// it is kept for this, and never handed back.
func (v *supervisor) look(reports io.Reader, started chan<- error) {
	runtime.LockOSThread()
	if err := v.cmd.Start(); err != nil {
		started <- err
		return
	}
	v.pid = v.cmd.Process.Pid
	started <- nil

	defer close(v.gone)
	status := v.listen(reports)
	if err := v.cmd.Wait(); status == nil {
		status = err
	}
	v.bury(status)
}

// listen follows the reports until there are no more.
func (v *supervisor) listen(reports io.Reader) error {
	in := json.NewDecoder(reports)
	for {
		var r report
		err := in.Decode(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			_ = v.cmd.Process.Kill() // not to be understood: better dead than unwatched
			return fmt.Errorf("read its reports: %w", err)
		}
		switch {
		case r.Ready:
			v.ready <- nil
		case r.Fault != "":
			return errors.New(r.Fault)
		case r.Exited != nil:
			v.finish(r.Exited.Name, r.Exited.OK, r.Exited.Status)
		}
	}
}

// finish notes that a program ended.
func (v *supervisor) finish(name string, ok bool, status string) {
	v.mu.Lock()
	p := v.running[name]
	delete(v.running, name)
	stopping := v.stopping
	v.mu.Unlock()
	if p == nil {
		return
	}
	if !ok || p.service {
		p.err = &ended{component: name, status: status, log: v.files.log(name), tail: tail(v.files.log(name))}
	}
	close(p.done)
	if p.service && !stopping {
		v.fail(p.err)
	}
}

// bury notes that the supervisor itself ended, and so everything did.
func (v *supervisor) bury(status error) {
	v.mu.Lock()
	running, stopping := v.running, v.stopping
	v.running = map[string]*process{}
	v.mu.Unlock()
	if status == nil || stopping {
		status = errStopped
	}
	log := v.files.log(supervisorName)
	err := &ended{component: "the supervisor", status: status.Error(), log: log, tail: tail(log)}
	for _, p := range running {
		p.err = err
		close(p.done)
	}
	select {
	case v.ready <- err:
	default:
	}
	if !stopping {
		v.fail(err)
	}
}

func (v *supervisor) fail(err error) {
	select {
	case v.failed <- err:
	default: // only the first matters: the others die of it
	}
}

func (v *supervisor) send(o order) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.encoder.Encode(o); err != nil {
		return fmt.Errorf("give the supervisor an order: %w", err)
	}
	return nil
}

// tail returns the last whole lines of a log.
func tail(path string) string {
	f, err := os.Open(path) //nolint:gosec // a log of ours
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-logTail), io.SeekStart)
	}
	body, err := io.ReadAll(io.LimitReader(f, logTail))
	if err != nil {
		return err.Error()
	}
	if len(body) == logTail {
		if _, whole, more := bytes.Cut(body, []byte("\n")); more {
			body = whole
		}
	}
	return string(bytes.TrimSpace(body))
}
