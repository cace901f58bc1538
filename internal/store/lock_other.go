//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package store

import (
	"fmt"
	"os"
	"runtime"
)

// tryLock fails: a store that two servers could write is worse than none.
func tryLock(*os.File) error {
	return fmt.Errorf("files cannot be locked on %s: run the server on Linux, macOS, a BSD or Windows", runtime.GOOS)
}
