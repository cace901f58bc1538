//go:build !unix

package worker

import (
	"errors"
	"os"
)

// A worker has to end whole trees of processes, which is done for Unix systems.
var errNoUnix = errors.New("a worker needs a Unix system")

func hold(*os.File) error { return errNoUnix }

func openPlain(string) (*os.File, error) { return nil, errNoUnix }
