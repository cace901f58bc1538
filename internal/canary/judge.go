package canary

import (
	"fmt"
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/ref"
)

// standing is where a canary is, by the verdict on it.
type standing struct {
	// current says that the verdict is about its head, and has seen its approvals.
	current bool
	// free says that nothing but its being a canary kept it from merging.
	free bool
	// expected says that its own rule blocks it.
	expected bool
	// others are the reasons that are not its own.
	others []string
}

func (b *bird) standing(j Judged) standing {
	s := standing{current: j.Head == b.head && j.Approvals >= b.approvers, free: slices.Contains(j.Reasons, gate.CodeCanary)}
	for _, c := range j.Reasons {
		switch c {
		case gate.CodeCanary:
		case b.code:
			s.expected = true
		default:
			s.others = append(s.others, string(c))
		}
	}
	return s
}

// judge says whether a canary has come to rest, and notes how. What is free on
// its own head is so however many of its approvals were seen: nothing waited for
// them.
func (r *round) judge(b *bird, j Judged, late bool) bool {
	s := b.standing(j)
	switch {
	case j.Merged:
		r.find(b.name, b.id, true, "it was merged")
	case s.free && j.Head == b.head && b.name != Control:
		r.find(b.name, b.id, true, "nothing would keep it from merging, though it breaks the rule "+b.name)
	case s.free && j.Head == b.head, s.current && s.expected && len(s.others) == 0:
		r.report.Held = append(r.report.Held, b.name)
	case !late:
		return false
	default:
		r.find(b.name, b.id, false, b.amiss(j, s))
	}
	return true
}

// amiss says what is wrong with a canary that is not where it must be in time.
func (b *bird) amiss(j Judged, s standing) string {
	switch {
	case j.Head != b.head:
		return "it was not judged in time"
	case b.name == Control:
		return "the canaries prove nothing: the one that breaks no rule would not merge either" + because(s.others)
	case s.expected && len(s.others) > 0:
		return "it is blocked, but not by its rule alone" + because(s.others)
	case s.expected:
		return fmt.Sprintf("it is blocked, but %d of its %d approvals count", j.Approvals, b.approvers)
	}
	return fmt.Sprintf("it is not blocked by %s", b.code) + because(s.others)
}

func because(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, ", ")
}

func (r *round) find(rule string, id ref.PullID, escaped bool, says string) {
	r.report.Findings = append(r.report.Findings, Finding{Rule: rule, Pull: id, Escaped: escaped, Says: says})
}
