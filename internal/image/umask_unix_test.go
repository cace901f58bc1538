//go:build unix

package image

import "syscall"

// restrict makes new files private and returns what undoes it.
func restrict() func() {
	old := syscall.Umask(0o077)
	return func() { syscall.Umask(old) }
}
