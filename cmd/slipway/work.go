package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/dispatcher"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/pools"
)

// maxSpec is how large a spec may be for the server, in bytes.
const maxSpec = 64 << 10

// workReader answers what the commands ask about work: a server, or the store
// beside it.
type workReader interface {
	server.WorkReader
}

func newWork(from *source) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "work",
		Short:   "Have work done by the pools' coordinates, and see what becomes of it",
		Example: "  slipway work submit acme/app --title 'Fix the login' --spec issue.md\n  slipway work list --state ready,dead",
		Args:    exactly(0, "one of its commands"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWorkSubmit(from), newWorkList(from), newWorkShow(from), newWorkCancel(from), newWorkRetry(from))
	return cmd
}

// order is an item as the flags say it.
type order struct {
	title, spec, selector, shape, priority, budget, deadline, kind, key, base string
	pull                                                                      int64
	attempts                                                                  int
}

func newWorkSubmit(from *source) *cobra.Command {
	var o order
	cmd := &cobra.Command{
		Use:   "submit OWNER/REPO",
		Short: "Have an item of work done",
		Long: "Submit an item: a change to be written, or with --kind review a pull request to be reviewed.\n" +
			"An item with a --key that another one has is that other one.",
		Example: "  slipway work submit acme/app --title 'Fix the login' --spec issue.md --selector builder-lite --budget 2.50\n" +
			"  echo 'Say hello' | slipway work submit acme/app --title 'Greet' --spec - --deadline 24h\n" +
			"  slipway work submit acme/app --title 'Look at 7' --kind review --pull 7",
		Args: exactly(1, "one repository, OWNER/REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := o.submission(args[0], cmd.InOrStdin(), time.Now())
			if err != nil {
				return usageError{err}
			}
			client, err := from.client()
			if err != nil {
				return err
			}
			i, existed, err := client.Submit(cmd.Context(), s)
			if err != nil {
				return err
			}
			if from.json {
				return printJSON(cmd.OutOrStdout(), i)
			}
			was := "is"
			if existed {
				was = "was there already, and is"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "item %d %s %s: `slipway work show %d` shows what becomes of it\n", i.ID, was, i.State, i.ID)
			if i.Reason != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "  %s\n", board.Text(i.Reason))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.title, "title", "", "what is to be done, in a line (required)")
	f.StringVar(&o.spec, "spec", "", "FILE with what is to be done, in Markdown; - is standard input")
	f.StringVar(&o.kind, "kind", string(dispatcher.Build), "build or review")
	f.Int64Var(&o.pull, "pull", 0, "the number of the pull request to be reviewed")
	f.StringVar(&o.selector, "selector", "", "who may take it: builder, builder-lite, builder-lite-0, builder-*-0 (default: whoever has the role for its kind)")
	f.StringVar(&o.shape, "shape", "", "the sort of spec, of those that the pool config declares")
	f.StringVar(&o.priority, "priority", "", "lowest, low, normal, high or highest (default normal)")
	f.StringVar(&o.budget, "budget", "", "what all its attempts together may cost, such as 2.50")
	f.StringVar(&o.deadline, "deadline", "", "when it is given up unless done: a time in RFC 3339, or a span such as 24h")
	f.StringVar(&o.base, "base", "", "the branch that a build goes to (default: the one that is served)")
	f.StringVar(&o.key, "key", "", "what it comes from, so that it is submitted once")
	f.IntVar(&o.attempts, "attempts", 0, "how many attempts it may have (default: the server's)")
	complete(cmd, "kind", string(dispatcher.Build), string(dispatcher.Review))
	complete(cmd, "priority", priorities()...)
	return cmd
}

// priorities are the words for levels, from the lowest.
func priorities() (words []string) {
	for l := dispatcher.Lowest; l <= dispatcher.Highest; l++ {
		words = append(words, l.String())
	}
	return words
}

// submission is the item that is ordered, or everything that is wrong with it.
// What the pool config says of it, the server knows.
func (o order) submission(repo string, in io.Reader, now time.Time) (dispatcher.Submission, error) {
	s := dispatcher.Submission{
		Kind: dispatcher.Kind(o.kind), Key: o.key, Title: o.title, Shape: o.shape, Selector: o.selector, Base: o.base, Priority: o.priority, Attempts: o.attempts,
	}
	var faults []error
	wrong := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	var err error
	s.Repo, err = ref.ParseRepo(repo)
	wrong(err)
	if strings.TrimSpace(o.title) == "" {
		wrong(errors.New("--title is missing: what is to be done, in a line"))
	}
	switch {
	case s.Kind != dispatcher.Build && s.Kind != dispatcher.Review:
		wrong(fmt.Errorf("--kind: there is no kind %q; want build or review", o.kind))
	case s.Kind == dispatcher.Review && o.pull < 1:
		wrong(errors.New("--pull is missing: the number of the pull request to be reviewed"))
	case s.Kind == dispatcher.Build && o.pull != 0:
		wrong(errors.New("--pull is for --kind review: a build opens its own"))
	case o.pull > 0:
		s.Pull = ref.PullID{Repo: s.Repo, Number: o.pull}
	}
	if o.selector != "" {
		_, err := pools.ReadSelector(o.selector)
		wrong(flagged("--selector", err))
	}
	_, err = dispatcher.ParseLevel(o.priority)
	wrong(flagged("--priority", err))
	if o.budget != "" {
		s.Budget, err = pools.ParseMoney(o.budget)
		wrong(flagged("--budget", err))
	}
	if o.deadline != "" {
		s.Deadline, err = moment(o.deadline, now)
		wrong(flagged("--deadline", err))
	}
	if o.attempts < 0 {
		wrong(errors.New("--attempts is at least 1"))
	}
	if o.spec != "" {
		s.Spec, err = specOf(o.spec, in)
		wrong(flagged("--spec", err))
	}
	return s, errors.Join(faults...)
}

func newWorkList(from *source) *cobra.Command {
	var state, repo, kind string
	limit := 100
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List items, newest first",
		Example: "  slipway work list\n  slipway work list --state ready,dead --repo acme/app --json",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := filter(state, repo, kind, limit)
			if err != nil {
				return usageError{err}
			}
			reader, done, err := from.work(cmd)
			if err != nil {
				return err
			}
			defer done()
			items, err := reader.Items(cmd.Context(), f)
			if err != nil {
				return err
			}
			if len(items) >= limit {
				fmt.Fprintf(cmd.ErrOrStderr(), "slipway: only %d items are shown, and there may be more: narrow it, or give a higher --limit\n", len(items))
			}
			if from.json {
				if items == nil {
					items = []dispatcher.Item{}
				}
				return printJSON(cmd.OutOrStdout(), items)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), pageOf(cmd.OutOrStdout()).items(items, time.Now()))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only those in these states, with commas: ready, working, landing, done, dead, cancelled")
	f.StringVar(&repo, "repo", "", "only those of OWNER/REPO")
	f.StringVar(&kind, "kind", "", "only build or review")
	f.IntVar(&limit, "limit", limit, fmt.Sprintf("how many at most, up to %d", server.MostItems))
	states := make([]string, 0, len(server.States()))
	for _, s := range server.States() {
		states = append(states, string(s))
	}
	complete(cmd, "state", states...)
	complete(cmd, "kind", string(dispatcher.Build), string(dispatcher.Review))
	return cmd
}

func newWorkShow(from *source) *cobra.Command {
	return &cobra.Command{
		Use:     "show ITEM",
		Short:   "Show an item and each of its attempts: phases, times, cost, and why it ended",
		Example: "  slipway work show 17",
		Args:    exactly(1, "the number of one item"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := itemOf(args[0])
			if err != nil {
				return err
			}
			reader, done, err := from.work(cmd)
			if err != nil {
				return err
			}
			defer done()
			w, found, err := reader.Work(cmd.Context(), id)
			switch {
			case err != nil:
				return err
			case !found:
				return fmt.Errorf("item %d is not known here: `slipway work list` lists those that are", id)
			case from.json:
				return printJSON(cmd.OutOrStdout(), w)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), pageOf(cmd.OutOrStdout()).work(w, time.Now()))
			return err
		},
	}
}

func newWorkCancel(from *source) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "cancel ITEM",
		Short:   "Withdraw an item; whoever works on it is told to stop",
		Example: "  slipway work cancel 17 --reason 'done by hand'",
		Args:    exactly(1, "the number of one item"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usageError{fmt.Errorf("%s wants --reason: the journal keeps why", cmd.CommandPath())}
			}
			return from.orderItem(cmd, args[0], "cancelled", func(ctx context.Context, c *server.Client, id dispatcher.ItemID) error {
				return c.Cancel(ctx, id, reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the journal (required)")
	return cmd
}

func newWorkRetry(from *source) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "retry ITEM",
		Short:   "Offer an item again that was given up or withdrawn",
		Example: "  slipway work retry 17",
		Args:    exactly(1, "the number of one item"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return from.orderItem(cmd, args[0], "offered again", func(ctx context.Context, c *server.Client, id dispatcher.ItemID) error {
				return c.Retry(ctx, id, reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

// work is the server, or the store beside it.
func (s *source) work(cmd *cobra.Command) (workReader, func(), error) {
	reader, done, err := s.reader(cmd)
	if err != nil {
		return nil, nil, err
	}
	r, ok := reader.(workReader)
	if !ok {
		done()
		return nil, nil, usageError{errors.New("this store tells of work only through the server: give --server ADDRESS")}
	}
	return r, done, nil
}

func (s *source) orderItem(cmd *cobra.Command, arg, done string, order func(context.Context, *server.Client, dispatcher.ItemID) error) error {
	id, err := itemOf(arg)
	if err != nil {
		return err
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	if err := order(cmd.Context(), client, id); err != nil {
		return err
	}
	if s.json {
		return printJSON(cmd.OutOrStdout(), map[string]any{"item": id, "order": cmd.Name(), "result": "accepted"})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "item %d is %s; `slipway work show %d` shows what comes of it\n", id, done, id)
	return err
}

func itemOf(arg string) (dispatcher.ItemID, error) {
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || n < 1 {
		return 0, usageError{fmt.Errorf("%q is no item: want its number, such as 17", arg)}
	}
	return dispatcher.ItemID(n), nil
}

func filter(state, repo, kind string, limit int) (dispatcher.Filter, error) {
	f := dispatcher.Filter{Kind: dispatcher.Kind(kind), Limit: limit}
	var faults []error
	if state != "" {
		states, err := server.ParseStates(state)
		if f.States = states; err != nil {
			faults = append(faults, flagged("--state", err))
		}
	}
	if repo != "" {
		id, err := ref.ParseRepo(repo)
		if f.Repo = id; err != nil {
			faults = append(faults, flagged("--repo", err))
		}
	}
	if kind != "" && f.Kind != dispatcher.Build && f.Kind != dispatcher.Review {
		faults = append(faults, fmt.Errorf("--kind: there is no kind %q; want build or review", kind))
	}
	if limit < 1 || limit > server.MostItems {
		faults = append(faults, fmt.Errorf("--limit is 1 to %d", server.MostItems))
	}
	return f, errors.Join(faults...)
}

// moment reads a time, or a span from now.
func moment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		if d <= 0 {
			return time.Time{}, fmt.Errorf("%s is over already", text)
		}
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%q is neither a time such as 2027-01-31T18:00:00Z nor a span such as 24h", text)
	case !at.After(now):
		return time.Time{}, fmt.Errorf("%s is over already", text)
	}
	return at, nil
}

func specOf(path string, in io.Reader) (string, error) {
	if path != "-" {
		f, err := os.Open(filepath.Clean(path))
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // nothing was written
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxSpec+1))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxSpec:
		return "", fmt.Errorf("it is larger than %d KiB", maxSpec>>10)
	}
	return string(data), nil
}

func flagged(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// complete offers the words that a flag may have.
func complete(cmd *cobra.Command, flag string, words ...string) {
	// The only error is that of a flag that is not there, or has its words.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}
