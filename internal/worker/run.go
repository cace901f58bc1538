package worker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
)

// ran is a command that has ended.
type ran struct {
	output string   // the end of what it printed, without secrets
	left   []string // the processes that it left behind, by name
}

// statusLimit bounds git's account of a worktree, in bytes.
const statusLimit = 1 << 20

// run runs the command in the worktree, until it ends or ctx does. Then nothing
// of it is left.
func (a *attempt) run(ctx context.Context, head ref.SHA) (ran, error) {
	env, err := a.environ(ctx, head)
	if err == nil {
		err = a.hand()
	}
	if err != nil {
		return ran{}, fmt.Errorf("prepare: %w", err)
	}
	a.enter(dispatcher.Running)
	begun := time.Now()
	out := &tail{}
	o, err := a.supervise(ctx, order{Args: a.Command, Dir: a.bench.tree(), Env: env, Grace: a.Grace}, nil, out)
	r := ran{output: a.printed(out), left: o.Left}
	if len(o.Alive) > 0 {
		a.tell(Event{What: "note", Reason: fmt.Sprintf("%d processes of the command cannot be ended: %s", len(o.Alive), some(o.Alive))})
	}
	took := time.Since(begun)
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err != nil:
		return r, a.because(r, "the command was not seen to its end: %s", err)
	case o.Error != "":
		return r, a.because(r, "the command cannot be started: %s", o.Error)
	case o.Signal != "":
		return r, a.because(r, "the command was ended by a signal (%s) after %.1f s", o.Signal, took.Seconds())
	case o.Exit != 0:
		return r, a.because(r, "the command ended with exit code %d after %.1f s", o.Exit, took.Seconds())
	}
	reason := ""
	if len(o.Left) > 0 {
		reason = fmt.Sprintf("it left %d processes behind, which were ended: %s", len(o.Left), some(o.Left))
	}
	a.tell(Event{What: "ended", Reason: reason, Seconds: took.Seconds()})
	return r, nil
}

// hand writes the files that the command is given. The report is there, and
// empty, so that it only has to add to it.
func (a *attempt) hand() error {
	as := a.grant.Assignment
	parameters := as.Parameters
	if parameters == "" {
		parameters = "{}"
	}
	for name, text := range map[string]string{
		"spec.md": a.grant.Spec, "prompt.md": as.Prompt.Text, "parameters.json": parameters, "report.jsonl": "",
	} {
		if err := a.bench.put(name, text); err != nil {
			return err
		}
	}
	return nil
}

// environ is all that the command sees of an environment. It is made anew: what
// the worker has in its own reaches the command by name only.
func (a *attempt) environ(ctx context.Context, head ref.SHA) ([]string, error) {
	g, b := a.grant, a.bench
	name, email, err := a.identity(ctx)
	if err != nil {
		return nil, err
	}
	budget := ""
	if g.Budget > 0 {
		budget = g.Budget.String()
	}
	vars := [][2]string{
		{"SLIPWAY_ITEM", strconv.FormatInt(int64(g.Item), 10)},
		{"SLIPWAY_ATTEMPT", strconv.FormatInt(int64(g.Attempt), 10)},
		{"SLIPWAY_TRY", strconv.Itoa(g.Try)},
		{"SLIPWAY_KIND", string(g.Kind)},
		{"SLIPWAY_BUILDER", a.Address.String()},
		{"SLIPWAY_REPOSITORY", g.Repo.String()},
		{"SLIPWAY_BASE", g.Base},
		{"SLIPWAY_BRANCH", g.Branch},
		{"SLIPWAY_HEAD", string(head)},
		{"SLIPWAY_PULL_REQUEST", pullNumber(g.Pull)},
		{"SLIPWAY_TITLE", line(g.Title, 1000)},
		{"SLIPWAY_SPEC_FILE", b.path("spec.md")},
		{"SLIPWAY_PROMPT_FILE", b.path("prompt.md")},
		{"SLIPWAY_PARAMETERS_FILE", b.path("parameters.json")},
		{"SLIPWAY_PROVIDER", g.Assignment.Provider},
		{"SLIPWAY_MODEL", g.Assignment.Model},
		{"SLIPWAY_BUDGET", budget},
		{"SLIPWAY_CURRENCY", g.Currency},
		{"SLIPWAY_REPORT_FILE", b.report()},
		{"SLIPWAY_SUMMARY_FILE", b.summary()},
		{"TMPDIR", b.temp()},
		{"GIT_AUTHOR_NAME", name}, {"GIT_AUTHOR_EMAIL", email},
		{"GIT_COMMITTER_NAME", name}, {"GIT_COMMITTER_EMAIL", email},
		{"GIT_TERMINAL_PROMPT", "0"},
	}
	if g.Kind == dispatcher.Review {
		vars = append(vars, [2]string{"SLIPWAY_REVIEW_FILE", b.review()})
	}
	env := append([]string(nil), a.Environ...)
	for _, v := range vars {
		env = append(env, v[0]+"="+strings.ReplaceAll(v[1], "\x00", ""))
	}
	return env, nil
}

func (a *attempt) identity(ctx context.Context) (name, email string, err error) {
	err = a.outside(ctx, func() (err error) {
		name, email, err = a.Identity(ctx)
		return err
	})
	return name, email, err
}

func pullNumber(id ref.PullID) string {
	if id.IsZero() {
		return ""
	}
	return strconv.FormatInt(id.Number, 10)
}

// status asks git how the worktree stands. The command has set that repository
// up as it liked, so git is run as the command was: without any credential, and
// ended with all that it started.
func (a *attempt) status(ctx context.Context) (head ref.SHA, left []string, err error) {
	git := []string{"git", "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal"}
	env, err := a.environ(ctx, "")
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errUnclean, err)
	}
	if git[0], err = lookPath(git[0], a.Environ); err != nil {
		return "", nil, fmt.Errorf("%w: %w", errUnclean, err)
	}
	answer, complaints := &bounded{limit: statusLimit}, &tail{}
	o, err := a.supervise(ctx, order{Args: git, Dir: a.bench.tree(), Env: append(env, "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C"), Grace: a.Grace}, answer, complaints)
	switch {
	case ctx.Err() != nil:
		return "", nil, context.Cause(ctx)
	case err != nil:
		return "", nil, fmt.Errorf("%w: %w", errUnclean, err)
	case o.Error != "" || o.Signal != "" || o.Exit != 0 || answer.over:
		return "", nil, failure{reason: fmt.Sprintf("%s: %s", errUnclean, line(a.printed(complaints)+" "+o.Error, 400))}
	}
	return parseStatus(answer.text)
}

// parseStatus reads git's porcelain version 2: the head, and the paths of what
// is not committed.
func parseStatus(text []byte) (head ref.SHA, left []string, err error) {
	parts := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	for i := 0; i < len(parts); i++ {
		kind, rest, _ := strings.Cut(parts[i], " ")
		// How many fields come before the path.
		fields, listed := map[string]int{"1": 7, "2": 8, "u": 9, "?": 0}[kind]
		switch {
		case kind == "#":
			if oid, ok := strings.CutPrefix(rest, "branch.oid "); ok && oid != "(initial)" {
				if head, err = ref.ParseSHA(oid); err != nil {
					return "", nil, failure{reason: errUnclean.Error()}
				}
			}
		case listed:
			path := strings.SplitN(rest, " ", fields+1)
			left = append(left, path[len(path)-1])
			if kind == "2" {
				i++ // the path that it was renamed from
			}
		}
	}
	return head, left, nil
}

// bounded keeps the beginning of what is written.
type bounded struct {
	text  []byte
	limit int
	over  bool
}

// Write never fails, so that whoever writes comes to an end.
func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if room := b.limit - len(b.text); n > room {
		p, b.over = p[:room], true
	}
	b.text = append(b.text, p...)
	return n, nil
}
