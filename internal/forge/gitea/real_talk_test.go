package gitea

import (
	"net/http"
	"slices"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func (w *world) testTalk(t *testing.T) {
	r := w.repository(t, "talk")
	id, _ := r.change("feat1")
	other, _ := r.change("feat2")
	fresh := reconcile.Want{Fresh: true}
	comment := must(r.client.Comment(t.Context(), id, "It waits for a review."))(t)

	r.run(t, "a comment is the bot's own, on that pull request alone", func(t *testing.T, r *repository) {
		got := r.look(id, fresh).Comments
		if len(got) != 1 || got[0].ID != comment || got[0].Author != "slipway" || got[0].Body != "It waits for a review." {
			t.Errorf("got %+v", got)
		}
		if got := r.look(other, fresh).Comments; len(got) != 0 {
			t.Errorf("on the other: %+v", got)
		}
	})
	r.run(t, "to edit it replaces its text and makes no new one", func(t *testing.T, r *repository) {
		if err := r.client.EditComment(t.Context(), id, comment, "It can be merged."); err != nil {
			t.Fatal(err)
		}
		if got := r.look(id, fresh).Comments; len(got) != 1 || got[0].ID != comment || got[0].Body != "It can be merged." {
			t.Errorf("got %+v", got)
		}
	})
	r.run(t, "what is said after more than a page of talk is heard", func(t *testing.T, r *repository) {
		var last int64
		for n := range pageSize + 5 {
			last = r.say(w.carol, other, "comment "+itoa(int64(n)))
		}
		got := r.look(other, fresh).Comments
		if len(got) != pageSize+5 || got[len(got)-1].ID != last {
			t.Errorf("%d comments, want %d", len(got), pageSize+5)
		}
	})
	r.run(t, "what somebody else made of a comment at once is not its author's", func(t *testing.T, r *repository) {
		own, turned := r.say(w.carol, id, "/hold\nas I said"), r.say(w.carol, id, "Thank you.")
		r.do(w.Admin(), http.MethodPatch, "/issues/comments/"+itoa(turned), map[string]string{"body": "/unhold"}, nil)
		want := map[int64]ref.Fact{own: ref.Yes, turned: ref.No}
		for _, said := range r.look(id, fresh).Comments {
			if fact, asked := want[said.ID]; asked {
				delete(want, said.ID)
				if got := must(r.client.Wrote(t.Context(), id, said))(t); got != fact {
					t.Errorf("%q: %s", said.Body, got)
				}
			}
		}
		if len(want) > 0 {
			t.Errorf("not seen: %v", want)
		}
	})
	r.run(t, "to react twice in the same way is to react once", func(t *testing.T, r *repository) {
		said := r.say(w.carol, id, "/hold")
		for _, reaction := range []reconcile.Reaction{reconcile.ReactionDone, reconcile.ReactionRefused, reconcile.ReactionUnclear, reconcile.ReactionDone} {
			if err := r.client.React(t.Context(), id, said, reaction); err != nil {
				t.Fatal(err)
			}
		}
		var got []struct {
			Content string `json:"content"`
			User    struct {
				Login string `json:"login"`
			} `json:"user"`
		}
		r.do(w.carol, http.MethodGet, "/issues/comments/"+itoa(said)+"/reactions", nil, &got)
		var kinds []string
		for _, one := range got {
			if one.User.Login != "slipway" {
				t.Errorf("by %s", one.User.Login)
			}
			kinds = append(kinds, one.Content)
		}
		slices.Sort(kinds)
		if !slices.Equal(kinds, []string{"+1", "-1", "confused"}) {
			t.Errorf("got %q", kinds)
		}
	})
	r.run(t, "a comment that is gone can be neither edited nor reacted to, and the world has changed", func(t *testing.T, r *repository) {
		r.do(w.Admin(), http.MethodDelete, "/issues/comments/"+itoa(comment), nil, nil)
		wantFault(t, r.client.EditComment(t.Context(), id, comment, "again"), fault.Changed, id.String(), "404")
		wantFault(t, r.client.React(t.Context(), id, comment, reconcile.ReactionDone), fault.Changed, id.String(), "404")
	})
	r.run(t, "of a pull request that is not there the server says no more than that it failed", func(t *testing.T, r *repository) {
		_, err := r.client.Comment(t.Context(), ref.PullID{Repo: r.id, Number: 99}, "hello")
		wantFault(t, err, fault.Later, "#99", "500")
	})
	r.run(t, "without write:issue nothing can be said", func(t *testing.T, r *repository) {
		reader := w.bot
		reader.Token = must(w.Token(t.Context(), w.bot, "write:repository", "read:issue"))(t)
		client := w.as(t, r.id, reader).client
		_, err := client.Comment(t.Context(), id, "hello")
		wantFault(t, err, fault.Permanent, "403", "write:issue")
		wantFault(t, client.EditComment(t.Context(), id, comment, "hello"), fault.Permanent, "403", "write:issue")
		wantFault(t, client.React(t.Context(), id, comment, reconcile.ReactionDone), fault.Permanent, "403", "write:issue")
	})
}
