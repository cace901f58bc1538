package forgetest

import (
	"strings"
	"testing"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testTalk(t *testing.T, w World) {
	s := set(t, w, "talk", Rules{})
	id, head := s.change(t, "feat")
	said := s.Comment(t, Carol, id, "/hold\nbecause")
	mine := must(s.forge.Comment(t.Context(), id, "noted"))(t)
	comment := func(t *testing.T, which int64) reconcile.Comment {
		t.Helper()
		for _, c := range s.look(t, id).Comments {
			if c.ID == which {
				return c
			}
		}
		t.Fatalf("comment %d is not there", which)
		return reconcile.Comment{}
	}

	t.Run("comments come oldest first, with who said what", func(t *testing.T) {
		l := s.look(t, id)
		if l.CommentsRead != ref.Yes || len(l.Comments) != 2 || l.Comments[0].ID != said || l.Comments[1].ID != mine {
			t.Fatalf("read %s: %+v", l.CommentsRead, l.Comments)
		}
		one, two := l.Comments[0], l.Comments[1]
		if one.Author != string(Carol) || one.Body != "/hold\nbecause" || one.At.IsZero() || !one.Edited.Equal(one.At) || two.Author != s.Bot() {
			t.Errorf("got %+v, %+v", one, two)
		}
	})
	t.Run("an edit replaces the text", func(t *testing.T) {
		if err := s.forge.EditComment(t.Context(), id, mine, "noted again"); err != nil {
			t.Fatal(err)
		}
		if c := comment(t, mine); c.Body != "noted again" || c.Edited.Before(c.At) {
			t.Errorf("got %+v", c)
		}
	})
	t.Run("a comment that is gone is to be observed again", func(t *testing.T) {
		refused(t, s.forge.EditComment(t.Context(), id, 1<<40, "x"), fault.Changed, id.String())
	})
	t.Run("to react twice is no error", func(t *testing.T) {
		for _, r := range []reconcile.Reaction{reconcile.ReactionDone, reconcile.ReactionDone, reconcile.ReactionRefused, reconcile.ReactionUnclear} {
			if err := s.forge.React(t.Context(), id, said, r); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("the gate's status is posted as the bot's, however long its text", func(t *testing.T) {
		for _, state := range []gate.State{gate.StatePending, gate.StateFailure, gate.StateSuccess} {
			if err := s.forge.PostStatus(t.Context(), s.ID(), change.Posted{Head: head, State: state, Text: strings.Repeat("é", 3000)}); err != nil {
				t.Fatal(err)
			}
			statuses := must(s.forge.Checks(t.Context(), s.ID(), head))(t).Statuses
			last := statuses[len(statuses)-1]
			if last.Context != gate.StatusContext || last.Creator != s.Bot() || last.State != state || !strings.HasPrefix(last.Description, "éé") {
				t.Errorf("got %+v", last)
			}
		}
	})
	t.Run("a status on a commit that is not there is refused", func(t *testing.T) {
		nowhere := ref.SHA(strings.Repeat("1", 40))
		if s.forge.PostStatus(t.Context(), s.ID(), change.Posted{Head: nowhere, State: gate.StatePending, Text: "x"}) == nil {
			t.Error("it was not")
		}
	})
}

func testMerge(t *testing.T, w World) {
	s := set(t, w, "merge", Rules{})
	for _, method := range []string{"squash", "merge", "rebase"} {
		t.Run(method+" lands the judged head, by the bot", func(t *testing.T) {
			id, head := s.change(t, method)
			before := s.tip(t, "main")
			call := squash(id, head)
			call.Method, call.DeleteBranch = method, true
			if err := s.merge(t, call); err != nil {
				t.Fatal(err)
			}
			p, tip := s.pull(t, id), s.tip(t, "main")
			if p.Merged != ref.Yes || p.Open != ref.No || p.MergeSHA != tip || p.MergedBy != s.Bot() || p.MergedAt.IsZero() || p.Head != head || tip == before {
				t.Errorf("main went from %s to %s: %+v", before, tip, p)
			}
			if _, found, err := s.forge.File(t.Context(), s.ID(), tip, method+".txt"); err != nil || !found {
				t.Errorf("the file: found %t, %v", found, err)
			}
			if _, err := s.forge.Branch(t.Context(), ref.BranchID{Repo: s.ID(), Name: method}); err == nil {
				t.Error("the branch is still there")
			}
			t.Run("and a second time it is merged already", func(t *testing.T) {
				refused(t, s.merge(t, call), fault.Changed, id.String())
				if again := s.tip(t, "main"); again != tip {
					t.Errorf("main went to %s", again)
				}
			})
		})
	}
	t.Run("a squash has the title and the message that were given", func(t *testing.T) {
		id, head := s.change(t, "words")
		if err := s.merge(t, squash(id, head)); err != nil {
			t.Fatal(err)
		}
		s.git(t, Alice, "fetch", "-q", s.Remote(Alice), "main")
		if said := s.git(t, Alice, "log", "-1", "--format=%B", "FETCH_HEAD"); !strings.HasPrefix(said, "A title\n\nA message") {
			t.Errorf("the message is %q", said)
		}
		s.tip(t, "words") // nobody asked to delete it
	})
}

func testMergeHead(t *testing.T, w World) {
	s := set(t, w, "merge-head", Rules{})
	wantNothing := func(t *testing.T, id ref.PullID, before ref.SHA) {
		t.Helper()
		if p := s.pull(t, id); p.Merged != ref.No || s.tip(t, "main") != before {
			t.Errorf("merged is %s, main went from %s to %s", p.Merged, before, s.tip(t, "main"))
		}
	}
	t.Run("another head than the judged one is refused, and nothing lands", func(t *testing.T) {
		id, judged := s.change(t, "moved")
		head := s.push(t, Alice, "moved", commit{message: "feat: more", files: map[string]string{"more.txt": "x\n"}})
		eventually(t, "the head is told", func() bool { return s.settled(t, id).Head == head })
		before := s.tip(t, "main")
		refused(t, s.merge(t, squash(id, judged)), fault.Changed, id.String())
		wantNothing(t, id, before)
	})
	id, head := s.change(t, "whole")
	before := s.tip(t, "main")
	t.Run("no head at all is refused for good, and nothing lands", func(t *testing.T) {
		refused(t, s.merge(t, squash(id, "")), fault.Permanent, id.String())
		wantNothing(t, id, before)
	})
	t.Run("a way to merge that nobody knows is refused for good", func(t *testing.T) {
		call := squash(id, head)
		call.Method = "octopus"
		refused(t, s.merge(t, call), fault.Permanent, id.String())
		wantNothing(t, id, before)
	})
	t.Run("a closed one is to be observed again, and nothing lands", func(t *testing.T) {
		s.Close(t, id)
		refused(t, s.merge(t, squash(id, head)), fault.Changed, id.String())
		wantNothing(t, id, before)
	})
	t.Run("a draft is to be observed again, and nothing lands", func(t *testing.T) {
		head := s.push(t, Alice, "draft", commit{message: "feat: draft", files: map[string]string{"d.txt": "d\n"}})
		id := s.Open(t, Alice, "draft", "main", "feat: draft", true)
		before := s.tip(t, "main")
		refused(t, s.merge(t, squash(id, head)), fault.Changed, id.String())
		wantNothing(t, id, before)
	})
}

func testMergeRules(t *testing.T, w World) {
	s := set(t, w, "merge-rules", Rules{Approvals: 1, Contexts: []string{"ci/test"}})
	id, head := s.change(t, "feat")
	before := s.tip(t, "main")
	steps := []struct {
		name string
		act  func()
	}{
		{"without approvals and status", func() {}},
		{"without the status", func() { s.Review(t, Carol, id, head, gate.ReviewApproved) }},
		{"with the status pending", func() { s.Status(t, CI, head, "ci/test", gate.StatePending) }},
	}
	for _, step := range steps {
		t.Run(step.name+" it is refused for good, and nothing lands", func(t *testing.T) {
			step.act()
			refused(t, s.merge(t, squash(id, head)), fault.Permanent, id.String())
			if p := s.pull(t, id); p.Merged != ref.No || s.tip(t, "main") != before {
				t.Errorf("merged is %s", p.Merged)
			}
		})
	}
	t.Run("with both it merges", func(t *testing.T) {
		s.Status(t, CI, head, "ci/test", gate.StateSuccess)
		if err := s.merge(t, squash(id, head)); err != nil {
			t.Fatal(err)
		}
	})
}
