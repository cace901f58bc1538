package gitea

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// look looks without what is remembered, again if the head is moving.
func (r *repository) look(id ref.PullID, want reconcile.Want) reconcile.Look {
	r.t.Helper()
	var look reconcile.Look
	r.eventually("the head stands still", func() bool {
		r.calls.reset()
		var err error
		look, err = r.client.Look(r.t.Context(), id, want)
		return settled(r.t, err)
	})
	return look
}

// retarget changes the base of a pull request.
func (r *repository) retarget(who server.Account, id ref.PullID, base string) {
	r.t.Helper()
	r.do(who, http.MethodPatch, "/pulls/"+itoa(id.Number), map[string]string{"base": base}, nil)
}

// say comments on a pull request and gives the comment's id.
func (r *repository) say(who server.Account, id ref.PullID, text string) int64 {
	r.t.Helper()
	var made struct {
		ID int64 `json:"id"`
	}
	r.do(who, http.MethodPost, fmt.Sprintf("/issues/%d/comments", id.Number), map[string]string{"body": text}, &made)
	return made.ID
}

func (w *world) testLook(t *testing.T) {
	r := w.repository(t, "look", openToPush)
	id, head := r.change("feat1")
	fresh := reconcile.Want{Fresh: true}

	r.run(t, "all of a new pull request is known, its pusher from the feed", func(t *testing.T, r *repository) {
		s := r.look(id, fresh).Snapshot
		if diff := cmp.Diff([]gate.File{{Path: "feat1.txt", Added: 1}}, s.Files); diff != "" || s.FilesRead != ref.Yes {
			t.Errorf("files read %s (-want +got):\n%s", s.FilesRead, diff)
		}
		if s.Pusher != "alice" || s.PusherRead != ref.Yes || s.UpToDate != ref.Yes || !s.Retargeted.IsZero() || s.WorkflowsChanged != ref.No {
			t.Errorf("got %+v", s)
		}
		if _, unread := r.calls.seen(); unread != nil {
			t.Error(unread)
		}
	})
	r.run(t, "who opens what somebody else pushed is not the pusher", func(t *testing.T, r *repository) {
		r.commit(w.ci, "feat2", file{path: "feat2.txt", content: "x", message: "feat: two", mail: "alice@slipway.invalid"})
		s := r.look(r.open(w.alice, "feat2", "feat: two"), fresh).Snapshot
		if s.Pusher != "ci" || s.PusherRead != ref.Yes || s.Pull.Author != "alice" {
			t.Errorf("got %q", s.Pusher)
		}
	})
	r.run(t, "who pushes last is the pusher, whoever wrote the commit", func(t *testing.T, r *repository) {
		head = r.commit(w.ci, "feat1", file{path: "more.txt", content: "x", message: "feat: more", mail: "alice@slipway.invalid"})
		r.eventually("the push is on the timeline", func() bool { return r.look(id, fresh).Snapshot.Pusher == "ci" })
		if s := r.look(id, fresh).Snapshot; s.Pull.Head != head || s.Commits[1].Author != "alice" {
			t.Errorf("got %+v", s)
		}
	})
	r.run(t, "comments come with who, when and what, and an edit is seen", func(t *testing.T, r *repository) {
		first := r.say(w.carol, id, "/hold\nbecause")
		second := must(r.client.Comment(t.Context(), id, "noted"))(t)
		look := r.look(id, fresh)
		if len(look.Comments) != 2 || look.CommentsRead != ref.Yes {
			t.Fatalf("got %+v", look.Comments)
		}
		one, two := look.Comments[0], look.Comments[1]
		if one.ID != first || one.Author != "carol" || one.Body != "/hold\nbecause" || one.At.IsZero() || !one.Edited.Equal(one.At) {
			t.Errorf("got %+v", one)
		}
		if two.ID != second || two.Author != "slipway" || two.Body != "noted" {
			t.Errorf("got %+v", two)
		}
		r.tick(one.At) // times are whole seconds
		if err := r.client.EditComment(t.Context(), id, second, "noted again"); err != nil {
			t.Fatal(err)
		}
		if two := r.look(id, fresh).Comments[1]; two.Body != "noted again" || !two.Edited.After(two.At) {
			t.Errorf("got %+v", two)
		}
	})
	r.run(t, "a change of the base is told, and does not make its author the pusher", func(t *testing.T, r *repository) {
		head = r.commit(w.ci, "feat1", file{path: "last.txt", content: "x", message: "feat: last"})
		r.commit(w.alice, "next", file{path: "next.txt", content: "x", message: "feat: next"})
		begun := time.Now().Truncate(time.Second)
		r.retarget(w.alice, id, "next")
		r.retarget(w.alice, id, "main")
		s := r.look(id, fresh).Snapshot
		if s.Retargeted.Before(begun) || s.Retargeted.After(time.Now()) || s.Pull.Base != "main" {
			t.Errorf("got %s on %s, want from %s on", s.Retargeted, s.Pull.Base, begun)
		}
		if s.Pull.Head != head || s.Pusher != "ci" || s.PusherRead != ref.Yes {
			t.Errorf("the pusher of %s: got %q", s.Pull.Head, s.Pusher)
		}
	})
}

// testFiles is about more files than a page holds.
func (w *world) testFiles(t *testing.T) {
	r := w.repository(t, "files")
	changes := []map[string]string{{"operation": "create", "path": ".github/workflows/ci.yml", "content": "eA=="}}
	for i := range pageSize + 10 {
		changes = append(changes, map[string]string{"operation": "create", "path": fmt.Sprintf("many/%02d.txt", i), "content": "eA=="})
	}
	r.do(w.alice, http.MethodPost, "/contents", map[string]any{"new_branch": "feat1", "message": "feat: many", "files": changes}, nil)
	id := r.open(w.alice, "feat1", "feat: many")
	s := r.look(id, reconcile.Want{Fresh: true}).Snapshot
	if s.FilesRead != ref.Yes || len(s.Files) != len(changes) {
		t.Fatalf("read %s, %d files of %d", s.FilesRead, len(s.Files), len(changes))
	}
	if want := (gate.File{Path: "many/59.txt", Added: 1}); !slices.Contains(s.Files, want) {
		t.Errorf("%+v is not among %+v", want, s.Files)
	}
	if s.WorkflowsChanged != ref.Yes {
		t.Errorf("a workflow is new in the second of the folders: got %s", s.WorkflowsChanged)
	}
}

// tick waits for the second after t to be over.
func (r *repository) tick(t time.Time) {
	r.t.Helper()
	r.eventually("the second is over", func() bool { return time.Now().After(t.Add(2 * time.Second)) })
}

// settled says whether a look succeeded; one that met a moving head did not.
func settled(t testing.TB, err error) bool {
	t.Helper()
	if err != nil && fault.KindOf(err) != fault.Changed {
		t.Fatal(err)
	}
	return err == nil
}
