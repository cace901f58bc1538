package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Look reads what the gate judges, and what was said, in one look.
//
// The first look at a head takes eleven calls where the reviewers stand on a
// whitelist and one workflow ran: the record twice (what was read between must
// be of one head and one base, or it is fault.Changed), commits, files, reviews,
// timeline, protection, statuses, runs, the run's jobs and its folder; and one
// more, the feed, where nobody pushed since the pull request was opened. Lists
// over fifty rows take more.
//
// A later one reads the record, the statuses and the protection, and else only
// what these say has changed: jobs by new statuses, reviews and timeline by the
// record's date. With Want.Fresh only what can never change is remembered: what
// lies between two commits, and the jobs of an attempt that is over.
func (c *Client) Look(ctx context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	r, err := c.record(ctx, id)
	if err != nil {
		return reconcile.Look{}, err
	}
	l := &looking{Client: c, id: id, want: want, record: r, known: c.memory.recall(id)}
	l.readAll(ctx)
	if err := ctx.Err(); err != nil {
		return reconcile.Look{}, fmt.Errorf("read %s: %w", id, err)
	}
	pull := r.pull // as it was at last
	if l.listed {
		again, err := c.record(ctx, id)
		if err != nil {
			return reconcile.Look{}, err
		}
		pull = again.pull
	}
	switch told := l.talk.timeline; {
	case pull.Head != r.pull.Head:
		return reconcile.Look{}, moved(id, r.pull.Head, pull.Head)
	case pull.Base != r.pull.Base:
		return reconcile.Look{}, rebased(id, pull.Base)
	case told.base != pull.Base && !r.read.IsZero() && !told.retargeted.Before(r.read): // a branch may be renamed, too
		return reconcile.Look{}, rebased(id, told.base)
	}
	if newest := len(l.history.commits) - 1; newest >= 0 && l.history.commits[newest].SHA != pull.Head {
		// Its commits are listed from a ref that follows the branch a moment later.
		return reconcile.Look{}, moved(id, l.history.commits[newest].SHA, pull.Head)
	}
	c.memory.keep(l.kept(pull.BaseHead))
	return l.look(pull), nil
}

// kept is what of this look serves later ones; base was the tip of the base in
// the end.
func (l *looking) kept(base ref.SHA) kept {
	k := l.known
	pull := l.record.pull
	if l.listed && l.commitsRead == ref.Yes && l.filesRead == ref.Yes && base == pull.BaseHead {
		h := l.history
		h.at, h.branch, h.base, h.mergeBase, h.head = time.Now(), pull.Base, base, l.record.mergeBase, pull.Head
		h.unmapped = slices.ContainsFunc(h.commits, func(c commit) bool { return c.Author == "" || c.Committer == "" })
		k.history = &h
	}
	if l.listened && l.reviewsRead == ref.Yes && l.timelineRead == ref.Yes && l.record.settled() {
		t := l.talk
		t.as, t.at, t.reviews = l.record.stamp(), time.Now(), slices.Clone(t.reviews)
		k.talk = &t
	}
	if l.ran != nil {
		k.ran = l.ran
	}
	k.push = l.push
	return k
}

// look puts together what was read.
func (l *looking) look(pull gate.PullRequest) reconcile.Look {
	people := people{}
	people.join(l.history.people)
	people.join(l.talk.people)
	people.add(l.record.poster)
	s := gate.Snapshot{
		Pull:             pull,
		Commits:          withCoAuthors(l.history.commits, people),
		CommitsRead:      l.commitsRead,
		Checks:           l.checks,
		Reviews:          l.talk.reviews,
		ReviewsRead:      l.reviewsRead,
		WorkflowsChanged: l.workflowsChanged(l.history.files, l.filesRead),
		Files:            slices.Clone(l.history.files),
		FilesRead:        l.filesRead,
		Approvers:        l.who,
		ApproversRead:    l.whoRead,
		UpToDate:         upToDate(l.history.commits, l.commitsRead, pull),
		Retargeted:       l.talk.timeline.retargeted,
		Pusher:           l.push.by,
	}
	if l.push.by != "" {
		s.PusherRead = ref.Yes
	}
	if len(l.want.Teams) > 0 {
		s.Teams = map[string][]string{}
	}
	for _, name := range l.want.Teams {
		name = strings.ToLower(name)
		if members, found := l.teams[name]; found {
			s.Teams[name] = slices.Clone(members)
		}
	}
	return reconcile.Look{
		Snapshot:     s,
		Comments:     slices.Clone(l.talk.timeline.comments),
		CommentsRead: l.timelineRead,
		Remembered:   l.remembered,
		StatusNeeded: l.rule.status,
	}
}

// upToDate says whether the head contains the tip of its base: whether one of
// its commits has that tip for a parent, the server listing those that the base
// lacks. The merge base that it names may be that of an earlier head.
func upToDate(commits []commit, read ref.Fact, pull gate.PullRequest) ref.Fact {
	if read != ref.Yes || pull.BaseHead == "" {
		return ref.Unknown
	}
	return ref.Known(pull.Head == pull.BaseHead || slices.ContainsFunc(commits, func(c commit) bool {
		return slices.Contains(c.parents, pull.BaseHead)
	}))
}

// unread tells of a part that could not be read. nil is no news.
func (c *Client) unread(what string, err error) {
	if err != nil {
		c.onUnread(fmt.Errorf("read %s: %w", what, sorted(err)))
	}
}

// whole is the fact that a list was read to its end.
func whole(err error) ref.Fact {
	if err != nil {
		return ref.Unknown
	}
	return ref.Yes
}

func moved(id ref.PullID, from, to ref.SHA) error {
	return fault.AsChanged(fmt.Errorf("read %s: its head moved from %s to %s", id, from.Short(), to.Short()))
}

func rebased(id ref.PullID, base string) error {
	return fault.AsChanged(fmt.Errorf("read %s: its base was changed to %s", id, base))
}

func pullPath(id ref.PullID, more ...string) string {
	return repoPath(id.Repo, append([]string{"pulls", strconv.FormatInt(id.Number, 10)}, more...)...)
}

func query(o sdk.ListOptions, more string) string {
	return "?page=" + strconv.Itoa(o.Page) + "&limit=" + strconv.Itoa(o.PageSize) + more
}

func (c *Client) get(ctx context.Context, path string, out any) (*sdk.Response, error) {
	return c.call(ctx, http.MethodGet, path, nil, out)
}
