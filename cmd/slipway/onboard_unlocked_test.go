package main

import (
	"context"
	"strings"
	"testing"

	"slipway/config"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/onboard"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// shelf is a forge's contents: one branch, with or without a policy, or the
// refusal to show it.
type shelf struct {
	reconcile.Contents
	policy  bool
	refusal error
}

func (s shelf) Branch(context.Context, ref.BranchID) (ref.SHA, error) {
	return ref.SHA(strings.Repeat("a", 40)), s.refusal
}

func (s shelf) File(context.Context, ref.RepoID, ref.SHA, string) ([]byte, bool, error) {
	return nil, s.policy, nil
}

func TestAPolicyFileStandsInOnlyWhereTheBranchHasNone(t *testing.T) {
	missing := change.Plan{Faults: []string{"is missing"}}
	for _, test := range []struct {
		name     string
		onBranch bool
		local    *change.Plan
		rule     bool
		draft    bool
	}{
		{"on the branch", true, nil, true, false},
		{"on the branch, and a file", true, &change.Plan{}, true, false},
		{"a file alone", false, &change.Plan{}, true, true},
		{"neither", false, nil, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := surveyOf(shelf{policy: test.onBranch})
			s.policy = func(_ ref.RepoID, _ string, _ []byte, found bool) change.Plan {
				if !found {
					return missing
				}
				return change.Plan{}
			}
			want, err := s.want(t.Context(), s.conf.Repositories[0], test.local)
			if err != nil || (want.Rule != nil) != test.rule || want.Draft != test.draft {
				t.Errorf("rule %v, draft %v, %v", want.Rule, want.Draft, err)
			}
		})
	}
}

func TestARepositoryOfAnotherNameIsToldAsThat(t *testing.T) {
	s := surveyOf(shelf{refusal: fault.Moved(context.Canceled, "acme/app2")})
	_, err := s.want(t.Context(), s.conf.Repositories[0], nil)
	if err == nil || err.Error() != "acme/app is acme/app2 now: write acme/app2 in slipway.yaml, and start the server anew" {
		t.Error(err)
	}
	if found := s.findings(t.Context()); len(found) > 0 {
		t.Errorf("told about the forge already: %+v", found)
	}
}

func surveyOf(s shelf) survey {
	return survey{
		conf: config.Server{
			Forges:       []config.Forge{{Name: "gitea", Login: "slipway-bot"}},
			Repositories: []config.Repository{{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Forge: "gitea", Branch: "main"}},
		},
		forges: map[string]surveyed{"gitea": {Contents: s, Guard: onboard.Guard(nil)}},
	}
}

func TestThePlanSaysWhoItTakes(t *testing.T) {
	var said strings.Builder
	show(&said, "as ada", []onboard.Step{
		{Key: "policy", Where: "slipway.yaml and the policy", Needs: onboard.RightOperator},
		{Key: "webhook", Where: "the forge", Needs: onboard.RightRepository},
	})
	for _, want := range []string{"(slipway.yaml and the policy; takes whoever runs Slipway)", "(the forge; takes an administrator of the repository)"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %q in %s", want, said.String())
		}
	}
}
