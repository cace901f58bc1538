// Package image builds Go services into OCI images, in this process and
// reproducibly, keeps what it built, and publishes it under a tag that was
// free. It never moves a tag and never decides what is built.
package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/semaphore"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Exporter writes the tree of a commit into an empty folder.
type Exporter interface {
	Export(ctx context.Context, repo ref.RepoID, commit ref.SHA, dir string) (committed time.Time, err error)
}

// Auth is how to speak to one registry. No printed form of it shows the
// password.
type Auth struct {
	Username string // "" asks as nobody
	Password string
	Insecure bool // plain HTTP will do
}

// Config says what images are made from, with and where they go.
type Config struct {
	// Dir is a folder for built images and for what is being built. It belongs
	// to one process at a time.
	Dir      string
	Exporter Exporter
	// Registries are the known ones, by HOST or HOST:PORT.
	Registries map[string]Auth
	// The environment of the builds; "" leaves Go's default, but for the two
	// folders, which are then in Dir.
	GoProxy, GoSumDB, GoPrivate, GoCache, GoModCache string
	// GoCommand is the go command; "" means the one on PATH.
	GoCommand string
	// Timeout bounds one build; 0 means ten minutes.
	Timeout time.Duration
}

// Builder is a reconcile.Images. It is safe for concurrent use.
type Builder struct {
	config Config
	http   *http.Transport
	// builds bounds those at work: one alone takes every processor it finds.
	builds *semaphore.Weighted
}

var _ reconcile.Images = (*Builder)(nil)

// New prepares the folder; what an earlier process was building is removed.
func New(c Config) (*Builder, error) {
	if c.Exporter == nil || c.Dir == "" {
		return nil, errors.New("images want a folder and something to build from")
	}
	if c.GoCommand == "" {
		c.GoCommand = "go"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	var err error
	if c.GoCommand, err = exec.LookPath(c.GoCommand); err != nil {
		return nil, fmt.Errorf("the go command, which builds the images: %w: install Go", err)
	}
	if c.GoCache == "" {
		c.GoCache = filepath.Join(c.Dir, "go-build")
	}
	if c.GoModCache == "" {
		c.GoModCache = filepath.Join(c.Dir, "go-mod")
	}
	for _, p := range []*string{&c.Dir, &c.GoCommand, &c.GoCache, &c.GoModCache} {
		if *p, err = filepath.Abs(*p); err != nil {
			return nil, err
		}
	}
	b := &Builder{config: c, http: remote.DefaultTransport.(*http.Transport).Clone(), builds: semaphore.NewWeighted(2)}
	b.http.ResponseHeaderTimeout = time.Minute
	if err := os.RemoveAll(b.path("work")); err != nil {
		return nil, fmt.Errorf("clear the builds that were cut off: %w", err)
	}
	for _, d := range []string{b.path("work"), b.path("built"), c.GoCache, c.GoModCache} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("prepare the image folder: %w", err)
		}
	}
	return b, nil
}

// Build makes the image and keeps it. The same commit with the same Go gives
// the same digest (R2): every time in it is the commit's, and the build knows
// nothing of this machine but the Go command. What the code itself is to blame
// for is fault.Permanent.
func (b *Builder) Build(ctx context.Context, what reconcile.Build) (ref.Digest, error) {
	digest, err := b.build(ctx, what)
	if err != nil {
		return "", fmt.Errorf("build %s:%s from %s at %s: %w", what.Repository, what.Tag, what.Repo, what.Commit.Short(), err)
	}
	return digest, nil
}

// String names the user, but not the password.
func (a Auth) String() string {
	if a.Username == "" {
		return "nobody"
	}
	return a.Username + " with a password"
}

// GoString is String, for %#v.
func (a Auth) GoString() string { return a.String() }

// MarshalText is String, for JSON and logs.
func (a Auth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (b *Builder) build(ctx context.Context, what reconcile.Build) (digest ref.Digest, err error) {
	arch, err := architecture(what.Plan.Platform)
	if err != nil {
		return "", err
	}
	program, err := packagePath(what.Plan.Main)
	if err != nil {
		return "", err
	}
	if err := b.builds.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer b.builds.Release(1)
	ctx, cancel := context.WithTimeout(ctx, b.config.Timeout)
	defer cancel()
	dir, err := os.MkdirTemp(b.path("work"), "build-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &work{config: b.config, dir: dir, arch: arch}
	if err := w.prepare(); err != nil {
		return "", err
	}
	committed, err := b.config.Exporter.Export(ctx, what.Repo, what.Commit, w.path("src"))
	if err != nil {
		return "", err
	}
	binary, err := w.compile(ctx, program)
	if err != nil {
		return "", err
	}
	img, err := assemble(what, arch, w.toolchain, committed, binary)
	if err != nil {
		return "", err
	}
	return b.keep(img)
}

func (b *Builder) path(elements ...string) string {
	return filepath.Join(append([]string{b.config.Dir}, elements...)...)
}
