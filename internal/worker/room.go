package worker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/pools"
)

// Room is a worker's folder. It is locked: one worker at a time, and as long as
// anything of the last one's command lives.
type Room struct {
	dir  string
	lock *os.File
}

const (
	// lockWait is how long an earlier worker's supervisor gets to end what is
	// left of its command.
	lockWait = 3 * time.Second
	// Limits of what is read back from the command, in bytes.
	reportLimit  = 8 << 20
	reviewLimit  = 256 << 10
	summaryLimit = 32 << 10
)

// ErrTaken says that another worker is in the room.
var ErrTaken = errors.New("another worker of this coordinate is at work there")

// OpenRoom takes the folder of a coordinate below dir, which is made if it is
// missing. Worktrees that a worker left behind when it was killed are removed.
func OpenRoom(dir string, a pools.Address) (*Room, error) {
	dir, err := filepath.Abs(filepath.Join(dir, a.String()))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "attempts"), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of %s: %w", a, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the worker's own folder
	if err != nil {
		return nil, fmt.Errorf("the folder of %s: %w", a, err)
	}
	r := &Room{dir: dir, lock: lock}
	for until := time.Now().Add(lockWait); ; {
		err := hold(lock)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrTaken) || time.Now().After(until) {
			lock.Close()
			return nil, fmt.Errorf("the folder %s: %w", dir, err)
		}
		time.Sleep(50 * time.Millisecond) // a lock has no signal to wait for
	}
	if err := r.sweep(); err != nil {
		r.Close()
		return nil, fmt.Errorf("remove what an earlier worker left in %s: %w", dir, err)
	}
	return r, nil
}

// Dir is the folder itself.
func (r *Room) Dir() string { return r.dir }

// Close lets another worker in.
func (r *Room) Close() error { return r.lock.Close() }

func (r *Room) sweep() error {
	old, err := os.ReadDir(filepath.Join(r.dir, "attempts"))
	if err != nil {
		return err
	}
	for _, e := range old {
		if err := remove(filepath.Join(r.dir, "attempts", e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// bench is one attempt's own folder: the worktree and, beside it, what the
// command is given and gives back.
type bench struct {
	dir string
}

func (r *Room) bench(name string) (bench, error) {
	dir, err := os.MkdirTemp(filepath.Join(r.dir, "attempts"), name+"-")
	if err != nil {
		return bench{}, err
	}
	b := bench{dir}
	for _, d := range []string{b.tree(), b.temp()} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (b bench) path(name string) string { return filepath.Join(b.dir, name) }
func (b bench) tree() string            { return b.path("tree") }
func (b bench) temp() string            { return b.path("tmp") }
func (b bench) report() string          { return b.path("report.jsonl") }
func (b bench) review() string          { return b.path("review.json") }
func (b bench) summary() string         { return b.path("summary.md") }

// put writes a file for the command.
func (b bench) put(name, text string) error {
	return os.WriteFile(b.path(name), []byte(text), 0o600)
}

var errTooLong = errors.New("it is too long")

// read reads a file that the command may have made: a plain one, and no longer
// than limit. One that is not there is empty.
func read(path string, limit int64) ([]byte, error) {
	f, err := openPlain(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("it cannot be opened as a plain file")
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is not a plain file")
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: more than %d KiB", errTooLong, limit>>10)
	}
	return data, nil
}

// remove deletes a folder with all that is in it. A command may have left
// folders that even their owner may not write to, as module caches are.
func remove(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	if root, openErr := os.OpenRoot(dir); openErr == nil {
		_ = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				_ = root.Chmod(path, 0o700)
			}
			return nil // what cannot be mended shows below
		})
		root.Close()
	}
	if err := os.RemoveAll(dir); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return nil
}
