package servers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// GitHub is the entry with what GitHub publishes about itself: openapi.json,
// its description of the REST API and of the webhooks, and webhooks.json,
// recorded deliveries of each event.
const GitHub Name = "github"

// A published is one file of an npm package at an exact version.
type published struct {
	pack      string // name and version
	integrity string // base64 of the package's SHA-512, as npm records it
	file      string // within the package
	output    string // within the entry
}

// publications are what the entry is made of. Nothing of them is kept in the
// source tree.
func publications() []published {
	return []published{{
		pack:      "@octokit/openapi@23.0.2",
		integrity: "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
		file:      "package/generated/api.github.com.json",
		output:    "openapi.json",
	}, {
		pack:      "@octokit/webhooks-examples@7.6.1",
		integrity: "De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
		file:      "package/api.github.com/index.json",
		output:    "webhooks.json",
	}}
}

// publishedLimit bounds one package and one file of it, in bytes.
const publishedLimit = 128 << 20

func githubArtifact() Artifact {
	recipe := "1"
	for _, p := range publications() {
		recipe += "\n" + p.pack + " " + p.integrity + " " + p.file + " " + p.output
	}
	return Artifact{
		Name:   GitHub,
		Title:  "github api description 23.0.2",
		About:  5 * time.Second,
		Recipe: recipe,
		Unfit:  noNPM,
		Finish: fetchPublications,
	}
}

// noNPM says what a machine lacks to get the entry. Only tests need it.
func noNPM() string {
	if _, err := exec.LookPath("npm"); err != nil {
		return "npm is not on PATH: install Node.js with npm, for GitHub publishes the description of its API as an npm package, and what speaks to GitHub is tested against that"
	}
	return ""
}

// fetchPublications has npm fetch the packages, from wherever its own
// configuration says, and takes one file out of each that is what was pinned.
func fetchPublications(ctx context.Context, w Workshop) error {
	for _, p := range publications() {
		if err := w.fetchPublication(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.pack, err)
		}
	}
	return nil
}

func (w Workshop) fetchPublication(ctx context.Context, p published) error {
	dir := filepath.Join(w.Out, "packages")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := w.Run(ctx, dir, nil, "npm", "pack", p.pack, "--ignore-scripts", "--pack-destination", dir); err != nil {
		return err
	}
	made, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return err
	}
	if len(made) != 1 {
		return fmt.Errorf("npm pack made %d archives, want one", len(made))
	}
	archive, err := os.ReadFile(made[0])
	if err != nil {
		return err
	}
	sum := sha512.Sum512(archive)
	want, err := base64.StdEncoding.DecodeString(p.integrity)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return fmt.Errorf("npm gave something else than was pinned: its sha512 is %s, not %s", base64.StdEncoding.EncodeToString(sum[:]), p.integrity)
	}
	body, err := unpacked(archive, p.file)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.Out, p.output), body, 0o644) //nolint:gosec // published
}

// unpacked reads one file of a gzipped tar archive.
func unpacked(archive []byte, name string) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(z)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("there is no %s in it", name)
		}
		if err != nil {
			return nil, err
		}
		if header.Name != name {
			continue
		}
		if header.Size > publishedLimit {
			return nil, fmt.Errorf("%s has %d bytes, more than %d", name, header.Size, publishedLimit)
		}
		return io.ReadAll(io.LimitReader(files, publishedLimit))
	}
}
