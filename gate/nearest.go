package gate

import (
	"slices"
	"strings"
)

// What is compared at most, so that a commit with thousands of long contexts
// cannot make a verdict slow.
const (
	nearestCandidates = 256
	nearestRunes      = 100
)

// Nearest is the one of have that is most like want: the same name for another
// event ("ci / test (push)") first, then the fewest edits (Levenshtein's
// distance, without regard to case), then the first in order. ok is false when
// there is none to choose from.
func Nearest(want string, have []string) (best string, edits int, ok bool) {
	have = slices.Sorted(slices.Values(have))
	have = slices.Compact(have)
	have = have[:min(len(have), nearestCandidates)]
	folded, stem := fold(want), eventless(want)
	sameStem := false
	for _, h := range have {
		same := eventless(h) == stem
		if ok && sameStem && !same {
			continue
		}
		d := distance(folded, fold(h))
		if !ok || same && !sameStem || d < edits {
			best, edits, ok, sameStem = h, d, true, same
		}
	}
	return best, edits, ok
}

// eventless is a context without the event in parentheses at its end.
func eventless(context string) string {
	context = strings.ToLower(context)
	if i := strings.LastIndex(context, " ("); i > 0 && strings.HasSuffix(context, ")") {
		return context[:i]
	}
	return context
}

func fold(s string) []rune {
	r := []rune(strings.ToLower(s))
	return r[:min(len(r), nearestRunes)]
}

// distance is Levenshtein's, in one row of memory.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, ra := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, rb := range b {
			cost := diagonal
			if ra != rb {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
