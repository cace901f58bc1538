//go:build !unix

package image

// restrict does nothing where there is no umask.
func restrict() func() { return func() {} }
