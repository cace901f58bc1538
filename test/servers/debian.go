package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// noDebian says why a machine cannot have what Debian's packages bring.
func noDebian() string {
	if runtime.GOOS != "linux" {
		return "Debian's packages are for Linux"
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb", "dpkg-query"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not on PATH: it comes from Debian's packages"
		}
	}
	return ""
}

// unpackDebian fetches the packages that choose names and unpacks their usr into
// the entry. Nothing is installed, and no script of theirs is run. choose is
// asked again after the lists of packages were fetched, where the first try
// failed: the usual reason is lists that are missing or old.
func (w Workshop) unpackDebian(ctx context.Context, choose func(context.Context) ([]string, error)) error {
	packages := filepath.Join(w.Out, "packages")
	if err := os.Mkdir(packages, 0o755); err != nil { //nolint:gosec // apt drops to a user who must get in
		return err
	}
	download := func() error {
		names, err := choose(ctx)
		if err != nil {
			return err
		}
		_, err = w.Run(ctx, packages, nil, "apt-get", append([]string{"download"}, names...)...)
		return err
	}
	if first := download(); first != nil {
		if _, err := w.Run(ctx, packages, nil, "apt-get", "update"); err != nil {
			return errors.Join(first, fmt.Errorf("fetch the lists of Debian's packages: %w", err))
		}
		if err := download(); err != nil {
			return fmt.Errorf("fetch Debian's packages: %w", err)
		}
	}
	found, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil {
		return err
	}
	root := filepath.Join(packages, "root")
	for _, deb := range found {
		if _, err := w.Run(ctx, packages, nil, "dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
	}
	// What is outside of usr is configuration for an installed program, or a
	// library of a distribution that still has some there.
	for _, part := range []string{"usr", "lib"} {
		err := os.Rename(filepath.Join(root, part), filepath.Join(w.Out, part))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(packages)
}

// missingLibraries are the libraries that a package needs, itself or through
// others, and that this machine has not installed.
func (w Workshop) missingLibraries(ctx context.Context, of string) ([]string, error) {
	out, err := w.Run(ctx, w.Out, nil, "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests",
		"--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", of)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range libraries(string(out), of) {
		status, err := w.Run(ctx, w.Out, nil, "dpkg-query", "-W", "-f", "${db:Status-Status}", name)
		if err != nil || strings.TrimSpace(string(status)) != "installed" {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// libraries reads from what `apt-cache depends --recurse` says which libraries a
// package needs, itself or through others. The C library is left out, for it has
// to be the machine's own, like the loader, and so is LLVM, which only compiles
// queries that run long.
func libraries(said, of string) []string {
	needs := map[string][]string{}
	name, chosen := "", false
	for line := range strings.Lines(said) {
		kind, needed, found := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case line[0] != ' ':
			name, chosen = strings.TrimSpace(line), false
		case !found || !strings.HasSuffix(kind, "Depends"):
		case chosen: // another way to meet the need before
			chosen = strings.HasPrefix(kind, "|")
		default:
			needs[name] = append(needs[name], needed)
			chosen = strings.HasPrefix(kind, "|")
		}
	}
	var found []string
	next := []string{of}
	for len(next) > 0 {
		name, next = next[0], next[1:]
		for _, n := range needs[name] {
			own := strings.HasPrefix(n, "libc6") || strings.HasPrefix(n, "libc-") || strings.HasPrefix(n, "libllvm")
			if strings.HasPrefix(n, "lib") && !own && !slices.Contains(found, n) {
				found, next = append(found, n), append(next, n)
			}
		}
	}
	return found
}
