//go:build !windows

package store

// private says that the permissions of a file say who may read it.
const private = true
