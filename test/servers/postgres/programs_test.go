package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slipway/test/servers"
)

func TestFind(t *testing.T) {
	none := filepath.Join(t.TempDir(), "*", "bin")
	t.Run("where there is none, it says what to do", func(t *testing.T) {
		if p, err := find(t.TempDir(), none); !errors.Is(err, servers.ErrNotBuilt) {
			t.Fatalf("%v, %v", p, err)
		}
	})
	for name, c := range map[string]struct {
		installed []string
		want      string
	}{
		"the newest of those that are installed": {[]string{"9", "15", "16"}, "16"},
		"none that is too old":                   {[]string{"14"}, ""},
		"nothing that is no version":             {[]string{"devel"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, version := range c.installed {
				program(t, filepath.Join(root, version, "bin"), "postgres", "initdb")
			}
			p, err := find(t.TempDir(), filepath.Join(root, "*", "bin"))
			if c.want == "" {
				if !errors.Is(err, servers.ErrNotBuilt) {
					t.Fatalf("%v, %v", p, err)
				}
				return
			}
			if err != nil || p.bin != filepath.Join(root, c.want, "bin") {
				t.Fatalf("%v, %v", p, err)
			}
		})
	}
	t.Run("only with both of its programs", func(t *testing.T) {
		root := t.TempDir()
		program(t, filepath.Join(root, "15", "bin"), "postgres", "initdb")
		program(t, filepath.Join(root, "16", "bin"), "postgres")
		if bin, ok := newest(filepath.Join(root, "*", "bin")); !ok || bin != filepath.Join(root, "15", "bin") {
			t.Fatalf("%s, %t", bin, ok)
		}
	})
}

func program(t *testing.T, dir string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
