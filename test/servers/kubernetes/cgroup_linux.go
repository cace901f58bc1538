package kubernetes

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// cgroupPrefix begins the name of every cgroup of ours.
	cgroupPrefix = "slipway-"

	// cgroupPatience is how long the kernel may take to empty a cgroup whose
	// processes were killed.
	cgroupPatience = 10 * time.Second
)

// hierarchy is one mounted tree of cgroups.
type hierarchy struct {
	dir         string
	controllers []string // empty for the unified one (cgroup v2)
}

// trees are the hierarchies of this machine.
type trees []hierarchy

// cgroup is one cgroup of ours, by the same name in every hierarchy.
type cgroup struct {
	name  string
	trees trees
}

// neededControllers are what the kubelet asks of cgroup v1.
func neededControllers() []string {
	return []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"}
}

// hierarchies reads what is mounted.
func hierarchies() (trees, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(mounts), nil
}

// parseHierarchies picks the cgroup mounts out of a mountinfo file, whose lines
// are described in proc_pid_mountinfo(5).
func parseHierarchies(mounts []byte) trees {
	var found trees
	lines := bufio.NewScanner(bytes.NewReader(mounts))
	for lines.Scan() {
		mount, origin, _ := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(mount), strings.Fields(origin)
		if len(where) < 5 || len(what) < 3 {
			continue
		}
		h := hierarchy{dir: where[4]}
		switch what[0] {
		case "cgroup":
			h.controllers = strings.Split(what[2], ",")
		case "cgroup2":
		default:
			continue
		}
		if !slices.ContainsFunc(found, func(other hierarchy) bool { return other.dir == h.dir }) {
			found = append(found, h)
		}
	}
	return found
}

// with returns the folder of the hierarchy with the controller, or nothing.
func (t trees) with(controller string) string {
	for _, h := range t {
		if slices.Contains(h.controllers, controller) {
			return h.dir
		}
	}
	return ""
}

// lacks says why there can be no real node, or nothing if there can.
func (t trees) lacks() string {
	if len(t) == 0 {
		return "a real node needs cgroups, and none are mounted"
	}
	var missing []string
	for _, controller := range neededControllers() {
		if t.with(controller) == "" {
			missing = append(missing, controller)
		}
	}
	if len(missing) == len(neededControllers()) {
		return "this machine has cgroup v2, on which a real node was not tried"
	}
	if len(missing) > 0 {
		return "a real node needs the cgroup controller " + strings.Join(missing, " and ") + ", which is not mounted as cgroup v1"
	}
	return ""
}

// newCgroup makes a cgroup in every hierarchy. Its name says whose it is, for
// sweepCgroups.
func newCgroup(all trees) (*cgroup, error) {
	me, err := owner(os.Getpid())
	if err != nil {
		return nil, err
	}
	g := &cgroup{name: cgroupPrefix + me + "-" + strings.ToLower(rand.Text()[:6]), trees: all}
	for _, h := range all {
		dir := filepath.Join(h.dir, g.name)
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as the kernel makes them itself
			return nil, errors.Join(err, g.remove())
		}
		if !slices.Contains(h.controllers, "cpuset") {
			continue
		}
		// A cpuset begins empty, and takes no process until it is filled.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := copySetting(filepath.Join(h.dir, file), filepath.Join(dir, file)); err != nil {
				return nil, errors.Join(err, g.remove())
			}
		}
	}
	return g, nil
}

// remove removes the cgroup and those below it from every hierarchy. It waits
// for the kernel to be done with their processes.
func (g *cgroup) remove() error {
	deadline := time.Now().Add(cgroupPatience)
	for {
		var fault error
		for _, h := range g.trees {
			fault = errors.Join(fault, removeTree(filepath.Join(h.dir, g.name)))
		}
		if fault == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove the cgroup %s: %w", g.name, fault)
		}
		time.Sleep(beat)
	}
}

// sweepCgroups removes the cgroups of clusters whose owners were killed before
// they could.
func sweepCgroups(all trees) error {
	var faults []error
	seen := map[string]bool{}
	for _, h := range all {
		entries, err := os.ReadDir(h.dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			name := entry.Name()
			if entry.IsDir() && !seen[name] && abandoned(name) {
				seen[name] = true
				faults = append(faults, (&cgroup{name: name, trees: all}).remove())
			}
		}
	}
	return errors.Join(faults...)
}

// abandoned says whether a cgroup is of ours and its owner, a process of this
// PID namespace, is no more.
func abandoned(name string) bool {
	whose, ours := strings.CutPrefix(name, cgroupPrefix)
	if !ours {
		return false
	}
	parts := strings.Split(whose, "-")
	if len(parts) != 4 {
		return false
	}
	pid, err := strconv.Atoi(parts[1])
	if err != nil {
		return false
	}
	me, err := owner(os.Getpid())
	if err != nil || !strings.HasPrefix(me, parts[0]+"-") {
		return false
	}
	them, err := owner(pid)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	// A PID may have passed to another process, which began at another time.
	return err == nil && them != strings.Join(parts[:3], "-")
}

// owner names a process for good: its PID namespace, its PID in there, and when
// it began, in the kernel's ticks since boot.
func owner(pid int) (string, error) {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", err
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", err
	}
	// The second field is a name in brackets that may hold anything; what
	// follows begins with the third. See proc_pid_stat(5).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("the state of process %d is not as expected", pid)
	}
	number := strings.Trim(strings.TrimPrefix(namespace, "pid:"), "[]")
	return fmt.Sprintf("%s-%d-%s", number, pid, fields[19]), nil
}

// removeTree removes a cgroup and those below it, the deepest first. Their
// files are not to be removed, and go with them.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := removeTree(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func copySetting(from, to string) error {
	value, err := os.ReadFile(from) //nolint:gosec // a file of the kernel
	if err != nil {
		return err
	}
	return os.WriteFile(to, value, 0o644) //nolint:gosec // a file of the kernel
}
