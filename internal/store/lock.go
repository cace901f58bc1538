package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// errHeld says that another process has the lock.
var errHeld = errors.New("lock is held")

// lock makes this process the only one that writes the store at path. The
// kernel drops the lock with its holder, so a killed server leaves none
// behind; the file stays, and names the last holder for people.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w: the directory must exist and be writable", path, err)
	}
	err = tryLock(f)
	if errors.Is(err, errHeld) {
		defer f.Close()
		return nil, fmt.Errorf("store %s is in use by another slipway server%s: stop that one first, or name another store for this one", path, holder(f))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock store %s: %w", path, err)
	}
	if err := name(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock store %s: %w", path, err)
	}
	return f, nil
}

// name writes who holds the lock.
func name(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads what name wrote, as the end of a sentence.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}
