//go:build !linux

package kubernetes

import "runtime"

// Detect says which level this machine can have, and why not the higher one.
func Detect() (Level, string) {
	return Kwok, "real containers need Linux, this is " + runtime.GOOS
}
