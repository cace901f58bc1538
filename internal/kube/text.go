package kube

import (
	"strings"
	"unicode"
)

// oneLine makes foreign text fit for a sentence: valid, printable, its lines
// joined by bars, and at most limit bytes of its end, where the cause stands.
func oneLine(s string, limit int) string {
	var lines []string
	for line := range strings.Lines(strings.ToValidUTF8(s, "\uFFFD")) {
		if line = strings.TrimSpace(strings.Map(printable, line)); line != "" {
			lines = append(lines, line)
		}
	}
	joined := strings.Join(lines, " | ")
	if len(joined) <= limit {
		return joined
	}
	return "…" + strings.ToValidUTF8(joined[len(joined)-limit:], "")
}

// head is at most limit bytes of the start of foreign text, valid and printable.
func head(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.TrimSpace(strings.Map(printable, strings.ToValidUTF8(s, "")))
}

func printable(r rune) rune {
	if r == '\t' || r == '\n' || r == '\r' {
		return ' '
	}
	if unicode.IsControl(r) || !unicode.IsPrint(r) {
		return -1
	}
	return r
}
