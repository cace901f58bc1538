// Package postgres runs PostgreSQL for tests: a server of its own, in a folder
// of its own, reached through a socket there and from nowhere else, by a user
// without rights. It never touches one that the machine runs already.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/test/servers/process"
)

// The accounts of a server. The user has no rights but to make schemas in its
// database.
const (
	superuser = "postgres"
	user      = "shipwright"
	database  = "postgres"
)

// Server is a running PostgreSQL, or one that was stopped.
type Server struct {
	programs Programs
	as       *process.Account
	dir      string // all of it
	log      io.Writer
	password string

	mu      sync.Mutex
	running *process.Process
	places  int
}

// Start makes a server with an empty database and runs it. It writes what it
// commits to the disk before it says so, as one that is in use does. log
// receives what it says; nil for none.
func Start(ctx context.Context, p Programs, log io.Writer) (_ *Server, err error) {
	as, err := account()
	if err != nil {
		return nil, err
	}
	// Not below the test's own folder: the name of a socket has room for some
	// hundred letters.
	dir, err := os.MkdirTemp("", "slipway-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{as: as, dir: dir, log: log, password: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start PostgreSQL: %w", err), s.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the programs below are public, the data is not below it for others
		return nil, err
	}
	if s.programs, err = p.within(filepath.Join(dir, "programs"), as); err != nil {
		return nil, err
	}
	if err := s.initialise(ctx); err != nil {
		return nil, err
	}
	if err := s.Resume(ctx); err != nil {
		return nil, err
	}
	return s, s.admit(ctx)
}

// Place makes a new, empty schema and gives the connection string of a user who
// owns it and sees no other. It holds a password.
func (s *Server) Place(ctx context.Context) (dsn string, err error) {
	s.mu.Lock()
	s.places++
	schema := fmt.Sprintf("place_%d", s.places)
	s.mu.Unlock()
	if err := s.As(ctx, user, "CREATE SCHEMA "+schema); err != nil {
		return "", err
	}
	return s.dsn(user, url.Values{"search_path": {schema}}), nil
}

// Do runs statements as one who may do everything.
func (s *Server) Do(ctx context.Context, statements ...string) error {
	return s.As(ctx, superuser, statements...)
}

// As runs statements as a user of the server.
func (s *Server) As(ctx context.Context, user string, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.dsn(user, nil))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, one := range statements {
		if _, err := conn.Exec(ctx, one); err != nil {
			return fmt.Errorf("%s: %w", one, err)
		}
	}
	return nil
}

// User is the user of its connection strings.
func (s *Server) User() string { return user }

// Secrets are words of its connection strings that nothing may repeat: where it
// is, who may use it, and with what password.
func (s *Server) Secrets() []string { return []string{s.dir, user, s.password} }

// Kill ends the server as a crash of the machine would, all but the disk.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		s.running.Kill()
		s.running = nil
	}
}

// Resume runs the server again after Kill, on what is on the disk, and returns
// once it answers.
func (s *Server) Resume(ctx context.Context) error {
	running, err := process.Start(process.Spec{
		Name: "postgres",
		Path: filepath.Join(s.programs.bin, "postgres"),
		Args: []string{
			"-D", s.path("data"), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.path("socket"),
			"-c", "fsync=on", "-c", "jit=off", "-c", "shared_buffers=32MB", "-c", "max_connections=300",
			"-c", "timezone=GMT", "-c", "log_timezone=GMT",
		},
		Env: s.programs.environment(), Dir: s.path("data"), Log: s.log, Contain: true, As: s.as,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.running = running
	s.mu.Unlock()
	return s.await(ctx, running)
}

// Stop ends the server and removes all that it had. Connections that are still
// open are cut.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stopped error
	if s.running != nil {
		// A SIGTERM would wait for all to go.
		s.running.Interrupt()
		select {
		case <-s.running.Done():
		case <-time.After(5 * time.Second):
			stopped = s.running.Stop(ctx)
		}
		s.running = nil
	}
	return errors.Join(stopped, os.RemoveAll(s.dir))
}

// initialise makes the empty database.
func (s *Server) initialise(ctx context.Context) error {
	secret := s.path("password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return err
	}
	owned := []string{secret, s.path("data"), s.path("socket")}
	for _, dir := range owned[1:] {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if s.as != nil {
		for _, path := range owned {
			if err := os.Chown(path, int(s.as.UID), int(s.as.GID)); err != nil {
				return err
			}
		}
	}
	// What is made here is made again for every server: it need not survive a
	// crash of the machine. What is committed later does. Others cannot reach the
	// socket, and a stronger way to log in costs more than most tests.
	return s.programs.run(ctx, s.as, s.path("data"), "initdb", "-D", s.path("data"), "--no-sync", "--no-instructions",
		"-U", superuser, "--pwfile", secret, "-A", "md5", "-E", "UTF8", "--locale=C")
}

// admit makes Slipway's user.
func (s *Server) admit(ctx context.Context) error {
	return s.Do(ctx,
		"CREATE ROLE "+user+" LOGIN PASSWORD '"+s.password+"'",
		"GRANT CREATE ON DATABASE "+database+" TO "+user)
}

// await returns once the server answers.
func (s *Server) await(ctx context.Context, running *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := s.Do(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-running.Done():
			return running.Ended()
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w\n%s", err, running.Log())
		case <-again.C:
		}
	}
}

func (s *Server) dsn(user string, more url.Values) string {
	options := url.Values{"host": {s.path("socket")}, "sslmode": {"disable"}}
	for k, v := range more {
		options[k] = v
	}
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(user, s.password), Path: "/" + database, RawQuery: options.Encode()}).String()
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }
