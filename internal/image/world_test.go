package image

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

const (
	commit   = ref.SHA("0123456789abcdef0123456789abcdef01234567")
	password = "pass-8d1f-secret"
)

var committed = time.Date(2026, 3, 4, 5, 6, 7, 890, time.FixedZone("x", 3600))

// hello is a service that says which revision it is.
var hello = map[string]string{
	"go.mod":  "module example.com/app\n\ngo 1.24\n",
	"main.go": "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() { fmt.Println(os.Getenv(\"SLIPWAY_VERSION\"), os.Getenv(\"SLIPWAY_REVISION\")) }\n",
}

// with is files with some of them changed; "" leaves one out.
func with(files, changes map[string]string) map[string]string {
	all := maps.Clone(files)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_, content string) bool { return content == "" })
	return all
}

// tree exports one tree, whatever is asked for.
type tree struct {
	mutex   sync.Mutex
	files   map[string]string
	err     error
	exports int
	mode    os.FileMode // of the files; 0 is 0644
}

func (x *tree) Export(_ context.Context, _ ref.RepoID, _ ref.SHA, dir string) (time.Time, error) {
	x.mutex.Lock()
	defer x.mutex.Unlock()
	x.exports++
	mode := x.mode
	if mode == 0 {
		mode = 0o644
	}
	for name, content := range x.files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return time.Time{}, err
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			return time.Time{}, err
		}
	}
	return committed, x.err
}

func (x *tree) count() int {
	x.mutex.Lock()
	defer x.mutex.Unlock()
	return x.exports
}

// hub is a registry over real HTTP, with something around its requests.
type hub struct {
	host string

	mutex    sync.Mutex
	around   func(w http.ResponseWriter, r *http.Request, next http.Handler)
	requests []string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{}
	next := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mutex.Lock()
		h.requests = append(h.requests, r.Method+" "+r.URL.Path)
		around := h.around
		h.mutex.Unlock()
		if around != nil {
			around(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.host = strings.TrimPrefix(server.URL, "http://")
	return h
}

// wrap puts something around every request from now on; nil takes it away.
func (h *hub) wrap(around func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.around = around
}

// count counts the requests that begin so.
func (h *hub) count(prefix string) int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	n := 0
	for _, r := range h.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

// builder is a new one in a new folder, with this machine's caches of Go, which
// are addressed by content.
func builder(t *testing.T, x Exporter, change ...func(*Config)) *Builder {
	t.Helper()
	c := Config{Dir: filepath.Join(t.TempDir(), "images"), Exporter: x, GoCache: goEnv(t, "GOCACHE"), GoModCache: goEnv(t, "GOMODCACHE")}
	for _, apply := range change {
		apply(&c)
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// at adds the registry.
func at(h *hub) func(*Config) {
	return func(c *Config) {
		c.Registries = map[string]Auth{h.host: {Username: "slipway", Password: password, Insecure: true}}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// order is what is built for a registry.
func order(host string) reconcile.Build {
	return reconcile.Build{
		Repo:       ref.RepoID{Owner: "acme", Name: "app"},
		Commit:     commit,
		Tag:        "v1.2.3",
		Version:    "1.2.3",
		Change:     ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: 7},
		Repository: host + "/acme/app",
		Source:     "https://forge.example/acme/app",
		Plan:       change.BuildPlan{Main: ".", Platform: "linux/amd64"},
	}
}

// script is a go command that does something first and then is the real one.
func script(t *testing.T, first string) string {
	t.Helper()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "go")
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\n%s\nexec %s \"$@\"\n", first, goCommand), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// deadline bounds a test that could hang.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
