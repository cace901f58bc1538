package dispatcher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

func TestASubmissionIsRefusedWithEveryFaultThereIs(t *testing.T) {
	for _, test := range []struct {
		rule string
		bad  Submission
		says []string
	}{
		{"no repository", Submission{Repo: ref.RepoID{}, Title: "x"}, []string{"repository: is missing"}},
		{"a kind that there is not", Submission{Kind: "test"}, []string{`kind: there is no "test"; there are build and review`}},
		{"no title", Submission{Title: " "}, []string{"title: is missing"}},
		{"a title that is too long", Submission{Title: strings.Repeat("ü", 201)}, []string{"title: has 201 characters, and may have 200"}},
		{"a title of two lines", Submission{Title: "a\nb"}, []string{"title: is one line"}},
		{"a spec that is too long", Submission{Spec: strings.Repeat("x", 1<<16+1)}, []string{"spec: has 65537 bytes, and may have 65536"}},
		{"what is no text", Submission{Title: "a\xff"}, []string{"UTF-8"}},
		{"a role that is not declared", Submission{Selector: "tester"}, []string{`there is no role "tester"; the roles are builder, reviewer`}},
		{"a tier that is not declared", Submission{Selector: "builder-huge"}, []string{`there is no tier "huge"; the tiers are heavy, lite`}},
		{"a selector that is none", Submission{Selector: "Builder!"}, []string{`selector "Builder!" is not`}},
		{"a selector that no coordinate is", Submission{Selector: "builder-lite-7"}, []string{"no coordinate is builder-lite-7; there are builder-heavy-0, builder-lite-0 to builder-lite-2, reviewer-lite-0 to reviewer-lite-1"}},
		{"a pool that there is not", Submission{Selector: "reviewer-heavy"}, []string{"no coordinate is reviewer-heavy"}},
		{"a shape that is not declared", Submission{Shape: "poem"}, []string{`shape: there is no "poem"; there are bugfix, feature`}},
		{"a priority that there is not", Submission{Priority: "urgent"}, []string{`priority: there is no priority "urgent"; there are lowest, low, normal, high, highest`}},
		{"a mode that there is not", Submission{Mode: "race"}, []string{`mode: there is no "race"`}},
		{"a budget below nought", Submission{Budget: -1}, []string{"budget: "}},
		{"a deadline that is over", Submission{Deadline: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}, []string{"deadline: it is over"}},
		{"too many attempts", Submission{Attempts: 21}, []string{"max_attempts: 21 is not between 0 and 20"}},
		{"a branch that is not served", Submission{Base: "old"}, []string{"base: a build of acme/app goes to main"}},
		{"a build of a pull request", Submission{Pull: pullOf(1)}, []string{"pull_request: a build opens its own"}},
		{"a review of nothing", Submission{Kind: Review}, []string{"pull_request: a review is asked of a pull request of acme/app"}},
		{"a review of another repository", Submission{Kind: Review, Pull: ref.PullID{Repo: ref.RepoID{Owner: "b", Name: "c"}, Number: 1}}, []string{"pull_request: a review is asked of a pull request of acme/app"}},
		{"a review of what nobody knows", Submission{Kind: Review, Pull: pullOf(1)}, []string{"nothing is known of acme/app#1"}},
		{"several at once", Submission{Title: " ", Priority: "urgent", Shape: "poem"}, []string{"title:", "priority:", "shape:"}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			y := newYard(t)
			s := test.bad
			if s.Repo.IsZero() && test.rule != "no repository" {
				s.Repo = app
			}
			if s.Title == "" {
				s.Title = "x"
			}
			_, _, err := y.add(draft("ann", s, "main"))
			if err == nil || fault.KindOf(err) != fault.Permanent || len(y.works) != 0 {
				t.Fatalf("it came to %v", err)
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if y.said("refused.work.submit") != 1 || len(y.journal) != 1 {
				t.Errorf("the journal says %+v", y.journal)
			}
		})
	}
}

func TestWhatIsLeftOutOfASubmissionIsFilledIn(t *testing.T) {
	y := newYard(t)
	i := y.want("ann", Submission{Title: " Mend the pump ", Spec: "It leaks."})
	if i.Kind != Build || i.Selector.String() != "builder" || i.Base != "main" || i.Mode != Single || i.Level != Normal || i.Title != "Mend the pump" ||
		i.State != Ready || i.Submitter != "ann" || !i.Submitted.Equal(y.now) || !i.Raise.Equal(y.now.Add(testTerms.rise)) || i.Rank != 1 {
		t.Errorf("the item is %+v", i)
	}
	if r := y.review(3, 3); r.Selector.String() != "reviewer" || r.Base != "" || r.Head != headOf(3) {
		t.Errorf("the review is %+v", r)
	}
	for _, e := range y.journal {
		if e.Action != "work.submitted" || e.Subject != NewItem || strings.Contains(fmt.Sprint(e), "leaks") {
			t.Errorf("the journal says %+v", e)
		}
	}
}

func TestAKeyGivesTheItemThatHasIt(t *testing.T) {
	y := newYard(t)
	one := y.want("ann", Submission{Key: "issue acme/app#3"})
	two, existed, err := y.try("bob", Submission{Key: "issue acme/app#3", Title: "Another", Priority: "urgent"})
	if err != nil || !existed || two.ID != one.ID || two.Submitter != "ann" || len(y.works) != 1 || len(y.journal) != 1 {
		t.Errorf("the second came to %+v, %v, %v", two, existed, err)
	}
	if three := y.want("bob", Submission{Key: "issue acme/app#4"}); three.ID != 2 {
		t.Errorf("the third came to %+v", three)
	}
}

func TestWithoutAPoolConfigNothingIsTaken(t *testing.T) {
	y := newYard(t)
	y.ledger.set = nil
	if _, _, err := y.try("ann", Submission{}); err == nil || !strings.Contains(err.Error(), "no pool config yet") {
		t.Errorf("it came to %v", err)
	}
	if got := y.ask("builder-lite-0"); len(got) != 0 {
		t.Errorf("somebody got %+v", got)
	}
}

func TestAReviewThatNobodyMayGiveSaysSoAtOnceAndIsTakenOnceSomebodyMay(t *testing.T) {
	y := newYard(t)
	i := y.review(3, 3, "Other-One", "large")
	if i.State != Ready || !strings.HasPrefix(i.Reason, waits) {
		t.Errorf("the item is %+v", i)
	}
	y.stuck()
	if y.said("work.stuck") != 0 {
		t.Error("it was said twice")
	}
	if i := y.stands(1, Ready); !strings.HasPrefix(i.Reason, waits) || !strings.Contains(i.Reason, "has a model that must not take it") {
		t.Errorf("the reason is %q", i.Reason)
	}
	if two := y.review(4, 4, "OTHER-one", "acme/Large"); !strings.HasPrefix(two.Reason, waits) {
		t.Errorf("the reason is %q", two.Reason)
	}
	if got := y.ask("reviewer-lite-0", "reviewer-lite-1"); len(got) != 0 {
		t.Fatalf("somebody got %+v", got)
	}
	y.swap("reviewer-lite-1", "small")
	got := y.ask("reviewer-lite-0", "reviewer-lite-1")
	if len(got) != 1 || got[0].Attempt.Address != at("reviewer-lite-1") || y.item(got[0].Item.ID).Reason != "" {
		t.Errorf("they got %+v", got)
	}
}
