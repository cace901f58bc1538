package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/ref"
)

// Checks reads all statuses and workflow jobs of one commit. Either list may be
// unread on its own; an error means that both are.
func (c *Client) Checks(ctx context.Context, repo ref.RepoID, sha ref.SHA) (gate.Checks, error) {
	checks, _, err := c.checks(ctx, repo, sha, sparing{})
	if checks.StatusesRead != ref.Yes && checks.JobsRead != ref.Yes {
		return gate.Checks{}, fmt.Errorf("read the checks of %s in %s: %w", sha.Short(), repo, sorted(err))
	}
	c.unread(fmt.Sprintf("all checks of %s in %s", sha.Short(), repo), err)
	return checks, nil
}

// sparing is what reading checks can spare itself.
type sparing struct {
	base ref.SHA // the tip of the base, whose workflows may run on the commit too
	// known is what is remembered of the commit; nil for nothing.
	known *ran
	// trust says that a run of which no status tells is none.
	trust bool
	// only are the workflow files that matter; empty for all.
	only []string
}

// checks reads the checks of a commit, and gives what to remember of them: nil
// when not all of it was read.
func (c *Client) checks(ctx context.Context, repo ref.RepoID, sha ref.SHA, s sparing) (gate.Checks, *ran, error) {
	checks := gate.Checks{SHA: sha}
	now := &ran{head: sha}
	var group errgroup.Group
	var ofStatuses, ofJobs error
	trusting := s.trust && s.known != nil
	group.Go(func() error {
		checks.Statuses, ofStatuses = c.statuses(ctx, repo, sha, s.known)
		return nil
	})
	if !trusting {
		group.Go(func() error {
			now.runs, now.folders, ofJobs = c.runs(ctx, repo, sha, s)
			return nil
		})
	}
	_ = group.Wait() // the errors are kept apart
	if trusting {
		now.runs, now.folders, ofJobs = c.runsTold(ctx, repo, sha, s, checks.Statuses, ofStatuses == nil)
	}
	for _, r := range now.runs {
		checks.Jobs = append(checks.Jobs, r.jobs...)
	}
	checks.StatusesRead, checks.JobsRead = whole(ofStatuses), whole(ofJobs)
	if n := len(checks.Statuses); n > 0 {
		now.status = checks.Statuses[n-1].ID
		if n >= pageSize {
			now.statuses = slices.Clone(checks.Statuses)
		}
	}
	checks.Statuses = slices.DeleteFunc(checks.Statuses, func(st gate.Status) bool { return outrun(st, now.runs) })
	if ofStatuses != nil || ofJobs != nil {
		now = nil
	}
	return checks, now, errors.Join(ofStatuses, ofJobs)
}

// ofRun finds the run and the job in the address of a workflow job's status; 0
// is none.
func ofRun(s gate.Status) (run, job int64) {
	found := ofJob.FindStringSubmatch(s.URL)
	if s.Creator != "" || found == nil {
		return 0, 0
	}
	run, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0, 0 // too many digits: no run's
	}
	if job, err = strconv.ParseInt(found[2], 10, 64); err != nil {
		return 0, 0
	}
	return run, job
}

// ofJob finds the run and the job in the address of a workflow job's status.
var ofJob = regexp.MustCompile(`/actions/runs/([0-9]+)/jobs/([0-9]+)$`)

// outrun says whether a status is of an earlier attempt of a run, whose jobs
// all report anew and under new addresses when it is run again. Those of an
// attempt newer than the one that was read have higher ids, and theirs are kept.
func outrun(s gate.Status, runs []run) bool {
	id, job := ofRun(s)
	return id != 0 && slices.ContainsFunc(runs, func(r run) bool { return r.id == id && job < r.lowest })
}

// statuses reads every row: Gitea's own digest keeps the newest of each context
// and would hide what a second source has said. A row never changes, and so
// those before the last page need not be read twice.
func (c *Client) statuses(ctx context.Context, repo ref.RepoID, sha ref.SHA, known *ran) ([]gate.Status, error) {
	var have []gate.Status
	if known != nil && len(known.statuses) >= pageSize {
		have = known.statuses[:len(known.statuses)/pageSize*pageSize]
	}
	first := 1 + len(have)/pageSize
	total := 0
	rows, err := pages(func(o sdk.ListOptions) (rows []*sdk.Status, r *sdk.Response, err error) {
		o.Page += first - 1
		// By index, so that a row added meanwhile moves no other: the server's
		// own order has ties. The SDK cannot sort.
		r, err = c.get(ctx, repoPath(repo, "statuses", string(sha))+query(o, "&sort=highestindex"), &rows)
		if err == nil {
			total, err = lessTotal(r, len(have))
		}
		return rows, r, err
	})
	if err != nil {
		return nil, fmt.Errorf("statuses: %w", err)
	}
	statuses := slices.Clone(have)
	for _, row := range rows {
		statuses = append(statuses, toStatus(row))
	}
	slices.SortFunc(statuses, func(a, b gate.Status) int { return int(a.ID - b.ID) })
	statuses = slices.CompactFunc(statuses, func(a, b gate.Status) bool { return a.ID == b.ID })
	if len(have) > 0 && len(statuses) != len(have)+total {
		return c.statuses(ctx, repo, sha, nil) // the pages are others than they were
	}
	return statuses, nil
}

// lessTotal takes the rows that are known off the count of all of a list, and
// gives what is left.
func lessTotal(r *sdk.Response, known int) (int, error) {
	if known == 0 {
		return 0, nil
	}
	all, err := strconv.Atoi(r.Header.Get("X-Total-Count"))
	if err != nil {
		return 0, errors.New("the server does not say how long the list is")
	}
	left := max(0, all-known)
	r.Header.Set("X-Total-Count", strconv.Itoa(left))
	return left, nil
}

func toStatus(s *sdk.Status) gate.Status {
	return gate.Status{
		ID:          s.ID, // counts from 1 on each commit
		Context:     s.Context,
		State:       statusState(string(s.State)),
		Creator:     login(s.Creator),
		Description: s.Description,
		URL:         absolute(s.TargetURL, s.URL),
		At:          s.Created.UTC(),
	}
}

// statusState maps a commit status. A warning is no success.
func statusState(s string) gate.State {
	switch s {
	case "pending":
		return gate.StatePending
	case "success":
		return gate.StateSuccess
	case "failure", "error", "warning":
		return gate.StateFailure
	case "skipped":
		return gate.StateSkipped
	default:
		return gate.StateUnknown
	}
}

// jobState maps a job's status and, once it is completed, its conclusion.
func jobState(status, conclusion string) gate.State {
	switch status {
	case "queued", "waiting", "in_progress", "pending", "requested":
		return gate.StatePending
	case "completed":
	default:
		return gate.StateUnknown
	}
	switch conclusion {
	case "success":
		return gate.StateSuccess
	case "failure", "cancelled", "timed_out":
		return gate.StateFailure
	case "skipped":
		return gate.StateSkipped
	default:
		return gate.StateUnknown
	}
}

// absolute completes the address of a workflow job, which Gitea stores without
// its host, from another address of the site as people see it.
func absolute(address, sibling string) string {
	site, err := url.Parse(sibling)
	if err != nil || !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") {
		return address
	}
	return site.Scheme + "://" + site.Host + address
}

// latest is the newest of some times; Gitea gives 1970 for what has not been.
func latest(times ...time.Time) time.Time {
	newest := slices.MaxFunc(times, time.Time.Compare)
	if newest.Unix() <= 0 {
		return time.Time{}
	}
	return newest.UTC()
}
