package config

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"slipway/pools"
)

// maxSettle is how long a change of the pool config must have been there, if
// looks are no oftener: who writes a file in two goes is given that time.
const maxSettle = 500 * time.Millisecond

// LoadPools reads a pool config, and the prompts that it names from the folder
// in which it is named, even if it is a link. With faults, the set is not to be
// used.
func LoadPools(path string) (pools.Set, []Fault) {
	const tries = 3 // a folder that is exchanged while it is read is read again
	for i := 1; ; i++ {
		set, faults, seen := readPools(path)
		if i == tries || seen.same() {
			return set, faults
		}
	}
}

// WatchPools tells what LoadPools reads: at once, and after each change of what
// the file or one of its prompts holds, until ctx ends; then it returns nil. It
// looks every so often and compares contents, so that a link that leads
// elsewhere is a change and a file that was only touched is none. A change is
// told once it has stood for a look, or half a second: what is half written is
// read again.
func WatchPools(ctx context.Context, path string, every time.Duration, tell func(pools.Set, []Fault)) error {
	if every <= 0 {
		return fmt.Errorf("watch %s: cannot look every %s", path, every)
	}
	set, faults, told := readPools(path)
	tell(set, faults)
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		if told.same() {
			continue
		}
		set, faults, seen := readPools(path)
		if !waited(ctx, min(every, maxSettle)) {
			return nil
		}
		if seen.same() {
			tell(set, faults)
			told = seen
		}
	}
}

// waited is false when ctx ended first.
func waited(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// reading is what was read of the pool config's file, and of its prompts.
type reading struct {
	file    func() ([]byte, error)
	was     content
	prompt  func(string) ([]byte, error)
	prompts map[string]content
}

type content struct {
	data []byte
	err  error
}

func readPools(path string) (pools.Set, []Fault, reading) {
	r := reading{
		file:    func() ([]byte, error) { return readLimited(path, maxFile+1) },
		prompt:  promptsOf(filepath.Dir(path)),
		prompts: map[string]content{},
	}
	r.was = got(r.file())
	if r.was.err != nil {
		return pools.Set{}, []Fault{{File: path, Message: "cannot be read: " + why(r.was.err)}}, r
	}
	set, faults := ParsePools(path, r.was.data, func(file string) ([]byte, error) {
		o := got(r.prompt(file))
		r.prompts[file] = o
		return o.data, o.err
	})
	return set, faults, r
}

// same says whether all of it would be read again as it was.
func (r reading) same() bool {
	if !r.was.is(got(r.file())) {
		return false
	}
	for file, was := range r.prompts {
		if !was.is(got(r.prompt(file))) {
			return false
		}
	}
	return true
}

func got(data []byte, err error) content { return content{data, err} }

func (o content) is(other content) bool {
	if o.err != nil || other.err != nil {
		return o.err != nil && other.err != nil && o.err.Error() == other.err.Error()
	}
	return bytes.Equal(o.data, other.data)
}
