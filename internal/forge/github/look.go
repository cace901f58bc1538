package github

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	sdk "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// rememberFor is how long a right or a team counts as read, where the caller
// does not want it fresh.
const rememberFor = time.Minute

// reading is one look, and what it may take from memory.
type reading struct {
	fresh bool
	used  atomic.Bool // something came from memory
}

// since lets reads under ctx come from memory unless the thing may have changed
// after it was read.
func (r *reading) since(ctx context.Context, changed time.Time) context.Context {
	if r.fresh {
		return ctx
	}
	return recalled(ctx, recall{changed: changed, used: &r.used})
}

// within lets reads under ctx come from memory for a while.
func (r *reading) within(ctx context.Context) context.Context {
	if r.fresh {
		return ctx
	}
	return recalled(ctx, recall{age: rememberFor, used: &r.used})
}

// Look reads what the gate judges, and what was said, in one look. The pull
// request is read first and last, and what lies between is of one head or
// fault.Changed.
//
// Calls: the pull request twice, its base, the comparison of the two, reviews,
// timeline, statuses, check runs, workflow runs, the branch's last pushes and
// those who may approve once each per hundred rows; the jobs of each run; the
// right of each decisive reviewer who is not among those. What the server says
// is unchanged since it was read last costs nothing of the rate limit. A look
// that need not be fresh asks only what the pull request's own time of change
// cannot tell: five calls, and the jobs of runs under way.
func (c *Client) Look(ctx context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	r := &reading{fresh: want.Fresh}
	before, err := c.record(ctx, id)
	if err != nil {
		return reconcile.Look{}, err
	}
	l := c.look(ctx, before, want, r)
	if l.ofBase != nil {
		return reconcile.Look{}, fmt.Errorf("read the base of %s: %w", id, sorted(l.ofBase))
	}
	after := before
	if !l.reviewsKept { // reviews must be known to be of this head
		if after, err = c.record(ctx, id); err != nil {
			return reconcile.Look{}, err
		}
	}
	switch {
	case after.Head != before.Head:
		return reconcile.Look{}, fault.AsChanged(fmt.Errorf("read %s: its head moved from %s to %s", id, before.Head.Short(), after.Head.Short()))
	case after.Base != before.Base:
		return reconcile.Look{}, fault.AsChanged(fmt.Errorf("read %s: its base was changed to %s", id, after.Base))
	}
	l.snapshot.Pull = after.PullRequest
	l.snapshot.Pull.BaseHead = l.base
	return reconcile.Look{Snapshot: l.snapshot, Comments: l.comments, CommentsRead: l.commentsRead, Remembered: r.used.Load()}, nil
}

// look is what is read between the first and the last reading of the pull
// request.
type look struct {
	snapshot     gate.Snapshot
	base         ref.SHA
	ofBase       error
	reviewsKept  bool // the reviews came from memory
	comments     []reconcile.Comment
	commentsRead ref.Fact
}

// look reads all parts at the same time. A part that cannot be read leaves its
// facts unknown.
func (c *Client) look(ctx context.Context, pull record, want reconcile.Want, r *reading) look {
	var (
		l      look
		s      = &l.snapshot
		id     = pull.ID
		group  errgroup.Group
		ofPull = r.since(ctx, pull.Updated)
	)
	group.SetLimit(together)
	part := func(what string, read func() error) {
		group.Go(func() error {
			c.unread(fmt.Sprintf("the %s of %s", what, id), read())
			return nil
		})
	}
	part("commits and files", func() error { return c.readCommits(ctx, pull, &l, r) })
	part("checks", func() (err error) {
		s.Checks, err = c.readChecks(ctx, id.Repo, pull.Head, want.Workflows, r)
		return err
	})
	part("reviews", func() (err error) {
		of := &reading{fresh: r.fresh}
		s.Reviews, err = c.reviews(of.since(ctx, pull.Updated), id)
		s.ReviewsRead = whole(err)
		if l.reviewsKept = of.used.Load(); l.reviewsKept {
			r.used.Store(true)
		}
		return err
	})
	part("timeline", func() error {
		told, err := c.timeline(ofPull, id)
		s.Retargeted, l.comments, l.commentsRead = told.retargeted, told.comments, whole(err)
		return err
	})
	part("last push", func() (err error) {
		s.Pusher, s.PusherRead, err = c.pusher(ofPull, pull)
		return err
	})
	if want.Approvers {
		part("approvers", func() (err error) {
			s.Approvers, err = c.approvers(r.within(ctx), id.Repo)
			s.ApproversRead = whole(err)
			return err
		})
	}
	if len(want.Teams) > 0 {
		part("teams", func() (err error) {
			s.Teams, err = c.teams(r.within(ctx), want.Teams)
			return err
		})
	}
	_ = group.Wait() // each part has told of its own fault
	if l.commentsRead != ref.Yes {
		s.ReviewsRead = ref.Unknown // which of them were given for another base is not known
	}
	c.judgeReviewers(r.within(ctx), id, s.Reviews, s.Approvers)
	return l
}

// readCommits reads what follows from the base and the head.
func (c *Client) readCommits(ctx context.Context, pull record, l *look, r *reading) error {
	if l.base, l.ofBase = c.baseTip(ctx, pull.ID, pull); l.ofBase != nil {
		return l.ofBase
	}
	s := &l.snapshot
	between, err := c.compare(r.within(ctx), pull.ID.Repo, l.base, pull.Head)
	if err != nil {
		return err
	}
	s.Commits, s.CommitsRead = withCoAuthors(between.commits, between.people), ref.Yes
	s.UpToDate = between.upToDate
	s.Files, err = c.files(r.since(ctx, pull.Updated), pull, between.files)
	s.FilesRead = whole(err)
	s.WorkflowsChanged = s.FilesRead
	if err == nil {
		s.WorkflowsChanged = ref.No
	}
	if slices.ContainsFunc(s.Files, func(f gate.File) bool { return definesWorkflows(f.Path) || definesWorkflows(f.Previous) }) {
		s.WorkflowsChanged = ref.Yes
	}
	return err
}

// reviews lists what was submitted, in the order of submission.
func (c *Client) reviews(ctx context.Context, id ref.PullID) ([]gate.Review, error) {
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.PullRequestReview, *sdk.Response, error) {
		return c.sdk.PullRequests.ListReviews(ctx, id.Repo.Owner, id.Repo.Name, int(id.Number), &o)
	})
	if err != nil {
		return nil, err
	}
	var reviews []gate.Review
	for _, row := range unique(list, (*sdk.PullRequestReview).GetID) {
		review, submitted, err := toReview(row)
		if err != nil {
			return nil, err
		}
		if submitted {
			reviews = append(reviews, review)
		}
	}
	slices.SortStableFunc(reviews, func(a, b gate.Review) int { return a.At.Compare(b.At) })
	return reviews, nil
}

func toReview(r *sdk.PullRequestReview) (review gate.Review, submitted bool, err error) {
	states := map[string]gate.ReviewState{
		"APPROVED":          gate.ReviewApproved,
		"CHANGES_REQUESTED": gate.ReviewChangesRequested,
		"COMMENTED":         gate.ReviewCommented,
		"DISMISSED":         gate.ReviewDismissed,
	}
	state, submitted := states[r.GetState()]
	if !submitted {
		if r.GetState() == "PENDING" { // in preparation, and shown to its author only
			return gate.Review{}, false, nil
		}
		return gate.Review{}, false, fmt.Errorf("review %d: %q is not a state that is known here", r.GetID(), r.GetState())
	}
	sha, err := commitID(r.GetCommitID())
	if err != nil {
		return gate.Review{}, false, fmt.Errorf("review %d: %w", r.GetID(), err)
	}
	return gate.Review{
		ID:       r.GetID(),
		Reviewer: r.GetUser().GetLogin(),
		State:    state,
		Commit:   sha,
		At:       at(r.SubmittedAt),
	}, true, nil
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
