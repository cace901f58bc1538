package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// Cases is a table of cases that stands beside a policy file: pull requests,
// and what the gate must say of them.
type Cases struct {
	// Policy is the path of the policy file.
	Policy     string
	Repo       ref.RepoID
	Identities Identities
	// Strangers are logins of unknown kind.
	Strangers []string
	Teams     map[string][]string // members, by OWNER/TEAM
	Cases     []Case
}

// Case is one pull request, and what must be said of it.
type Case struct {
	Name string
	Line int // in the file
	Want gate.Outcome
	// Reasons are the codes of all reasons; nil asks for none in particular.
	Reasons []gate.Code
	// Who must be among those who can act.
	Who   []string
	facts facts
}

// CaseResult is one case with the verdict on it.
type CaseResult struct {
	Case
	Verdict gate.Verdict
	// At is when it was judged.
	At time.Time
	// Wrong says, a sentence each, what is not as it should be; none: it passed.
	Wrong []string
}

// Judge judges every case by a policy. Whoever the policy does not know yet and
// the table does not call a stranger is a person.
func (c Cases) Judge(p gate.Policy) []CaseResult {
	results := make([]CaseResult, 0, len(c.Cases))
	for _, k := range c.Cases {
		own := p
		c.Identities.declare(&own)
		snapshot, at := c.snapshot(k.facts, &own)
		r := CaseResult{Case: k, At: at, Verdict: gate.Evaluate(snapshot, own, at)}
		r.Wrong = k.wrong(r.Verdict)
		results = append(results, r)
	}
	return results
}

// wrong compares a verdict with what was wanted.
func (c Case) wrong(v gate.Verdict) []string {
	var all []string
	if v.Outcome != c.Want {
		all = append(all, fmt.Sprintf("it says %s, want %s", v.Outcome, c.Want))
	}
	var codes, who []string
	for _, r := range v.Reasons {
		codes = append(codes, string(r.Code))
		who = append(who, r.Who...)
	}
	for _, a := range v.Acts {
		who = append(who, a.Who...)
	}
	if c.Reasons != nil {
		var want []string
		for _, r := range c.Reasons {
			want = append(want, string(r))
		}
		if got, want := distinct(codes), distinct(want); !slices.Equal(got, want) {
			all = append(all, fmt.Sprintf("its reasons are %s, want %s", cmp.Or(strings.Join(got, ", "), "none"), strings.Join(want, ", ")))
		}
	}
	for _, w := range c.Who {
		if !slices.ContainsFunc(who, func(s string) bool { return strings.EqualFold(s, w) }) {
			all = append(all, fmt.Sprintf("%s cannot act, but %s", w, cmp.Or(strings.Join(distinct(who), ", "), "nobody")))
		}
	}
	return all
}

func distinct(words []string) []string {
	words = slices.Sorted(slices.Values(words))
	return slices.Compact(words)
}

// codesKnown are the codes that a verdict may carry.
func codesKnown() []string {
	var all []string
	for _, c := range []gate.Code{
		gate.CodeClosed, gate.CodePolicy, gate.CodeFrozen, gate.CodeDraft, gate.CodeHold, gate.CodeConflict, gate.CodeVeto,
		gate.CodeUnmappedIdentity, gate.CodeUnregistered, gate.CodeCheckFailed, gate.CodeNotLinear, gate.CodeOutdated, gate.CodeCondition,
		gate.CodeApprovals, gate.CodePerson, gate.CodeDemand, gate.CodeOwners, gate.CodeCheckMissing, gate.CodeCheckForeign,
		gate.CodeCheckPending, gate.CodeFreeze, gate.CodeNotAsked, gate.CodeUnknown,
	} {
		all = append(all, string(c))
	}
	return all
}
