//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEnded(t *testing.T) {
	failed := errors.New("failed")
	told, cancel := context.WithCancel(t.Context())
	cancel()
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	for _, c := range []struct {
		rule     string
		ctx      context.Context
		wait     func() error
		patience time.Duration
		want     error
	}{
		{"what ends by itself is not hurried", t.Context(), func() error { return failed }, 0, failed},
		{"what ends in time is waited for", told, func() error { return nil }, time.Minute, nil},
		{"its error is told", told, func() error { return failed }, time.Minute, failed},
		{"what does not is cut off, and that is said", told, func() error { <-never; return nil }, time.Millisecond, errCut},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if err := ended(c.ctx, c.wait, c.patience, func() {}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// silent takes connections and never says anything.
func silent(t *testing.T) (address string, met <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), seen
}

// TestASecondCtrlCEndsAtOnce stops a server whose forge does not answer, so
// that its looks take their time.
func TestASecondCtrlCEndsAtOnce(t *testing.T) {
	forge, met := silent(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "slipway.yaml")
	write(t, filepath.Join(dir, "kubeconfig"), fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: main, cluster: {server: "http://%s"}}]
users: [{name: slipway, user: {}}]
contexts: [{name: main, context: {cluster: main, user: slipway}}]
current-context: main
`, forge))
	write(t, config, fmt.Sprintf(`listen: 127.0.0.1:0
store: {path: state}
forges:
  - {name: gitea, kind: gitea, url: "http://%s", login: bot, token: {env: TEST_SECRET}, webhook_secret: {env: TEST_SECRET}}
registries:
  - {name: gitea, host: "%s", insecure: true}
clusters:
  - {name: main, kubeconfig: kubeconfig}
repositories:
  - {repo: acme/app, forge: gitea, registry: gitea, namespaces: {main: [acme]}}
`, forge, forge))
	ctx := deadline(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, "serve", "--config", config)
	cmd.Env = []string{"SLIPWAY_TEST_MAIN=1", "TEST_SECRET=secret", "HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-met: // a look is under way
	case <-ctx.Done():
		t.Fatal("it did not look at its forge")
	}
	interrupt(t, cmd)
	lines := bufio.NewScanner(errs)
	for lines.Scan() && !strings.Contains(lines.Text(), `"msg":"stopping"`) {
	}
	interrupt(t, cmd)
	rest, err := io.ReadAll(errs)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // how it ended is what follows
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, after %s", cmd.ProcessState, rest)
	}
}

func interrupt(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}
