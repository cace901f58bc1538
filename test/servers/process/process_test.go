//go:build unix

package process_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"slipway/test/servers/process"
)

// shell starts a script, and returns what it writes line by line.
func shell(t *testing.T, script string) (*process.Process, *bufio.Scanner) {
	t.Helper()
	read, write := io.Pipe()
	p, err := process.Start(process.Spec{
		Name: "the script",
		Path: "/bin/sh",
		Args: []string{"-c", script},
		Env:  []string{"PATH=/usr/bin:/bin"},
		Dir:  t.TempDir(),
		Log:  write,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		read.Close()
		p.Kill()
	})
	return p, bufio.NewScanner(read)
}

func TestACrashIsReportedWithTheEndOfTheLog(t *testing.T) {
	p, lines := shell(t, "echo first; echo the database is on fire >&2; exit 3")
	for lines.Scan() && !strings.Contains(lines.Text(), "fire") {
	}
	<-p.Done()
	got := p.Ended().Error()
	for _, part := range []string{"the script", "exit status 3", "the database is on fire"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q lacks %q", got, part)
		}
	}
}

func TestAnObedientProgramStopsInItsOwnWay(t *testing.T) {
	p, lines := shell(t, `trap "echo tidied up; exit 0" TERM; echo ready; while :; do sleep 0.01; done`)
	lines.Scan()
	go func() {
		for lines.Scan() {
		}
	}()
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if log := p.Log(); !strings.Contains(log, "tidied up") {
		t.Errorf("its log is %q", log)
	}
}

func TestADeafProgramIsKilledAndTheErrorSaysSo(t *testing.T) {
	p, lines := shell(t, `trap "" TERM; echo ready; while :; do sleep 0.01; done`)
	lines.Scan()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the error is %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("it is still running")
	}
}

func TestStoppingTwiceIsHarmless(t *testing.T) {
	p, lines := shell(t, "echo ready; exec sleep 100")
	lines.Scan()
	for range 2 {
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAProgramThatIsNotThereIsAnErrorThatNamesIt(t *testing.T) {
	_, err := process.Start(process.Spec{Name: "the ghost", Path: "/no/such/program"})
	if err == nil || !strings.Contains(err.Error(), "start the ghost") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheProgramSeesNothingOfOurEnvironment(t *testing.T) {
	t.Setenv("SLIPWAY_TEST_SECRET", "hunter2")
	var log bytes.Buffer
	p, err := process.Start(process.Spec{Name: "env", Path: "/usr/bin/env", Env: []string{"ONLY=this"}, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got := log.String(); got != "ONLY=this\n" {
		t.Errorf("it sees %q", got)
	}
}

func TestOnlyTheEndOfALongLogIsKept(t *testing.T) {
	var log bytes.Buffer
	p, err := process.Start(process.Spec{
		Name: "a talker", Path: "/bin/sh",
		Args: []string{"-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"},
		Log:  &log,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	kept := p.Log()
	if len(kept) > 8<<10 || !strings.HasSuffix(kept, "line 2999") || !strings.HasPrefix(kept, "line ") {
		t.Errorf("kept %d bytes, from %.20q", len(kept), kept)
	}
	if got := strings.Count(log.String(), "\n"); got != 3000 {
		t.Errorf("%d lines were passed on", got)
	}
}
