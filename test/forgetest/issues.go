package forgetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// work is the label of the suite's issues.
const work = "work"

func testIssues(t *testing.T, w World) {
	s := set(t, w, "issues", Rules{})
	issues := s.issues(t)
	labelled := func(t *testing.T, label string) []dispatcher.Issue {
		t.Helper()
		return must(issues.Labelled(t.Context(), s.ID(), label))(t)
	}
	opened := time.Now()
	t.Run("of a label that nobody made there are no issues", func(t *testing.T) {
		s.OpenIssue(t, Alice, "Something else", "")
		if got := labelled(t, work); len(got) > 0 {
			t.Errorf("got %+v", got)
		}
	})
	wanted := s.OpenIssue(t, Outsider, "Add a page", "It says *hello*.\n\n- and waves")
	s.LabelIssue(t, Alice, wanted, work)
	s.LabelIssue(t, Alice, wanted, "other")
	later := s.OpenIssue(t, Alice, "Add another", "", work)
	closed := s.OpenIssue(t, Alice, "Was done", "", work)
	s.CloseIssue(t, closed)
	pull, _ := s.change(t, "feat")
	s.LabelIssue(t, Alice, pull.Number, work)
	s.LabelIssue(t, Alice, s.OpenIssue(t, Alice, "Of another label", ""), "other")

	t.Run("open issues with the label are listed, oldest first, and no pull request", func(t *testing.T) {
		for _, label := range []string{work, strings.ToUpper(work)} {
			got := labelled(t, label)
			if len(got) != 2 || got[0].Number != wanted || got[1].Number != later {
				t.Fatalf("%s: got %+v, want %d and %d", label, got, wanted, later)
			}
			one := got[0]
			if one.Title != "Add a page" || one.Body != "It says *hello*.\n\n- and waves" || one.Author != string(Outsider) ||
				!slices.Equal(one.Labels, []string{"other", work}) || one.Opened.Before(opened.Add(-time.Minute)) {
				t.Errorf("got %+v", one)
			}
		}
	})
	t.Run("who set the label is told, and not who opened the issue", func(t *testing.T) {
		for _, issue := range labelled(t, work) {
			if issue.LabelledBy != string(Alice) {
				t.Errorf("got %+v", issue)
			}
		}
	})
	t.Run("of a label that was taken off and set again, the last one", func(t *testing.T) {
		s.UnlabelIssue(t, Alice, wanted, work)
		if got := labelled(t, work); len(got) != 1 {
			t.Fatalf("taken off: got %+v", got)
		}
		s.LabelIssue(t, CI, wanted, work)
		got := labelled(t, work)
		at := slices.IndexFunc(got, func(i dispatcher.Issue) bool { return i.Number == wanted })
		if at < 0 || got[at].LabelledBy != string(CI) {
			t.Errorf("set again: got %+v", got)
		}
	})
	t.Run("a list of more than a page is read whole", func(t *testing.T) {
		for i := range s.Page() + 1 {
			s.OpenIssue(t, Alice, fmt.Sprint("One of many, ", i), "", "many")
		}
		got := labelled(t, "many")
		if len(got) != s.Page()+1 || !slices.IsSortedFunc(got, func(a, b dispatcher.Issue) int { return int(a.Number - b.Number) }) {
			t.Errorf("got %d", len(got))
		}
	})
	t.Run("of a repository that is not there it is an error for good", func(t *testing.T) {
		nowhere := ref.RepoID{Owner: s.ID().Owner, Name: "nowhere"}
		_, err := issues.Labelled(t.Context(), nowhere, work)
		refused(t, err, fault.Permanent, nowhere.String())
		refused(t, issues.Settle(t.Context(), nowhere, 1, "x"), fault.Permanent, nowhere.String())
	})
}

func testSettle(t *testing.T, w World) {
	s := set(t, w, "settle", Rules{})
	issues := s.issues(t)
	settle := func(t *testing.T, number int64) {
		t.Helper()
		if err := issues.Settle(t.Context(), s.ID(), number, why); err != nil {
			t.Fatal(err)
		}
	}
	is := func(t *testing.T, number int64, open bool, said ...string) {
		t.Helper()
		if isOpen, comments := s.Issue(t, number); isOpen != open || !slices.Equal(comments, said) {
			t.Errorf("open %t, want %t; said %q, want %q", isOpen, open, comments, said)
		}
	}
	t.Run("an open issue is closed with its comment, once", func(t *testing.T) {
		number := s.OpenIssue(t, Alice, "Add a page", "", work)
		settle(t, number)
		is(t, number, false, why)
		if got := must(issues.Labelled(t.Context(), s.ID(), work))(t); len(got) > 0 {
			t.Errorf("still listed: %+v", got)
		}
		settle(t, number)
		is(t, number, false, why)
	})
	t.Run("what was cut off after the comment is not said again", func(t *testing.T) {
		number := s.OpenIssue(t, Alice, "Add a page", "")
		must(s.forge.Comment(t.Context(), ref.PullID{Repo: s.ID(), Number: number}, why))(t)
		settle(t, number)
		is(t, number, false, why)
	})
	t.Run("the same words of somebody else are not the bot's", func(t *testing.T) {
		number := s.OpenIssue(t, Alice, "Add a page", "")
		s.Comment(t, Carol, ref.PullID{Repo: s.ID(), Number: number}, why)
		settle(t, number)
		is(t, number, false, why, why)
	})
	t.Run("one that is closed is left alone", func(t *testing.T) {
		number := s.OpenIssue(t, Alice, "Add a page", "")
		s.CloseIssue(t, number)
		settle(t, number)
		is(t, number, false)
	})
	t.Run("one that is gone has nothing to be closed", func(t *testing.T) { settle(t, 4711) })
	t.Run("a pull request is none, and stays open", func(t *testing.T) {
		id, _ := s.change(t, "feat")
		refused(t, issues.Settle(t.Context(), s.ID(), id.Number, why), fault.Permanent, id.String())
		if p := s.pull(t, id); p.Open != ref.Yes {
			t.Errorf("it is open: %s", p.Open)
		}
	})
	t.Run("a token that is worth nothing closes nothing", func(t *testing.T) {
		number := s.OpenIssue(t, Alice, "Add a page", "", work)
		stranger, ok := s.Stranger(t).(dispatcher.Issues)
		if !ok {
			t.Fatal("the adapter knows no issues")
		}
		refused(t, stranger.Settle(t.Context(), s.ID(), number, why), fault.Permanent, s.ID().String())
		_, err := stranger.Labelled(t.Context(), s.ID(), work)
		refused(t, err, fault.Permanent, s.ID().String())
		is(t, number, true)
	})
}

// why is what an issue is settled with.
const why = "Done: it is live as v1.2.3.\n\nSee the change."

// issues is the adapter's other side.
func (s *scene) issues(t *testing.T) dispatcher.Issues {
	t.Helper()
	issues, ok := s.forge.(dispatcher.Issues)
	if !ok {
		t.Fatal("the adapter knows no issues")
	}
	return issues
}
