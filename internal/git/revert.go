package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// headRefs is where branches stand. It goes before every branch's name, so that
// none can be taken for an option.
const headRefs = "refs/heads/"

// shownPaths is how many conflicting paths an error names.
const shownPaths = 20

// Revert pushes branch with one commit on top of base that undoes commit (a
// merge commit against its first parent), if the branch does not exist yet. A
// branch that holds such a commit already is success; any other branch of that
// name, a conflict, or nothing left to undo is fault.Permanent, the last
// two being reconcile.ErrNotRevertible.
func (g *Mirrors) Revert(ctx context.Context, base ref.BranchID, commit ref.SHA, branch, message string) error {
	m, err := g.mirror(base.Repo)
	if err == nil {
		err = errors.Join(checkSHAs(commit), checkBranch(base.Name), checkBranch(branch))
	}
	if err == nil {
		err = g.revert(ctx, m, base.Name, commit, branch, message)
	}
	return wrap(err, "revert %s on %s", commit.Short(), base)
}

func (g *Mirrors) revert(ctx context.Context, m *mirror, base string, commit ref.SHA, branch, message string) error {
	if err := m.writing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.writing.Release(1)
	if err := g.update(ctx, m); err != nil {
		return err
	}
	tip, done, err := g.survey(ctx, m, base, commit, branch)
	if err != nil || done {
		return err
	}
	made, err := g.undo(ctx, m, tip, commit, message)
	if err != nil {
		return g.doubt(err, m)
	}
	pushErr := g.push(ctx, m, made, branch, "")
	if pushErr == nil {
		return nil
	}
	// Whatever git says, the forge knows what happened.
	m.opened = false
	if ctx.Err() != nil || g.update(ctx, m) != nil {
		return pushErr
	}
	if _, done, err := g.survey(ctx, m, base, commit, branch); err != nil || done {
		return err
	}
	return pushErr
}

// survey finds the tip of base, and whether branch undoes commit already.
func (g *Mirrors) survey(ctx context.Context, m *mirror, base string, commit ref.SHA, branch string) (tip ref.SHA, done bool, err error) {
	found, err := g.lookUp(ctx, m.path, []string{headRefs + base, headRefs + branch, string(commit)})
	if err != nil {
		return "", false, g.doubt(err, m)
	}
	tip, existing := found[0], found[1]
	switch {
	case tip == "":
		return "", false, fault.AsPermanent(fmt.Errorf("there is no branch %q", base))
	case found[2] == "":
		return "", false, fmt.Errorf("%s %w %s", m.repo, errMissing, commit)
	}
	if contains, err := g.contains(ctx, m.path, tip, commit); err != nil || !contains {
		if err == nil {
			err = fault.AsPermanent(fmt.Errorf("%w: the branch does not contain it", reconcile.ErrNotRevertible))
		}
		return "", false, g.doubt(err, m)
	}
	if existing == "" {
		return tip, false, nil
	}
	own, err := g.log(ctx, m.path, string(tip)+".."+string(existing))
	if err != nil {
		return "", false, g.doubt(err, m)
	}
	for _, c := range own {
		if slices.Contains(change.Reverts(c.Body), commit) {
			return tip, true, nil
		}
	}
	return "", false, fault.AsPermanent(fmt.Errorf("the branch %q exists and does not revert it", branch))
}

// undo makes the commit. Git merges three trees: what commit made, what stood
// before it, and what the branch has now. The merge command of git 2.39 takes
// commits and finds their base itself, so it is given three that carry these
// trees and no other history.
func (g *Mirrors) undo(ctx context.Context, m *mirror, tip, commit ref.SHA, message string) (ref.SHA, error) {
	who, err := g.author(ctx, m.repo)
	if err != nil {
		return "", err
	}
	trees, err := g.trees(ctx, m, tip, commit)
	if err != nil {
		return "", err
	}
	const fixed = "946684800 +0000" // the same objects however often it is tried
	start, err := g.commit(ctx, m, who, trees.made, nil, "base", fixed)
	if err != nil {
		return "", err
	}
	ours, err := g.commit(ctx, m, who, trees.now, []ref.SHA{start}, "ours", fixed)
	if err != nil {
		return "", err
	}
	theirs, err := g.commit(ctx, m, who, trees.before, []ref.SHA{start}, "theirs", fixed)
	if err != nil {
		return "", err
	}
	tree, err := g.merge(ctx, m, ours, theirs)
	if err != nil {
		return "", err
	}
	if tree == trees.now {
		return "", fault.AsPermanent(fmt.Errorf("%w: there is nothing left to undo: the branch does not have its changes any more", reconcile.ErrNotRevertible))
	}
	return g.commit(ctx, m, who, tree, []ref.SHA{tip}, revertMessage(message, commit), strconv.FormatInt(time.Now().Unix(), 10)+" +0000")
}

// author is who writes a revert.
type author struct{ name, email string }

func (g *Mirrors) author(ctx context.Context, repo ref.RepoID) (author, error) {
	if g.config.Author == nil {
		return author{g.config.Name, g.config.Email}, nil
	}
	name, email, err := g.config.Author(ctx, repo)
	if err == nil {
		err = checkAuthor(name, email)
	}
	return author{name, email}, err
}

// trees are the three sides of a revert, by the ids of their trees.
type trees struct{ made, before, now ref.SHA }

func (g *Mirrors) trees(ctx context.Context, m *mirror, tip, commit ref.SHA) (trees, error) {
	out, err := g.run(ctx, command{
		args:  []string{"cat-file", "--batch-check=%(objectname)"},
		dir:   m.path,
		stdin: fmt.Sprintf("%s^{tree}\n%s^1^{tree}\n%s^{tree}\n", commit, commit, tip),
	})
	if err != nil {
		return trees{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != 3 {
		return trees{}, fmt.Errorf("git cat-file: %d answers to 3 questions", len(lines))
	}
	if strings.HasSuffix(lines[1], " missing") { // the root commit comes after nothing
		empty, err := g.run(ctx, command{args: []string{"mktree"}, dir: m.path})
		if err != nil {
			return trees{}, err
		}
		lines[1] = strings.TrimSpace(string(empty))
	}
	t := trees{made: ref.SHA(lines[0]), before: ref.SHA(lines[1]), now: ref.SHA(lines[2])}
	return t, checkSHAs(t.made, t.before, t.now)
}

// merge is the tree of two commits' merge. A conflict is fault.Permanent.
func (g *Mirrors) merge(ctx context.Context, m *mirror, ours, theirs ref.SHA) (ref.SHA, error) {
	tree, conflicts, err := g.mergeTrees(ctx, m.path, ours, theirs)
	if err == nil && conflicts != nil {
		err = fault.AsPermanent(fmt.Errorf("%w: later changes conflict in %s", reconcile.ErrNotRevertible, quoted(conflicts)))
	}
	return tree, err
}

// commit writes a commit object; date is in git's own form.
func (g *Mirrors) commit(ctx context.Context, m *mirror, who author, tree ref.SHA, parents []ref.SHA, message, date string) (ref.SHA, error) {
	args := []string{"commit-tree", "-F", "-"}
	for _, p := range parents {
		args = append(args, "-p", string(p))
	}
	out, err := g.run(ctx, command{
		args:  append(args, string(tree)),
		dir:   m.path,
		stdin: message,
		env: []string{
			"GIT_AUTHOR_NAME=" + who.name, "GIT_AUTHOR_EMAIL=" + who.email, "GIT_AUTHOR_DATE=" + date,
			"GIT_COMMITTER_NAME=" + who.name, "GIT_COMMITTER_EMAIL=" + who.email, "GIT_COMMITTER_DATE=" + date,
		},
	})
	if err != nil {
		return "", err
	}
	return ref.ParseSHA(strings.TrimSpace(string(out)))
}

// push moves the branch at the forge on the condition that it stands at expect,
// "" for not there.
func (g *Mirrors) push(ctx context.Context, m *mirror, commit ref.SHA, branch string, expect ref.SHA) error {
	remote, err := g.remote(m.repo)
	if err != nil {
		return err
	}
	_, err = g.run(ctx, command{
		args: []string{"push", "--porcelain", "--no-verify", "--force-with-lease=" + headRefs + branch + ":" + string(expect),
			"--end-of-options", remote.URL, string(commit) + ":" + headRefs + branch},
		dir:    m.path,
		remote: &remote,
	})
	f := (*failure)(nil)
	if !errors.As(err, &f) || fault.KindOf(err) == fault.Permanent {
		return err
	}
	// A line per branch: flag, what to where, how it went.
	for line := range strings.Lines(string(f.out)) {
		if parts := strings.Split(strings.TrimSpace(line), "\t"); parts[0] == "!" && strings.Contains(line, "[remote rejected]") {
			return fault.AsPermanent(fmt.Errorf("the forge refuses the branch %q: %s: %w", branch, told(parts[len(parts)-1], &remote), err))
		}
	}
	return err
}

// doubt remembers a failure of git on the mirror, to check that at the next
// fetch.
func (g *Mirrors) doubt(err error, m *mirror) error {
	if f := (*failure)(nil); errors.As(err, &f) {
		m.suspect.Store(true)
	}
	return err
}

// revertMessage is the message with the line by which a revert is known.
func revertMessage(message string, commit ref.SHA) string {
	message = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(message, "\uFFFD"), "\x00", ""))
	subject, body, _ := strings.Cut(message, "\n")
	if subject == "" {
		subject = "Revert " + commit.Short()
	}
	if !slices.Contains(change.Reverts(body), commit) {
		body = strings.TrimSpace(body) + "\n\n" + change.RevertLine(commit)
	}
	return subject + "\n\n" + strings.TrimSpace(body) + "\n"
}

func quoted(paths []string) string {
	more := ""
	if over := len(paths) - shownPaths; over > 0 {
		paths, more = paths[:shownPaths], fmt.Sprintf(" and %d more", over)
	}
	shown := make([]string, len(paths))
	for i, p := range paths {
		shown[i] = strconv.Quote(p)
	}
	return strings.Join(shown, ", ") + more
}
