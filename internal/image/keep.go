package image

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"slipway/internal/ref"
)

// keptImages is how many built images are kept: those used last.
const keptImages = 20

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
	making, err := os.MkdirTemp(b.path("work"), "keep-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making)
	p, err := layout.Write(filepath.Join(making, "new"), empty.Index)
	if err == nil {
		err = p.AppendImage(img)
	}
	if err != nil {
		return "", fmt.Errorf("keep the image: %w", err)
	}
	at := b.layoutOf(digest)
	if err := os.RemoveAll(at); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(making, "new"), at); err != nil {
		if _, keptErr := b.kept(digest); keptErr != nil { // another build of the same was not faster
			return "", err
		}
	}
	return digest, b.prune()
}

// kept is an image that was built earlier, read whole and checked for damage.
func (b *Builder) kept(digest ref.Digest) (v1.Image, error) {
	hash, err := v1.NewHash(string(digest))
	if err != nil {
		return nil, err
	}
	at := b.layoutOf(digest)
	p, err := layout.FromPath(at)
	if err != nil {
		return nil, err
	}
	img, err := p.Image(hash)
	if err != nil {
		return nil, err
	}
	if err := sound(p, img, hash); err != nil {
		return nil, fmt.Errorf("the kept image %s is damaged: %w", digest, err)
	}
	now := time.Now()
	return img, os.Chtimes(at, now, now) // it is in use
}

// sound reads every part of the image. Each is named by its digest, the
// manifest by want, and so everything is what it was.
func sound(p layout.Path, img v1.Image, want v1.Hash) error {
	m, err := img.Manifest()
	if err != nil {
		return err
	}
	for _, part := range append([]v1.Hash{want, m.Config.Digest}, digests(m.Layers)...) {
		blob, err := p.Blob(part)
		if err != nil {
			return err
		}
		got, _, err := v1.SHA256(blob)
		if err := errors.Join(err, blob.Close()); err != nil {
			return err
		}
		if got != part {
			return fmt.Errorf("%s is %s", part, got)
		}
	}
	return nil
}

func digests(of []v1.Descriptor) []v1.Hash {
	hashes := make([]v1.Hash, len(of))
	for i, d := range of {
		hashes[i] = d.Digest
	}
	return hashes
}

func (b *Builder) layoutOf(digest ref.Digest) string {
	return b.path("built", strings.TrimPrefix(string(digest), "sha256:"))
}

// prune removes all but the images used last.
func (b *Builder) prune() error {
	found, err := os.ReadDir(b.path("built"))
	if err != nil {
		return err
	}
	used := map[string]time.Time{}
	for _, d := range found {
		if info, err := d.Info(); err == nil { // else it was removed meanwhile
			used[d.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(found, func(x, y os.DirEntry) int {
		return cmp.Or(used[y.Name()].Compare(used[x.Name()]), cmp.Compare(x.Name(), y.Name()))
	})
	for _, d := range found[min(len(found), keptImages):] {
		if err := os.RemoveAll(b.path("built", d.Name())); err != nil {
			return err
		}
	}
	return nil
}
