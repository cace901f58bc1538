package store

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// JournalKey is the key that signs merge receipts: from the seed (Ed25519's 32
// bytes in base64) if one is given, else from the file at path, which is made on
// the first use. A file that others may read is refused: whoever has the key can
// write receipts.
func JournalKey(path, seed string) (ed25519.PrivateKey, error) {
	if seed != "" {
		key, err := keyOf(seed)
		if err != nil {
			return nil, fmt.Errorf("the journal's key in the configuration: %w", err)
		}
		return key, nil
	}
	f, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("make the journal's key: %w", err)
		}
		f, err = os.Open(filepath.Clean(path))
	}
	if err != nil {
		return nil, fmt.Errorf("the journal's key: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the journal's key: %w", err)
	}
	if private && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the journal's key %s can be read by others (%s): chmod 600, and if somebody may have read it, remove it so that a new one is made", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, fmt.Errorf("the journal's key: %w", err)
	}
	key, err := keyOf(string(text))
	if err != nil {
		return nil, fmt.Errorf("the journal's key %s: %w", path, err)
	}
	return key, nil
}

func keyOf(seed string) (ed25519.PrivateKey, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(seed))
	if err != nil || len(raw) != ed25519.SeedSize {
		return nil, errors.New("it is not 32 bytes in base64") // err would repeat some of it
	}
	return ed25519.NewKeyFromSeed(raw), nil
}

// makeKey makes the file whole or not at all; of two servers that start at
// once, the first one's stands.
func makeKey(path string) (err error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	draft, err := os.CreateTemp(filepath.Dir(path), ".journal-key-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(draft.Name())) }()
	_, err = draft.WriteString(base64.StdEncoding.EncodeToString(seed) + "\n")
	if err = errors.Join(err, draft.Chmod(0o600), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
