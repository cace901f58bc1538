package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
)

// files is the folder of a cluster.
type files struct{ dir string }

// folders of a cluster, all made before anything starts.
const (
	logFolder = "log"
	pkiFolder = "pki"
	tmpFolder = "tmp"
)

func (f files) path(elem ...string) string {
	return filepath.Join(append([]string{f.dir}, elem...)...)
}

func (f files) logs() string { return f.path(logFolder) }

func (f files) log(component string) string { return f.path(logFolder, component+".log") }

// clear makes the folders, without what an earlier attempt left.
func (f files) clear() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	left, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, entry := range left {
		if err := os.RemoveAll(f.path(entry.Name())); err != nil {
			return err
		}
	}
	for _, folder := range []string{logFolder, pkiFolder, tmpFolder} {
		if err := os.Mkdir(f.path(folder), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file that only its owner reads, and returns its path.
func (f files) write(body []byte, elem ...string) (string, error) {
	path := f.path(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		return "", fmt.Errorf("write a file of the cluster: %w", err)
	}
	return path, nil
}
