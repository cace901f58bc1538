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

func (w *world) testMerge(t *testing.T) {
	r := w.repository(t, "merge")
	r.run(t, "a squash lands the judged head under its title, by the bot, and deletes the branch", func(t *testing.T, r *repository) {
		id, head := r.change("feat1")
		if err := r.merge(squash(id, head)); err != nil {
			t.Fatal(err)
		}
		pull := must(r.client.Pull(t.Context(), id))(t)
		main := must(r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "main"}))(t)
		if pull.Merged != ref.Yes || pull.Open != ref.No || pull.MergeSHA != main || pull.MergedBy != "slipway" ||
			pull.Head != head || pull.HeadBranch != "feat1" || pull.MergedAt.IsZero() {
			t.Errorf("got %+v", pull)
		}
		var commit struct {
			Commit struct {
				Message string `json:"message"`
			} `json:"commit"`
		}
		r.do(w.bot, http.MethodGet, "/git/commits/"+string(main), nil, &commit)
		if want := "A title\n\nA message"; len(commit.Commit.Message) < len(want) || commit.Commit.Message[:len(want)] != want {
			t.Errorf("the message is %q", commit.Commit.Message)
		}
		_, err := r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "feat1"})
		wantFault(t, err, fault.Permanent, "acme/merge@feat1", "404")

		r.run(t, "and a second time it is merged already", func(t *testing.T, r *repository) {
			wantFault(t, r.merge(squash(id, head)), fault.Changed, id.String(), "already merged")
		})
		r.run(t, "and its snapshot still tells what was merged", func(t *testing.T, r *repository) {
			s := r.snapshot(id)
			if s.Pull.MergeSHA != main || len(s.Commits) != 1 || s.Commits[0].SHA != head {
				t.Errorf("got %+v", s)
			}
		})
	})
	r.run(t, "another head than the judged one is refused and nothing is merged", func(t *testing.T, r *repository) {
		id, judged := r.change("feat2")
		r.commit(r.alice, "feat2", file{path: "more.txt", content: "x", message: "feat: more"})
		r.settled(id)
		wantFault(t, r.merge(squash(id, judged)), fault.Changed, id.String(), "head out of date")
		if pull := must(r.client.Pull(t.Context(), id))(t); pull.Merged != ref.No {
			t.Errorf("merged: %s", pull.Merged)
		}
	})
	r.run(t, "a closed pull request is to be observed again", func(t *testing.T, r *repository) {
		id, head := r.change("feat3")
		r.do(w.alice, http.MethodPatch, "/pulls/"+itoa(id.Number), map[string]string{"state": "closed"}, nil)
		wantFault(t, r.merge(squash(id, head)), fault.Changed, id.String())
		if pull := must(r.client.Pull(t.Context(), id))(t); pull.Open != ref.No || pull.Merged != ref.No {
			t.Errorf("open %s, merged %s", pull.Open, pull.Merged)
		}
	})
	r.run(t, "a draft is to be observed again", func(t *testing.T, r *repository) {
		head := r.commit(r.alice, "wip", file{path: "wip.txt", content: "x", message: "feat: wip"})
		id := r.open(r.alice, "wip", "WIP: wip")
		wantFault(t, r.merge(squash(id, head)), fault.Changed, "Work in progress")
	})
	r.run(t, "who may not merge is told so for good", func(t *testing.T, r *repository) {
		id, head := r.change("feat4")
		wantFault(t, w.as(t, r.id, w.alice).merge(squash(id, head)), fault.Permanent, "User not allowed to merge PR")
	})
	r.run(t, "a way to merge that the repository forbids is refused for good", func(t *testing.T, r *repository) {
		id, head := r.change("feat5")
		r.do(w.Admin(), http.MethodPatch, "", map[string]any{"has_pull_requests": true, "allow_rebase": false}, nil)
		call := squash(id, head)
		call.Method = "rebase"
		wantFault(t, r.merge(call), fault.Permanent, "rebase is not allowed")
	})
	r.run(t, "merge makes a merge commit of the head", func(t *testing.T, r *repository) {
		id, head := r.change("feat6")
		call := squash(id, head)
		call.Method, call.DeleteBranch = "merge", false
		if err := r.merge(call); err != nil {
			t.Fatal(err)
		}
		if pull := must(r.client.Pull(t.Context(), id))(t); pull.Merged != ref.Yes || pull.MergeSHA == head {
			t.Errorf("got %+v", pull)
		}
		must(r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "feat6"}))(t)
	})
	r.run(t, "right after another merge it says to be patient, then merges", func(t *testing.T, r *repository) {
		one, first := r.change("feat7")
		two, second := r.change("feat8")
		if err := r.merge(squash(one, first)); err != nil {
			t.Fatal(err)
		}
		if err := r.merge(squash(two, second)); err != nil {
			t.Fatal(err)
		}
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
