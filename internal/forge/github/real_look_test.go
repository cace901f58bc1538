package github

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/github"
)

// settled looks until the server has computed whether it can be merged.
func (s *site) settled(c *Client, id ref.PullID, want reconcile.Want) reconcile.Look {
	s.t.Helper()
	for range 10 {
		if l := s.look(c, id, want); l.Snapshot.Pull.Mergeable != ref.Unknown {
			return l
		}
	}
	s.t.Fatalf("%s stays unsettled", id)
	return reconcile.Look{}
}

func TestALookBringsEverythingHome(t *testing.T) {
	s := start(t)
	c := s.client()
	s.CreateTeam("acme", "security", "read", []string{"app"}, []string{"bob", "mallory"})
	id, head := s.change("feature")
	s.review("bob", id, "APPROVE")
	s.review("carol", id, "REQUEST_CHANGES")
	s.review("mallory", id, "APPROVE")
	s.as("mallory", "POST", fmt.Sprintf("/issues/%d/comments", id.Number), map[string]any{"body": "/hold please"})
	s.as("bob", "POST", "/statuses/"+string(head), map[string]any{"context": "ci/bob", "state": "success"})
	s.RunCI(s.repo, github.Run{
		Workflow: "CI", Path: ".github/workflows/ci.yml", Event: "pull_request", Branch: "feature", SHA: head,
		Jobs: []github.Job{{Name: "test", Conclusion: "success"}, {Name: "lint", Conclusion: "skipped"}},
	})
	tip := s.push("bob", "main", github.Commit{Message: "Move on", Files: map[string]string{"other.txt": "x\n"}})

	l := s.settled(c, id, reconcile.Want{Fresh: true, Approvers: true, Teams: []string{"Acme/Security", "acme/nobody"}})
	p := l.Snapshot.Pull
	if p.Head != head || p.Base != "main" || p.BaseHead != tip || p.Author != "alice" || p.HeadRepo != s.repo || p.HeadBranch != "feature" {
		t.Errorf("pull request: %+v", p)
	}
	if p.Open != ref.Yes || p.Merged != ref.No || p.Draft != ref.No || p.Mergeable != ref.Yes || p.Title != "Add feature" || p.Body != "For all." || p.MergeSHA != "" {
		t.Errorf("pull request: %+v", p)
	}
	sn := l.Snapshot
	if len(sn.Commits) != 1 || sn.Commits[0].SHA != head || sn.Commits[0].Author != "alice" || sn.Commits[0].Committer != "alice" || sn.Commits[0].Parents != 1 {
		t.Errorf("commits: %+v", sn.Commits)
	}
	if diff := cmp.Diff([]gate.File{{Path: "feature.txt", Added: 2}}, sn.Files); diff != "" {
		t.Error(diff)
	}
	for name, fact := range map[string][2]ref.Fact{
		"commits read": {sn.CommitsRead, ref.Yes}, "files read": {sn.FilesRead, ref.Yes}, "reviews read": {sn.ReviewsRead, ref.Yes},
		"up to date": {sn.UpToDate, ref.No}, "workflows changed": {sn.WorkflowsChanged, ref.No}, "comments read": {l.CommentsRead, ref.Yes},
		"statuses read": {sn.Checks.StatusesRead, ref.Yes}, "jobs read": {sn.Checks.JobsRead, ref.Yes}, "pusher read": {sn.PusherRead, ref.Yes},
		"approvers read": {sn.ApproversRead, ref.Yes},
	} {
		if fact[0] != fact[1] {
			t.Errorf("%s: %s, want %s", name, fact[0], fact[1])
		}
	}
	if sn.Pusher != "alice" || !sn.Retargeted.IsZero() {
		t.Errorf("pushed by %q, retargeted %s", sn.Pusher, sn.Retargeted)
	}
	var reviews []string
	for _, r := range sn.Reviews {
		reviews = append(reviews, fmt.Sprintf("%s %s %s %s %t", r.Reviewer, r.State, r.Eligible, r.Official, r.Commit == head && !r.At.IsZero()))
	}
	if diff := cmp.Diff([]string{"bob approved yes yes true", "carol changes_requested yes yes true", "mallory approved no no true"}, reviews); diff != "" {
		t.Error(diff)
	}
	var statuses []string
	for _, st := range sn.Checks.Statuses {
		statuses = append(statuses, fmt.Sprintf("%s|%s|%s", st.Context, st.State, st.Creator))
	}
	slices.Sort(statuses)
	if diff := cmp.Diff([]string{"CI / lint (pull_request)|skipped|", "CI / test (pull_request)|success|", "ci/bob|success|bob"}, statuses); diff != "" {
		t.Error(diff)
	}
	rule := gate.CheckRule{Context: "CI / test (pull_request)", Workflow: ".github/workflows/ci.yml", Job: "test", Event: "pull_request"}
	if result := gate.CheckRequired([]gate.CheckRule{rule}, sn.Checks)[0]; result.State != gate.StateSuccess {
		t.Errorf("the check is not green: %+v", result)
	}
	if diff := cmp.Diff([]string{"alice", "bob", "carol", "slipway"}, sn.Approvers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]string{"acme/security": {"bob", "mallory"}}, sn.Teams); diff != "" {
		t.Error(diff)
	}
	if len(l.Comments) != 1 || l.Comments[0].Author != "mallory" || l.Comments[0].Body != "/hold please" || l.Comments[0].ID == 0 || l.Comments[0].At.IsZero() {
		t.Errorf("comments: %+v", l.Comments)
	}
	if l.Remembered {
		t.Error("a fresh look remembered something")
	}
	if len(s.unread) == 0 || !strings.Contains(s.unread[0].Error(), "acme/nobody") {
		t.Errorf("of a team that is not there it says %v", s.unread)
	}
}

func TestCommitsTellTheirAuthors(t *testing.T) {
	s := start(t)
	c := s.client()
	id, _ := s.change("feature")
	base := must(c.Branch(t.Context(), ref.BranchID{Repo: s.repo, Name: "main"}))(t)
	s.push("bob", "feature", github.Commit{Message: "More\n\nCo-authored-by: C <5+carol@users.noreply.github.com>\nCo-authored-by: X <x@nowhere.example>", AuthorMail: "unknown@nowhere.example"})
	head := s.push("alice", "feature", github.Commit{Message: "Workflow", Files: map[string]string{".github/workflows/ci.yml": "on: push\n"}})
	sn := s.look(c, id, reconcile.Want{Fresh: true}).Snapshot
	if len(sn.Commits) != 3 || sn.Commits[2].SHA != head || sn.Pull.Head != head || sn.Pull.BaseHead != base {
		t.Fatalf("commits: %+v of %+v", sn.Commits, sn.Pull)
	}
	one := sn.Commits[1]
	if one.Author != "" || one.AuthorEmail != "unknown@nowhere.example" || one.Committer != "bob" {
		t.Errorf("an unmapped author is told as %+v", one)
	}
	if diff := cmp.Diff([]gate.CoAuthor{{Login: "carol", Email: "5+carol@users.noreply.github.com"}, {Email: "x@nowhere.example"}}, one.CoAuthors); diff != "" {
		t.Error(diff)
	}
	if sn.WorkflowsChanged != ref.Yes || sn.UpToDate != ref.Yes || sn.Pusher != "alice" {
		t.Errorf("workflows changed %s, up to date %s, pushed by %q", sn.WorkflowsChanged, sn.UpToDate, sn.Pusher)
	}
	s.nothingUnread()
}

func TestAnApprovalIsOfItsOwnHead(t *testing.T) {
	s := start(t)
	c := s.client()
	id, first := s.change("feature")
	s.review("bob", id, "APPROVE")
	second := s.push("alice", "feature", github.Commit{Message: "More", Files: map[string]string{"b.txt": "x"}})
	sn := s.look(c, id, reconcile.Want{Fresh: true}).Snapshot
	if sn.Pull.Head != second || len(sn.Reviews) != 1 || sn.Reviews[0].Commit != first {
		t.Errorf("head %s, reviews %+v", sn.Pull.Head.Short(), sn.Reviews)
	}
}

func TestARightThatIsLostIsSeen(t *testing.T) {
	s := start(t)
	c := s.client()
	id, _ := s.change("feature")
	s.review("bob", id, "APPROVE")
	for right, want := range map[string]ref.Fact{"admin": ref.Yes, "maintain": ref.Yes, "write": ref.Yes, "triage": ref.No, "read": ref.No, "": ref.No} {
		s.SetCollaborator(s.repo, "bob", right)
		if got := s.look(c, id, reconcile.Want{Fresh: true}).Snapshot.Reviews[0].Eligible; got != want {
			t.Errorf("with %q: %s, want %s", right, got, want)
		}
	}
}

func TestAChangedBaseIsSeen(t *testing.T) {
	s := start(t)
	c := s.client()
	id, _ := s.change("feature")
	s.push("bob", "stable", github.Commit{Message: "Branch", Files: map[string]string{"s.txt": "s"}})
	s.as("alice", "PATCH", fmt.Sprintf("/pulls/%d", id.Number), map[string]any{"base": "stable"})
	sn := s.look(c, id, reconcile.Want{Fresh: true}).Snapshot
	if sn.Pull.Base != "stable" || sn.Retargeted.IsZero() {
		t.Errorf("base %s, retargeted %s", sn.Pull.Base, sn.Retargeted)
	}
}

func TestWhoPushedAHeadBackIsWhoPushedIt(t *testing.T) {
	s := start(t)
	c := s.client()
	id, first := s.change("feature")
	second := s.push("bob", "feature", github.Commit{Message: "More", Files: map[string]string{"m.txt": "m"}})
	for _, step := range []struct {
		who  string
		head ref.SHA
	}{{"", second}, {"carol", first}, {"alice", second}} {
		want := "bob"
		if step.who != "" {
			want = step.who
			s.as(step.who, "PATCH", "/git/refs/heads/feature", map[string]any{"sha": string(step.head), "force": true})
		}
		if sn := s.look(c, id, reconcile.Want{Fresh: true}).Snapshot; sn.Pull.Head != step.head || sn.Pusher != want || sn.PusherRead != ref.Yes {
			t.Errorf("%s was pushed by %q (%s), want %q", sn.Pull.Head.Short(), sn.Pusher, sn.PusherRead, want)
		}
	}
}

func TestAConflictIsSeen(t *testing.T) {
	s := start(t)
	c := s.client()
	id, _ := s.change("feature")
	s.push("bob", "main", github.Commit{Message: "Clash", Files: map[string]string{"feature.txt": "else\n"}})
	if p := s.settled(c, id, reconcile.Want{Fresh: true}).Snapshot.Pull; p.Mergeable != ref.No {
		t.Errorf("mergeable %s", p.Mergeable)
	}
}

func TestARenameHasBothPaths(t *testing.T) {
	s := start(t)
	c := s.client()
	lines := strings.Repeat("a line of it\n", 20)
	s.push("bob", "main", github.Commit{Message: "Old", Files: map[string]string{"old.txt": lines}})
	s.push("alice", "move", github.Commit{Message: "Move", Files: map[string]string{"new.txt": lines}, Removed: []string{"old.txt"}})
	made := s.as("alice", "POST", "/pulls", map[string]any{"title": "Move", "head": "move", "base": "main"})
	sn := s.look(c, ref.PullID{Repo: s.repo, Number: int64(made["number"].(float64))}, reconcile.Want{Fresh: true}).Snapshot
	if diff := cmp.Diff([]gate.File{{Path: "new.txt", Previous: "old.txt"}}, sn.Files); diff != "" {
		t.Error(diff)
	}
}

// TestAFirstLookMakesTwelveCalls however many review who may approve, with one
// workflow run; somebody who may not costs one more.
func TestAFirstLookMakesTwelveCalls(t *testing.T) {
	s := start(t)
	id, head := s.change("feature")
	s.review("bob", id, "APPROVE")
	s.review("carol", id, "APPROVE")
	s.RunCI(s.repo, github.Run{Workflow: "CI", Path: ".github/workflows/ci.yml", Event: "pull_request", Branch: "feature", SHA: head, Jobs: []github.Job{{Name: "test", Conclusion: "success"}}})
	s.settled(s.client(), id, reconcile.Want{Fresh: true})
	for _, test := range []struct {
		who   string
		calls int
	}{{"", 12}, {"mallory", 13}} {
		if test.who != "" {
			s.review(test.who, id, "APPROVE")
		}
		c := s.client()
		s.taken()
		l := s.look(c, id, reconcile.Want{Fresh: true, Approvers: true})
		if calls := s.taken(); len(calls) != test.calls {
			t.Errorf("%d calls, want %d: %q", len(calls), test.calls, calls)
		}
		for _, r := range l.Snapshot.Reviews {
			if want := ref.Known(r.Reviewer != "mallory"); r.Eligible != want || r.Official != want {
				t.Errorf("%s is eligible: %s, official: %s", r.Reviewer, r.Eligible, r.Official)
			}
		}
	}
	s.nothingUnread()
}

// TestLookingAgain holds what a look costs: all of it once, then only what
// changed counts against the limit, and a look that need not be fresh makes
// five calls.
func TestLookingAgain(t *testing.T) {
	s := start(t)
	c := s.client()
	id, head := s.change("feature")
	s.review("bob", id, "APPROVE")
	s.review("carol", id, "APPROVE")
	s.RunCI(s.repo, github.Run{Workflow: "CI", Path: ".github/workflows/ci.yml", Event: "pull_request", Branch: "feature", SHA: head, Jobs: []github.Job{{Name: "test", Conclusion: "success"}}})
	s.settled(c, id, reconcile.Want{Fresh: true})
	s.settled(c, id, reconcile.Want{Fresh: true})
	s.taken()
	used := s.Used("slipway")
	again := s.look(c, id, reconcile.Want{Fresh: true})
	calls := s.taken()
	t.Logf("a fresh look: %d calls, %d of them counted", len(calls), s.Used("slipway")-used)
	if got := s.Used("slipway") - used; got != 0 || again.Remembered {
		t.Errorf("%d calls counted for nothing new: %q", got, calls)
	}

	s.as("bob", "POST", "/statuses/"+string(head), map[string]any{"context": "ci/bob", "state": "success"})
	used = s.Used("slipway")
	s.taken()
	if n := len(s.look(c, id, reconcile.Want{Fresh: true}).Snapshot.Checks.Statuses); n != 2 {
		t.Errorf("%d statuses", n)
	}
	if got := s.Used("slipway") - used; got != 1 {
		t.Errorf("%d calls counted for one new status: %q", got, s.taken())
	}
}

// A look that need not be fresh asks for the pull request, its base and what is
// reported on the head: the rest cannot have changed without the first.
func TestALookThatNeedNotBeFreshMakesFiveCalls(t *testing.T) {
	s := start(t)
	c := s.client()
	id, head := s.change("feature")
	s.review("bob", id, "APPROVE")
	s.RunCI(s.repo, github.Run{Workflow: "CI", Path: ".github/workflows/ci.yml", Event: "pull_request", Branch: "feature", SHA: head, Jobs: []github.Job{{Name: "test", Conclusion: "success"}}})
	first := s.settled(c, id, reconcile.Want{Fresh: true})
	deadline := time.Now().Add(20 * time.Second)
	for { // the server's whole seconds must pass before it is sure
		s.settled(c, id, reconcile.Want{Fresh: true})
		s.taken()
		l := s.look(c, id, reconcile.Want{})
		calls := s.taken()
		if len(calls) == 5 {
			if !l.Remembered {
				t.Error("it does not say that it remembered")
			}
			if diff := cmp.Diff(first.Snapshot, l.Snapshot); diff != "" {
				t.Error(diff)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d calls: %q", len(calls), calls)
		}
	}
	s.review("carol", id, "APPROVE")
	if n := len(s.look(c, id, reconcile.Want{}).Snapshot.Reviews); n != 2 {
		t.Errorf("%d reviews after a new one", n)
	}
}

func TestAHeadThatMovesDuringALookIsTold(t *testing.T) {
	s := start(t)
	id, _ := s.change("feature")
	moved := false
	c := s.client(func(c *Config) {
		told := c.OnCall
		c.OnCall = func(method, route string, status int, took time.Duration) {
			if strings.HasSuffix(route, "/reviews") && !moved {
				moved = true
				s.push("alice", "feature", github.Commit{Message: "Meanwhile", Files: map[string]string{"m.txt": "m"}})
			}
			told(method, route, status, took)
		}
	})
	if _, err := c.Look(t.Context(), id, reconcile.Want{Fresh: true}); fault.KindOf(err) != fault.Changed {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeReadIsUnknown(t *testing.T) {
	tests := []struct {
		path string
		fact func(reconcile.Look) ref.Fact
	}{
		{"/repos/{owner}/{repo}/compare/{basehead}", func(l reconcile.Look) ref.Fact { return l.Snapshot.CommitsRead }},
		{"/repos/{owner}/{repo}/compare/{basehead}", func(l reconcile.Look) ref.Fact { return l.Snapshot.WorkflowsChanged }},
		{"/repos/{owner}/{repo}/compare/{basehead}", func(l reconcile.Look) ref.Fact { return l.Snapshot.UpToDate }},
		{"/repos/{owner}/{repo}/pulls/{pull_number}/reviews", func(l reconcile.Look) ref.Fact { return l.Snapshot.ReviewsRead }},
		{"/repos/{owner}/{repo}/issues/{issue_number}/timeline", func(l reconcile.Look) ref.Fact { return l.Snapshot.ReviewsRead }},
		{"/repos/{owner}/{repo}/collaborators/{username}/permission", func(l reconcile.Look) ref.Fact { return l.Snapshot.Reviews[0].Eligible }},
		{"/repos/{owner}/{repo}/commits/{ref}/statuses", func(l reconcile.Look) ref.Fact { return l.Snapshot.Checks.StatusesRead }},
		{"/repos/{owner}/{repo}/commits/{ref}/check-runs", func(l reconcile.Look) ref.Fact { return l.Snapshot.Checks.StatusesRead }},
		{"/repos/{owner}/{repo}/actions/runs", func(l reconcile.Look) ref.Fact { return l.Snapshot.Checks.JobsRead }},
		{"/repos/{owner}/{repo}/issues/{issue_number}/timeline", func(l reconcile.Look) ref.Fact { return l.CommentsRead }},
		{"/repos/{owner}/{repo}/activity", func(l reconcile.Look) ref.Fact { return l.Snapshot.PusherRead }},
	}
	s := start(t)
	id, _ := s.change("feature")
	s.review("bob", id, "APPROVE")
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			s.t = t
			c := s.client()
			if got := test.fact(s.look(c, id, reconcile.Want{Fresh: true})); got == ref.Unknown {
				t.Fatal("unknown though nothing is wrong")
			}
			s.Break("GET", test.path, 502, false)
			if got := test.fact(s.look(s.client(), id, reconcile.Want{Fresh: true})); got != ref.Unknown {
				t.Errorf("got %s", got)
			}
		})
	}
}
