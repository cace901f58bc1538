package store

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestJournalKey(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	seed[5] = 7
	encoded := base64.StdEncoding.EncodeToString(seed)
	file := func(t *testing.T, content string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "journal.key")
		write(t, path, []byte(content))
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("the first use makes it, for its owner alone, and the next finds it", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal.key")
		first, err := JournalKey(path, "")
		if err != nil {
			t.Fatal(err)
		}
		again, err := JournalKey(path, "")
		if err != nil || !again.Equal(first) {
			t.Errorf("it is another one the second time: %v", err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("its mode is %v, %v", info.Mode(), err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("it left %v", entries)
		}
		other, err := JournalKey(filepath.Join(t.TempDir(), "journal.key"), "")
		if err != nil || other.Equal(first) {
			t.Errorf("two servers have the same key: %v", err)
		}
	})
	t.Run("of many that make it at once all have the same", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal.key")
		keys := make([]ed25519.PrivateKey, 8)
		var all sync.WaitGroup
		for i := range keys {
			all.Go(func() {
				var err error
				if keys[i], err = JournalKey(path, ""); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, k := range keys {
			if !k.Equal(keys[0]) {
				t.Error("there are two")
			}
		}
	})
	for rule, mode := range map[string]os.FileMode{"its owner may read it": 0o400, "its owner may write it": 0o600, "its group may read it": 0o440} {
		t.Run("a seed in base64 is taken where only "+rule, func(t *testing.T) {
			key, err := JournalKey(file(t, "  "+encoded+"\n", mode), "")
			if err != nil || !key.Equal(ed25519.NewKeyFromSeed(seed)) {
				t.Errorf("got another key: %v", err)
			}
		})
	}
	for rule, mode := range map[string]os.FileMode{"read": 0o604, "write": 0o602, "run": 0o601} {
		t.Run("one that others may "+rule+" is refused", func(t *testing.T) {
			_, err := JournalKey(file(t, encoded, mode), "")
			wantError(t, err, "by others", "0600")
		})
	}
	t.Run("one that the group may write is refused", func(t *testing.T) {
		_, err := JournalKey(file(t, encoded, 0o660), "")
		wantError(t, err, "by others")
	})
	for rule, content := range map[string]string{
		"an empty file": "", "half a key": encoded[:20], "a key of another kind": base64.StdEncoding.EncodeToString(make([]byte, 64)),
		"what is no base64": strings.Repeat("?", 44), "a large file": strings.Repeat(encoded, 100),
	} {
		t.Run(rule+" is refused, left as it is and not told", func(t *testing.T) {
			path := file(t, content, 0o600)
			_, err := JournalKey(path, "")
			wantError(t, err, path, "32 bytes")
			if content != "" && strings.Contains(err.Error(), content[:10]) {
				t.Errorf("it tells: %v", err)
			}
			if string(read(t, path)) != content {
				t.Error("the file was changed")
			}
		})
	}
	t.Run("a seed of the configuration goes before the file, and makes none", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal.key")
		key, err := JournalKey(path, encoded+"\n")
		if err != nil || !key.Equal(ed25519.NewKeyFromSeed(seed)) {
			t.Errorf("got another key: %v", err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("a file was made: %v", err)
		}
		_, err = JournalKey(path, "secret words")
		wantError(t, err, "configuration", "32 bytes")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("it tells: %v", err)
		}
	})
	t.Run("a directory is refused", func(t *testing.T) {
		_, err := JournalKey(t.TempDir(), "")
		wantError(t, err, "no file")
	})
	t.Run("without a directory it says what is missing", func(t *testing.T) {
		_, err := JournalKey(filepath.Join(t.TempDir(), "none", "journal.key"), "")
		wantError(t, err, "directory must exist")
	})
}
