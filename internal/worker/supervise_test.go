//go:build linux

package worker

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// keeper is a worker that can do nothing but supervise.
func keeper(t *testing.T) *Worker {
	t.Helper()
	room, err := OpenRoom(t.TempDir(), lite0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { room.Close() })
	return &Worker{Config: Config{Address: lite0, Room: room, Supervisor: self(t, "supervise"), Secrets: func() []string { return nil }}}
}

// alive are those of the noted processes that live.
func alive(dir string) (living []string) {
	for _, pid := range pids(dir) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			continue
		}
		if e, ok := look(n); ok && !e.dead {
			living = append(living, pid)
		}
	}
	return living
}

func TestSuperviseEndsTheWholeTree(t *testing.T) {
	w := keeper(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type end struct {
		o   outcome
		err error
	}
	done := make(chan end, 1)
	go func() {
		o, err := w.supervise(ctx, order{Args: self(t, "act", "tree", dir), Dir: dir, Grace: 100 * time.Millisecond}, nil, &tail{})
		done <- end{o, err}
	}()
	// The second of the four ends by itself.
	if err := await(t.Context(), func() bool { return len(pids(dir)) == 4 && len(alive(dir)) == 3 }); err != nil {
		t.Fatalf("%v: %v", err, pids(dir))
	}
	cancel()
	got := <-done
	if living := alive(dir); len(living) > 0 {
		t.Errorf("%v live on", living)
	}
	if got.err != nil || got.o.Signal != "killed" || len(got.o.Alive) > 0 {
		t.Errorf("got %+v, %v", got.o, got.err)
	}
}

func TestSuperviseEndsWhatStaysBehind(t *testing.T) {
	w := keeper(t)
	dir := t.TempDir()
	out := &tail{}
	o, err := w.supervise(t.Context(), order{Args: self(t, "act", "stay", dir), Dir: dir, Grace: time.Second}, nil, out)
	if err != nil || o.Exit != 0 || len(o.Left) != 1 || len(o.Alive) != 0 {
		t.Errorf("got %+v, %v: %s", o, err, out.bytes())
	}
	if living := alive(dir); len(living) > 0 || len(pids(dir)) != 1 {
		t.Errorf("%v live on of %v", living, pids(dir))
	}
}

func TestSuperviseAsksBeforeItKills(t *testing.T) {
	w := keeper(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &tail{}
	done := make(chan outcome, 1)
	go func() {
		o, _ := w.supervise(ctx, order{Args: []string{"/bin/sh", "-c", `trap 'echo asked > asked; exit 0' TERM; echo > pid-0; while :; do sleep 0.01; done`}, Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}, Grace: 20 * time.Second}, nil, out)
		done <- o
	}()
	if err := await(t.Context(), func() bool { return len(pids(dir)) == 1 }); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	if _, err := os.Stat(filepath.Join(dir, "asked")); err != nil {
		t.Errorf("it was not asked: %v: %s", err, out.bytes())
	}
}

func TestSuperviseTellsHowItEnded(t *testing.T) {
	w := keeper(t)
	for _, c := range []struct {
		rule string
		args []string
		want outcome
	}{
		{"well", []string{"/bin/sh", "-c", "exit 0"}, outcome{}},
		{"with an exit code", []string{"/bin/sh", "-c", "exit 7"}, outcome{Exit: 7}},
		{"by a signal", []string{"/bin/sh", "-c", "kill -9 $$"}, outcome{Signal: "killed"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			o, err := w.supervise(t.Context(), order{Args: c.args, Dir: t.TempDir()}, nil, &tail{})
			if err != nil || o.Exit != c.want.Exit || o.Signal != c.want.Signal || o.Error != "" {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
	t.Run("it was never there", func(t *testing.T) {
		o, err := w.supervise(t.Context(), order{Args: []string{"/nowhere/at/all"}, Dir: t.TempDir()}, nil, &tail{})
		if err != nil || !strings.Contains(o.Error, "no such file") {
			t.Errorf("got %+v, %v", o, err)
		}
	})
}

// TestSuperviseSurvivesItsSupervisor has the command kill the process that is
// to end it.
func TestSuperviseSurvivesItsSupervisor(t *testing.T) {
	w := keeper(t)
	dir := t.TempDir()
	o, err := w.supervise(t.Context(), order{
		Args: []string{"/bin/sh", "-c", `trap '' TERM; setsid sh -c 'echo > pid-$$; while :; do sleep 1; done' & while ! ls pid-* >/dev/null 2>&1; do sleep 0.01; done; kill -9 $PPID; while :; do sleep 1; done`},
		Dir:  dir, Env: []string{"PATH=" + os.Getenv("PATH")},
	}, nil, &tail{})
	if err == nil || len(o.Alive) > 0 {
		t.Errorf("got %+v, %v", o, err)
	}
	if living := alive(dir); len(living) > 0 {
		t.Errorf("%v live on", living)
	}
}

// TestWhatKilledItsSupervisorAndHidIsEndedByTheWorker runs this test as a worker
// whose command's process has nothing left by which it could be known.
func TestWhatKilledItsSupervisorAndHidIsEndedByTheWorker(t *testing.T) {
	if dir := os.Getenv("SLIPWAY_TEST_HEIR"); dir != "" {
		w := keeper(t)
		w.Inherits = true
		if err := Inherit(); err != nil {
			t.Fatal(err)
		}
		o, err := w.supervise(t.Context(), order{
			Args: []string{"/bin/sh", "-c", `env -i PATH="$PATH" setsid sh -c 'echo > pid-$$; while :; do sleep 1; done' & while ! ls pid-* >/dev/null 2>&1; do sleep 0.01; done; kill -9 $PPID`},
			Dir:  dir, Env: []string{"PATH=" + os.Getenv("PATH")},
		}, nil, &tail{})
		if living := alive(dir); len(pids(dir)) != 1 || len(living) > 0 || len(o.Alive) > 0 {
			t.Errorf("%v live on: %+v, %v", living, o, err)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), self(t)[0], "-test.run=^TestWhatKilledItsSupervisorAndHidIsEndedByTheWorker$")
	cmd.Env = append(os.Environ(), "SLIPWAY_TEST_HEIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestNothingOutlivesAKilledWorker runs this test as a worker that is killed,
// so that no code of it runs.
func TestNothingOutlivesAKilledWorker(t *testing.T) {
	if dir := os.Getenv("SLIPWAY_TEST_WORKER"); dir != "" {
		w := keeper(t)
		_, err := w.supervise(t.Context(), order{Args: self(t, "act", "tree", dir), Dir: dir, Grace: time.Minute}, nil, &tail{})
		t.Fatal("it was not killed", err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self(t)[0], "-test.run=^TestNothingOutlivesAKilledWorker$")
	cmd.Env = append(os.Environ(), "SLIPWAY_TEST_WORKER="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), func() bool { return len(pids(dir)) == 4 }); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	if err := await(t.Context(), func() bool { return len(alive(dir)) == 0 }); err != nil {
		t.Errorf("%v live on: %v", alive(dir), err)
	}
}

func TestAFloodIsKeptShort(t *testing.T) {
	w := keeper(t)
	out := &tail{}
	o, err := w.supervise(t.Context(), order{Args: self(t, "act", "flood"), Dir: t.TempDir()}, nil, out)
	text := w.printed(out)
	if err != nil || o.Exit != 3 || len(text) > outputLimit || cap(out.text) > 4*(outputLimit+secretLimit) || !strings.Contains(text, "the last word") {
		t.Errorf("got %+v, %v, %d bytes, %d held", o, err, len(text), cap(out.text))
	}
}

// TestConceal has a process of the same user, which is not root, look at one
// that hides and at one that does not.
func TestConceal(t *testing.T) {
	nobody := &syscall.SysProcAttr{}
	program := self(t)[0]
	if os.Geteuid() == 0 {
		nobody.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		data, err := os.ReadFile(program) // it lies where nobody else may look
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		program = filepath.Join(dir, "program")
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // so that nobody gets there
			t.Fatal(err)
		}
		if err := os.WriteFile(program, data, 0o755); err != nil { //nolint:gosec // nobody has to run it
			t.Fatal(err)
		}
	}
	for what, shows := range map[string]bool{"hide": false, "stand": true} {
		cmd := exec.CommandContext(t.Context(), program, "act", what)
		cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{"TOKEN=not for everyone"}, "/", nobody
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
		look := exec.CommandContext(t.Context(), "/bin/cat", "/proc/"+strconv.Itoa(cmd.Process.Pid)+"/environ")
		look.SysProcAttr = nobody
		seen, _ := look.Output() // what it shows is the question
		if got := strings.Contains(string(seen), "not for everyone"); got != shows {
			t.Errorf("one that is to %s shows %q", what, seen)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	}
}
