//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package servers

import (
	"context"
	"fmt"
	"runtime"
)

// lock fails: the servers themselves need a Unix too.
func lock(context.Context, string, func()) (unlock func(), err error) {
	return nil, fmt.Errorf("the test servers cannot be built on %s: use Linux or macOS", runtime.GOOS)
}
