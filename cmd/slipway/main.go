// Command slipway takes changes from an open pull request to healthy pods. It
// wires the packages together and decides nothing itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
)

// version is set by the build.
var version = "dev"

// The exit codes of every command.
const (
	exitDone    = 0
	exitRefused = 1 // refused, or not so
	exitUsage   = 2 // bad usage or bad configuration
)

// usageError is bad usage or bad configuration.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// silentError carries an exit code for what was said already.
type silentError struct{ code int }

func (silentError) Error() string { return "" }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command and says why it could not.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	root := newRoot(out, errs)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var silent silentError
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &silent):
		return silent.code
	}
	fmt.Fprintln(root.ErrOrStderr(), "slipway: "+board.Lines(err.Error()))
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitRefused
}

func newRoot(out, errs io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "slipway",
		Short:         "From an open pull request to healthy pods, with nobody clicking",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("there is no command %q: `slipway --help` lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(out)
	root.SetErr(errs)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: `%s --help` shows the usage", err, cmd.CommandPath())}
	})
	root.Example = "  slipway demo\n  slipway serve --config slipway.yaml\n  slipway changes --server http://127.0.0.1:8480"
	from := &source{}
	from.flags(root)
	root.AddCommand(newServe(), newDemo(), newOnboard(from), newDoctor(from), newChanges(from), newExplain(from), newDeploy(from), newJournal(from), newPolicy(from), newBranch(from), newCanaries(from), newWork(from), newPools(from))
	root.AddCommand(newBuilder(from))
	root.InitDefaultCompletionCmd()
	argumentsAreUsage(root)
	return root
}

// argumentsAreUsage makes wrong arguments bad usage, whoever checks them.
func argumentsAreUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		argumentsAreUsage(sub)
	}
}

// exactly wants that many arguments, and says what they are.
func exactly(n int, what string) cobra.PositionalArgs { return between(n, n, what) }

// between wants at least and at most that many.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("%s wants %s: `%s --help` shows an example", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}
