package github

import (
	"fmt"
	"strings"

	"slipway/internal/ref"
)

// Run is a run of an Actions workflow to be made.
type Run struct {
	Workflow string // its name
	Path     string // such as .github/workflows/ci.yml
	Event    string // such as pull_request
	Branch   string
	SHA      ref.SHA
	Jobs     []Job
}

// Job is one job of it. Without a conclusion it is queued.
type Job struct {
	Name       string
	Conclusion string // such as success, failure, skipped
}

// RunCI makes a workflow run with its jobs and their check runs, as if GitHub's
// runners had run it, and returns its id.
func (s *Server) RunCI(id ref.RepoID, in Run) int64 {
	s.turn.Lock()
	defer s.turn.Unlock()
	r := s.repos[strings.ToLower(id.String())]
	head, _ := s.commit(r, string(in.SHA))
	actor := s.behind(head.committer.Email)
	if actor == nil {
		actor = r.owner
	}
	w := &run{id: s.id(), workflow: in.Workflow, path: in.Path, event: in.Event, branch: in.Branch, sha: string(in.SHA),
		number: int64(len(r.runs)) + 1, attempt: 1, actor: actor, suite: s.id(), created: now(), updated: now()}
	r.runs = append(r.runs, w)
	for _, j := range in.Jobs {
		s.addJob(r, w, Job{Name: j.Name})
	}
	s.announceRun(r, w, "requested")
	for _, j := range w.jobs {
		s.announceJob(r, w, j, "queued")
	}
	for i, j := range in.Jobs {
		if j.Conclusion != "" {
			s.conclude(r, w, w.jobs[i], j.Conclusion)
		}
	}
	return w.id
}

// Conclude ends a job of a run's latest attempt.
func (s *Server) Conclude(id ref.RepoID, runID int64, name, conclusion string) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	r := s.repos[strings.ToLower(id.String())]
	for _, w := range r.runs {
		for _, j := range w.latest() {
			if w.id == runID && j.name == name {
				s.conclude(r, w, j, conclusion)
				return nil
			}
		}
	}
	return fmt.Errorf("run %d of %s has no job %s", runID, id, name)
}

func (s *Server) conclude(r *repository, w *run, j *job, conclusion string) {
	j.status, j.conclusion, j.started, j.completed = "completed", conclusion, now(), now()
	w.updated = now()
	for _, k := range r.checkRuns {
		if k.id == j.id {
			k.status, k.conclusion, k.completed = "completed", conclusion, now()
			s.announceCheck(r, k, "completed")
		}
	}
	s.announceJob(r, w, j, "completed")
	if state, _ := w.state(); state == "completed" {
		s.announceRun(r, w, "completed")
	}
}
