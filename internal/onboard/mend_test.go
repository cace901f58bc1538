package onboard_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/onboard"
)

// TestABranchIsLockedOnlyOnceThePolicyIsOnIt: the lock would keep the policy
// from being pushed, and its absence every pull request from being merged.
func TestABranchIsLockedOnlyOnceThePolicyIsOnIt(t *testing.T) {
	f := facts()
	f.Draft = true
	w, want := bare(), onboard.Derive(f)
	w.apply(want)
	left := w.plan(want)
	if diff := cmp.Diff([]string{"branch main"}, keys(left)); diff != "" {
		t.Fatal(diff)
	}
	pushed := "push the policy to main, then run this again: slipway onboard acme/app --config slipway.yaml --yes"
	if s := left.Steps[0]; w.forge.Rule.Is != nil || s.Mend != pushed || !strings.Contains(s.Told(), "the policy is not on main yet") {
		t.Errorf("protected: %v; %+v", w.forge.Rule.Is, s)
	}
	w.forge.Rule = onboard.Read(&onboard.Protection{Branch: "main"})
	if s := w.plan(want).Steps[0]; !strings.Contains(s.Blocked, "protected already") || !strings.HasPrefix(s.Mend, "take the protection of main away by hand, push the policy") {
		t.Errorf("with a lock on it: %+v", s)
	}
	w.forge.Rule = onboard.Read[*onboard.Protection](nil)
	settled := onboard.Derive(facts())
	w.apply(settled)
	if left := keys(w.plan(settled)); len(left) > 0 || w.forge.Rule.Is == nil {
		t.Errorf("with the policy on the branch: %q", left)
	}
}

// TestAMendNamesTheConfigurationThatWasGiven, for it is to be copied as it is.
func TestAMendNamesTheConfigurationThatWasGiven(t *testing.T) {
	want := onboard.Derive(facts())
	want.Config = "/etc/slipway/one.yaml"
	for _, s := range bare().plan(want).Steps {
		if s.Mend != "slipway onboard acme/app --config /etc/slipway/one.yaml --yes" {
			t.Errorf("%s: %q", s.Key, s.Mend)
		}
	}
}

func TestEachRightIsNamedWithItsArticle(t *testing.T) {
	for right, want := range map[onboard.Right]string{
		onboard.RightRepository: "an administrator of the repository", onboard.RightOrganization: "an owner of the organisation",
		onboard.RightCluster: "an administrator of the cluster", onboard.RightOperator: "whoever runs Slipway",
	} {
		if got := right.Who(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
