package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/internal/reconcile"
)

// nobody is who the program runs as: a user without rights or a name, whom
// runAsNonRoot accepts because it is a number.
const nobody = "65532:65532"

// assemble puts the binary on an empty base. The image is a single manifest,
// so that its digest is the one a pod's image id shows.
func assemble(what reconcile.Build, arch, toolchain string, committed time.Time, binary []byte) (v1.Image, error) {
	at := written(committed)
	layer, err := layerOf(binary, at)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{
		Layer:     layer,
		MediaType: types.OCILayer,
		History:   v1.History{Created: v1.Time{Time: at}, CreatedBy: "slipway: go build " + what.Plan.Main},
	})
	if err != nil {
		return nil, fmt.Errorf("assemble the image: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("assemble the image: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: at}
	file.Config = v1.Config{
		Entrypoint: []string{"/app"},
		WorkingDir: "/",
		User:       nobody,
		// By these a service can answer which revision it is.
		Env: []string{"PATH=/", "SLIPWAY_VERSION=" + what.Version, "SLIPWAY_REVISION=" + string(what.Commit)},
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

// written is the commit's time as an image can hold it: whole seconds, UTC, in
// years that RFC 3339 can write. A commit may claim any time.
func written(at time.Time) time.Time {
	at = at.UTC().Truncate(time.Second)
	if at.Year() < 1970 || at.Year() > 9999 {
		return time.Unix(0, 0).UTC()
	}
	return at
}

func changeOf(what reconcile.Build) string {
	if what.Change.IsZero() {
		return ""
	}
	return what.Change.String()
}

func layerOf(binary []byte, at time.Time) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err := w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     "app",
		Mode:     0o755,
		Size:     int64(len(binary)),
		ModTime:  at,
		Format:   tar.FormatPAX,
	})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}
