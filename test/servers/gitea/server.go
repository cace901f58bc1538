// Package gitea runs a real Gitea, with its container registry and its CI
// runner, on the loopback interface in a folder of its own, and sets up the
// accounts, repositories and rules that a test or the demo wants. It is a forge
// to act against; it decides nothing.
package gitea

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"slipway/test/servers"
	"slipway/test/servers/process"
)

// Config says how to run a Gitea.
type Config struct {
	Binaries Binaries
	Dir      string    // folder for everything the server writes; made if missing, never removed
	Port     int       // on 127.0.0.1; 0 means a free one
	Log      io.Writer // receives what the server prints; nil for none

	// Tuned makes the server act on a push, a webhook or a mergeability check
	// at once, where a stock Gitea gathers such work for some tenths of a second.
	Tuned bool
}

// Binaries are the programs and files the servers are run from.
type Binaries struct {
	Gitea  string // the server
	Static string // its templates, options and public files
	Runner string // its CI runner; only StartRunner needs it
}

// Server is a running Gitea.
type Server struct {
	config  Config
	addr    string
	git     string // folder of the git command
	process *process.Process
	admin   Account
	http    *http.Client

	mutex   sync.Mutex
	holders map[string]Account // the persons by their tokens for everything
}

// FindBinaries takes the binaries from the cache that `make servers` fills. The
// empty cacheDir means the default one.
func FindBinaries(cacheDir string) (Binaries, error) {
	forge, err := servers.Find(cacheDir, servers.Gitea)
	if err != nil {
		return Binaries{}, err
	}
	runner, err := servers.Find(cacheDir, servers.Runner)
	if err != nil {
		return Binaries{}, err
	}
	return Binaries{
		Gitea:  forge.Path("gitea"),
		Static: forge.Path("static"),
		Runner: runner.Path("runner"),
	}, nil
}

// startLimit bounds how long a Gitea may take until it answers.
const startLimit = 60 * time.Second

// Start runs a new Gitea with an empty database in the configured folder, waits
// until it answers and creates the site's administrator. If the port was free
// to choose and somebody else took it in the meantime, it tries another.
func Start(ctx context.Context, c Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, errors.New("start Gitea: git is not on PATH: install git")
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	s := &Server{config: c, git: filepath.Dir(git), http: &http.Client{Timeout: callLimit}, holders: map[string]Account{}}

	const attempts = 3
	for try := 1; ; try++ {
		err := s.start(ctx)
		if err == nil {
			return s, nil
		}
		taken := strings.Contains(err.Error(), "address already in use")
		if c.Port != 0 || !taken || try == attempts {
			return nil, fmt.Errorf("start Gitea: %w", err)
		}
	}
}

// URL returns the address of the site, without a slash at its end.
func (s *Server) URL() string { return "http://" + s.addr }

// Registry returns the host and port of the container registry, which speaks
// plain HTTP.
func (s *Server) Registry() string { return s.addr }

// Admin returns the site's administrator, whose token may do everything.
func (s *Server) Admin() Account { return s.admin }

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Crashed says why the server ended, with the end of its log. It must not be
// called before Done is closed.
func (s *Server) Crashed() error { return s.process.Ended() }

// Stop ends the server, gracefully if it obeys, and waits until it has ended.
// Its folder stays, so that Resume can go on from it.
func (s *Server) Stop(ctx context.Context) error { return s.process.Stop(ctx) }

// Kill ends the server at once, as a power cut would, and waits until it has.
func (s *Server) Kill() { s.process.Kill() }

// Resume runs the stopped server again at its old address with its old data.
func (s *Server) Resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.serve(ctx); err != nil {
		return fmt.Errorf("resume Gitea: %w", err)
	}
	return nil
}

func (s *Server) start(ctx context.Context) error {
	var err error
	if s.addr, err = address(ctx, s.config.Port); err != nil {
		return err
	}
	for _, dir := range []string{"custom/conf", "data", "log", "home", "tmp"} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil { //nolint:gosec // a test server's own folder
			return err
		}
	}
	settings, err := s.settings()
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.iniFile(), []byte(settings), 0o600); err != nil {
		return err
	}
	if _, err := s.command(ctx, "migrate"); err != nil {
		return err
	}
	if s.admin, err = s.createAdmin(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

// serve starts the server on its folder and waits until it answers.
func (s *Server) serve(ctx context.Context) error {
	p, err := process.Start(process.Spec{
		Name:    "Gitea",
		Path:    s.config.Binaries.Gitea,
		Args:    []string{"--config", s.iniFile(), "web"},
		Env:     s.environment(),
		Dir:     s.config.Dir,
		Log:     s.config.Log,
		Contain: true,
	})
	if err != nil {
		return err
	}
	if err := s.healthy(ctx, p); err != nil {
		p.Kill()
		return err
	}
	s.process = p
	return nil
}

// healthy waits until the server says that it and its database are well.
func (s *Server) healthy(ctx context.Context, p *process.Process) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/api/healthz", nil)
		if err != nil {
			return err
		}
		if response, err := s.http.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.Done():
			return p.Ended()
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w\n%s", ctx.Err(), p.Log())
		case <-tick.C:
		}
	}
}

// command runs one of the server's own commands and returns its standard output.
func (s *Server) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.config.Binaries.Gitea, append([]string{"--config", s.iniFile()}, args...)...) //nolint:gosec // the cached binary
	cmd.Env, cmd.Dir = s.environment(), s.config.Dir
	cmd.WaitDelay = time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("gitea %s: %w\n%s", args[0], err, strings.TrimSpace(complaints.String()+out.String()))
	}
	return out.String(), nil
}

// environment is all the server sees of ours: where git is. Every push makes git
// run the server's binary three times more, as its hooks, which each live for a
// tenth of a second: with a heap that may grow they spend none of it collecting.
func (s *Server) environment() []string {
	return []string{
		"PATH=" + s.git + string(os.PathListSeparator) + "/usr/local/bin:/usr/bin:/bin",
		"HOME=" + s.path("home"),
		"TMPDIR=" + s.path("tmp"),
		"GITEA_WORK_DIR=" + s.config.Dir,
		"GIT_CONFIG_NOSYSTEM=1",
		"LANG=C.UTF-8",
		"GOGC=400",
		"GOMEMLIMIT=320MiB", // which the server itself would pass
	}
}

func (s *Server) path(name string) string { return filepath.Join(s.config.Dir, name) }

func (s *Server) iniFile() string { return s.path("custom/conf/app.ini") }

// address returns 127.0.0.1 with the port, or with a free one for 0.
func address(ctx context.Context, port int) (string, error) {
	var network net.ListenConfig
	l, err := network.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
