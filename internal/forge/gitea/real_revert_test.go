package gitea

import (
	"net/http"
	"testing"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

func (w *world) testRevert(t *testing.T) {
	r := w.repository(t, "revert")
	const branch = "slipway/revert-1"
	find := func(t *testing.T) change.RevertFact {
		t.Helper()
		return must(r.client.FindPull(t.Context(), r.id, branch, "main"))(t)
	}
	openPull := func(t *testing.T) (ref.PullID, error) {
		return r.client.OpenPull(t.Context(), r.id, branch, "main", "Revert feat: a", "It broke production.")
	}

	r.run(t, "before it is opened there is none", func(t *testing.T, r *repository) {
		if got := find(t); got != (change.RevertFact{Found: ref.No}) {
			t.Errorf("got %+v", got)
		}
	})
	r.run(t, "without its branch it cannot be opened yet", func(t *testing.T, r *repository) {
		_, err := openPull(t)
		wantFault(t, err, fault.Changed, branch)
	})
	r.run(t, "somebody else's from the same branch is none of Slipway's", func(t *testing.T, r *repository) {
		r.commit(w.bot, branch, file{path: "a.txt", content: "reverted", message: "revert: feat: a"})
		theirs := r.open(w.alice, branch, "mine")
		if got := find(t); got.Found != ref.No {
			t.Errorf("got %+v", got)
		}
		r.do(w.alice, http.MethodPatch, "/pulls/"+itoa(theirs.Number), map[string]string{"state": "closed"}, nil)
	})
	var id ref.PullID
	r.run(t, "it is opened once and found", func(t *testing.T, r *repository) {
		id = must(openPull(t))(t)
		if got := find(t); got != (change.RevertFact{Found: ref.Yes, Pull: id, State: "open"}) {
			t.Errorf("got %+v, want %s", got, id)
		}
		_, err := openPull(t)
		wantFault(t, err, fault.Changed, "already exists")
	})
	r.run(t, "it can be commented on", func(t *testing.T, r *repository) {
		if _, err := r.client.Comment(t.Context(), id, "Rolled back."); err != nil {
			t.Fatal(err)
		}
		var comments []struct {
			Body string `json:"body"`
			User struct {
				Login string `json:"login"`
			} `json:"user"`
		}
		r.do(w.bot, http.MethodGet, "/issues/"+itoa(id.Number)+"/comments", nil, &comments)
		if len(comments) != 1 || comments[0].Body != "Rolled back." || comments[0].User.Login != "slipway" {
			t.Errorf("got %+v", comments)
		}
	})
	r.run(t, "closed it is found as closed, another one opened counts instead", func(t *testing.T, r *repository) {
		r.do(w.alice, http.MethodPatch, "/pulls/"+itoa(id.Number), map[string]string{"state": "closed"}, nil)
		if got := find(t); got != (change.RevertFact{Found: ref.Yes, Pull: id, State: "closed"}) {
			t.Errorf("got %+v", got)
		}
		id = must(openPull(t))(t)
		if got := find(t); got.Pull != id || got.State != "open" {
			t.Errorf("got %+v, want %s", got, id)
		}
	})
	r.run(t, "merged it is found as merged, its branch gone", func(t *testing.T, r *repository) {
		head := r.settled(id).Head
		if err := r.merge(squash(id, head)); err != nil {
			t.Fatal(err)
		}
		if got := find(t); got != (change.RevertFact{Found: ref.Yes, Pull: id, State: "merged"}) {
			t.Errorf("got %+v", got)
		}
	})
	r.run(t, "a branch without a change cannot be opened at all", func(t *testing.T, r *repository) {
		_, err := r.client.OpenPull(t.Context(), r.id, "main", "main", "nothing", "")
		wantFault(t, err, fault.Permanent, "422")
	})
}
