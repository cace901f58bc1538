package git

import (
	"context"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/ref"
)

const (
	user  = "slipway-bot"
	token = "tok-5f2c9e71/+=?secret"
)

// app is the repository that most tests use.
var app = ref.RepoID{Owner: "acme", Name: "app"}

// forge serves real repositories over real HTTP, with git's own server.
type forge struct {
	t    *testing.T
	dir  string
	url  string
	cgi  http.Handler
	http *httptest.Server

	mutex    sync.Mutex
	around   func(w http.ResponseWriter, r *http.Request, next http.Handler)
	requests []string // method, path and query
	packs    int      // answered fetches
	strange  []string // credentials that are not ours
}

func newForge(t *testing.T) *forge {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	f := &forge{t: t, dir: t.TempDir()}
	f.cgi = &cgi.Handler{
		Path:   git,
		Args:   []string{"http-backend"},
		Env:    []string{"GIT_PROJECT_ROOT=" + f.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + user, "GIT_CONFIG_NOSYSTEM=1", "HOME=" + f.dir},
		Stderr: testLog{t},
	}
	f.http = httptest.NewServer(f)
	t.Cleanup(f.http.Close)
	f.url = f.http.URL
	return f
}

// testLog takes what the server's git complains of, which some tests provoke.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) { return len(p), nil }

func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, password, given := r.BasicAuth()
	f.mutex.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.String())
	if strings.HasSuffix(r.URL.Path, "git-upload-pack") && r.Method == http.MethodPost {
		f.packs++
	}
	around := f.around
	good := given && name == user && password == token
	if given && !good {
		f.strange = append(f.strange, r.Header.Get("Authorization"))
	}
	f.mutex.Unlock()
	if !good {
		w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
		http.Error(w, "who is there?", http.StatusUnauthorized)
		return
	}
	if around != nil {
		around(w, r, f.cgi)
		return
	}
	f.cgi.ServeHTTP(w, r)
}

// wrap puts something around every request from now on; nil takes it away.
func (f *forge) wrap(around func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.around = around
}

func (f *forge) seen() (requests []string, packs int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return append([]string(nil), f.requests...), f.packs
}

// create makes an empty bare repository.
func (f *forge) create(repo ref.RepoID, options ...string) *bare {
	f.t.Helper()
	dir := filepath.Join(f.dir, repo.Owner, repo.Name+".git")
	b := &bare{t: f.t, dir: dir}
	args := append([]string{"init", "--quiet", "--bare", "--initial-branch=main"}, options...)
	b.command("", append(args, dir)...)
	b.git("config", "http.receivepack", "true")
	b.git("config", "uploadpack.allowFilter", "true")
	return b
}

// bare is a repository at the forge, written to by hand.
type bare struct {
	t   *testing.T
	dir string
}

func (b *bare) git(args ...string) string {
	b.t.Helper()
	return b.gitIn("", args...)
}

// gitIn runs git in the repository with an input and returns its trimmed output.
func (b *bare) gitIn(stdin string, args ...string) string {
	b.t.Helper()
	return b.command(stdin, append([]string{"--git-dir=" + b.dir}, args...)...)
}

func (b *bare) command(stdin string, args ...string) string {
	b.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com", "GIT_COMMITTER_DATE=1700000000 +0000",
	}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// blob stores content and returns its id.
func (b *bare) blob(content string) string {
	b.t.Helper()
	return b.gitIn(content, "hash-object", "-w", "--stdin")
}

// tree stores a tree of files; a name may hold slashes, a value that begins
// with "mode:" gives the mode before the content.
func (b *bare) tree(files map[string]string) string {
	b.t.Helper()
	index := filepath.Join(b.t.TempDir(), "index")
	var lines strings.Builder
	for name, content := range files {
		mode := "100644"
		if commit, submodule := strings.CutPrefix(content, "gitlink:"); submodule {
			lines.WriteString("160000 " + commit + "\t" + name + "\x00")
			continue
		}
		if m, rest, ok := strings.Cut(content, ":"); ok && (m == "100755" || m == "120000") {
			mode, content = m, rest
		}
		lines.WriteString(mode + " " + b.blob(content) + "\t" + name + "\x00")
	}
	run := func(stdin string, args ...string) string {
		cmd := exec.Command("git", append([]string{"--git-dir=" + b.dir}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "GIT_INDEX_FILE=" + index}
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run(lines.String(), "update-index", "-z", "--add", "--index-info")
	return run("", "write-tree")
}

// commit stores a commit of files on top of parents.
func (b *bare) commit(message string, files map[string]string, parents ...ref.SHA) ref.SHA {
	b.t.Helper()
	args := []string{"commit-tree", "-F", "-"}
	for _, p := range parents {
		args = append(args, "-p", string(p))
	}
	return ref.SHA(b.gitIn(message, append(args, b.tree(files))...))
}

// branch moves a branch.
func (b *bare) branch(name string, to ref.SHA) {
	b.t.Helper()
	b.git("update-ref", "refs/heads/"+name, string(to))
}

// tip is the commit of a branch, "" if there is none.
func (b *bare) tip(name string) ref.SHA {
	b.t.Helper()
	return ref.SHA(b.git("for-each-ref", "--format=%(objectname)", "refs/heads/"+name))
}

// line makes commits with the given messages, one after the other, on main.
func (b *bare) line(messages ...string) []ref.SHA {
	b.t.Helper()
	var made []ref.SHA
	for i, m := range messages {
		var parents []ref.SHA
		if i > 0 {
			parents = made[i-1:]
		}
		made = append(made, b.commit(m, map[string]string{"file": m}, parents...))
	}
	b.branch("main", made[len(made)-1])
	return made
}

// mirrors are new mirrors of a forge in a new folder.
func (f *forge) mirrors(change ...func(*Config)) *Mirrors {
	f.t.Helper()
	c := Config{
		Dir: filepath.Join(f.t.TempDir(), "mirrors"),
		Remote: func(repo ref.RepoID) (Remote, error) {
			return Remote{URL: f.url + "/" + repo.String() + ".git", Username: user, Token: token}, nil
		},
		Name:    "Slipway",
		Email:   "slipway@example.com",
		Timeout: time.Minute,
	}
	for _, apply := range change {
		apply(&c)
	}
	g, err := New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

// deadline bounds a test that could hang.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
