//go:build !unix

package image

import "os/exec"

// ownGroup does nothing: without process groups the command alone is ended.
func ownGroup(*exec.Cmd) {}

func endGroup(*exec.Cmd) {}
