package gitea

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// Two workflow files whose jobs report under one context, "ci / test
// (pull_request)": one green, one red. And one that a path filter skips.
const (
	greenWorkflow = `name: ci
on:
  push: { branches: [main] }
  pull_request:
jobs:
  test:
    runs-on: host
    steps:
      - run: "true"
`
	redWorkflow = `name: ci
on: pull_request
jobs:
  test:
    runs-on: host
    steps:
      - run: "false"
`
	filteredWorkflow = `name: filtered
on:
  pull_request:
    paths: [never/**]
jobs:
  test:
    runs-on: host
    steps:
      - run: "true"
`
	flakyWorkflow = `name: flaky
on: pull_request
jobs:
  shaky:
    runs-on: host
    steps:
      - run: test "$GITHUB_RUN_ATTEMPT" -gt 1
  steady:
    runs-on: host
    steps:
      - run: "true"
`
	targetWorkflow = `name: target
on: pull_request_target
jobs:
  skipped:
    if: false
    runs-on: host
    steps:
      - run: "true"
`
)

func (w *world) testChecks(t *testing.T) {
	const filtered = "filtered / test (pull_request)"
	r := w.repository(t, "checks", openToPush, func(b *server.BranchRule) {
		// Gitea reports what a path filter skips only where it is required.
		b.EnableStatusCheck, b.StatusContexts = true, []string{filtered}
	})
	r.put(map[string][]byte{
		".gitea/workflows/green.yml":     []byte(greenWorkflow),
		".gitea/workflows/red.yml":       []byte(redWorkflow),
		".gitea/workflows/filtered.yaml": []byte(filteredWorkflow),
		".gitea/workflows/target.yml":    []byte(targetWorkflow),
		".gitea/workflows/flaky.yml":     []byte(flakyWorkflow),
	})
	id, head := r.change("feat1")
	r.eventually("all jobs are over", func() bool {
		jobs := r.snapshot(id).Checks.Jobs
		return len(jobs) == 5 && !slices.ContainsFunc(jobs, func(j gate.Job) bool { return j.State == gate.StatePending })
	})
	r = w.as(t, r.id, w.bot) // who remembers nothing
	s := r.snapshot(id)
	routes, unread := r.calls.seen()

	r.run(t, "jobs are told apart by their workflow file where statuses share a context", func(t *testing.T, r *repository) {
		if s.Checks.JobsRead != ref.Yes || unread != nil || s.Checks.SHA != head {
			t.Fatalf("read %s on %s, unread %v", s.Checks.JobsRead, s.Checks.SHA, unread)
		}
		type job struct {
			workflow, event, name string
			state                 gate.State
		}
		want := map[job]bool{
			{".gitea/workflows/green.yml", "pull_request", "test", gate.StateSuccess}:            true,
			{".gitea/workflows/red.yml", "pull_request", "test", gate.StateFailure}:              true,
			{".gitea/workflows/flaky.yml", "pull_request", "shaky", gate.StateFailure}:           true,
			{".gitea/workflows/flaky.yml", "pull_request", "steady", gate.StateSuccess}:          true,
			{".gitea/workflows/target.yml", "pull_request_target", "skipped", gate.StateSkipped}: true,
		}
		for _, j := range s.Checks.Jobs {
			key := job{j.Workflow, j.Event, j.Name, j.State}
			if !want[key] || j.Head != head || j.Attempt != 1 || j.RunID == 0 || j.At.IsZero() || !strings.HasPrefix(j.URL, w.URL()) {
				t.Errorf("got %+v", j)
			}
			delete(want, key)
		}
		if len(want) != 0 {
			t.Errorf("missing: %v", want)
		}
	})
	r.run(t, "a look with four runs takes sixteen calls: ten, one for each run, the runs' two folders", func(t *testing.T, r *repository) {
		if len(routes) != 16 {
			t.Errorf("%d calls: %q", len(routes), routes)
		}
	})
	r.run(t, "statuses of workflows name no creator and a whole address", func(t *testing.T, r *repository) {
		states := map[gate.State]bool{}
		for _, st := range s.Checks.Statuses {
			if st.Context == "ci / test (pull_request)" {
				states[st.State] = true
			}
			ofRun := strings.HasPrefix(st.URL, w.URL()+"/acme/checks/actions/runs/")
			if st.Creator != "" || ofRun == (st.Context == filtered) {
				t.Errorf("got %+v", st)
			}
		}
		if !states[gate.StateSuccess] || !states[gate.StateFailure] {
			t.Errorf("under one context there are the states %v, want success and failure", states)
		}
	})
	r.run(t, "what a path filter skips has a skipped status and no job", func(t *testing.T, r *repository) {
		i := slices.IndexFunc(s.Checks.Statuses, func(st gate.Status) bool { return st.Context == filtered })
		if i < 0 || s.Checks.Statuses[i].State != gate.StateSkipped {
			t.Errorf("got %+v", s.Checks.Statuses)
		}
	})
	r.run(t, "the gate's own status bears the bot's name and is cut to length", func(t *testing.T, r *repository) {
		long := strings.Repeat("é", 2*descriptionLimit)
		if err := r.client.PostStatus(t.Context(), r.id, change.Posted{Head: head, State: gate.StatePending, Text: long}); err != nil {
			t.Fatal(err)
		}
		statuses := must(r.client.Checks(t.Context(), r.id, head))(t).Statuses
		last := statuses[len(statuses)-1]
		if last.Context != "slipway/gate" || last.Creator != "slipway" || last.State != gate.StatePending || last.Description != cut(long, descriptionLimit) {
			t.Errorf("got %+v", last)
		}
	})
	r.run(t, "a repository that uses no workflows has no jobs, for certain", func(t *testing.T, _ *repository) {
		r := w.repository(t, "no-actions")
		r.do(w.Admin(), http.MethodPatch, "", map[string]any{"has_actions": false}, nil)
		id, _ := r.change("feat1")
		if got := r.snapshot(id).Checks; got.JobsRead != ref.Yes || len(got.Jobs) != 0 {
			_, unread := r.calls.seen()
			t.Errorf("got %+v, unread %v", got, unread)
		}
	})
	w.testRerun(t, r, s, head)
	w.testPostMerge(t, r)
}

func (w *world) testRerun(t *testing.T, r *repository, s gate.Snapshot, head ref.SHA) {
	rules := []gate.CheckRule{
		{Context: "flaky / shaky (pull_request)", Workflow: ".gitea/workflows/flaky.yml", Job: "shaky", Event: "pull_request"},
		{Context: "flaky / steady (pull_request)", Workflow: ".gitea/workflows/flaky.yml", Job: "steady", Event: "pull_request"},
	}
	r.run(t, "a check that failed is green once its failed job was run again, and so is its neighbour", func(t *testing.T, r *repository) {
		if got := gate.CheckRequired(rules, s.Checks); got[0].State != gate.StateFailure || got[1].State != gate.StateSuccess {
			t.Fatalf("before: %+v", got)
		}
		i := slices.IndexFunc(s.Checks.Jobs, func(j gate.Job) bool { return j.Name == "shaky" })
		r.do(w.Admin(), http.MethodPost, "/actions/runs/"+itoa(s.Checks.Jobs[i].RunID)+"/rerun-failed-jobs", nil, nil)
		var last gate.Checks
		r.eventually("both are green", func() bool {
			last = must(r.client.Checks(t.Context(), r.id, head))(t)
			got := gate.CheckRequired(rules, last)
			return got[0].State == gate.StateSuccess && got[1].State == gate.StateSuccess
		})
		for _, j := range last.Jobs {
			if again := j.Workflow == rules[0].Workflow; again != (j.Attempt == 2) {
				t.Errorf("got %+v", j)
			}
		}
	})
}

func (w *world) testPostMerge(t *testing.T, r *repository) {
	r.run(t, "checks after the merge are those of the push", func(t *testing.T, r *repository) {
		main := must(r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "main"}))(t)
		r.eventually("the push's job is over", func() bool {
			checks := must(r.client.Checks(t.Context(), r.id, main))(t)
			return slices.ContainsFunc(checks.Jobs, func(j gate.Job) bool {
				return j.Event == "push" && j.Workflow == ".gitea/workflows/green.yml" && j.State == gate.StateSuccess && j.Head == main
			})
		})
	})
}
