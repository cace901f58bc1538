package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slipway/test/servers"
	"slipway/test/servers/process"
)

// Programs are those of one PostgreSQL.
type Programs struct {
	bin string // the folder of postgres and initdb
	// root is the folder that they were unpacked into; "" where they are
	// installed.
	root string
}

// Find finds PostgreSQL in the servers' cache, else what is installed, if it is
// new enough. The empty cacheDir means the usual one. The error wraps
// servers.ErrNotBuilt.
func Find(cacheDir string) (Programs, error) { return find(cacheDir, "/usr/lib/postgresql/*/bin") }

func find(cacheDir, installed string) (Programs, error) {
	entry, missing := servers.Find(cacheDir, servers.Postgres)
	if missing == nil {
		if bin, ok := newest(filepath.Join(entry.Dir, "usr/lib/postgresql/*/bin")); ok {
			return Programs{bin: bin, root: entry.Dir}, nil
		}
		return Programs{}, fmt.Errorf("%s holds no PostgreSQL, remove it: %w", entry.Dir, servers.ErrNotBuilt)
	}
	if bin, ok := newest(installed); ok {
		return Programs{bin: bin}, nil
	}
	return Programs{}, fmt.Errorf("no PostgreSQL of version %d or newer is installed either: %w", servers.OldestPostgres, missing)
}

// newest is the folder of the highest version that a pattern of folders, with
// the version before the last part, leads to.
func newest(pattern string) (bin string, found bool) {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return "", false
	}
	highest := servers.OldestPostgres - 1
	for _, dir := range dirs {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil || version <= highest || !isProgram(filepath.Join(dir, "postgres")) || !isProgram(filepath.Join(dir, "initdb")) {
			continue
		}
		bin, highest = dir, version
	}
	return bin, bin != ""
}

// within gives the programs as an account can reach them: where a folder on the
// way to them is closed to it, such as the home of root, they are copied to dir.
func (p Programs) within(dir string, as *process.Account) (Programs, error) {
	if as == nil || p.root == "" || open(p.root) {
		return p, nil
	}
	if err := os.CopyFS(dir, os.DirFS(p.root)); err != nil {
		return Programs{}, fmt.Errorf("copy PostgreSQL to where %d can read it: %w", as.UID, err)
	}
	rel, err := filepath.Rel(p.root, p.bin)
	if err != nil {
		return Programs{}, err
	}
	return Programs{bin: filepath.Join(dir, rel), root: dir}, nil
}

// environment is all that the programs are told.
func (p Programs) environment() []string {
	env := []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=GMT"}
	if p.root == "" {
		return env
	}
	var folders []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*"} {
		found, err := filepath.Glob(filepath.Join(p.root, pattern))
		if err == nil {
			folders = append(folders, found...)
		}
	}
	if len(folders) > 0 {
		env = append(env, "LD_LIBRARY_PATH="+strings.Join(folders, ":"))
	}
	return env
}

// run runs one of the programs to its end.
func (p Programs) run(ctx context.Context, as *process.Account, dir, program string, args ...string) error {
	one, err := process.Start(process.Spec{Name: program, Path: filepath.Join(p.bin, program), Args: args, Env: p.environment(), Dir: dir, As: as})
	if err != nil {
		return err
	}
	select {
	case <-one.Done():
		return one.Failed()
	case <-ctx.Done():
		one.Kill()
		return ctx.Err()
	}
}

// open says whether everybody may go through all folders that lead to one.
func open(dir string) bool {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o005 != 0o005 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// account is who PostgreSQL runs as: for root somebody else, because it refuses
// root; nil for anybody, who runs it as themselves.
func account() (*process.Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nobody else
	}
	list, err := os.ReadFile("/etc/passwd")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || !slices.Contains([]string{"nobody", "daemon", "bin"}, fields[0]) {
			continue
		}
		uid, wrongUser := strconv.ParseUint(fields[2], 10, 32)
		gid, wrongGroup := strconv.ParseUint(fields[3], 10, 32)
		if wrongUser == nil && wrongGroup == nil && uid != 0 {
			return &process.Account{UID: uint32(uid), GID: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and this machine has no user nobody, daemon or bin")
}
