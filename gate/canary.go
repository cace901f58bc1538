package gate

import "slices"

// CanaryPrefix begins the head branch of every canary: a pull request that
// breaks a rule on purpose, to see that it stays blocked.
const CanaryPrefix = "slipway-canary/"

// Caught is the verdict on a canary: what would merge is blocked instead, and
// says so.
func (v Verdict) Caught() Verdict {
	if v.Outcome != Merge {
		return v
	}
	v.Outcome = Block
	v.Reasons = append(slices.Clone(v.Reasons), Reason{
		Code: CodeCanary, Outcome: Block, Sentence: "it is a canary, and nothing else keeps it from merging", Who: []string{whoOperator},
	})
	return v
}
