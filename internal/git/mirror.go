package git

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// mirror is one repository's mirror. Both locks end with a context.
type mirror struct {
	repo ref.RepoID
	path string
	// writing is held by the one who writes to the mirror.
	writing *semaphore.Weighted
	// place is held by everybody who reads, and whole while the mirror is
	// replaced by another.
	place *semaphore.Weighted
	// suspect says that git failed on it in a way that a sound mirror does not.
	suspect atomic.Bool

	// The rest belongs to who holds writing.
	fetched time.Time // when the last good fetch began
	opened  bool      // what dead processes left behind is removed
}

// label is a file in the mirror that says of what it is one. It is written
// last, so that a half-made mirror has none.
type label struct {
	URL    string `json:"url"`
	Format string `json:"object_format"`
}

const (
	labelFile  = "slipway.json"
	labelLimit = 64 << 10 // bytes
)

// plainAttributes make an exported tree equal to the committed one: a
// .gitattributes file could leave files out, rewrite text or name a filter.
const plainAttributes = "* -export-ignore -export-subst -text !eol -ident -filter !working-tree-encoding\n"

var (
	errAbsent  = errors.New("there is no mirror yet")
	errMissing = errors.New("does not have commit")
)

func newMirror(repo ref.RepoID, path string) *mirror {
	return &mirror{
		repo:    repo,
		path:    path,
		writing: semaphore.NewWeighted(1),
		place:   semaphore.NewWeighted(math.MaxInt64),
	}
}

// read calls use with the mirror's folder once all the commits are known
// there. If they are not, or git stumbles over the mirror, it fetches once and
// tries again.
func (g *Mirrors) read(ctx context.Context, repo ref.RepoID, commits []ref.SHA, use func(dir string) error) error {
	m, err := g.mirror(repo)
	if err != nil {
		return err
	}
	if err := checkSHAs(commits...); err != nil {
		return err
	}
	err = g.readOnce(ctx, m, commits, use)
	broken := (*failure)(nil)
	if !errors.Is(err, errAbsent) && !errors.Is(err, errMissing) && !errors.As(err, &broken) {
		return err
	}
	if broken != nil {
		m.suspect.Store(true)
	}
	if err := g.fetch(ctx, m); err != nil {
		return fmt.Errorf("fetch %s: %w", repo, err)
	}
	return g.readOnce(ctx, m, commits, use)
}

func (g *Mirrors) readOnce(ctx context.Context, m *mirror, commits []ref.SHA, use func(dir string) error) error {
	remote, err := g.remote(m.repo)
	if err != nil {
		return err
	}
	if err := m.place.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.place.Release(1)
	if l, err := m.label(); err != nil || l.URL != remote.URL {
		return errAbsent
	}
	if len(commits) > 0 {
		known, err := g.lookUp(ctx, m.path, shaNames(commits))
		if err != nil {
			return err
		}
		for i, sha := range known {
			if sha == "" {
				return fmt.Errorf("%s %w %s", m.repo, errMissing, commits[i])
			}
		}
	}
	return use(m.path)
}

// fetch takes the write lock and brings the mirror up to date.
func (g *Mirrors) fetch(ctx context.Context, m *mirror) error {
	asked := time.Now()
	if err := m.writing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.writing.Release(1)
	if m.fetched.After(asked) { // somebody else's fetch, begun since
		return nil
	}
	return g.update(ctx, m)
}

// update fetches into the mirror, or makes it anew where that is needed. The
// write lock is held.
func (g *Mirrors) update(ctx context.Context, m *mirror) error {
	remote, err := g.remote(m.repo)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := g.refresh(ctx, m, remote); err != nil {
		return err
	}
	m.fetched = began
	return nil
}

func (g *Mirrors) refresh(ctx context.Context, m *mirror, remote Remote) error {
	l, err := m.label()
	if err != nil || l.URL != remote.URL {
		return g.make(ctx, m, remote)
	}
	if err := m.strip(); err != nil {
		return err
	}
	if !m.opened {
		if err := removeLocks(m.path); err != nil {
			return err
		}
		m.opened = true
	}
	if m.suspect.Load() {
		if ctx.Err() == nil && !g.sound(ctx, m) {
			return g.make(ctx, m, remote)
		}
		m.suspect.Store(false)
	}
	fetchErr := g.pull(ctx, m.path, remote)
	if fetchErr == nil {
		return nil
	}
	m.opened = false // a git that was ended may have left locks
	if ctx.Err() != nil || fault.KindOf(fetchErr) == fault.Permanent {
		return fetchErr
	}
	// Is it the forge or the mirror? The forge is cheaper to ask.
	format, err := g.format(ctx, remote)
	if err != nil {
		return err
	}
	if format == l.Format && g.sound(ctx, m) {
		return fetchErr
	}
	if ctx.Err() != nil {
		return fetchErr
	}
	return g.make(ctx, m, remote)
}

// make fetches everything into a new folder and puts that in the mirror's
// place. The write lock is held.
func (g *Mirrors) make(ctx context.Context, m *mirror, remote Remote) error {
	format, err := g.format(ctx, remote)
	if err != nil {
		return err
	}
	if format == "" { // an empty repository does not say
		format = "sha1"
	}
	temp, err := os.MkdirTemp(g.temp, "mirror-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	fresh := filepath.Join(temp, "new")
	_, err = g.run(ctx, command{args: []string{"init", "--quiet", "--bare", "--template=", "--object-format=" + format, fresh}})
	if err != nil {
		return err
	}
	if err := configure(fresh, format); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(fresh, "info"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fresh, "info", "attributes"), []byte(plainAttributes), 0o600); err != nil {
		return err
	}
	if err := g.pull(ctx, fresh, remote); err != nil {
		return err
	}
	text, err := json.Marshal(label{URL: remote.URL, Format: format})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fresh, labelFile), text, 0o600); err != nil {
		return err
	}
	if err := m.place.Acquire(ctx, math.MaxInt64); err != nil {
		return err
	}
	defer m.place.Release(math.MaxInt64)
	if err := os.Rename(m.path, filepath.Join(temp, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return err
	}
	if err := os.Rename(fresh, m.path); err != nil {
		return err
	}
	m.opened = true
	m.suspect.Store(false)
	return nil
}

// pull fetches branches and tags into dir, exactly as they stand at the forge.
func (g *Mirrors) pull(ctx context.Context, dir string, remote Remote) error {
	_, err := g.run(ctx, command{
		args: []string{"fetch", "--quiet", "--force", "--prune", "--no-tags", "--no-write-fetch-head",
			"--end-of-options", remote.URL, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"},
		dir:    dir,
		remote: &remote,
	})
	return err
}

// format asks the forge how the repository names its objects; "" if it is empty.
func (g *Mirrors) format(ctx context.Context, remote Remote) (string, error) {
	out, err := g.run(ctx, command{args: []string{"ls-remote", "--quiet", "--heads", "--tags", "--end-of-options", remote.URL}, remote: &remote})
	if err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(string(out), "\t")
	switch len(name) {
	case 0:
		return "", nil
	case 64:
		return "sha256", nil
	default:
		return "sha1", nil
	}
}

// sound lets git read every object of the mirror. A check that cannot be
// finished counts against the mirror.
func (g *Mirrors) sound(ctx context.Context, m *mirror) bool {
	_, err := g.run(ctx, command{args: []string{"fsck", "--full", "--no-dangling", "--no-progress"}, dir: m.path})
	return err == nil
}

// lookUp is the full id of the commit that each name stands for, "" for one
// that stands for none. A name must hold no line end.
func (g *Mirrors) lookUp(ctx context.Context, dir string, names []string) ([]ref.SHA, error) {
	var stdin strings.Builder
	for _, n := range names {
		stdin.WriteString(n + "^{commit}\n")
	}
	out, err := g.run(ctx, command{args: []string{"cat-file", "--batch-check=%(objectname)"}, dir: dir, stdin: stdin.String()})
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(names) {
		return nil, fmt.Errorf("git cat-file: %d answers to %d questions", len(lines), len(names))
	}
	shas := make([]ref.SHA, len(names))
	for i, line := range lines {
		if sha, err := ref.ParseSHA(line); err == nil { // else "NAME missing"
			shas[i] = sha
		}
	}
	return shas, nil
}

func (m *mirror) label() (label, error) {
	var l label
	if info, err := os.Lstat(filepath.Join(m.path, labelFile)); err != nil || !info.Mode().IsRegular() || info.Size() > labelLimit {
		return l, errors.Join(err, errAbsent) // a pipe would be waited for
	}
	text, err := os.ReadFile(filepath.Join(m.path, labelFile))
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(text, &l)
}

// removeLocks removes git's lock files. Whoever holds the write lock knows that
// no git of this process works there; one that outlived an earlier process
// loses its lock and fails, and what it may break is found by a later check.
func removeLocks(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() || !strings.HasSuffix(path, ".lock") {
			return nil
		}
		if err := root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func shaNames(shas []ref.SHA) []string {
	names := make([]string, len(shas))
	for i, s := range shas {
		names[i] = string(s)
	}
	return names
}
