package gate_test

import (
	"testing"

	"slipway/gate"
	"slipway/internal/ref"
)

func status(id int64, context string, state gate.State, creator, url string) gate.Status {
	return gate.Status{ID: id, Context: context, State: state, Creator: creator, URL: url}
}

// statuses replaces what was reported by statuses.
func statuses(list ...gate.Status) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Checks.Statuses = list }
}

// more adds to what was reported by statuses.
func more(list ...gate.Status) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Checks.Statuses = append(s.Checks.Statuses, list...) }
}

// jobs replaces the CI jobs.
func jobs(list ...gate.Job) func(*gate.Snapshot, *gate.Policy) {
	return func(s *gate.Snapshot, _ *gate.Policy) { s.Checks.Jobs = list }
}

func job(run, attempt int64, state gate.State) gate.Job {
	return gate.Job{RunID: run, Attempt: attempt, Workflow: workflow, Event: "pull_request", Head: head, Name: "test", State: state}
}

func TestCreatorChecks(t *testing.T) {
	ci := ready().Checks.Statuses[0]
	judge(t, []situation{
		{
			name:   "the author posting the required status satisfies nothing",
			differ: statuses(ci, status(11, apiContext, gate.StateSuccess, "carol", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckForeign}, says: "it was reported by carol, not by scanner", who: "scanner",
		},
		{
			name:   "a status without a creator satisfies nothing",
			differ: statuses(ci, status(11, apiContext, gate.StateSuccess, "", "/runs/7/jobs/0")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckForeign}, says: "somebody whom the forge does not name",
		},
		{
			name:   "somebody else's success beside the right one changes nothing",
			differ: more(status(20, apiContext, gate.StateSuccess, "carol", "")),
			want:   gate.Merge,
		},
		{
			name:   "somebody else's failure beside the right success blocks",
			differ: more(status(9, apiContext, gate.StateFailure, "carol", "")),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed}, says: "failed, says carol",
		},
		{
			name:   "the author cannot lift the scanner's failure with a later success",
			differ: statuses(ci, status(11, apiContext, gate.StateFailure, "scanner", ""), status(12, apiContext, gate.StateSuccess, "carol", "")),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed}, says: "failed, says scanner", who: "author",
		},
		{
			name:   "a creator's later success replaces its failure, wherever it links to",
			differ: statuses(ci, status(12, apiContext, gate.StateSuccess, "scanner", "/2"), status(11, apiContext, gate.StateFailure, "Scanner", "/1")),
			want:   gate.Merge,
		},
		{
			name:   "a creator's later failure replaces its success",
			differ: more(status(20, apiContext, gate.StateFailure, "scanner", "")),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed},
		},
		{
			name:   "skipped is not success",
			differ: statuses(ci, status(11, apiContext, gate.StateSkipped, "scanner", "")),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed}, says: "was skipped, which is not success",
		},
		{
			name:   "pending waits for whoever reports it",
			differ: statuses(ci, status(11, apiContext, gate.StatePending, "scanner", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckPending}, says: `"scan" is running`, who: "scanner",
		},
		{
			name:   "a state that nobody knows is unknown",
			differ: statuses(ci, status(11, apiContext, "warning", "scanner", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: `what check "scan" says could not be read`,
		},
		{
			name:   "statuses that were not all read say nothing",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Checks.StatusesRead = ref.No },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "the statuses of commit aaaaaaaaaaaa could not be read",
		},
	})
}

func TestWorkflowChecks(t *testing.T) {
	api := ready().Checks.Statuses[1]
	ci := ready().Checks.Statuses[0]
	judge(t, []situation{
		{
			name:   "a status by a pull request's own workflow is no run of the required one",
			differ: jobs(),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckForeign},
			says: "no run of job test of .gitea/workflows/ci.yml for pull_request reported it", who: "ci",
		},
		{
			name: "a second workflow file with the same job name is not the required workflow, and is named",
			differ: jobs(gate.Job{
				RunID: 1, Attempt: 1, Workflow: ".gitea/workflows/evil.yml", Event: "pull_request", Head: head, Name: "test", State: gate.StateSuccess,
			}),
			want: gate.Wait, codes: []gate.Code{gate.CodeCheckForeign},
			says: "the nearest is job test of .gitea/workflows/evil.yml for pull_request",
		},
		{
			name: "a run for another event is not the required one",
			differ: jobs(with2(job(1, 1, gate.StateSuccess), func(j *gate.Job) {
				j.Event = "push"
			})),
			want: gate.Wait, codes: []gate.Code{gate.CodeCheckForeign}, says: "for push",
		},
		{
			name: "a run on another commit is not the required one",
			differ: jobs(with2(job(1, 1, gate.StateSuccess), func(j *gate.Job) {
				j.Head = older
			})),
			want: gate.Wait, codes: []gate.Code{gate.CodeCheckForeign},
		},
		{
			name: "a second workflow file giving the same context a failure blocks",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				more(status(20, ciContext, gate.StateFailure, "", "/runs/2/jobs/0"))(s, p)
			},
			want: gate.Block, codes: []gate.Code{gate.CodeCheckFailed}, says: "failed",
		},
		{
			name: "a second workflow file's success does not lift the job's failure",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				statuses(api, status(10, ciContext, gate.StateFailure, "", "/runs/1/jobs/0"), status(20, ciContext, gate.StateSuccess, "", "/runs/2/jobs/0"))(s, p)
				jobs(job(1, 1, gate.StateFailure))(s, p)
			},
			want: gate.Block, codes: []gate.Code{gate.CodeCheckFailed},
		},
		{
			name:   "a job's token cannot overwrite a failed job with a status at the same address",
			differ: jobs(job(1, 1, gate.StateFailure)),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed}, says: "(job test of .gitea/workflows/ci.yml)",
		},
		{
			name: "a path filter that skips the job is not success",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				statuses(api, status(10, ciContext, gate.StateSkipped, "", "/runs/1/jobs/0"))(s, p)
				jobs(job(1, 1, gate.StateSkipped))(s, p)
			},
			want: gate.Block, codes: []gate.Code{gate.CodeCheckFailed}, says: "was skipped, which is not success",
		},
		{
			name:   "a person posting the context as success satisfies nothing",
			differ: statuses(api, status(10, ciContext, gate.StateSuccess, "carol", "/runs/1/jobs/0")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckForeign}, says: "it was reported by carol, not by a run of .gitea/workflows/ci.yml",
		},
		{
			name:   "a person posting the context as failure blocks",
			differ: more(status(20, ciContext, gate.StateFailure, "carol", "")),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed}, says: "failed, says carol",
		},
		{
			name:   "a person's success beside the job's own changes nothing",
			differ: more(status(20, ciContext, gate.StateSuccess, "carol", "")),
			want:   gate.Merge,
		},
		{
			name:   "the latest attempt of a run counts: green after red",
			differ: jobs(job(1, 2, gate.StateSuccess), job(1, 1, gate.StateFailure)),
			want:   gate.Merge,
		},
		{
			name:   "the latest attempt of a run counts: red after green",
			differ: jobs(job(1, 1, gate.StateSuccess), job(1, 2, gate.StateFailure)),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed},
		},
		{
			name:   "every run counts, not only the last",
			differ: jobs(job(1, 1, gate.StateFailure), job(2, 1, gate.StateSuccess)),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed},
		},
		{
			name:   "a running job waits though an earlier run was green",
			differ: jobs(job(1, 1, gate.StateSuccess), job(2, 1, gate.StatePending)),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckPending}, who: "ci",
		},
		{
			name:   "a green job whose status never came is missing",
			differ: statuses(api),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing},
		},
		{
			name:   "a job in a state that nobody knows is unknown",
			differ: jobs(job(1, 1, "cancelled?")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown},
		},
		{
			name:   "jobs that could not be read say nothing",
			differ: func(s *gate.Snapshot, _ *gate.Policy) { s.Checks.JobsRead = ref.Unknown },
			want:   gate.Wait, codes: []gate.Code{gate.CodeUnknown}, says: "the CI jobs of commit aaaaaaaaaaaa could not be read",
		},
		{
			name: "a forge known to have no CI jobs satisfies creators' checks",
			differ: func(s *gate.Snapshot, p *gate.Policy) {
				p.Checks, s.Checks.Jobs, s.Checks.JobsRead = p.Checks[1:], nil, ref.No
			},
			want: gate.Merge,
		},
		{
			name: "but not those of workflows",
			differ: func(s *gate.Snapshot, _ *gate.Policy) {
				s.Checks.Jobs, s.Checks.JobsRead = nil, ref.No
			},
			want: gate.Wait, codes: []gate.Code{gate.CodeUnknown},
		},
		{
			name:   "of several sources the failed one is told first",
			differ: statuses(api, ci, status(20, ciContext, gate.StatePending, "", "/runs/2/jobs/0"), status(21, ciContext, gate.StateFailure, "", "/runs/3/jobs/0")),
			want:   gate.Block, codes: []gate.Code{gate.CodeCheckFailed},
		},
	})
}

func with2(j gate.Job, differ func(*gate.Job)) gate.Job {
	differ(&j)
	return j
}

func TestMissingChecks(t *testing.T) {
	api := ready().Checks.Statuses[1]
	judge(t, []situation{
		{
			name:   "a required check that never came is missing, and the same job for another event is the nearest",
			differ: statuses(api, status(10, "ci / test (push)", gate.StateSuccess, "", ""), status(12, "ci / best (pull_request)", gate.StateSuccess, "", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing},
			says: `check "ci / test (pull_request)" has not come; the nearest that did is "ci / test (push)"`, who: "ci",
		},
		{
			name:   "a renamed check names the new name",
			differ: statuses(api, status(10, "CI / tests (pull_request)", gate.StateSuccess, "", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing}, says: `the nearest that did is "CI / tests (pull_request)"`,
		},
		{
			name:   "a context that only starts alike is not the required one",
			differ: statuses(api, status(10, ciContext+" / more", gate.StateSuccess, "", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing},
		},
		{
			name:   "case matters in a context",
			differ: statuses(api, status(10, "CI / test (pull_request)", gate.StateSuccess, "", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing},
		},
		{
			name:   "when nothing came it says so, and does not take its own status for a check",
			differ: statuses(status(1, gate.StatusContext, gate.StatePending, "slipway-bot", "")),
			want:   gate.Wait, codes: []gate.Code{gate.CodeCheckMissing, gate.CodeCheckMissing}, says: "none came",
		},
	})
}

func TestCheckRequired(t *testing.T) {
	s := ready()
	s.Checks.Statuses = append(s.Checks.Statuses, status(30, "lint", gate.StateFailure, "linter", "https://lint.example/1"))
	rules := append([]gate.CheckRule{{Context: "lint", Creator: "linter"}, {Context: "absent", Creator: "nobody"}}, policy().Checks...)
	got := gate.CheckRequired(rules, s.Checks)
	want := []gate.CheckResult{
		{Context: "lint", State: gate.StateFailure, URL: "https://lint.example/1"},
		{Context: "absent", State: gate.StatePending},
		{Context: ciContext, State: gate.StateSuccess, URL: "/runs/1/jobs/0"},
		{Context: apiContext, State: gate.StateSuccess, URL: "https://scan.example/1"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d results, want one for each of %d rules", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Context != w.Context || g.State != w.State || g.URL != w.URL {
			t.Errorf("result %d: %+v, want %+v", i, g, w)
		}
		if green := g.State == gate.StateSuccess; green != (g.Reason == nil) {
			t.Errorf("result %d: state %q with reason %v", i, g.State, g.Reason)
		}
	}
	for _, r := range gate.CheckRequired(rules, gate.Checks{}) {
		if r.Reason == nil || r.Reason.Code != gate.CodeUnknown {
			t.Errorf("checks that were never read: %q is %q", r.Context, r.State)
		}
	}
}

func TestTwoJobsOfOneNameInOneRunAreToldInOneOrder(t *testing.T) {
	failed, skipped := job(1, 1, gate.StateFailure), job(1, 1, gate.StateSkipped)
	for _, order := range [][]gate.Job{{failed, skipped}, {skipped, failed}} {
		c := ready().Checks
		c.Jobs = order
		if got := gate.CheckRequired(policy().Checks, c)[0].State; got != gate.StateFailure {
			t.Errorf("%q is told of the jobs %v, want %q", got, order, gate.StateFailure)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, row := range []struct {
		name, want string
		have       []string
		best       string
	}{
		{"nothing is nearest to nothing", "ci", nil, ""},
		{"the fewest edits win", "ci / test", []string{"ci / lint", "ci / tests"}, "ci / tests"},
		{"another event of the same job beats fewer edits", "ci / test (push)", []string{"ci / best (push)", "ci / test (pull_request)"}, "ci / test (pull_request)"},
		{"and beats them in whatever order they come", "ci / test (push)", []string{"ci / test (an_event)", "ci / tesu (push)"}, "ci / test (an_event)"},
		{"what is no event is no reason to prefer it", "build (linux", []string{"build (zz", "built (linux"}, "built (linux"},
		{"equals are broken by order, not by luck", "aa", []string{"ac", "ab"}, "ab"},
		{"even the far one is named when it is the only one", "ci / test", []string{"zzzz"}, "zzzz"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if best, _, ok := gate.Nearest(row.want, row.have); best != row.best || ok != (len(row.have) > 0) {
				t.Errorf("nearest to %q in %q: %q (%v), want %q", row.want, row.have, best, ok, row.best)
			}
		})
	}
	if _, edits, _ := gate.Nearest("kitten", []string{"sitting"}); edits != 3 {
		t.Errorf("kitten to sitting: %d edits, want 3", edits)
	}
}
