package github_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/git"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/github"
)

// mirrors are Slipway's own git operations on the server, as somebody.
func (s *site) mirrors(login string) *git.Mirrors {
	s.t.Helper()
	g, err := git.New(git.Config{Dir: filepath.Join(s.t.TempDir(), "mirrors"), Name: "Slipway", Email: "slipway@example.invalid", Timeout: time.Minute,
		Remote: func(repo ref.RepoID) (git.Remote, error) {
			return git.Remote{URL: s.URL() + "/" + repo.String() + ".git", Username: login, Token: s.token(login)}, nil
		}})
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func (s *site) tip(branch string) ref.SHA {
	s.t.Helper()
	sha, _ := field(s.as("bot", "GET", "/git/ref/heads/"+branch, nil), "object", "sha").(string)
	return ref.SHA(sha)
}

func TestWhatLandsIsWhatGitWouldHaveMerged(t *testing.T) {
	for _, method := range []string{"squash", "merge", "rebase"} {
		t.Run(method, func(t *testing.T) {
			s := start(t, described(t))
			s.push("alice", "feat", github.Commit{Message: "feat: a", Files: map[string]string{"a.txt": "a\n"}})
			head := s.push("alice", "feat", github.Commit{Message: "feat: b", Files: map[string]string{"b.txt": "b\n"}})
			s.push("alice", "main", github.Commit{Message: "feat: base", Files: map[string]string{"base.txt": "x\n"}})
			s.as("alice", "POST", "/pulls", m{"title": "feat", "head": "feat", "base": "main"})
			s.as("bot", "PUT", "/pulls/1/merge", m{"sha": string(head), "merge_method": method})

			g := s.mirrors("bot")
			if err := g.Fetch(t.Context(), s.repo); err != nil {
				t.Fatal(err)
			}
			commits := 1
			if method == "rebase" {
				commits = 2
			}
			landed, err := g.Landed(t.Context(), s.repo, reconcile.Landing{Merge: s.tip("main"), Head: head, Method: method, Commits: commits})
			if err != nil {
				t.Fatal(err)
			}
			if landed.Equal != ref.Yes {
				t.Errorf("got %+v", landed)
			}
		})
	}
}

func TestRevertsTagsAndNotesArePushed(t *testing.T) {
	s := start(t, described(t))
	bad := s.push("alice", "main", github.Commit{Message: "feat: bad", Files: map[string]string{"bad.txt": "x\n"}})
	s.as("bot", "POST", "/git/refs", m{"ref": "refs/tags/v1.0.0", "sha": string(bad)})
	g := s.mirrors("bot")
	if err := g.Fetch(t.Context(), s.repo); err != nil {
		t.Fatal(err)
	}
	if tags, err := g.Tags(t.Context(), s.repo); err != nil || tags["v1.0.0"] != bad {
		t.Errorf("tags: %v, %v", tags, err)
	}
	if err := g.Note(t.Context(), s.repo, bad, "a receipt"); err != nil {
		t.Error(err)
	}
	if err := g.Revert(t.Context(), ref.BranchID{Repo: s.repo, Name: "main"}, bad, "slipway/revert-1", "revert: bad"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/git/ref/notes/slipway", "/git/ref/heads/slipway/revert-1"} {
		s.as("bot", "GET", name, nil)
	}
	s.as("bot", "POST", "/pulls", m{"title": "Revert", "head": "slipway/revert-1", "base": "main"})
	if files, _ := s.as("bot", "GET", "/pulls/1/files", nil).([]any); len(files) != 1 || field(files[0], "status") != "removed" {
		t.Errorf("got %v", files)
	}
}

// pushBy pushes a commit of everybody's own with git, and gives what git says.
func (s *site) pushBy(login, branch string) (string, error) {
	s.t.Helper()
	dir := s.t.TempDir()
	address := strings.Replace(s.URL(), "http://", "http://"+login+":"+s.token(login)+"@", 1) + "/" + s.repo.String() + ".git"
	script := `git clone -q "$1" . && git checkout -q -B work "origin/$2" 2>/dev/null || git checkout -q -B work origin/main
echo x >> x && git add x && git commit -q -m "feat: pushed" && git push -q "$1" "HEAD:refs/heads/$2"`
	cmd := exec.CommandContext(s.t.Context(), "/bin/sh", "-c", script, "sh", address, branch)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME="+login, "GIT_AUTHOR_EMAIL="+login+"@x.invalid",
		"GIT_COMMITTER_NAME="+login, "GIT_COMMITTER_EMAIL="+login+"@x.invalid")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAPushByGitMovesTheHeadAndDismissesWhatIsStale(t *testing.T) {
	s := start(t, described(t))
	old := s.push("alice", "feat", github.Commit{Message: "feat", Files: map[string]string{"a": "a"}})
	s.as("alice", "POST", "/pulls", m{"title": "feat", "head": "feat", "base": "main"})
	s.as("bot", "POST", "/rulesets", m{"name": "main", "enforcement": "active", "conditions": m{"ref_name": m{"include": []string{"refs/heads/main"}, "exclude": []string{}}},
		"rules": []m{{"type": "pull_request", "parameters": m{"required_approving_review_count": 1, "dismiss_stale_reviews_on_push": true,
			"require_code_owner_review": false, "require_last_push_approval": false, "required_review_thread_resolution": false}}}})
	s.as("carol", "POST", "/pulls/1/reviews", m{"event": "APPROVE"})
	if out, err := s.pushBy("alice", "feat"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pull := s.as("bot", "GET", "/pulls/1", nil)
	head, _ := field(pull, "head", "sha").(string)
	if head == string(old) || head != string(s.tip("feat")) {
		t.Errorf("the head is %s", head)
	}
	if got := s.as("bot", "GET", "/pulls/1/reviews", nil); field(got, 0, "state") != "DISMISSED" || field(got, 0, "commit_id") != string(old) {
		t.Errorf("got %v", got)
	}
	if got := field(s.as("bot", "GET", "/activity?ref=refs/heads/feat", nil), 0, "actor", "login"); got != "alice" {
		t.Errorf("pushed by %v", got)
	}
	err := s.Call(t.Context(), s.token("bot"), "PUT", "/repos/acme/app/pulls/1/merge", m{"sha": head}, nil)
	var refused *github.Refusal
	if !errors.As(err, &refused) || refused.Status != http.StatusMethodNotAllowed || !strings.Contains(refused.Body, "Repository rule violations found") {
		t.Errorf("got %v", err)
	}
}

func TestAProtectedBranchTakesNoPush(t *testing.T) {
	s := start(t, described(t))
	s.as("bot", "PUT", "/branches/main/protection", m{"required_status_checks": nil, "enforce_admins": true,
		"required_pull_request_reviews": m{"required_approving_review_count": 1}, "restrictions": nil})
	before := s.tip("main")
	out, err := s.pushBy("alice", "main")
	if err == nil || !strings.Contains(out, "GH006") || s.tip("main") != before {
		t.Errorf("got %v\n%s", err, out)
	}
	if out, err := s.pushBy("alice", "free"); err != nil {
		t.Errorf("another branch: %v\n%s", err, out)
	}
}

func TestWhoMayNotPushDoesNot(t *testing.T) {
	s := start(t, described(t))
	if out, err := s.pushBy("outsider", "feat"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("got %v\n%s", err, out)
	}
	s.Revoke(s.token("alice"))
	if out, err := s.pushBy("alice", "feat"); err == nil {
		t.Errorf("with a revoked token: %s", out)
	}
}
