package onboard

import (
	"slices"
	"strconv"
	"strings"
)

// rule compares the branch's protection.
func (m *maker) rule() {
	if m.want.Rule == nil {
		return
	}
	want := *m.want.Rule
	key := "branch " + want.Branch
	if !m.is.Rule.Read {
		m.unread(key, RightRepository, m.is.Rule.Why)
		return
	}
	is := m.is.Rule.Is
	if m.want.Draft {
		m.draft(key, is != nil)
		return
	}
	if is == nil {
		m.settable(key, RightRepository, want, m.differences(Protection{Push: true, ForcePush: true}, want)...)
		return
	}
	if m.approved(*is) {
		want.Listed, want.Approvers, want.ApproverTeams = is.Listed, is.Approvers, is.ApproverTeams
	}
	lines := m.differences(*is, want)
	switch {
	case len(lines) == 0:
	case stricter(*is, want) && !m.want.Loosen:
		m.add(Step{Key: key, Where: "the forge", Lines: lines, Needs: RightRepository,
			Blocked: "it asks for more than the policy, and to take that away somebody must say so",
			Mend:    "ask for as much in the policy, or have it loosened: " + m.command("--loosen")})
	default:
		m.settable(key, RightRepository, want, lines...)
	}
}

// draft leaves a branch as it is while the policy is not on it. Once the branch
// is protected nobody can push the policy, and without one nothing merges.
func (m *maker) draft(key string, locked bool) {
	branch := m.want.Rule.Branch
	s := Step{Key: key, Where: "the forge", Needs: RightOperator,
		Blocked: "the policy is not on " + branch + " yet, and once " + branch + " is protected nobody can put it there",
		Mend:    "push the policy to " + branch + ", then run this again: " + m.command("")}
	if locked {
		s.Blocked = "the policy is not on " + branch + ", which is protected already"
		s.Mend = "take the protection of " + branch + " away by hand, " + s.Mend
	}
	m.add(s)
}

// stricter says whether a protection asks for something that is not wanted.
func stricter(is, want Protection) bool {
	return is.Approvals > want.Approvals || is.UpToDate && !want.UpToDate ||
		slices.ContainsFunc(is.Checks, func(c string) bool { return !slices.Contains(want.Checks, c) })
}

// approved says whether the list of approvers that the forge has may stay.
func (m *maker) approved(is Protection) bool {
	want := m.want.Rule
	exact := is.Listed == want.Listed && same(is.Approvers, want.Approvers) && same(is.ApproverTeams, want.ApproverTeams)
	switch m.want.Approving {
	case ApprovingOpen:
		return true
	case ApprovingDeclared:
		declared := is.Listed && len(without(is.Approvers, want.Approvers)) == 0 && len(without(is.ApproverTeams, want.ApproverTeams)) == 0
		return exact || declared && (len(is.ApproverTeams) > 0 || len(distinct(is.Approvers)) >= want.Approvals)
	default:
		return exact
	}
}

func same(a, b []string) bool { return slices.EqualFunc(distinct(a), distinct(b), strings.EqualFold) }

// differences leaves out what this kind of forge does not have.
func (m *maker) differences(is, want Protection) []Line {
	var d diff
	d.contexts("required checks", is.Checks, want.Checks)
	if !m.lacks(FeatureGate) {
		d.flag("slipway/gate required", is.Gate, want.Gate)
	}
	if is.Approvals != want.Approvals {
		d = append(d, Line{"approvals", strconv.Itoa(is.Approvals), strconv.Itoa(want.Approvals)})
	}
	if !m.lacks(FeatureApprovers) {
		d.listed("approvers", is.Listed, want.Listed, is.Approvers, want.Approvers)
		d.names("approving teams", only(is.Listed, is.ApproverTeams), only(want.Listed, want.ApproverTeams))
	}
	if !m.lacks(FeatureMergers) {
		d.listed("who may merge", is.MergeListed, want.MergeListed, is.Mergers, want.Mergers)
		d.names("teams that may merge", only(is.MergeListed, is.MergerTeams), only(want.MergeListed, want.MergerTeams))
	}
	d.flag("push past pull requests", is.Push, want.Push)
	d.flag("force-push", is.ForcePush, want.ForcePush)
	d.flag("exceptions from the rule", is.Bypass, want.Bypass)
	d.flag("approvals end with a new head", is.DismissStale, want.DismissStale)
	if !m.lacks(FeatureBlockRejected) {
		d.flag("a rejection blocks", is.BlockRejected, want.BlockRejected)
	}
	d.flag("must be up to date", is.UpToDate, want.UpToDate)
	d.flag("administrators are held to it", is.AdminsIncluded, want.AdminsIncluded)
	return d
}

// diff gathers lines.
type diff []Line

func (d *diff) flag(what string, is, should bool) {
	if is != should {
		*d = append(*d, Line{what, yesNo(is), yesNo(should)})
	}
}

// names compares two sets of names.
func (d *diff) names(what string, is, should []string) {
	if !same(is, should) {
		*d = append(*d, Line{what, list(distinct(is)), list(distinct(should))})
	}
}

// contexts compares two sets of contexts, to the letter.
func (d *diff) contexts(what string, is, should []string) {
	is, should = slices.Sorted(slices.Values(is)), slices.Sorted(slices.Values(should))
	is, should = slices.Compact(is), slices.Compact(should)
	if !slices.Equal(is, should) {
		*d = append(*d, Line{what, or(strings.Join(is, ", "), "none"), or(strings.Join(should, ", "), "none")})
	}
}

// listed compares two lists of names, each of which may also not be in force.
func (d *diff) listed(what string, isListed, listed bool, is, should []string) {
	switch {
	case isListed && listed:
		d.names(what, is, should)
	case isListed != listed:
		*d = append(*d, Line{what, anybody(isListed, is), anybody(listed, should)})
	}
}

func anybody(listed bool, names []string) string {
	if !listed {
		return "whoever may write"
	}
	return list(distinct(names))
}

func only(listed bool, names []string) []string {
	if !listed {
		return nil
	}
	return names
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
