// Package worker is a builder's side of the worker protocol: it claims work for
// one coordinate, checks the repository out into a fresh worktree, runs a
// command there, and brings what the command made to the forge as that
// coordinate. It holds the lease and every credential; the command gets neither
// and is ended with all its processes when the attempt is over. What is worth
// doing, and what becomes of it, it never decides.
package worker

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/pools"
)

// Desk is the server, for one coordinate. A token that is good no more is
// dispatcher.ErrStale, an attempt of somebody else dispatcher.ErrForeign; an
// error for which fault.When tells a time is not tried again before it.
type Desk interface {
	// Claim waits for work; nil is none in time.
	Claim(ctx context.Context, r dispatcher.ClaimRequest) (*dispatcher.Grant, error)
	Beat(ctx context.Context, id dispatcher.AttemptID, b dispatcher.Beat) (dispatcher.Pulse, error)
	Register(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Registration) error
	Complete(ctx context.Context, id dispatcher.AttemptID, c dispatcher.Completion) error
	Fail(ctx context.Context, id dispatcher.AttemptID, f dispatcher.Failure) error
}

// Git is the repositories, through mirrors that outlive an attempt.
type Git interface {
	// Fetch brings the mirror of a repository up to date.
	Fetch(ctx context.Context, repo ref.RepoID) error
	// Tip is where a branch stands in the mirror; "" if it is not there.
	Tip(ctx context.Context, b ref.BranchID) (ref.SHA, error)
	// Checkout makes the empty folder dir a repository of its own that knows no
	// credential, with commit checked out on a new branch, or on none for "".
	Checkout(ctx context.Context, repo ref.RepoID, commit ref.SHA, branch, dir string) error
	// Take brings into the mirror what the repository in dir has from base to
	// head, and runs nothing that it configures. It is fault.Permanent when head
	// does not stand on base or changes nothing.
	Take(ctx context.Context, repo ref.RepoID, dir string, base, head ref.SHA) error
	// Push moves a branch of the forge to a commit of the mirror, provided that
	// it stands at expect, "" for not there; one that is at commit already is
	// well, any other is fault.Changed.
	Push(ctx context.Context, b ref.BranchID, commit, expect ref.SHA) error
}

// Forge is the forge, as the coordinate.
type Forge interface {
	Pull(ctx context.Context, id ref.PullID) (gate.PullRequest, error)
	// FindPull looks for a pull request of the coordinate's own.
	FindPull(ctx context.Context, repo ref.RepoID, branch, base string) (change.RevertFact, error)
	OpenPull(ctx context.Context, repo ref.RepoID, branch, base, title, body string) (ref.PullID, error)
	// Review posts a review that counts for one head, and OwnReview says what
	// the coordinate's latest on that head is; "" for none.
	Review(ctx context.Context, id ref.PullID, head ref.SHA, state gate.ReviewState, body string) error
	OwnReview(ctx context.Context, id ref.PullID, head ref.SHA) (gate.ReviewState, error)
}

// Config says as whom a worker works, and with what.
type Config struct {
	Address pools.Address
	// Room is the worker's folder; another worker in it is refused. Its mirrors
	// may stand there too, as Room/mirrors.
	Room *Room
	// Command is run in the worktree. Its first part is found on PATH.
	Command []string
	// Supervisor is the command line that ends up in Supervise.
	Supervisor []string
	// Environ is what the command sees beside the variables of its work: NAME=VALUE.
	Environ []string
	Desk    Desk
	Git     Git
	Forge   Forge
	// Identity is the name and e-mail address that the coordinate commits under.
	Identity func(ctx context.Context) (name, email string, err error)
	// Secrets are what no text from the command may carry on.
	Secrets func() []string
	// Grace is how long the command may take to end after it was asked to, before
	// it is killed; 10 s if zero.
	Grace time.Duration
	// Inherits says that this process is heir to orphans (see Inherit), and has no
	// children but the worker's.
	Inherits bool
	// Once ends the worker after one attempt.
	Once bool
	// Tell is told what happens; nil tells nobody. It is called by one goroutine
	// at a time.
	Tell func(Event)
}

// Worker works as one coordinate, on one attempt at a time.
type Worker struct {
	Config
	pace pace
}

// pace is how long the worker waits for what; tests hurry it.
type pace struct {
	second time.Duration // of the protocol's seconds
	poll   int           // seconds that a claim stays open
	first  time.Duration // the first pause after a failed call
	most   time.Duration // the longest
	call   time.Duration // one call that is no claim
	settle time.Duration // handing an attempt back after the worker was told to stop
}

// ErrFailed says that the one attempt of a worker with Once did not end well.
var ErrFailed = errors.New("the attempt did not end well")

// New checks what can be checked before work comes.
func New(c Config) (*Worker, error) {
	switch {
	case c.Address.IsZero():
		return nil, errors.New("a worker needs a coordinate")
	case len(c.Command) == 0:
		return nil, errors.New("a worker needs a command")
	case c.Room == nil || c.Desk == nil || c.Git == nil || c.Forge == nil || c.Identity == nil || len(c.Supervisor) == 0:
		return nil, errors.New("a worker needs a room, a server, a forge, git, an identity and a supervisor")
	}
	path, err := exec.LookPath(c.Command[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the command: %w", err)
	}
	c.Command = append([]string{path}, c.Command[1:]...)
	for _, v := range c.Environ {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" || strings.HasPrefix(name, "SLIPWAY_") {
			return nil, fmt.Errorf("the command's variable %q: names that begin with SLIPWAY_ are the worker's own", name)
		}
	}
	if c.Grace <= 0 {
		c.Grace = 10 * time.Second
	}
	if c.Tell == nil {
		c.Tell = func(Event) {}
	}
	if c.Secrets == nil {
		c.Secrets = func() []string { return nil }
	}
	return &Worker{Config: c, pace: pace{
		second: time.Second, poll: 50, first: 500 * time.Millisecond, most: 30 * time.Second,
		call: 15 * time.Second, settle: 15 * time.Second,
	}}, nil
}

// Run claims and works until ctx ends, which is no error. With Once it ends
// after one attempt, with ErrFailed unless that ended well. An attempt under
// way when ctx ends is stopped and handed back. dispatcher.ErrForeign says that
// its credential is another coordinate's: it takes no work then.
func (w *Worker) Run(ctx context.Context) error {
	for {
		grant, err := w.claim(ctx)
		if ctx.Err() != nil {
			if grant != nil {
				w.handBack(ctx, grant)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("claim as %s: %w", w.Address, err)
		}
		if grant.Builder != w.Address {
			return w.decline(ctx, grant)
		}
		end := w.work(ctx, grant)
		switch {
		case w.Once && end != ended:
			return ErrFailed
		case w.Once, ctx.Err() != nil:
			return nil
		}
	}
}

// handBack returns what was granted at the moment in which the worker was told
// to stop.
func (w *Worker) handBack(ctx context.Context, g *dispatcher.Grant) {
	a := w.attempt(g, time.Now())
	_ = a.handBack(ctx, "the worker was told to stop before it began") // else the lease ends by itself
}

// decline returns another coordinate's work. To fail it would cost the item a
// try, and one item after another.
func (w *Worker) decline(ctx context.Context, g *dispatcher.Grant) error {
	err := fmt.Errorf("claim as %s: %w: it is granted the work of %s: start the worker --as %[3]s, or give it the credential of %[1]s", w.Address, dispatcher.ErrForeign, g.Builder)
	a := w.attempt(g, time.Now())
	if back := a.handBack(ctx, "the worker was started as "+w.Address.String()); back != nil {
		return fmt.Errorf("%w (and the server could not be told: %w)", err, back)
	}
	return err
}
