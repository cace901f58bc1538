package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

const (
	// forgeTries is how often a read or a write of the forge is tried.
	forgeTries = 5
	// shownPaths is how many paths a failure names.
	shownPaths = 10
	// titleLimit is the longest title of a pull request, in characters.
	titleLimit = 250
	// stateOpen is that of a pull request that can be pushed to.
	stateOpen = "open"
)

// build has the command write a change, and opens its pull request.
func (a *attempt) build(ctx context.Context) error {
	g := a.grant
	a.enter(dispatcher.Preparing)
	base := ref.BranchID{Repo: g.Repo, Name: g.Base}
	work := ref.BranchID{Repo: g.Repo, Name: g.Branch}
	var start, earlier ref.SHA
	err := a.outside(ctx, func() (err error) {
		if err = a.Git.Fetch(ctx, g.Repo); err != nil {
			return err
		}
		if start, err = a.Git.Tip(ctx, base); err == nil && start == "" {
			err = fault.AsPermanent(fmt.Errorf("%s has no branch %s", g.Repo, g.Base))
		}
		if err == nil {
			earlier, err = a.Git.Tip(ctx, work)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := a.lay(ctx, start, g.Branch); err != nil {
		return err
	}
	ran, err := a.run(ctx, start)
	if err != nil {
		return err
	}
	head, err := a.made(ctx, start, ran)
	if err != nil {
		return err
	}
	a.enter(dispatcher.Publishing)
	return a.publish(ctx, start, head, earlier)
}

// lay makes the attempt's folder with the worktree in it.
func (a *attempt) lay(ctx context.Context, commit ref.SHA, branch string) error {
	made, err := a.Room.bench(fmt.Sprintf("attempt-%d", a.grant.Attempt))
	a.mu.Lock() // a heartbeat may ask what was reported so far
	a.bench = made
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	err = a.outside(ctx, func() error { return a.Git.Checkout(ctx, a.grant.Repo, commit, branch, a.bench.tree()) })
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	return nil
}

// made is the commit that the command made on top of start. What it left
// uncommitted, or no commit at all, is a failure that says so.
func (a *attempt) made(ctx context.Context, start ref.SHA, ran ran) (ref.SHA, error) {
	head, left, err := a.status(ctx)
	switch {
	case err != nil:
		return "", err
	case len(left) > 0:
		return "", a.because(ran, "the command left %d changes uncommitted: %s", len(left), some(left))
	case head == start || head == "":
		return "", a.because(ran, "the command ended well and made no commit")
	}
	if err := a.Git.Take(ctx, a.grant.Repo, a.bench.tree(), start, head); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", a.because(ran, "what the command committed cannot be published: %s", err)
	}
	if _, err := a.reported(true); err != nil {
		return "", a.because(ran, "the command's report of its usage cannot be read: %s", err)
	}
	return head, nil
}

// publish pushes the branch, finds or opens the pull request, and registers
// number and head.
func (a *attempt) publish(ctx context.Context, start, head, earlier ref.SHA) error {
	g := a.grant
	summary, err := a.said()
	if err != nil {
		return err
	}
	work := ref.BranchID{Repo: g.Repo, Name: g.Branch}
	if err := a.outside(ctx, func() error { return a.Git.Push(ctx, work, head, earlier) }); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	a.tell(Event{What: "pushed", Head: head, Reason: g.Branch})
	pull, err := a.propose(ctx, summary)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	a.summary = summary
	return a.register(ctx, pull, head)
}

// propose finds the open pull request from the branch, or opens one.
func (a *attempt) propose(ctx context.Context, summary string) (ref.PullID, error) {
	g := a.grant
	title := line(g.Title, titleLimit)
	if title == "" {
		title = fmt.Sprintf("Item %d", g.Item)
	}
	body := strings.TrimSpace(summary + "\n\n" + fmt.Sprintf("Slipway-Item: %d", g.Item))
	var pull ref.PullID
	err := a.outside(ctx, func() error {
		// After a lost answer the forge knows whether it was opened.
		found, err := a.Forge.FindPull(ctx, g.Repo, g.Branch, g.Base)
		if err != nil {
			return err
		}
		if found.Found == ref.Yes && found.State == stateOpen {
			pull = found.Pull
			return nil
		}
		pull, err = a.Forge.OpenPull(ctx, g.Repo, g.Branch, g.Base, title, body)
		return err
	})
	return pull, err
}

// register tells the server of a pull request and its head, before either
// counts.
func (a *attempt) register(ctx context.Context, pull ref.PullID, head ref.SHA) error {
	r := dispatcher.Registration{Token: a.grant.Token, Pull: pull, Head: head}
	err := a.persist(ctx, func(ctx context.Context) error { return a.Desk.Register(ctx, a.grant.Attempt, r) })
	if err != nil {
		return fmt.Errorf("register %s: %w", pull, err)
	}
	a.tell(Event{What: "registered", Pull: pull, Head: head})
	return nil
}

// said is the command's own summary, for the pull request and the server.
func (a *attempt) said() (string, error) {
	text, err := read(a.bench.summary(), summaryLimit)
	if err != nil {
		return "", failure{reason: "the command's summary: " + err.Error()}
	}
	return strings.TrimSpace(plain(a.mask(strings.ToValidUTF8(string(text), "\uFFFD")))), nil
}

// outside asks the forge, directly or through git, and asks again after what
// may pass; what was moved meanwhile is looked at anew by the call itself.
func (a *attempt) outside(ctx context.Context, call func() error) error {
	for tries := 0; ; tries++ {
		err := call()
		if err == nil || ctx.Err() != nil || fault.KindOf(err) != fault.Later || tries == forgeTries-1 {
			return err
		}
		if !rest(ctx, a.patience(tries, err)) {
			return err
		}
	}
}

// because is a failure with the end of what the command printed.
func (a *attempt) because(r ran, format string, args ...any) error {
	reason := a.mask(fmt.Sprintf(format, args...))
	if len(r.left) > 0 {
		reason += fmt.Sprintf(" (it left %d processes behind, which were ended: %s)", len(r.left), some(r.left))
	}
	return failure{reason: reason, output: r.output}
}

func some(names []string) string {
	more := ""
	if over := len(names) - shownPaths; over > 0 {
		names, more = names[:shownPaths], fmt.Sprintf(" and %d more", over)
	}
	shown := make([]string, len(names))
	for i, n := range names {
		shown[i] = line(n, 120)
	}
	return strings.Join(shown, ", ") + more
}

var errUnclean = errors.New("git does not say how the worktree stands")
