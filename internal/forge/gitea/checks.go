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
	checks, err := c.readChecks(ctx, repo, sha, "")
	if checks.StatusesRead != ref.Yes && checks.JobsRead != ref.Yes {
		return gate.Checks{}, fmt.Errorf("read the checks of %s in %s: %w", sha.Short(), repo, sorted(err))
	}
	c.unread(fmt.Sprintf("all checks of %s in %s", sha.Short(), repo), err)
	return checks, nil
}

// checks is Checks for a head on a base, without an error.
func (c *Client) checks(ctx context.Context, repo ref.RepoID, head, base ref.SHA) gate.Checks {
	checks, err := c.readChecks(ctx, repo, head, base)
	c.unread(fmt.Sprintf("all checks of %s in %s", head.Short(), repo), err)
	return checks
}

func (c *Client) readChecks(ctx context.Context, repo ref.RepoID, sha, base ref.SHA) (gate.Checks, error) {
	checks := gate.Checks{SHA: sha}
	var group errgroup.Group
	var ofStatuses, ofJobs error
	var first map[int64]int64
	group.Go(func() error {
		checks.Statuses, ofStatuses = c.statuses(ctx, repo, sha)
		return nil
	})
	group.Go(func() error {
		checks.Jobs, first, ofJobs = c.jobs(ctx, repo, sha, base)
		return nil
	})
	_ = group.Wait() // the errors are kept apart
	checks.StatusesRead, checks.JobsRead = whole(ofStatuses), whole(ofJobs)
	checks.Statuses = slices.DeleteFunc(checks.Statuses, func(s gate.Status) bool { return outrun(s, first) })
	return checks, errors.Join(ofStatuses, ofJobs)
}

// ofJob finds the run and the job in the address of a workflow job's status.
var ofJob = regexp.MustCompile(`/actions/runs/([0-9]+)/jobs/([0-9]+)$`)

// outrun says whether a status is of an earlier attempt of a run, whose jobs
// all report anew and under new addresses when it is run again. first has the
// lowest id among the jobs of each run's latest attempt: those of a still newer
// one have higher ids, and theirs are kept.
func outrun(s gate.Status, first map[int64]int64) bool {
	found := ofJob.FindStringSubmatch(s.URL)
	if s.Creator != "" || found == nil {
		return false
	}
	run, _ := strconv.ParseInt(found[1], 10, 64)   // digits; too many of them are no run's
	job, err := strconv.ParseInt(found[2], 10, 64) // likewise
	return err == nil && job < first[run]
}

// statuses reads every row: Gitea's own digest keeps the newest of each context
// and would hide what a second source has said.
func (c *Client) statuses(ctx context.Context, repo ref.RepoID, sha ref.SHA) ([]gate.Status, error) {
	list, err := pages(func(o sdk.ListOptions) (rows []*sdk.Status, r *sdk.Response, err error) {
		// By index, so that a row added meanwhile moves no other: the server's
		// own order has ties. The SDK cannot sort.
		r, err = c.get(ctx, repoPath(repo, "statuses", string(sha))+query(o, "&sort=highestindex"), &rows)
		return rows, r, err
	})
	if err != nil {
		return nil, fmt.Errorf("statuses: %w", err)
	}
	statuses := make([]gate.Status, 0, len(list))
	for _, s := range list {
		statuses = append(statuses, gate.Status{
			ID:          s.ID, // counts from 1 on each commit
			Context:     s.Context,
			State:       statusState(string(s.State)),
			Creator:     login(s.Creator),
			Description: s.Description,
			URL:         absolute(s.TargetURL, s.URL),
			At:          s.Created.UTC(),
		})
	}
	slices.SortFunc(statuses, func(a, b gate.Status) int { return int(a.ID - b.ID) })
	return slices.CompactFunc(statuses, func(a, b gate.Status) bool { return a.ID == b.ID }), nil
}

// jobs reads the latest attempt of every workflow run on the commit, and gives
// the lowest id among the jobs of each.
func (c *Client) jobs(ctx context.Context, repo ref.RepoID, sha, base ref.SHA) ([]gate.Job, map[int64]int64, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, nil, err
	}
	runs, err := pages(func(o sdk.ListOptions) ([]*sdk.ActionWorkflowRun, *sdk.Response, error) {
		list, response, err := client.ListRepoActionRuns(repo.Owner, repo.Name,
			sdk.ListRepoActionRunsOptions{ListOptions: o, HeadSHA: string(sha)})
		if err != nil {
			return nil, response, err
		}
		return list.WorkflowRuns, response, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("workflow runs: %w", err)
	}
	slices.SortFunc(runs, func(a, b *sdk.ActionWorkflowRun) int { return int(a.ID - b.ID) })
	runs = slices.CompactFunc(runs, func(a, b *sdk.ActionWorkflowRun) bool { return a.ID == b.ID })
	paths, err := c.workflowPaths(ctx, repo, runs, sha, base)
	if err != nil {
		return nil, nil, fmt.Errorf("workflow files: %w", err)
	}
	of := make([][]gate.Job, len(runs))
	lowest := make([]int64, len(runs))
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i, run := range runs {
		group.Go(func() (err error) {
			of[i], lowest[i], err = c.jobsOf(inGroup, repo, run, paths[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	first := make(map[int64]int64, len(runs))
	for i, run := range runs {
		first[run.ID] = lowest[i]
	}
	return slices.Concat(of...), first, nil
}

func (c *Client) jobsOf(ctx context.Context, repo ref.RepoID, run *sdk.ActionWorkflowRun, path string) (jobs []gate.Job, lowest int64, err error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, 0, err
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.ActionWorkflowJob, *sdk.Response, error) {
		list, response, err := client.ListRepoActionRunJobs(repo.Owner, repo.Name, run.ID, sdk.ListRepoActionJobsOptions{ListOptions: o})
		if err != nil {
			return nil, response, err
		}
		return list.Jobs, response, nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("jobs of run %d: %w", run.ID, err)
	}
	for _, j := range list {
		head, err := ref.ParseSHA(j.HeadSha)
		if err != nil {
			return nil, 0, fmt.Errorf("job %d: %w", j.ID, err)
		}
		if lowest == 0 || j.ID < lowest {
			lowest = j.ID
		}
		jobs = append(jobs, gate.Job{
			RunID:    run.ID,
			Attempt:  j.RunAttempt,
			Workflow: path,
			Event:    run.Event,
			Head:     head,
			Name:     j.Name,
			State:    jobState(j.Status, j.Conclusion),
			URL:      j.HTMLURL,
			At:       latest(j.CreatedAt, j.StartedAt, j.CompletedAt),
		})
	}
	return jobs, lowest, nil
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
