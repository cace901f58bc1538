// Package git speaks to repositories with the git command, on bare mirrors
// that it keeps in a folder of its own: it reads history, exports trees and
// pushes reverts. A mirror holds nothing that the forge does not, so a damaged
// one is made anew. It decides nothing, and runs no code of a repository.
package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Config says where the mirrors are and what they mirror.
type Config struct {
	// Dir is a folder for the mirrors alone. It belongs to one process at a time.
	Dir string
	// Remote is asked before every use of the network and every read, so that a
	// new token or address counts at once.
	Remote func(ref.RepoID) (Remote, error)
	// Name and Email are the author of the reverts. Author, if there is one, is
	// asked for them before each revert: a forge knows the author by the address.
	Name, Email string
	Author      func(context.Context, ref.RepoID) (name, email string, err error)
	// Command is the git command; "" means the one on PATH. At least 2.38.
	Command string
	// Timeout bounds one use of the network; 0 means ten minutes.
	Timeout time.Duration
}

// Remote is where a repository is and who asks. No printed form of it shows the
// token.
type Remote struct {
	URL      string // http, https or file; without a user
	Username string
	Token    string // "" asks as nobody
}

// Mirrors holds one mirror per repository.
type Mirrors struct {
	config Config
	home   string // an empty folder
	temp   string // what is being made
	limits limits

	mutex  sync.Mutex
	known  map[ref.RepoID]*mirror
	undone map[undoing]bool
}

// limits bound what is read.
type limits struct {
	local   time.Duration // one use of git without the network
	output  int64         // bytes of one answer
	commits int           // of one list
	files   int           // of one exported tree
	bytes   int64         // of one exported tree
}

// New prepares the folder. What an earlier process was making when it ended is
// removed.
func New(c Config) (*Mirrors, error) {
	g, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("git mirrors in %s: %w", c.Dir, err)
	}
	return g, nil
}

// Fetch brings the mirror up to date with the forge, and makes it where it is
// missing, damaged or a mirror of another address. Callers that wait for the
// same repository share one fetch.
func (g *Mirrors) Fetch(ctx context.Context, repo ref.RepoID) error {
	m, err := g.mirror(repo)
	if err != nil {
		return err
	}
	if err := g.fetch(ctx, m); err != nil {
		return fmt.Errorf("fetch %s: %w", repo, err)
	}
	return nil
}

// String names the address and the user, but not the token.
func (r Remote) String() string {
	if r.Token == "" {
		return r.URL
	}
	return r.URL + " as " + r.Username + " with a token"
}

// GoString is String, for %#v.
func (r Remote) GoString() string { return r.String() }

// MarshalText is String, for JSON and logs.
func (r Remote) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func open(c Config) (*Mirrors, error) {
	if c.Remote == nil {
		return nil, errors.New("no Remote is configured")
	}
	if c.Author == nil {
		if err := checkAuthor(c.Name, c.Email); err != nil {
			return nil, err
		}
	}
	if c.Command == "" {
		c.Command = "git"
	}
	var err error
	if c.Command, err = exec.LookPath(c.Command); err != nil {
		return nil, fmt.Errorf("the git command: %w: install git", err)
	}
	if c.Command, err = filepath.Abs(c.Command); err != nil {
		return nil, err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	g := &Mirrors{
		config: c,
		// No owner's name begins with a dot.
		home: filepath.Join(c.Dir, ".home"),
		temp: filepath.Join(c.Dir, ".temp"),
		limits: limits{
			local:   2 * time.Minute,
			output:  256 << 20,
			commits: 100_000,
			files:   100_000,
			bytes:   2 << 30,
		},
		known:  map[ref.RepoID]*mirror{},
		undone: map[undoing]bool{},
	}
	for _, dir := range []string{g.home, g.temp} {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// checkAuthor refuses what git would cut or leave out.
func checkAuthor(name, email string) error {
	if name == "" || email == "" || strings.ContainsAny(name+email, "<>\n\r\x00") {
		return errors.New("the author of the reverts needs a name and an e-mail address")
	}
	return nil
}

// mirror is the one value for a repository.
func (g *Mirrors) mirror(repo ref.RepoID) (*mirror, error) {
	if _, err := ref.ParseRepo(repo.String()); err != nil { // it becomes a path
		return nil, fault.AsPermanent(err)
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	m, ok := g.known[repo]
	if !ok {
		m = newMirror(repo, filepath.Join(g.config.Dir, repo.Owner, repo.Name+".git"))
		g.known[repo] = m
	}
	return m, nil
}
