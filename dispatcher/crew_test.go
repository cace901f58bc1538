package dispatcher_test

import (
	"fmt"
	"testing"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// TestACoordinateThatLeftThePoolsStaysOne: else whatever is pushed to its branch
// after that could merge.
func TestACoordinateThatLeftThePoolsStaysOne(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	d.finish(d.claim("builder-lite-0"), pull, head(1), "")
	d.judged(change.Change{Head: head(1), Author: "builder-lite-0"}, 2)
	left := fleet()
	delete(left.Replicas, at("builder-lite-0"))
	if _, _, err := d.Apply(t.Context(), "olga", "one less", left); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name       string
		at         ref.SHA
		registered ref.Fact
		model      string
	}{
		{"at the head that it registered", head(1), ref.Yes, "alpha-1"},
		{"at one that came after", head(2), ref.No, ""},
	} {
		crew, err := d.Crew(t.Context(), pull, row.at)
		if err != nil {
			t.Fatal(err)
		}
		is, member := crew.Members["builder-lite-0"]
		if !member || is.Model != row.model || is.Pool != "builder-lite" || crew.Registered != row.registered {
			t.Errorf("%s: %+v, registered %s", row.name, is, crew.Registered)
		}
	}
}

// TestM4WhatWasHandedBackStillStandsBehindAReview: its command may have said yes
// before, and then claimed again with another model.
func TestM4WhatWasHandedBackStillStandsBehindAReview(t *testing.T) {
	d := newDock(t)
	d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	if _, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Kind: dispatcher.Review, Repo: app, Title: "Have a look", Pull: pull}); err != nil {
		t.Fatal(err)
	}
	first := d.claim("reviewer-lite-1") // beta
	back := dispatcher.Failure{Beat: dispatcher.Beat{Token: first.Token}, Reason: "told to stop", Returned: true}
	if err := d.Fail(t.Context(), first.Builder, first.Attempt, back); err != nil {
		t.Fatal(err)
	}
	swapped := fleet()
	swapped.Replicas[at("reviewer-lite-1")] = "gamma"
	if _, _, err := d.Apply(t.Context(), "olga", "swap", swapped); err != nil {
		t.Fatal(err)
	}
	d.finish(d.claim("reviewer-lite-1"), pull, head(1), "approved")
	crew, err := d.Crew(t.Context(), pull, head(1))
	if err != nil || crew.Members["reviewer-lite-1"].Model != "" {
		t.Errorf("nobody knows which model approved it: %+v, %v", crew.Members["reviewer-lite-1"], err)
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

// TestM4AHeadRestsOnAllThatWroteIt has two models of one coordinate write one
// pull request: neither may approve it, so its author's model is not known.
func TestM4AHeadRestsOnAllThatWroteIt(t *testing.T) {
	d := newDock(t)
	i := d.submit("Mend the pump")
	set := fleet()
	var attempts []dispatcher.Attempt
	for n, a := range []dispatcher.Attempt{{Assignment: set.Assignments["alpha"], Outcome: dispatcher.Failed}, {Assignment: set.Assignments["beta"], Outcome: dispatcher.Finished}} {
		a.Item, a.Address, a.Token, a.Request, a.Pull, a.Head = i.ID, at("builder-lite-0"), int64(n+1), fmt.Sprint("claim ", n), pull, head(n+1)
		attempts = append(attempts, a)
	}
	err := d.store.Transact(t.Context(), dispatcher.Scope{Items: []dispatcher.ItemID{i.ID}}, func(dispatcher.View) (dispatcher.Write, error) {
		return dispatcher.Write{Attempts: attempts}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.judged(change.Change{Head: head(2), Author: "builder-lite-0"}, 2)
	for n := range 3 {
		crew, err := d.Crew(t.Context(), pull, head(n+1))
		if err != nil {
			t.Fatal(err)
		}
		if is := crew.Members["builder-lite-0"]; is.Model != "" || (crew.Registered == ref.Yes) != (n < 2) {
			t.Errorf("at head %d: %+v, registered %s", n+1, is, crew.Registered)
		}
	}
}

// TestM4AModelIsOneUnderAllItsNames: the gate compares names.
func TestM4AModelIsOneUnderAllItsNames(t *testing.T) {
	d := newDock(t)
	set := fleet()
	beta := set.Assignments["beta"]
	beta.Model = "works/beta-1"
	set.Assignments["beta"] = beta
	if _, _, err := d.Apply(t.Context(), "olga", "another name", set); err != nil {
		t.Fatal(err)
	}
	d.judged(change.Change{Head: head(1), Author: "carol"}, 2)
	if _, _, err := d.Submit(t.Context(), "sam", dispatcher.Submission{Kind: dispatcher.Review, Repo: app, Title: "Have a look", Pull: pull}); err != nil {
		t.Fatal(err)
	}
	d.claim("reviewer-lite-1")
	crew, err := d.Crew(t.Context(), pull, head(1))
	if is := crew.Members["reviewer-lite-1"]; err != nil || is.Model != "beta-1" {
		t.Errorf("%+v, %v", is, err)
	}
}
