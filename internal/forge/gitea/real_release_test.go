package gitea

import (
	"net/http"
	"strings"
	"testing"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

func (w *world) testRelease(t *testing.T) {
	r := w.repository(t, "release", openToPush)
	first := must(r.client.Branch(t.Context(), ref.BranchID{Repo: r.id, Name: "main"}))(t)
	second := r.commit(w.Admin(), "main", file{path: "a.txt", content: "a", message: "feat: a"})
	const tag = ref.Tag("v1.0.0")

	r.run(t, "before it is made there is no tag and no page", func(t *testing.T, r *repository) {
		if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got != (change.TagFact{Exists: ref.No}) {
			t.Errorf("got %+v", got)
		}
		if got := must(r.client.Page(t.Context(), r.id, tag))(t); got != (change.PageFact{Exists: ref.No}) {
			t.Errorf("got %+v", got)
		}
	})
	r.run(t, "a page without its tag is refused, and no tag is made for it", func(t *testing.T, r *repository) {
		wantFault(t, r.client.PublishPage(t.Context(), r.id, tag, "v1.0.0", "notes"), fault.Changed, "no such tag")
		if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got.Exists != ref.No {
			t.Errorf("got %+v", got)
		}
	})
	r.run(t, "the tag is annotated and peels to exactly the commit, not the newest", func(t *testing.T, r *repository) {
		if err := r.client.CreateTag(t.Context(), r.id, tag, first, "Version 1.0.0"); err != nil {
			t.Fatal(err)
		}
		if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got != (change.TagFact{Exists: ref.Yes, Commit: first}) {
			t.Errorf("got %+v, want %s", got, first)
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
	r.run(t, "a tag that exists is refused, for the same commit and for another", func(t *testing.T, r *repository) {
		for _, commit := range []ref.SHA{first, second} {
			wantFault(t, r.client.CreateTag(t.Context(), r.id, tag, commit, "again"), fault.Changed, "v1.0.0", "already exists")
		}
		if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got.Commit != first {
			t.Errorf("it moved to %s", got.Commit)
		}
	})
	r.run(t, "a tag without a message is annotated all the same, a light one is read", func(t *testing.T, r *repository) {
		if err := r.client.CreateTag(t.Context(), r.id, "v1.0.1", second, ""); err != nil {
			t.Fatal(err)
		}
		r.do(w.bot, http.MethodPost, "/tags", map[string]any{"tag_name": "light", "target": second}, nil)
		for _, tag := range []ref.Tag{"v1.0.1", "light"} {
			if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got.Commit != second {
				t.Errorf("%s: got %+v", tag, got)
			}
		}
	})
	r.run(t, "a protected tag by somebody else, and a commit that is not there, are refused for good", func(t *testing.T, r *repository) {
		alice := w.as(t, r.id, w.alice).client
		wantFault(t, alice.CreateTag(t.Context(), r.id, "v2.0.0", second, "mine"), fault.Permanent, "protected")
		absent := ref.SHA(strings.Repeat("1", 40))
		wantFault(t, r.client.CreateTag(t.Context(), r.id, "v2.0.0", absent, "none"), fault.Permanent, "target not found")
	})
	r.run(t, "the page is made once", func(t *testing.T, r *repository) {
		if err := r.client.PublishPage(t.Context(), r.id, tag, "", "notes"); err != nil {
			t.Fatal(err)
		}
		page := must(r.client.Page(t.Context(), r.id, tag))(t)
		if page.Exists != ref.Yes || page.URL != w.URL()+"/acme/release/releases/tag/v1.0.0" {
			t.Errorf("got %+v", page)
		}
		wantFault(t, r.client.PublishPage(t.Context(), r.id, tag, "again", "notes"), fault.Changed, "v1.0.0")
		if got := must(r.client.Tag(t.Context(), r.id, tag))(t); got.Commit != first {
			t.Errorf("the tag moved to %s", got.Commit)
		}
	})
	r.run(t, "a draft in its place is no page, and stays for a person", func(t *testing.T, r *repository) {
		r.do(w.bot, http.MethodPost, "/releases", map[string]any{"tag_name": "v1.0.1", "target_commitish": "main", "name": "draft", "draft": true}, nil)
		if got := must(r.client.Page(t.Context(), r.id, "v1.0.1"))(t); got.Exists != ref.No {
			t.Errorf("got %+v", got)
		}
		wantFault(t, r.client.PublishPage(t.Context(), r.id, "v1.0.1", "v1.0.1", "notes"), fault.Permanent, "draft")
	})
}
