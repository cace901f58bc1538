package gitea

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/test/servers/process"
)

// RunnerLabel is what a workflow's runs-on says to be run here.
const RunnerLabel = "host"

// runnerConfig is the runner's own configuration. It asks for work twice a second,
// as the server hashes its token ten thousand times at each question, and reports
// at once, so that a test does not wait for it.
const runnerConfig = `log:
  level: info
runner:
  file: registration.json
  capacity: 2
  fetch_interval: 500ms
  fetch_interval_max: 500ms
  log_report_interval: 200ms
  log_report_max_latency: 100ms
  state_report_interval: 200ms
  shutdown_timeout: 1s
  labels: ["` + RunnerLabel + `:host"]
cache:
  enabled: false
host:
  workdir_parent: %q
`

// Runner is a running CI runner. It runs jobs on this machine, as this user,
// without a container.
type Runner struct{ process *process.Process }

// StartRunner registers a runner for the whole site and starts it in a folder
// of its own. Jobs see none of this process's environment but where go and git
// are, and Go's caches and sources of modules. The caches are addressed by
// content, so sharing them with the developer is safe, and without them the
// first job would compile the standard library anew.
func (s *Server) StartRunner(ctx context.Context, dir string, log io.Writer) (*Runner, error) {
	r, err := s.startRunner(ctx, dir, log)
	if err != nil {
		return nil, fmt.Errorf("start the CI runner: %w", err)
	}
	return r, nil
}

// Done is closed when the runner has ended, by Stop or by itself.
func (r *Runner) Done() <-chan struct{} { return r.process.Done() }

// Crashed says why the runner ended, with the end of its log. It must not be
// called before Done is closed.
func (r *Runner) Crashed() error { return r.process.Ended() }

// Stop ends the runner and whatever its jobs left running, and waits.
func (r *Runner) Stop(ctx context.Context) error { return r.process.Stop(ctx) }

func (s *Server) startRunner(ctx context.Context, dir string, log io.Writer) (*Runner, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"home", "tmp", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil { //nolint:gosec // the jobs' own folders
			return nil, err
		}
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, runnerConfig, filepath.Join(dir, "work")), 0o600); err != nil {
		return nil, err
	}
	env, err := jobEnvironment(ctx, dir)
	if err != nil {
		return nil, err
	}
	client, err := s.Client(ctx, s.admin.Token)
	if err != nil {
		return nil, err
	}
	registration, _, err := client.CreateAdminActionRunnerRegistrationToken()
	if err != nil {
		return nil, fmt.Errorf("ask for a registration token: %w", err)
	}
	name := "runner-" + secret()[:8]
	register := exec.CommandContext(ctx, s.config.Binaries.Runner, "register", "--config", config, "--no-interactive", //nolint:gosec // the cached binary
		"--instance", s.URL(), "--token", registration.Token, "--name", name, "--labels", RunnerLabel+":host")
	register.Dir, register.Env, register.WaitDelay = dir, env, time.Second
	if out, err := register.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("register: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	p, err := process.Start(process.Spec{
		Name:    "the CI runner",
		Path:    s.config.Binaries.Runner,
		Args:    []string{"daemon", "--config", config},
		Env:     env,
		Dir:     dir,
		Log:     log,
		Contain: true,
	})
	if err != nil {
		return nil, err
	}
	if err := online(ctx, client, name, p); err != nil {
		p.Kill()
		return nil, err
	}
	return &Runner{process: p}, nil
}

// online waits until the server counts the runner among those it can send work
// to. Before that the runner may not yet heed a signal either.
func online(ctx context.Context, client *sdk.Client, name string, p *process.Process) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		list, _, err := client.ListAdminActionRunners(sdk.ListActionRunnersOptions{})
		if err != nil {
			return fmt.Errorf("ask for the runners: %w", err)
		}
		for _, r := range list.Runners {
			if r.Name == name && r.Status != "offline" {
				return nil
			}
		}
		select {
		case <-p.Done():
			return p.Ended()
		case <-ctx.Done():
			return fmt.Errorf("it does not report for work: %w\n%s", ctx.Err(), p.Log())
		case <-tick.C:
		}
	}
}

// jobEnvironment is what the runner, and so each job, sees.
func jobEnvironment(ctx context.Context, dir string) ([]string, error) {
	var path []string
	for _, program := range []string{"go", "git"} {
		found, err := exec.LookPath(program)
		if err != nil {
			return nil, fmt.Errorf("%s is not on PATH: the jobs need it, install it", program)
		}
		path = append(path, filepath.Dir(found))
	}
	path = append(path, "/usr/local/bin", "/usr/bin", "/bin")
	env := []string{
		"PATH=" + strings.Join(path, string(os.PathListSeparator)),
		"HOME=" + filepath.Join(dir, "home"),
		"TMPDIR=" + filepath.Join(dir, "tmp"),
		"GIT_CONFIG_NOSYSTEM=1",
		"GOFLAGS=",
		"LANG=C.UTF-8",
	}
	shared := []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN"}
	out, err := exec.CommandContext(ctx, "go", append([]string{"env"}, shared...)...).Output() //nolint:gosec // fixed words
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	values := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(values) != len(shared) {
		return nil, errors.New("go env: unexpected answer")
	}
	for i, name := range shared {
		env = append(env, name+"="+values[i])
	}
	return env, nil
}
