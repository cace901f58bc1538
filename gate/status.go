package gate

import (
	"fmt"
	"strings"
	"unicode"
)

// statusLimit is how many characters the text of a commit status may have.
const statusLimit = 140

// statusNames is how many of those who can act are named.
const statusNames = 4

// Status is the verdict as a commit status: its state, and one sentence of at
// most 140 characters that says what is missing and who can give it.
func (v Verdict) Status() (State, string) {
	state := StatePending
	switch v.Outcome {
	case Merge:
		text := fmt.Sprintf("%d of %d required checks are green, %d approvals count", len(v.Checks), len(v.Checks), len(v.Approvals))
		if v.Waived {
			text += ", and an emergency waives the rest"
		}
		return StateSuccess, text
	case Block:
		state = StateFailure
	}
	if len(v.Reasons) == 0 {
		return state, "not judged yet"
	}
	text := clean(v.Reasons[0].said())
	for i, r := range v.Reasons[1:] {
		rest := len(v.Reasons) - 1 - i
		more := text + "; " + clean(r.said())
		if length(more)+len(moreWords(rest-1)) > statusLimit {
			return state, cut(text, statusLimit-len(moreWords(rest))) + moreWords(rest)
		}
		text = more
	}
	return state, cut(text, statusLimit)
}

// said is the reason with who can act on it.
func (r Reason) said() string {
	if len(r.Who) == 0 {
		return r.Sentence
	}
	who := strings.Join(r.Who[:min(len(r.Who), statusNames)], ", ")
	if more := len(r.Who) - statusNames; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	return r.Sentence + " (up to " + who + ")"
}

func moreWords(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("; %d more", n)
}

// clean leaves one line of printable text.
func clean(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

// cut shortens s to at most limit characters, at the end of a word where there
// is one in its second half.
func cut(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	short := string(r[:limit-1])
	if r[limit-1] != ' ' {
		if i := strings.LastIndexByte(short, ' '); i > len(short)/2 {
			short = short[:i]
		}
	}
	return strings.TrimRight(short, " ,;:") + "…"
}

func length(s string) int { return len([]rune(s)) }
