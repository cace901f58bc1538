package gitea

import (
	"net/http"
	"strings"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// testRelease is about what Gitea alone does; the conformance suite makes tags and
// pages, each once.
func (w *world) testRelease(t *testing.T) {
	r := w.repository(t, "release")
	tip := must(r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "main"}))(t)
	const tag = ref.Tag("v1.0.1")

	r.run(t, "a tag without a message is annotated all the same, a light one is read", func(t *testing.T, r *repository) {
		if err := r.client.CreateTag(t.Context(), r.id, tag, tip, ""); err != nil {
			t.Fatal(err)
		}
		r.do(w.bot, http.MethodPost, "/tags", map[string]any{"tag_name": "light", "target": tip}, nil)
		for _, tag := range []ref.Tag{tag, "light"} {
			if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got.Commit != tip {
				t.Errorf("%s: got %+v", tag, got)
			}
		}
		var refs []struct {
			Object struct {
				Type string `json:"type"`
			} `json:"object"`
		}
		r.do(w.bot, http.MethodGet, "/git/refs/tags/"+string(tag), nil, &refs)
		if len(refs) != 1 || refs[0].Object.Type != "tag" {
			t.Errorf("got %+v", refs)
		}
	})
	r.run(t, "a protected tag by somebody else, and a commit that is not there, are refused for good", func(t *testing.T, r *repository) {
		alice := w.as(t, r.id, w.alice).client
		wantFault(t, alice.CreateTag(t.Context(), r.id, "v2.0.0", tip, "mine"), fault.Permanent, "protected")
		absent := ref.SHA(strings.Repeat("1", 40))
		wantFault(t, r.client.CreateTag(t.Context(), r.id, "v2.0.0", absent, "none"), fault.Permanent, "target not found")
	})
	r.run(t, "a page without a title is at the tag's address, and leaves the tag where it is", func(t *testing.T, r *repository) {
		if err := r.client.PublishPage(t.Context(), r.id, tag, "", "notes"); err != nil {
			t.Fatal(err)
		}
		page := must(r.client.Page(t.Context(), r.id, tag))(t)
		if page.Exists != ref.Yes || page.URL != w.URL()+"/acme/release/releases/tag/v1.0.1" {
			t.Errorf("got %+v", page)
		}
		if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got.Commit != tip {
			t.Errorf("the tag moved to %s", got.Commit)
		}
	})
	r.run(t, "a draft in its place is no page, and stays for a person", func(t *testing.T, r *repository) {
		r.do(w.bot, http.MethodPost, "/releases", map[string]any{"tag_name": "light", "target_commitish": "main", "name": "draft", "draft": true}, nil)
		if got := must(r.client.Page(t.Context(), r.id, "light"))(t); got.Exists != ref.No {
			t.Errorf("got %+v", got)
		}
		wantFault(t, r.client.PublishPage(t.Context(), r.id, "light", "light", "notes"), fault.Permanent, "draft")
	})
}
