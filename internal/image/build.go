package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Build makes the image and keeps it. The same commit with the same Go gives
// the same digest (R2): every time in it is the commit's, and the build knows
// nothing of this machine but the Go command.
func (b *Builder) Build(ctx context.Context, what reconcile.Build) (ref.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, b.config.Timeout)
	defer cancel()
	digest, err := b.build(ctx, what)
	if err != nil {
		return "", fmt.Errorf("build %s:%s from %s: %w", what.Repository, what.Tag, what.Commit.Short(), err)
	}
	return digest, nil
}

func (b *Builder) build(ctx context.Context, what reconcile.Build) (digest ref.Digest, err error) {
	system, arch, ok := strings.Cut(what.Plan.Platform, "/")
	if !ok || system != "linux" {
		return "", fault.AsPermanent(fmt.Errorf("platform %q: want linux/ARCHITECTURE", what.Plan.Platform))
	}
	main, err := packagePath(what.Plan.Main)
	if err != nil {
		return "", fault.AsPermanent(err)
	}
	work, err := os.MkdirTemp(b.path("work"), "")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	for _, d := range []string{"src", "home", "tmp"} {
		if err := os.Mkdir(filepath.Join(work, d), 0o700); err != nil {
			return "", err
		}
	}
	committed, err := b.config.Exporter.Export(ctx, what.Repo, what.Commit, filepath.Join(work, "src"))
	if err != nil {
		return "", err
	}
	toolchain, err := b.compile(ctx, work, main, arch)
	if err != nil {
		return "", err
	}
	binary, err := os.ReadFile(filepath.Join(work, "app"))
	if err != nil {
		return "", err
	}
	img, err := assemble(what, arch, toolchain, committed.UTC().Truncate(time.Second), binary)
	if err != nil {
		return "", err
	}
	return b.keep(img)
}

// packagePath is the package to build, as a path that cannot leave the tree
// or be taken for a flag.
func packagePath(main string) (string, error) {
	clean := path.Clean(strings.ReplaceAll(main, "\\", "/"))
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(clean, "...") || strings.Contains(clean, "@") {
		return "", fmt.Errorf("%q is not a package path within the repository", main)
	}
	return "./" + clean, nil
}

// compile runs go build in an environment made from nothing, and returns the
// toolchain that it was.
func (b *Builder) compile(ctx context.Context, work, main, arch string) (toolchain string, err error) {
	c := b.config
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(work, "home"), "TMPDIR=" + filepath.Join(work, "tmp"),
		"GOOS=linux", "GOARCH=" + arch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOENV=off", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOTELEMETRY=off", "GOCACHE=" + c.GoCache, "GOMODCACHE=" + c.GoModCache,
	}
	for name, value := range map[string]string{"GOPROXY": c.GoProxy, "GOSUMDB": c.GoSumDB, "GOPRIVATE": c.GoPrivate} {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	src := filepath.Join(work, "src")
	version, err := b.run(ctx, src, env, "env", "GOVERSION")
	if err != nil {
		return "", fmt.Errorf("ask the go command %s for its version: %w", c.GoCommand, err)
	}
	_, err = b.run(ctx, src, env, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=",
		"-o", filepath.Join(work, "app"), main)
	if err == nil {
		return strings.TrimSpace(version), nil
	}
	var exit *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &exit) {
		return "", err // cut off, or never started: no word about the code
	}
	return "", fault.AsPermanent(errors.New(strings.ReplaceAll(err.Error(), src+string(filepath.Separator), "")))
}

// outputLimit is how much of a build's output is kept, in bytes: its end.
const outputLimit = 4 << 10

func (b *Builder) run(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.config.GoCommand, args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.WaitDelay = 5 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(said.String())
		return "", fmt.Errorf("%w: %s", err, text[max(0, len(text)-outputLimit):])
	}
	return out.String(), nil
}

// assemble puts the binary on an empty base. The image is a single manifest,
// so that its digest is the one a pod's image id shows.
func assemble(what reconcile.Build, arch, toolchain string, at time.Time, binary []byte) (v1.Image, error) {
	layer, err := layerOf(binary, at)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: at}, CreatedBy: "slipway: go build " + what.Plan.Main}})
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: at}
	file.Config = v1.Config{
		Entrypoint: []string{"/app"},
		WorkingDir: "/",
		User:       "65532:65532",
		Env:        []string{"PATH=/", "SLIPWAY_VERSION=" + what.Version, "SLIPWAY_REVISION=" + string(what.Commit)},
		Labels: map[string]string{
			"org.opencontainers.image.revision": string(what.Commit),
			"org.opencontainers.image.version":  what.Version,
			"org.opencontainers.image.source":   what.Source,
			"org.opencontainers.image.created":  at.Format(time.RFC3339),
			"org.opencontainers.image.title":    what.Repo.String(),
			"dev.slipway.change":                changeOf(what),
			"dev.slipway.toolchain":             toolchain,
		},
	}
	return mutate.ConfigFile(img, file)
}

func changeOf(what reconcile.Build) string {
	if what.Change.IsZero() {
		return ""
	}
	return what.Change.String()
}

func layerOf(binary []byte, at time.Time) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "app", Mode: 0o755, Size: int64(len(binary)), ModTime: at, Format: tar.FormatPAX}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// keep writes the image into a layout of its own, whole or not at all, so
// that a push after a restart needs no second build.
func (b *Builder) keep(img v1.Image) (ref.Digest, error) {
	hash, err := img.Digest()
	if err != nil {
		return "", err
	}
	digest, err := ref.ParseDigest(hash.String())
	if err != nil {
		return "", err
	}
	if _, err := b.kept(digest); err == nil {
		return digest, nil
	}
	making, err := os.MkdirTemp(b.path("work"), "")
	if err != nil {
		return "", err
	}
	p, err := layout.Write(making, empty.Index)
	if err != nil {
		return "", err
	}
	if err := p.AppendImage(img); err != nil {
		return "", err
	}
	at := b.layoutOf(digest)
	if err := os.RemoveAll(at); err != nil {
		return "", err
	}
	if err := os.Rename(making, at); err != nil {
		return "", err
	}
	return digest, b.prune(at)
}

// kept is an image that was built earlier, checked for damage.
func (b *Builder) kept(digest ref.Digest) (v1.Image, error) {
	p, err := layout.FromPath(b.layoutOf(digest))
	if err != nil {
		return nil, err
	}
	hash, err := v1.NewHash(string(digest))
	if err != nil {
		return nil, err
	}
	img, err := p.Image(hash)
	if err != nil {
		return nil, err
	}
	return img, sound(p, img, hash)
}

// sound reads the whole image and compares it with what it should be.
func sound(p layout.Path, img v1.Image, want v1.Hash) error {
	hashes := []v1.Hash{want}
	if m, err := img.Manifest(); err != nil {
		return err
	} else {
		for _, l := range append(m.Layers, m.Config) {
			hashes = append(hashes, l.Digest)
		}
	}
	if got, err := partial.Digest(img); err != nil || got != want {
		return errors.Join(err, fmt.Errorf("the kept image %s is damaged", want))
	}
	for _, h := range hashes {
		blob, err := p.Blob(h)
		if err != nil {
			return err
		}
		got, _, err := v1.SHA256(blob)
		if err = errors.Join(err, blob.Close()); err != nil {
			return err
		}
		if got != h {
			return fmt.Errorf("the kept image %s is damaged at %s", want, h)
		}
	}
	return nil
}

func (b *Builder) layoutOf(digest ref.Digest) string {
	return b.path("built", strings.TrimPrefix(string(digest), "sha256:"))
}

// keptImages is how many built images are kept.
const keptImages = 20

// prune removes the oldest images beyond keptImages, and never the one just made.
func (b *Builder) prune(made string) error {
	found, err := os.ReadDir(b.path("built"))
	if err != nil {
		return err
	}
	type aged struct {
		path string
		at   time.Time
	}
	var all []aged
	for _, d := range found {
		info, err := d.Info()
		if err != nil {
			continue // it was removed meanwhile
		}
		if p := b.path("built", d.Name()); p != made {
			all = append(all, aged{p, info.ModTime()})
		}
	}
	for len(all) >= keptImages {
		oldest := 0
		for i := range all {
			if all[i].at.Before(all[oldest].at) {
				oldest = i
			}
		}
		if err := os.RemoveAll(all[oldest].path); err != nil {
			return err
		}
		all = append(all[:oldest], all[oldest+1:]...)
	}
	return nil
}
