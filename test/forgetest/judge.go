package forgetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/ref"
)

func testReviews(t *testing.T, w World) {
	s := set(t, w, "reviews", Rules{})
	id, old := s.change(t, "feat")
	s.Review(t, Carol, id, old, gate.ReviewApproved)
	s.Review(t, Outsider, id, old, gate.ReviewApproved)
	head := s.push(t, Alice, "feat", commit{message: "feat: more", files: map[string]string{"more.txt": "x\n"}})
	eventually(t, "the head is told", func() bool { return s.pull(t, id).Head == head })
	last := s.Review(t, Dave, id, old, gate.ReviewApproved) // after the push, on the old head
	s.Review(t, Carol, id, head, gate.ReviewCommented)

	t.Run("each is on the head it was given on, and an outsider is not eligible", func(t *testing.T) {
		type row struct {
			Who      string
			State    gate.ReviewState
			Commit   ref.SHA
			Eligible ref.Fact
		}
		g := s.look(t, id).Snapshot
		var got []row
		for _, v := range g.Reviews {
			if v.ObservedHead != "" || v.At.IsZero() || v.ID == 0 {
				t.Errorf("got %+v", v)
			}
			// Whether a comment's author could approve decides nothing.
			one := row{v.Reviewer, v.State, v.Commit, v.Eligible}
			if v.State == gate.ReviewCommented {
				one.Eligible = ref.Yes
			}
			got = append(got, one)
		}
		want := []row{
			{string(Carol), gate.ReviewApproved, old, ref.Yes},
			{string(Outsider), gate.ReviewApproved, old, ref.No},
			{string(Dave), gate.ReviewApproved, old, ref.Yes},
			{string(Carol), gate.ReviewCommented, head, ref.Yes},
		}
		if diff := cmp.Diff(want, got); diff != "" || g.Pull.Head != head {
			t.Errorf("head %s (-want +got):\n%s", g.Pull.Head, diff)
		}
	})
	t.Run("a dismissed one is dismissed", func(t *testing.T) {
		s.Dismiss(t, id, last)
		if v := find(t, s.look(t, id).Snapshot.Reviews, last); v.State != gate.ReviewDismissed {
			t.Errorf("got %+v", v)
		}
	})
	t.Run("a request for changes is one, and an approval after it stands", func(t *testing.T) {
		asked := s.Review(t, Dave, id, head, gate.ReviewChangesRequested)
		if v := find(t, s.look(t, id).Snapshot.Reviews, asked); v.State != gate.ReviewChangesRequested || v.Commit != head || v.Eligible != ref.Yes {
			t.Errorf("got %+v", v)
		}
		again := s.Review(t, Dave, id, head, gate.ReviewApproved)
		g := s.look(t, id).Snapshot.Reviews
		if v := find(t, g, again); v.State != gate.ReviewApproved || v.Commit != head {
			t.Errorf("got %+v", v)
		}
		if newest := g[len(g)-1]; newest.ID != again {
			t.Errorf("the last is %+v", newest)
		}
	})
}

func find(t *testing.T, reviews []gate.Review, id int64) gate.Review {
	t.Helper()
	i := slices.IndexFunc(reviews, func(v gate.Review) bool { return v.ID == id })
	if i < 0 {
		t.Fatalf("review %d is not among %+v", id, reviews)
	}
	return reviews[i]
}

func testStatuses(t *testing.T, w World) {
	s := set(t, w, "statuses", Rules{})
	id, head := s.change(t, "feat")
	for i := range s.Page() + 5 {
		s.Status(t, CI, head, fmt.Sprintf("ci/%d", i%3), gate.StatePending)
	}
	s.Status(t, CI, head, "ci/0", gate.StateSuccess)
	s.Status(t, CI, head, "ci/1", gate.StateFailure)
	s.Status(t, Alice, head, "ci/1", gate.StateSuccess)

	t.Run("the latest of each context and creator is there, across pages", func(t *testing.T) {
		checks := must(s.forge.Checks(t.Context(), s.ID(), head))(t)
		if checks.StatusesRead != ref.Yes || checks.SHA != head {
			t.Fatalf("read %s of %s", checks.StatusesRead, checks.SHA)
		}
		type source struct{ context, creator string }
		latest := map[source]gate.Status{}
		for _, st := range checks.Statuses {
			if before := latest[source{st.Context, st.Creator}]; st.ID <= before.ID {
				t.Errorf("%+v comes after %+v", st, before)
			}
			latest[source{st.Context, st.Creator}] = st
			if st.At.IsZero() {
				t.Errorf("got %+v", st)
			}
		}
		got := map[source]gate.State{}
		for from, st := range latest {
			got[from] = st.State
		}
		want := map[source]gate.State{{"ci/0", "ci"}: gate.StateSuccess, {"ci/1", "ci"}: gate.StateFailure, {"ci/1", "alice"}: gate.StateSuccess, {"ci/2", "ci"}: gate.StatePending}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a look sees one that came after the last look", func(t *testing.T) {
		s.look(t, id)
		s.Status(t, CI, head, "ci/late", gate.StateSuccess)
		if !slices.ContainsFunc(s.look(t, id).Snapshot.Checks.Statuses, func(st gate.Status) bool { return st.Context == "ci/late" }) {
			t.Error("it does not")
		}
	})
	t.Run("a commit on which nothing was reported has nothing, for certain", func(t *testing.T) {
		quiet := s.push(t, Alice, "quiet", commit{message: "feat: quiet", files: map[string]string{"q": "q"}})
		checks := must(s.forge.Checks(t.Context(), s.ID(), quiet))(t)
		if len(checks.Statuses) != 0 || checks.StatusesRead != ref.Yes || len(checks.Jobs) != 0 || checks.JobsRead != ref.Yes {
			t.Errorf("got %+v", checks)
		}
	})
}

func testJobs(t *testing.T, w World) {
	s := set(t, w, "jobs", Rules{})
	path := s.Workflow(t, "ci", map[string]gate.State{"test": gate.StateSuccess, "lint": gate.StateFailure, "docs": gate.StateSkipped})
	id, old := s.change(t, "feat")
	s.Ran(t, id, old)

	t.Run("each is told with its workflow, its event and how it ended; skipped is not success", func(t *testing.T) {
		s.wantJobs(t, id, old, path)
	})
	t.Run("each reports under WORKFLOW / JOB (EVENT), and nobody is its creator", func(t *testing.T) {
		got := map[string]gate.State{}
		for _, st := range s.look(t, id).Snapshot.Checks.Statuses {
			got[st.Context] = st.State
			if st.Creator != "" {
				t.Errorf("got %+v", st)
			}
		}
		want := map[string]gate.State{"ci / test (pull_request)": gate.StateSuccess, "ci / lint (pull_request)": gate.StateFailure, "ci / docs (pull_request)": gate.StateSkipped}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a new head has the jobs of its own runs alone", func(t *testing.T) {
		head := s.push(t, Alice, "feat", commit{message: "feat: more", files: map[string]string{"more.txt": "x\n"}})
		eventually(t, "the head is told", func() bool { return s.pull(t, id).Head == head })
		s.Ran(t, id, head)
		s.wantJobs(t, id, head, path)
		for _, j := range must(s.forge.Checks(t.Context(), s.ID(), old))(t).Jobs {
			if j.Head != old {
				t.Errorf("among those of the old head: %+v", j)
			}
		}
	})
}

func (s *scene) wantJobs(t *testing.T, id ref.PullID, head ref.SHA, path string) {
	t.Helper()
	checks := s.look(t, id).Snapshot.Checks
	got := map[string]gate.State{}
	for _, j := range checks.Jobs {
		got[j.Name] = j.State
		if j.Head != head || j.Workflow != path || j.Event != "pull_request" || j.RunID == 0 || j.Attempt != 1 || j.URL == "" || j.At.IsZero() {
			t.Errorf("got %+v", j)
		}
	}
	want := map[string]gate.State{"test": gate.StateSuccess, "lint": gate.StateFailure, "docs": gate.StateSkipped}
	if diff := cmp.Diff(want, got); diff != "" || checks.JobsRead != ref.Yes || checks.SHA != head {
		t.Errorf("read %s of %s (-want +got):\n%s", checks.JobsRead, checks.SHA, diff)
	}
}
