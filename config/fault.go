// Package config turns files into values: the server's own slipway.yaml, and a
// repository's policy file .slipway.yaml. It is strict, and it says everything
// that is wrong with a file at once, each with its line. It reads files and
// the environment when asked to load, and speaks to nothing else.
package config

import (
	"cmp"
	"fmt"
	"slices"
)

// Fault is one thing that is wrong with a file.
type Fault struct {
	File    string
	Line    int // from 1; 0 when it concerns the file as a whole
	Message string
}

// Error is FILE:LINE: MESSAGE.
func (f Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Message)
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

func (f Fault) String() string { return f.Error() }

// sorted orders faults by line, and drops repetitions.
func sorted(faults []Fault) []Fault {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(faults)
}
