package reconcile_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// openPull is a pull request that the forge serves with everything a look
// reads. Unset facts are as a good forge has them.
type openPull struct {
	gate.PullRequest
	branch   string
	statuses []gate.Status
	reviews  []gate.Review
	files    []gate.File
	comments []reconcile.Comment
	// remembered is an older state that a look that is not fresh answers with.
	remembered *openPull
	mute       bool // the comments cannot be read
}

// propose opens a pull request of alice's with one commit on a branch.
func (w *world) propose(n int64, files map[string]string) ref.PullID {
	w.Helper()
	id := ref.PullID{Repo: app, Number: n}
	branch := fmt.Sprintf("feature-%d", n)
	w.history.mutex.Lock()
	w.history.tips[branch] = w.history.tips["main"]
	base := w.history.tips["main"]
	w.history.mutex.Unlock()
	head := w.history.push(branch, fmt.Sprintf("feat: %d", n), files)
	p := &openPull{branch: branch, PullRequest: gate.PullRequest{
		ID: id, Title: fmt.Sprintf("feat: %d", n), Author: "alice", Head: head, HeadBranch: branch, HeadRepo: app, Base: "main", BaseHead: base,
		Open: ref.Yes, Merged: ref.No, Draft: ref.No, Mergeable: ref.Yes, Opened: time.Now(), Updated: time.Now(),
	}}
	for name := range files {
		p.files = append(p.files, gate.File{Path: name, Added: 1})
	}
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	w.forge.open[id] = p
	return id
}

// change alters a pull request in the forge.
func (w *world) change(id ref.PullID, f func(p *openPull)) {
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	p := w.forge.open[id]
	f(p)
	p.Updated = time.Now()
}

// satisfy gives a pull request all that the tests' policy asks of it.
func (w *world) satisfy(id ref.PullID) {
	w.change(id, func(p *openPull) {
		p.statuses = append(p.statuses, gate.Status{ID: 1000, Context: "ci", State: gate.StateSuccess, Creator: "ci-bot"})
		for i, who := range []string{"bob", "carol"} {
			p.reviews = append(p.reviews, gate.Review{ID: int64(100 + i), Reviewer: who, State: gate.ReviewApproved, Commit: p.Head, Official: ref.Yes, Eligible: ref.Yes, At: time.Now()})
		}
	})
}

// says adds a comment and gives its id.
func (w *world) comment(id ref.PullID, author, body string) int64 {
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	return w.forge.add(id, author, body)
}

// hint tells the engine to look at a pull request.
func (w *world) hint(id ref.PullID) {
	w.Helper()
	if _, err := w.engine.Accept(w.Context(), reconcile.Hint{Repo: id.Repo, Number: id.Number}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) stored(id ref.PullID) change.Change {
	w.Helper()
	c, _, err := w.store.Change(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// seen waits until the change's record says something.
func (w *world) seen(id ref.PullID, what string, yes func(change.Change) bool) change.Change {
	w.Helper()
	var last change.Change
	w.until(what, func() bool { last = w.stored(id); return yes(last) })
	return last
}

// bots are the comments that Slipway wrote.
func (w *world) bots(id ref.PullID) []reconcile.Comment {
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	p, ok := w.forge.open[id]
	if !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.comments), func(c reconcile.Comment) bool { return c.Author != "slipway-bot" })
}

func (w *world) reactions() []string {
	w.forge.mutex.Lock()
	defer w.forge.mutex.Unlock()
	return slices.Clone(w.forge.reacted)
}

// look is called with the forge's mutex held.
func (p *openPull) look(f *forge, want reconcile.Want) reconcile.Look {
	from, remembered := p, false
	if !want.Fresh && p.remembered != nil {
		from, remembered = p.remembered, true
	}
	pull := p.PullRequest // no forge remembers what a pull request itself is
	if pull.Merged != ref.Yes {
		f.history.mutex.Lock()
		pull.BaseHead = f.history.tips[pull.Base]
		f.history.mutex.Unlock()
	}
	l := reconcile.Look{Remembered: remembered, Comments: slices.Clone(p.comments), CommentsRead: ref.Known(true)}
	if p.mute {
		l.Comments, l.CommentsRead = nil, ref.Unknown
	}
	l.Snapshot = gate.Snapshot{
		Pull: pull, CommitsRead: ref.Yes, ReviewsRead: ref.Yes, WorkflowsChanged: ref.No, FilesRead: ref.Yes, UpToDate: ref.Yes,
		Commits: []gate.Commit{{SHA: pull.Head, Author: "alice", AuthorEmail: "a@x", Committer: "alice", CommitterEmail: "a@x", Parents: 1}},
		Checks:  gate.Checks{SHA: pull.Head, Statuses: slices.Clone(from.statuses), StatusesRead: ref.Yes, JobsRead: ref.Yes},
		Reviews: slices.Clone(from.reviews), Files: slices.Clone(from.files), ApproversRead: ref.Yes, Approvers: []string{"bob", "carol", "dave"},
		Pusher: "alice", PusherRead: ref.Yes, Teams: map[string][]string{},
	}
	for _, t := range want.Teams {
		if strings.EqualFold(t, "acme/sre") {
			l.Snapshot.Teams["acme/sre"] = []string{"sam"}
		}
	}
	return l
}

func (f *forge) add(id ref.PullID, author, body string) int64 {
	f.lastComment++
	p := f.open[id]
	now := time.Now()
	p.comments = append(p.comments, reconcile.Comment{ID: f.lastComment, Author: author, Body: body, At: now, Edited: now})
	p.Updated = now
	return f.lastComment
}

func (f *forge) Pull(_ context.Context, id ref.PullID) (gate.PullRequest, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if p, ok := f.open[id]; ok {
		return p.look(f, reconcile.Want{Fresh: true}).Snapshot.Pull, nil
	}
	p, ok := f.pulls[id]
	if !ok {
		return p, fault.AsPermanent(fmt.Errorf("read %s: %w", id, cmp.Or(f.hidden, reconcile.ErrNoPull)))
	}
	return p, nil
}

// Checks are those of an open head, or of a commit that nobody reported on.
func (f *forge) Checks(_ context.Context, _ ref.RepoID, sha ref.SHA) (gate.Checks, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.checked++
	c := gate.Checks{SHA: sha, StatusesRead: ref.Yes, JobsRead: ref.Yes}
	for _, p := range f.open {
		if p.Head == sha && p.Merged != ref.Yes {
			c.Statuses = slices.Clone(p.statuses)
		}
	}
	return c, nil
}

func (f *forge) OpenPulls(context.Context, ref.RepoID) ([]reconcile.Brief, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.lists += (len(f.open) + 49) / 50
	var out []reconcile.Brief
	for id, p := range f.open {
		if p.Open == ref.Yes {
			out = append(out, reconcile.Brief{ID: id, Fingerprint: fmt.Sprint(p.Updated.UnixNano(), p.Head)})
		}
	}
	return out, nil
}

func (f *forge) Comment(_ context.Context, id ref.PullID, text string) (int64, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	return f.add(id, "slipway-bot", text), nil
}

// Wrote is what a test says of a comment's words; else they are its author's.
func (f *forge) Wrote(_ context.Context, _ ref.PullID, c reconcile.Comment) (ref.Fact, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.witnessed++
	if said, told := f.wrote[c.ID]; told {
		return said, nil
	}
	return ref.Yes, nil
}

func (f *forge) EditComment(_ context.Context, id ref.PullID, comment int64, text string) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.broken != nil {
		return f.broken
	}
	for i, c := range f.open[id].comments {
		if c.ID == comment {
			f.open[id].comments[i].Body = text
			return nil
		}
	}
	return fault.AsChanged(errors.New("it is gone"))
}

func (f *forge) React(_ context.Context, _ ref.PullID, comment int64, r reconcile.Reaction) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if one := fmt.Sprintf("%d %s", comment, r); !slices.Contains(f.reacted, one) {
		f.reacted = append(f.reacted, one)
	}
	return nil
}

func (f *forge) PostStatus(_ context.Context, _ ref.RepoID, p change.Posted) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, open := range f.open {
		if open.Head == p.Head {
			open.statuses = append(open.statuses, gate.Status{ID: int64(5000 + len(open.statuses)), Context: gate.StatusContext, State: p.State, Description: p.Text, Creator: "slipway-bot"})
		}
	}
	return nil
}

// Merge squashes the branch onto its base.
func (f *forge) Merge(_ context.Context, call reconcile.MergeCall) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	p, ok := f.open[call.ID]
	if !ok || p.Head != call.Head || p.Merged == ref.Yes {
		return fault.AsChanged(errors.New("the head moved"))
	}
	f.history.mutex.Lock()
	files := maps.Clone(f.history.commits[p.Head].files)
	f.history.mutex.Unlock()
	p.MergeSHA = f.history.push(p.Base, call.Title, files)
	p.Merged, p.Open, p.MergedBy, p.MergedAt = ref.Yes, ref.No, "slipway-bot", time.Now()
	f.merges++
	return nil
}
