package gitea_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/test/servers/gitea"
)

// workflow runs on both events that Slipway reads: it checks the code out with
// the job's own token, as no action can be fetched, and uses Go and git.
const workflow = `name: ci
on:
  pull_request:
  push:
    branches: [main]
jobs:
  test:
    runs-on: host
    steps:
      - name: check out
        run: |
          git init -q .
          git -c http.extraHeader="Authorization: token ${{ gitea.token }}" fetch -q --depth 1 ${{ gitea.server_url }}/${{ gitea.repository }}.git ${{ gitea.sha }}
          git checkout -q FETCH_HEAD
      - name: test
        run: go test ./...
      - name: look around
        run: |
          echo "home=$HOME"
          env
`

func TestAPullRequestIsCheckedReviewedMergedAndCheckedAgain(t *testing.T) {
	t.Setenv("SLIPWAY_TEST_SECRET", "hunter2")
	s := forge(t)
	dev, rev1, rev2, bot := cast(t, s)
	hooks := receiver(t)
	if _, err := s.AddHook(t.Context(), "acme", "app", gitea.Hook{URL: hooks.url, Secret: hooks.secret}); err != nil {
		t.Fatal(err)
	}
	runnerDir := t.TempDir()
	runner, err := s.StartRunner(t.Context(), runnerDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runner.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	api, err := s.Client(t.Context(), bot.Token)
	if err != nil {
		t.Fatal(err)
	}

	work := clone(t, s, dev, "acme/app")
	work.git("checkout", "-q", "-b", "feature")
	head := work.commit("feat: answer", map[string]string{
		".gitea/workflows/ci.yml": workflow,
		"go.mod":                  "module app\n\ngo 1.26.0\n",
		"app_test.go":             "package app\n\nimport \"testing\"\n\nfunc TestNothing(*testing.T) {}\n",
	})
	work.git("push", "-q", "origin", "feature")
	author, err := s.Client(t.Context(), dev.Token)
	if err != nil {
		t.Fatal(err)
	}
	pull, _, err := author.CreatePullRequest("acme", "app", sdk.CreatePullRequestOption{Head: "feature", Base: "main", Title: "feat: answer"})
	if err != nil {
		t.Fatal(err)
	}

	green(t, api, head, "ci / test (pull_request)")
	if out, err := work.try("push", "-q", "origin", "feature:main"); err == nil {
		t.Errorf("a push to the protected branch went through: %s", out)
	}
	for _, reviewer := range []gitea.Account{rev1, rev2} {
		approve(t, s, reviewer, pull.Index, head)
	}
	var refused *gitea.Refusal
	merge := map[string]any{"Do": "squash", "head_commit_id": head}
	eventually(t, "the merge is accepted", 15*time.Second, func() (bool, error) {
		err := s.Call(t.Context(), bot.Token, http.MethodPost, "/repos/acme/app/pulls/1/merge", merge, nil)
		if errors.As(err, &refused) && strings.Contains(refused.Body, "try again later") {
			return false, nil // mergeability is still being worked out
		}
		return err == nil, err
	})
	merged, _, err := api.GetPullRequest("acme", "app", pull.Index)
	if err != nil || !merged.HasMerged {
		t.Fatalf("merged %t, %v", merged.HasMerged, err)
	}
	green(t, api, *merged.MergedCommitID, "ci / test (push)")

	job := jobLog(t, api, head)
	if !strings.Contains(job, "home="+runnerDir) {
		t.Errorf("the job has another home:\n%s", job)
	}
	if strings.Contains(job, "hunter2") {
		t.Error("the job sees our environment")
	}
	for _, want := range []string{"push", "pull_request", "pull_request_review_approved", "status", "workflow_run", "workflow_job"} {
		eventually(t, "the webhook "+want+" arrives", 10*time.Second, func() (bool, error) { return hooks.got(want), nil })
	}
	if hooks.forged() {
		t.Error("a webhook's signature does not fit its body")
	}
}

// cast makes the people of one project and its rules: the developer writes, the
// reviewers read and approve, the bot administers and merges.
func cast(t *testing.T, s *gitea.Server) (dev, rev1, rev2, bot gitea.Account) {
	t.Helper()
	project(t, s)
	dev, rev1, rev2 = member(t, s, "dev"), member(t, s, "rev1"), member(t, s, "rev2")
	bot, err := s.CreateUser(t.Context(), "shipper", gitea.Bot)
	if err != nil {
		t.Fatal(err)
	}
	bot.Token, err = s.Token(t.Context(), bot, "write:repository", "write:issue", "write:package", "read:user")
	if err != nil {
		t.Fatal(err)
	}
	steps := []error{
		s.SetCollaborator(t.Context(), "acme", "app", dev.Login, gitea.Write),
		s.SetCollaborator(t.Context(), "acme", "app", bot.Login, gitea.Admin),
		s.CreateTeam(t.Context(), "acme", gitea.Team{
			Name:         "reviewers",
			Units:        map[string]string{"repo.code": "read", "repo.pulls": "read"},
			Repositories: []string{"app"},
			Members:      []string{rev1.Login, rev2.Login},
		}),
		s.CreateTeam(t.Context(), "acme", gitea.Team{
			Name:    "publishers",
			Units:   map[string]string{"repo.packages": "write"},
			Members: []string{bot.Login},
		}),
		s.ProtectBranch(t.Context(), "acme", "app", gitea.BranchRule{
			Name:                     "main",
			EnableStatusCheck:        true,
			StatusContexts:           []string{"ci / test (pull_request)"},
			RequiredApprovals:        2,
			EnableApprovalsWhitelist: true,
			ApprovalsWhitelist:       []string{rev1.Login, rev2.Login},
			EnableMergeWhitelist:     true,
			MergeWhitelist:           []string{bot.Login},
			DismissStaleApprovals:    true,
			IgnoreStaleApprovals:     true,
			BlockOnRejectedReviews:   true,
			BlockAdminMergeOverride:  true,
		}),
		s.ProtectTags(t.Context(), "acme", "app", "v*", bot.Login),
	}
	for _, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dev, rev1, rev2, bot
}

// approve approves and demands that Gitea counts it.
func approve(t *testing.T, s *gitea.Server, who gitea.Account, pull int64, head string) {
	t.Helper()
	client, err := s.Client(t.Context(), who.Token)
	if err != nil {
		t.Fatal(err)
	}
	review, _, err := client.CreatePullReview("acme", "app", pull, sdk.CreatePullReviewOptions{
		State: sdk.ReviewStateApproved, CommitID: head,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !review.Official {
		t.Errorf("the approval of %s is not official", who.Login)
	}
}

// green waits until the check succeeds on the commit, posted by no user.
func green(t *testing.T, api *sdk.Client, commit, check string) {
	t.Helper()
	eventually(t, check+" is green", 60*time.Second, func() (bool, error) {
		all, _, err := api.ListStatuses("acme", "app", commit, sdk.ListStatusesOption{})
		at := slices.IndexFunc(all, func(s *sdk.Status) bool {
			return s.Context == check && s.State != sdk.StatusPending
		})
		if at < 0 {
			return false, err
		}
		if all[at].State != sdk.StatusSuccess || all[at].Creator != nil {
			t.Fatalf("%s is %s by %v: %s", check, all[at].State, all[at].Creator, jobLog(t, api, commit))
		}
		return true, nil
	})
}

// jobLog returns what the first job of the first run on the commit printed.
func jobLog(t *testing.T, api *sdk.Client, commit string) string {
	t.Helper()
	runs, _, err := api.ListRepoActionRuns("acme", "app", sdk.ListRepoActionRunsOptions{HeadSHA: commit})
	if err != nil || len(runs.WorkflowRuns) == 0 {
		t.Fatalf("no run on %s: %v", commit, err)
	}
	jobs, _, err := api.ListRepoActionRunJobs("acme", "app", runs.WorkflowRuns[0].ID, sdk.ListRepoActionJobsOptions{})
	if err != nil || len(jobs.Jobs) == 0 {
		t.Fatalf("no job on %s: %v", commit, err)
	}
	log, _, err := api.GetRepoActionJobLogs("acme", "app", jobs.Jobs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// inbox takes webhooks and remembers their events.
type inbox struct {
	url, secret string

	mu     sync.Mutex
	events []string
	bad    bool
}

func receiver(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{secret: "whsec"}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(in.secret))
		mac.Write(body)
		want := hex.EncodeToString(mac.Sum(nil))
		in.mu.Lock()
		defer in.mu.Unlock()
		in.bad = in.bad || err != nil || r.Header.Get("X-Gitea-Signature") != want
		in.events = append(in.events, r.Header.Get("X-Gitea-Event-Type"))
	}))
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

func (in *inbox) got(event string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Contains(in.events, event)
}

func (in *inbox) forged() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bad
}
