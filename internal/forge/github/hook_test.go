package github

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers"
)

func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestVerify(t *testing.T) {
	body := []byte(`{"zen":"Design for failure."}`)
	good := signature("s3cr3t", body)
	tests := []struct {
		name   string
		secret string
		given  []string
		valid  bool
		signed bool // as far as the header alone shows
	}{
		{"what was signed with the secret is valid", "s3cr3t", []string{good}, true, true},
		{"an empty secret verifies nothing", "", []string{signature("", body)}, false, true},
		{"without a signature it is refused", "s3cr3t", nil, false, false},
		{"two signatures are refused, though one is right", "s3cr3t", []string{good, good}, false, false},
		{"another secret's signature is refused", "s3cr3t", []string{signature("other", body)}, false, true},
		{"a signature without its prefix is refused", "s3cr3t", []string{strings.TrimPrefix(good, "sha256=")}, false, false},
		{"another algorithm's prefix is refused", "s3cr3t", []string{"sha512=" + strings.TrimPrefix(good, "sha256=")}, false, true},
		{"half a signature is refused", "s3cr3t", []string{good[:39]}, false, false},
		{"an empty signature is refused", "s3cr3t", []string{""}, false, false},
		{"what is no hexadecimal is refused", "s3cr3t", []string{"sha256=" + strings.Repeat("z", 64)}, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{SignatureHeader: test.given}
			if err := Verify(test.secret, header, body); (err == nil) != test.valid {
				t.Errorf("Verify: %v", err)
			}
			if got := Signed(header); got != test.signed {
				t.Errorf("Signed: %t", got)
			}
		})
	}
}

func TestABodyThatWasChangedIsRefused(t *testing.T) {
	header := http.Header{SignatureHeader: {signature("s3cr3t", []byte(`{"number":1}`))}}
	if err := Verify("s3cr3t", header, []byte(`{"number":2}`)); err == nil {
		t.Fatal("it was taken")
	}
}

func TestHint(t *testing.T) {
	const (
		repo = `"repository":{"full_name":"acme/app"}`
		sha  = `"1111111111111111111111111111111111111111"`
	)
	pull := &reconcile.Hint{Repo: someRepo(), Number: 7}
	commit := &reconcile.Hint{Repo: someRepo(), SHA: someCommit}
	people := &reconcile.Hint{Repo: someRepo(), People: true}
	branch := func(name string) *reconcile.Hint { return &reconcile.Hint{Repo: someRepo(), Branch: name} }
	tests := []struct {
		name  string
		body  string
		hint  *reconcile.Hint // nil: nothing to look at
		fault string          // "": none
	}{
		{"a pull request", `{"action":"opened","number":7,"pull_request":{"number":7},` + repo + `}`, pull, ""},
		{"a push to a pull request", `{"action":"synchronize","number":7,"before":` + sha + `,"after":` + sha + `,"pull_request":{"number":7},` + repo + `}`, pull, ""},
		{"a review", `{"action":"submitted","review":{},"pull_request":{"number":7},` + repo + `}`, pull, ""},
		{"a pull request that contradicts itself is refused", `{"number":8,"pull_request":{"number":7},` + repo + `}`, nil, "number 8 and number 7"},
		{"a comment on a pull request", `{"issue":{"number":7,"pull_request":{"url":"x"}},"comment":{},` + repo + `}`, pull, ""},
		{"an issue that was labelled is news of issues", `{"action":"labeled","issue":{"number":7},"label":{"name":"work"},` + repo + `}`, &reconcile.Hint{Repo: someRepo(), Issues: true}, ""},
		{"a comment on an issue is no news", `{"issue":{"number":7},"comment":{},` + repo + `}`, nil, ""},
		{"a comment on an issue that says so with null is no news", `{"issue":{"number":7,"pull_request":null},"comment":{},` + repo + `}`, nil, ""},
		{"a check run", `{"check_run":{"head_sha":` + sha + `},` + repo + `}`, commit, ""},
		{"a check suite", `{"check_suite":{"head_sha":` + sha + `},` + repo + `}`, commit, ""},
		{"a workflow run", `{"workflow_run":{"head_sha":` + sha + `},"workflow":{},` + repo + `}`, commit, ""},
		{"a workflow job", `{"workflow_job":{"head_sha":` + sha + `},` + repo + `}`, commit, ""},
		{"a check run on an abbreviated commit is refused", `{"check_run":{"head_sha":"1111111"},` + repo + `}`, nil, "not a full commit id"},
		{"a status", `{"context":"ci/test","sha":` + sha + `,"state":"success",` + repo + `}`, commit, ""},
		{"a status of Slipway's own gate is no news", `{"context":"slipway/gate","sha":` + sha + `,` + repo + `}`, nil, ""},
		{"a push to a branch", `{"ref":"refs/heads/feat/x","before":` + sha + `,"after":` + sha + `,` + repo + `}`, branch("feat/x"), ""},
		{"a push of a tag is no news", `{"ref":"refs/tags/v1.0.0","after":` + sha + `,` + repo + `}`, nil, ""},
		{"a new branch", `{"ref":"feat/x","ref_type":"branch",` + repo + `}`, branch("feat/x"), ""},
		{"a new tag is no news", `{"ref":"v1.0.0","ref_type":"tag",` + repo + `}`, nil, ""},
		{"a collaborator who came or went re-opens every question", `{"action":"removed","member":{"login":"bob"},` + repo + `}`, people, ""},
		{"a team that was given the repository re-opens every question", `{"action":"added_to_repository","team":{"name":"x"},` + repo + `}`, people, ""},
		{"a changed protection re-opens every question", `{"action":"edited","rule":{},` + repo + `}`, people, ""},
		{"a changed ruleset re-opens every question", `{"action":"edited","repository_ruleset":{"id":1},` + repo + `}`, people, ""},
		{"a member of a team, who is of no repository, is no news", `{"action":"added","member":{},"team":{},"organization":{}}`, nil, ""},
		{"a ping is no news", `{"zen":"x","hook_id":1,` + repo + `}`, nil, ""},
		{"an installation is no news", `{"action":"created","installation":{"id":1},"repositories":[]}`, nil, ""},
		{"what is no JSON is refused", `payload=%7B%7D`, nil, "read the delivery"},
		{"a repository whose name is none is refused", `{"repository":{"full_name":"acme"},"number":7,"pull_request":{"number":7}}`, nil, "OWNER/NAME"},
		{"the number zero is refused", `{"pull_request":{"number":0},` + repo + `}`, nil, "not the number"},
		{"a branch without a name is refused", `{"ref":"refs/heads/","after":` + sha + `,` + repo + `}`, nil, "no branch"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hint, ok, err := Hint(http.Header{}, []byte(test.body))
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) || ok {
					t.Fatalf("got %v, %v, %v", hint, ok, err)
				}
				return
			}
			if err != nil || ok != (test.hint != nil) {
				t.Fatalf("got %v, %v, %v", hint, ok, err)
			}
			if ok && hint != *test.hint {
				t.Errorf("got %+v, want %+v", hint, *test.hint)
			}
		})
	}
}

func TestTheEventHeaderDecidesNothing(t *testing.T) {
	header := http.Header{"X-Github-Event": {"ping"}}
	hint, ok, err := Hint(header, []byte(`{"number":7,"pull_request":{"number":7},"repository":{"full_name":"acme/app"}}`))
	if err != nil || !ok || hint.Number != 7 {
		t.Fatalf("got %v, %v, %v", hint, ok, err)
	}
}

// example is one event of the recorded deliveries that GitHub publishes.
type example struct {
	Name     string            `json:"name"`
	Examples []json.RawMessage `json:"examples"`
}

func examples(tb testing.TB) []example {
	tb.Helper()
	entry, err := servers.Find("", servers.GitHub)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(entry.Path("webhooks.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var list []example
	if err := json.Unmarshal(data, &list); err != nil {
		tb.Fatal(err)
	}
	return list
}

// TestPublishedDeliveries holds every delivery that GitHub publishes against
// what of it is a hint: a pull request's number, a commit or a branch. Of
// branches that are made or deleted it publishes none but tags, and of comments
// none but those on issues.
func TestPublishedDeliveries(t *testing.T) {
	kinds := map[string]string{
		"branch_protection_rule": "people", "check_run": "commit", "check_suite": "commit",
		"deployment": "commit", "deployment_review": "commit", "deployment_status": "commit", "issues": "issues", "member": "people",
		"pull_request": "pull", "pull_request_review": "pull", "pull_request_review_comment": "pull", "pull_request_review_thread": "pull",
		"push": "branch", "status": "commit", "team": "people", "team_add": "people", "workflow_job": "commit", "workflow_run": "commit",
	}
	got := map[string]string{}
	total := 0
	for _, event := range examples(t) {
		for i, body := range event.Examples {
			total++
			hint, ok, err := Hint(http.Header{}, body)
			if err != nil {
				t.Errorf("%s, example %d: %v", event.Name, i, err)
			}
			if ok {
				got[event.Name] = kindOf(t, hint)
			}
		}
	}
	if total < 300 {
		t.Errorf("only %d deliveries were read", total)
	}
	if diff := cmp.Diff(kinds, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestEveryWebhookThatIsPublished makes the least delivery that GitHub's
// description allows of every event and action, with real names and commits in
// it: it is a hint, or no news.
func TestEveryWebhookThatIsPublished(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the whole of GitHub's description")
	}
	api, err := Described()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{
		"branch-protection-rule": "people", "check-run": "commit", "check-suite": "commit", "create": "branch", "delete": "branch",
		"issues": "issues", "member": "people", "pull-request": "pull", "pull-request-review": "pull", "pull-request-review-comment": "pull",
		"pull-request-review-thread": "pull", "push": "branch", "repository-ruleset": "people", "status": "commit", "team": "people", "team-add": "people",
		"workflow-job": "commit", "workflow-run": "commit",
	}
	made := 0
	for _, name := range api.Webhooks() {
		d, err := api.Made(name)
		if err != nil {
			t.Logf("not made: %v", err)
			continue
		}
		made++
		var body any
		if err := json.Unmarshal(d.Body, &body); err != nil {
			t.Fatal(err)
		}
		filled := must(json.Marshal(filledIn(name, body)))(t)
		hint, ok, err := Hint(http.Header{}, filled)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := ""
		for event, kind := range kinds { // the longest that fits: an event's action follows it
			if (name == event || strings.HasPrefix(name, event+"-")) && !strings.HasPrefix(strings.TrimPrefix(name, event), "-review") {
				want = kind
			}
		}
		got := ""
		if ok {
			got = kindOf(t, hint)
		}
		ofOwner := strings.HasPrefix(name, "team-") || strings.HasPrefix(name, "repository-ruleset-") // or of a repository
		if got != want && !(ofOwner && got == "") {
			t.Errorf("%s is about %q, want %q", name, got, want)
		}
	}
	if made < 250 {
		t.Errorf("only %d were made", made)
	}
}

// filledIn puts names, numbers and commits where a delivery has neutral values.
func filledIn(event string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch key {
			case "full_name":
				v[key] = "acme/app"
			case "head_sha", "sha", "after", "before":
				v[key] = string(someCommit)
			case "number":
				v[key] = 7
			case "ref_type":
				v[key] = "branch"
			case "ref":
				v[key] = "main"
				if event == "push" {
					v[key] = "refs/heads/main"
				}
			default:
				v[key] = filledIn(event, value)
			}
		}
	case []any:
		for i := range v {
			v[i] = filledIn(event, v[i])
		}
	}
	return v
}

// kindOf is the one thing that a hint is about.
func kindOf(t *testing.T, h reconcile.Hint) string {
	t.Helper()
	if _, err := ref.ParseRepo(h.Repo.String()); err != nil {
		t.Errorf("hint %+v: %v", h, err)
	}
	kind := ""
	for k, set := range map[string]bool{"pull": h.Number > 0, "commit": h.SHA != "", "branch": h.Branch != "", "people": h.People, "issues": h.Issues} {
		if set {
			kind += k
		}
	}
	if !slices.Contains([]string{"pull", "commit", "branch", "people", "issues"}, kind) {
		t.Errorf("hint %+v is about %q", h, kind)
	}
	return kind
}

func FuzzHint(f *testing.F) {
	f.Add([]byte(`{"repository":{"full_name":"acme/app"},"member":{}}`))
	f.Add([]byte(`{"repository":{"full_name":"acme/app"},"pull_request":{"number":7},"number":7}`))
	f.Add([]byte(`{"repository":{"full_name":"acme/app"},"issue":{"number":7,"pull_request":{}}}`))
	f.Add([]byte(`{"repository":{"full_name":"acme/app"},"check_run":{"head_sha":"1111111111111111111111111111111111111111"}}`))
	f.Add([]byte(`{"repository":{"full_name":"acme/app"},"ref":"refs/heads/main","after":""}`))
	f.Add([]byte(`{"repository":{"full_name":"acme/app"},"issue":{"number":7},"action":"labeled"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		hint, ok, err := Hint(http.Header{}, body)
		switch {
		case ok && err != nil:
			t.Error("a hint and an error")
		case ok:
			kindOf(t, hint)
		case hint != reconcile.Hint{}:
			t.Errorf("no hint, but %+v", hint)
		}
	})
}
