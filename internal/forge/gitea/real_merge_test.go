package gitea

import (
	"net/http"
	"strconv"
	"testing"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// testMerge is about what Gitea alone does; the conformance suite merges in
// every way, and is refused for every head but the judged one.
func (w *world) testMerge(t *testing.T) {
	r := w.repository(t, "merge")
	one, first := r.change("feat1")
	two, second := r.change("feat2")

	r.run(t, "who may not merge is told so for good", func(t *testing.T, r *repository) {
		wantFault(t, w.as(t, r.id, w.alice).merge(squash(one, first)), fault.Permanent, "User not allowed to merge PR")
	})
	r.run(t, "a way to merge that the repository forbids is refused for good", func(t *testing.T, r *repository) {
		r.do(w.Admin(), http.MethodPatch, "", map[string]any{"has_pull_requests": true, "allow_rebase": false}, nil)
		call := squash(one, first)
		call.Method = "rebase"
		wantFault(t, r.merge(call), fault.Permanent, "rebase is not allowed")
	})
	r.run(t, "right after another merge it says to be patient, then merges", func(t *testing.T, r *repository) {
		for id, head := range map[ref.PullID]ref.SHA{one: first, two: second} {
			if err := r.merge(squash(id, head)); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.run(t, "a snapshot still tells what was merged, and a second time it is merged already", func(t *testing.T, r *repository) {
		s := r.snapshot(one)
		if s.Pull.MergeSHA == "" || len(s.Commits) != 1 || s.Commits[0].SHA != first {
			t.Errorf("got %+v", s)
		}
		wantFault(t, r.merge(squash(one, first)), fault.Changed, one.String(), "already merged")
	})
}

// testMergeRules asks what Gitea's own rules say to a merge.
func (w *world) testMergeRules(t *testing.T) {
	r := w.repository(t, "merge-rules", func(b *server.BranchRule) {
		b.RequiredApprovals, b.EnableStatusCheck, b.StatusContexts = 2, true, []string{gate.StatusContext}
		b.BlockOnOutdatedBranch = true
	})
	id, head := r.change("feat1")
	other, otherHead := r.change("feat2")
	merge := func() error { return r.merge(squash(id, head)) }

	r.run(t, "a missing status is refused for good, in the forge's words", func(t *testing.T, r *repository) {
		wantFault(t, merge(), fault.Permanent, id.String(), "Not all required status checks successful")
	})
	r.run(t, "missing approvals are refused for good, in the forge's words", func(t *testing.T, r *repository) {
		for _, sha := range []ref.SHA{head, otherHead} {
			posted := change.Posted{Head: sha, State: gate.StateSuccess, Text: "All is well"}
			if err := r.client.PostStatus(t.Context(), r.id, posted); err != nil {
				t.Fatal(err)
			}
		}
		wantFault(t, merge(), fault.Permanent, id.String(), "Does not have enough approvals")
	})
	r.run(t, "with both it merges", func(t *testing.T, r *repository) {
		for _, who := range []server.Account{w.carol, w.dave} {
			r.review(who, id, head, "APPROVED")
			r.review(who, other, otherHead, "APPROVED")
		}
		if err := merge(); err != nil {
			t.Fatal(err)
		}
	})
	r.run(t, "a branch behind its base is refused for good, in the forge's words", func(t *testing.T, r *repository) {
		r.settled(other)
		wantFault(t, r.merge(squash(other, otherHead)), fault.Permanent, other.String(), "behind the base branch")
	})
}
