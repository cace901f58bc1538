package git

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"slipway/internal/ref"
)

// fingerprint tells two diffs apart: by the files, the lines taken out and the
// lines put in, not by where in the file they stand or what surrounds them,
// which other changes move.
type fingerprint [sha256.Size]byte

// undoing is a question that was answered: commits never change.
type undoing struct {
	repo               ref.RepoID
	commit, descendant ref.SHA
}

// patchOptions make git tell every diff alike, whatever it would do by itself.
// A merge is told by what it brings to its first parent.
func patchOptions() []string {
	return []string{"--patch", "--unified=0", "--no-renames", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv",
		"--no-indent-heuristic", "--diff-algorithm=myers", "--submodule=short", "--src-prefix=a/", "--dst-prefix=b/"}
}

// Undone says whether descendant, which contains commit, also contains a commit
// made after it whose diff takes back exactly what commit brought, and none
// after or beside that one which brings the same again. What a message says
// counts for nothing.
func (g *Mirrors) Undone(ctx context.Context, repo ref.RepoID, commit, descendant ref.SHA) (bool, error) {
	question := undoing{repo, commit, descendant}
	g.mutex.Lock()
	undone, known := g.undone[question]
	g.mutex.Unlock()
	if known {
		return undone, nil
	}
	err := g.read(ctx, repo, []ref.SHA{commit, descendant}, func(dir string) error {
		var err error
		undone, err = g.isUndone(ctx, dir, commit, descendant)
		return err
	})
	if err != nil {
		return false, wrap(err, "%s: is %s undone in %s", repo, commit, descendant)
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if len(g.undone) >= remembered {
		clear(g.undone)
	}
	g.undone[question] = undone
	return undone, nil
}

// remembered is how many answers of Undone are kept.
const remembered = 1000

func (g *Mirrors) isUndone(ctx context.Context, dir string, commit, descendant ref.SHA) (bool, error) {
	brought, tookBack, err := g.bothWays(ctx, dir, commit)
	if err != nil || brought == tookBack { // it changed nothing
		return false, err
	}
	var again, back []ref.SHA
	err = g.patches(ctx, dir, string(commit)+".."+string(descendant), func(c ref.SHA, f fingerprint) {
		switch f {
		case brought:
			again = append(again, c)
		case tookBack:
			back = append(back, c)
		}
	})
	if err != nil {
		return false, err
	}
	for _, c := range back {
		last, err := g.containsAll(ctx, dir, c, append(again, commit))
		if err != nil || last {
			return last, err
		}
	}
	return false, nil
}

func (g *Mirrors) containsAll(ctx context.Context, dir string, descendant ref.SHA, ancestors []ref.SHA) (bool, error) {
	for _, a := range ancestors {
		if contains, err := g.contains(ctx, dir, descendant, a); err != nil || !contains {
			return false, err
		}
	}
	return true, nil
}

// bothWays are the diff that a commit brought and the one that takes it back.
func (g *Mirrors) bothWays(ctx context.Context, dir string, commit ref.SHA) (brought, tookBack fingerprint, err error) {
	before := string(commit) + "^1"
	parent, err := g.lookUp(ctx, dir, []string{before})
	if err != nil {
		return brought, tookBack, err
	}
	if parent[0] == "" { // the root commit comes after nothing
		out, err := g.run(ctx, command{args: []string{"hash-object", "-t", "tree", "--stdin"}, dir: dir})
		if err != nil {
			return brought, tookBack, err
		}
		before = strings.TrimSpace(string(out))
	}
	if brought, err = g.difference(ctx, dir, before, string(commit)); err != nil {
		return brought, tookBack, err
	}
	tookBack, err = g.difference(ctx, dir, string(commit), before)
	return brought, tookBack, err
}

func (g *Mirrors) difference(ctx context.Context, dir, from, to string) (f fingerprint, err error) {
	args := append([]string{"diff-tree", "-r"}, patchOptions()...)
	_, err = g.run(ctx, command{args: append(args, "--end-of-options", from, to), dir: dir, stream: func(r io.Reader) error {
		p := newPatch()
		if err := lines(r, func(part []byte, first, last bool) error { p.take(part, first, last); return nil }); err != nil {
			return err
		}
		f = p.sum()
		return nil
	}})
	return f, err
}

// patches calls each with every commit of a span and the fingerprint of what it
// brought.
func (g *Mirrors) patches(ctx context.Context, dir, span string, each func(ref.SHA, fingerprint)) error {
	args := append([]string{"log", "--format=tformat:%x00%H", "--diff-merges=first-parent", "--no-notes", "--no-mailmap"}, patchOptions()...)
	_, err := g.run(ctx, command{args: append(args, "--end-of-options", span, "--"), dir: dir, stream: func(r io.Reader) error {
		var commit ref.SHA
		p := newPatch()
		tell := func() {
			if commit != "" {
				each(commit, p.sum())
			}
		}
		err := lines(r, func(part []byte, first, last bool) error {
			name, found := bytes.CutPrefix(part, []byte{0}) // no line of a diff begins so
			if !first || !found {
				p.take(part, first, last)
				return nil
			}
			tell()
			p = newPatch()
			var err error
			commit, err = ref.ParseSHA(strings.TrimSpace(string(name)))
			if err != nil {
				return fmt.Errorf("git log: %w", err)
			}
			return nil
		})
		if err == nil {
			tell()
		}
		return err
	}})
	return err
}

// patch sums up one diff as it is read.
type patch struct {
	hash hash.Hash
	// pending is the line with the ids of both versions of a file, which counts
	// for what git does not show line by line, and else would tell of the
	// surroundings.
	pending []byte
	skip    bool // the line at hand does not count
}

func newPatch() *patch { return &patch{hash: sha256.New()} }

// take reads a line, or a part of one that is too long for one go.
func (p *patch) take(part []byte, first, last bool) {
	if first {
		p.skip = true
		switch {
		case bytes.HasPrefix(part, []byte("index ")):
			p.pending = bytes.Clone(part)
		case bytes.HasPrefix(part, []byte("@@ ")), last && len(bytes.TrimSpace(part)) == 0:
		default:
			p.skip = false
			if bytes.HasPrefix(part, []byte("Binary files ")) {
				p.hash.Write(p.pending)
			}
			p.pending = nil
		}
	}
	if !p.skip {
		p.hash.Write(part)
	}
}

func (p *patch) sum() (f fingerprint) {
	p.hash.Sum(f[:0])
	return f
}

// lines reads lines of any length, in parts of a bounded one; first and last
// say whether a part begins or ends a line.
func lines(r io.Reader, each func(part []byte, first, last bool) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for first := true; ; {
		part, err := in.ReadSlice('\n')
		last := !errors.Is(err, bufio.ErrBufferFull)
		if len(part) > 0 {
			if err := each(part, first, last); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && last:
			return err
		}
		first = last
	}
}
