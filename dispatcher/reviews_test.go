package dispatcher_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

func TestReviewsThatAHeadLacksAreAskedForOnce(t *testing.T) {
	d := newDock(t, asking)
	d.submit("Mend the pump")
	built := d.claim("builder-lite-0") // alpha
	d.finish(built, pull, head(1), "")
	c := d.judged(change.Change{Head: head(1), Author: "builder-lite-0"}, 2)
	d.look()
	asked := d.reviews(dispatcher.Ready)
	if len(asked) != 2 {
		t.Fatalf("%d reviews were asked for: %+v", len(asked), asked)
	}
	for n, i := range asked {
		want := fmt.Sprintf("review acme/app#5 at %s %d", head(1), n+1)
		if i.Key != want || i.Pull != pull || i.Head != head(1) || i.Submitter != "slipway" || i.Raised != dispatcher.High || !slices.Equal(i.Avoid, []string{"alpha-1"}) {
			t.Errorf("%+v", i)
		}
	}
	d.nothing("reviewer-lite-0") // runs the author's model
	first := d.claim("reviewer-lite-1")
	d.until("the other review does without the first one's model", func() bool {
		return slices.ContainsFunc(d.reviews(dispatcher.Ready), func(i dispatcher.Item) bool { return slices.Equal(i.Avoid, []string{"alpha-1", "beta-1"}) })
	})
	second := d.claim("reviewer-lite-2")
	d.finish(first, pull, head(1), "approved")
	d.look()
	if i := d.item(first.Item); i.State != dispatcher.Landing {
		t.Errorf("a review that nobody saw is %s", i.State)
	}

	// Seen on an older head, by another, or not at all: no evidence.
	c = d.judged(c, 2, gate.Review{ID: 1, Reviewer: "reviewer-lite-1", State: gate.ReviewApproved, Commit: head(9)},
		gate.Review{ID: 2, Reviewer: "mallory", State: gate.ReviewApproved, Commit: head(1)})
	d.look()
	if i := d.item(first.Item); i.State != dispatcher.Landing {
		t.Errorf("a review of another head is evidence: %s", i.State)
	}
	seen := gate.Review{ID: 3, Reviewer: "Reviewer-Lite-1", State: gate.ReviewApproved, Commit: head(1)}
	c.Gates = approvedBy("reviewer-lite-1")
	c = d.judged(c, 1, seen)
	d.look()
	if i := d.item(first.Item); i.State != dispatcher.Done || i.Accepted != first.Attempt {
		t.Errorf("a review that was seen: %+v", i)
	}
	if all := d.reviews(); len(all) != 2 {
		t.Errorf("the one that is still at it covers what lacks: %+v", all)
	}

	// One that says something else than yes is done, and another is asked for.
	d.finish(second, pull, head(1), "commented")
	d.judged(c, 1, seen, gate.Review{ID: 4, Reviewer: "reviewer-lite-2", State: gate.ReviewCommented, Commit: head(1)})
	d.look()
	open := d.reviews(dispatcher.Ready)
	if len(open) != 1 || !slices.Equal(open[0].Avoid, []string{"alpha-1", "gamma-1", "beta-1"}) && !slices.Equal(open[0].Avoid, []string{"alpha-1", "beta-1", "gamma-1"}) || !strings.HasPrefix(open[0].Reason, "nothing can take it: ") {
		t.Errorf("%+v", open)
	}
}

// TestTwoWhoWaitDoNotReviewAHeadWithOneModel has two reviewers of one model
// waiting when two reviews are asked for.
func TestTwoWhoWaitDoNotReviewAHeadWithOneModel(t *testing.T) {
	d := newDock(t, asking)
	set := fleet()
	set.Replicas[at("reviewer-lite-0")] = "beta"
	if _, _, err := d.Apply(t.Context(), "olga", "file", set); err != nil {
		t.Fatal(err)
	}
	grants := make(chan *dispatcher.Grant, 2)
	for _, name := range []string{"reviewer-lite-0", "reviewer-lite-1"} {
		go func() {
			g, err := d.Claim(t.Context(), at(name), dispatcher.ClaimRequest{Request: name, Wait: 2})
			if err != nil {
				t.Error(err)
			}
			grants <- g
		}()
	}
	d.until("both to wait", func() bool { return d.Waiting() == 2 })
	d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	if err := d.LookNow(t.Context(), pull); err != nil {
		t.Fatal(err)
	}
	if one, other := <-grants, <-grants; (one == nil) == (other == nil) {
		t.Errorf("they were given %+v and %+v", one, other)
	}
}

// TestWhatAPersonAsksForIsTheirsToSay has a person ask somebody whose model has
// reviewed the head already: that one may take it, and it does not stand for what
// lacks.
func TestWhatAPersonAsksForIsTheirsToSay(t *testing.T) {
	d := newDock(t, asking)
	set := fleet()
	set.Replicas[at("reviewer-lite-0")] = "beta"
	if _, _, err := d.Apply(t.Context(), "olga", "file", set); err != nil {
		t.Fatal(err)
	}
	c := d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	d.look()
	first := d.claim("reviewer-lite-1")
	s := dispatcher.Submission{Kind: dispatcher.Review, Repo: app, Title: "Have a look", Pull: pull, Selector: "reviewer-lite-0"}
	i, _, err := d.Submit(t.Context(), "sam", s)
	if err != nil {
		t.Fatal(err)
	}
	c = d.judged(c, 2)
	d.look()
	if g := d.claim("reviewer-lite-0"); g.Item != i.ID {
		t.Errorf("it was given %+v", g)
	}
	d.finish(first, pull, head(1), "approved")
	d.judged(c, 1, gate.Review{ID: 1, Reviewer: "reviewer-lite-1", State: gate.ReviewApproved, Commit: head(1)})
	d.look()
	if g := d.claim("reviewer-lite-2"); g.Item == first.Item || g.Item == i.ID {
		t.Errorf("another model was given %+v", g)
	}
}

func TestTheModelOfAReviewThatCameToNothingMayReviewAgain(t *testing.T) {
	d := newDock(t, asking)
	d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	d.look()
	g := d.claim("reviewer-lite-1") // beta
	shunned := func() bool {
		return slices.ContainsFunc(d.reviews(dispatcher.Ready), func(i dispatcher.Item) bool { return slices.Contains(i.Avoid, "beta-1") })
	}
	d.until("the other review does without its model", shunned)
	if err := d.Fail(t.Context(), g.Builder, g.Attempt, dispatcher.Failure{Beat: dispatcher.Beat{Token: g.Token}, Reason: "its provider is down"}); err != nil {
		t.Fatal(err)
	}
	d.until("it may have that model, without a resync", func() bool { return !shunned() })
	if g := d.claim("reviewer-lite-1"); g.Head != head(1) {
		t.Errorf("%+v", g)
	}
}

func TestReviewsFollowTheHead(t *testing.T) {
	d := newDock(t, asking)
	c := d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	d.look()
	g := d.claim("reviewer-lite-0")
	c.Head = head(2)
	c = d.judged(c, 2)
	d.look()
	if p, err := d.Beat(t.Context(), g.Builder, g.Attempt, dispatcher.Beat{Token: g.Token}); err != nil || !strings.Contains(p.StandDown, string(head(2))) {
		t.Errorf("who reviews an older head: %+v, %v", p, err)
	}
	if open := d.reviews(dispatcher.Ready); len(open) != 2 || open[0].Head != head(2) || open[1].Head != head(2) {
		t.Errorf("%+v", open)
	}
	if old := d.reviews(dispatcher.Cancelled); len(old) != 2 {
		t.Errorf("%+v", old)
	}

	// Enough approvals came from people: what nobody began is withdrawn.
	c = d.judged(c, 0)
	d.look()
	if open := d.reviews(dispatcher.Ready, dispatcher.Working); len(open) != 0 {
		t.Errorf("%+v", open)
	}
	c = d.judged(c, 1)
	d.look()
	open := d.reviews(dispatcher.Ready)
	if len(open) != 1 {
		t.Fatalf("one was taken back: %+v", open)
	}
	// What a person withdraws stays so.
	if err := d.Cancel(t.Context(), "olga", open[0].ID, "I will look myself"); err != nil {
		t.Fatal(err)
	}
	d.look()
	if open := d.reviews(dispatcher.Ready); len(open) != 0 {
		t.Errorf("%+v", open)
	}
	c.Outcome, c.MergeSHA = change.OutcomeClosed, ""
	d.judged(c, 1)
	d.look()
}

func TestNoReviewIsAskedForWhereItWouldBeInVain(t *testing.T) {
	d := newDock(t, asking)
	d.stop() // nobody else looks
	before := d.Config
	judged := d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	lacking := gate.Requirement{Key: "approvals", State: gate.Unmet, Lacks: 2}
	for name, test := range map[string]struct {
		with   func(*dispatcher.Config)
		change func(*change.Change)
	}{
		"where the rule is off": {with: func(c *dispatcher.Config) { c.Reviews.On = false }},
		"of a repository that is not served": {with: func(c *dispatcher.Config) {
			c.Serves = func(ref.RepoID) (string, bool) { return "", false }
		}},
		"of a draft":                      {change: func(c *change.Change) { c.Requirements[0].State = gate.Violated }},
		"of one that is held":             {change: func(c *change.Change) { c.Requirements[0] = gate.Requirement{Key: "hold", State: gate.Violated} }},
		"of a head that nobody built":     {change: func(c *change.Change) { c.Requirements[0] = gate.Requirement{Key: "registered", State: gate.Violated} }},
		"against a veto":                  {change: func(c *change.Change) { c.Requirements[0] = gate.Requirement{Key: "veto", State: gate.Violated} }},
		"of one that merged":              {change: func(c *change.Change) { c.MergeSHA = head(7) }},
		"of one that was closed":          {change: func(c *change.Change) { c.Outcome = change.OutcomeClosed }},
		"onto another base":               {change: func(c *change.Change) { c.Base = "old" }},
		"of a head that was not judged":   {change: func(c *change.Change) { c.Head = head(2) }},
		"of one whose approvals wait not": {change: func(c *change.Change) { c.Requirements[1].State = gate.Waived }},
	} {
		t.Run(name, func(t *testing.T) {
			d.Config = before
			if test.with != nil {
				test.with(&d.Config)
			}
			c := judged
			c.Requirements = []gate.Requirement{{Key: "draft", State: gate.Met}, lacking}
			if test.change != nil {
				test.change(&c)
			}
			d.Changes = fixed{d.store, c}
			d.look()
			if all := d.reviews(); len(all) != 0 {
				t.Errorf("%+v", all)
			}
		})
	}
	d.Config, d.Changes = before, d.store
	if d.look(); len(d.reviews()) != 2 {
		t.Error("none is asked for where one is wanted either")
	}
}

// fixed shows one change as it stands.
type fixed struct {
	dispatcher.Changes
	change change.Change
}

func (f fixed) Change(context.Context, ref.PullID) (change.Change, bool, error) {
	return f.change, true, nil
}

func TestAReviewThatAPersonAsksForIsOfTheHead(t *testing.T) {
	d := newDock(t)
	s := dispatcher.Submission{Kind: dispatcher.Review, Repo: app, Title: "Have a look", Pull: pull}
	if _, _, err := d.Submit(t.Context(), "sam", s); err == nil || !strings.Contains(err.Error(), "nothing is known of acme/app#5") {
		t.Errorf("of one that nobody knows: %v", err)
	}
	d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	i, _, err := d.Submit(t.Context(), "sam", s)
	if err != nil || i.Head != head(1) {
		t.Fatalf("%+v, %v", i, err)
	}
	if g := d.claim("reviewer-lite-0"); g.Item != i.ID || g.Head != head(1) || g.Pull != pull {
		t.Errorf("%+v", g)
	}
}

// TestAnApprovalThatDoesNotCountIsNotAskedForAgain: what keeps one reviewer's
// approval from counting keeps the next one's as well.
func TestAnApprovalThatDoesNotCountIsNotAskedForAgain(t *testing.T) {
	d := newDock(t, asking)
	c := d.judged(change.Change{Head: head(1), Author: "carol"}, 1)
	d.look()
	d.finish(d.claim("reviewer-lite-1"), pull, head(1), "approved")
	seen := gate.Review{ID: 1, Reviewer: "reviewer-lite-1", State: gate.ReviewApproved, Commit: head(1)}
	c = d.judged(c, 1, seen)
	d.look()
	if all := d.reviews(); len(all) != 1 || all[0].State != dispatcher.Done {
		t.Errorf("it is not on the list of those who may: %+v", all)
	}
	c.Gates = approvedBy("reviewer-lite-1")
	d.judged(c, 1, seen)
	d.look()
	if all := d.reviews(); len(all) != 2 {
		t.Errorf("one that counts, and one more lacks: %+v", all)
	}
}

// approvedBy is the gate of reviews with an approval that counts.
func approvedBy(login string) []change.Gate {
	return []change.Gate{{Name: change.Reviewed, Evidence: change.Evidence{Approvals: []gate.Approval{{Login: login, ReviewID: 1, Commit: head(1)}}}}}
}
