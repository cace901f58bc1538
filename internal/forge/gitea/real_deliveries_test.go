package gitea

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// recordTo names the folder that TestRealGitea/Deliveries writes what it
// receives to, for testdata.
const recordTo = "SLIPWAY_RECORD_DELIVERIES"

// arrival is a delivery that was received.
type arrival struct {
	header http.Header
	body   []byte
	kind   string // event type, and the action where there is one
	hint   reconcile.Hint
}

// inbox receives deliveries.
type inbox struct {
	r        *repository
	received chan arrival
	got      []string
}

// receive subscribes to everything of a repository.
func (r *repository) receive() *inbox {
	r.t.Helper()
	in := &inbox{r: r, received: make(chan arrival, 1000)}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
		if err == nil {
			in.received <- arrival{header: request.Header, body: body}
		}
	}))
	r.t.Cleanup(receiver.Close)
	hook := server.Hook{URL: receiver.URL, Secret: deliverySecret, Events: append(server.AllEvents(), "issues", "wiki", "fork", "pull_request_milestone")}
	if _, err := r.AddHook(r.t.Context(), r.id.Owner, r.id.Name, hook); err != nil {
		r.t.Fatal(err)
	}
	return in
}

// wait waits for a delivery of a kind with a hint; every other one must be
// accepted too. The zero hint is none.
func (in *inbox) wait(kind string, want reconcile.Hint) {
	in.r.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case d := <-in.received:
			in.open(&d)
			in.got = append(in.got, fmt.Sprintf("%s: %v", d.kind, d.hint))
			if d.kind == kind && d.hint == want {
				keepDelivery(in.r.t, kind, d.header, d.body)
				return
			}
		case <-deadline:
			in.r.t.Fatalf("not delivered: %s %v; delivered:\n%s", kind, want, strings.Join(in.got, "\n"))
		}
	}
}

func (in *inbox) open(d *arrival) {
	in.r.t.Helper()
	if err := Verify(deliverySecret, d.header, d.body); err != nil {
		in.r.t.Fatal(err)
	}
	var err error
	if d.hint, _, err = Hint(d.header, d.body); err != nil {
		in.r.t.Fatalf("%v: %s", err, d.body)
	}
	var body struct {
		Action string `json:"action"`
	}
	if err := json.Unmarshal(d.body, &body); err != nil {
		in.r.t.Fatal(err)
	}
	d.kind = d.header.Get("X-Gitea-Event-Type")
	if body.Action != "" {
		d.kind += "__" + body.Action
	}
}

func (w *world) testDeliveries(t *testing.T) {
	r := w.repository(t, "deliveries", openToPush)
	in := r.receive()
	r.commit(w.alice, "main", file{path: ".gitea/workflows/green.yml", content: greenWorkflow, message: "ci: green"})
	in.wait("push", reconcile.Hint{Repo: r.id, Branch: "main"})
	head := r.commit(w.alice, "feat1", file{path: "a.txt", content: "a", message: "feat: a"})
	in.wait("create", reconcile.Hint{Repo: r.id, Branch: "feat1"})
	in.wait("push", reconcile.Hint{Repo: r.id, Branch: "feat1"})
	id := r.open(w.alice, "feat1", "feat: a")
	pull, commit := reconcile.Hint{Repo: r.id, Number: id.Number}, reconcile.Hint{Repo: r.id, SHA: head}
	issues := reconcile.Hint{Repo: r.id, Issues: true}
	in.wait("pull_request__opened", pull)
	in.wait("status", commit)
	in.wait("workflow_run__completed", commit)
	r.settled(id)
	number := itoa(id.Number)
	var comment, review, issue int64

	for _, step := range []struct {
		what string
		kind string
		want reconcile.Hint
		do   func(r *repository)
	}{
		{"a comment", "pull_request_comment__created", pull, func(r *repository) { comment = r.say(w.carol, id, "/hold") }},
		{"a comment that is edited", "pull_request_comment__edited", pull, func(r *repository) {
			r.do(w.carol, http.MethodPatch, "/issues/comments/"+itoa(comment), map[string]string{"body": "> /hold"}, nil)
		}},
		{"a comment that is deleted", "pull_request_comment__deleted", pull, func(r *repository) {
			r.do(w.carol, http.MethodDelete, "/issues/comments/"+itoa(comment), nil, nil)
		}},
		{"a label", "pull_request_label__label_updated", pull, func(r *repository) { r.label(id, "hold") }},
		{"labels taken off", "pull_request_label__label_cleared", pull, func(r *repository) {
			r.do(w.Admin(), http.MethodDelete, "/issues/"+number+"/labels", nil, nil)
		}},
		{"another base", "pull_request__edited", pull, func(r *repository) {
			r.commit(w.alice, "next", file{path: "n.txt", content: "n", message: "feat: n"})
			r.retarget(w.alice, id, "next")
		}},
		{"its own base again", "pull_request__edited", pull, func(r *repository) { r.retarget(w.alice, id, "main") }},
		{"a review asked for", "pull_request_review_request__review_requested", pull, func(r *repository) {
			r.do(w.alice, http.MethodPost, "/pulls/"+number+"/requested_reviewers", map[string]any{"reviewers": []string{"carol"}}, nil)
		}},
		{"an approval", "pull_request_review_approved__reviewed", pull, func(r *repository) { review = r.review(w.carol, id, head, "APPROVED") }},
		{"a rejection", "pull_request_review_rejected__reviewed", pull, func(r *repository) { r.review(w.dave, id, head, "REQUEST_CHANGES") }},
		{"a review without a verdict", "pull_request_review_comment__reviewed", pull, func(r *repository) { r.review(w.dave, id, head, "COMMENT") }},
		{"somebody to do it", "pull_request_assign__assigned", pull, func(r *repository) {
			r.do(w.alice, http.MethodPatch, "/issues/"+number, map[string]any{"assignees": []string{"alice"}}, nil)
		}},
		{"a milestone", "pull_request_milestone__milestoned", pull, func(r *repository) {
			var made struct {
				ID int64 `json:"id"`
			}
			r.do(w.Admin(), http.MethodPost, "/milestones", map[string]string{"title": "one"}, &made)
			r.do(w.Admin(), http.MethodPatch, "/issues/"+number, map[string]any{"milestone": made.ID}, nil)
		}},
		{"closed", "pull_request__closed", pull, func(r *repository) {
			r.do(w.alice, http.MethodPatch, "/pulls/"+number, map[string]string{"state": "closed"}, nil)
		}},
		{"opened again", "pull_request__reopened", pull, func(r *repository) {
			r.do(w.alice, http.MethodPatch, "/pulls/"+number, map[string]string{"state": "open"}, nil)
		}},
		{"an issue that is no pull request", "issues__opened", issues, func(r *repository) {
			var made struct {
				Number int64 `json:"number"`
			}
			r.do(w.alice, http.MethodPost, "/issues", map[string]string{"title": "an issue"}, &made)
			issue = made.Number
		}},
		{"a label on that", "issue_label__label_updated", issues, func(r *repository) { r.label(ref.PullID{Repo: r.id, Number: issue}, "work") }},
		{"that closed", "issues__closed", issues, func(r *repository) {
			r.do(w.alice, http.MethodPatch, "/issues/"+itoa(issue), map[string]string{"state": "closed"}, nil)
		}},
		{"a comment on that", "issue_comment__created", reconcile.Hint{}, func(r *repository) {
			r.say(w.carol, ref.PullID{Repo: r.id, Number: issue}, "hello")
		}},
		{"a page of the wiki", "wiki__created", reconcile.Hint{}, func(r *repository) {
			r.do(w.alice, http.MethodPost, "/wiki/new", map[string]string{"title": "Home", "content_base64": "aGVsbG8="}, nil)
		}},
		{"a fork", "fork", reconcile.Hint{}, func(r *repository) { r.do(w.outsider, http.MethodPost, "/forks", map[string]any{}, nil) }},
		{"a release", "release__published", reconcile.Hint{}, func(r *repository) {
			r.do(w.bot, http.MethodPost, "/releases", map[string]string{"tag_name": "v1.0.0", "target_commitish": "main"}, nil)
		}},
	} {
		r.run(t, step.what, func(t *testing.T, r *repository) {
			step.do(r)
			own := *in
			own.r = r
			own.wait(step.kind, step.want)
		})
	}
	r.run(t, "of a dismissal, a collaborator, a team and a protection nothing is delivered: the next look finds out", func(t *testing.T, r *repository) {
		r.dismiss(id, review)
		r.do(w.Admin(), http.MethodDelete, "/collaborators/ci", nil, nil)
		r.do(w.Admin(), http.MethodPatch, "/branch_protections/main", map[string]any{"required_approvals": 1}, nil)
		r.leaveTeam("reviewers-deliveries", "dave")
		r.label(id, "last") // what is delivered after all of that
		own := *in
		own.r, own.got = r, nil
		own.wait("pull_request_label__label_updated", pull)
		if len(own.got) != 1 {
			t.Errorf("delivered: %q", own.got)
		}
	})
}

// keepDelivery writes a delivery as it came, if asked to.
func keepDelivery(t testing.TB, kind string, header http.Header, body []byte) {
	t.Helper()
	dir := os.Getenv(recordTo)
	if dir == "" {
		return
	}
	var head strings.Builder
	names := make([]string, 0, len(header))
	for name := range header {
		if name == "Content-Type" || name == "X-Hub-Signature-256" || strings.HasPrefix(name, "X-Gitea-") && !strings.Contains(name, "Hook") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&head, "%s: %s\r\n", name, header.Get(name))
	}
	data := append([]byte(head.String()+"\r\n"), body...)
	if err := os.WriteFile(filepath.Join(dir, kind+".http"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
