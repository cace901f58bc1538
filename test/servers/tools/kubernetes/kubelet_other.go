//go:build !linux

package main

// addKubelet adds nothing: a kubelet that runs containers exists on Linux only.
func addKubelet(map[string]func() int) {}
