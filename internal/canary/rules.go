package canary

import (
	"context"
	"fmt"

	"slipway/gate"
)

// Control is the canary that breaks nothing: without it, canaries that are all
// blocked by the same thing would prove nothing.
const Control = "control"

// rules are the canaries, the control first.
func rules() []rule {
	return []rule{
		{name: Control, needs: enough},
		{name: "one-approval", code: gate.CodeApprovals, needs: enough, breaks: func(_ context.Context, r *round, b *bird) error {
			b.approvers--
			return nil
		}},
		{name: "stale-approval", code: gate.CodeApprovals, needs: enough, breaks: func(ctx context.Context, r *round, b *bird) error {
			if err := r.approve(ctx, b); err != nil {
				return err
			}
			head, err := r.Author.Push(ctx, r.Repo, b.branch, r.path("after"), "after the approvals\n")
			b.head, b.approvers = head, 0
			return err
		}},
		{name: "change-request", code: gate.CodeVeto, needs: oneMore, breaks: func(ctx context.Context, r *round, b *bird) error {
			return r.Reviewers[b.approvers].Review(ctx, b.id, b.head, false)
		}},
		{name: "held", code: gate.CodeHold, needs: func(c Config, p gate.Policy) string {
			if len(p.HoldLabels) == 0 {
				return "the policy has no hold label"
			}
			return enough(c, p)
		}, breaks: func(ctx context.Context, r *round, b *bird) error {
			return r.Author.Label(ctx, b.id, r.policy.HoldLabels[0])
		}},
		{name: "draft", code: gate.CodeDraft, title: "WIP: test: canary draft", needs: enough},
		{name: "unmapped-commit", code: gate.CodeUnmappedIdentity, mail: "canary@nobody.invalid", needs: enough},
		{name: "red-check", code: gate.CodeCheckFailed, needs: reported, breaks: func(ctx context.Context, r *round, b *bird) error {
			b.noReports = true
			return r.eachReported(func(c gate.CheckRule) error {
				return r.hand(c.Creator).Status(ctx, r.Repo, b.head, c.Context, gate.StateFailure)
			})
		}},
		{name: "forged-check", code: gate.CodeCheckForeign, needs: reported, breaks: func(ctx context.Context, r *round, b *bird) error {
			b.noReports = true
			return r.eachReported(func(c gate.CheckRule) error {
				return r.Author.Status(ctx, r.Repo, b.head, c.Context, gate.StateSuccess)
			})
		}},
	}
}

// enough says what is missing for as many approvals as the policy wants.
func enough(c Config, p gate.Policy) string { return atLeast(c, max(gate.MinApprovals, p.Approvals)) }

func oneMore(c Config, p gate.Policy) string {
	return atLeast(c, max(gate.MinApprovals, p.Approvals)+1)
}

func atLeast(c Config, n int) string {
	if len(c.Reviewers) < n {
		return fmt.Sprintf("it wants %d reviewers, and there are %d", n, len(c.Reviewers))
	}
	return ""
}

// reported says what is missing for a check that one of the reviewers reports.
func reported(c Config, p gate.Policy) string {
	for _, r := range p.Checks {
		if h := handOf(c, r.Creator); h != nil && h.Login() != c.Author.Login() && !r.Optional && len(r.Paths) == 0 {
			return enough(c, p)
		}
	}
	return "no required check of the policy has one of the reviewers as its creator"
}

func (r *round) eachReported(do func(gate.CheckRule) error) error {
	for _, c := range r.policy.Checks {
		if h := r.hand(c.Creator); h == nil || h.Login() == r.Author.Login() {
			continue
		}
		if err := do(c); err != nil {
			return err
		}
	}
	return nil
}
