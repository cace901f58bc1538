package reconcile_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// history is a graph of commits with their files and branches: the git of these
// tests, and what their forge serves.
type history struct {
	mutex   sync.Mutex
	commits map[ref.SHA]*node
	tips    map[string]ref.SHA
	tags    map[ref.Tag]ref.SHA
	asked   int // how often git was asked how two commits are related
	notes   map[ref.SHA]string
	noNote  error // every note fails with it
}

type node struct {
	reconcile.Commit
	files map[string]string
}

func newHistory() *history {
	h := &history{commits: map[ref.SHA]*node{}, tips: map[string]ref.SHA{}, tags: map[ref.Tag]ref.SHA{},
		notes: map[ref.SHA]string{}}
	h.push("main", "start", map[string]string{reconcile.PolicyFile: policyFor("app", "app")})
	return h
}

// push puts a commit on a branch that changes files; "" removes one.
func (h *history) push(branch, message string, files map[string]string) ref.SHA {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	var parents []ref.SHA
	if tip, ok := h.tips[branch]; ok {
		parents = []ref.SHA{tip}
	}
	sha := h.add(message, files, parents...)
	h.tips[branch] = sha
	return sha
}

func (h *history) add(message string, files map[string]string, parents ...ref.SHA) ref.SHA {
	all := map[string]string{}
	if len(parents) > 0 {
		maps.Copy(all, h.commits[parents[0]].files)
	}
	for name, text := range files {
		if all[name] = text; text == "" {
			delete(all, name)
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %v %q %v", len(h.commits), parents, message, files))
	sha := ref.SHA(hex.EncodeToString(sum[:20]))
	h.commits[sha] = &node{
		Commit: reconcile.Commit{SHA: sha, Parents: parents, Subject: message, Author: "alice", At: time.Now()},
		files:  all,
	}
	return sha
}

// rewrite moves a branch by force, and forgets what is on none any more, as a
// mirror does that is made anew.
func (h *history) rewrite(branch string, to ref.SHA) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.tips[branch] = to
	kept := map[ref.SHA]bool{}
	for _, tip := range h.tips {
		maps.Copy(kept, h.ancestry(tip))
	}
	maps.DeleteFunc(h.commits, func(sha ref.SHA, _ *node) bool { return !kept[sha] })
}

// questions is how often git was asked how two commits are related.
func (h *history) questions() int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.asked
}

func (h *history) Fetch(context.Context, ref.RepoID) error { return nil }

func (h *history) FirstParent(_ context.Context, _ ref.RepoID, from, to ref.SHA) ([]reconcile.Commit, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	var line []reconcile.Commit
	for at := to; at != from; {
		n, ok := h.commits[at]
		if !ok {
			return nil, errors.New("does not have commit " + string(at))
		}
		line = append(line, n.Commit)
		if len(n.Parents) == 0 {
			if from != "" {
				return nil, fault.AsPermanent(errors.New("the branch was rewritten"))
			}
			break
		}
		at = n.Parents[0]
	}
	slices.Reverse(line)
	return line, nil
}

func (h *history) Commit(_ context.Context, _ ref.RepoID, sha ref.SHA) (reconcile.Commit, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	n, ok := h.commits[sha]
	if !ok {
		return reconcile.Commit{}, errors.New("does not have commit " + string(sha))
	}
	return n.Commit, nil
}

func (h *history) Contains(_ context.Context, _ ref.RepoID, descendant, ancestor ref.SHA) (bool, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.asked++
	if err := h.know(descendant, ancestor); err != nil {
		return false, err
	}
	return h.ancestry(descendant)[ancestor], nil
}

func (h *history) Between(_ context.Context, _ ref.RepoID, from, to ref.SHA) ([]reconcile.Commit, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if err := h.know(to); err != nil {
		return nil, err
	}
	var out []reconcile.Commit
	for sha := range h.ancestry(to) {
		if !h.ancestry(from)[sha] {
			out = append(out, h.commits[sha].Commit)
		}
	}
	slices.SortFunc(out, func(a, b reconcile.Commit) int { return a.At.Compare(b.At) })
	return out, nil
}

func (h *history) Undone(_ context.Context, _ ref.RepoID, commit, descendant ref.SHA) (bool, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.asked++
	if err := h.know(commit, descendant); err != nil {
		return false, err
	}
	brought := h.diff(commit)
	var again []ref.SHA
	var back []ref.SHA
	for sha := range h.ancestry(descendant) {
		switch d := h.diff(sha); {
		case h.ancestry(commit)[sha]:
		case maps.Equal(d, brought):
			again = append(again, sha)
		case maps.Equal(d, inverse(brought)):
			back = append(back, sha)
		}
	}
	return slices.ContainsFunc(back, func(b ref.SHA) bool {
		before := h.ancestry(b)
		return before[commit] && !slices.ContainsFunc(again, func(a ref.SHA) bool { return !before[a] })
	}), nil
}

func (h *history) Tags(context.Context, ref.RepoID) (map[ref.Tag]ref.SHA, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return maps.Clone(h.tags), nil
}

func (h *history) Revert(_ context.Context, base ref.BranchID, commit ref.SHA, branch, message string) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if _, ok := h.tips[branch]; ok {
		return nil
	}
	if err := h.know(commit); err != nil {
		return err
	}
	tip, back := h.tips[base.Name], map[string]string{}
	for name, texts := range inverse(h.diff(commit)) {
		if h.commits[tip].files[name] != texts[0] {
			return fault.AsPermanent(fmt.Errorf("%w: later changes conflict in %s", reconcile.ErrNotRevertible, name))
		}
		back[name] = texts[1]
	}
	h.tips[branch] = h.add(message+"\n\n"+change.RevertLine(commit), back, tip)
	return nil
}

func (h *history) know(shas ...ref.SHA) error {
	for _, sha := range shas {
		if _, ok := h.commits[sha]; !ok {
			return errors.New("does not have commit " + string(sha))
		}
	}
	return nil
}

// ancestry is everything that a commit contains.
func (h *history) ancestry(sha ref.SHA) map[ref.SHA]bool {
	seen := map[ref.SHA]bool{}
	for next := []ref.SHA{sha}; len(next) > 0; {
		at := next[0]
		next = next[1:]
		if n, ok := h.commits[at]; ok && !seen[at] {
			seen[at] = true
			next = append(next, n.Parents...)
		}
	}
	return seen
}

// diff is what a commit changed: the text before and after, by file.
func (h *history) diff(sha ref.SHA) map[string][2]string {
	after, before, out := h.commits[sha].files, map[string]string{}, map[string][2]string{}
	if p := h.commits[sha].Parents; len(p) > 0 && h.commits[p[0]] != nil {
		before = h.commits[p[0]].files
	}
	for _, files := range []map[string]string{before, after} {
		for name := range files {
			if before[name] != after[name] {
				out[name] = [2]string{before[name], after[name]}
			}
		}
	}
	return out
}

func inverse(d map[string][2]string) map[string][2]string {
	out := map[string][2]string{}
	for name, texts := range d {
		out[name] = [2]string{texts[1], texts[0]}
	}
	return out
}

// Landed is that all is as judged.
func (h *history) Landed(_ context.Context, _ ref.RepoID, l reconcile.Landing) (change.Landed, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	n, ok := h.commits[l.Merge]
	if !ok || len(n.Parents) == 0 {
		return change.Landed{Why: "there is no such merge"}, nil
	}
	return change.Landed{Equal: ref.Yes, Parent: n.Parents[0], Tree: l.Merge, Want: l.Merge}, nil
}

func (h *history) Note(_ context.Context, _ ref.RepoID, commit ref.SHA, text string) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.noNote != nil {
		return h.noNote
	}
	if was, ok := h.notes[commit]; ok && was != text {
		return fault.AsPermanent(errors.New("another note is there"))
	}
	h.notes[commit] = text
	return nil
}

// landings is a history of which something else landed than was judged, until
// it passes.
type landings struct {
	*history
	say    change.Landed
	passed bool
}

func (l *landings) Landed(ctx context.Context, repo ref.RepoID, of reconcile.Landing) (change.Landed, error) {
	l.mutex.Lock()
	passed := l.passed
	l.mutex.Unlock()
	if !passed {
		return l.say, nil
	}
	return l.history.Landed(ctx, repo, of)
}

func (l *landings) pass() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.passed = true
}
