//go:build unix

package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is a supervisor, or a command that a worker runs, where a test
// starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "supervise":
			os.Exit(Supervise())
		case "act":
			os.Exit(act(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// self is this test binary as another program.
func self(t testing.TB, args ...string) []string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{path}, args...)
}

// act is a small command: what it does, and with what.
func act(args []string) int {
	do := map[string]func(args []string) error{
		"tree":    actTree,
		"stay":    actStay,
		"flood":   actFlood,
		"environ": actEnviron,
		"build":   actBuild,
		"hide":    func([]string) error { return errors.Join(Conceal(), actStand(nil)) },
		"stand":   actStand,
	}[args[0]]
	if err := do(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "act:", err)
		return 3
	}
	return 0
}

// actTree starts three generations: each notes its number in a folder, is deaf
// to polite signals, and all but the first leave their session; the second ends
// at once, so that the third has lost its parent. The last one's environment is
// empty.
func actTree(args []string) error {
	dir, depth := args[0], len(args)
	deaf()
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("pid-%d", os.Getpid())), nil, 0o600); err != nil {
		return err
	}
	if depth < 4 {
		path, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := exec.Command(path, append([]string{"act", "tree", dir}, make([]string, depth)...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if depth == 3 {
			cmd.Env = []string{}
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		if depth == 2 {
			return nil
		}
	}
	<-time.After(2 * time.Minute) // if nobody ends it
	return nil
}

// actStay starts a process that stays behind, and ends.
func actStay(args []string) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "act", "tree", args[0], "", "", "")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr // it holds the output open
	if err := cmd.Start(); err != nil {
		return err
	}
	return await(context.Background(), func() bool { return len(pids(args[0])) == 1 })
}

func actFlood([]string) error {
	block := []byte(strings.Repeat("all work and no play makes a dull log\n", 2000))
	for n := 0; n < 32<<20; n += len(block) {
		if _, err := os.Stdout.Write(block); err != nil {
			return err
		}
	}
	fmt.Println("the last word")
	return fmt.Errorf("enough")
}

// actEnviron writes down all that it sees of itself and of its parents.
func actEnviron([]string) error {
	var all strings.Builder
	all.WriteString(strings.Join(os.Args, "\n") + "\nenv " + strings.Join(os.Environ(), "\nenv ") + "\n")
	for _, path := range []string{"/proc/self/environ", "/proc/self/cmdline", fmt.Sprintf("/proc/%d/environ", os.Getppid()), fmt.Sprintf("/proc/%d/cmdline", os.Getppid())} {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all.Write(text)
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, f := range files {
		to, _ := os.Readlink("/proc/self/fd/" + f.Name()) // one is the folder itself, closed by now
		all.WriteString("\nfd " + f.Name() + " " + to)
	}
	for _, v := range []string{"SLIPWAY_SPEC_FILE", "SLIPWAY_PROMPT_FILE", "SLIPWAY_PARAMETERS_FILE"} {
		text, err := os.ReadFile(os.Getenv(v))
		if err != nil {
			return err
		}
		all.WriteString("\n" + v + "=" + string(text))
	}
	config, err := os.ReadFile(".git/config")
	if err != nil {
		return err
	}
	all.Write(config)
	if err := os.WriteFile("seen.txt", []byte(all.String()), 0o600); err != nil {
		return err
	}
	return commit("feat: look around")
}

// actBuild writes a file, tests it, reports and commits, as a builder would.
func actBuild(args []string) error {
	name, content := "made.txt", "made by "+os.Getenv("SLIPWAY_BUILDER")+"\n"
	if len(args) > 0 {
		content += args[0] + "\n"
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		return err
	}
	report, err := os.OpenFile(os.Getenv("SLIPWAY_REPORT_FILE"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(report, `{"input_tokens":1200,"output_tokens":34,"cost":0.0421,"model":%q}`+"\n", os.Getenv("SLIPWAY_MODEL"))
	if err := report.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(os.Getenv("SLIPWAY_SUMMARY_FILE"), []byte("It makes a file.\n"), 0o600); err != nil {
		return err
	}
	return commit("feat: make a file")
}

// actStand says that it is there, and waits.
func actStand([]string) error {
	fmt.Println("ready")
	<-time.After(2 * time.Minute) // if nobody ends it
	return nil
}

func commit(message string) error {
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

// deaf ignores what asks a process to end.
func deaf() {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		signal.Ignore(s)
	}
}

// pids are the numbers that processes noted in a folder.
func pids(dir string) []string {
	list, _ := filepath.Glob(filepath.Join(dir, "pid-*"))
	for i := range list {
		list[i] = strings.TrimPrefix(filepath.Base(list[i]), "pid-")
	}
	return list
}

// await looks again and again until yes, at most half a minute.
func await(ctx context.Context, yes func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in time: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
