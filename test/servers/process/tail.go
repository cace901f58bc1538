package process

import (
	"bytes"
	"io"
	"sync"
)

// tailSize is how much of a program's log is kept for errors, in bytes.
const tailSize = 8 << 10

// tail passes on what a program writes and keeps the end of it.
type tail struct {
	out io.Writer

	mu   sync.Mutex
	kept []byte
}

// Write never fails: a log that cannot be written must not stop a server.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out != nil {
		_, _ = t.out.Write(b)
	}
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

// String returns the kept end, from the beginning of a line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.kept
	if len(kept) == tailSize {
		if _, rest, found := bytes.Cut(kept, []byte("\n")); found {
			kept = rest
		}
	}
	return string(bytes.TrimSpace(kept))
}
