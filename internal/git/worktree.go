package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Tip is where a branch stands in the mirror as it is; "" if it is not there.
func (g *Mirrors) Tip(ctx context.Context, b ref.BranchID) (ref.SHA, error) {
	if err := checkBranch(b.Name); err != nil {
		return "", wrap(err, "tip of %s", b)
	}
	var tip ref.SHA
	err := g.read(ctx, b.Repo, nil, func(dir string) error {
		found, err := g.lookUp(ctx, dir, []string{headRefs + b.Name})
		if err == nil {
			tip = found[0]
		}
		return err
	})
	return tip, wrap(err, "tip of %s", b)
}

// Checkout makes the empty folder dir a repository of its own, with the
// mirror's whole history and its branches as origin's, and checks commit out
// there, on a new branch or on none for "". Its origin is the forge's address,
// without a credential, and its commits are the configured author's. Whatever
// is done to it changes nothing in the mirror, and no code of the repository is
// run.
func (g *Mirrors) Checkout(ctx context.Context, repo ref.RepoID, commit ref.SHA, branch, dir string) error {
	m, err := g.mirror(repo)
	if err == nil {
		err = checkSHAs(commit)
	}
	if err == nil && branch != "" {
		err = checkBranch(branch)
	}
	if err == nil {
		var there bool
		there, err = g.bring(ctx, m, commit)
		if err == nil && !there {
			err = fault.AsPermanent(errors.New("the forge does not have the commit"))
		}
	}
	if err == nil {
		err = g.checkout(ctx, m, commit, branch, dir)
	}
	return wrap(err, "check out %s at %s", repo, commit.Short())
}

func (g *Mirrors) checkout(ctx context.Context, m *mirror, commit ref.SHA, branch, dir string) error {
	remote, err := g.remote(m.repo)
	if err != nil {
		return err
	}
	who, err := g.author(ctx, m.repo)
	if err != nil {
		return err
	}
	again := false
	return g.read(ctx, m.repo, []ref.SHA{commit}, func(mirror string) error {
		if err := empty(dir, again); err != nil {
			return err
		}
		again = true
		local := Remote{URL: "file://" + mirror} // names the protocol; a plain path is what lets git copy files
		_, err := g.run(ctx, command{
			args: []string{"clone", "--quiet", "--local", "--no-checkout", "--template=",
				"--config", "user.name=" + who.name, "--config", "user.email=" + who.email, "--", mirror, dir},
			remote: &local,
		})
		if err != nil {
			return err
		}
		inside := []string{"GIT_WORK_TREE=" + dir}
		own := filepath.Join(dir, ".git")
		if _, err := g.run(ctx, command{args: []string{"remote", "set-url", "origin", remote.URL}, dir: own}); err != nil {
			return err
		}
		args := []string{"checkout", "--quiet", "--detach", string(commit), "--"}
		if branch != "" {
			args = []string{"checkout", "--quiet", "--no-track", "-B", branch, string(commit), "--"}
		}
		_, err = g.run(ctx, command{args: args, dir: own, env: inside})
		return err
	})
}

// Take brings into the mirror the commits that the repository in dir, made by
// Checkout, has from base to head, with all that they need. That repository is
// whatever somebody made of it: it is read as a store of objects alone, nothing
// that it configures takes effect, and each object is checked. Commits that do
// not stand on base, none at all, and such as change nothing together are
// fault.Permanent.
func (g *Mirrors) Take(ctx context.Context, repo ref.RepoID, dir string, base, head ref.SHA) error {
	m, err := g.mirror(repo)
	if err == nil {
		err = checkSHAs(base, head)
	}
	if err == nil {
		err = g.take(ctx, m, dir, base, head)
	}
	return wrap(err, "take %s for %s", head.Short(), repo)
}

func (g *Mirrors) take(ctx context.Context, m *mirror, dir string, base, head ref.SHA) error {
	if err := m.writing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.writing.Release(1)
	if err := m.strip(); err != nil {
		return err
	}
	objects := filepath.Join(dir, ".git", "objects")
	if info, err := os.Lstat(objects); err != nil || !info.IsDir() {
		return fault.AsPermanent(errors.New("it is no repository any more"))
	}
	temp, err := os.MkdirTemp(g.temp, "take-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	beside := []string{"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + strconv.Quote(objects), "GIT_NO_LAZY_FETCH=1"}
	if err := g.standing(ctx, m, beside, base, head); err != nil {
		return err
	}
	out, err := g.run(ctx, command{
		args:  []string{"pack-objects", "--quiet", "--revs", filepath.Join(temp, "pack")},
		dir:   m.path,
		env:   beside,
		stdin: string(head) + "\n^" + string(base) + "\n",
	})
	if err != nil {
		return fault.AsPermanent(fmt.Errorf("its objects cannot be read: %w", err))
	}
	return g.adopt(ctx, m, filepath.Join(temp, "pack-"+strings.TrimSpace(string(out))))
}

// standing refuses a head that adds nothing to base.
func (g *Mirrors) standing(ctx context.Context, m *mirror, beside []string, base, head ref.SHA) error {
	if base == head {
		return fault.AsPermanent(errors.New("there is no commit on top of the base"))
	}
	_, err := g.run(ctx, command{args: []string{"merge-base", "--is-ancestor", string(base), string(head)}, dir: m.path, env: beside})
	if f := (*failure)(nil); errors.As(err, &f) {
		if f.exit == 1 {
			return fault.AsPermanent(fmt.Errorf("it does not stand on %s, from which it was to start", base.Short()))
		}
		return fault.AsPermanent(fmt.Errorf("its commits cannot be read: %w", err))
	}
	if err != nil {
		return err
	}
	_, err = g.run(ctx, command{args: []string{"diff-tree", "--quiet", "--no-ext-diff", "--end-of-options", string(base), string(head)}, dir: m.path, env: beside})
	f := (*failure)(nil)
	switch {
	case err == nil:
		return fault.AsPermanent(errors.New("its commits together change nothing"))
	case errors.As(err, &f) && f.exit == 1:
		return nil
	case errors.As(err, &f):
		return fault.AsPermanent(fmt.Errorf("its trees cannot be read: %w", err))
	default:
		return err
	}
}

// adopt checks a pack, every object of it by its content, and puts it into the
// mirror.
func (g *Mirrors) adopt(ctx context.Context, m *mirror, pack string) error {
	if info, err := os.Stat(pack + ".pack"); err != nil || info.Size() > g.limits.bytes {
		return fault.AsPermanent(fmt.Errorf("it is larger than %d bytes", g.limits.bytes))
	}
	if err := os.Remove(pack + ".idx"); err != nil {
		return err
	}
	_, err := g.run(ctx, command{args: []string{"index-pack", "--strict", "-o", pack + ".idx", pack + ".pack"}, dir: m.path})
	if f := (*failure)(nil); errors.As(err, &f) {
		return fault.AsPermanent(fmt.Errorf("git finds its objects faulty: %w", err))
	}
	if err != nil {
		return err
	}
	for _, end := range []string{".pack", ".idx"} { // the index last: with it the pack counts
		if err := os.Rename(pack+end, filepath.Join(m.path, "objects", "pack", filepath.Base(pack)+end)); err != nil {
			return err
		}
	}
	return nil
}

// Push moves a branch of the forge to a commit that the mirror has, on the
// condition that the branch stands at expect, "" for not there. One that stands
// at commit already is success; one that stands elsewhere is fault.Changed.
func (g *Mirrors) Push(ctx context.Context, b ref.BranchID, commit, expect ref.SHA) error {
	m, err := g.mirror(b.Repo)
	if err == nil {
		err = errors.Join(checkSHAs(commit), checkBranch(b.Name))
	}
	if err == nil && expect != "" {
		err = checkSHAs(expect)
	}
	if err == nil {
		err = g.pushTo(ctx, m, b.Name, commit, expect)
	}
	return wrap(err, "push %s to %s", commit.Short(), b)
}

func (g *Mirrors) pushTo(ctx context.Context, m *mirror, branch string, commit, expect ref.SHA) error {
	if err := m.writing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.writing.Release(1)
	if err := m.strip(); err != nil {
		return err
	}
	pushErr := g.push(ctx, m, commit, branch, expect)
	if pushErr == nil || ctx.Err() != nil || fault.KindOf(pushErr) == fault.Permanent {
		return pushErr
	}
	// Whatever git says, the forge knows where the branch stands.
	m.opened = false
	if err := g.update(ctx, m); err != nil {
		return pushErr
	}
	found, err := g.lookUp(ctx, m.path, []string{headRefs + branch})
	switch {
	case err != nil:
		return pushErr
	case found[0] == commit:
		return nil
	case found[0] != expect:
		return fault.AsChanged(fmt.Errorf("the branch stands at %q and not at %q: somebody else moved it: %w", found[0].Short(), expect.Short(), pushErr))
	default:
		return pushErr
	}
}
