package kubernetes

import (
	"os"
	"strings"
	"testing"
)

func TestWhatAMachinesCgroupsAllow(t *testing.T) {
	t.Parallel()
	const (
		root   = "24 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
		cpu    = "30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
		cpuset = "31 24 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
		memory = "32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		others = "33 24 0:29 / /sys/fs/cgroup/rest rw - cgroup cgroup rw,devices,freezer,blkio,pids\n"
		named  = "34 24 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
		second = "35 24 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
	)
	for name, c := range map[string]struct {
		mounts string
		lacks  string // empty: nothing
	}{
		"cgroup v1":                                 {root + cpu + cpuset + memory + others + named, ""},
		"cgroup v1 with an empty v2 beside it":      {root + cpu + cpuset + memory + others + named + second, ""},
		"cgroup v1 without a controller":            {root + cpu + cpuset + others + named, "controller memory"},
		"cgroup v2 alone":                           {root + second, "cgroup v2, on which a real node was not tried"},
		"cgroup v2, and v1 for systemd's own names": {root + second + named, "cgroup v2, on which a real node was not tried"},
		"no cgroups":                                {root, "none are mounted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parseHierarchies([]byte(c.mounts)).lacks()
			if (got == "") != (c.lacks == "") || !strings.Contains(got, c.lacks) {
				t.Errorf("got %q, want one that says %q", got, c.lacks)
			}
		})
	}
}

func TestWhichCgroupsAreSwept(t *testing.T) {
	t.Parallel()
	me, err := owner(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(me, "-")
	namespace, pid, began := parts[0], parts[1], parts[2]
	for name, c := range map[string]struct {
		cgroup string
		swept  bool
	}{
		"of a living cluster":                         {cgroupPrefix + me + "-abc", false},
		"of a process that is gone":                   {cgroupPrefix + namespace + "-4194304-77-abc", true}, // no PID is that high: proc_sys_kernel(5)
		"of a process whose PID another has now":      {cgroupPrefix + namespace + "-" + pid + "-" + began + "1-abc", true},
		"of a process in another PID namespace":       {cgroupPrefix + namespace + "1-4194304-77-abc", false},
		"of somebody else":                            {"docker-" + namespace + "-4194304-77-abc", false},
		"of ours by its first word and nothing else":  {cgroupPrefix + "node", false},
		"of ours with a PID that is no number at all": {cgroupPrefix + namespace + "-x-77-abc", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := abandoned(c.cgroup); got != c.swept {
				t.Errorf("%s: got %t, want %t", c.cgroup, got, c.swept)
			}
		})
	}
}
