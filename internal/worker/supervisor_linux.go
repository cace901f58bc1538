package worker

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes every descendant that loses its parent a child of this process
// (prctl(2), PR_SET_CHILD_SUBREAPER), whatever group or session it is in.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// Conceal keeps other processes of the same user out of this process's memory
// and environment (prctl(2), PR_SET_DUMPABLE). Root is not kept out.
func Conceal() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// Inherit has processes that lose their supervisor become this process's
// children, so that it can end them whatever they have made of themselves.
func Inherit() error { return adopt() }

// children are this process's own.
func children() map[int]bool {
	own, all := os.Getpid(), map[int]bool{}
	for pid, e := range table() {
		if e.parent == own {
			all[pid] = true
		}
	}
	return all
}

// endOrphans kills what became this process's child since, with all that is
// below, and says which of them live on.
func endOrphans(before map[int]bool, limit time.Duration) []string {
	for over := time.Now().Add(limit); ; {
		roots := map[int]bool{}
		var list []process
		all := table()
		for pid := range children() {
			switch e, there := all[pid]; {
			case !there || before[pid]:
			case e.dead:
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // nobody else does
			default:
				roots[pid] = true
				list = append(list, e.process)
			}
		}
		list = append(list, below(roots)...)
		if len(list) == 0 || time.Now().After(over) {
			return names(list)
		}
		for _, p := range list {
			p.signal(syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond) // they may have started others
	}
}

// living are the descendants of this process that have not ended.
func (s *supervisor) living() []process { return below(map[int]bool{os.Getpid(): true}) }

func (s *supervisor) signal(list []process, sig syscall.Signal) {
	for _, p := range list {
		p.signal(sig)
	}
}

// below are the living descendants of some processes. One that is about to lose
// its parent may be missed; it is found when it is looked for again.
func below(roots map[int]bool) (found []process) {
	all := table()
	in := map[int]bool{}
	for pid := range roots {
		in[pid] = true
	}
	for more := true; more; {
		more = false
		for pid, e := range all {
			if !in[pid] && in[e.parent] {
				in[pid], more = true, true
			}
		}
	}
	for pid, e := range all {
		if in[pid] && !roots[pid] && !e.dead {
			found = append(found, e.process)
		}
	}
	slices.SortFunc(found, func(a, b process) int { return a.pid - b.pid })
	return found
}

// seen is a process as the system lists it.
type seen struct {
	process
	parent int
	dead   bool // it has ended, and its parent does not know yet
}

func table() map[int]seen {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	entries, _ := dir.Readdirnames(-1) // those that were read
	all := make(map[int]seen, len(entries))
	for _, name := range entries {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if e, ok := look(pid); ok {
			all[pid] = e
		}
	}
	return all
}

// look reads one process (proc(5), /proc/PID/stat).
func look(pid int) (seen, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return seen{}, false
	}
	before, after, ok := cutLast(string(text), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 20 {
		return seen{}, false
	}
	_, name, _ := strings.Cut(before, "(")
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return seen{}, false
	}
	return seen{
		process: process{pid: pid, start: fields[19], name: name},
		parent:  parent,
		dead:    fields[0] == "Z" || fields[0] == "X",
	}, true
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+len(sep):], true
}

// signal reaches this process and no other that has its number by now.
func (p process) signal(sig syscall.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old or a walled-in system
		if now, ok := look(p.pid); ok && now.start == p.start {
			_ = syscall.Kill(p.pid, sig)
		}
		return
	}
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	if now, ok := look(p.pid); ok && now.start == p.start {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

// endMarked kills the processes that have a variable in their environment, and
// all that is below them, and says which of them live on.
func endMarked(variable string, limit time.Duration) []string {
	over := time.Now().Add(limit)
	for {
		marked := map[int]bool{}
		var list []process
		for pid, e := range table() {
			text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
			if err == nil && !e.dead && slices.Contains(strings.Split(string(text), "\x00"), variable) {
				marked[pid] = true
				list = append(list, e.process)
			}
		}
		list = append(list, below(marked)...)
		if len(list) == 0 || time.Now().After(over) {
			return names(list)
		}
		for _, p := range list {
			p.signal(syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond) // nobody tells of processes that are not children
	}
}
