package gitea

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// deliverySecret signed the recorded deliveries.
const deliverySecret = "s3cr3t"

// recorded reads a delivery as Gitea 1.27.3 sent it: its headers, an empty
// line, and the body to the byte.
func recorded(t testing.TB, name string) (http.Header, []byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "deliveries", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(bytes.NewReader(data))
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return http.Header(header), body
}

func TestRecordedDeliveries(t *testing.T) {
	app := ref.RepoID{Owner: "acme", Name: "app"}
	pull := func(n int64) *reconcile.Hint { return &reconcile.Hint{Repo: app, Number: n} }
	commit := func(sha ref.SHA) *reconcile.Hint { return &reconcile.Hint{Repo: app, SHA: sha} }
	branch := func(name string) *reconcile.Hint { return &reconcile.Hint{Repo: app, Branch: name} }
	deliveries := ref.RepoID{Owner: "acme", Name: "deliveries"}
	own := &reconcile.Hint{Repo: deliveries, Number: 1}
	tests := []struct {
		delivery string
		hint     *reconcile.Hint // nil: nothing to look at
	}{
		{"pull_request__opened", pull(1)},
		{"pull_request__edited", pull(12)},
		{"pull_request__closed", pull(12)},
		{"pull_request__reopened", pull(12)},
		{"pull_request__closed_merged", pull(2)},
		{"pull_request_sync__synchronized", pull(1)},
		{"pull_request_review_approved__reviewed", pull(1)},
		{"pull_request_review_rejected__reviewed", pull(1)},
		{"pull_request_review_comment__reviewed", pull(12)},
		{"pull_request_review_request__review_requested", pull(12)},
		{"pull_request_comment__created", pull(12)},
		{"pull_request_comment__edited", own},
		{"pull_request_comment__deleted", own},
		{"pull_request_label__label_updated", own},
		{"pull_request_label__label_cleared", own},
		{"pull_request_assign__assigned", own},
		{"pull_request_milestone__milestoned", own},
		{"issues__opened", &reconcile.Hint{Repo: deliveries, Issues: true}},
		{"issues__closed", &reconcile.Hint{Repo: deliveries, Issues: true}},
		{"issue_label__label_updated", &reconcile.Hint{Repo: deliveries, Issues: true}},
		{"issue_comment__created", nil},
		{"fork", nil},
		{"wiki__created", nil},
		{"workflow_run__completed", &reconcile.Hint{Repo: deliveries, SHA: "d8571eecced3be52a8e2bcbfe8aa4060475d0f6b"}},
		{"status_pending", commit("cfb7f5f2fa7d83cb9334ea1cd22234ac87bb10e0")},
		{"status_success", commit("cfb7f5f2fa7d83cb9334ea1cd22234ac87bb10e0")},
		{"status_failure", commit("cfb7f5f2fa7d83cb9334ea1cd22234ac87bb10e0")},
		{"push_main", branch("main")},
		{"push_branch", branch("feat1")},
		{"push_tag", nil},
		{"create", branch("feat1")},
		{"delete", branch("mover")},
		{"release__published", nil},
		{"workflow_run__requested", &reconcile.Hint{Repo: deliveries, SHA: "08c9ddab45764dcf89224711f7801ef370aafa42"}},
		{"workflow_job__queued", &reconcile.Hint{Repo: deliveries, SHA: "08c9ddab45764dcf89224711f7801ef370aafa42"}},
	}
	covered := map[string]bool{}
	for _, test := range tests {
		covered[test.delivery] = true
		t.Run(test.delivery, func(t *testing.T) {
			header, body := recorded(t, test.delivery)
			if err := Verify(deliverySecret, header, body); err != nil {
				t.Fatal(err)
			}
			hint, ok, err := Hint(header, body)
			if err != nil {
				t.Fatal(err)
			}
			var got *reconcile.Hint
			if ok {
				got = &hint
			}
			if diff := cmp.Diff(test.hint, got); diff != "" {
				t.Errorf("hint (-want +got):\n%s", diff)
			}
		})
	}
	all, err := filepath.Glob(filepath.Join("testdata", "deliveries", "*.http"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if name := strings.TrimSuffix(filepath.Base(path), ".http"); !covered[name] {
			t.Errorf("the recorded delivery %s is not tested", name)
		}
	}
}

func TestVerify(t *testing.T) {
	header, body := recorded(t, "status_success")
	good := header.Get(SignatureHeader)
	with := func(values ...string) http.Header { return http.Header{SignatureHeader: values} }
	tests := []struct {
		name   string
		secret string
		header http.Header
		body   []byte
		ok     bool
	}{
		{"the body as it came is accepted", deliverySecret, with(good), body, true},
		{"capitals in the signature are accepted", deliverySecret, with(strings.ToUpper(good)), body, true},
		{"without a signature it is refused", deliverySecret, http.Header{}, body, false},
		{"an empty signature is refused", deliverySecret, with(""), body, false},
		{"half a signature is refused", deliverySecret, with(good[:32]), body, false},
		{"a longer signature is refused", deliverySecret, with(good + "00"), body, false},
		{"what is not hexadecimal is refused", deliverySecret, with(strings.Repeat("z", 64)), body, false},
		{"two signatures are refused, one of them right", deliverySecret, with(good, good), body, false},
		{"another secret is refused", "other", with(good), body, false},
		{"no secret accepts nothing", "", with(good), body, false},
		{"one byte more is refused", deliverySecret, with(good), append(bytes.Clone(body), '\n'), false},
		{"another body is refused", deliverySecret, with(good), []byte("{}"), false},
		{"the signature of GitHub's name alone does not count", deliverySecret, http.Header{"X-Hub-Signature-256": {"sha256=" + good}}, body, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Verify(test.secret, test.header, test.body)
			if (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), good) {
				t.Errorf("the error repeats the right signature: %v", err)
			}
		})
	}
}

func TestHint(t *testing.T) {
	const (
		repo = `"repository":{"full_name":"acme/app"}`
		sha  = "cfb7f5f2fa7d83cb9334ea1cd22234ac87bb10e0"
	)
	app := ref.RepoID{Owner: "acme", Name: "app"}
	tests := []struct {
		name string
		body string
		want reconcile.Hint // zero: no hint
		bad  bool
	}{
		{name: "malformed JSON is an error", body: `{"repository":`, bad: true},
		{name: "an empty body is an error", body: ``, bad: true},
		{name: "a list is an error", body: `[]`, bad: true},
		{name: "a repository whose name is none is an error", body: `{"repository":{"full_name":"../x"},"number":1,"pull_request":{"number":1}}`, bad: true},
		{name: "a pull request without a number is an error", body: `{` + repo + `,"pull_request":{}}`, bad: true},
		{name: "two numbers are an error", body: `{` + repo + `,"number":1,"pull_request":{"number":2}}`, bad: true},
		{name: "a status on half a commit id is an error", body: `{` + repo + `,"context":"ci","sha":"cfb7f5f"}`, bad: true},
		{name: "an unknown event is no hint", body: `{` + repo + `,"package":{"name":"x"}}`},
		{name: "an event of no repository is no hint", body: `{"action":"created","organization":{}}`},
		{name: "a comment on an issue that is no pull request is no hint", body: `{` + repo + `,"issue":{"number":3},"comment":{"id":1},"is_pull":false}`},
		{name: "an issue tells of issues", body: `{` + repo + `,"action":"label_updated","issue":{"number":3}}`,
			want: reconcile.Hint{Repo: app, Issues: true}},
		{name: "a status of the gate itself is no hint", body: `{` + repo + `,"context":"slipway/gate","sha":"` + sha + `"}`},
		{name: "a new tag is no hint", body: `{` + repo + `,"ref":"v1.0.0","ref_type":"tag","sha":"` + sha + `"}`},
		{name: "a branch with slashes keeps its name", body: `{` + repo + `,"ref":"refs/heads/fix/a/b","before":"","after":"` + sha + `"}`,
			want: reconcile.Hint{Repo: app, Branch: "fix/a/b"}},
		{name: "a workflow run tells of its commit", body: `{` + repo + `,"workflow_run":{"head_sha":"` + sha + `"}}`,
			want: reconcile.Hint{Repo: app, SHA: sha}},
		{name: "a workflow job tells of its commit", body: `{` + repo + `,"workflow_job":{"head_sha":"` + sha + `"}}`,
			want: reconcile.Hint{Repo: app, SHA: sha}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok, err := Hint(http.Header{}, []byte(test.body))
			if (err != nil) != test.bad {
				t.Fatalf("got the error %v", err)
			}
			if ok != (test.want != reconcile.Hint{}) || got != test.want {
				t.Errorf("got %v, %v; want %v", got, ok, test.want)
			}
		})
	}
}

func TestTheEventNamedByTheHeadersDecidesNothing(t *testing.T) {
	header, body := recorded(t, "pull_request__opened")
	want, _, err := Hint(header, body)
	if err != nil {
		t.Fatal(err)
	}
	header.Set("X-Gitea-Event", "push")
	got, ok, err := Hint(header, body)
	if err != nil || !ok || got != want {
		t.Errorf("got %v, %v, %v; want %v", got, ok, err, want)
	}
}

// FuzzHint: whatever is delivered, there is an answer, and a hint is about the
// repository that the body names and about one thing.
func FuzzHint(f *testing.F) {
	all, err := filepath.Glob(filepath.Join("testdata", "deliveries", "*.http"))
	if err != nil || len(all) == 0 {
		f.Fatal("no recorded deliveries: ", err)
	}
	for _, path := range all {
		_, body := recorded(f, strings.TrimSuffix(filepath.Base(path), ".http"))
		f.Add(body)
	}
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"repository":null}`, `{"repository":{"full_name":"a/b"},"number":-1,"pull_request":{"number":-1}}`,
		`{"repository":{"full_name":"a/b"},"Repository":{"full_name":"c/d"},"issue":{"number":1},"is_pull":true}`,
		`{"repository":{"full_name":"a/b"},"workflow_run":{},"context":"ci"}`,
		`{"repository":{"full_name":"a/b"},"ref":"refs/heads/","after":""}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		hint, ok, err := Hint(http.Header{}, body)
		if !ok || err != nil {
			if hint != (reconcile.Hint{}) || ok {
				t.Fatalf("got %v, %v with %v", hint, ok, err)
			}
			return
		}
		if !slices.Contains(texts(t, body), hint.Repo.String()) {
			t.Errorf("a hint about %s, which the body does not name", hint.Repo)
		}
		about := 0
		for _, said := range []bool{hint.Number > 0, hint.SHA != "", hint.Branch != "", hint.Issues} {
			if said {
				about++
			}
		}
		if about != 1 || hint.Number < 0 {
			t.Errorf("a hint about %d things: %v", about, hint)
		}
	})
}

// texts are all texts in a JSON value.
func texts(t *testing.T, body []byte) []string {
	t.Helper()
	var all []string
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(string); ok {
			all = append(all, s)
		}
	}
}
