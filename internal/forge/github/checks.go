package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	sdk "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/ref"
)

// actionsApp is the App that GitHub's own workflows report as. Whoever has the
// token of any job can report as it too.
const actionsApp = "github-actions"

// Checks reads all statuses and workflow jobs of one commit. Either list may be
// unread on its own; an error means that both are.
func (c *Client) Checks(ctx context.Context, repo ref.RepoID, sha ref.SHA) (gate.Checks, error) {
	checks, err := c.readChecks(ctx, repo, sha, nil, &reading{fresh: true})
	if checks.StatusesRead != ref.Yes && checks.JobsRead != ref.Yes {
		return gate.Checks{}, fmt.Errorf("read the checks of %s in %s: %w", sha.Short(), repo, sorted(err))
	}
	c.unread(fmt.Sprintf("all checks of %s in %s", sha.Short(), repo), err)
	return checks, nil
}

// readChecks reads what was reported on a commit in three ways: as statuses, as
// check runs, and as jobs of workflow runs. A job's check run is given as a
// status without a creator: its word counts only beside the job's own.
func (c *Client) readChecks(ctx context.Context, repo ref.RepoID, sha ref.SHA, workflows []string, r *reading) (gate.Checks, error) {
	var (
		group                     errgroup.Group
		statuses, checked         []gate.Status
		jobs                      []job
		ofStatuses, ofRuns, ofCIs error
		checkRuns                 []*sdk.CheckRun
		runs                      []workflowRun
	)
	group.Go(func() error { statuses, ofStatuses = c.statuses(ctx, repo, sha); return nil })
	group.Go(func() error { checkRuns, ofRuns = c.checkRuns(ctx, repo, sha); return nil })
	group.Go(func() error { runs, jobs, ofCIs = c.jobs(ctx, repo, sha, workflows, r); return nil })
	_ = group.Wait() // the errors are kept apart
	for _, run := range checkRuns {
		checked = append(checked, toStatus(run, jobs, runs))
	}
	checks := gate.Checks{SHA: sha, Statuses: merged(statuses, checked)}
	for _, j := range jobs {
		checks.Jobs = append(checks.Jobs, j.Job)
	}
	checks.StatusesRead, checks.JobsRead = whole(errors.Join(ofStatuses, ofRuns)), whole(ofCIs)
	return checks, errors.Join(ofStatuses, ofRuns, ofCIs)
}

// statuses reads every row: GitHub's own digest keeps the newest of each
// context and would hide what a second source has said.
func (c *Client) statuses(ctx context.Context, repo ref.RepoID, sha ref.SHA) ([]gate.Status, error) {
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.RepoStatus, *sdk.Response, error) {
		return c.sdk.Repositories.ListStatuses(ctx, repo.Owner, repo.Name, string(sha), &o)
	})
	if err != nil {
		return nil, fmt.Errorf("statuses: %w", err)
	}
	statuses := make([]gate.Status, 0, len(list))
	for _, s := range list {
		statuses = append(statuses, gate.Status{
			ID:          s.GetID(),
			Context:     s.GetContext(),
			State:       statusState(s.GetState()),
			Creator:     reporter(s.GetCreator().GetLogin()),
			Description: s.GetDescription(),
			URL:         s.GetTargetURL(),
			At:          at(s.CreatedAt),
		})
	}
	slices.SortFunc(statuses, func(a, b gate.Status) int { return cmp.Compare(a.ID, b.ID) })
	// Newest first, and one that comes meanwhile moves the others: a page may
	// repeat a row.
	return slices.CompactFunc(statuses, func(a, b gate.Status) bool { return a.ID == b.ID }), nil
}

// checkRuns reads the latest of each suite and name.
func (c *Client) checkRuns(ctx context.Context, repo ref.RepoID, sha ref.SHA) ([]*sdk.CheckRun, error) {
	total := 0
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.CheckRun, *sdk.Response, error) {
		page, response, err := c.sdk.Checks.ListCheckRunsForRef(ctx, repo.Owner, repo.Name, string(sha), &sdk.ListCheckRunsOptions{ListOptions: o})
		if err != nil {
			return nil, response, err
		}
		total = page.GetTotal()
		return page.CheckRuns, response, nil
	})
	if err != nil {
		return nil, fmt.Errorf("check runs: %w", err)
	}
	list = slices.DeleteFunc(unique(list, (*sdk.CheckRun).GetID), func(r *sdk.CheckRun) bool {
		if r.GetHeadSHA() == string(sha) {
			return false
		}
		total--
		return true
	})
	return list, counted("check runs", len(list), total)
}

// job is a workflow's job with what its check run is called.
type job struct {
	gate.Job
	id      int64 // and that of its check run
	context string
}

// workflowRun has what the SDK's lacks.
type workflowRun struct {
	ID      int64          `json:"id"`
	Suite   int64          `json:"check_suite_id"` // that its jobs' check runs are of
	Name    string         `json:"name"`
	Path    string         `json:"path"`
	Event   string         `json:"event"`
	Head    string         `json:"head_sha"`
	Status  string         `json:"status"`
	Updated *sdk.Timestamp `json:"updated_at"`
}

// jobs lists the runs on the commit, and reads the latest attempt of each, of
// the wanted workflows if any are named.
func (c *Client) jobs(ctx context.Context, repo ref.RepoID, sha ref.SHA, workflows []string, r *reading) (runs []workflowRun, jobs []job, err error) {
	total := 0
	runs, err = pages(func(o sdk.ListOptions) ([]workflowRun, *sdk.Response, error) {
		var page struct {
			Total int           `json:"total_count"`
			Runs  []workflowRun `json:"workflow_runs"`
		}
		response, err := c.get(ctx, query(repoPath(repo, "actions", "runs"), o, url.Values{"head_sha": {string(sha)}}), &page)
		total = page.Total
		return page.Runs, response, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("workflow runs: %w", err)
	}
	runs = unique(runs, func(w workflowRun) int64 { return w.ID })
	if err := counted("workflow runs", len(runs), total); err != nil {
		return nil, nil, err
	}
	runs = slices.DeleteFunc(runs, func(w workflowRun) bool { return w.Head != string(sha) })
	of := make([][]job, len(runs))
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i, run := range runs {
		if len(workflows) > 0 && !slices.Contains(workflows, workflowPath(run.Path)) {
			continue
		}
		group.Go(func() (err error) {
			of[i], err = c.jobsOf(r.unlessChanged(inGroup, run), repo, run)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return runs, slices.Concat(of...), nil
}

// unlessChanged lets the jobs of a run that has ended come from memory.
func (r *reading) unlessChanged(ctx context.Context, run workflowRun) context.Context {
	if run.Status != "completed" || run.Updated == nil {
		return ctx
	}
	return r.since(ctx, run.Updated.Time)
}

func (c *Client) jobsOf(ctx context.Context, repo ref.RepoID, run workflowRun) ([]job, error) {
	total := 0
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.WorkflowJob, *sdk.Response, error) {
		page, response, err := c.sdk.Actions.ListWorkflowJobs(ctx, repo.Owner, repo.Name, run.ID, &sdk.ListWorkflowJobsOptions{ListOptions: o})
		if err != nil {
			return nil, response, err
		}
		total = page.GetTotalCount()
		return page.Jobs, response, nil
	})
	if err == nil {
		list = unique(list, (*sdk.WorkflowJob).GetID)
		err = counted("jobs", len(list), total)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs of run %d: %w", run.ID, err)
	}
	var jobs []job
	for _, j := range list {
		head, err := ref.ParseSHA(j.GetHeadSHA())
		if err != nil {
			return nil, fmt.Errorf("job %d: %w", j.GetID(), err)
		}
		jobs = append(jobs, job{id: j.GetID(), context: jobContext(cmp.Or(j.GetWorkflowName(), run.Name), j.GetName(), run.Event), Job: gate.Job{
			RunID:    run.ID,
			Attempt:  j.GetRunAttempt(),
			Workflow: workflowPath(run.Path),
			Event:    run.Event,
			Head:     head,
			Name:     j.GetName(),
			State:    checkState(j.GetStatus(), j.GetConclusion()),
			URL:      j.GetHTMLURL(),
			At:       latest(j.CreatedAt, j.StartedAt, j.CompletedAt),
		}})
	}
	return jobs, nil
}

// jobContext is the name under which a job's check shows on a pull request's
// page, and the same that Gitea gives the status of one.
func jobContext(workflow, name, event string) string {
	return workflow + " / " + name + " (" + event + ")"
}

// toStatus gives a check run as a status: a job's under the job's context, that
// of an App under its own name, by the App's account. Of a run whose jobs were
// not read it is what the job's would be. What reports as the Actions and is no
// job's was made with the token of some job.
func toStatus(run *sdk.CheckRun, jobs []job, runs []workflowRun) gate.Status {
	s := gate.Status{
		ID:          run.GetID(),
		Context:     run.GetName(),
		State:       checkState(run.GetStatus(), run.GetConclusion()),
		Description: run.GetOutput().GetTitle(),
		URL:         cmp.Or(run.GetHTMLURL(), run.GetDetailsURL(), run.GetURL()),
		At:          latest(run.StartedAt, run.CompletedAt),
	}
	if slug := run.GetApp().GetSlug(); slug != "" {
		s.Creator = reporter(slug + "[bot]")
	}
	if run.GetApp().GetSlug() != actionsApp {
		return s
	}
	suite := run.GetCheckSuite().GetID()
	ofRun := slices.IndexFunc(runs, func(r workflowRun) bool { return suite != 0 && r.Suite == suite })
	ofJob := slices.IndexFunc(jobs, func(j job) bool { return j.id == run.GetID() && j.Name == run.GetName() })
	switch {
	case ofJob >= 0:
		s.Context = jobs[ofJob].context
	case ofRun >= 0:
		s.Context = jobContext(runs[ofRun].Name, run.GetName(), runs[ofRun].Event)
	}
	return s
}

// merged joins statuses and check runs. Their ids are of two rows of numbers,
// so where one reporter uses a context in both ways only the one that matters
// more is kept: what is not success.
func merged(statuses, checked []gate.Status) []gate.Status {
	newest := map[[2]string]gate.Status{} // of the statuses, by context and reporter; they rise
	for _, s := range statuses {
		newest[[2]string{s.Context, s.Creator}] = s
	}
	drop := map[[2]string]bool{}
	var kept []gate.Status
	for _, s := range checked {
		key := [2]string{s.Context, s.Creator}
		other, both := newest[key]
		switch {
		case !both || s.Creator == "": // unnamed ones are told apart by address
			kept = append(kept, s)
		case other.State == gate.StateSuccess:
			drop[key] = true
			kept = append(kept, s)
		}
	}
	for _, s := range statuses {
		if !drop[[2]string{s.Context, s.Creator}] {
			kept = append(kept, s)
		}
	}
	return kept
}

// reporter is who answers for a report. The Actions' own account does not: any
// job of any workflow can use it.
func reporter(login string) string {
	if login == actionsApp+"[bot]" {
		return ""
	}
	return login
}

// statusState maps a commit status.
func statusState(s string) gate.State {
	switch s {
	case "pending":
		return gate.StatePending
	case "success":
		return gate.StateSuccess
	case "failure", "error":
		return gate.StateFailure
	default:
		return gate.StateUnknown
	}
}

// checkState maps the status of a check run or a job and, once it is completed,
// its conclusion.
func checkState(status, conclusion string) gate.State {
	switch status {
	case "queued", "in_progress", "waiting", "pending", "requested":
		return gate.StatePending
	case "completed":
	default:
		return gate.StateUnknown
	}
	switch conclusion {
	case "success":
		return gate.StateSuccess
	case "failure", "cancelled", "timed_out", "action_required", "startup_failure", "stale":
		return gate.StateFailure
	case "skipped", "neutral":
		return gate.StateSkipped
	default:
		return gate.StateUnknown
	}
}

// workflowPath is the file of a run. GitHub adds @ and a ref where that is not
// the commit's own. A workflow's file ends in .yml or .yaml, so a path that does
// is whole, whatever it has in it.
func workflowPath(path string) string {
	if isWorkflow(path) {
		return path
	}
	if file, _, found := strings.Cut(path, "@"); found && isWorkflow(file) {
		return file
	}
	return path
}

func isWorkflow(path string) bool {
	return strings.HasSuffix(path, ".yml") || strings.HasSuffix(path, ".yaml")
}

// latest is the newest of some times that may be missing.
func latest(times ...*sdk.Timestamp) time.Time {
	var newest time.Time
	for _, t := range times {
		if t := at(t); t.After(newest) {
			newest = t
		}
	}
	return newest
}

// unique leaves out the rows that a moving list gave twice.
func unique[T any](rows []T, id func(T) int64) []T {
	seen := make(map[int64]bool, len(rows))
	return slices.DeleteFunc(rows, func(r T) bool {
		if seen[id(r)] {
			return true
		}
		seen[id(r)] = true
		return false
	})
}
