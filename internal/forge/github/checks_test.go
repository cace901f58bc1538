package github

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/github"
)

func TestConclusions(t *testing.T) {
	tests := []struct {
		status, conclusion string
		want               gate.State
	}{
		{"completed", "success", gate.StateSuccess},
		{"completed", "neutral", gate.StateSkipped},
		{"completed", "skipped", gate.StateSkipped},
		{"completed", "failure", gate.StateFailure},
		{"completed", "cancelled", gate.StateFailure},
		{"completed", "timed_out", gate.StateFailure},
		{"completed", "action_required", gate.StateFailure},
		{"completed", "startup_failure", gate.StateFailure},
		{"completed", "stale", gate.StateFailure},
		{"completed", "", gate.StateUnknown},
		{"completed", "something_new", gate.StateUnknown},
		{"queued", "", gate.StatePending},
		{"in_progress", "", gate.StatePending},
		{"waiting", "", gate.StatePending},
		{"requested", "", gate.StatePending},
		{"pending", "", gate.StatePending},
		{"in_progress", "success", gate.StatePending},
		{"", "success", gate.StateUnknown},
		{"something_new", "success", gate.StateUnknown},
	}
	for _, test := range tests {
		t.Run(test.status+" "+test.conclusion, func(t *testing.T) {
			if got := checkState(test.status, test.conclusion); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestWorkflowPaths(t *testing.T) {
	tests := []struct{ name, path, want string }{
		{"a file of the commit's own is named as it is", ".github/workflows/ci.yml", ".github/workflows/ci.yml"},
		{"a ref behind it is not part of it", ".github/workflows/ci.yml@main", ".github/workflows/ci.yml"},
		{"nor is one with a sign of its own", ".github/workflows/ci.yaml@refs/heads/a@b", ".github/workflows/ci.yaml"},
		{"a file whose name only begins like another is not that one", ".github/workflows/ci.yml@x.yml", ".github/workflows/ci.yml@x.yml"},
		{"a workflow of another repository keeps its name", "acme/ci/.github/workflows/ci.yml@main", "acme/ci/.github/workflows/ci.yml"},
		{"what GitHub runs by itself has no file", "dynamic/pages/pages-build-deployment", "dynamic/pages/pages-build-deployment"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := workflowPath(test.path); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// world is what a commit has, each row as JSON.
type world struct{ statuses, checkRuns, runs, jobs []string }

func statusBy(name, state, creator string) string {
	return fmt.Sprintf(`{"id":1,"context":%q,"state":%q,"creator":{"login":%q}}`, name, state, creator)
}

func check(id int, app, name, conclusion string) string {
	return fmt.Sprintf(`{"id":%d,"name":%q,"head_sha":%q,"status":"completed","conclusion":%q,"app":{"slug":%q},"html_url":"https://x/%d"}`,
		id, name, someCommit, conclusion, app, id)
}

func runOf(path, event string, sha ref.SHA) string {
	return fmt.Sprintf(`{"id":5,"name":"CI","path":%q,"event":%q,"head_sha":%q,"status":"completed"}`, path, event, sha)
}

func jobOf(id int, name, conclusion string, sha ref.SHA) string {
	return fmt.Sprintf(`{"id":%d,"run_id":5,"run_attempt":1,"name":%q,"workflow_name":"CI","head_sha":%q,"status":"completed","conclusion":%q,"html_url":"https://j/%d"}`,
		id, name, sha, conclusion, id)
}

func (w world) client(t *testing.T) *Client {
	t.Helper()
	list := func(key string, rows []string) string {
		return fmt.Sprintf(`{"total_count":%d,%q:[%s]}`, len(rows), key, strings.Join(rows, ","))
	}
	base := "repos/acme/app/"
	return answered(t, script(map[string]string{
		base + "commits/" + string(someCommit) + "/statuses":   "[" + strings.Join(w.statuses, ",") + "]",
		base + "commits/" + string(someCommit) + "/check-runs": list("check_runs", w.checkRuns),
		base + "actions/runs":        list("workflow_runs", w.runs),
		base + "actions/runs/5/jobs": list("jobs", w.jobs),
	}))
}

// TestWhatIsGreen holds M5 on what GitHub's API tells, through the gate's own
// judgement.
func TestWhatIsGreen(t *testing.T) {
	const file, name = ".github/workflows/ci.yml", "CI / test (pull_request)"
	ci := gate.CheckRule{Context: name, Workflow: file, Job: "test", Event: "pull_request"}
	lint := gate.CheckRule{Context: "lint", Creator: "linter[bot]"}
	ran := []string{runOf(file, "pull_request", someCommit)}
	tests := []struct {
		name string
		rule gate.CheckRule
		w    world
		want gate.Code // "": green
	}{
		{
			"a job of the workflow, with its check run, is green", ci,
			world{checkRuns: []string{check(8, "github-actions", "test", "success")}, runs: ran, jobs: []string{jobOf(8, "test", "success", someCommit)}}, "",
		},
		{
			"a skipped job is not", ci,
			world{checkRuns: []string{check(8, "github-actions", "test", "skipped")}, runs: ran, jobs: []string{jobOf(8, "test", "skipped", someCommit)}}, gate.CodeCheckFailed,
		},
		{
			"a job that failed though its check run was made to say success is not", ci,
			world{checkRuns: []string{check(8, "github-actions", "test", "success")}, runs: ran, jobs: []string{jobOf(8, "test", "failure", someCommit)}}, gate.CodeCheckFailed,
		},
		{
			"a check run made with a job's token is not", ci,
			world{checkRuns: []string{check(9, "github-actions", "test", "success")}, runs: ran, jobs: []string{jobOf(8, "other", "success", someCommit)}}, gate.CodeCheckMissing,
		},
		{
			"nor is one that bears the whole context", ci,
			world{checkRuns: []string{check(9, "github-actions", name, "success")}, runs: ran, jobs: []string{jobOf(8, "other", "success", someCommit)}}, gate.CodeCheckForeign,
		},
		{
			"nor is a status with the whole context by a job's token", ci,
			world{statuses: []string{statusBy(name, "success", "github-actions[bot]")}}, gate.CodeCheckForeign,
		},
		{
			"nor is a status with the whole context by the author", ci,
			world{statuses: []string{statusBy(name, "success", "mallory")}}, gate.CodeCheckForeign,
		},
		{
			"a failing status beside the green job is heard", ci,
			world{
				statuses:  []string{statusBy(name, "failure", "github-actions[bot]")},
				checkRuns: []string{check(8, "github-actions", "test", "success")}, runs: ran, jobs: []string{jobOf(8, "test", "success", someCommit)},
			}, gate.CodeCheckFailed,
		},
		{
			"a job of another workflow file is not", ci,
			world{
				checkRuns: []string{check(8, "github-actions", "test", "success")}, runs: []string{runOf(".github/workflows/mine.yml", "pull_request", someCommit)},
				jobs: []string{jobOf(8, "test", "success", someCommit)},
			}, gate.CodeCheckForeign,
		},
		{
			"nor is one of a file whose name begins like it", ci,
			world{
				checkRuns: []string{check(8, "github-actions", "test", "success")}, runs: []string{runOf(file+"@x.yml", "pull_request", someCommit)},
				jobs: []string{jobOf(8, "test", "success", someCommit)},
			}, gate.CodeCheckForeign,
		},
		{
			"a run for another event is not", ci,
			world{
				checkRuns: []string{check(8, "github-actions", "test", "success")}, runs: []string{runOf(file, "push", someCommit)},
				jobs: []string{jobOf(8, "test", "success", someCommit)},
			}, gate.CodeCheckMissing,
		},
		{
			"a run on another commit is not", ci,
			world{
				checkRuns: []string{check(8, "github-actions", "test", "success")}, runs: []string{runOf(file, "pull_request", otherCommit)},
				jobs: []string{jobOf(8, "test", "success", otherCommit)},
			}, gate.CodeCheckMissing,
		},
		{"an App's check run is green from that App", lint, world{checkRuns: []string{check(3, "linter", "lint", "success")}}, ""},
		{"another App's is not", lint, world{checkRuns: []string{check(3, "evil", "lint", "success")}}, gate.CodeCheckForeign},
		{"a neutral one is not", lint, world{checkRuns: []string{check(3, "linter", "lint", "neutral")}}, gate.CodeCheckFailed},
		{
			"a later one of the same name counts", lint,
			world{checkRuns: []string{check(3, "linter", "lint", "failure"), check(4, "linter", "lint", "success")}}, "",
		},
		{
			"an App's failing status beside its green check run is heard", lint,
			world{statuses: []string{statusBy("lint", "failure", "linter[bot]")}, checkRuns: []string{check(3, "linter", "lint", "success")}}, gate.CodeCheckFailed,
		},
		{
			"an App's failing check run beside its green status is heard", lint,
			world{statuses: []string{statusBy("lint", "success", "linter[bot]")}, checkRuns: []string{check(3, "linter", "lint", "failure")}}, gate.CodeCheckFailed,
		},
		{
			"the Actions' account can be nobody's creator", gate.CheckRule{Context: "test", Creator: "github-actions[bot]"},
			world{statuses: []string{statusBy("test", "success", "github-actions[bot]")}, checkRuns: []string{check(9, "github-actions", "test", "success")}}, gate.CodeCheckForeign,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checks, err := test.w.client(t).Checks(context.Background(), someRepo(), someCommit)
			if err != nil {
				t.Fatal(err)
			}
			if checks.StatusesRead != ref.Yes || checks.JobsRead != ref.Yes {
				t.Fatalf("not all was read: %+v", checks)
			}
			result := gate.CheckRequired([]gate.CheckRule{test.rule}, checks)[0]
			got := gate.Code("")
			if result.Reason != nil {
				got = result.Reason.Code
			}
			if got != test.want {
				t.Errorf("got %q (%+v), want %q", got, result.Reason, test.want)
			}
		})
	}
}

func TestAListThatWasNotReadToItsEndIsUnknown(t *testing.T) {
	base := "repos/acme/app/"
	whole := map[string]string{
		base + "commits/" + string(someCommit) + "/statuses":   "[]",
		base + "commits/" + string(someCommit) + "/check-runs": `{"total_count":0,"check_runs":[]}`,
		base + "actions/runs":        `{"total_count":1,"workflow_runs":[` + runOf("x.yml", "push", someCommit) + `]}`,
		base + "actions/runs/5/jobs": `{"total_count":0,"jobs":[]}`,
	}
	tests := []struct {
		name           string
		path, body     string
		statuses, jobs ref.Fact
	}{
		{"all of it was read", "x", "", ref.Yes, ref.Yes},
		{"no statuses", "commits/" + string(someCommit) + "/statuses", `{}`, ref.Unknown, ref.Yes},
		{"a check run is missing", "commits/" + string(someCommit) + "/check-runs", `{"total_count":2,"check_runs":[` + check(1, "a", "b", "success") + `]}`, ref.Unknown, ref.Yes},
		{"a workflow run is missing", "actions/runs", `{"total_count":2,"workflow_runs":[` + runOf("x.yml", "push", someCommit) + `]}`, ref.Yes, ref.Unknown},
		{"a job is missing", "actions/runs/5/jobs", `{"total_count":1,"jobs":[]}`, ref.Yes, ref.Unknown},
		{"a job has no commit", "actions/runs/5/jobs", `{"total_count":1,"jobs":[{"id":1}]}`, ref.Yes, ref.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			paths := map[string]string{}
			for p, body := range whole {
				paths[p] = body
			}
			paths[base+test.path] = test.body
			checks, err := answered(t, script(paths)).Checks(context.Background(), someRepo(), someCommit)
			if err != nil {
				t.Fatal(err)
			}
			if checks.StatusesRead != test.statuses || checks.JobsRead != test.jobs {
				t.Errorf("statuses %s, jobs %s", checks.StatusesRead, checks.JobsRead)
			}
		})
	}
}

func TestOnlyTheWantedWorkflowsAreRead(t *testing.T) {
	w := world{runs: []string{runOf(".github/workflows/docs.yml", "push", someCommit)}, jobs: []string{jobOf(1, "x", "success", someCommit)}}
	for _, test := range []struct {
		name  string
		paths []string
		jobs  int
	}{
		{"none is named, so all are", nil, 1},
		{"another is named", []string{".github/workflows/ci.yml"}, 0},
		{"it is named", []string{".github/workflows/docs.yml"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			checks, err := w.client(t).readChecks(context.Background(), someRepo(), someCommit, test.paths, &reading{fresh: true})
			if err != nil || len(checks.Jobs) != test.jobs || checks.JobsRead != ref.Yes {
				t.Errorf("%d jobs, %v", len(checks.Jobs), err)
			}
		})
	}
}

// TestASecondWorkflowUnderTheSameNameCounts: what another workflow's job says
// under the context of a required one is a word on that context, though its jobs
// are not read.
func TestASecondWorkflowUnderTheSameNameCounts(t *testing.T) {
	s := start(t)
	id, head := s.change("feature")
	for path, conclusion := range map[string]string{".github/workflows/ci.yml": "success", ".github/workflows/other.yml": "failure"} {
		s.RunCI(s.repo, github.Run{Workflow: "CI", Path: path, Event: "pull_request", Branch: "feature", SHA: head, Jobs: []github.Job{{Name: "test", Conclusion: conclusion}}})
	}
	rule := gate.CheckRule{Context: "CI / test (pull_request)", Workflow: ".github/workflows/ci.yml", Job: "test", Event: "pull_request"}
	for name, want := range map[string]reconcile.Want{"all workflows": {Fresh: true}, "the required one": {Fresh: true, Workflows: []string{rule.Workflow}}} {
		t.Run(name, func(t *testing.T) {
			checks := s.look(s.client(), id, want).Snapshot.Checks
			if got := gate.CheckRequired([]gate.CheckRule{rule}, checks)[0]; got.State != gate.StateFailure {
				t.Errorf("it is %+v, by %+v", got, checks.Statuses)
			}
		})
	}
}

func TestCoAuthors(t *testing.T) {
	known := people{"bob@corp.example": "bob"}
	tests := []struct{ name, mail, want string }{
		{"somebody seen is known", "Bob@Corp.example", "bob"},
		{"a placeholder address says it itself", "alice@users.noreply.github.com", "alice"},
		{"one with an id does too", "12345+alice@users.noreply.github.com", "alice"},
		{"an App's does too", "49699333+dependabot[bot]@users.noreply.github.com", "dependabot[bot]"},
		{"an Enterprise Server's does too", "alice@users.noreply.git.corp.example", "alice"},
		{"an address that merely looks so does not", "alice@noreply.github.com", ""},
		{"anybody else is unmapped", "eve@else.example", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := known.behind(test.mail); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	message := "Subject\n\nCo-authored-by: A <a@x>\r\nco-authored-by: B <b@x>\n\nno Co-authored-by: C <c@x>\n"
	var mails []string
	for _, m := range coAuthor.FindAllStringSubmatch(message, -1) {
		mails = append(mails, m[1])
	}
	if diff := cmp.Diff([]string{"a@x", "b@x"}, mails); diff != "" {
		t.Error(diff)
	}
}
