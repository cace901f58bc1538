package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// idFile is where a server's folder keeps what its claims are known by.
const idFile = "server.id"

var idPattern = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// serverID is what a server's claims are known by: the same again for the next
// server on the same folder. The lock says that an earlier one has ended, until
// it is closed. Without a folder nobody knows the server again.
func serverID(folder string) (id string, held io.Closer, err error) {
	if folder == "" {
		return rand.Text(), io.NopCloser(nil), nil
	}
	// The lock is that of the embedded store which the folder may hold: servers
	// share a folder in no case.
	path, err := resolve(filepath.Join(folder, "slipway.db"))
	if err != nil {
		return "", nil, err
	}
	file, err := lock(path)
	if err != nil {
		return "", nil, err
	}
	id, err = keptID(filepath.Join(folder, idFile))
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("the server's own name: %w", err), file.Close())
	}
	return id, file, nil
}

// keptID reads the name, and makes it on first use. Only the holder of the
// folder's lock calls it.
func keptID(path string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // in the operator's folder
	if id := strings.TrimSpace(string(text)); err == nil && idPattern.MatchString(id) {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := rand.Text()
	// One that was half written when the machine failed is made anew: what it
	// was known by waits for the ends of its leases.
	next := path + ".next"
	if err := os.WriteFile(next, []byte(id+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := os.Rename(next, path); err != nil {
		return "", err
	}
	return id, syncDirectory(filepath.Dir(path))
}
