package git

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// mostReplayed bounds how many commits of a rebase are told apart.
const mostReplayed = 250

// rebased finds the commit that a rebase landed on, and compares. Each commit
// of the head became one on the base, but for merges and for those whose
// changes the base had already; what is left is counted as git rebase does.
func (g *Mirrors) rebased(ctx context.Context, dir string, l reconcile.Landing) (change.Landed, error) {
	if l.Commits < 1 || l.Commits > mostReplayed {
		return change.Landed{Why: fmt.Sprintf("a rebase of %d commits cannot be told apart from the base", l.Commits)}, nil
	}
	line, err := g.log(ctx, dir, string(l.Merge), "--first-parent", "--max-count="+strconv.Itoa(l.Commits))
	if err != nil {
		return change.Landed{}, err
	}
	slices.Reverse(line) // newest first
	for i, c := range line {
		if len(c.Parents) != 1 { // a merge commit or the root: not of the rebase
			line = line[:i]
			break
		}
	}
	if len(line) == 0 {
		merge, err := g.one(ctx, dir, l.Merge)
		if err != nil {
			return change.Landed{}, err
		}
		return g.refuted(ctx, dir, merge, "what a rebase lands is no merge commit")
	}
	if line, err = g.above(ctx, dir, line, l.After); err != nil {
		return change.Landed{}, err
	}
	if len(line) == 0 {
		return change.Landed{Equal: ref.No, Why: fmt.Sprintf("it landed on a base without %s, on which it was judged", l.After.Short())}, nil
	}
	landed, err := g.replayed(ctx, dir, line, l)
	if err != nil || landed.Equal != ref.No {
		return landed, err
	}
	return g.shorter(ctx, dir, line, l, landed)
}

// above cuts a line, newest first, where it would reach below the judged base.
func (g *Mirrors) above(ctx context.Context, dir string, line []reconcile.Commit, after ref.SHA) ([]reconcile.Commit, error) {
	if after == "" {
		return line, nil
	}
	for n := len(line); n > 0; n-- {
		contains, err := g.contains(ctx, dir, line[n-1].Parents[0], after)
		if err != nil {
			return nil, err
		}
		if contains {
			return line[:n], nil
		}
	}
	return nil, nil
}

// replayed compares on the greatest number of commits that the rebase can have
// made: as many as are new above the commit below them.
func (g *Mirrors) replayed(ctx context.Context, dir string, line []reconcile.Commit, l reconcile.Landing) (change.Landed, error) {
	n := len(line)
	for {
		fresh, err := g.fresh(ctx, dir, line[n-1].Parents[0], l.Head)
		if err != nil {
			return change.Landed{}, err
		}
		if fresh >= n || fresh == 0 {
			break
		}
		n = fresh
	}
	landed, err := g.against(ctx, dir, l.Merge, line[n-1].Parents[0], l.Head)
	landed.Commits = n
	return landed, err
}

// shorter looks whether what landed is equal after all, on a commit further up:
// a rebase also leaves out what turns out empty. That looks the same as a commit
// that was changed on its way, unless it still calls itself one of the head's.
func (g *Mirrors) shorter(ctx context.Context, dir string, line []reconcile.Commit, l reconcile.Landing, not change.Landed) (change.Landed, error) {
	judged, err := g.log(ctx, dir, string(not.Parent)+".."+string(l.Head))
	if err != nil {
		return change.Landed{}, err
	}
	for n := not.Commits - 1; n > 0; n-- {
		below := line[n] // the commit that the n above it would have landed on
		if slices.ContainsFunc(judged, func(c reconcile.Commit) bool { return c.Subject == below.Subject && c.Author == below.Author }) {
			return not, nil
		}
		landed, err := g.against(ctx, dir, l.Merge, below.SHA, l.Head)
		if err != nil {
			return change.Landed{}, err
		}
		if landed.Equal == ref.Yes {
			landed.Equal, landed.Commits = ref.Unknown, n
			landed.Why = fmt.Sprintf("on %s the last %d commits are what was judged, but of %d that were expected git cannot tell what became of the others", below.SHA.Short(), n, not.Commits)
			return landed, nil
		}
	}
	return not, nil
}

// fresh counts the commits of head that a rebase onto base would replay.
func (g *Mirrors) fresh(ctx context.Context, dir string, base, head ref.SHA) (int, error) {
	out, err := g.run(ctx, command{
		args: []string{"rev-list", "--count", "--no-merges", "--right-only", "--cherry-pick", "--end-of-options", string(base) + "..." + string(head), "--"},
		dir:  dir,
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}
