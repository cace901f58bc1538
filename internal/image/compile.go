package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"slipway/internal/fault"
)

const (
	binaryLimit = 1 << 30  // bytes of a program
	outputLimit = 64 << 10 // bytes of what go says that are kept: its end
	shownLines  = 20       // lines of that in an error
	killDelay   = 5 * time.Second
)

var (
	archPattern = regexp.MustCompile(`^[a-z0-9]{2,20}$`)
	pathPattern = regexp.MustCompile(`^[A-Za-z0-9_./+~ -]{1,200}$`)
	// fetching is how go begins a complaint about the network.
	fetching = regexp.MustCompile(`((Get|Post|Head|reading) "?https?://|unable to access 'https?://)`)
	// machine is what the machine is to blame for, whatever go was doing.
	machine = regexp.MustCompile(`no space left on device|cannot allocate memory|too many open files|` +
		`resource temporarily unavailable|input/output error|signal: killed|read-only file system`)
)

// work is one build, in a folder of its own.
type work struct {
	config    Config
	dir       string
	arch      string
	toolchain string // the version of Go, once compile has asked
}

// architecture of a platform, which must be linux/ARCHITECTURE: a container's.
func architecture(platform string) (string, error) {
	system, arch, _ := strings.Cut(platform, "/")
	if system != "linux" || !archPattern.MatchString(arch) {
		return "", fault.AsPermanent(fmt.Errorf("platform %q: want linux/ARCHITECTURE, such as linux/amd64", platform))
	}
	return arch, nil
}

// packagePath is the folder of the program, clean and relative, so that it can
// neither leave the tree nor be taken for a flag or a pattern.
func packagePath(main string) (string, error) {
	clean := path.Clean(main)
	ok := pathPattern.MatchString(main) && filepath.IsLocal(clean) && !strings.HasPrefix(main, "-")
	for part := range strings.SplitSeq(clean, "/") {
		ok = ok && (part == "." || !strings.HasPrefix(part, ".") && !strings.HasPrefix(part, "-") && !strings.Contains(part, ".."))
	}
	if !ok {
		return "", fault.AsPermanent(fmt.Errorf("%q is not a folder within the repository", main))
	}
	return clean, nil
}

func (w *work) path(elements ...string) string {
	return filepath.Join(append([]string{w.dir}, elements...)...)
}

// prepare makes the folders that a build sees as its world. Go's own usage
// counters are off, or a helper of it could outlive the build to write them.
func (w *work) prepare() error {
	for _, d := range []string{"src", "out", "tmp", "home/.config/go/telemetry", "home/Library/Application Support/go/telemetry"} {
		if err := os.MkdirAll(w.path(d), 0o700); err != nil {
			return err
		}
	}
	for _, d := range []string{".config", "Library/Application Support"} {
		if err := os.WriteFile(w.path("home", d, "go", "telemetry", "mode"), []byte("off"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// compile builds the program at path. It loads everything first and compiles
// without a network: what fails then is the code's fault, not the proxy's.
func (w *work) compile(ctx context.Context, program string) ([]byte, error) {
	version, err := w.run(ctx, w.path("home"), w.config.GoProxy, "env", "GOVERSION")
	if err != nil {
		return nil, fmt.Errorf("ask the go command %s for its version: %w", w.config.GoCommand, err)
	}
	w.toolchain = strings.TrimSpace(version)
	module, pkg, err := w.module(program)
	if err != nil {
		return nil, err
	}
	if err := w.checkModule(ctx, module); err != nil {
		return nil, err
	}
	listed, err := w.run(ctx, module, w.config.GoProxy, "list", "-deps", "-f", "{{.Name}}", pkg)
	if err != nil {
		return nil, w.blame(err, fetching)
	}
	names := strings.Fields(listed) // the package itself comes last
	if len(names) == 0 || names[len(names)-1] != "main" {
		return nil, fault.AsPermanent(fmt.Errorf("the package at %q is not a program: it is not called main", program))
	}
	_, err = w.run(ctx, module, "off", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", w.path("out", "app"), pkg)
	if err != nil {
		return nil, w.blame(err, nil)
	}
	info, err := os.Stat(w.path("out", "app"))
	if err != nil {
		return nil, err
	}
	if info.Size() > binaryLimit {
		return nil, fault.AsPermanent(fmt.Errorf("the program has %d bytes, more than %d", info.Size(), binaryLimit))
	}
	return os.ReadFile(w.path("out", "app"))
}

// module finds the module that holds the program, from its folder upwards, and
// names the program within it.
func (w *work) module(program string) (dir, pkg string, err error) {
	for at := program; ; at = path.Dir(at) {
		_, err := os.Stat(w.path("src", at, "go.mod"))
		if err == nil {
			rel, err := filepath.Rel(at, program)
			return w.path("src", at), "./" + filepath.ToSlash(rel), err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
		if at == "." {
			return "", "", fault.AsPermanent(fmt.Errorf("there is no go.mod at %q nor above", program))
		}
	}
}

// checkModule refuses a module that takes code from beside the repository: the
// build would depend on what else this machine has.
func (w *work) checkModule(ctx context.Context, dir string) error {
	text, err := w.run(ctx, dir, "off", "mod", "edit", "-json")
	if err != nil {
		return w.blame(err, nil)
	}
	var file struct {
		Replace []struct {
			New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return fmt.Errorf("go mod edit: %w", err)
	}
	for _, r := range file.Replace {
		if r.New.Version != "" { // a module, from the proxy
			continue
		}
		within, err := filepath.Rel(w.path("src"), filepath.Join(dir, r.New.Path))
		if err != nil || filepath.IsAbs(r.New.Path) || !filepath.IsLocal(within) {
			return fault.AsPermanent(fmt.Errorf("go.mod replaces a module with %q, which is not in the repository", r.New.Path))
		}
	}
	return nil
}

// complaint is go ending with an error of its own.
type complaint struct{ verb, text string }

// Error gives the end of what go said.
func (c *complaint) Error() string { return "go " + c.verb + ": " + c.text }

// blame sorts a complaint: the code is to blame, unless go speaks of the
// machine or, where it may use one, of the network.
func (w *work) blame(err error, network *regexp.Regexp) error {
	c := (*complaint)(nil)
	if !errors.As(err, &c) || machine.MatchString(c.text) {
		return err
	}
	if network != nil && network.MatchString(c.text) && !strings.Contains(c.text, "404 Not Found") && !strings.Contains(c.text, "410 Gone") {
		return err
	}
	return fault.AsPermanent(err)
}

// run runs go with an environment made from nothing, and returns its output.
func (w *work) run(ctx context.Context, dir, proxy string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, w.config.GoCommand, args...) //nolint:gosec // the configured go; what a repository says is checked before
	cmd.Dir, cmd.Env = dir, w.environment(dir, proxy)
	cmd.WaitDelay = killDelay
	ownGroup(cmd)
	out, said := &tail{limit: 4 << 20}, &tail{limit: outputLimit}
	cmd.Stdout, cmd.Stderr = out, said
	err := cmd.Run()
	if cmd.Process != nil && ctx.Err() != nil {
		endGroup(cmd)
	}
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("go %s: %w", args[0], ctx.Err())
	case errors.As(err, &exit) && exit.Exited():
		return "", &complaint{verb: args[0], text: w.shorten(said.String())}
	default: // it could not start, or was killed by somebody else
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
}

func (w *work) environment(dir, proxy string) []string {
	search := []string{filepath.Dir(w.config.GoCommand), "/usr/local/bin", "/usr/bin", "/bin"}
	env := []string{
		"PATH=" + strings.Join(search, string(os.PathListSeparator)),
		"PWD=" + dir,
		"HOME=" + w.path("home"),
		"XDG_CONFIG_HOME=" + w.path("home", ".config"),
		"TMPDIR=" + w.path("tmp"),
		"LC_ALL=C",
		"GOCACHE=" + w.config.GoCache,
		"GOMODCACHE=" + w.config.GoModCache,
		"GOENV=off",
		"GOFLAGS=",
		"GOWORK=off",
		"GOTOOLCHAIN=local",
		"CGO_ENABLED=0",
		"GOOS=linux",
		"GOARCH=" + w.arch,
	}
	for _, v := range [][2]string{{"GOPROXY", proxy}, {"GOSUMDB", w.config.GoSumDB}, {"GOPRIVATE", w.config.GoPrivate}} {
		if v[1] != "" {
			env = append(env, v[0]+"="+v[1])
		}
	}
	return env
}

// shorten is the end of what go said, with paths as the repository has them.
func (w *work) shorten(said string) string {
	src := w.path("src")
	said = strings.NewReplacer(src+string(filepath.Separator), "", src, ".").Replace(strings.ToValidUTF8(said, "\uFFFD"))
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if over := len(lines) - shownLines; over > 0 {
		lines = append([]string{fmt.Sprintf("(%d more lines before)", over)}, lines[over:]...)
	}
	for i, l := range lines {
		if r := []rune(l); len(r) > 300 {
			lines[i] = string(r[:300]) + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// tail keeps the end of what is written.
type tail struct {
	text  []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - t.limit; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
