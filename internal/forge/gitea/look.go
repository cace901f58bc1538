package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Look reads what the gate judges, and what was said, in one look. The pull
// request is read first and last, and what lies between is of one head and base
// or fault.Changed.
func (c *Client) Look(ctx context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	_, before, err := c.pull(ctx, id)
	if err != nil {
		return reconcile.Look{}, err
	}
	l := c.look(ctx, id, before, want)
	record, pull, err := c.pull(ctx, id)
	switch {
	case err != nil:
		return reconcile.Look{}, err
	case pull.Head != before.Head:
		return reconcile.Look{}, moved(id, before.Head, pull.Head)
	case pull.Base != before.Base:
		return reconcile.Look{}, fault.AsChanged(fmt.Errorf("read %s: its base was changed to %s", id, pull.Base))
	}
	if newest := len(l.commits) - 1; newest >= 0 && l.commits[newest].SHA != pull.Head {
		// Its commits are listed from a ref that follows the branch a moment later.
		return reconcile.Look{}, moved(id, l.commits[newest].SHA, pull.Head)
	}
	l.people.add(record.Poster)
	s := gate.Snapshot{
		Pull:             pull,
		Commits:          withCoAuthors(l.commits, l.people),
		CommitsRead:      l.commitsRead,
		Checks:           l.checks,
		Reviews:          l.reviews,
		ReviewsRead:      l.reviewsRead,
		WorkflowsChanged: c.workflowsChanged(l.files, l.filesRead),
		Files:            l.files,
		FilesRead:        l.filesRead,
		UpToDate:         upToDate(l.commits, l.commitsRead, pull),
		Retargeted:       l.timeline.retargeted,
		Pusher:           l.pusher,
		PusherRead:       ref.Known(l.pusher != ""),
	}
	if l.pusher == "" {
		s.PusherRead = ref.Unknown
	}
	return reconcile.Look{Snapshot: s, Comments: l.timeline.comments, CommentsRead: l.timelineRead}, nil
}

// look is what is read between the first and the last reading of the pull
// request.
type look struct {
	commits      []commit
	commitsRead  ref.Fact
	checks       gate.Checks
	reviews      []gate.Review
	reviewsRead  ref.Fact
	files        []gate.File
	filesRead    ref.Fact
	timeline     timeline
	timelineRead ref.Fact
	pusher       string
	people       people
}

// look reads all parts at the same time. A part that cannot be read leaves its
// facts unknown.
func (c *Client) look(ctx context.Context, id ref.PullID, pull gate.PullRequest, _ reconcile.Want) look {
	var (
		l         = look{people: people{}}
		group     errgroup.Group
		approvers approvers
		wrote     people
		reviewed  people
	)
	group.SetLimit(together)
	part := func(what string, read func() error) {
		group.Go(func() error {
			c.unread(fmt.Sprintf("the %s of %s", what, id), read())
			return nil
		})
	}
	part("commits", func() (err error) {
		l.commits, wrote, err = c.commits(ctx, id)
		l.commitsRead = whole(err)
		return err
	})
	part("reviews", func() (err error) {
		l.reviews, reviewed, err = c.reviews(ctx, id)
		l.reviewsRead = whole(err)
		return err
	})
	part("changed files", func() (err error) {
		l.files, err = c.files(ctx, id)
		l.filesRead = whole(err)
		return err
	})
	part("timeline", func() (err error) {
		l.timeline, err = c.timeline(ctx, id)
		l.timelineRead = whole(err)
		return err
	})
	part("protection of the base", func() (err error) {
		approvers, err = c.approvers(ctx, id.Repo, pull.Base)
		return err
	})
	part("checks", func() error {
		l.checks = c.checks(ctx, id.Repo, pull.Head, pull.BaseHead)
		return nil
	})
	_ = group.Wait() // each part has told of its own fault
	l.people.join(wrote)
	l.people.join(reviewed)
	c.judgeReviewers(ctx, id, approvers, l.reviews)
	if l.timelineRead != ref.Yes {
		// When the base was changed is not known, and so not which reviews count.
		l.reviewsRead = ref.Unknown
	}
	if l.pusher = l.timeline.push.by; l.timeline.push.head != pull.Head || l.pusher == "" {
		var err error
		l.pusher, err = c.pushedBefore(ctx, pull)
		c.unread(fmt.Sprintf("who pushed the head of %s", id), err)
	}
	return l
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

func pullPath(id ref.PullID, more ...string) string {
	return repoPath(id.Repo, append([]string{"pulls", strconv.FormatInt(id.Number, 10)}, more...)...)
}

func query(o sdk.ListOptions, more string) string {
	return "?page=" + strconv.Itoa(o.Page) + "&limit=" + strconv.Itoa(o.PageSize) + more
}

func (c *Client) get(ctx context.Context, path string, out any) (*sdk.Response, error) {
	return c.call(ctx, http.MethodGet, path, nil, out)
}
