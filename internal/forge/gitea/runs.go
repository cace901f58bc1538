package gitea

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/ref"
)

// run is one workflow run on a commit, by its latest attempt.
type run struct {
	id       int64
	attempt  int64
	event    string
	workflow string // path of the file, or what the server calls it
	jobs     []gate.Job
	lowest   int64 // id among the jobs
	read     bool  // whether the jobs were
	over     bool  // whether all jobs are; then they stay as they are
}

// runs lists the runs on a commit with their jobs. Those of an attempt that is
// remembered as over are not read again, nor those of workflows that do not
// matter.
func (c *Client) runs(ctx context.Context, repo ref.RepoID, sha ref.SHA, s sparing) ([]run, map[ref.SHA]folder, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows, err := pages(func(o sdk.ListOptions) ([]*sdk.ActionWorkflowRun, *sdk.Response, error) {
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
	slices.SortFunc(rows, func(a, b *sdk.ActionWorkflowRun) int { return int(a.ID - b.ID) })
	rows = slices.CompactFunc(rows, func(a, b *sdk.ActionWorkflowRun) bool { return a.ID == b.ID })
	runs, folders, err := c.withPaths(ctx, repo, rows, sha, s)
	if err != nil {
		return nil, nil, fmt.Errorf("workflow files: %w", err)
	}
	unread := func(i int) bool {
		known, found := s.known.find(runs[i].id)
		if found && known.over && known.attempt == runs[i].attempt && rows[i].Status == "completed" {
			runs[i] = known
			return false
		}
		// Of a second attempt the jobs tell which statuses are the first one's.
		return runs[i].attempt > 1 || s.matters(runs[i].workflow)
	}
	return runs, folders, c.readJobs(ctx, repo, runs, unread)
}

// withPaths makes runs of the rows, with the paths of their workflow files.
func (c *Client) withPaths(ctx context.Context, repo ref.RepoID, rows []*sdk.ActionWorkflowRun, sha ref.SHA, s sparing) ([]run, map[ref.SHA]folder, error) {
	folders := map[ref.SHA]folder{}
	if s.known != nil {
		maps.Copy(folders, s.known.folders)
	}
	paths, err := c.workflowPaths(ctx, repo, rows, sha, s.base, folders)
	if err != nil {
		return nil, nil, err
	}
	runs := make([]run, len(rows))
	for i, row := range rows {
		runs[i] = run{id: row.ID, attempt: row.RunAttempt, event: row.Event, workflow: paths[i]}
	}
	maps.DeleteFunc(folders, func(at ref.SHA, _ folder) bool { return at != sha && at != s.base })
	return runs, folders, nil
}

// runsTold brings the remembered runs up to date by what the statuses tell: a
// workflow job reports every step as one, so a run without a new status is as it
// was. Where a status tells of an unknown run, all are listed.
func (c *Client) runsTold(ctx context.Context, repo ref.RepoID, sha ref.SHA, s sparing, statuses []gate.Status, read bool) ([]run, map[ref.SHA]folder, error) {
	type place struct {
		run     int64
		context string
	}
	jobs := map[place]int64{}
	news, again := map[int64]bool{}, map[int64]bool{} // runs with a new status, and those that were run again
	for _, st := range statuses {
		id, job := ofRun(st)
		if id == 0 {
			continue
		}
		if _, known := s.known.find(id); !known {
			read = false
		}
		at := place{id, st.Context}
		news[id] = news[id] || st.ID > s.known.status
		again[id] = again[id] || jobs[at] != 0 && jobs[at] != job
		jobs[at] = job
	}
	if !read {
		return c.runs(ctx, repo, sha, s)
	}
	runs := slices.Clone(s.known.runs)
	return runs, s.known.folders, c.readJobs(ctx, repo, runs, func(i int) bool {
		r := runs[i]
		if r.read || s.matters(r.workflow) {
			return news[r.id] || !r.over
		}
		return again[r.id]
	})
}

// matters says whether a workflow file is one of those asked for. What could
// not be resolved to a path (it still has its @) cannot be told from them.
func (s sparing) matters(workflow string) bool {
	return len(s.only) == 0 || strings.Contains(workflow, "@") || slices.Contains(s.only, workflow)
}

// readJobs reads the jobs of those runs that are unread, by their index.
func (c *Client) readJobs(ctx context.Context, repo ref.RepoID, runs []run, unread func(int) bool) error {
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i := range runs {
		if !unread(i) {
			continue
		}
		group.Go(func() (err error) {
			runs[i], err = c.withJobs(inGroup, repo, runs[i])
			return err
		})
	}
	return group.Wait()
}

// withJobs reads the jobs of a run's latest attempt.
func (c *Client) withJobs(ctx context.Context, repo ref.RepoID, r run) (run, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return r, err
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.ActionWorkflowJob, *sdk.Response, error) {
		list, response, err := client.ListRepoActionRunJobs(repo.Owner, repo.Name, r.id, sdk.ListRepoActionJobsOptions{ListOptions: o})
		if err != nil {
			return nil, response, err
		}
		return list.Jobs, response, nil
	})
	if err != nil {
		return r, fmt.Errorf("jobs of run %d: %w", r.id, err)
	}
	r.jobs, r.lowest, r.read, r.over = nil, 0, true, len(list) > 0
	for _, j := range list {
		head, err := ref.ParseSHA(j.HeadSha)
		if err != nil {
			return r, fmt.Errorf("job %d: %w", j.ID, err)
		}
		if r.lowest == 0 || j.ID < r.lowest {
			r.lowest = j.ID
		}
		r.attempt = max(r.attempt, j.RunAttempt)
		r.over = r.over && j.Status == "completed"
		r.jobs = append(r.jobs, gate.Job{
			RunID:    r.id,
			Attempt:  j.RunAttempt,
			Workflow: r.workflow,
			Event:    r.event,
			Head:     head,
			Name:     j.Name,
			State:    jobState(j.Status, j.Conclusion),
			URL:      j.HTMLURL,
			At:       latest(j.CreatedAt, j.StartedAt, j.CompletedAt),
		})
	}
	return r, nil
}
