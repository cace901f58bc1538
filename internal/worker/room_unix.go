//go:build unix

package worker

import (
	"errors"
	"os"
	"syscall"
)

// hold takes the lock, which every holder of the open file has until the last
// of them ends.
func hold(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrTaken
	}
	return err
}

// openPlain opens a file without following a link or waiting for a pipe's
// other end.
func openPlain(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // a file of the attempt's own folder
}
