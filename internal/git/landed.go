package git

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Landed compares the tree that landed with the merge, computed anew, of the
// commit it landed on and the judged head. Whatever the method, that merge is
// the measure: a rebase replays commits one by one, and can so take back what
// the merge of the two would keep. An error is only what may pass: what cannot
// be told at all is an answer, with its reason.
func (g *Mirrors) Landed(ctx context.Context, repo ref.RepoID, l reconcile.Landing) (change.Landed, error) {
	m, err := g.mirror(repo)
	if err == nil {
		err = checkSHAs(needed(l)...)
	}
	var landed change.Landed
	if err == nil {
		landed, err = g.landed(ctx, m, l)
	}
	if err != nil {
		return change.Landed{}, wrap(err, "%s: compare %s with the judged %s", repo, l.Merge.Short(), l.Head.Short())
	}
	return landed, nil
}

func (g *Mirrors) landed(ctx context.Context, m *mirror, l reconcile.Landing) (change.Landed, error) {
	for _, sha := range needed(l) {
		there, err := g.bring(ctx, m, sha)
		if err != nil {
			return change.Landed{}, err
		}
		if !there {
			return change.Landed{Why: fmt.Sprintf("the forge does not have the commit %s any more", sha)}, nil
		}
	}
	var landed change.Landed
	err := g.read(ctx, m.repo, []ref.SHA{l.Merge}, func(dir string) error {
		var err error
		landed, err = g.compare(ctx, dir, l)
		return err
	})
	return landed, err
}

// needed are the commits without which nothing can be told.
func needed(l reconcile.Landing) []ref.SHA {
	if l.After == "" || l.Method != "rebase" {
		return []ref.SHA{l.Merge, l.Head}
	}
	return []ref.SHA{l.Merge, l.Head, l.After}
}

// bring makes a commit known to the mirror, by its own id if no branch or tag
// leads there: that of a head whose branch is deleted, or of a fork. The forge
// must serve any object it has, as Gitea and GitHub do.
func (g *Mirrors) bring(ctx context.Context, m *mirror, sha ref.SHA) (there bool, err error) {
	err = g.read(ctx, m.repo, []ref.SHA{sha}, func(string) error { return nil })
	if !errors.Is(err, errMissing) {
		return err == nil, err
	}
	if err := m.writing.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer m.writing.Release(1)
	remote, err := g.remote(m.repo)
	if err != nil {
		return false, err
	}
	_, err = g.run(ctx, command{
		args:   []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options", remote.URL, string(sha)},
		dir:    m.path,
		remote: &remote,
	})
	if f := (*failure)(nil); errors.As(err, &f) && unserved(f.words) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	found, err := g.lookUp(ctx, m.path, []string{string(sha)})
	return err == nil && found[0] == sha, err
}

// unserved knows git's words for an object that the other side does not have or
// does not give by its id (upload-pack.c).
func unserved(words string) bool {
	return strings.Contains(words, "not our ref") || strings.Contains(words, "unadvertised object")
}

func (g *Mirrors) compare(ctx context.Context, dir string, l reconcile.Landing) (change.Landed, error) {
	merge, err := g.one(ctx, dir, l.Merge)
	if err != nil {
		return change.Landed{}, err
	}
	switch l.Method {
	case "squash":
		if len(merge.Parents) != 1 {
			return g.refuted(ctx, dir, merge, fmt.Sprintf("a squashed commit has one parent, and this one has %d", len(merge.Parents)))
		}
		return g.against(ctx, dir, merge.SHA, merge.Parents[0], l.Head)
	case "merge":
		if len(merge.Parents) != 2 || merge.Parents[1] != l.Head {
			return g.refuted(ctx, dir, merge, "it is no merge commit whose second parent is the judged head")
		}
		return g.against(ctx, dir, merge.SHA, merge.Parents[0], l.Head)
	case "rebase":
		return g.rebased(ctx, dir, l)
	default:
		return change.Landed{Why: fmt.Sprintf("there is no way to tell for the method %q", l.Method)}, nil
	}
}

// one reads one commit of the mirror.
func (g *Mirrors) one(ctx context.Context, dir string, sha ref.SHA) (reconcile.Commit, error) {
	commits, err := g.log(ctx, dir, string(sha), "--max-count=1")
	if err == nil && len(commits) != 1 {
		err = errors.New("git knows it and shows nothing of it")
	}
	if err != nil {
		return reconcile.Commit{}, err
	}
	return commits[0], nil
}

// refuted is the answer where already the shape of the commit is wrong.
func (g *Mirrors) refuted(ctx context.Context, dir string, merge reconcile.Commit, why string) (change.Landed, error) {
	tree, err := g.tree(ctx, dir, merge.SHA)
	landed := change.Landed{Equal: ref.No, Tree: tree, Why: why}
	if len(merge.Parents) > 0 {
		landed.Parent = merge.Parents[0]
	}
	return landed, err
}

// against compares the tree of a commit with the merge of parent and head.
func (g *Mirrors) against(ctx context.Context, dir string, merge, parent, head ref.SHA) (change.Landed, error) {
	landed := change.Landed{Parent: parent, Commits: 1}
	var err error
	if landed.Tree, err = g.tree(ctx, dir, merge); err != nil {
		return change.Landed{}, err
	}
	var conflicts []string
	if landed.Want, conflicts, err = g.mergeTrees(ctx, dir, parent, head); err != nil {
		return change.Landed{}, err
	}
	switch {
	case conflicts != nil:
		// No forge resolves a conflict by itself.
		landed.Equal = ref.No
		landed.Why = fmt.Sprintf("%s and the judged head conflict in [%s]: what landed is a solution that nobody judged", parent.Short(), quoted(conflicts))
	case landed.Tree == landed.Want:
		landed.Equal = ref.Yes
	default:
		paths, err := g.differing(ctx, dir, landed.Want, landed.Tree)
		if err != nil {
			return change.Landed{}, err
		}
		landed.Equal = ref.No
		landed.Why = fmt.Sprintf("what landed is not the merge of %s and the judged head: they differ in %s", parent.Short(), quoted(paths))
	}
	return landed, nil
}

// mergeTrees is the tree of the merge of two commits, or the paths in which
// they conflict, of which git may name none: conflicts is nil where there are
// not any. Neither a driver nor an attribute of the repository has a part
// in it, as with the forges.
func (g *Mirrors) mergeTrees(ctx context.Context, dir string, ours, theirs ref.SHA) (tree ref.SHA, conflicts []string, err error) {
	out, err := g.run(ctx, command{
		args: []string{"merge-tree", "--write-tree", "--name-only", "--no-messages", "--allow-unrelated-histories", "-z", string(ours), string(theirs)},
		dir:  dir,
	})
	if f := (*failure)(nil); errors.As(err, &f) && f.exit == 1 {
		return "", strings.Split(strings.TrimSuffix(string(f.out), "\x00"), "\x00")[1:], nil
	}
	if err != nil {
		return "", nil, err
	}
	tree, err = ref.ParseSHA(strings.TrimSuffix(string(out), "\x00"))
	return tree, nil, err
}

// tree is the id of a commit's tree.
func (g *Mirrors) tree(ctx context.Context, dir string, commit ref.SHA) (ref.SHA, error) {
	out, err := g.run(ctx, command{args: []string{"rev-parse", "--verify", "--end-of-options", string(commit) + "^{tree}"}, dir: dir})
	if err != nil {
		return "", err
	}
	return ref.ParseSHA(strings.TrimSpace(string(out)))
}

// differing lists the paths in which two trees differ.
func (g *Mirrors) differing(ctx context.Context, dir string, one, other ref.SHA) ([]string, error) {
	out, err := g.run(ctx, command{args: []string{"diff-tree", "-r", "-z", "--name-only", "--no-renames", "--end-of-options", string(one), string(other)}, dir: dir})
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), nil
}
