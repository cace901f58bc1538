package kubernetes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// traces are what a cluster could leave on the machine.
type traces struct {
	Mounts, Devices, Files []string
}

// lookAround notes mounts, network devices, and the files that containerd, the
// CNI plugins and the kubelet make unless they are kept from it.
func lookAround(t *testing.T) traces {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	devices, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	seen := traces{Mounts: strings.Split(string(mounts), "\n")}
	for _, device := range devices {
		seen.Devices = append(seen.Devices, device.Name())
	}
	for _, path := range []string{
		"/etc/cni", "/etc/containerd", "/etc/kubernetes", "/opt/cni", "/opt/containerd", "/run/cni", "/run/containerd",
		"/run/netns", "/run/slipway", "/usr/libexec/kubernetes", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet",
		"/var/log/containers", "/var/log/pods",
	} {
		if _, err := os.Lstat(path); err == nil {
			seen.Files = append(seen.Files, path)
		}
	}
	return seen
}

// leavesNothing fails unless everything is as it was.
func leavesNothing(t *testing.T, before traces) {
	t.Helper()
	after := lookAround(t)
	for what, pair := range map[string][2][]string{
		"mounts":          {before.Mounts, after.Mounts},
		"network devices": {before.Devices, after.Devices},
		"files":           {before.Files, after.Files},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s before:\n%s\nafter:\n%s", what, strings.Join(pair[0], "\n"), strings.Join(pair[1], "\n"))
		}
	}
}

// family lists a process and all its descendants by names that are never used
// again.
func family(t *testing.T, root int) []string {
	t.Helper()
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it has just ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		parents[pid] = parent
	}
	var members []string
	for pid := range parents {
		for at := pid; at > 0; at = parents[at] {
			if at != root {
				continue
			}
			if name, err := owner(pid); err == nil {
				members = append(members, name)
			}
			break
		}
	}
	return members
}

// alive lists those processes that are still there, zombies excepted.
func alive(t *testing.T, processes []string) []string {
	t.Helper()
	var left []string
	for _, process := range processes {
		pid, err := strconv.Atoi(strings.Split(process, "-")[1])
		if err != nil {
			t.Fatal(err)
		}
		now, err := owner(pid)
		if err != nil || now != process {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
		if err != nil || strings.Contains(string(status), "State:\tZ") {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		left = append(left, process+" "+strings.ReplaceAll(string(command), "\x00", " "))
	}
	return left
}

// cgroupsOf lists the cgroups in any hierarchy that a process made for its
// clusters.
func cgroupsOf(t *testing.T, pid string) []string {
	t.Helper()
	all, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, h := range all {
		entries, err := os.ReadDir(h.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, entry := range entries {
			parts := strings.Split(entry.Name(), "-")
			if strings.HasPrefix(entry.Name(), cgroupPrefix) && len(parts) > 2 && parts[2] == pid {
				found = append(found, filepath.Join(h.dir, entry.Name()))
			}
		}
	}
	return found
}

// killVictim kills a process that runs a cluster, as soon as it is ready or
// already while it starts, and checks that no process of the cluster outlives
// it. It returns the victim's PID.
func killVictim(t *testing.T, level Level, ready bool) string {
	t.Helper()
	needBinaries(t, level)
	victim, said := newVictim(t, level)
	if ready {
		line, err := bufio.NewReader(said).ReadString('\n')
		if err != nil || line != "ready\n" {
			t.Fatalf("the victim said %q: %v", line, err)
		}
	}
	// Itself, the supervisor, etcd, and the API server.
	var doomed []string
	eventually(t, "the victim's processes", func() error {
		if doomed = family(t, victim.Process.Pid); len(doomed) < 4 {
			return fmt.Errorf("only %d", len(doomed))
		}
		return nil
	})
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, said); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // it was killed
	eventually(t, "the end of its processes", func() error {
		if left := alive(t, doomed); len(left) > 0 {
			return fmt.Errorf("left are:\n%s", strings.Join(left, "\n"))
		}
		return nil
	})
	return strconv.Itoa(victim.Process.Pid)
}
