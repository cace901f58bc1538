package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	group.Go(func() error {
		checks.Statuses, ofStatuses = c.statuses(ctx, repo, sha)
		return nil
	})
	group.Go(func() error {
		checks.Jobs, ofJobs = c.jobs(ctx, repo, sha, base)
		return nil
	})
	_ = group.Wait() // the errors are kept apart
	checks.StatusesRead, checks.JobsRead = whole(ofStatuses), whole(ofJobs)
	return checks, errors.Join(ofStatuses, ofJobs)
}

// statuses reads every row, superseded ones too: Gitea's own digest keeps the
// newest of each context and would hide what a second source has said.
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
			URL:         c.absolute(s.TargetURL),
			At:          s.Created.UTC(),
		})
	}
	slices.SortFunc(statuses, func(a, b gate.Status) int { return int(a.ID - b.ID) })
	return slices.CompactFunc(statuses, func(a, b gate.Status) bool { return a.ID == b.ID }), nil
}

// jobs reads the latest attempt of every workflow run on the commit.
func (c *Client) jobs(ctx context.Context, repo ref.RepoID, sha, base ref.SHA) ([]gate.Job, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, err
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
		return nil, fmt.Errorf("workflow runs: %w", err)
	}
	slices.SortFunc(runs, func(a, b *sdk.ActionWorkflowRun) int { return int(a.ID - b.ID) })
	runs = slices.CompactFunc(runs, func(a, b *sdk.ActionWorkflowRun) bool { return a.ID == b.ID })
	paths, err := c.workflowPaths(ctx, repo, runs, sha, base)
	if err != nil {
		return nil, fmt.Errorf("workflow files: %w", err)
	}
	of := make([][]gate.Job, len(runs))
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i, run := range runs {
		group.Go(func() (err error) {
			of[i], err = c.jobsOf(inGroup, repo, run, paths[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(of...), nil
}

func (c *Client) jobsOf(ctx context.Context, repo ref.RepoID, run *sdk.ActionWorkflowRun, path string) ([]gate.Job, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, err
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.ActionWorkflowJob, *sdk.Response, error) {
		list, response, err := client.ListRepoActionRunJobs(repo.Owner, repo.Name, run.ID, sdk.ListRepoActionJobsOptions{ListOptions: o})
		if err != nil {
			return nil, response, err
		}
		return list.Jobs, response, nil
	})
	if err != nil {
		return nil, fmt.Errorf("jobs of run %d: %w", run.ID, err)
	}
	jobs := make([]gate.Job, 0, len(list))
	for _, j := range list {
		head, err := ref.ParseSHA(j.HeadSha)
		if err != nil {
			return nil, fmt.Errorf("job %d: %w", j.ID, err)
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
	return jobs, nil
}

// workflowPaths gives the path of each run's workflow file. Gitea names the
// file only, within the first of the workflow folders that the commit has. A
// file that is not there (the run is of a workflow that the organisation
// imposes) or cannot be told stays without its folder, and so matches no rule.
func (c *Client) workflowPaths(ctx context.Context, repo ref.RepoID, runs []*sdk.ActionWorkflowRun, sha, base ref.SHA) ([]string, error) {
	paths := make([]string, len(runs))
	folders := map[ref.SHA]folder{}
	for i, run := range runs {
		paths[i] = run.Path
		name, ok := workflowFile(run.Path)
		source := sha
		if run.Event == "pull_request_target" { // the one event whose workflow is not the commit's own
			source = base
		}
		if !ok || source == "" {
			continue
		}
		if _, seen := folders[source]; !seen {
			f, err := c.workflowFolder(ctx, repo, source)
			if err != nil {
				return nil, err
			}
			folders[source] = f
		}
		if f := folders[source]; slices.Contains(f.entries, name) || strings.Contains(name, "/") && f.path != "" {
			paths[i] = f.path + "/" + name
		}
	}
	return paths, nil
}

// folder is a workflow folder with what lies directly in it; the zero value is
// none.
type folder struct {
	path    string
	entries []string
}

func (c *Client) workflowFolder(ctx context.Context, repo ref.RepoID, sha ref.SHA) (folder, error) {
	for _, dir := range c.dirs {
		contents, err := c.contents(ctx, repo, sha, dir, false)
		switch {
		case status(err) == http.StatusNotFound:
			continue
		case err != nil:
			return folder{}, err
		case contents.FileContents != nil:
			continue // not a folder
		}
		f := folder{path: dir}
		for _, entry := range contents.DirContents {
			f.entries = append(f.entries, entry.Name)
		}
		return f, nil
	}
	return folder{}, nil
}

// workflowFile takes the file's name out of a run's path: NAME@REF, or
// NAME@COMMIT. Where a name or a branch makes that ambiguous there is none.
func workflowFile(path string) (string, bool) {
	end := strings.LastIndex(path, "@")
	if end < 1 {
		return "", false
	}
	if _, err := ref.ParseSHA(path[end+1:]); err == nil {
		return path[:end], !strings.Contains(path[:end], "@")
	}
	if strings.Count(path, "@refs/") != 1 {
		return "", false
	}
	name, _, _ := strings.Cut(path, "@refs/")
	return name, name != ""
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
// its host.
func (c *Client) absolute(address string) string {
	if strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "//") {
		return c.origin + address
	}
	return address
}

// latest is the newest of some times; Gitea gives 1970 for what has not been.
func latest(times ...time.Time) time.Time {
	newest := slices.MaxFunc(times, time.Time.Compare)
	if newest.Unix() <= 0 {
		return time.Time{}
	}
	return newest.UTC()
}
