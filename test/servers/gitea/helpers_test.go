package gitea_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/test/servers/gitea"
)

// forge starts a tuned server for one test.
func forge(t *testing.T) *gitea.Server {
	t.Helper()
	binaries, err := gitea.FindBinaries("")
	if err != nil {
		t.Fatal(err)
	}
	server, err := gitea.Start(t.Context(), gitea.Config{Binaries: binaries, Dir: t.TempDir(), Tuned: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// member makes a person with a token for everything.
func member(t *testing.T, s *gitea.Server, login string) gitea.Account {
	t.Helper()
	account, err := s.CreateUser(t.Context(), login, gitea.Person)
	if err != nil {
		t.Fatal(err)
	}
	if account.Token, err = s.Token(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	return account
}

// eventually asks until the answer is yes, and fails the test if it is not
// within the limit.
func eventually(t *testing.T, what string, limit time.Duration, yes func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := yes()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}

func atoi(t *testing.T, digits string) int {
	t.Helper()
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkout is a clone that pushes as its account.
type checkout struct {
	t    *testing.T
	dir  string
	mail string
	name string
}

func clone(t *testing.T, s *gitea.Server, a gitea.Account, repo string) checkout {
	t.Helper()
	c := checkout{t: t, dir: t.TempDir(), mail: a.Email, name: a.Login}
	address := strings.Replace(s.URL(), "http://", "http://"+a.Login+":"+a.Token+"@", 1) + "/" + repo + ".git"
	c.git("clone", "-q", address, ".")
	return c
}

// commit writes the files and commits them, and returns the commit.
func (c checkout) commit(message string, files map[string]string) string {
	c.t.Helper()
	for name, body := range files {
		path := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	c.git("add", "-A")
	c.git("commit", "-q", "-m", message)
	return c.git("rev-parse", "HEAD")
}

func (c checkout) git(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return out
}

func (c checkout) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), "git", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME="+c.name, "GIT_AUTHOR_EMAIL="+c.mail,
		"GIT_COMMITTER_NAME="+c.name, "GIT_COMMITTER_EMAIL="+c.mail)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}
