package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/forge/gitea"
	"slipway/internal/git"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/internal/worker"
	"slipway/pools"
)

// builder is what the command line says of a worker.
type builder struct {
	from       *source
	as         string
	forge      string
	dir        string
	token      credential
	forgeToken credential
	pass       []string
	grace      time.Duration
	once       bool
	supervise  bool
	// unread is since when the credential cannot be read at a claim; zero: it can.
	unread time.Time
}

// unreadFor is how long a worker waits for a credential that cannot be read,
// such as a file that is being replaced.
const unreadFor = time.Minute

func newBuilder(from *source) *cobra.Command {
	b := &builder{from: from, token: credential{name: "SLIPWAY_TOKEN"}, forgeToken: credential{name: "SLIPWAY_FORGE_TOKEN"}}
	cmd := &cobra.Command{
		Use:   "builder --as ADDRESS --forge URL [flags] -- COMMAND [ARGUMENT…]",
		Short: "Work as a coordinate: claim items, run a command on each, publish what it makes",
		Long: "Work as a coordinate until told to stop: claim an item, check its repository out, run COMMAND there,\n" +
			"and push its commits, open the pull request or post the review as that coordinate.\n" +
			"SLIPWAY_TOKEN is the coordinate's credential, SLIPWAY_FORGE_TOKEN its token at the forge;\n" +
			"the command sees neither. docs/builders.md says what it is given and what it has to give.",
		Example: "  slipway builder --as builder-lite-0 --server https://slipway.example --forge https://git.example -- ./agent.sh",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !b.supervise {
				return fmt.Errorf("%s wants a command after --: `%s --help` shows an example", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if b.supervise {
				return silentError{worker.Supervise()}
			}
			return b.run(cmd.Context(), args, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the command is the command's
	f.StringVar(&b.as, "as", "", "the coordinate to work as, such as builder-lite-0 (needed)")
	f.StringVar(&b.forge, "forge", os.Getenv("SLIPWAY_FORGE"), "address of the Gitea with the repositories (env SLIPWAY_FORGE)")
	f.StringVar(&b.dir, "dir", "", "folder for mirrors and worktrees (default slipway/builders in the user's cache)")
	f.StringVar(&b.token.file, "token-file", "", "file with the coordinate's credential, in place of SLIPWAY_TOKEN; read again for each call")
	f.StringVar(&b.forgeToken.file, "forge-token-file", "", "file with the coordinate's token at the forge, in place of SLIPWAY_FORGE_TOKEN; read again for each call")
	f.StringArrayVar(&b.pass, "env", nil, "NAME of a variable of this environment that the command is to see as well; may be repeated")
	f.DurationVar(&b.grace, "grace", 10*time.Second, "how long the command may take to end when it is asked to, before it is killed")
	f.BoolVar(&b.once, "once", false, "end after one item: with 0 if it was done, with 1 if not")
	f.BoolVar(&b.supervise, "supervise", false, "be the process between a worker and its command")
	if err := f.MarkHidden("supervise"); err != nil {
		panic(err) // the flag stands one line above
	}
	return cmd
}

func (b *builder) run(ctx context.Context, command []string, out io.Writer) error {
	if err := worker.Conceal(); err != nil {
		return fmt.Errorf("hide the credentials from other processes: %w", err)
	}
	if err := worker.Inherit(); err != nil {
		return fmt.Errorf("become heir to the command's processes: %w", err)
	}
	config, err := b.config(command, out)
	if err != nil {
		return err
	}
	config.Room, err = worker.OpenRoom(b.dir, config.Address)
	if err != nil {
		return err
	}
	defer config.Room.Close()
	client, err := gitea.New(gitea.Config{URL: b.forge, Login: config.Address.String(), Token: b.forgeToken.read})
	if err != nil {
		return usageError{err}
	}
	config.Forge, config.Identity = client, client.Self
	config.Git, err = git.New(git.Config{
		Dir: filepath.Join(config.Room.Dir(), "mirrors"), Remote: b.remote(config.Address),
		Author: func(ctx context.Context, _ ref.RepoID) (string, string, error) { return client.Self(ctx) },
	})
	if err != nil {
		return err
	}
	w, err := worker.New(config)
	if err != nil {
		return usageError{err}
	}
	switch err := w.Run(ctx); {
	case errors.Is(err, worker.ErrFailed):
		return silentError{exitRefused} // why was told as it happened
	case errors.Is(err, dispatcher.ErrForeign):
		return usageError{err}
	default:
		return err
	}
}

// config is what can be said of a worker before it takes its folder.
func (b *builder) config(command []string, out io.Writer) (worker.Config, error) {
	fail := func(err error) (worker.Config, error) { return worker.Config{}, usageError{err} }
	if b.as == "" {
		return fail(errors.New("slipway builder wants --as ADDRESS, such as --as builder-lite-0"))
	}
	address, err := pools.ReadAddress(b.as)
	if err != nil {
		return fail(err)
	}
	if b.forge == "" {
		return fail(errors.New("slipway builder wants --forge URL, where the repositories are"))
	}
	if _, err := b.from.client(); err != nil { // says what is wrong with the address
		return worker.Config{}, err
	}
	for _, c := range []*credential{&b.token, &b.forgeToken} {
		if _, err := c.read(); err != nil {
			return fail(err)
		}
	}
	environ, err := passed(b.pass)
	if err != nil {
		return fail(err)
	}
	if b.dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fail(fmt.Errorf("give --dir, for there is no cache folder: %w", err))
		}
		b.dir = filepath.Join(cache, "slipway", "builders")
	}
	self, err := os.Executable()
	if err != nil {
		return worker.Config{}, err
	}
	return worker.Config{
		Address: address, Command: command, Supervisor: []string{self, "builder", "--supervise"}, Environ: environ,
		Desk: desk{b}, Secrets: b.secrets, Grace: b.grace, Once: b.once, Inherits: true, Tell: teller(out, b.from.json),
	}, nil
}

// remote is where a repository is, for the coordinate.
func (b *builder) remote(as pools.Address) func(ref.RepoID) (git.Remote, error) {
	return func(id ref.RepoID) (git.Remote, error) {
		token, err := b.forgeToken.read()
		return git.Remote{URL: strings.TrimRight(b.forge, "/") + "/" + id.String() + ".git", Username: as.String(), Token: token}, err
	}
}

// secrets are what the command must not give away, should it have found them.
func (b *builder) secrets() []string {
	var all []string
	for _, c := range []credential{b.token, b.forgeToken} {
		if s, err := c.read(); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// passed is the environment that the command gets of the worker's.
func passed(more []string) ([]string, error) {
	var out []string
	for _, name := range append([]string{"PATH", "HOME", "LANG"}, more...) {
		if name == "" || strings.ContainsAny(name, "= ") {
			return nil, fmt.Errorf("--env %q is no variable's name: give the name alone, and the value in the environment", name)
		}
		if strings.HasPrefix(name, "SLIPWAY_") {
			return nil, fmt.Errorf("--env %s: what begins with SLIPWAY_ is the worker's own", name)
		}
		if value, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+value)
		}
	}
	return out, nil
}

// teller prints events: one a line.
func teller(out io.Writer, asJSON bool) func(worker.Event) {
	if asJSON {
		e := json.NewEncoder(out)
		return func(ev worker.Event) { _ = e.Encode(ev) } // a worker works on when nobody listens
	}
	return func(ev worker.Event) {
		fmt.Fprintln(out, ev)
		for line := range strings.Lines(ev.Output) {
			fmt.Fprintln(out, "  | "+strings.TrimRight(line, "\n"))
		}
	}
}

// credential is a secret in the environment or in a file.
type credential struct {
	name string // of the variable
	file string
}

// read reads it anew, so that a renewed one counts at once.
func (c credential) read() (string, error) {
	text := os.Getenv(c.name)
	if c.file != "" {
		data, err := os.ReadFile(c.file)
		if err != nil {
			return "", fmt.Errorf("the file in place of %s: %w", c.name, err)
		}
		text = string(data)
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", fmt.Errorf("set %s, or name a file that holds it", c.name)
	case strings.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("%s has several lines", c.name)
	default:
		return text, nil
	}
}

// desk is the server under the credential as it is now.
type desk struct{ b *builder }

func (d desk) client() (*server.Client, error) {
	token, err := d.b.token.read()
	if err != nil {
		return nil, err
	}
	return server.NewClient(d.b.from.server, token)
}

// Claim waits for work. It is of no use any more once the credential could not
// be read for so long.
func (d desk) Claim(ctx context.Context, r dispatcher.ClaimRequest) (*dispatcher.Grant, error) {
	c, err := d.client()
	if err != nil {
		now := time.Now()
		if d.b.unread.IsZero() {
			d.b.unread = now
		}
		if now.Sub(d.b.unread) >= unreadFor {
			return nil, fault.AsPermanent(err)
		}
		return nil, err
	}
	d.b.unread = time.Time{}
	return c.Claim(ctx, r)
}

// Beat sends a heartbeat.
func (d desk) Beat(ctx context.Context, id dispatcher.AttemptID, b dispatcher.Beat) (dispatcher.Pulse, error) {
	c, err := d.client()
	if err != nil {
		return dispatcher.Pulse{}, err
	}
	return c.Beat(ctx, id, b)
}

// Register names the pull request and head of an attempt.
func (d desk) Register(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Registration) error {
	return d.call(func(c *server.Client) error { return c.Register(ctx, id, r) })
}

// Complete ends an attempt well.
func (d desk) Complete(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Completion) error {
	return d.call(func(c *server.Client) error { return c.Complete(ctx, id, r) })
}

// Fail ends an attempt badly.
func (d desk) Fail(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Failure) error {
	return d.call(func(c *server.Client) error { return c.Fail(ctx, id, r) })
}

func (d desk) call(do func(*server.Client) error) error {
	c, err := d.client()
	if err != nil {
		return err
	}
	return do(c)
}
