package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// What a mirror's configuration says, by the format of its objects: that it is
// one, and nothing that a git could be led by.
const (
	bareSHA1   = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
	bareSHA256 = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n"
)

// strays are what a mirror never has, and by which git would read another
// repository, or run a program for it.
func strays() []string {
	return []string{"commondir", "config.worktree", "hooks", filepath.Join("objects", "info", "alternates"), filepath.Join("objects", "info", "http-alternates")}
}

// strip leaves nothing in a mirror by which git would run a program, read
// another folder or go to another server. Where a command runs as the mirror's
// own user, as a worker's does, it may have put that there. The write lock is
// held, and no such command lives.
func (m *mirror) strip() error {
	l, err := m.label()
	if err == nil {
		err = configure(m.path, l.Format)
	}
	if err != nil {
		return fmt.Errorf("see to the mirror's own configuration: %w", err)
	}
	return nil
}

// configure gives a mirror its configuration, in one step unless something else than
// a file has its place.
func configure(dir, format string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var faults []error
	for _, name := range strays() {
		faults = append(faults, root.RemoveAll(name))
	}
	want := bareSHA1
	if format == "sha256" {
		want = bareSHA256
	}
	if err := errors.Join(faults...); err != nil || isFile(root, "config", want) {
		return err
	}
	const next = "config.next"
	err = errors.Join(root.RemoveAll(next), root.WriteFile(next, []byte(want), 0o600))
	if info, is := root.Lstat("config"); err == nil && is == nil && info.IsDir() {
		err = root.RemoveAll("config")
	}
	if err != nil {
		return err
	}
	return root.Rename(next, "config")
}

// isFile says whether a plain file holds a text, without reading more.
func isFile(root *os.Root, name, text string) bool {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(text)) {
		return false
	}
	is, err := root.ReadFile(name)
	return err == nil && string(is) == text
}
