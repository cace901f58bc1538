package servers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeNPM puts an npm on PATH that packs one file, whatever it is asked for.
func fakeNPM(t *testing.T, name, body string) {
	t.Helper()
	dir := t.TempDir()
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	files := tar.NewWriter(z)
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "archive.tgz"), archive.String())
	script := "#!/bin/sh\nfor last; do :; done\ncp '" + filepath.Join(dir, "archive.tgz") + "' \"$last/x.tgz\"\n"
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestAPackageThatIsNotWhatWasPinnedIsRefused(t *testing.T) {
	fakeNPM(t, "package/generated/api.github.com.json", "{}")
	out := t.TempDir()
	err := fetchPublications(context.Background(), Workshop{Out: out})
	if err == nil || !strings.Contains(err.Error(), "something else than was pinned") {
		t.Fatalf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(out, "*")); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
}

func TestWithoutNPMTheSentenceSaysWhatToInstall(t *testing.T) {
	tree(t)
	t.Setenv("PATH", t.TempDir())
	_, err := Find(t.TempDir(), GitHub)
	if !errors.Is(err, ErrNotBuilt) || !strings.Contains(err.Error(), "npm is not on PATH: install Node.js with npm") {
		t.Fatalf("got %v", err)
	}
}
