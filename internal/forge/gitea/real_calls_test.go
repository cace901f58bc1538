package gitea

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// The most calls that looks may take (docs: performance).
const (
	mostFirst = 12
	mostLater = 5
	mostFresh = 6 // reads everything that could have changed
	mostBusy  = 6 // when people and CI did something since the last one
)

// spent is the calls that looks took, by what had happened before.
type spent struct {
	first, push, fresh, busy int
	later                    map[string]int
}

// spend counts the calls of looks at one pull request, with two reviewers on
// the whitelist and one workflow, through what usually happens to one.
func (w *world) spend(t testing.TB, name string) spent {
	r := w.repository(t, name, openToPush)
	const workflow = ".gitea/workflows/green.yml"
	r.commit(w.Admin(), "main", file{path: workflow, content: greenWorkflow, message: "ci: green"})
	id, head := r.change("feat1")
	over := func() {
		r.eventually("the job is over", func() bool {
			jobs := must(w.as(t, r.id, w.bot).client.Checks(t.Context(), r.id, head))(t).Jobs
			return len(jobs) == 1 && jobs[0].State == gate.StateSuccess
		})
	}
	over()
	r.review(w.carol, id, head, "APPROVED")
	r.review(w.dave, id, head, "APPROVED")
	want := reconcile.Want{Approvers: true, Workflows: []string{workflow}}
	count := func() int {
		look := r.look(id, want)
		routes, unread := r.calls.seen()
		if unread != nil || look.Snapshot.Checks.JobsRead != ref.Yes || len(look.Snapshot.Checks.Jobs) != 1 ||
			len(look.Snapshot.Reviews) < 2 || look.Snapshot.Reviews[0].Eligible != ref.Yes || len(look.Snapshot.Approvers) != 2 {
			t.Errorf("a look lacks something: %+v, unread %v", look, unread)
		}
		t.Logf("%d calls: %q", len(routes), routes)
		return len(routes)
	}
	got := spent{first: count(), later: map[string]int{"nothing, at once": count()}}
	again := func() {
		run := r.look(id, want).Snapshot.Checks.Jobs[0].RunID
		r.do(w.Admin(), http.MethodPost, "/actions/runs/"+itoa(run)+"/rerun", nil, nil)
	}
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"a comment", func() { r.say(w.carol, id, "fine") }},
		{"a review", func() { r.review(w.carol, id, head, "COMMENT") }},
		{"a label", func() { r.label(id, "bug") }},
		{"a status", func() { r.status(w.ci, head, "extra", "success") }},
		{"nothing, after a while", func() { r.quiet(id); r.look(id, want) }},
		{"a run begun again", again},
		{"that run over", over},
		{"the base moved", func() {
			r.commit(w.alice, "main", file{path: "base.txt", content: "x", message: "feat: base"})
		}},
	} {
		step.do()
		got.later[step.what] = count()
	}
	again()
	r.say(w.carol, id, "once more")
	got.busy = count()
	over()
	want.Fresh = true
	count() // as the base has moved
	got.fresh = count()
	want.Fresh = false
	head = r.commit(w.alice, "feat1", file{path: "more.txt", content: "x", message: "feat: more"})
	over()
	got.push = count()
	return got
}

// quiet waits until another change of the pull request would show in its date.
func (r *repository) quiet(id ref.PullID) {
	r.t.Helper()
	r.eventually("nothing happens", func() bool { return must(r.client.record(r.t.Context(), id))(r.t).settled() })
}

func (w *world) testCalls(t *testing.T) {
	got := w.spend(t, "calls")
	if got.first > mostFirst || got.push > mostFirst {
		t.Errorf("the first look took %d calls, that at a new head %d; want at most %d", got.first, got.push, mostFirst)
	}
	for what, n := range got.later {
		if n > mostLater {
			t.Errorf("the look after %s took %d calls, want at most %d", what, n, mostLater)
		}
	}
	if got.fresh > mostFresh {
		t.Errorf("a fresh look took %d calls, want at most %d", got.fresh, mostFresh)
	}
	if got.busy > mostBusy {
		t.Errorf("a look after both a comment and a run took %d calls, want at most %d", got.busy, mostBusy)
	}
}

// BenchmarkB3 reports how many calls a first and a later look take.
func BenchmarkB3(b *testing.B) {
	w := start(b)
	var got spent
	for b.Loop() {
		got = w.spend(b, "calls"+itoa(time.Now().UnixNano()))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(max(got.first, got.push)), "calls/first")
	b.ReportMetric(float64(slices.Max(slices.Collect(maps.Values(got.later)))), "calls/later")
	b.ReportMetric(float64(got.fresh), "calls/fresh")
	b.ReportMetric(float64(got.busy), "calls/busy")
}
