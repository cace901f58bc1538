package reconcile

import (
	"regexp"
	"strings"
	"unicode"

	cc "github.com/leodido/go-conventionalcommits"
	"github.com/leodido/go-conventionalcommits/parser"

	"slipway/internal/change"
)

// subjectLimit is how many characters of a subject the notes show.
const subjectLimit = 200

// word is what a commit's type must be. The parser's free form takes whole
// sentences, and so would read `Revert "feat!: x"` as a breaking change.
var word = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// commitLevel is what a commit asks of the version by the convention of
// conventionalcommits.org 1.0.0. What does not follow it, a revert among it,
// asks the least.
func commitLevel(c Commit) change.Level {
	m, ok := conventional(c)
	switch {
	case !ok:
		return change.LevelPatch
	case m.IsBreakingChange():
		return change.LevelMajor
	case m.IsFeat():
		return change.LevelMinor
	default:
		return change.LevelPatch
	}
}

// releaseNotes lists the commits by kind, in Markdown. Merge commits are left
// out where there are others, for they repeat them.
func releaseNotes(commits []Commit) string {
	sections := []struct {
		title string
		lines []string
	}{{title: "Breaking changes"}, {title: "Features"}, {title: "Fixes"}, {title: "Other changes"}}
	for _, c := range withoutMerges(commits) {
		m, ok := conventional(c)
		kind := 3
		switch {
		case ok && m.IsBreakingChange():
			kind = 0
		case ok && m.IsFeat():
			kind = 1
		case ok && m.IsFix():
			kind = 2
		}
		sections[kind].lines = append(sections[kind].lines, "- "+codeSpan(c.Subject)+" ("+c.SHA.Short()+")\n")
	}
	var notes strings.Builder
	for _, s := range sections {
		if len(s.lines) == 0 {
			continue
		}
		if notes.Len() > 0 {
			notes.WriteString("\n")
		}
		notes.WriteString("### " + s.title + "\n\n" + strings.Join(s.lines, ""))
	}
	return notes.String()
}

// conventional parses a message that follows the convention. The parser is
// told to keep what it read when only a later part is odd, as the text of a
// squashed pull request often is.
func conventional(c Commit) (*cc.ConventionalCommit, bool) {
	message := strings.TrimSpace(c.Subject)
	if body := strings.TrimSpace(strings.ReplaceAll(c.Body, "\r\n", "\n")); body != "" {
		message += "\n\n" + body
	}
	parsed, _ := parser.NewMachine(parser.WithTypes(cc.TypesFreeForm), parser.WithBestEffort()).Parse([]byte(message))
	m, ok := parsed.(*cc.ConventionalCommit)
	if !ok || !m.Ok() || !word.MatchString(m.Type) {
		return nil, false
	}
	return m, true
}

func withoutMerges(commits []Commit) []Commit {
	var single []Commit
	for _, c := range commits {
		if len(c.Parents) < 2 {
			single = append(single, c)
		}
	}
	if len(single) == 0 {
		return commits
	}
	return single
}

// codeSpan shows a line that somebody else wrote as Markdown code. That is the
// one place where a forge looks for nothing: no markup, and none of its own
// additions (mentions, issue numbers, addresses, commit ids, emoji), for which
// there is no escape.
func codeSpan(line string) string {
	line = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(line, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}), " ")
	if r := []rune(line); len(r) > subjectLimit {
		line = string(r[:subjectLimit]) + "…"
	}
	if line == "" {
		return "(no subject)"
	}
	// A code span ends at a run of as many backticks as began it.
	longest, run := 0, 0
	for _, r := range line {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	if longest == 0 {
		return "`" + line + "`"
	}
	fence := strings.Repeat("`", longest+1)
	return fence + " " + line + " " + fence
}
