package github

import (
	"net/http"
	"slices"
	"time"
)

func (c *call) postStatus() reply {
	sha := c.resolve(c.repo, c.param("sha"))
	if sha == "" {
		return c.refuse(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.param("sha"))
	}
	var in struct {
		State, Context, Description string
		TargetURL                   string `json:"target_url"`
	}
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if in.Context == "" {
		in.Context = "default"
	}
	if len([]rune(in.Description)) > 140 {
		return c.invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
	}
	st := &status{id: c.id(), sha: sha, state: in.State, context: in.Context, description: in.Description,
		target: in.TargetURL, creator: c.cred.who, at: now()}
	c.repo.statuses = append(c.repo.statuses, st)
	c.announceStatus(c.repo, st)
	return reply{http.StatusCreated, c.status(c.repo, st)}
}

// listStatuses gives the whole history of a commit, newest first.
func (c *call) listStatuses() reply {
	sha := c.resolve(c.repo, c.param("ref"))
	if sha == "" {
		return c.notFound()
	}
	list := slices.DeleteFunc(slices.Clone(c.repo.statuses), func(st *status) bool { return st.sha != sha })
	slices.Reverse(list)
	return c.list(rows(list, func(st *status) object { return c.status(c.repo, st) }))
}

// combinedStatus gives the latest of each context.
func (c *call) combinedStatus() reply {
	sha := c.resolve(c.repo, c.param("ref"))
	if sha == "" {
		return c.notFound()
	}
	latest := c.repo.contexts(sha)
	state := "success"
	var list []*status
	for _, st := range latest {
		list = append(list, st)
		switch st.state {
		case "failure", "error":
			state = "failure"
		case "pending":
			if state == "success" {
				state = "pending"
			}
		}
	}
	if len(list) == 0 {
		state = "pending"
	}
	slices.SortFunc(list, func(a, b *status) int { return int(a.id - b.id) })
	shown := rows(list, func(st *status) object {
		o := c.status(c.repo, st)
		delete(o, "creator")
		return o
	})
	return c.ok(object{"state": state, "statuses": c.page(shown), "sha": sha, "total_count": len(list), "repository": c.minimal(c.repo),
		"commit_url": c.api(c.repo) + "/commits/" + sha, "url": c.api(c.repo) + "/commits/" + sha + "/status"})
}

// contexts maps each context of a commit to its latest status.
func (r *repository) contexts(sha string) map[string]*status {
	latest := map[string]*status{}
	for _, st := range r.statuses {
		if st.sha == sha {
			latest[st.context] = st
		}
	}
	return latest
}

func (c *call) listCheckRuns() reply {
	sha := c.resolve(c.repo, c.param("ref"))
	if sha == "" {
		return c.refuse(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.param("ref"))
	}
	list := c.repo.checksOf(sha, c.query("filter") != "all")
	if name := c.query("check_name"); name != "" {
		list = slices.DeleteFunc(list, func(k *checkRun) bool { return k.name != name })
	}
	return c.ok(object{"total_count": len(list), "check_runs": c.page(rows(list, func(k *checkRun) object { return c.checkRun(c.repo, k) }))})
}

// checksOf lists the check runs of a commit, newest first; the latest are those
// that no other of the same suite and name has followed.
func (r *repository) checksOf(sha string, latest bool) []*checkRun {
	var list []*checkRun
	for _, k := range slices.Backward(r.checkRuns) {
		if k.sha != sha {
			continue
		}
		followed := slices.ContainsFunc(list, func(o *checkRun) bool { return o.suite == k.suite && o.name == k.name })
		if !latest || !followed {
			list = append(list, k)
		}
	}
	return list
}

type checkInput struct {
	Name       string
	HeadSHA    string `json:"head_sha"`
	Status     string
	Conclusion string
	DetailsURL string `json:"details_url"`
	Output     struct{ Title, Summary string }
}

func (c *call) createCheckRun() reply {
	var in checkInput
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if c.cred.app == nil {
		return c.refuse(http.StatusForbidden, "You must authenticate via a GitHub App.")
	}
	sha := c.resolve(c.repo, in.HeadSHA)
	if sha == "" {
		return c.refuse(http.StatusUnprocessableEntity, "No commit found for SHA: "+in.HeadSHA)
	}
	k := &checkRun{id: c.id(), sha: sha, name: in.Name, app: c.cred.app, suite: c.suiteOf(c.repo, c.cred.app, sha), status: "queued", started: now()}
	k.set(in)
	c.repo.checkRuns = append(c.repo.checkRuns, k)
	c.announceCheck(c.repo, k, "created")
	return reply{http.StatusCreated, c.checkRun(c.repo, k)}
}

func (c *call) updateCheckRun() reply {
	k := c.checkRunOf()
	if k == nil {
		return c.notFound()
	}
	if c.cred.app == nil || k.app != c.cred.app {
		return c.refuse(http.StatusForbidden, "Invalid app_id `"+c.cred.who.Login+"` - check run can only be modified by the GitHub App that created it.")
	}
	var in checkInput
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	k.set(in)
	if k.status == "completed" {
		c.announceCheck(c.repo, k, "completed")
	}
	return c.ok(c.checkRun(c.repo, k))
}

func (c *call) getCheckRun() reply {
	if k := c.checkRunOf(); k != nil {
		return c.ok(c.checkRun(c.repo, k))
	}
	return c.notFound()
}

func (c *call) checkRunOf() *checkRun {
	for _, k := range c.repo.checkRuns {
		if k.id == c.number("check_run_id") {
			return k
		}
	}
	return nil
}

func (k *checkRun) set(in checkInput) {
	if in.Status != "" {
		k.status = in.Status
	}
	if in.Conclusion != "" {
		k.status, k.conclusion, k.completed = "completed", in.Conclusion, now()
	}
	if in.DetailsURL != "" {
		k.details = in.DetailsURL
	}
	if in.Output.Title != "" {
		k.title, k.summary = in.Output.Title, in.Output.Summary
	}
}

// suiteOf is the check suite of an App on a commit: there is one.
func (s *Server) suiteOf(r *repository, app *App, sha string) int64 {
	for _, k := range r.checkRuns {
		if k.app == app && k.sha == sha {
			return k.suite
		}
	}
	return s.id()
}

func (c *call) listRuns() reply {
	var list []*run
	for _, w := range slices.Backward(c.repo.runs) {
		state, conclusion := w.state()
		switch {
		case c.query("head_sha") != "" && w.sha != c.query("head_sha"):
		case c.query("event") != "" && w.event != c.query("event"):
		case c.query("branch") != "" && w.branch != c.query("branch"):
		case c.query("status") != "" && c.query("status") != state && c.query("status") != conclusion:
		default:
			list = append(list, w)
		}
	}
	return c.ok(object{"total_count": len(list), "workflow_runs": c.page(rows(list, func(w *run) object { return c.workflowRun(c.repo, w) }))})
}

func (c *call) getRun() reply {
	if w := c.runOf(); w != nil {
		return c.ok(c.workflowRun(c.repo, w))
	}
	return c.notFound()
}

func (c *call) listJobs() reply {
	w := c.runOf()
	if w == nil {
		return c.notFound()
	}
	list := w.latest()
	if c.query("filter") == "all" {
		list = w.jobs
	}
	if attempt := c.number("attempt_number"); attempt > 0 {
		list = w.ofAttempt(attempt)
	}
	return c.ok(object{"total_count": len(list), "jobs": c.page(rows(list, func(j *job) object { return c.job(c.repo, w, j) }))})
}

func (c *call) rerun() reply {
	w := c.runOf()
	if w == nil {
		return c.notFound()
	}
	w.updated = now()
	var names []string
	for _, j := range w.latest() {
		names = append(names, j.name)
	}
	w.attempt++
	for _, name := range names {
		c.addJob(c.repo, w, Job{Name: name, Conclusion: ""})
	}
	return reply{http.StatusCreated, object{}}
}

func (c *call) runOf() *run {
	for _, w := range c.repo.runs {
		if w.id == c.number("run_id") {
			return w
		}
	}
	return nil
}

// addJob adds a job to a run's latest attempt, with its check run.
func (s *Server) addJob(r *repository, w *run, in Job) *job {
	j := &job{id: s.id(), attempt: w.attempt, name: in.Name, status: "queued"}
	if in.Conclusion != "" {
		j.status, j.conclusion, j.started, j.completed = "completed", in.Conclusion, now(), now()
	}
	w.jobs = append(w.jobs, j)
	k := &checkRun{id: j.id, sha: w.sha, name: j.name, suite: w.suite, status: j.status, conclusion: j.conclusion,
		started: j.started, completed: j.completed, details: s.html(r) + "/actions/runs"}
	if k.started.IsZero() {
		k.started = time.Now().UTC().Truncate(time.Second)
	}
	r.checkRuns = append(r.checkRuns, k)
	return j
}
