//go:build unix && !linux

package worker

import (
	"fmt"
	"syscall"
	"time"
)

// adopt has nothing to do: without a way to follow processes, the command's own
// group is ended, and what left it is not found.
func adopt() error { return nil }

// Conceal has nothing to do on this system.
func Conceal() error { return nil }

func (s *supervisor) living() []process {
	if syscall.Kill(-s.main, 0) != nil {
		return nil
	}
	return []process{{pid: s.main, name: fmt.Sprintf("group %d", s.main)}}
}

func (s *supervisor) signal(_ []process, sig syscall.Signal) { _ = syscall.Kill(-s.main, sig) }

func endMarked(string, time.Duration) []string { return nil }

// Inherit has nothing to do on this system.
func Inherit() error { return nil }

func children() map[int]bool { return nil }

func endOrphans(map[int]bool, time.Duration) []string { return nil }
