package gitea

import (
	"net/http"
	"testing"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// testRevert is about what the conformance suite leaves out.
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

	r.commit(w.alice, branch, file{path: "a.txt", content: "reverted", message: "revert: feat: a"})
	id := must(openPull(t))(t)
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
