package git

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// stall makes the forge stop in the middle of its answer to a fetch. The
// channel tells of each such answer.
func stall(f *forge) (stalled <-chan struct{}, release func()) {
	reached, free := make(chan struct{}, 100), make(chan struct{})
	f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isFetch(f.t, r) {
			w = &halfway{ResponseWriter: w, reached: reached, free: free}
		}
		next.ServeHTTP(w, r)
	})
	return reached, sync.OnceFunc(func() { close(free) })
}

// isFetch says whether a request is for objects (gitprotocol-v2, "fetch").
func isFetch(t *testing.T, r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return bytes.Contains(body, []byte("command=fetch"))
}

// halfway lets the first bytes of an answer through, then waits.
type halfway struct {
	http.ResponseWriter
	reached chan<- struct{}
	free    <-chan struct{}
	sent    int
}

func (h *halfway) Write(p []byte) (int, error) {
	const first = 40
	if h.sent+len(p) > first {
		h.ResponseWriter.(http.Flusher).Flush()
		h.reached <- struct{}{}
		<-h.free
	}
	h.sent += len(p)
	return h.ResponseWriter.Write(p)
}

func TestCloneThatIsCutShort(t *testing.T) {
	f := newForge(t)
	tip := f.create(app).line("one", "two")[1]
	g := f.mirrors()
	stalled, release := stall(f)
	defer release()
	ctx, cancel := context.WithCancel(deadline(t))
	failed := make(chan error)
	go func() { failed <- g.Fetch(ctx, app) }()
	<-stalled
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the end of the context", err)
	}
	if _, err := os.Stat(mirrorDir(g)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a mirror: %v", err)
	}
	if left, err := os.ReadDir(g.temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	release()
	f.wrap(nil)
	if commits, err := g.FirstParent(deadline(t), app, "", tip); err != nil || len(commits) != 2 {
		t.Errorf("got %v, %v", commits, err)
	}
}

func TestNetworkUseHasALimit(t *testing.T) {
	f := newForge(t)
	f.create(app).line("one", "two")
	g := f.mirrors(func(c *Config) { c.Timeout = 700 * time.Millisecond })
	_, release := stall(f)
	defer release()
	err := g.Fetch(deadline(t), app)
	if err == nil || fault.KindOf(err) != fault.Later || !strings.Contains(err.Error(), "took longer than 700ms") {
		t.Errorf("got %v; want an error to try later that names the limit", err)
	}
}

// TestKilledWhileCloning runs this test's binary as a process of its own and
// kills it in the middle of its first fetch.
func TestKilledWhileCloning(t *testing.T) {
	if address := os.Getenv("SLIPWAY_TEST_CLONE"); address != "" {
		g, err := New(Config{
			Dir:    os.Getenv("SLIPWAY_TEST_DIR"),
			Remote: func(ref.RepoID) (Remote, error) { return Remote{URL: address, Username: user, Token: token}, nil },
			Name:   "x", Email: "x@example.com",
		})
		if err == nil {
			err = g.Fetch(t.Context(), app)
		}
		t.Fatal(err)
	}
	f := newForge(t)
	tip := f.create(app).line("one", "two")[1]
	stalled, release := stall(f)
	defer release()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^TestKilledWhileCloning$")
	child.Env = append(os.Environ(), "SLIPWAY_TEST_CLONE="+f.url+"/acme/app.git", "SLIPWAY_TEST_DIR="+dir)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	<-stalled
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if left, err := os.ReadDir(filepath.Join(dir, ".temp")); err != nil || len(left) == 0 {
		t.Fatalf("nothing was left behind, %v: it was not killed in time", err)
	}
	f.wrap(nil)
	g := f.mirrors(func(c *Config) { c.Dir = dir }) // its git may still be at work
	if commits, err := g.FirstParent(deadline(t), app, "", tip); err != nil || len(commits) != 2 {
		t.Errorf("got %v, %v", commits, err)
	}
	release()
	if left, err := os.ReadDir(filepath.Join(dir, ".temp")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
