package gitea

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// testRemembered holds a look that may remember to what one that may not says.
func (w *world) testRemembered(t *testing.T) {
	r := w.repository(t, "remembered", openToPush)
	id, head := r.change("feat1")
	var some, fresh reconcile.Want
	fresh.Fresh = true

	r.run(t, "what nothing has happened to is remembered, and said to be", func(t *testing.T, r *repository) {
		r.quiet(id)
		first, later := r.look(id, some), r.look(id, some)
		if first.Remembered || !later.Remembered {
			t.Errorf("the first: %v, the later: %v", first.Remembered, later.Remembered)
		}
		if r.look(id, fresh).Remembered {
			t.Error("a fresh look remembered")
		}
		later.Remembered = false
		if diff := cmp.Diff(first, later); diff != "" {
			t.Errorf("(-first +later):\n%s", diff)
		}
	})
	r.run(t, "a review that is dismissed in the second it was seen is dismissed at once", func(t *testing.T, r *repository) {
		for range 3 {
			review := r.review(w.carol, id, head, "APPROVED")
			if got := r.stateOf(id, review, some); got != gate.ReviewApproved {
				t.Fatalf("got %s", got)
			}
			r.dismiss(id, review)
			if got := r.stateOf(id, review, some); got != gate.ReviewDismissed {
				t.Errorf("got %s", got)
			}
		}
	})
	r.run(t, "a review that is dismissed after a while is dismissed at once", func(t *testing.T, r *repository) {
		review := r.review(w.carol, id, head, "APPROVED")
		r.quiet(id)
		r.look(id, some)
		r.dismiss(id, review)
		if got := r.stateOf(id, review, some); got != gate.ReviewDismissed {
			t.Errorf("got %s", got)
		}
	})
	r.run(t, "a dismissal that is taken back is seen by a fresh look, or in a while", func(t *testing.T, r *repository) {
		review := r.review(w.carol, id, head, "APPROVED")
		r.dismiss(id, review)
		r.quiet(id)
		r.look(id, some)
		r.do(w.Admin(), http.MethodPost, fmt.Sprintf("/pulls/%d/reviews/%d/undismissals", id.Number, review), nil, nil)
		if got := r.stateOf(id, review, fresh); got != gate.ReviewApproved {
			t.Errorf("fresh: got %s", got)
		}
		if got := r.stateOf(id, review, some); got != gate.ReviewApproved {
			t.Errorf("what a fresh look read serves the next: got %s", got)
		}
	})
	r.run(t, "a comment that is edited is seen by a fresh look, or once the memory is old", func(t *testing.T, r *repository) {
		comment := r.say(w.bot, id, "one")
		r.quiet(id)
		r.look(id, some)
		if err := r.client.EditComment(t.Context(), id, comment, "two"); err != nil {
			t.Fatal(err)
		}
		if got := r.last(id, some); got != "one" {
			t.Errorf("before: got %q", got)
		}
		r.age(id)
		if got := r.last(id, some); got != "two" {
			t.Errorf("once old: got %q", got)
		}
		if err := r.client.EditComment(t.Context(), id, comment, "three"); err != nil {
			t.Fatal(err)
		}
		if got := r.last(id, fresh); got != "three" {
			t.Errorf("fresh: got %q", got)
		}
	})
	r.run(t, "a comment that is deleted is gone at once", func(t *testing.T, r *repository) {
		comment := r.say(w.carol, id, "/hold")
		r.quiet(id)
		r.look(id, some)
		r.do(w.carol, http.MethodDelete, "/issues/comments/"+itoa(comment), nil, nil)
		if got := r.last(id, some); got == "/hold" {
			t.Error("it is still there")
		}
	})
	r.run(t, "a base that is changed and changed back within one second is seen at once", func(t *testing.T, r *repository) {
		r.commit(w.alice, "next", file{path: "next.txt", content: "x", message: "feat: next"})
		r.say(w.carol, id, "now") // so that the record's date may be that of the change
		if got := r.look(id, some).Snapshot.Retargeted; !got.IsZero() {
			t.Fatalf("got %s", got)
		}
		r.retarget(w.alice, id, "next")
		r.retarget(w.alice, id, "main")
		if got := r.look(id, some).Snapshot.Retargeted; got.IsZero() {
			t.Error("it was not")
		}
	})
	r.run(t, "who is taken off the whitelist is no longer eligible at once", func(t *testing.T, r *repository) {
		r.review(w.carol, id, head, "APPROVED")
		r.quiet(id)
		if got := r.eligible(id, some)["carol"]; got != ref.Yes {
			t.Fatalf("got %s", got)
		}
		r.do(w.Admin(), http.MethodPatch, "/branch_protections/main", map[string]any{"approvals_whitelist_username": []string{"dave"}}, nil)
		if got := r.eligible(id, some)["carol"]; got != ref.No {
			t.Errorf("got %s", got)
		}
	})
	r.run(t, "an author who becomes known is seen by a fresh look, though the commit is the same", func(t *testing.T, r *repository) {
		r.commit(w.alice, "feat2", file{path: "feat2.txt", content: "x", message: "feat: two", mail: "late@elsewhere.invalid"})
		two := r.open(w.alice, "feat2", "feat: two")
		if got := r.look(two, some).Snapshot.Commits[0].Author; got != "" {
			t.Fatalf("got %q", got)
		}
		emails := map[string]any{"emails": []string{"late@elsewhere.invalid"}}
		if err := w.Call(t.Context(), w.outsider.Token, http.MethodPost, "/user/emails", emails, nil); err != nil {
			t.Fatal(err)
		}
		if got := r.look(two, fresh).Snapshot.Commits[0].Author; got != "outsider" {
			t.Errorf("got %q", got)
		}
	})
	r.run(t, "a new client, as after a restart, reads everything", func(t *testing.T, r *repository) {
		r.settled(id)
		before := r.look(id, fresh)
		anew := w.as(t, r.id, w.bot)
		after := anew.look(id, some)
		if diff := cmp.Diff(before, after); diff != "" || after.Remembered {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
}

// testRememberedRights is about people's rights, which are no part of a pull
// request.
func (w *world) testRememberedRights(t *testing.T) {
	r := w.repository(t, "rights-remembered", func(b *server.BranchRule) {
		b.EnableApprovalsWhitelist, b.ApprovalsWhitelist = false, nil
	})
	id, head := r.change("feat1")
	r.review(w.ci, id, head, "APPROVED")
	r.quiet(id)
	want := reconcile.Want{Approvers: true}
	look := r.look(id, want)
	if got := look.Snapshot.Approvers; !slices.Equal(got, []string{"alice", "ci", "site-admin"}) || look.Snapshot.ApproversRead != ref.Yes {
		t.Errorf("who could approve: read %s, got %q", look.Snapshot.ApproversRead, got)
	}
	if got := r.eligible(id, want)["ci"]; got != ref.Yes {
		t.Errorf("with the right to write: got %s", got)
	}
	r.do(w.Admin(), http.MethodDelete, "/collaborators/ci", nil, nil)
	if got := r.eligible(id, want)["ci"]; got != ref.No {
		t.Errorf("with no right left, at once: got %s", got)
	}
}

// testTeams is about teams that a policy names.
func (w *world) testTeams(t *testing.T) {
	r := w.repository(t, "teams", func(b *server.BranchRule) {
		b.ApprovalsWhitelist, b.ApprovalsWhitelistTeams = nil, []string{"reviewers-teams"}
	})
	id, _ := r.change("feat1")
	want := reconcile.Want{Approvers: true, Teams: []string{"Acme/Reviewers-Teams", "acme/none"}}

	r.run(t, "outside the organisation nobody knows who is in them", func(t *testing.T, r *repository) {
		s := r.look(id, want).Snapshot
		if len(s.Teams) != 0 || s.ApproversRead != ref.Unknown || s.ReviewsRead != ref.Yes {
			t.Errorf("got %+v", s)
		}
		if _, unread := r.calls.seen(); unread == nil {
			t.Error("nobody was told why")
		}
	})
	r.run(t, "within it their members are known, by the team's name in lower case", func(t *testing.T, r *repository) {
		w.showTeam(t, "reviewers-teams")
		r = w.as(t, r.id, w.member(t, "slipway-teams", "teams"))
		members := func(want reconcile.Want) []string {
			s := r.look(id, want).Snapshot
			if len(s.Teams) != 1 || s.ApproversRead != ref.Yes || !slices.Equal(s.Approvers, s.Teams["acme/reviewers-teams"]) {
				t.Errorf("got %q, and who could approve %q", s.Teams, s.Approvers)
			}
			return s.Teams["acme/reviewers-teams"]
		}
		both := []string{"carol", "dave"}
		if got := members(want); !slices.Equal(got, both) {
			t.Errorf("got %q", got)
		}
		r.leaveTeam("reviewers-teams", "dave")
		if got := members(want); !slices.Equal(got, both) {
			t.Errorf("within the minute: got %q", got)
		}
		fresh := want
		fresh.Fresh = true
		if got := members(fresh); !slices.Equal(got, both[:1]) {
			t.Errorf("fresh: got %q", got)
		}
		if got := members(want); !slices.Equal(got, both[:1]) {
			t.Errorf("after a fresh look: got %q", got)
		}
	})
}

// testManyStatuses is about more statuses than a page holds.
func (w *world) testManyStatuses(t *testing.T) {
	r := w.repository(t, "many-statuses")
	id, head := r.change("feat1")
	posted := 0
	for _, step := range []struct {
		what        string
		post, calls int
	}{
		{"at first every page is read", 70, 2},
		{"then the last", 1, 1},
		{"the last, though it is full by now", 29, 1},
		{"nothing is on the next yet", 0, 1},
		{"and now something is", 2, 1},
		{"more than a page is new", 60, 2},
	} {
		r.run(t, step.what, func(t *testing.T, r *repository) {
			for range step.post {
				posted++
				r.status(w.ci, head, fmt.Sprint("ci/", posted%7), "pending")
			}
			got := r.look(id, reconcile.Want{}).Snapshot.Checks
			routes, _ := r.calls.seen()
			calls := len(slices.DeleteFunc(routes, func(route string) bool { return !strings.Contains(route, "/statuses/") }))
			if len(got.Statuses) != posted || calls != step.calls {
				t.Errorf("%d rows of %d in %d calls, want %d", len(got.Statuses), posted, calls, step.calls)
			}
			if diff := cmp.Diff(w.as(t, r.id, w.bot).look(id, reconcile.Want{}).Snapshot.Checks, got); diff != "" {
				t.Errorf("(-anew +remembering):\n%s", diff)
			}
		})
	}
}

// stateOf looks for one review.
func (r *repository) stateOf(id ref.PullID, review int64, want reconcile.Want) gate.ReviewState {
	r.t.Helper()
	for _, v := range r.look(id, want).Snapshot.Reviews {
		if v.ID == review {
			return v.State
		}
	}
	return gate.ReviewNone
}

// last is the text of the last comment.
func (r *repository) last(id ref.PullID, want reconcile.Want) string {
	r.t.Helper()
	comments := r.look(id, want).Comments
	if len(comments) == 0 {
		return ""
	}
	return comments[len(comments)-1].Body
}

// eligible says of each reviewer whether they may approve now.
func (r *repository) eligible(id ref.PullID, want reconcile.Want) map[string]ref.Fact {
	r.t.Helper()
	got := map[string]ref.Fact{}
	for _, v := range r.look(id, want).Snapshot.Reviews {
		if v.State == gate.ReviewApproved {
			got[v.Reviewer] = v.Eligible
		}
	}
	return got
}

func (r *repository) dismiss(id ref.PullID, review int64) {
	r.t.Helper()
	r.do(r.Admin(), http.MethodPost, fmt.Sprintf("/pulls/%d/reviews/%d/dismissals", id.Number, review), map[string]string{"message": "no"}, nil)
}

// age makes what is remembered of what people did as old as it may become.
func (r *repository) age(id ref.PullID) {
	r.t.Helper()
	k := r.client.memory.recall(id)
	if k.talk == nil {
		r.t.Fatal("nothing is remembered")
	}
	old := *k.talk
	old.at = old.at.Add(-talkAge)
	k.talk = &old
	r.client.memory.keep(k)
}
