package dispatcher_test

import (
	"testing"

	"slipway/dispatcher"
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
