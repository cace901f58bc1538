// Package github is a working stand-in for GitHub: the calls of its REST API
// that Slipway makes, over real git repositories that can be fetched from and
// pushed to, with Apps, rules, webhooks, conditional requests and rate limits.
// GitHub itself cannot be run, so every request and every answer is held
// against the description that GitHub publishes; what does not fit it is told
// as a violation. It is a forge to act against; it decides nothing.
package github

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Config says how to run a server.
type Config struct {
	// Dir is a folder for the repositories alone; made if missing, never removed.
	Dir string
	// API is what the calls are held against.
	API *Description
	// OnViolation is told of every request, answer and delivery that does not
	// fit the description. It may be called by several goroutines at once.
	OnViolation func(error)
}

// Server is a running stand-in.
type Server struct {
	config  Config
	git     string // the git command
	address string
	http    *http.Server
	served  chan error
	courier *courier
	limits  limits
	tamper  tamper

	// turn is held through a whole call, git included: calls come one after the
	// other, so that each sees the world as the one before left it.
	turn     sync.Mutex
	last     int64    // id given last
	actions  *Account // GitHub Actions itself
	accounts map[string]*Account
	tokens   map[string]credential
	teams    map[string]*team // by org/slug
	apps     map[int64]*App
	repos    map[string]*repository // by OWNER/NAME in lower case
}

// Account is a person, a bot or an organisation.
type Account struct {
	ID    int64
	Login string
	Email string
	Type  string // User, Bot or Organization
	// Token is a personal access token for everything the account may do.
	Token string
}

// App is a GitHub App that is installed on one organisation.
type App struct {
	ID           int64
	Installation int64
	Slug         string
	Owner        string
	// Permissions by name, read or write, such as {"contents": "write"}.
	Permissions map[string]string

	key *rsa.PublicKey
	bot *Account
}

// credential is what a token stands for.
type credential struct {
	who     *Account
	app     *App // nil for a personal one
	repos   []string
	expires time.Time // zero: never
}

// Start runs a server on a free port of the loopback interface.
func Start(ctx context.Context, c Config) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, errors.New("start the GitHub stand-in: git is not on PATH: install git")
	}
	if c.API == nil || c.OnViolation == nil {
		return nil, errors.New("start the GitHub stand-in: it needs a description and somebody to tell of violations")
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	var network net.ListenConfig
	listener, err := network.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the GitHub stand-in: %w", err)
	}
	s := &Server{
		config:   c,
		git:      git,
		address:  listener.Addr().String(),
		served:   make(chan error, 1),
		accounts: map[string]*Account{},
		tokens:   map[string]credential{},
		teams:    map[string]*team{},
		apps:     map[int64]*App{},
		repos:    map[string]*repository{},
	}
	s.courier = newCourier(c.API, c.OnViolation)
	s.limits.now = time.Now
	s.actions = s.create("github-actions[bot]", "Bot")
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: callLimit}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// callLimit bounds one call.
const callLimit = 60 * time.Second

// URL is the address of the API and, with OWNER/NAME.git, of the repositories,
// without a slash at its end.
func (s *Server) URL() string { return "http://" + s.address }

// Stop ends the server and waits until it has ended.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.courier.stop()
	return err
}

// id gives a new one.
func (s *Server) id() int64 {
	s.last++
	return s.last
}

// now is the time as GitHub writes it: in whole seconds, in UTC.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
