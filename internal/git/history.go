package git

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// fields is what one commit is told by: id, parents, author, committer's time,
// subject, body. None of them can hold the NUL between them.
const fields = "--format=tformat:%H%x00%P%x00%an%x00%ct%x00%s%x00%b"

// FirstParent lists the commits of a branch line after from, up to and with to,
// oldest first; from "" means from the root. If to comes before from there are
// none; if from is not on the line of to, the branch was rewritten, which is
// fault.Permanent.
func (g *Mirrors) FirstParent(ctx context.Context, repo ref.RepoID, from, to ref.SHA) ([]reconcile.Commit, error) {
	commits, err := g.list(ctx, repo, from, to, "--first-parent")
	if err != nil || from == "" || from == to {
		return commits, wrap(err, "first-parent line of %s from %q to %s", repo, from, to)
	}
	if len(commits) == 0 {
		// Everything in to is in from. On a line that grew, from contains to.
		return nil, nil
	}
	if oldest := commits[0]; len(oldest.Parents) == 0 || oldest.Parents[0] != from {
		return nil, fault.AsPermanent(fmt.Errorf("%s: %s is not on the first-parent line of %s: the branch was rewritten", repo, from, to))
	}
	return commits, nil
}

// Between lists all commits in to that are not in from, parents before their
// children.
func (g *Mirrors) Between(ctx context.Context, repo ref.RepoID, from, to ref.SHA) ([]reconcile.Commit, error) {
	commits, err := g.list(ctx, repo, from, to)
	return commits, wrap(err, "commits of %s from %q to %s", repo, from, to)
}

// Commit reads one commit.
func (g *Mirrors) Commit(ctx context.Context, repo ref.RepoID, sha ref.SHA) (reconcile.Commit, error) {
	var commits []reconcile.Commit
	err := g.read(ctx, repo, []ref.SHA{sha}, func(dir string) error {
		var err error
		commits, err = g.log(ctx, dir, string(sha), "--max-count=1")
		return err
	})
	if err == nil && len(commits) == 0 {
		err = errors.New("git knows it and shows nothing of it")
	}
	if err != nil {
		return reconcile.Commit{}, wrap(err, "%s: commit %s", repo, sha)
	}
	return commits[0], nil
}

// Contains says whether descendant contains ancestor; a commit contains itself.
func (g *Mirrors) Contains(ctx context.Context, repo ref.RepoID, descendant, ancestor ref.SHA) (bool, error) {
	var contains bool
	err := g.read(ctx, repo, []ref.SHA{descendant, ancestor}, func(dir string) error {
		var err error
		contains, err = g.contains(ctx, dir, descendant, ancestor)
		return err
	})
	return contains, wrap(err, "%s: does %s contain %s", repo, descendant, ancestor)
}

// Tags lists the tags that could be version tags (ref.ParseTag) with the
// commits they come to in the end; "" for one that names no commit, whose name
// is taken all the same. It reads the mirror as it stands.
func (g *Mirrors) Tags(ctx context.Context, repo ref.RepoID) (map[ref.Tag]ref.SHA, error) {
	tags := map[ref.Tag]ref.SHA{}
	err := g.read(ctx, repo, nil, func(dir string) error {
		out, err := g.run(ctx, command{args: []string{"for-each-ref", "--format=%(refname)", "refs/tags/"}, dir: dir})
		if err != nil {
			return err
		}
		var names []string
		for line := range strings.Lines(string(out)) {
			name := strings.TrimSuffix(line, "\n")
			if _, err := ref.ParseTag(strings.TrimPrefix(name, "refs/tags/")); err == nil {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil
		}
		commits, err := g.lookUp(ctx, dir, names)
		if err != nil {
			return err
		}
		for i, name := range names {
			tags[ref.Tag(strings.TrimPrefix(name, "refs/tags/"))] = commits[i]
		}
		return nil
	})
	if err != nil {
		return nil, wrap(err, "tags of %s", repo)
	}
	return tags, nil
}

func (g *Mirrors) contains(ctx context.Context, dir string, descendant, ancestor ref.SHA) (bool, error) {
	_, err := g.run(ctx, command{args: []string{"merge-base", "--is-ancestor", string(ancestor), string(descendant)}, dir: dir})
	if f := (*failure)(nil); errors.As(err, &f) && f.exit == 1 {
		return false, nil
	}
	return err == nil, err
}

// list reads the commits in to that are not in from, parents first.
func (g *Mirrors) list(ctx context.Context, repo ref.RepoID, from, to ref.SHA, options ...string) ([]reconcile.Commit, error) {
	need, span := []ref.SHA{to}, string(to)
	if from != "" {
		need, span = append(need, from), string(from)+".."+string(to)
	}
	var commits []reconcile.Commit
	err := g.read(ctx, repo, need, func(dir string) error {
		var err error
		commits, err = g.log(ctx, dir, span, options...)
		return err
	})
	return commits, err
}

// log reads a span of commits, parents before their children.
func (g *Mirrors) log(ctx context.Context, dir, span string, options ...string) ([]reconcile.Commit, error) {
	args := append([]string{"log", "-z", fields, "--encoding=UTF-8", "--no-color", "--no-notes", "--no-mailmap",
		"--topo-order", "--reverse", "--max-count=" + strconv.Itoa(g.limits.commits+1)}, options...)
	out, err := g.run(ctx, command{args: append(args, "--end-of-options", span, "--"), dir: dir})
	if err != nil {
		return nil, err
	}
	commits, err := parseLog(string(out))
	if err == nil && len(commits) > g.limits.commits {
		err = fault.AsPermanent(fmt.Errorf("there are more than %d commits", g.limits.commits))
	}
	if err != nil {
		return nil, err
	}
	return commits, nil
}

func parseLog(out string) ([]reconcile.Commit, error) {
	if out == "" {
		return nil, nil
	}
	const perCommit = 6
	parts := strings.Split(strings.TrimSuffix(strings.ToValidUTF8(out, "\uFFFD"), "\x00"), "\x00")
	if len(parts)%perCommit != 0 {
		return nil, fmt.Errorf("git log: %d fields", len(parts))
	}
	commits := make([]reconcile.Commit, 0, len(parts)/perCommit)
	for ; len(parts) > 0; parts = parts[perCommit:] {
		sha, err := ref.ParseSHA(parts[0])
		if err != nil {
			return nil, fmt.Errorf("git log: %w", err)
		}
		var parents []ref.SHA
		for _, p := range strings.Fields(parts[1]) {
			parent, err := ref.ParseSHA(p)
			if err != nil {
				return nil, fmt.Errorf("git log: %w", err)
			}
			parents = append(parents, parent)
		}
		seconds, err := strconv.ParseInt(parts[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git log: the time of %s: %w", sha, err)
		}
		commits = append(commits, reconcile.Commit{
			SHA:     sha,
			Parents: parents,
			Subject: parts[4],
			Body:    parts[5],
			Author:  parts[2],
			At:      time.Unix(seconds, 0).UTC(),
		})
	}
	return commits, nil
}

// wrap adds what was asked to an error; nil stays nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
