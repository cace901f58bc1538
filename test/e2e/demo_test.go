package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/test/servers/kubernetes"
)

// demonstrated is the document that the demo promises to print.
type demonstrated struct {
	Kubernetes string `json:"kubernetes"`
	Changes    []struct {
		PullRequest string `json:"pull_request"`
		Outcome     string `json:"outcome"`
		Version     string `json:"version"`
		Gates       []struct {
			Gate     string     `json:"gate"`
			State    string     `json:"state"`
			At       *time.Time `json:"at"`
			Evidence struct {
				Head     string `json:"head"`
				MergeSHA string `json:"merge_sha"`
				Tag      string `json:"tag"`
				Digest   string `json:"digest"`
				Pods     []struct {
					ImageID  string `json:"image_id"`
					Revision string `json:"revision"`
					Answer   string `json:"answer"`
				} `json:"pods"`
			} `json:"evidence"`
		} `json:"gates"`
		Revert *struct {
			PullRequest string `json:"pull_request"`
		} `json:"revert"`
	} `json:"changes"`
	Traffic *struct {
		Served int64 `json:"served"`
		Failed int64 `json:"failed"`
	} `json:"traffic"`
	Faults []string `json:"faults"`
}

// demoLimit is how long the demo may take on a machine that does much else.
const demoLimit = 5 * time.Minute

// TestDemo runs the demo as a newcomer does, on real pods where this machine
// can have them, and looks at what it prints and what it leaves.
func TestDemo(t *testing.T) {
	level, why := kubernetes.Detect()
	// Short, for the sockets in it.
	dir, err := os.MkdirTemp("", "e2e-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	before := tracesOf(t, dir, 0)
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, shared.binary, "demo", "--once", "--json", "--scenario", "all") //nolint:gosec // the program under test
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var out, progress bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	seen := watchTraces(t, dir, cmd.Process.Pid, ended)
	if err := <-ended; err != nil {
		t.Errorf("the demo: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the demo printed %s\nand said\n%s", out.String(), progress.String())
		}
	})
	if after := tracesOf(t, dir, cmd.Process.Pid); !slices.Equal(before, after) {
		t.Errorf("before the demo:\n%s\nafter it:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	wanted := []string{"file ", "process "}
	if level == kubernetes.Kubelet {
		wanted = append(wanted, "cgroup ")
	}
	for _, kind := range wanted {
		if !seen[kind] {
			t.Errorf("no trace of kind %q was seen while it ran, so that there is none now says nothing", kind)
		}
	}
	var report demonstrated
	document := json.NewDecoder(&out)
	if err := document.Decode(&report); err != nil {
		t.Fatalf("the report: %v", err)
	}
	if document.More() {
		t.Error("there is more than one document on standard output")
	}
	if report.Kubernetes != string(level) || len(report.Changes) != 2 || len(report.Faults) != 0 {
		t.Fatalf("the report: kubernetes %q, %d changes, faults %q", report.Kubernetes, len(report.Changes), report.Faults)
	}
	report.judge(t, level)
	if level != kubernetes.Kubelet && !t.Failed() {
		t.Skipf("SHOWN ON FAKE NODES ONLY: %s", why)
	}
}

// watchTraces looks at a running demo until it has seen a trace of each kind,
// or the demo has ended.
func watchTraces(t *testing.T, dir string, pid int, ended chan error) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for len(seen) < 3 {
		for _, trace := range tracesOf(t, dir, pid) {
			for _, kind := range []string{"file ", "process ", "cgroup "} {
				seen[kind] = seen[kind] || strings.HasPrefix(trace, kind)
			}
		}
		maps.DeleteFunc(seen, func(_ string, was bool) bool { return !was })
		select {
		case err := <-ended:
			ended <- err
			return seen
		case <-tick.C:
		}
	}
	return seen
}

func (r demonstrated) judge(t *testing.T, level kubernetes.Level) {
	t.Helper()
	real := level == kubernetes.Kubelet
	good, bad := r.Changes[0], r.Changes[1]
	wantGood, proven := "simulated", "simulated"
	if real {
		wantGood, proven = "healthy", "passed"
	}
	if good.PullRequest != "acme/app#1" || good.Outcome != wantGood || good.Version != "v0.1.0" || good.Revert != nil {
		t.Errorf("the good change: %+v", good)
	}
	if bad.PullRequest != "acme/app#2" || bad.Outcome != "rolled_back" || bad.Version != "v0.2.0" || bad.Revert == nil || bad.Revert.PullRequest != "acme/app#3" {
		t.Errorf("the bad change: %+v", bad)
	}
	names := []string{"code", "opened", "reviewed", "merged", "post_merge_ci", "image", "rollout", "health"}
	for i, c := range r.Changes {
		var digest, merge string
		for j, g := range c.Gates {
			if len(c.Gates) != len(names) || g.Gate != names[j] {
				t.Fatalf("%s: gate %d of %d is %q", c.PullRequest, j, len(c.Gates), g.Gate)
			}
			want := "passed"
			switch {
			case j >= 6 && i == 0:
				want = proven
			case j >= 6:
				want = "failed"
			}
			if g.State != want || g.At == nil || j > 0 && g.At.Before(*c.Gates[0].At) {
				t.Errorf("%s: gate %s is %s at %v, want %s", c.PullRequest, g.Gate, g.State, g.At, want)
			}
			e := g.Evidence
			lacks := false
			switch g.Gate {
			case "code", "opened", "reviewed":
				lacks = len(e.Head) != 40
			case "merged":
				merge = e.MergeSHA
				lacks = len(e.Head) != 40 || len(merge) != 40
			case "image":
				digest = e.Digest
				lacks = e.MergeSHA != merge || e.Tag != c.Version || !strings.HasPrefix(digest, "sha256:")
			case "rollout":
				for _, pod := range e.Pods {
					lacks = lacks || i == 0 && !strings.HasSuffix(pod.ImageID, digest)
				}
				lacks = lacks || i == 0 && len(e.Pods) == 0
			case "health":
				if real && i == 0 {
					lacks = len(e.Pods) == 0
					for _, pod := range e.Pods {
						lacks = lacks || pod.Revision != merge || !strings.Contains(pod.Answer, merge)
					}
				}
			}
			if lacks {
				t.Errorf("%s: gate %s lacks evidence: %+v", c.PullRequest, g.Gate, e)
			}
		}
	}
	switch {
	case !real && r.Traffic != nil:
		t.Errorf("traffic on fake nodes: %+v", *r.Traffic)
	case real && (r.Traffic == nil || r.Traffic.Served == 0 || r.Traffic.Failed != 0):
		t.Errorf("traffic through the rollback: %+v", r.Traffic)
	}
}

// tracesOf lists what a demo in dir could leave: files there, processes that
// name it, mounts, network devices and the cgroups of its process.
func tracesOf(t *testing.T, dir string, pid int) []string {
	t.Helper()
	var found []string
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		found = append(found, "file "+f.Name())
	}
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(dir+"/")) { // else it has just ended
				found = append(found, "process "+f+" "+string(bytes.ReplaceAll(b, []byte{0}, []byte(" "))))
			}
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil {
		for line := range strings.Lines(string(mounts)) {
			if strings.Contains(line, dir) {
				found = append(found, "mount "+line)
			}
		}
	}
	own := fmt.Sprintf("slipway-*-%d-*", pid)
	for _, trace := range []struct{ kind, pattern string }{
		{"cgroup", "/sys/fs/cgroup/" + own}, {"cgroup", "/sys/fs/cgroup/*/" + own}, {"device", "/sys/class/net/*"},
	} {
		paths, err := filepath.Glob(trace.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			found = append(found, trace.kind+" "+path)
		}
	}
	return found
}
