// Package e2e_test runs the slipway that people run, against a real forge with
// its registry and CI runner and a real Kubernetes. Between Slipway and each of
// them stands a line that a test can listen on, and cut.
package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/test/servers"
	"slipway/test/servers/kubernetes"
	"slipway/test/stage"
)

const (
	// badTag crashes on the stage's fake nodes. It is the second version of a
	// project that begins with fromSeven, and no other project's.
	badTag = "v7.1.0"

	// atOnce is how many tests run side by side.
	atOnce = 4
	// upLimit is how long the servers may take to come up on a busy machine.
	upLimit = 3 * time.Minute
)

// house is what all tests of this run share.
type house struct {
	dir    string
	binary string // the slipway under test
	soak   int    // rounds of the long repetitions; 0: none
	places atomic.Int64
	// setting lets one project be set up at a time: each changes the
	// organisation's teams, and meanwhile the forge forgets who may do what.
	setting sync.Mutex

	apprentice func() (string, error)       // the builders' command, built on first use
	stage      func() (*stage.Stage, error) // up on first use
	cluster    func() (clients.Interface, error)
	end        context.CancelFunc
}

// shared is set by TestMain before any test runs, and not changed afterwards.
var shared *house

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	soak := 0
	if text := os.Getenv("SLIPWAY_SOAK"); text != "" {
		if soak, err = strconv.Atoi(text); err != nil || soak < 0 {
			return 1, fmt.Errorf("SLIPWAY_SOAK is %q: want how many rounds, such as 20", text)
		}
	}
	// Not in the tests' own folders: it outlives each of them.
	dir, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if shared, err = furnish(dir, soak); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.clear()) }()
	// They wait more than they compute. Who says otherwise has the last word.
	if err = flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// furnish builds slipway. The stage comes up with the first test that wants it.
func furnish(dir string, soak int) (*house, error) {
	ctx, cancel := context.WithCancel(context.Background())
	h := &house{dir: dir, binary: filepath.Join(dir, "slipway"), soak: soak, end: cancel}
	args := []string{"build", "-o", h.binary}
	if soak > 0 {
		args = append(args, "-race") // a long run may as well look for races
	}
	build := exec.CommandContext(ctx, "go", append(args, "slipway/cmd/slipway")...) //nolint:gosec // fixed words and our own folder
	if out, err := build.CombinedOutput(); err != nil {
		cancel()
		return nil, fmt.Errorf("build slipway: %w\n%s", err, out)
	}
	h.apprentice = sync.OnceValues(func() (string, error) {
		path := filepath.Join(dir, "apprentice")
		build := exec.CommandContext(ctx, "go", "build", "-o", path, "slipway/test/apprentice") //nolint:gosec // fixed words and our own folder
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the apprentice: %w\n%s", err, out)
		}
		return path, nil
	})
	h.stage = sync.OnceValues(func() (*stage.Stage, error) { return h.setUp(ctx) })
	h.cluster = sync.OnceValues(func() (clients.Interface, error) {
		s, err := h.stage()
		if err != nil {
			return nil, err
		}
		config, err := clientcmd.BuildConfigFromFlags("", s.Cluster.Kubeconfig)
		if err != nil {
			return nil, err
		}
		return clients.NewForConfig(config)
	})
	return h, nil
}

func (h *house) setUp(ctx context.Context) (*stage.Stage, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(upLimit, h.end) // the stage lives as long as ctx, so ctx has no limit of its own
	s, err := stage.Up(ctx, stage.Options{
		Dir: filepath.Join(h.dir, "stage"), Level: kubernetes.Kwok, BadTags: []string{badTag},
		BuildCache: filepath.Join(cache, "slipway", "build"), Log: io.Discard,
	})
	if !late.Stop() {
		err = errors.Join(fmt.Errorf("the stage was not up within %s", upLimit), err)
	}
	if errors.Is(err, servers.ErrNotBuilt) {
		return nil, fmt.Errorf("%w; `make servers` builds what these tests run against", err)
	}
	return s, err
}

// clear ends what was started. Asking for a stage that was never wanted brings
// it up, so only one that has a folder is asked for.
func (h *house) clear() error {
	defer h.end()
	if _, err := os.Stat(filepath.Join(h.dir, "stage")); err != nil {
		return nil
	}
	s, err := h.stage()
	if err != nil || s == nil {
		return nil // said by the test that wanted it
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return s.Down(ctx)
}
