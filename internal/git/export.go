package git

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Export writes the tree of a commit into the empty folder dir, byte for byte
// as committed, and returns the commit's time. A tree that would reach outside
// dir or is too large is fault.Permanent; a submodule is an empty folder.
func (g *Mirrors) Export(ctx context.Context, repo ref.RepoID, commit ref.SHA, dir string) (time.Time, error) {
	var at time.Time
	again := false
	err := g.read(ctx, repo, []ref.SHA{commit}, func(mirror string) error {
		if err := empty(dir, again); err != nil {
			return err
		}
		again = true
		commits, err := g.log(ctx, mirror, string(commit), "--no-walk")
		if err != nil {
			return err
		}
		at = commits[0].At
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		_, err = g.run(ctx, command{
			args:   []string{"archive", "--format=tar", string(commit)},
			dir:    mirror,
			stream: func(r io.Reader) error { return unpack(root, r, g.limits) },
		})
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("export %s at %s: %w", repo, commit, err)
	}
	return at, nil
}

// empty makes sure that dir is; what our own first try left there is removed.
func empty(dir string, again bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !again {
			return refuse("the folder %s is not empty", dir)
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// unpack writes an archive below root. Links come last, so that nothing is
// written through one, and are then followed to see where they really lead.
func unpack(root *os.Root, r io.Reader, limit limits) error {
	type link struct{ name, target string }
	var links []link
	files, size := 0, int64(0)
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeXGlobalHeader { // the commit's id
			continue
		}
		name, err := inside(header.Name)
		if err != nil {
			return err
		}
		files++
		size += header.Size
		if files > limit.files || size > limit.bytes {
			return refuse("the tree is larger than %d files or %d bytes", limit.files, limit.bytes)
		}
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeReg:
			err = writeFile(root, name, header.FileInfo().Mode()&0o100 != 0, archive)
		case tar.TypeSymlink:
			links = append(links, link{name, header.Linkname})
		default:
			err = refuse("%q is neither a file, a folder nor a symbolic link", header.Name)
		}
		if err != nil {
			return err
		}
	}
	for _, l := range links {
		if path.IsAbs(l.target) || !filepath.IsLocal(path.Join(path.Dir(l.name), l.target)) {
			return refuse("the symbolic link %q leads out of the tree, to %q", l.name, l.target)
		}
		if err := root.Symlink(l.target, l.name); err != nil {
			return err
		}
	}
	for _, l := range links {
		// A link through other links can lead elsewhere than its text. One that
		// leads nowhere, or round and round, harms nobody.
		_, err := root.Stat(l.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ELOOP) && !errors.Is(err, syscall.ENOTDIR) {
			return refuse("the symbolic link %q leads out of the tree, to %q: %w", l.name, l.target, err)
		}
	}
	return nil
}

// inside is a name in the archive, cleaned, if it stays below the folder.
func inside(name string) (string, error) {
	clean := path.Clean(name)
	if path.IsAbs(name) || !filepath.IsLocal(clean) {
		return "", refuse("the path %q leads out of the tree", name)
	}
	for part := range strings.SplitSeq(clean, "/") {
		if strings.EqualFold(part, ".git") {
			return "", refuse("the path %q is git's own", name)
		}
	}
	return clean, nil
}

func writeFile(root *os.Root, name string, executable bool, content io.Reader) error {
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil { // the archive's header bounds it
		f.Close()
		return err
	}
	return f.Close()
}

func refuse(format string, args ...any) error {
	return fault.AsPermanent(fmt.Errorf(format, args...))
}
