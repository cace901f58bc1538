package github_test

import (
	"net/http"
	"testing"
	"time"

	"slipway/internal/ref"
	"slipway/test/servers/github"
)

func TestEveryAnswerFitsWhatGitHubPublishes(t *testing.T) {
	api := described(t)
	s := start(t, api)
	head := s.push("alice", "feat", github.Commit{Message: "feat: a", Files: map[string]string{"a.txt": "a\n", "deep/b.txt": "b\n"}})
	s.push("alice", "feat", github.Commit{Message: "feat: b", Files: map[string]string{"c.txt": "c\n"}, AuthorMail: "nobody@elsewhere.invalid"})
	s.as("alice", "POST", "/pulls", m{"title": "feat", "head": "feat", "base": "main", "body": "why"})
	run := s.RunCI(s.repo, github.Run{Workflow: "ci", Path: ".github/workflows/ci.yml", Event: "pull_request", Branch: "feat", SHA: head,
		Jobs: []github.Job{{Name: "test", Conclusion: "success"}, {Name: "lint"}}})
	s.as("alice", "POST", "/statuses/"+string(head), m{"state": "success", "context": "ci/x", "description": "well"})
	s.as("carol", "POST", "/pulls/1/reviews", m{"event": "APPROVE"})
	s.as("dave", "POST", "/pulls/1/reviews", m{"event": "COMMENT", "body": "hm"})
	comment := s.as("outsider", "POST", "/issues/1/comments", m{"body": "hello"})
	s.as("bot", "POST", "/issues/comments/"+number(field(comment, "id"))+"/reactions", m{"content": "+1"})
	s.as("bot", "POST", "/issues/1/labels", m{"labels": []string{"hold"}})
	s.as("bot", "POST", "/hooks", m{"name": "web", "config": m{"url": "http://127.0.0.1:1/", "content_type": "json", "secret": "s"}, "events": []string{"push"}})
	s.as("bot", "PUT", "/branches/main/protection", m{"required_status_checks": m{"strict": true, "contexts": []string{"ci/x"}}, "enforce_admins": true,
		"required_pull_request_reviews": m{"required_approving_review_count": 1}, "restrictions": nil})
	s.as("bot", "POST", "/rulesets", m{"name": "main", "target": "branch", "enforcement": "active",
		"conditions": m{"ref_name": m{"include": []string{"~DEFAULT_BRANCH"}, "exclude": []string{}}},
		"rules": []m{{"type": "pull_request", "parameters": m{"required_approving_review_count": 1, "dismiss_stale_reviews_on_push": true,
			"require_code_owner_review": false, "require_last_push_approval": false, "required_review_thread_resolution": false}}}})
	tag := s.as("bot", "POST", "/git/tags", m{"tag": "v1", "message": "one", "object": string(head), "type": "commit"})
	s.as("bot", "POST", "/git/refs", m{"ref": "refs/tags/v1", "sha": field(tag, "sha")})
	s.as("bot", "POST", "/releases", m{"tag_name": "v1", "name": "one", "body": "notes"})
	s.CreateTeam("acme", "core", "write", []string{"app"}, []string{"carol"})

	for _, path := range []string{
		"", "/pulls", "/pulls?state=all&head=acme:feat&base=main&sort=created&direction=asc", "/pulls/1", "/pulls/1", "/pulls/1/commits", "/pulls/1/files",
		"/pulls/1/reviews", "/commits/feat", "/commits?sha=feat", "/commits/feat/statuses", "/commits/" + string(head) + "/status",
		"/commits/" + string(head) + "/check-runs", "/commits/" + string(head) + "/pulls", "/actions/runs?head_sha=" + string(head),
		"/actions/runs/" + number(run) + "/jobs", "/actions/runs/" + number(run), "/issues/1/comments", "/issues/1/timeline", "/issues/1/labels", "/labels",
		"/compare/main...feat", "/contents/README.md", "/contents/deep?ref=feat", "/git/ref/heads/main", "/git/ref/tags/v1",
		"/git/matching-refs/heads/", "/git/tags/" + field(tag, "sha").(string), "/git/commits/" + string(head), "/releases", "/releases/tags/v1",
		"/collaborators", "/collaborators?permission=push", "/collaborators/carol/permission", "/teams", "/branches", "/branches/main",
		"/branches/main/protection", "/rules/branches/main", "/rulesets", "/hooks", "/activity?ref=refs/heads/feat",
	} {
		s.as("bot", "GET", path, nil)
	}
	for _, path := range []string{"/user", "/users/alice", "/users/acme", "/orgs/acme/teams", "/orgs/acme/teams/core", "/orgs/acme/teams/core/members", "/orgs/acme/teams/core/memberships/carol"} {
		if err := s.Call(t.Context(), s.token("bot"), "GET", path, nil, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestARequestThatIsNotDescribedIsToldAndRefused(t *testing.T) {
	s := start(t, described(t))
	tests := []struct {
		name, method, path string
		in                 any
	}{
		{"an unknown query parameter", "GET", "/pulls?head_sha=x", nil},
		{"a value out of the list", "GET", "/pulls?state=merged", nil},
		{"an unknown field", "POST", "/pulls", m{"title": "x", "head": "a", "base": "main", "squash": true}},
		{"a field of another type", "POST", "/pulls", m{"title": 1, "head": "a", "base": "main"}},
		{"a missing field", "POST", "/statuses/" + "0000000000000000000000000000000000000000", m{"context": "x"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := s.status("bot", test.method, test.path, test.in); got != http.StatusUnprocessableEntity {
				t.Errorf("got %d", got)
			}
			if told := s.taken(); len(told) != 1 {
				t.Errorf("told %v", told)
			}
		})
	}
}

func TestMergesKeepTheRulesAndLandInGit(t *testing.T) {
	for _, method := range []string{"squash", "merge", "rebase"} {
		t.Run(method, func(t *testing.T) {
			s := start(t, described(t))
			s.as("bot", "PUT", "/branches/main/protection", m{"required_status_checks": m{"strict": false, "contexts": []string{"ci"}}, "enforce_admins": nil,
				"required_pull_request_reviews": m{"required_approving_review_count": 1}, "restrictions": nil})
			first := s.push("alice", "feat", github.Commit{Message: "feat: a", Files: map[string]string{"a.txt": "a\n"}})
			head := s.push("alice", "feat", github.Commit{Message: "feat: b", Files: map[string]string{"b.txt": "b\n"}})
			s.as("alice", "POST", "/pulls", m{"title": "feat", "head": "feat", "base": "main"})
			before := s.as("bot", "GET", "/git/ref/heads/main", nil)
			want := func(why string, sha ref.SHA, status int) {
				t.Helper()
				if got := s.status("bot", "PUT", "/pulls/1/merge", m{"sha": string(sha), "merge_method": method}); got != status {
					t.Errorf("%s: got %d, want %d", why, got, status)
				}
			}
			want("no approval", head, http.StatusMethodNotAllowed)
			s.as("carol", "POST", "/pulls/1/reviews", m{"event": "APPROVE"})
			want("no check", head, http.StatusMethodNotAllowed)
			s.as("alice", "POST", "/statuses/"+string(head), m{"state": "success", "context": "ci"})
			want("another head", first, http.StatusConflict)
			if field(s.as("bot", "GET", "/git/ref/heads/main", nil), "object", "sha") != field(before, "object", "sha") {
				t.Fatal("something landed")
			}
			want("all is well", head, http.StatusOK)
			want("it is merged", head, http.StatusMethodNotAllowed)
			pull := s.as("bot", "GET", "/pulls/1", nil)
			if field(pull, "merged") != true || field(pull, "merged_by", "login") != "bot" {
				t.Errorf("got %v", pull)
			}
			if field(s.as("bot", "GET", "/contents/b.txt", nil), "content") == nil {
				t.Error("the file did not land")
			}
		})
	}
}

func TestMergeabilityIsNotKnownAtFirst(t *testing.T) {
	s := start(t, described(t))
	s.push("alice", "feat", github.Commit{Message: "feat", Files: map[string]string{"README.md": "mine\n"}})
	s.as("alice", "POST", "/pulls", m{"title": "feat", "head": "feat", "base": "main"})
	for _, want := range []any{nil, true} {
		if got := field(s.as("bot", "GET", "/pulls/1", nil), "mergeable"); got != want {
			t.Errorf("mergeable is %v, want %v", got, want)
		}
	}
	s.push("alice", "main", github.Commit{Message: "fix", Files: map[string]string{"README.md": "theirs\n"}})
	for _, want := range []any{nil, false} {
		if got := field(s.as("bot", "GET", "/pulls/1", nil), "mergeable"); got != want {
			t.Errorf("after a push to the base mergeable is %v, want %v", got, want)
		}
	}
}

func TestLimitsAndConditionalRequests(t *testing.T) {
	s := start(t, described(t))
	get := func(etag string) (int, http.Header) {
		request, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/repos/acme/app", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+s.token("bot"))
		request.Header.Set("If-None-Match", etag)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode, response.Header
	}
	_, first := get("")
	status, again := get(first.Get("ETag"))
	if left := first.Get("X-RateLimit-Remaining"); status != http.StatusNotModified || again.Get("X-RateLimit-Remaining") != left {
		t.Errorf("got %d with %s calls left, first %s", status, again.Get("X-RateLimit-Remaining"), left)
	}
	s.Exhaust("bot", time.Now().Add(time.Hour))
	if status, header := get(""); status != http.StatusForbidden || header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("at the primary limit: %d, %v", status, header)
	}
	s.Exhaust("bot", time.Time{})
	s.Slow("bot", 30*time.Second, 1)
	if status, header := get(""); status != http.StatusForbidden || header.Get("Retry-After") != "30" {
		t.Errorf("at the secondary limit: %d, %v", status, header)
	}
	if status, _ := get(""); status != http.StatusOK {
		t.Errorf("after it: %d", status)
	}
}
