package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

func (w *world) testRights(t *testing.T) {
	r := w.repository(t, "rights")
	id, head := r.change("feat1")
	r.review(w.carol, id, head, "APPROVED")
	r.review(w.outsider, id, head, "APPROVED")
	with := func(t *testing.T, who server.Account, scopes ...string) *repository {
		t.Helper()
		who.Token = must(w.Token(t.Context(), who, scopes...))(t)
		return w.as(t, r.id, who)
	}
	success := change.Posted{Head: head, State: gate.StateSuccess, Text: "well"}

	r.run(t, "without a scope to write it reads everything and writes nothing", func(t *testing.T, r *repository) {
		reader := with(t, w.bot, "read:repository", "read:issue")
		s := reader.snapshot(id)
		if s.ReviewsRead != ref.Yes || s.CommitsRead != ref.Yes || s.Checks.JobsRead != ref.Yes || s.Reviews[0].Eligible != ref.Yes {
			t.Errorf("got %+v", s)
		}
		wantFault(t, reader.client.PostStatus(t.Context(), r.id, success), fault.Permanent, "403", "write:repository")
		wantFault(t, reader.client.Merge(t.Context(), squash(id, head)), fault.Permanent, "403", "write:repository")
		wantFault(t, reader.client.CreateTag(t.Context(), r.id, "v1.0.0", head, "x"), fault.Permanent, "403", "write:repository")
	})
	r.run(t, "without read:issue it is unknown when the base was changed, and so which reviews count", func(t *testing.T, r *repository) {
		reader := with(t, w.bot, "read:repository")
		look := must(reader.client.Look(t.Context(), id, reconcile.Want{Fresh: true}))(t)
		if look.CommentsRead != ref.Unknown || look.Snapshot.ReviewsRead != ref.Unknown || look.Snapshot.CommitsRead != ref.Yes {
			t.Errorf("got %+v", look)
		}
		if _, unread := reader.calls.seen(); unread == nil || !strings.Contains(unread.Error(), "timeline of "+id.String()) {
			t.Errorf("nobody was told why: %v", unread)
		}
	})
	r.run(t, "without write:issue it cannot comment", func(t *testing.T, r *repository) {
		_, err := with(t, w.bot, "write:repository").client.Comment(t.Context(), id, "hello")
		wantFault(t, err, fault.Permanent, "403", "write:issue")
	})
	r.run(t, "without a scope for repositories the pull request itself is refused", func(t *testing.T, r *repository) {
		_, err := freshly(t.Context(), with(t, w.bot, "write:issue").client, id)
		wantFault(t, err, fault.Permanent, id.String(), "403")
	})
	r.run(t, "without administering the repository it is unknown who may approve", func(t *testing.T, r *repository) {
		writer := w.as(t, r.id, w.alice)
		s := writer.snapshot(id)
		if s.Reviews[0].Eligible != ref.Unknown || s.CommitsRead != ref.Yes {
			t.Errorf("got %+v", s)
		}
		if _, unread := writer.calls.seen(); unread == nil || !strings.Contains(unread.Error(), "protection of the base of "+id.String()) {
			t.Errorf("unread: %v", unread)
		}
	})
	r.run(t, "an unknown token is refused for good, and not repeated", func(t *testing.T, r *repository) {
		stranger := w.bot
		stranger.Token = strings.Repeat("a1", 20)
		_, err := freshly(t.Context(), w.as(t, r.id, stranger).client, id)
		wantFault(t, err, fault.Permanent, id.String(), "401")
		if strings.Contains(err.Error(), stranger.Token) {
			t.Errorf("the token is in the error: %v", err)
		}
	})
	r.run(t, "the administering bot cannot force a merge past the rules", func(t *testing.T, r *repository) {
		strict := w.repository(t, "strict", func(b *server.BranchRule) { b.RequiredApprovals = 2 })
		id, head := strict.change("feat1")
		err := w.Call(t.Context(), w.bot.Token, http.MethodPost, "/repos/"+strict.id.String()+"/pulls/"+itoa(id.Number)+"/merge",
			map[string]any{"Do": "squash", "head_commit_id": head, "force_merge": true}, nil)
		var refusal *server.Refusal
		if !errors.As(err, &refusal) || refusal.Status != http.StatusMethodNotAllowed {
			t.Errorf("got %v", err)
		}
	})
	w.testUnread(t, r, id)
}

// testUnread makes single reads fail, on the way to the real server.
func (w *world) testUnread(t *testing.T, r *repository, id ref.PullID) {
	tests := []struct {
		name   string
		fails  string // the end of the path
		status int
		facts  func(gate.Snapshot) []ref.Fact // those that become unknown
	}{
		{"commits that cannot be read are unknown", "/commits", 503, func(s gate.Snapshot) []ref.Fact { return []ref.Fact{s.CommitsRead} }},
		{"reviews that cannot be read are unknown", "/reviews", 500, func(s gate.Snapshot) []ref.Fact { return []ref.Fact{s.ReviewsRead} }},
		{"changed files that cannot be read are unknown", "/files", 429, func(s gate.Snapshot) []ref.Fact { return []ref.Fact{s.WorkflowsChanged} }},
		{"runs that cannot be read are unknown", "/runs", 404, func(s gate.Snapshot) []ref.Fact { return []ref.Fact{s.Checks.JobsRead} }},
		{"who may approve is unknown without the protection", "/branch_protections", 502,
			func(s gate.Snapshot) []ref.Fact { return []ref.Fact{s.Reviews[0].Eligible, s.Reviews[1].Eligible} }},
	}
	for _, test := range tests {
		r.run(t, test.name, func(t *testing.T, r *repository) {
			var unread []error
			client := must(New(Config{URL: w.URL(), Login: "slipway", Token: func() (string, error) { return w.bot.Token, nil },
				HTTPClient: &http.Client{Transport: answering(test.fails, test.status)},
				OnUnread:   func(err error) { unread = append(unread, err) }}))(t)
			s := must(freshly(t.Context(), client, id))(t)
			for _, fact := range test.facts(s) {
				if fact != ref.Unknown {
					t.Errorf("got %s", fact)
				}
			}
			if s.Pull.Head == "" || len(unread) != 1 || !strings.Contains(unread[0].Error(), fmt.Sprint(test.status)) {
				t.Errorf("head %s, unread %v", s.Pull.Head, unread)
			}
		})
	}
	r.run(t, "the pull request itself is an error, to be tried later", func(t *testing.T, r *repository) {
		client := must(New(Config{URL: w.URL(), Login: "slipway", Token: func() (string, error) { return w.bot.Token, nil },
			HTTPClient: &http.Client{Transport: answering("/pulls/"+itoa(id.Number), 503)}}))(t)
		_, err := freshly(t.Context(), client, id)
		wantFault(t, err, fault.Later, id.String(), "503")
	})
	r.run(t, "a look that is called off is an error", func(t *testing.T, r *repository) {
		ctx, cancel := context.WithCancel(t.Context())
		client := must(New(Config{URL: w.URL(), Login: "slipway", Token: func() (string, error) { return w.bot.Token, nil },
			HTTPClient: &http.Client{Transport: before("/reviews", cancel)}}))(t)
		_, err := freshly(ctx, client, id)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// answering is a transport that answers calls whose path ends so by itself.
func answering(suffix string, status int) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(request.URL.Path, suffix) {
			return http.DefaultTransport.RoundTrip(request)
		}
		recorder := httptest.NewRecorder()
		recorder.WriteHeader(status)
		response := recorder.Result()
		response.Request = request
		return response, nil
	})
}
