package gate

import (
	"slices"
	"strings"
)

// CanaryPrefix begins the head branch of every canary: a pull request that
// breaks a rule on purpose, to see that it stays blocked.
const CanaryPrefix = "slipway-canary/"

// Canary says whether the pull request is one, by the branch that it comes from.
// No such pull request merges, wherever it is: one that was left behind does not
// become a change once nobody lets out canaries there any more.
func (p PullRequest) Canary() bool { return strings.HasPrefix(p.HeadBranch, CanaryPrefix) }

// Caught is the verdict on a canary: what would merge is blocked instead, and
// says so.
func (v Verdict) Caught() Verdict {
	if v.Outcome != Merge {
		return v
	}
	v.Outcome = Block
	v.Reasons = append(slices.Clone(v.Reasons), Reason{
		Code: CodeCanary, Outcome: Block, Sentence: "it comes from a canary's branch, " + CanaryPrefix + "…, and nothing else keeps it from merging", Who: []string{whoOperator},
	})
	return v
}
