package servers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// CacheEnv is the environment variable that moves the cache.
const CacheEnv = "SLIPWAY_SERVERS_CACHE"

// pointerFile says which entries the last build left, for those who ask from
// outside the source tree.
const pointerFile = "current.json"

// ErrNotBuilt means that the cache lacks a server or holds one made from other
// sources. The error around it says which, and what to do.
var ErrNotBuilt = errors.New("run make servers in Slipway's source tree")

// Entry is one server in the cache.
type Entry struct {
	Dir string // where its files are
}

// Path returns the path of a file of the entry.
func (e Entry) Path(elem ...string) string {
	return filepath.Join(append([]string{e.Dir}, elem...)...)
}

// cache is the folder that holds the entries.
type cache struct{ dir string }

// pointer is what the pointer file says of one entry.
type pointer struct {
	Dir    string `json:"dir"`    // name of the folder within the cache
	Inputs string `json:"inputs"` // fingerprint of the sources it was built from
	Title  string `json:"title"`
}

// CacheDir returns the folder of the cache: what CacheEnv names, else the
// user's own cache folder. It fails where neither is known.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheEnv); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the servers' cache, set %s: %w", CacheEnv, err)
	}
	return filepath.Join(base, "slipway", "servers"), nil
}

// Find returns the entry that the last Build left under the name. Within
// Slipway's source tree it also checks that the entry was built from that tree.
// The empty cacheDir means CacheDir(). The error wraps ErrNotBuilt when Build
// would mend it.
func Find(cacheDir string, name Name) (Entry, error) { return find(artifacts(), cacheDir, name) }

func find(all []Artifact, cacheDir string, name Name) (Entry, error) {
	c, err := openCache(cacheDir)
	if err != nil {
		return Entry{}, err
	}
	pointers, err := c.pointers()
	if err != nil {
		return Entry{}, err
	}
	p, known := pointers[name]
	entry := Entry{Dir: c.path(p.Dir)}
	at := slices.IndexFunc(all, func(a Artifact) bool { return a.Name == name })
	if !known || !isDir(entry.Dir) {
		if at >= 0 && unfit(all[at]) != "" {
			return Entry{}, fmt.Errorf("the server %s is not built: %s; then %w", name, unfit(all[at]), ErrNotBuilt)
		}
		return Entry{}, fmt.Errorf("the server %s is not built: %w", name, ErrNotBuilt)
	}
	tools, err := toolsDir()
	if errors.Is(err, errNoTree) {
		return entry, nil
	}
	if err != nil {
		return Entry{}, err
	}
	if at < 0 {
		return Entry{}, fmt.Errorf("no server is called %q", name)
	}
	inputs, err := fingerprint(all[at], tools)
	if err != nil {
		return Entry{}, err
	}
	if inputs != p.Inputs {
		return Entry{}, fmt.Errorf("the server %s was built from other sources: %w", name, ErrNotBuilt)
	}
	return entry, nil
}

func openCache(dir string) (cache, error) {
	if dir == "" {
		var err error
		if dir, err = CacheDir(); err != nil {
			return cache{}, err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs built from public sources
		return cache{}, fmt.Errorf("the servers' cache cannot be made, set %s to a folder that can: %w", CacheEnv, err)
	}
	return cache{dir: dir}, nil
}

func (c cache) path(name string) string { return filepath.Join(c.dir, name) }

func (c cache) entryDir(name Name, key string) string {
	return c.path(string(name) + "-" + key)
}

// sweep removes what a killed build of the artifact left half done.
func (c cache) sweep(name Name) error {
	halves, err := filepath.Glob(c.path(halfPrefix(name) + "*"))
	if err != nil {
		return err
	}
	for _, half := range halves {
		if err := os.RemoveAll(half); err != nil {
			return err
		}
	}
	return nil
}

// pointers reads the pointer file; none is as good as an empty one.
func (c cache) pointers() (map[Name]pointer, error) {
	all := map[Name]pointer{}
	body, err := os.ReadFile(c.path(pointerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("%s is damaged, remove it and run make servers: %w", c.path(pointerFile), err)
	}
	return all, nil
}

// point records where the artifact is. The caller holds the cache's lock.
func (c cache) point(name Name, p pointer) error {
	all, err := c.pointers()
	if err != nil {
		return err
	}
	if all[name] == p {
		return nil
	}
	all[name] = p
	body, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	next := c.path(pointerFile + ".next")
	if err := os.WriteFile(next, append(body, '\n'), 0o644); err != nil { //nolint:gosec // names and fingerprints only
		return err
	}
	return os.Rename(next, c.path(pointerFile))
}

// fingerprint hashes everything of the source tree that the artifact's content
// depends on: its description, and the go.mod, go.sum and Go files of its
// folders.
func fingerprint(a Artifact, tools string) (string, error) {
	h := sha256.New()
	described, err := json.Marshal(struct {
		Programs []Program
		Recipe   string
	}{a.Programs, a.Recipe})
	if err != nil {
		return "", err
	}
	h.Write(described)

	folders := slices.Clone(a.Sources)
	for _, p := range a.Programs {
		folders = append(folders, p.Module)
	}
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		err := filepath.WalkDir(filepath.Join(tools, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !counts(d.Name()) {
				return err
			}
			body, err := os.ReadFile(path) //nolint:gosec // within the tool modules
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(tools, path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "\n%s %d\n", filepath.ToSlash(rel), len(body))
			h.Write(body)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("read the sources of %s: %w", a.Name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// entryKey is the part of an entry's folder name that tells it from entries
// built from other sources, by another toolchain or for another machine.
func entryKey(inputs, goVersion string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{inputs, goVersion, runtime.GOOS, runtime.GOARCH}, "\n")))
	return hex.EncodeToString(sum[:8])
}

// counts says whether a file of a tool module can change what is built.
func counts(file string) bool {
	return file == "go.mod" || file == "go.sum" || strings.HasSuffix(file, ".go")
}

func halfPrefix(name Name) string { return ".half-" + string(name) + "-" }

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
