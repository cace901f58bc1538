package onboard_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// anyWorld draws a forge and a cluster in whatever state, as seen by somebody
// with every right.
func anyWorld(t *rapid.T) *world {
	w := bare()
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	names := func(name string) []string {
		return rapid.SliceOfN(rapid.SampledFrom([]string{"carol", "Dave", "eve", "slipway-bot", "staff"}), 0, 4).Draw(t, name)
	}
	w.readers = names("readers")
	if flag("rule") {
		w.forge.Rule = onboard.Read(&onboard.Protection{
			Branch: "main", Checks: names("checks"), Approvals: rapid.IntRange(0, 4).Draw(t, "approvals"),
			Listed: flag("listed"), Approvers: names("approvers"), ApproverTeams: names("approving teams"),
			MergeListed: flag("merge listed"), Mergers: names("mergers"), MergerTeams: names("merging teams"),
			Push: flag("push"), ForcePush: flag("force"), Bypass: flag("bypass"), DismissStale: flag("dismiss"),
			BlockRejected: flag("block"), UpToDate: flag("up to date"), AdminsIncluded: flag("admins"),
		})
	}
	if flag("tags") {
		w.forge.Tags = onboard.Read(&onboard.TagProtection{Pattern: "v*", Makers: names("makers"), MakerTeams: names("making teams")})
	}
	for i := range rapid.IntRange(0, 1).Draw(t, "hooks") {
		w.forge.Hooks.Is = append(w.forge.Hooks.Is, onboard.Hook{
			ID: int64(i + 1), Active: flag("active"), JSON: flag("json"), Signed: flag("signed"),
			URL: rapid.SampledFrom([]string{"https://slipway.example/hooks/gitea", "http://old/hooks/gitea", "http://else/where"}).Draw(t, "url"),
		})
	}
	if flag("team") {
		w.forge.Teams.Is["reviewers-app"] = onboard.Team{Name: "reviewers-app", Kind: onboard.TeamReviewers, Enough: flag("enough"), Members: names("members")}
	}
	w.forge.Bot = onboard.Read(rapid.SampledFrom([]onboard.Access{"", onboard.AccessRead, onboard.AccessWrite, onboard.AccessAdmin}).Draw(t, "bot"))
	w.forge.Packages = onboard.Read(flag("packages"))
	w.forge.Labels = onboard.Read(rapid.SliceOfDistinct(rapid.SampledFrom([]string{"hold", "HOLD", "release/major", "other"}), rapid.ID).Draw(t, "labels"))
	if flag("namespace") {
		s := w.sites["main/acme"]
		s.Exists = onboard.Read(true)
		if flag("bound") {
			s.Bound = ref.Yes
		}
		w.sites["main/acme"] = s
	}
	return w
}

func TestNothingIsLeftToDoAfterThePlanWasApplied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, want := anyWorld(t), loosening()
		for _, o := range w.apply(want) {
			if !o.Done {
				t.Fatalf("%s: %s", o.Step.Key, o.Fault)
			}
		}
		if again := w.plan(want); len(again.Steps) > 0 {
			t.Fatalf("still to be done: %+v", again.Steps)
		}
		writes := w.writes
		if w.apply(want); w.writes != writes {
			t.Fatal("the second run wrote something")
		}
	})
}

func TestARunThatWasCutOffIsContinued(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, want := anyWorld(t), loosening()
		p := w.plan(want)
		p.Steps = p.Steps[:rapid.IntRange(0, len(p.Steps)).Draw(t, "steps that were done")]
		onboard.Apply(context.Background(), p, w, map[string]onboard.Ground{"main": w}, func(onboard.Outcome) {})
		w.apply(want)
		if again := w.plan(want); len(again.Steps) > 0 {
			t.Fatalf("still to be done: %+v", again.Steps)
		}
	})
}

func TestARefusedStepLeavesTheOthersDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, want := anyWorld(t), loosening()
		refused := rapid.IntRange(0, 8).Draw(t, "the kind that is refused")
		denied := func(p onboard.Part) bool { return kindOf(p) == refused }
		w.deny = denied
		for _, o := range w.apply(want) {
			if !o.Done && (o.Fault == "" || o.Mend == "") {
				t.Fatalf("%s is not done, and nobody is told why or how: %+v", o.Step.Key, o)
			}
		}
		w.deny = nil
		writes := w.writes
		left := w.plan(want)
		w.apply(want)
		if again := w.plan(want); len(again.Steps) > 0 {
			t.Fatalf("still to be done: %+v", again.Steps)
		}
		if w.writes-writes != len(left.Steps) {
			t.Fatalf("%d writes for %d steps", w.writes-writes, len(left.Steps))
		}
	})
}

// loosening is what somebody wants who lets the forge ask for less.
func loosening() onboard.Want {
	w := onboard.Derive(facts())
	w.Loosen = true
	return w
}

func kindOf(p onboard.Part) int {
	switch p.(type) {
	case onboard.Protection:
		return 0
	case onboard.TagProtection:
		return 1
	case onboard.Hook:
		return 2
	case onboard.Team:
		return 3
	case onboard.Permission:
		return 4
	case onboard.Label:
		return 5
	case onboard.Namespace:
		return 6
	case onboard.Role:
		return 7
	default:
		return 8
	}
}
