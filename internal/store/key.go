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
	"runtime"
	"strings"
)

// longestKey is more than any key file holds.
const longestKey = 1 << 10 // bytes

// JournalKey is the key that signs merge receipts: from the seed (Ed25519's 32
// bytes in base64) if one is given, else from the file at path, which is made on
// first use. A file that others than its owner and group can read, or anybody
// else can write, is refused: whoever has the key can write receipts. The file
// appears whole or not at all, and is never replaced.
func JournalKey(path, seed string) (ed25519.PrivateKey, error) {
	if seed != "" {
		key, err := keyOf(seed)
		if err != nil {
			return nil, fmt.Errorf("the journal's key in the configuration: %w", err)
		}
		return key, nil
	}
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil {
			key, err = readKey(path) // perhaps another process was quicker
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the journal's key: %w", err)
	}
	return key, nil
}

func readKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const tooOpen = 0o037 // written by the group, or anything by others
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case private && info.Mode().Perm()&tooOpen != 0:
		return nil, fmt.Errorf("%s can be read or written by others (%04o): make it 0600, and take another key if others may have read this one", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, longestKey+1))
	if err != nil {
		return nil, err
	}
	key, err := keyOf(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// keyOf reads a seed. What it holds is in no error.
func keyOf(text string) (ed25519.PrivateKey, error) {
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(text) > longestKey || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("it does not hold %d bytes in base64", ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// makeKey writes a new key beside its place and links it there, which fails
// where something is already.
func makeKey(path string) error {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-") // with 0600
	if err != nil {
		return fmt.Errorf("%w: its directory must exist and be writable, or hold the key already", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(seed) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// syncDirectory makes a new name in a directory last; where that is not to be
// had, the system does it by itself.
func syncDirectory(dir string) error {
	if runtime.GOOS == "windows" { // which opens no directory
		return nil
	}
	d, err := os.Open(dir) //nolint:gosec // the directory of the operator's path
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
