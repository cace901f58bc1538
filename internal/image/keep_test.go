package image

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"slipway/internal/ref"
)

func TestDamageIsNoticed(t *testing.T) {
	b := builder(t, unused{})
	img, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := b.keep(img)
	if err != nil {
		t.Fatal(err)
	}
	at := b.layoutOf(digest)
	var files []string
	err = filepath.WalkDir(at, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 5 { // two of the layout, manifest, configuration, layer
		t.Fatalf("%v, %v", files, err)
	}
	harm := map[string]func(path string) error{
		"gone":      os.Remove,
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"rubbish":   func(path string) error { return os.WriteFile(path, []byte("rubbish"), 0o600) },
		"cut short": func(path string) error { return os.Truncate(path, 20) },
		"changed": func(path string) error {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text[len(text)/2] ^= 1
			return os.WriteFile(path, text, 0o600)
		},
	}
	for _, file := range files {
		if filepath.Base(file) == "oci-layout" {
			continue // nothing of the image depends on it
		}
		for how, apply := range harm {
			if err := apply(file); err != nil {
				t.Fatal(err)
			}
			_, err := b.kept(digest)
			if err == nil && filepath.Base(file) == "index.json" && how == "changed" {
				continue // as likely in a blank as in the digest
			}
			if err == nil {
				t.Errorf("%s is %s, and nobody notices", file, how)
			}
			if again, err := b.keep(img); err != nil || again != digest {
				t.Fatalf("kept again: %s, %v", again, err)
			}
			if _, err := b.kept(digest); err != nil {
				t.Fatalf("kept again: %v", err)
			}
		}
	}
}

func TestDamagedImageIsBuiltAgain(t *testing.T) {
	h := newHub(t)
	x := &tree{files: hello}
	b := builder(t, x, at(h))
	digest, err := b.Build(deadline(t), order(h.host))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.layoutOf(digest), "index.json")); err != nil {
		t.Fatal(err)
	}
	if err := b.Push(deadline(t), order(h.host), digest); err != nil || x.count() != 2 {
		t.Errorf("%v, built %d times", err, x.count())
	}
}

func TestOldImagesMakeRoom(t *testing.T) {
	b := builder(t, unused{})
	img, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	var digests []ref.Digest
	for i := range keptImages + 3 {
		next, err := mutate.CreatedAt(img, v1.Time{Time: time.Unix(int64(i), 0)})
		if err != nil {
			t.Fatal(err)
		}
		digest, err := b.keep(next)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
		old := time.Now().Add(time.Duration(i-1000) * time.Hour)
		if err := os.Chtimes(b.layoutOf(digest), old, old); err != nil {
			t.Fatal(err)
		}
		if i == keptImages-1 {
			if _, err := b.kept(digests[0]); err != nil { // used now
				t.Fatal(err)
			}
		}
	}
	left, err := os.ReadDir(b.path("built"))
	if err != nil || len(left) != keptImages {
		t.Errorf("%d are kept, %v; want %d", len(left), err, keptImages)
	}
	for i, digest := range digests {
		_, err := b.kept(digest)
		if gone := i == 1 || i == 2 || i == 3; (err != nil) != gone {
			t.Errorf("image %d: %v; want it gone: %t", i, err, gone)
		}
	}
}
