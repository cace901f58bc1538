package config_test

import "testing"

// crewCases are of pull requests that coordinates of the pools wrote and
// reviewed.
const crewCases = `version: 1
cases:
  - name: two reviews by attempts of two models merge
    author: builder-lite-0
    members: [{login: builder-lite-0, model: m0}, {login: reviewer-lite-0, model: m1}, {login: reviewer-lite-1, model: m2}]
    approvals: [reviewer-lite-0, reviewer-lite-1]
    want: merge
  - name: two of one model are one
    author: builder-lite-0
    members: [{login: builder-lite-0, model: m0}, {login: reviewer-lite-0, model: m1}, {login: reviewer-lite-1, model: m1}]
    approvals: [reviewer-lite-0, reviewer-lite-1]
    want: wait
    reasons: [approvals]
  - name: one of the author's model is none
    author: builder-lite-0
    members: [{login: builder-lite-0, model: m0}, {login: reviewer-lite-0, model: m0}, {login: reviewer-lite-1, model: m1}]
    approvals: [reviewer-lite-0, reviewer-lite-1]
    want: wait
    reasons: [approvals]
  - name: one that no attempt stands behind is none
    author: builder-lite-0
    members: [{login: builder-lite-0, model: m0}, reviewer-lite-0, {login: reviewer-lite-1, model: m1}]
    approvals: [reviewer-lite-0, reviewer-lite-1]
    want: wait
    reasons: [approvals]
  - name: one of another pool is not asked
    author: builder-lite-0
    members: [{login: builder-lite-0, model: m0}, {login: reviewer-lite-0, model: m1}, {login: reviewer-heavy-0, model: m2}]
    approvals: [reviewer-lite-0, reviewer-heavy-0]
    want: wait
    reasons: [approvals]
  - name: a head that no attempt registered is blocked
    author: builder-lite-0
    members: [{login: builder-lite-0, model: m0}, {login: reviewer-lite-0, model: m1}, {login: reviewer-lite-1, model: m2}]
    approvals: [reviewer-lite-0, reviewer-lite-1]
    registered: false
    want: block
    reasons: [unregistered]
    who: [builder-lite-0, operator]
  - name: a person registers nothing
    members: [{login: reviewer-lite-0, model: m1}, {login: reviewer-lite-1, model: m2}]
    approvals: [reviewer-lite-0, reviewer-lite-1]
    registered: false
    want: merge
  - name: where operators do not count, two agents of one are two
    members: [{login: reviewer-lite-0, model: m1, operator: acme}, {login: reviewer-lite-1, model: m2, operator: acme}]
    approvals: [reviewer-lite-0, reviewer-lite-1]
    want: merge
  - name: who takes part and was not read is unknown
    unread: [crew]
    want: wait
    reasons: [unknown]
`

func TestCasesOfPools(t *testing.T) {
	policy := string(withGate("  approvals:\n    from: {pools: [reviewer-lite]}\n    operator_once: false\n"))
	for _, r := range judged(t, policy, crewCases) {
		t.Run(r.Name, func(t *testing.T) {
			for _, w := range r.Wrong {
				t.Errorf("%s: %v", w, r.Verdict.Reasons)
			}
		})
	}
}
