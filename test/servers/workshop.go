package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errNoTree means that the working directory is not within Slipway's sources.
var errNoTree = errors.New("not within Slipway's source tree: change to it, or clone it, and run make servers there")

// outputTail is how much of a failed command's output an error quotes, in bytes.
const outputTail = 4 << 10

// Workshop is where one entry is put together.
type Workshop struct {
	Tools string // the folder of the tool modules
	Out   string // the entry's folder, to be filled
}

// Run runs a command in a folder and returns its standard output. Its error
// quotes the end of what the command wrote.
func (w Workshop) Run(ctx context.Context, dir string, env []string, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the artifacts' descriptions name the commands
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	// The go command clears up and stops its compilers when it is interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if len(said) > outputTail {
			said = "…" + said[len(said)-outputTail:]
		}
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, said)
	}
	return stdout.Bytes(), nil
}

// ModuleDir returns the folder in the module cache of a module that a tool
// module requires.
func (w Workshop) ModuleDir(ctx context.Context, tool, module string) (string, error) {
	out, err := w.Run(ctx, filepath.Join(w.Tools, tool), goEnv(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(string(out))
	if dir == "" {
		return "", fmt.Errorf("the module %s is not in the module cache", module)
	}
	return dir, nil
}

// CopyTree copies the files of a folder to a place within the entry. The copies
// are writable by their owner, unlike the module cache, so that the entry can
// be removed.
func (w Workshop) CopyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(w.Out, to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755) //nolint:gosec // public files
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return copyFile(path, target)
	})
}

// build builds one Go program into the entry.
func (w Workshop) build(ctx context.Context, p Program) error {
	args := []string{
		"build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags", strings.TrimSpace("-s -w " + p.LDFlags),
		"-o", filepath.Join(w.Out, p.Output), p.Package,
	}
	_, err := w.Run(ctx, filepath.Join(w.Tools, p.Module), goEnv(), "go", args...)
	return err
}

// goVersion asks the go command that will build for its version.
func goVersion(ctx context.Context, dir string) (string, error) {
	if err := present([]Tool{{"go", "install Go 1.26 from https://go.dev/dl"}}); err != nil {
		return "", err
	}
	out, err := (Workshop{}).Run(ctx, dir, goEnv(), "go", "env", "GOVERSION")
	return strings.TrimSpace(string(out)), err
}

// goEnv is what the builds change in the developer's environment: no C
// compiler, so that the programs run anywhere, and no flag or workspace meant
// for the developer's own modules.
func goEnv() []string { return []string{"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"} }

// toolsDir finds the tool modules by walking up from the working directory to
// Slipway's go.mod.
func toolsDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		body, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // read only for its first line
		if err == nil && declaresSlipway(body) {
			return filepath.Join(dir, "test", "servers", "tools"), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errNoTree
		}
		dir = up
	}
}

func declaresSlipway(gomod []byte) bool {
	for line := range strings.Lines(string(gomod)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "module" {
			return fields[1] == "slipway"
		}
	}
	return false
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from) //nolint:gosec // a file of the module cache
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o200) //nolint:gosec // within the entry
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
