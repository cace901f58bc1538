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
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Exporter writes the tree of a commit into an empty folder.
type Exporter interface {
	Export(ctx context.Context, repo ref.RepoID, commit ref.SHA, dir string) (committed time.Time, err error)
}

// Auth is how to speak to one registry.
type Auth struct {
	Username string // "" asks as nobody
	Password string
	Insecure bool // plain HTTP
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
}

var _ reconcile.Images = (*Builder)(nil)

// callTimeout bounds one use of a registry, blobs and all.
const callTimeout = 5 * time.Minute

// New prepares the folder; what an earlier process was building is removed.
func New(c Config) (*Builder, error) {
	if c.Exporter == nil || c.Dir == "" {
		return nil, errors.New("images want a folder and something to build from")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	if c.GoCommand == "" {
		c.GoCommand = "go"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	for folder, path := range map[string]*string{"go-build": &c.GoCache, "go-mod": &c.GoModCache} {
		if *path == "" {
			*path = filepath.Join(c.Dir, folder)
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	b := &Builder{config: c, http: remote.DefaultTransport.(*http.Transport).Clone()}
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

// Resolve says what the registry holds under a tag: No only when the registry
// itself says that there is nothing.
func (b *Builder) Resolve(ctx context.Context, repository string, tag ref.Tag) (ref.Fact, ref.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, options, err := b.reference(ctx, repository, tag)
	if err != nil {
		return ref.Unknown, "", err
	}
	found, err := remote.Head(r, options...)
	if absent(err) {
		return ref.No, "", nil
	}
	if err != nil {
		return ref.Unknown, "", sorted(fmt.Errorf("resolve %s: %w", r.Name(), err))
	}
	digest, err := ref.ParseDigest(found.Digest.String())
	if err != nil {
		return ref.Unknown, "", fmt.Errorf("resolve %s: %w", r.Name(), err)
	}
	return ref.Yes, digest, nil
}

// Push publishes what was built under its tag, if the tag is free or names the
// same digest already.
func (b *Builder) Push(ctx context.Context, what reconcile.Build, want ref.Digest) error {
	exists, there, err := b.Resolve(ctx, what.Repository, what.Tag)
	switch {
	case err != nil:
		return err
	case exists == ref.Yes && there == want:
		return nil
	case exists == ref.Yes:
		return foreign(what, there, want)
	}
	img, err := b.kept(want)
	if err != nil {
		digest, buildErr := b.Build(ctx, what)
		if buildErr != nil {
			return buildErr
		}
		if digest != want {
			return fault.AsChanged(fmt.Errorf("%s:%s was built again and is %s now, not %s", what.Repository, what.Tag, digest, want))
		}
		if img, err = b.kept(want); err != nil {
			return err
		}
	}
	if err := b.write(ctx, what, img); err != nil {
		return err
	}
	exists, there, err = b.Resolve(ctx, what.Repository, what.Tag)
	switch {
	case err != nil:
		return err
	case exists != ref.Yes:
		return fmt.Errorf("%s:%s was pushed and the registry does not have it", what.Repository, what.Tag)
	case there != want:
		return foreign(what, there, want)
	}
	return nil
}

func (b *Builder) write(ctx context.Context, what reconcile.Build, img v1.Image) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, options, err := b.reference(ctx, what.Repository, what.Tag)
	if err != nil {
		return err
	}
	if err := remote.Write(r, img, options...); err != nil {
		return sorted(fmt.Errorf("push %s: %w", r.Name(), err))
	}
	return nil
}

func (b *Builder) path(elements ...string) string {
	return filepath.Join(append([]string{b.config.Dir}, elements...)...)
}

// reference is a tag with the way to its registry. Credentials go to that
// host alone.
func (b *Builder) reference(ctx context.Context, repository string, tag ref.Tag) (name.Tag, []remote.Option, error) {
	host, _, _ := strings.Cut(repository, "/")
	auth, known := b.config.Registries[host]
	if !known {
		return name.Tag{}, nil, fault.AsPermanent(fmt.Errorf("the registry %s is not configured", host))
	}
	options := []name.Option{name.StrictValidation}
	if auth.Insecure {
		options = append(options, name.Insecure)
	}
	r, err := name.NewTag(repository+":"+string(tag), options...)
	if err != nil {
		return name.Tag{}, nil, fault.AsPermanent(err)
	}
	who := authn.Anonymous
	if auth.Username != "" {
		who = &authn.Basic{Username: auth.Username, Password: auth.Password}
	}
	// What fails is tried again by the caller, after it has looked.
	return r, []remote.Option{remote.WithContext(ctx), remote.WithAuth(who), remote.WithTransport(b.http),
		remote.WithRetryStatusCodes(), remote.WithRetryBackoff(remote.Backoff{Steps: 1})}, nil
}

func foreign(what reconcile.Build, there, want ref.Digest) error {
	return fault.AsPermanent(fmt.Errorf("%s:%s names %s already, which is not what was built here (%s)", what.Repository, what.Tag, there, want))
}

// absent says whether the registry knows that there is nothing.
func absent(err error) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}

// sorted tells what trying again may mend from what only a person can.
func sorted(err error) error {
	var refused *transport.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.AsPermanent(fmt.Errorf("%w: give Slipway's account the right to write packages there", err))
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
		return fault.AsPermanent(err)
	}
	return err
}
