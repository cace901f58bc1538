package gitea

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"slipway/gate"
	"slipway/internal/canary"
	"slipway/internal/fault"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// hand is an account's for a repository.
func (r *repository) hand(who server.Account) Hand {
	r.t.Helper()
	return NewHand(r.as(r.t, r.id, who).client)
}

func (r *repository) proposal(name string) canary.Proposal {
	return canary.Proposal{Repo: r.id, Base: "main", Branch: canary.Prefix + name, Title: "test: " + name, Path: "canary/" + name + ".txt", Content: name}
}

func (r *repository) branches() []string {
	r.t.Helper()
	var list []struct {
		Name string `json:"name"`
	}
	r.do(r.alice, http.MethodGet, "/branches?limit=50", nil, &list)
	var out []string
	for _, b := range list {
		if strings.HasPrefix(b.Name, canary.Prefix) {
			out = append(out, b.Name)
		}
	}
	return out
}

func (w *world) testHand(t *testing.T) {
	r := w.repository(t, "hand")
	alice, ci, carol := r.hand(w.alice), r.hand(w.ci), r.hand(w.carol)

	r.run(t, "what a hand does is what the gate sees", func(t *testing.T, r *repository) {
		p := r.proposal("seen")
		p.Mail = "canary@nobody.invalid"
		id, first, err := alice.Propose(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.snapshot(id); s.Pull.Head != first || s.Pull.HeadBranch != p.Branch || !s.Pull.Canary() || len(s.Commits) != 1 || s.Commits[0].Author != "" || s.Commits[0].AuthorEmail != p.Mail {
			t.Errorf("proposed %+v", s)
		}
		if err := carol.Review(t.Context(), id, first, true); err != nil {
			t.Fatal(err)
		}
		head, err := alice.Push(t.Context(), r.id, p.Branch, "canary/more.txt", "more")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first makes the label
			if err := alice.Label(t.Context(), id, "On Hold"); err != nil {
				t.Fatal(err)
			}
		}
		if err := ci.Status(t.Context(), r.id, head, "scan", gate.StateFailure); err != nil {
			t.Fatal(err)
		}
		if err := r.hand(w.dave).Review(t.Context(), id, head, false); err != nil {
			t.Fatal(err)
		}
		s := r.snapshot(id)
		if s.Pull.Head != head || head == first || !slices.Equal(s.Pull.Labels, []string{"On Hold"}) {
			t.Errorf("pushed to and labelled: %+v", s.Pull)
		}
		if len(s.Reviews) != 2 || s.Reviews[0].Commit != first || s.Reviews[1].Reviewer != "dave" || s.Reviews[1].State != gate.ReviewChangesRequested || s.Reviews[1].Commit != head {
			t.Errorf("reviews %+v", s.Reviews)
		}
		if !slices.ContainsFunc(s.Checks.Statuses, func(c gate.Status) bool {
			return c.Context == "scan" && c.State == gate.StateFailure && c.Creator == "ci"
		}) {
			t.Errorf("statuses %+v", s.Checks.Statuses)
		}
	})
	r.run(t, "who may not is told so", func(t *testing.T, r *repository) {
		if _, _, err := carol.Propose(t.Context(), r.proposal("refused")); fault.KindOf(err) != fault.Permanent {
			t.Errorf("a reader proposes: %v", err)
		}
		r.commit(r.alice, canary.Prefix+"alone", file{path: "alone.txt", content: "alone", message: "test: alone"})
		if err := carol.TakeBack(t.Context(), r.id, canary.Prefix); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "remove "+canary.Prefix+"alone") {
			t.Errorf("a reader removes a branch: %v", err)
		}
	})
	r.run(t, "all that is its own is taken back, and nobody else's", func(t *testing.T, r *repository) {
		mine, _, err := alice.Propose(t.Context(), r.proposal("mine"))
		if err != nil {
			t.Fatal(err)
		}
		theirs, _, err := ci.Propose(t.Context(), r.proposal("theirs"))
		if err != nil {
			t.Fatal(err)
		}
		other, _ := r.change("feat-of-hand")
		for range 2 { // what is gone already is no error
			if err := alice.TakeBack(t.Context(), r.id, canary.Prefix); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[ref.PullID]ref.Fact{mine: ref.No, theirs: ref.Yes, other: ref.Yes} {
			if p := must(r.client.Pull(t.Context(), id))(t); p.Open != want || p.Merged == ref.Yes {
				t.Errorf("%s is open: %s, merged: %s", id, p.Open, p.Merged)
			}
		}
		if left := r.branches(); !slices.Equal(left, []string{canary.Prefix + "theirs"}) {
			t.Errorf("branches left: %q", left)
		}
	})
}
