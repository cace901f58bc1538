//go:build !unix

package worker

import (
	"os/exec"
	"time"
)

// Supervise cannot be had on this system.
func Supervise() int { return 2 }

// Conceal has nothing to do on this system.
func Conceal() error { return nil }

func apart(*exec.Cmd) {}

func endMarked(string, time.Duration) []string { return nil }

// Inherit has nothing to do on this system.
func Inherit() error { return nil }

func children() map[int]bool { return nil }

func endOrphans(map[int]bool, time.Duration) []string { return nil }
