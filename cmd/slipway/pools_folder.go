package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway/config"
	"slipway/internal/onboard"
	"slipway/pools"
)

// The two secrets of a coordinate, as files and as keys of a Secret.
const (
	workerToken = "worker-token"
	forgeToken  = "forge-token"
)

// folder keeps the coordinates' secrets as files: FOLDER/<coordinate>/<secret>.
// Only who runs the command may read them.
type folder struct{ path string }

var _ onboard.Keep = folder{}

// Name is how people are told of it.
func (f folder) Name() string { return "the folder " + f.path }

// Held reads what is there. What is no coordinate's is left alone.
func (f folder) Held(context.Context) (map[pools.Address]onboard.Secrets, error) {
	entries, err := os.ReadDir(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[pools.Address]onboard.Secrets{}
	for _, e := range entries {
		a, err := pools.ReadAddress(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		var s onboard.Secrets
		if s.Worker, err = f.read(a, workerToken); err != nil {
			return nil, err
		}
		if s.Forge, err = f.read(a, forgeToken); err != nil {
			return nil, err
		}
		all[a] = s
	}
	return all, nil
}

// Put replaces both files, each at once.
func (f folder) Put(_ context.Context, a pools.Address, s onboard.Secrets) error {
	into := filepath.Join(f.path, a.String())
	if err := os.MkdirAll(into, 0o700); err != nil {
		return err
	}
	if err := place(into, workerToken, s.Worker); err != nil {
		return err
	}
	return place(into, forgeToken, s.Forge)
}

// Clear removes the two files, and the folder unless somebody put more there.
func (f folder) Clear(_ context.Context, a pools.Address) error {
	for _, name := range []string{workerToken, forgeToken} {
		if err := os.Remove(filepath.Join(f.path, a.String(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(filepath.Join(f.path, a.String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the secrets of %s are gone, but not their folder: %w", a, err)
	}
	return nil
}

func (f folder) read(a pools.Address, name string) (onboard.Secret, error) {
	data, err := os.ReadFile(filepath.Join(f.path, a.String(), name)) //nolint:gosec // the operator names the folder, and a coordinate has no slash
	text := strings.TrimSpace(string(data))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && text == "":
		return nil, nil
	case err != nil:
		return nil, err
	}
	return config.NewSecret(text), nil
}

// place renames a file into place, so that whoever reads sees the old or the
// new.
func place(into, name string, s onboard.Secret) error {
	file, err := os.CreateTemp(into, "."+name+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(s.Reveal() + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(into, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
