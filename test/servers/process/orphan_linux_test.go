package process_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/test/servers/process"
)

// parentEnv tells this test binary to be the parent that is killed.
const parentEnv = "SLIPWAY_TEST_PARENT"

// TestNothingOutlivesAKilledParent runs this test binary again as a parent that
// starts programs and is killed with SIGKILL, so that no code of ours runs.
func TestNothingOutlivesAKilledParent(t *testing.T) {
	if mark := os.Getenv(parentEnv); mark != "" {
		beParent(t, mark)
		return
	}
	cases := map[string]struct {
		contain bool
		started int // processes with the mark, at least
	}{
		"the program itself":                       {contain: false, started: 3},
		"what a contained program started as well": {contain: true, started: 6},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.contain && os.Geteuid() != 0 {
				t.Skip("a process namespace needs root")
			}
			mark := filepath.Join(t.TempDir(), "mark")
			parent := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesAKilledParent$")
			parent.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%t", parentEnv, mark, c.contain))
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "started" {
			}
			if got := alive(t, mark); got < c.started {
				t.Fatalf("%d processes were started, want %d", got, c.started)
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // it was killed
			deadline := time.NewTimer(5 * time.Second)
			defer deadline.Stop()
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for alive(t, mark) > 0 {
				select {
				case <-deadline.C:
					t.Fatalf("%d processes outlived their parent", alive(t, mark))
				case <-tick.C:
				}
			}
		})
	}
}

// beParent starts a program that carries the mark in its arguments, contained
// or not, says so and waits to be killed.
func beParent(t *testing.T, spec string) {
	mark, contain, _ := strings.Cut(spec, ":")
	const wait = `sh -c 'for i in $(seq 300); do sleep 0.1; done' ` // half a minute, unless it is killed
	script := "echo up; exec " + wait + mark
	if contain == "true" {
		script = "setsid " + wait + mark + " & " + script // and one that leaves its group
	}
	for range 3 { // from several threads
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, err = process.Start(process.Spec{
			Name: "child", Path: "/bin/sh",
			Args:    []string{"-c", script},
			Env:     []string{"PATH=/usr/bin:/bin"},
			Log:     write,
			Contain: contain == "true",
		})
		if err != nil {
			t.Fatal(err)
		}
		bufio.NewScanner(read).Scan()
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Println("started")
	select {}
}

// alive counts the processes with the mark in their arguments, this one and its
// parent-to-be aside, whose mark is in the environment.
func alive(t *testing.T, mark string) int {
	t.Helper()
	found := 0
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range list {
		args, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		if strings.Contains(string(args), mark) {
			found++
		}
	}
	return found
}
