package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Look reads what the gate judges, and what was said, in one look.
func (c *Client) Look(ctx context.Context, id ref.PullID, _ reconcile.Want) (reconcile.Look, error) {
	s, err := c.Snapshot(ctx, id)
	return reconcile.Look{Snapshot: s}, err
}

// Snapshot reads everything the gate judges. The pull request is read first and
// last, and what lies between is of one head or fault.Changed.
//
// Calls: the pull request twice, commits, reviews, statuses, files, protection
// and runs once each per fifty rows; with runs, once for each of them and once
// for their files; without an approvals whitelist, once for each reviewer. A
// pull request with two reviewers on the whitelist and two workflow runs takes
// eleven.
func (c *Client) Snapshot(ctx context.Context, id ref.PullID) (gate.Snapshot, error) {
	_, before, err := c.pull(ctx, id)
	if err != nil {
		return gate.Snapshot{}, err
	}
	look := c.look(ctx, id, before)
	record, pull, err := c.pull(ctx, id)
	switch {
	case err != nil:
		return gate.Snapshot{}, err
	case pull.Head != before.Head:
		return gate.Snapshot{}, moved(id, before.Head, pull.Head)
	case pull.Base != before.Base:
		return gate.Snapshot{}, fault.AsChanged(fmt.Errorf("read %s: its base was changed to %s", id, pull.Base))
	}
	if newest := len(look.commits) - 1; newest >= 0 && look.commits[newest].SHA != pull.Head {
		// Its commits are listed from a ref that follows the branch a moment later.
		return gate.Snapshot{}, moved(id, look.commits[newest].SHA, pull.Head)
	}
	look.people.add(record.Poster)
	return gate.Snapshot{
		Pull:             pull,
		Commits:          withCoAuthors(look.commits, look.people),
		CommitsRead:      look.commitsRead,
		Checks:           look.checks,
		Reviews:          look.reviews,
		ReviewsRead:      look.reviewsRead,
		WorkflowsChanged: look.workflowsChanged,
	}, nil
}

// look is what is read between the first and the last reading of the pull
// request.
type look struct {
	commits          []commit
	commitsRead      ref.Fact
	checks           gate.Checks
	reviews          []gate.Review
	reviewsRead      ref.Fact
	workflowsChanged ref.Fact
	people           people
}

// look reads all parts at the same time. A part that cannot be read leaves its
// facts unknown.
func (c *Client) look(ctx context.Context, id ref.PullID, pull gate.PullRequest) look {
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
		l.workflowsChanged, err = c.workflowsChanged(ctx, id)
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
	return l
}

// reviews lists what was submitted, in the order of submission: each person has
// one review in preparation at most, so among one person's the ids rise.
func (c *Client) reviews(ctx context.Context, id ref.PullID) ([]gate.Review, people, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.PullReview, *sdk.Response, error) {
		return client.ListPullReviews(id.Repo.Owner, id.Repo.Name, id.Number, sdk.ListPullReviewsOptions{ListOptions: o})
	})
	if err != nil {
		return nil, nil, err
	}
	known := people{}
	var reviews []gate.Review
	for _, r := range list {
		review, submitted, err := toReview(r)
		if err != nil {
			return nil, nil, err
		}
		if !submitted {
			continue
		}
		known.add(r.Reviewer)
		reviews = append(reviews, review)
	}
	slices.SortStableFunc(reviews, func(a, b gate.Review) int { return int(a.ID - b.ID) })
	return slices.CompactFunc(reviews, func(a, b gate.Review) bool { return a.ID == b.ID }), known, nil
}

func toReview(r *sdk.PullReview) (review gate.Review, submitted bool, err error) {
	states := map[sdk.ReviewStateType]gate.ReviewState{
		sdk.ReviewStateApproved:       gate.ReviewApproved,
		sdk.ReviewStateRequestChanges: gate.ReviewChangesRequested,
		sdk.ReviewStateComment:        gate.ReviewCommented,
	}
	state, submitted := states[r.State] // else in preparation, or asked for
	if !submitted {
		return gate.Review{}, false, nil
	}
	if r.Dismissed {
		state = gate.ReviewDismissed
	}
	sha, err := commitID(r.CommitID)
	if err != nil {
		return gate.Review{}, false, fmt.Errorf("review %d: %w", r.ID, err)
	}
	return gate.Review{
		ID:       r.ID,
		Reviewer: login(r.Reviewer),
		State:    state,
		Commit:   sha,
		Official: ref.Known(r.Official),
		At:       r.Submitted.UTC(),
	}, true, nil
}

// workflowsChanged says whether the pull request touches what defines workflows.
func (c *Client) workflowsChanged(ctx context.Context, id ref.PullID) (ref.Fact, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return ref.Unknown, err
	}
	files, err := pages(func(o sdk.ListOptions) ([]*sdk.ChangedFile, *sdk.Response, error) {
		return client.ListPullRequestFiles(id.Repo.Owner, id.Repo.Name, id.Number, sdk.ListPullRequestFilesOptions{ListOptions: o})
	})
	if err != nil {
		return ref.Unknown, err
	}
	return ref.Known(slices.ContainsFunc(files, func(f *sdk.ChangedFile) bool {
		return c.definesWorkflows(f.Filename) || c.definesWorkflows(f.PreviousFilename)
	})), nil
}

// definesWorkflows says whether the path is a workflow folder, lies in one, or
// is above one (and so replaces it by a file or a link).
func (c *Client) definesWorkflows(path string) bool {
	return path != "" && slices.ContainsFunc(c.dirs, func(dir string) bool {
		return path == dir || strings.HasPrefix(path, dir+"/") || strings.HasPrefix(dir, path+"/")
	})
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
