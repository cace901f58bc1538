package dispatcher_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

func asking(c *dispatcher.Config) {
	c.Reviews = dispatcher.ReviewRule{On: true, Level: dispatcher.High}
}

// look looks twice: the same facts a second time change nothing.
func (d *dock) look() {
	d.t.Helper()
	if err := d.LookNow(d.t.Context(), pull); err != nil {
		d.t.Fatal(err)
	}
	before, said := fmt.Sprintf("%+v", d.items(dispatcher.Filter{})), len(d.told("work."))
	if err := d.LookNow(d.t.Context(), pull); err != nil {
		d.t.Fatal(err)
	}
	if after := fmt.Sprintf("%+v", d.items(dispatcher.Filter{})); after != before || len(d.told("work.")) != said {
		d.t.Errorf("a second look changed something:\n%s\n%s", before, after)
	}
}

func (d *dock) reviews(states ...dispatcher.State) []dispatcher.Item {
	d.t.Helper()
	return d.items(dispatcher.Filter{Kind: dispatcher.Review, States: states})
}

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

func TestABuildIsDoneWhenItsChangeIsLive(t *testing.T) {
	d := newDock(t)
	item := d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	d.finish(g, pull, head(1), "")
	c := d.judged(change.Change{Head: head(1), Author: "Builder-Lite-0"}, 2)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Landing {
		t.Fatalf("while it is open: %s", i.State)
	}
	c.MergeSHA = head(7)
	c = d.judged(c, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Landing || i.Accepted != g.Attempt || i.AcceptedBy.String() != "builder-lite-0" {
		t.Fatalf("once it merged: %+v", i)
	}
	c.Outcome = change.OutcomeHealthy
	c = d.judged(c, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Done {
		t.Fatalf("once it is live: %+v", i)
	}
	c.Outcome = change.OutcomeRolled
	d.judged(c, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Ready || i.Accepted != 0 || i.AcceptedBy != nil {
		t.Errorf("once it was rolled back: %+v", i)
	}
}

func TestWhatNobodyRegisteredIsNobodysWork(t *testing.T) {
	for name, test := range map[string]struct {
		author string
		head   ref.SHA
		want   dispatcher.State
	}{
		"another's pull request":               {"mallory", head(1), dispatcher.Landing},
		"a head that somebody else pushed":     {"builder-lite-0", head(2), dispatcher.Cancelled},
		"the head that the attempt registered": {"builder-lite-0", head(1), dispatcher.Done},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDock(t)
			item := d.submit("Mend the pump")
			d.finish(d.claim("builder-lite-0"), pull, head(1), "")
			d.judged(change.Change{Head: test.head, Author: test.author, MergeSHA: head(7), Outcome: change.OutcomeHealthy}, 0)
			d.look()
			if i := d.item(item.ID); i.State != test.want {
				t.Errorf("it is %s (%s), want %s", i.State, i.Reason, test.want)
			}
		})
	}
}

func TestAnItemDoesNotWaitForEverForAPullRequestThatIsNotItsOwn(t *testing.T) {
	for name, test := range map[string]struct {
		author string // "" for one that nobody knows of
		says   string
	}{
		"another's":          {"mallory", "acme/app#5 is mallory's"},
		"one that is unseen": {"", "nothing is known of acme/app#5"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDock(t)
			item := d.submit("Mend the pump")
			d.finish(d.claim("builder-lite-0"), pull, head(1), "")
			if test.author != "" {
				d.judged(change.Change{Head: head(1), Author: test.author}, 2)
			}
			d.look()
			if i := d.item(item.ID); i.State != dispatcher.Landing {
				t.Fatalf("it may only be late: %s", i.State)
			}
			d.ahead.Add(int64(11 * time.Minute))
			d.look()
			if i := d.item(item.ID); i.State != dispatcher.Ready || i.Tries != 1 || !strings.Contains(i.Reason, test.says) {
				t.Errorf("it is %s, with %d tries: %q", i.State, i.Tries, i.Reason)
			}
		})
	}
}

func TestW2OnlyWhoOpenedAPullRequestHasItsHeadRegistered(t *testing.T) {
	d := newDock(t, func(c *dispatcher.Config) { c.Lease = time.Second })
	item := d.submit("Mend the pump")
	first := d.claim("builder-lite-0")
	if err := d.Register(t.Context(), first.Builder, first.Attempt, dispatcher.Registration{Token: first.Token, Pull: pull, Head: head(1)}); err != nil {
		t.Fatal(err)
	}
	d.ahead.Add(int64(2 * time.Minute)) // it dies
	d.finish(d.claim("builder-lite-1"), pull, head(2), "")
	d.judged(change.Change{Head: head(2), Author: "builder-lite-0", MergeSHA: head(7), Outcome: change.OutcomeHealthy}, 0)
	d.look()
	if i := d.item(item.ID); i.State != dispatcher.Cancelled || i.Accepted != 0 || !strings.Contains(i.Reason, "which no attempt registered") {
		t.Errorf("it is %+v", i)
	}
}

func TestW1WhatMergesIsAcceptedThoughItsItemWasGivenUp(t *testing.T) {
	for name, giveUp := range map[string]func(*dock, dispatcher.ItemID){
		"dead": func(d *dock, id dispatcher.ItemID) {
			d.ahead.Add(int64(time.Hour))
			d.until("it is dead", func() bool { return d.item(id).State == dispatcher.Dead })
		},
		"cancelled": func(d *dock, id dispatcher.ItemID) {
			if err := d.Cancel(t.Context(), "olga", id, "not now"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDock(t)
			item, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Repo: app, Title: "Mend the pump", Deadline: time.Now().Add(30 * time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			g := d.claim("builder-lite-0")
			d.finish(g, pull, head(1), "")
			giveUp(d, item.ID)
			c := d.judged(change.Change{Head: head(1), Author: "builder-lite-0", MergeSHA: head(7)}, 0)
			d.look()
			if i := d.item(item.ID); i.Accepted != g.Attempt {
				t.Errorf("once it merged: %+v", i)
			}
			c.Outcome = change.OutcomeHealthy
			d.judged(c, 0)
			d.look()
			if i := d.item(item.ID); i.State != dispatcher.Done {
				t.Errorf("once it is live: %+v", i)
			}
		})
	}
}

func TestAHintIsFollowedAndAResyncRepeatsIt(t *testing.T) {
	d := newDock(t)
	item := d.submit("Mend the pump")
	d.finish(d.claim("builder-lite-0"), pull, head(1), "")
	c := d.judged(change.Change{Head: head(1), Author: "builder-lite-0", MergeSHA: head(7)}, 0)
	if err := d.Look(t.Context(), pull); err != nil {
		t.Fatal(err)
	}
	d.until("the hint is followed", func() bool { return d.item(item.ID).Accepted != 0 })
	c.Outcome = change.OutcomeHealthy
	d.judged(c, 0)
	if err := d.ResyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.until("a resync makes up for one that was lost", func() bool { return d.item(item.ID).State == dispatcher.Done })
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

func TestTheGateIsToldWhoTheBuildersAre(t *testing.T) {
	d := newDock(t)
	crew, err := d.Crew(t.Context(), pull, head(1))
	if err != nil || crew.Read != ref.Yes || len(crew.Members) != 7 || crew.Registered != ref.Unknown || crew.Members["builder-lite-0"] != (gate.Principal{Kind: gate.KindAgent, Operator: "olga", Pool: "builder-lite"}) {
		t.Fatalf("at first: %+v, %v", crew, err)
	}
	d.submit("Mend the pump")
	d.finish(d.claim("builder-lite-0"), pull, head(1), "")
	c := d.judged(change.Change{Head: head(1), Author: "builder-lite-0"}, 2)
	if _, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Kind: dispatcher.Review, Repo: app, Title: "Have a look", Pull: pull}); err != nil {
		t.Fatal(err)
	}
	d.finish(d.claim("reviewer-lite-1"), pull, head(1), "approved")
	// What they run from now on says nothing of what they did.
	s := fleet()
	for a := range s.Replicas {
		s.Replicas[a] = "gamma"
	}
	if _, _, err := d.Apply(t.Context(), "olga", "swap", s); err != nil {
		t.Fatal(err)
	}
	crew, err = d.Crew(t.Context(), pull, head(1))
	if err != nil || crew.Registered != ref.Yes {
		t.Fatalf("%+v, %v", crew, err)
	}
	for login, model := range map[string]string{"builder-lite-0": "alpha-1", "reviewer-lite-1": "beta-1", "reviewer-lite-2": "", "builder-lite-1": ""} {
		if got := crew.Members[login].Model; got != model {
			t.Errorf("%s ran %q, want %q", login, got, model)
		}
	}
	if crew, err := d.Crew(t.Context(), pull, head(2)); err != nil || crew.Registered != ref.No || crew.Members["builder-lite-0"].Model != "" {
		t.Errorf("a head that nobody registered: %+v, %v", crew, err)
	}

	// Two attempts of one coordinate that ran different models: nobody knows which
	// did it.
	if _, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Kind: dispatcher.Review, Repo: app, Title: "Once more", Pull: pull, Selector: "reviewer-lite-1"}); err != nil {
		t.Fatal(err)
	}
	d.finish(d.claim("reviewer-lite-1"), pull, head(1), "approved")
	if crew, err := d.Crew(t.Context(), pull, head(1)); err != nil || crew.Members["reviewer-lite-1"].Model != "" {
		t.Errorf("%+v, %v", crew.Members["reviewer-lite-1"], err)
	}
	c.Author = "carol"
	d.judged(c, 2)
	if crew, err := d.Crew(t.Context(), pull, head(1)); err != nil || crew.Registered != ref.No {
		t.Errorf("registered by another than its author: %+v, %v", crew, err)
	}
}
