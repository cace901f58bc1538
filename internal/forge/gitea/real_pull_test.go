package gitea

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

func (w *world) testSnapshot(t *testing.T) {
	r := w.repository(t, "snapshot")
	id, first := r.change("feat1")
	head := r.commit(r.alice, "feat1", file{path: "b.txt", content: "b", mail: "nobody@elsewhere.invalid",
		message: "feat: b\n\nCo-authored-by: Carol <CAROL@slipway.invalid>\nCo-authored-by: Who <who@elsewhere.invalid>\nCo-Authored-By: D <17+dave@noreply.localhost>"})
	r.review(w.carol, id, head, "APPROVED")
	r.review(w.dave, id, head, "APPROVED")
	s := r.snapshot(id)
	routes, unread := r.calls.seen()
	if unread != nil {
		t.Errorf("unread: %v", unread)
	}
	if len(routes) > 9 {
		t.Errorf("%d calls: %q", len(routes), routes)
	}

	r.run(t, "commits come oldest first, unmapped e-mails without a login, co-authors mapped where known", func(t *testing.T, r *repository) {
		want := []gate.Commit{
			{SHA: first, Author: "alice", AuthorEmail: "alice@slipway.invalid", Committer: "alice", CommitterEmail: "alice@slipway.invalid", Parents: 1},
			{SHA: head, Author: "", AuthorEmail: "nobody@elsewhere.invalid", Committer: s.Commits[1].Committer, CommitterEmail: s.Commits[1].CommitterEmail, Parents: 1,
				CoAuthors: []gate.CoAuthor{
					{Login: "carol", Email: "CAROL@slipway.invalid"},
					{Login: "", Email: "who@elsewhere.invalid"},
					{Login: "dave", Email: "17+dave@noreply.localhost"},
				}},
		}
		if diff := cmp.Diff(want, s.Commits); diff != "" || s.CommitsRead != ref.Yes {
			t.Errorf("read %s (-want +got):\n%s", s.CommitsRead, diff)
		}
	})
	r.run(t, "reviewers on the whitelist are eligible with the right to read", func(t *testing.T, r *repository) {
		if len(s.Reviews) != 2 || s.ReviewsRead != ref.Yes {
			t.Fatalf("got %+v", s.Reviews)
		}
		for i, who := range []string{"carol", "dave"} {
			got := s.Reviews[i]
			if got.Reviewer != who || got.State != gate.ReviewApproved || got.Commit != head || got.Official != ref.Yes || got.Eligible != ref.Yes || got.ObservedHead != "" {
				t.Errorf("got %+v", got)
			}
		}
	})
	w.testMoves(t, r)
	w.testMergeable(t, r)
}

// testMoves changes the pull request while a snapshot is being read.
func (w *world) testMoves(t *testing.T, r *repository) {
	amid := func(t *testing.T, do func()) *Client {
		var once sync.Once
		return must(New(Config{URL: w.URL(), Login: "slipway", Token: func() (string, error) { return w.bot.Token, nil },
			HTTPClient: &http.Client{Transport: before("/commits", func() { once.Do(do) })}}))(t)
	}
	r.run(t, "a push between the reads makes no mixed snapshot", func(t *testing.T, r *repository) {
		id, _ := r.change("moving")
		client := amid(t, func() {
			head := r.commit(r.alice, "moving", file{path: "moved.txt", content: "x", message: "feat: moved"})
			r.eventually("its commits are listed up to the new head", func() bool {
				var list []struct {
					SHA ref.SHA `json:"sha"`
				}
				r.do(r.alice, http.MethodGet, "/pulls/"+itoa(id.Number)+"/commits", nil, &list)
				return len(list) > 0 && list[0].SHA == head
			})
		})
		_, err := freshly(t.Context(), client, id)
		wantFault(t, err, fault.Changed, id.String(), "moved")
	})
	r.run(t, "another base between the reads makes no mixed snapshot", func(t *testing.T, r *repository) {
		id, _ := r.change("rebased")
		r.commit(r.alice, "next", file{path: "next.txt", content: "x", message: "feat: next"})
		client := amid(t, func() {
			r.do(w.alice, http.MethodPatch, "/pulls/"+itoa(id.Number), map[string]string{"base": "next"}, nil)
		})
		_, err := freshly(t.Context(), client, id)
		wantFault(t, err, fault.Changed, id.String(), "base")
	})
}

// testFork is about a pull request by somebody without any right here.
func (w *world) testFork(t *testing.T) {
	r := w.repository(t, "forked")
	r.do(w.outsider, http.MethodPost, "/forks", map[string]any{}, nil)
	fork := w.as(t, ref.RepoID{Owner: "outsider", Name: "forked"}, w.outsider)
	head := fork.commit(w.outsider, "feat1", file{path: "a.txt", content: "a", message: "feat: a"})
	id := r.open(w.outsider, "outsider:feat1", "feat: a")
	r.settled(id)

	r.run(t, "it names the fork, and all is read from here", func(t *testing.T, r *repository) {
		s := r.snapshot(id)
		p := s.Pull
		if p.HeadRepo != fork.id || p.HeadBranch != "feat1" || p.Head != head || p.Author != "outsider" || len(s.Commits) != 1 || s.Commits[0].SHA != head {
			t.Errorf("got %+v", s)
		}
		if _, unread := r.calls.seen(); unread != nil {
			t.Error(unread)
		}
	})
	r.run(t, "its head takes the gate's status", func(t *testing.T, r *repository) {
		if err := r.client.PostStatus(t.Context(), r.id, change.Posted{Head: head, State: gate.StatePending, Text: "wait"}); err != nil {
			t.Fatal(err)
		}
	})
	r.run(t, "with the fork gone its head is still known", func(t *testing.T, r *repository) {
		fork.do(w.outsider, http.MethodDelete, "", nil, nil)
		s := r.snapshot(id)
		if !s.Pull.HeadRepo.IsZero() || s.Pull.Head != head || s.Checks.StatusesRead != ref.Yes || len(s.Checks.Statuses) != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func (w *world) testMergeable(t *testing.T, r *repository) {
	r.run(t, "a conflict is unknown at first and then certain", func(t *testing.T, r *repository) {
		head := r.commit(r.alice, "one", file{path: "same.txt", content: "one", message: "feat: one"})
		r.commit(r.alice, "two", file{path: "same.txt", content: "two", message: "feat: two"})
		one, two := r.open(r.alice, "one", "feat: one"), r.open(r.alice, "two", "feat: two")
		r.settled(one)
		r.settled(two)
		if err := r.merge(squash(one, head)); err != nil {
			t.Fatal(err)
		}
		const after = 3 * time.Second // for such a repository the check takes some tenths of one
		r.client.settling.after = after
		begun := time.Now()
		var seen []ref.Fact
		r.eventually("the conflict is certain", func() bool {
			fact := must(r.client.Pull(t.Context(), two))(t).Mergeable
			if len(seen) == 0 || seen[len(seen)-1] != fact {
				seen = append(seen, fact)
			}
			return fact == ref.No
		})
		if took := time.Since(begun); took < after {
			t.Errorf("certain after %s, before a check could be over", took)
		}
		if seen[len(seen)-2] != ref.Unknown {
			t.Errorf("the facts were %v, want unknown before no", seen)
		}
	})
	r.run(t, "a draft tells nothing about conflicts", func(t *testing.T, r *repository) {
		r.commit(r.alice, "wip", file{path: "wip.txt", content: "x", message: "feat: wip"})
		pull := must(r.client.Pull(t.Context(), r.open(r.alice, "wip", "WIP: wip")))(t)
		if pull.Draft != ref.Yes || pull.Mergeable != ref.Unknown {
			t.Errorf("draft %s, mergeable %s", pull.Draft, pull.Mergeable)
		}
	})
}

// testReviews is about what Gitea alone does: the conformance suite tells reviews
// apart by their heads.
func (w *world) testReviews(t *testing.T) {
	r := w.repository(t, "reviews")
	id, head := r.change("feat1")

	r.run(t, "a change request is told, and a later approval dismisses it", func(t *testing.T, r *repository) {
		r.review(w.dave, id, head, "REQUEST_CHANGES")
		asked := r.snapshot(id).Reviews
		if last := asked[len(asked)-1]; last.State != gate.ReviewChangesRequested || last.Eligible != ref.Yes {
			t.Errorf("got %+v", last)
		}
		r.review(w.dave, id, head, "APPROVED")
		after := r.snapshot(id).Reviews
		if before, last := after[len(after)-2], after[len(after)-1]; before.State != gate.ReviewDismissed || last.State != gate.ReviewApproved || last.Official != ref.Yes {
			t.Errorf("got %+v, then %+v", before, last)
		}
	})
	r.run(t, "who leaves the reviewers' team is no longer eligible, though still official", func(t *testing.T, r *repository) {
		r.leaveTeam("reviewers-reviews", "dave")
		got := r.snapshot(id).Reviews
		if last := got[len(got)-1]; last.Reviewer != "dave" || last.Eligible != ref.No || last.Official != ref.Yes {
			t.Errorf("got %+v", last)
		}
	})
	r.run(t, "a request for a review is no review", func(t *testing.T, r *repository) {
		n := len(r.snapshot(id).Reviews)
		r.do(w.alice, http.MethodPost, fmt.Sprintf("/pulls/%d/requested_reviewers", id.Number), map[string]any{"reviewers": []string{"ci"}}, nil)
		if got := r.snapshot(id).Reviews; len(got) != n {
			t.Errorf("got %+v", got)
		}
	})
}

func (w *world) testEligible(t *testing.T) {
	w.testEligibleByRight(t)
	w.testEligibleByTeam(t)
	w.testEligibleByPattern(t)
}

func (w *world) testEligibleByRight(t *testing.T) {
	t.Run("without a whitelist those are eligible who may write now", func(t *testing.T) {
		r := w.repository(t, "no-whitelist", func(b *server.BranchRule) {
			b.EnableApprovalsWhitelist, b.ApprovalsWhitelist = false, nil
		})
		if err := w.SetCollaborator(t.Context(), "acme", "no-whitelist", "carol", server.Write); err != nil {
			t.Fatal(err)
		}
		id, head := r.change("feat1")
		for _, who := range []server.Account{w.ci, w.carol, w.dave} {
			r.review(who, id, head, "APPROVED")
		}
		r.wantEligible(id, map[string]ref.Fact{"ci": ref.Yes, "carol": ref.Yes, "dave": ref.No})
		r.do(w.Admin(), http.MethodDelete, "/collaborators/carol", nil, nil)
		r.wantEligible(id, map[string]ref.Fact{"ci": ref.Yes, "carol": ref.No, "dave": ref.No})
	})
}

func (w *world) testEligibleByTeam(t *testing.T) {
	t.Run("a team on the whitelist counts by its members, unknown to a bot outside the organisation", func(t *testing.T) {
		r := w.repository(t, "team-whitelist", func(b *server.BranchRule) {
			b.ApprovalsWhitelist, b.ApprovalsWhitelistTeams = nil, []string{"reviewers-team-whitelist"}
		})
		id, head := r.change("feat1")
		r.review(w.carol, id, head, "APPROVED")
		r.review(w.ci, id, head, "APPROVED")
		r.wantEligible(id, map[string]ref.Fact{"carol": ref.Unknown, "ci": ref.Unknown})
		if _, unread := r.calls.seen(); unread == nil || !strings.Contains(unread.Error(), id.String()) {
			t.Errorf("nobody was told why: %v", unread)
		}

		// A bot of the organisation, with the scope to read it, knows of a team
		// that the organisation's members may see.
		inside := w.member(t, "slipway-inside", "team-whitelist")
		w.showTeam(t, "reviewers-team-whitelist")
		r = w.as(t, r.id, inside)
		r.wantEligible(id, map[string]ref.Fact{"carol": ref.Yes, "ci": ref.No})
	})
}

func (w *world) testEligibleByPattern(t *testing.T) {
	t.Run("a rule with a pattern is found for the branch", func(t *testing.T) {
		r := w.repository(t, "pattern", func(b *server.BranchRule) {
			b.Name, b.ApprovalsWhitelist = "m?i*", []string{"carol"}
		})
		id, head := r.change("feat1")
		r.review(w.carol, id, head, "APPROVED")
		r.review(w.dave, id, head, "APPROVED")
		r.wantEligible(id, map[string]ref.Fact{"carol": ref.Yes, "dave": ref.No})
	})
}

// wantEligible compares who may approve now.
func (r *repository) wantEligible(id ref.PullID, want map[string]ref.Fact) {
	r.t.Helper()
	got := map[string]ref.Fact{}
	for _, v := range r.snapshot(id).Reviews {
		got[v.Reviewer] = v.Eligible
	}
	if diff := cmp.Diff(want, got); diff != "" {
		_, unread := r.calls.seen()
		r.t.Errorf("eligible (-want +got):\n%s\nunread: %v", diff, unread)
	}
}
