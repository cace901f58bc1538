package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/config"
	"slipway/internal/server"
	"slipway/pools"
)

// poolReader answers what the commands ask about pools: a server, or the store
// beside it.
type poolReader interface {
	InForce(ctx context.Context) (f server.InForce, found bool, err error)
	Past(ctx context.Context, n int) ([]server.PastSet, error)
}

// besideStorePools reads about pools without the server.
type besideStorePools struct{ server.PoolReader }

func (b besideStorePools) InForce(ctx context.Context) (server.InForce, bool, error) {
	return server.ReadInForce(ctx, b.PoolReader)
}

func (b besideStorePools) Past(ctx context.Context, n int) ([]server.PastSet, error) {
	return server.ReadPast(ctx, b.PoolReader, n)
}

func newPools(from *source) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pools",
		Short:   "Show what each coordinate runs, and change it",
		Example: "  slipway pools show\n  slipway pools swap builder-lite-0 --provider acme --model acme-large-2",
		Args:    exactly(0, "one of its commands"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPoolsCheck(from), newPoolsShow(from), newPoolsDiff(from), newPoolsHistory(from), newPoolsApply(from), newPoolsHandOver(), newPoolsSwap(from), newPoolsRollback(from),
		newCordon(from, "cordon", "Keep a coordinate from new work; what it has it may end", false),
		newCordon(from, "drain", "Keep a coordinate from new work, for it is to go once it has ended what it has", true),
		newUncordon(from))
	return cmd
}

func newPoolsCheck(from *source) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with a pool config, each with its line",
		Long: "Check reads a pool config (by default " + config.PoolsFile + ") and its prompts as the server would, and says all faults.\n" +
			"With --config also those in which it does not fit that server's slipway.yaml. It needs no server.\n" +
			"It ends with 0 if there is no fault, else with 2.",
		Example: "  slipway pools check\n  slipway pools check pools.yaml --config slipway.yaml",
		Args:    between(0, 1, "at most one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := append(args, config.PoolsFile)[0]
			set, faults := config.LoadPools(path)
			if from.config != "" {
				conf, err := faultless(from.config, config.InspectServer)
				if err != nil {
					return err
				}
				if len(faults) == 0 {
					faults = conf.Disagreements(set)
				}
			}
			if err := sayPoolFaults(cmd, from.json, path, set, faults); err != nil {
				return err
			}
			if len(faults) > 0 {
				return silentError{exitUsage}
			}
			return nil
		},
	}
}

func sayPoolFaults(cmd *cobra.Command, asJSON bool, path string, set pools.Set, faults []config.Fault) error {
	out := cmd.OutOrStdout()
	if asJSON {
		type fault struct {
			File    string `json:"file"`
			Line    int    `json:"line,omitempty"`
			Message string `json:"message"`
		}
		all, hash := []fault{}, ""
		for _, f := range faults {
			all = append(all, fault{f.File, f.Line, f.Message})
		}
		if len(faults) == 0 {
			hash = set.Hash()
		}
		return printJSON(out, map[string]any{"file": path, "hash": hash, "faults": all})
	}
	for _, f := range faults {
		fmt.Fprintln(out, board.Lines(f.Error()))
	}
	if len(faults) == 0 {
		fmt.Fprintf(out, "%s: no fault; %s in %s, %s\n", board.Lines(path),
			counting(len(set.Replicas), "coordinate"), counting(len(set.Pools), "pool"), counting(len(set.Assignments), "assignment"))
	}
	return nil
}

func newPoolsShow(from *source) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show what is in force: each coordinate, what it runs, and what it is at",
		Example: "  slipway pools show\n  slipway pools show --config slipway.yaml --json",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			reader, done, err := from.pools(cmd)
			if err != nil {
				return err
			}
			defer done()
			f, found, err := reader.InForce(cmd.Context())
			switch {
			case err != nil:
				return err
			case from.json:
				return printJSON(cmd.OutOrStdout(), f)
			case !found && len(f.Faults) == 0:
				fmt.Fprintln(cmd.OutOrStdout(), "No pool config was put in force yet.")
				return nil
			}
			_, err = io.WriteString(cmd.OutOrStdout(), pageOf(cmd.OutOrStdout()).inForce(f, time.Now()))
			return err
		},
	}
}

func newPoolsDiff(from *source) *cobra.Command {
	return &cobra.Command{
		Use:     "diff [FILE]",
		Short:   "Say what a pool config would change of what is in force",
		Long:    "Diff says what a pool config (by default " + config.PoolsFile + ") would change of what is in force.\nIt ends with 0 if that is nothing, with 1 if it is something, and with 2 if the file is faulty.",
		Example: "  slipway pools diff pools.yaml",
		Args:    between(0, 1, "at most one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := append(args, config.PoolsFile)[0]
			set, err := faultless(path, config.LoadPools)
			if err != nil {
				return err
			}
			reader, done, err := from.pools(cmd)
			if err != nil {
				return err
			}
			defer done()
			f, _, err := reader.InForce(cmd.Context())
			if err != nil {
				return err
			}
			changes := pools.Diff(f.Set(), set)
			if from.json {
				if changes == nil {
					changes = []pools.Change{}
				}
				err = printJSON(cmd.OutOrStdout(), map[string]any{"number": f.Number, "file": path, "changes": changes})
			} else {
				err = sayChanges(cmd.OutOrStdout(), changes, fmt.Sprintf("%s means what pool config %d does.", board.Text(path), f.Number))
			}
			if err == nil && len(changes) > 0 {
				return silentError{exitRefused}
			}
			return err
		},
	}
}

func newPoolsHistory(from *source) *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use:     "history",
		Short:   "List the pool configs that were in force, newest first, with who changed what",
		Example: "  slipway pools history --limit 5",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > server.MostSets {
				return usageError{fmt.Errorf("--limit is 1 to %d", server.MostSets)}
			}
			reader, done, err := from.pools(cmd)
			if err != nil {
				return err
			}
			defer done()
			past, err := reader.Past(cmd.Context(), limit)
			switch {
			case err != nil:
				return err
			case from.json:
				return printJSON(cmd.OutOrStdout(), past)
			case len(past) == 0:
				fmt.Fprintln(cmd.OutOrStdout(), "No pool config was put in force yet.")
				return nil
			}
			_, err = io.WriteString(cmd.OutOrStdout(), pageOf(cmd.OutOrStdout()).past(past))
			return err
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, fmt.Sprintf("how many at most, up to %d", server.MostSets))
	return cmd
}

func newPoolsSwap(from *source) *cobra.Command {
	var o server.SwapOrder
	cmd := &cobra.Command{
		Use:   "swap ADDRESS",
		Short: "Give a coordinate another model, by one line of the pool config",
		Long: "Swap finds the one assignment of this provider and model, or the one of a name, and writes it to the coordinate's line of\n" +
			"the pool config. What the coordinate is at goes on with what it has; its next attempt runs the other.\n" +
			"Where the server cannot write the file it prints the patch, changes nothing, and ends with 1.",
		Example: "  slipway pools swap builder-lite-0 --provider acme --model acme-large-2 --dry-run\n  slipway pools swap builder-lite-0 --assignment large",
		Args:    exactly(1, "one coordinate, such as builder-lite-0"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Address, err = pools.ReadAddress(args[0]); err != nil {
				return usageError{err}
			}
			switch {
			case o.Assignment == "" && o.Model == "" && o.Provider == "":
				return usageError{errors.New("what is it to run? give --provider and --model, or --assignment")}
			case o.Assignment != "" && (o.Model != "" || o.Provider != ""):
				return usageError{errors.New("give either --assignment, or --provider and --model")}
			}
			client, err := from.client()
			if err != nil {
				return err
			}
			done, err := client.Swap(cmd.Context(), o)
			if err != nil {
				return err
			}
			return from.saySwapped(cmd, done)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Provider, "provider", "", "who answers")
	f.StringVar(&o.Model, "model", "", "the model, as the provider calls it")
	f.StringVar(&o.Assignment, "assignment", "", "the assignment's name, where several run one model")
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would change, and change nothing")
	return cmd
}

func newPoolsRollback(from *source) *cobra.Command {
	return &cobra.Command{
		Use:   "rollback [NUMBER]",
		Short: "Put an earlier pool config in force again: the one before, or that of a number",
		Long: "Rollback writes the pool config back as it was, with its prompts, and puts it in force under a new number.\n" +
			"Where the server cannot write the files it prints the patch, changes nothing, and ends with 1.",
		Example: "  slipway pools rollback\n  slipway pools rollback 12",
		Args:    between(0, 1, "at most one number of `slipway pools history`"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var number int64
			if len(args) == 1 {
				var err error
				if number, err = strconv.ParseInt(args[0], 10, 64); err != nil || number < 1 {
					return usageError{fmt.Errorf("%q is no pool config: want a number of `slipway pools history`", args[0])}
				}
			}
			client, err := from.client()
			if err != nil {
				return err
			}
			done, err := client.Rollback(cmd.Context(), number)
			if err != nil {
				return err
			}
			return from.saySwapped(cmd, done)
		},
	}
}

func newCordon(from *source, verb, short string, drain bool) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     verb + " ADDRESS",
		Short:   short,
		Example: "  slipway pools " + verb + " builder-lite-0 --reason 'its machine is being replaced'",
		Args:    exactly(1, "one coordinate, such as builder-lite-0"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usageError{fmt.Errorf("%s wants --reason: the journal keeps why", cmd.CommandPath())}
			}
			return from.orderSeat(cmd, args[0], "kept from new work", func(ctx context.Context, c *server.Client, a pools.Address) error {
				return c.Cordon(ctx, a, server.CordonOrder{Reason: reason, Drain: drain})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the journal (required)")
	return cmd
}

func newUncordon(from *source) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "uncordon ADDRESS",
		Short:   "Let a coordinate have work again",
		Example: "  slipway pools uncordon builder-lite-0",
		Args:    exactly(1, "one coordinate, such as builder-lite-0"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return from.orderSeat(cmd, args[0], "given work again", func(ctx context.Context, c *server.Client, a pools.Address) error {
				return c.Uncordon(ctx, a, reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

func (s *source) orderSeat(cmd *cobra.Command, arg, done string, order func(context.Context, *server.Client, pools.Address) error) error {
	a, err := pools.ReadAddress(arg)
	if err != nil {
		return usageError{err}
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	if err := order(cmd.Context(), client, a); err != nil {
		return err
	}
	if s.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{"address": a.String(), "order": cmd.Name(), "result": "accepted"})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s; `slipway pools show` shows how it stands\n", a, done)
	return err
}

// pools is the server, or the store beside it.
func (s *source) pools(cmd *cobra.Command) (poolReader, func(), error) {
	reader, done, err := s.reader(cmd)
	if err != nil {
		return nil, nil, err
	}
	switch r := reader.(type) {
	case poolReader:
		return r, done, nil
	case server.PoolReader:
		return besideStorePools{r}, done, nil
	}
	done()
	return nil, nil, usageError{errors.New("this store tells of pools only through the server: give --server ADDRESS")}
}

// saySwapped says what became of a swap or a rollback.
func (s *source) saySwapped(cmd *cobra.Command, done server.Swapped) error {
	out := cmd.OutOrStdout()
	if s.json {
		if err := printJSON(out, done); err != nil {
			return err
		}
	} else {
		// The patch alone goes to standard output, so that it can be applied.
		fmt.Fprint(out, board.Lines(done.Diff))
		tell := cmd.ErrOrStderr()
		if err := sayChanges(tell, done.Changes, ""); err != nil {
			return err
		}
		switch done.Result {
		case server.Applied:
			fmt.Fprintf(tell, "in force as pool config %d; what is under way goes on with what it has\n", done.Number)
		case server.Planned:
			fmt.Fprintf(tell, "nothing was changed: pool config %d stays in force\n", done.Number)
		case server.Unchanged:
			fmt.Fprintf(tell, "it is so already: pool config %d stays in force\n", done.Number)
		case server.Patch:
			fmt.Fprintf(tell, "slipway: the server cannot write it: %s\nslipway: nothing was changed; apply the patch above where the pool config comes from (`patch -p1`)\n", board.Text(done.Reason))
		}
	}
	if done.Result == server.Patch {
		return silentError{exitRefused}
	}
	return nil
}

func sayChanges(w io.Writer, changes []pools.Change, none string) error {
	for _, c := range changes {
		mark := map[pools.Act]string{pools.Added: "+", pools.Removed: "-", pools.Changed: "~"}[c.Act]
		if _, err := fmt.Fprintf(w, "%s %s\n", mark, board.Text(c.Text)); err != nil {
			return err
		}
	}
	if len(changes) == 0 && none != "" {
		_, err := fmt.Fprintln(w, none)
		return err
	}
	return nil
}

func counting(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
