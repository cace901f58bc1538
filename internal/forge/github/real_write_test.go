package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/github"
)

func TestMerging(t *testing.T) {
	const mergePath = "/repos/{owner}/{repo}/pulls/{pull_number}/merge"
	tests := []struct {
		name    string
		method  string
		prepare func(*site, ref.PullID) // before the merge
		merged  bool
		kind    fault.Kind // of the error, when not merged
	}{
		{"it squashes", "squash", nil, true, 0},
		{"it merges", "merge", nil, true, 0},
		{"it rebases", "rebase", nil, true, 0},
		{"an unknown way is permanent", "octopus", nil, false, fault.Permanent},
		{"a head that moved is refused", "squash", func(s *site, _ ref.PullID) {
			s.push("alice", "feature", github.Commit{Message: "More", Files: map[string]string{"b.txt": "x"}})
		}, false, fault.Changed},
		{"a conflict is for the next look", "squash", func(s *site, _ ref.PullID) {
			s.push("bob", "main", github.Commit{Message: "Clash", Files: map[string]string{"feature.txt": "else"}})
		}, false, fault.Changed},
		{"one that is closed is for the next look", "squash", func(s *site, id ref.PullID) {
			s.as("alice", "PATCH", fmt.Sprintf("/pulls/%d", id.Number), map[string]any{"state": "closed"})
		}, false, fault.Changed},
		{"a check that the forge misses is permanent", "squash", func(s *site, _ ref.PullID) {
			s.protect("ci/required")
		}, false, fault.Permanent},
		{"without the gate's own status it is permanent", "squash", func(s *site, _ ref.PullID) {
			s.protect(gate.StatusContext)
		}, false, fault.Permanent},
		{"a server in trouble is for later", "squash", func(s *site, _ ref.PullID) {
			s.Break("PUT", mergePath, 502, false)
		}, false, fault.Later},
		{"a missing right is permanent", "squash", func(s *site, _ ref.PullID) {
			s.SetCollaborator(s.repo, "slipway", "read")
		}, false, fault.Permanent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			c := s.client()
			id, head := s.change("feature")
			if test.prepare != nil {
				test.prepare(s, id)
			}
			s.taken()
			err := c.Merge(t.Context(), reconcile.MergeCall{ID: id, Head: head, Method: test.method, Title: "Add it (#1)", Message: "Because."})
			if puts := countOf(s.taken(), "PUT "); puts > 1 {
				t.Errorf("%d merges were asked for", puts)
			}
			p := must(c.Pull(t.Context(), id))(t)
			if (p.Merged == ref.Yes) != test.merged || (err == nil) != test.merged {
				t.Fatalf("merged %s: %v", p.Merged, err)
			}
			if !test.merged {
				if kind := fault.KindOf(err); kind != test.kind {
					t.Errorf("kind %d, want %d: %v", kind, test.kind, err)
				}
				return
			}
			if p.Open != ref.No || p.MergedBy != "slipway" || p.MergedAt.IsZero() || p.MergeSHA != p.BaseHead {
				t.Errorf("merged as %+v", p)
			}
			if _, err := c.Branch(t.Context(), ref.BranchID{Repo: s.repo, Name: "feature"}); err != nil {
				t.Errorf("its branch: %v", err)
			}
		})
	}
}

// GitHub may not know everywhere yet of a status that it has just taken.
func TestAGateThatWasJustPostedIsForTheNextLook(t *testing.T) {
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"id":1}`))
			return
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = w.Write([]byte(`{"message":"Required status check \"slipway/gate\" is expected."}`))
	})
	for _, test := range []struct {
		state gate.State
		head  ref.SHA // of the merge
		want  fault.Kind
	}{
		{gate.StateSuccess, someCommit, fault.Changed},
		{gate.StateSuccess, otherCommit, fault.Permanent},
		{gate.StatePending, someCommit, fault.Permanent},
	} {
		if err := c.PostStatus(t.Context(), someRepo(), change.Posted{Head: someCommit, State: test.state}); err != nil {
			t.Fatal(err)
		}
		err := c.Merge(t.Context(), reconcile.MergeCall{ID: somePull(), Head: test.head, Method: "squash"})
		if got := fault.KindOf(err); got != test.want {
			t.Errorf("%s posted, %s merged: kind %d, %v", test.state, test.head.Short(), got, err)
		}
	}
}

// protect requires a check on main.
func (s *site) protect(check string) {
	s.as("slipway", "PUT", "/branches/main/protection", map[string]any{
		"required_status_checks": map[string]any{"strict": false, "contexts": []string{check}},
		"enforce_admins":         true, "required_pull_request_reviews": nil, "restrictions": nil,
	})
}

func countOf(calls []string, start string) int {
	n := 0
	for _, c := range calls {
		if strings.HasPrefix(c, start) {
			n++
		}
	}
	return n
}

func TestWithoutAHeadNothingIsMerged(t *testing.T) {
	c := answered(t, func(http.ResponseWriter, *http.Request) { t.Error("it called") })
	err := c.Merge(t.Context(), reconcile.MergeCall{ID: somePull(), Method: "squash"})
	if fault.KindOf(err) != fault.Permanent {
		t.Errorf("got %v", err)
	}
}

func TestTheBranchIsDeletedOnlyAtTheMergedHead(t *testing.T) {
	s := start(t)
	feature := ref.BranchID{Repo: s.repo, Name: "feature"}
	t.Run("it is deleted when asked for", func(t *testing.T) {
		c := s.client()
		id, head := s.change("feature")
		if err := c.Merge(t.Context(), reconcile.MergeCall{ID: id, Head: head, Method: "squash", Title: "x", DeleteBranch: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Branch(t.Context(), feature); status(err) != 404 {
			t.Errorf("it is still there: %v", err)
		}
	})
	t.Run("one that moved on stays", func(t *testing.T) {
		id, head := s.change("feature")
		var newer ref.SHA
		c := s.client(func(c *Config) {
			c.OnCall = func(method, _ string, _ int, _ time.Duration) {
				if method == "PUT" {
					newer = s.push("alice", "feature", github.Commit{Message: "Late", Files: map[string]string{"late.txt": "x"}})
				}
			}
		})
		if err := c.Merge(t.Context(), reconcile.MergeCall{ID: id, Head: head, Method: "squash", Title: "x", DeleteBranch: true}); err != nil {
			t.Fatal(err)
		}
		if tip := must(c.Branch(t.Context(), feature))(t); tip != newer || newer == "" {
			t.Errorf("at %s, want %s", tip, newer)
		}
	})
}

func TestTheGatesStatus(t *testing.T) {
	s := start(t)
	c := s.client()
	_, head := s.change("feature")
	for _, state := range []gate.State{gate.StatePending, gate.StateFailure, gate.StateSuccess} {
		if err := c.PostStatus(t.Context(), s.repo, change.Posted{Head: head, State: state, Text: strings.Repeat("ä", 200)}); err != nil {
			t.Fatal(err)
		}
	}
	checks := must(c.Checks(t.Context(), s.repo, head))(t)
	last := checks.Statuses[len(checks.Statuses)-1]
	if len(checks.Statuses) != 3 || last.Context != gate.StatusContext || last.State != gate.StateSuccess || last.Creator != "slipway" || len([]rune(last.Description)) != 140 {
		t.Errorf("got %+v", checks.Statuses)
	}
	if err := c.PostStatus(t.Context(), s.repo, change.Posted{Head: head, State: gate.StateSkipped}); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a state that it cannot have: %v", err)
	}
}

func TestTalking(t *testing.T) {
	s := start(t)
	c := s.client()
	id, _ := s.change("feature")
	comment := must(c.Comment(t.Context(), id, "Waiting."))(t)
	if err := c.EditComment(t.Context(), id, comment, "Ready."); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.React(t.Context(), id, comment, reconcile.ReactionDone); err != nil {
			t.Fatal(err)
		}
	}
	l := s.look(c, id, reconcile.Want{Fresh: true})
	if len(l.Comments) != 1 || l.Comments[0].ID != comment || l.Comments[0].Body != "Ready." || l.Comments[0].Author != "slipway" {
		t.Errorf("comments: %+v", l.Comments)
	}
	if err := c.EditComment(t.Context(), id, comment+1000, "x"); fault.KindOf(err) != fault.Changed {
		t.Errorf("a comment that is gone: %v", err)
	}
}

func TestTagsAndPages(t *testing.T) {
	s := start(t)
	c := s.client()
	ctx := t.Context()
	tip := must(c.Branch(ctx, ref.BranchID{Repo: s.repo, Name: "main"}))(t)
	if got := must(c.Tag(ctx, s.repo, "v1.0.0"))(t); got.Exists != ref.No {
		t.Errorf("before: %+v", got)
	}
	if err := c.PublishPage(ctx, s.repo, "v1.0.0", "", "x"); fault.KindOf(err) != fault.Changed {
		t.Errorf("a page without a tag: %v", err)
	}
	if err := c.CreateTag(ctx, s.repo, "v1.0.0", tip, "The first."); err != nil {
		t.Fatal(err)
	}
	if got := must(c.Tag(ctx, s.repo, "v1.0.0"))(t); got.Exists != ref.Yes || got.Commit != tip {
		t.Errorf("after: %+v, want %s", got, tip)
	}
	if err := c.CreateTag(ctx, s.repo, "v1.0.0", tip, "Again."); fault.KindOf(err) != fault.Changed {
		t.Errorf("a tag that is there: %v", err)
	}
	if got := must(c.Page(ctx, s.repo, "v1.0.0"))(t); got.Exists != ref.No {
		t.Errorf("a page before: %+v", got)
	}
	if err := c.PublishPage(ctx, s.repo, "v1.0.0", "", "What is new."); err != nil {
		t.Fatal(err)
	}
	if got := must(c.Page(ctx, s.repo, "v1.0.0"))(t); got.Exists != ref.Yes || got.URL == "" {
		t.Errorf("a page after: %+v", got)
	}
	if err := c.PublishPage(ctx, s.repo, "v1.0.0", "", "Again."); fault.KindOf(err) != fault.Changed {
		t.Errorf("a page that is there: %v", err)
	}
	if _, err := c.Tag(ctx, ref.RepoID{Owner: "acme", Name: "gone"}, "v1.0.0"); err == nil {
		t.Error("a repository that cannot be seen has no tag, it says")
	}
}

func TestRevertPulls(t *testing.T) {
	s := start(t)
	c := s.client()
	ctx := t.Context()
	find := func() change.RevertFact { return must(c.FindPull(ctx, s.repo, "slipway/revert-1", "main"))(t) }
	if got := find(); got.Found != ref.No {
		t.Errorf("before: %+v", got)
	}
	if _, err := c.OpenPull(ctx, s.repo, "slipway/revert-1", "main", "Revert", "x"); fault.KindOf(err) != fault.Changed {
		t.Errorf("from a branch that is not there: %v", err)
	}
	head := s.push("slipway", "slipway/revert-1", github.Commit{Message: "Revert", Files: map[string]string{"r.txt": "r"}})
	id := must(c.OpenPull(ctx, s.repo, "slipway/revert-1", "main", "Revert", "x"))(t)
	if got := find(); got.Found != ref.Yes || got.Pull != id || got.State != stateOpen {
		t.Errorf("after: %+v", got)
	}
	if _, err := c.OpenPull(ctx, s.repo, "slipway/revert-1", "main", "Revert", "x"); fault.KindOf(err) != fault.Changed {
		t.Errorf("one that is open: %v", err)
	}
	if err := c.Merge(ctx, reconcile.MergeCall{ID: id, Head: head, Method: "merge", Title: "Revert"}); err != nil {
		t.Fatal(err)
	}
	if got := find(); got.State != stateMerged {
		t.Errorf("merged: %+v", got)
	}
	s.push("alice", "slipway/revert-2", github.Commit{Message: "x", Files: map[string]string{"y.txt": "r"}})
	s.as("alice", "POST", "/pulls", map[string]any{"title": "Mine", "head": "slipway/revert-2", "base": "main"})
	if got := must(c.FindPull(ctx, s.repo, "slipway/revert-2", "main"))(t); got.Found != ref.No {
		t.Errorf("somebody else's: %+v", got)
	}
}

func TestFiles(t *testing.T) {
	s := start(t)
	c := s.client()
	ctx := t.Context()
	head := s.push("alice", "main", github.Commit{Message: "Files", Files: map[string]string{
		".slipway.yaml": "gate: {}\n", "dir/a b#c?.txt": "odd\n", "a..b": "dots\n", "empty": "", "big": strings.Repeat("x", fileLimit+1),
	}})
	for path, want := range map[string]string{".slipway.yaml": "gate: {}\n", "dir/a b#c?.txt": "odd\n", "a..b": "dots\n", "empty": ""} {
		data, found, err := c.File(ctx, s.repo, head, path)
		if err != nil || !found || string(data) != want {
			t.Errorf("%s: %q, %t, %v", path, data, found, err)
		}
	}
	if _, found, err := c.File(ctx, s.repo, head, "none"); found || err != nil {
		t.Errorf("one that is not there: %t, %v", found, err)
	}
	for _, path := range []string{"dir", "big", "../x", "/x", ""} {
		if _, found, err := c.File(ctx, s.repo, head, path); found || fault.KindOf(err) != fault.Permanent || err == nil {
			t.Errorf("%q: %t, %v", path, found, err)
		}
	}
	if _, found, err := c.File(ctx, ref.RepoID{Owner: "acme", Name: "gone"}, head, "x"); found || err == nil {
		t.Errorf("of a repository that cannot be seen: %t, %v", found, err)
	}
}

func TestOpenPulls(t *testing.T) {
	s := start(t)
	c := s.client()
	one, _ := s.change("one")
	two, head := s.change("two")
	before := must(c.OpenPulls(t.Context(), s.repo))(t)
	if len(before) != 2 || before[0].ID != one || before[1].ID != two || before[0].Fingerprint == before[1].Fingerprint {
		t.Fatalf("got %+v", before)
	}
	s.push("alice", "one", github.Commit{Message: "More", Files: map[string]string{"m.txt": "m"}})
	after := must(c.OpenPulls(t.Context(), s.repo))(t)
	if after[0].Fingerprint == before[0].Fingerprint || after[1].Fingerprint != before[1].Fingerprint {
		t.Error("a push changes its own fingerprint alone")
	}
	if err := c.Merge(t.Context(), reconcile.MergeCall{ID: two, Head: head, Method: "squash", Title: "x"}); err != nil {
		t.Fatal(err)
	}
	if left := must(c.OpenPulls(t.Context(), s.repo))(t); len(left) != 1 || left[0].ID != one {
		t.Errorf("left: %+v", left)
	}
}

func TestWhoItIs(t *testing.T) {
	s := start(t)
	name, email, err := s.client().Self(t.Context())
	if err != nil || name != "slipway" || email != fmt.Sprintf("%d+slipway@users.noreply.127.0.0.1", s.who["slipway"].ID) {
		t.Errorf("%s <%s>, %v", name, email, err)
	}
	other := s.client(func(c *Config) { c.Login = "somebody" })
	if _, _, err := other.Self(t.Context()); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "that of slipway") {
		t.Errorf("another account's token: %v", err)
	}
	s.Revoke(s.who["slipway"].Token)
	if _, _, err := s.client().Self(context.Background()); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a token that is worth nothing: %v", err)
	}
}
