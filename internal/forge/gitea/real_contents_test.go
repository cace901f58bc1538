package gitea

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

func (w *world) testContents(t *testing.T) {
	r := w.repository(t, "contents", openToPush)
	empty := must(r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "main"}))(t)
	exact := bytes.Repeat([]byte("x"), fileLimit)
	at := r.put(map[string][]byte{
		".slipway.yaml":       []byte("gate: {}\n"),
		"a folder/b#c?.txt":   {0, 1, 0xff},
		"exactly-1MiB":        exact,
		"longer-than-1MiB":    append(bytes.Clone(exact), 'x'),
		"much-longer-than-it": bytes.Repeat(exact, 12),
	})
	r.do(w.alice, http.MethodPost, "/diffpatch", map[string]string{"branch": "main", "message": "link",
		"content": "diff --git a/link b/link\nnew file mode 120000\n--- /dev/null\n+++ b/link\n@@ -0,0 +1 @@\n+.slipway.yaml\n\\ No newline at end of file\n"}, nil)
	linked := must(r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "main"}))(t)
	if linked == at {
		t.Fatal("the link was not committed")
	}

	tests := []struct {
		name    string
		at      ref.SHA
		path    string
		want    []byte
		refusal string // "": none
		kind    fault.Kind
	}{
		{name: "a file is read as it is", at: at, path: ".slipway.yaml", want: []byte("gate: {}\n")},
		{name: "at an older commit it is not there yet", at: empty, path: ".slipway.yaml"},
		{name: "any name and any byte is read", at: at, path: "a folder/b#c?.txt", want: []byte{0, 1, 0xff}},
		{name: "a file of exactly 1 MiB is read", at: at, path: "exactly-1MiB", want: exact},
		{name: "a longer one is refused", at: at, path: "longer-than-1MiB", refusal: "more than 1048576", kind: fault.Permanent},
		{name: "a much longer one is refused", at: at, path: "much-longer-than-it", refusal: "acme/contents", kind: fault.Permanent},
		{name: "a folder is refused", at: at, path: "a folder", refusal: "folder", kind: fault.Permanent},
		{name: "a link is refused, not followed", at: linked, path: "link", refusal: "symlink", kind: fault.Permanent},
		{name: "a path out of the repository is refused", at: at, path: "../secrets", refusal: "not a path", kind: fault.Permanent},
		{name: "an absent file is not found", at: at, path: "nothing.yaml"},
	}
	for _, test := range tests {
		r.run(t, test.name, func(t *testing.T, r *repository) {
			data, found, err := r.client.File(t.Context(), r.id, test.at, test.path)
			if test.refusal != "" {
				wantFault(t, err, test.kind, test.refusal)
				return
			}
			if err != nil || found != (test.want != nil) || !bytes.Equal(data, test.want) {
				t.Errorf("got %d bytes, %v, %v", len(data), found, err)
			}
		})
	}
	r.run(t, "in a repository that cannot be seen nothing is known to be absent", func(t *testing.T, r *repository) {
		r.do(w.Admin(), http.MethodPatch, "", map[string]any{"private": true}, nil)
		stranger := w.as(t, r.id, w.outsider).client
		_, _, err := stranger.File(t.Context(), r.id, at, "nothing.yaml")
		wantFault(t, err, fault.Permanent, "404")
		_, err = stranger.Tag(t.Context(), r.id, "v1.0.0")
		wantFault(t, err, fault.Permanent, "404")
		_, err = stranger.Page(t.Context(), r.id, "v1.0.0")
		wantFault(t, err, fault.Permanent, "404")
	})
}

// put commits files to main in one commit and returns it.
func (r *repository) put(files map[string][]byte) ref.SHA {
	r.t.Helper()
	type operation struct {
		Operation string `json:"operation"`
		Path      string `json:"path"`
		Content   string `json:"content"`
	}
	in := struct {
		Branch  string      `json:"branch"`
		Message string      `json:"message"`
		Files   []operation `json:"files"`
	}{Branch: "main", Message: "files: " + strings.Repeat("x", len(files))}
	for path, data := range files {
		in.Files = append(in.Files, operation{"create", path, base64.StdEncoding.EncodeToString(data)})
	}
	var made struct {
		Commit struct {
			SHA ref.SHA `json:"sha"`
		} `json:"commit"`
	}
	r.do(r.alice, http.MethodPost, "/contents", in, &made)
	return made.Commit.SHA
}
