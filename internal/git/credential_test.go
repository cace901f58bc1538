package git

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// secrets are the forms in which the token could show.
func secrets() []string {
	return []string{token, base64.StdEncoding.EncodeToString([]byte(user + ":" + token)), "tok-5f2c9e71"}
}

func shows(text string) bool {
	for _, s := range secrets() {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// commandLines are those of every process that can be seen.
func commandLines(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, p := range paths {
		if text, err := os.ReadFile(p); err == nil { // else it has ended
			all.Write(text)
			all.WriteByte('\n')
		}
	}
	return all.String()
}

func TestTokenStaysInTheEnvironment(t *testing.T) {
	f := newForge(t)
	shas := f.create(app).line("one", "two")
	looked, leaked := 0, ""
	f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if lines := commandLines(t); strings.Contains(lines, "remote-http") {
			looked++
			if shows(lines) {
				leaked = lines
			}
		}
		next.ServeHTTP(w, r)
	})
	g := f.mirrors()
	ctx := deadline(t)
	if err := g.Revert(ctx, mainBranch, shas[1], "revert", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/cmdline"); err == nil && looked == 0 {
		t.Error("git was never seen at work")
	}
	if leaked != "" {
		t.Errorf("a command line shows the token:\n%s", leaked)
	}
	requests, _ := f.seen()
	if shows(strings.Join(requests, "\n")) {
		t.Error("an address shows the token")
	}
	err := filepath.WalkDir(g.config.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if shows(path) || shows(string(text)) {
			t.Errorf("%s shows the token", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		rule   string
		answer func(w http.ResponseWriter, r *http.Request)
		kind   fault.Kind
		words  string
	}{
		{"the token is not accepted", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
		}, fault.Permanent, "renew the token"},
		{"the account may not", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no: "+r.Header.Get("Authorization")+token, http.StatusForbidden)
		}, fault.Permanent, "give the account its right"},
		{"the repository is not there", func(w http.ResponseWriter, r *http.Request) {
			http.NotFound(w, r)
		}, fault.Permanent, "correct its address"},
		{"the forge has an error", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "oops "+token, http.StatusInternalServerError)
		}, fault.Later, "500"},
		{"a page where git was expected", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "<html>"+token)
		}, fault.Later, "info/refs"},
		{"git's own complaint", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			line := "ERR no such " + token + " " + r.Header.Get("Authorization") + "\n"
			fmt.Fprintf(w, "001e# service=git-upload-pack\n0000%04x%s", len(line)+4, line)
		}, fault.Later, "[redacted]"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			f := newForge(t)
			f.create(app).line("one")
			f.wrap(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { test.answer(w, r) })
			err := f.mirrors().Fetch(deadline(t), app)
			if err == nil || fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v; want kind %d and the words %q", err, test.kind, test.words)
			}
			if err != nil && shows(fmt.Sprintf("%v %+v %#v", err, err, err)) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere, reached := "", false
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = true
		http.NotFound(w, r)
	}))
	defer thief.Close()
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, elsewhere = range []string{thief.URL, "http://localhost" + strings.TrimPrefix(thief.URL, "http://127.0.0.1"), "file:///etc"} {
			f := newForge(t)
			f.create(app).line("one")
			f.wrap(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(w, r, elsewhere+r.URL.Path+"?"+r.URL.RawQuery, code)
			})
			err := f.mirrors().Fetch(deadline(t), app)
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "points elsewhere") {
				t.Errorf("%d: got %v; want a permanent error that says so", code, err)
			}
		}
	}
	if reached {
		t.Error("the redirect was followed")
	}
}

func TestSurroundingsDoNotMatter(t *testing.T) {
	evil := t.TempDir()
	mark := filepath.Join(evil, "mark")
	script := filepath.Join(evil, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho x >>"+mark+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(evil, "gitconfig")
	text := "[core]\n\thooksPath = " + evil + "\n\tsshCommand = " + script + "\n[credential]\n\thelper = " + script + "\n[http]\n\tproxy = http://127.0.0.1:1\n[url \"file:///nowhere/\"]\n\tinsteadOf = http://\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(script, filepath.Join(evil, "reference-transaction")); err != nil {
		t.Fatal(err)
	}
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two")
	for name, value := range map[string]string{
		"HOME": evil, "XDG_CONFIG_HOME": evil, "GIT_CONFIG_GLOBAL": config, "GIT_CONFIG_SYSTEM": config,
		"GIT_DIR": evil, "GIT_WORK_TREE": evil, "GIT_INDEX_FILE": mark, "GIT_OBJECT_DIRECTORY": evil, "GIT_ASKPASS": script, "SSH_ASKPASS": script,
		"GIT_TRACE": mark, "GIT_TRACE_CURL": mark, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy", "GIT_CONFIG_VALUE_0": "http://127.0.0.1:1",
		"http_proxy": "http://127.0.0.1:1", "GIT_EDITOR": script, "GIT_PAGER": script, "LC_ALL": "de_DE.UTF-8",
	} {
		t.Setenv(name, value)
	}
	g := f.mirrors()
	ctx := deadline(t)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	// A hook within the mirror, as a broken template could have put it.
	if err := os.Symlink(evil, filepath.Join(mirrorDir(g), "hooks")); err != nil {
		t.Fatal(err)
	}
	// The helpers of the test's own side must not see them either.
	for _, name := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"} {
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	b.branch("new", shas[0])
	if err := g.Revert(ctx, mainBranch, shas[1], "revert", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("something of the surroundings was used")
	}
}

func TestRemotePrintsNoToken(t *testing.T) {
	r := Remote{URL: "https://forge.example/a.git", Username: user, Token: token}
	encoded, err := json.Marshal(map[string]any{"remote": r, "pointer": &r})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s %q %v", r, r, r, r, r, struct{ R Remote }{r}) + string(encoded); shows(text) {
		t.Errorf("printed: %s", text)
	}
}

func TestNewChecksItsConfiguration(t *testing.T) {
	remote := func(ref.RepoID) (Remote, error) { return Remote{}, nil }
	for _, test := range []struct {
		rule   string
		config Config
		ok     bool
	}{
		{"complete", Config{Remote: remote, Name: "Slipway", Email: "s@example.com"}, true},
		{"no remotes", Config{Name: "Slipway", Email: "s@example.com"}, false},
		{"no author", Config{Remote: remote}, false},
		{"an author that git would cut", Config{Remote: remote, Name: "a<b", Email: "s@example.com"}, false},
		{"an author of two lines", Config{Remote: remote, Name: "a\nb", Email: "s@example.com"}, false},
		{"no such git", Config{Remote: remote, Name: "Slipway", Email: "s@example.com", Command: "no-such-git"}, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			test.config.Dir = t.TempDir()
			if _, err := New(test.config); (err == nil) != test.ok {
				t.Errorf("got %v; want success: %t", err, test.ok)
			}
		})
	}
}
