// Package command finds the commands in a comment: what stands at the start of
// a line of plain text, and never what is quoted, code, hidden or a part of a
// list. It says what was asked for; who asked and may, others decide.
package command

import (
	"slices"
	"strings"
	"unicode"
)

// The commands.
const (
	Hold      = "hold"      // keep the pull request from merging; the reason is optional
	Unhold    = "unhold"    // lift what was held
	Merge     = "merge"     // "when ready" must follow
	Retry     = "retry"     // try again what was refused
	Explain   = "explain"   // say why it is not merged
	Emergency = "emergency" // waive what the policy lets be waived; needs a reason
)

// Limits on what is read. A longer comment holds no command at all, so that
// none is obeyed out of its context; the time that Markdown takes can grow with
// the square of its length.
const (
	MaxBody     = 16 << 10 // bytes
	MaxCommands = 10       // of one comment; the rest is left
	MaxArgs     = 1000     // bytes
)

// Command is one command.
type Command struct {
	// Name is one of those above or, with a Fault, what was written in the place
	// of one.
	Name string
	// Args is what follows the name on its line, with single spaces: the reason
	// of a hold or an emergency.
	Args string
	Line int // in the comment, from 1
	// Fault says in a sentence what is wrong with the command, which then must
	// not be obeyed; "" when nothing is.
	Fault string
}

// Parse gives the commands of a comment, in their order.
func Parse(body string) []Command {
	if len(body) > MaxBody {
		return nil
	}
	source := normal(body)
	if !promising(source) {
		return nil
	}
	var all []Command
	for _, at := range plainLines([]byte(source)) {
		line, _, _ := strings.Cut(source[at:], "\n")
		c, ok := read(line)
		if !ok {
			continue
		}
		c.Line = strings.Count(source[:at], "\n") + 1
		if all = append(all, c); len(all) == MaxCommands {
			break
		}
	}
	return all
}

// Names lists the commands as they are written, for people.
func Names() []string {
	return []string{"/hold [REASON]", "/unhold", "/merge when ready", "/retry", "/explain", "/emergency REASON"}
}

// normal ends every line as the parser expects it: CommonMark (2.1) counts a
// carriage return alone as the end of a line too.
func normal(body string) string {
	return strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\r", "\n")
}

// promising spares the parsing of nearly all comments.
func promising(source string) bool {
	for line := range strings.SplitSeq(source, "\n") {
		if _, ok := read(line); ok {
			return true
		}
	}
	return false
}

// read reads one line; ok is false when it begins with no command's name, such
// as a path.
func read(line string) (c Command, ok bool) {
	rest, found := strings.CutPrefix(line, "/")
	if !found || rest == "" || !letter(rest[0]) {
		return Command{}, false
	}
	words := strings.Fields(rest) // also at what is no ASCII space and looks like one
	name, meant := strings.ToLower(words[0]), ""
	if names := []string{Hold, Unhold, Merge, Retry, Explain, Emergency}; !slices.Contains(names, name) {
		i := slices.IndexFunc(names, func(of string) bool { return resembles(name, of) })
		if i < 0 {
			return Command{}, false
		}
		meant = names[i]
	}
	c = Command{Name: name, Args: clean(words[1:])}
	c.Fault = fault(c)
	if meant != "" {
		c.Fault = "did you mean `/" + meant + "`? Write it in a new comment"
	}
	if len(c.Args) > MaxArgs {
		c.Args = strings.ToValidUTF8(c.Args[:MaxArgs], "")
		c.Fault = "what follows the command is too long"
	}
	return c, true
}

func fault(c Command) string {
	switch {
	case c.Name == Merge && !strings.EqualFold(c.Args, "when ready"):
		return "it is written `/merge when ready`: nothing is merged before it is ready"
	case c.Name == Emergency && c.Args == "":
		return "an emergency needs its reason on the same line"
	case c.Args != "" && (c.Name == Unhold || c.Name == Retry || c.Name == Explain):
		return "nothing may follow `/" + c.Name + "` on its line"
	default:
		return ""
	}
}

// resembles says whether a word is a name with one sign too many, missing,
// another, or swapped with the next: whoever mistypes /hold must not believe
// that it is held. What holds a slash is a path.
func resembles(word, name string) bool {
	if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return false
	}
	same := 0
	for same < len(word) && same < len(name) && word[same] == name[same] {
		same++
	}
	a, b := word[same:], name[same:]
	switch len(a) - len(b) {
	case 1:
		return a[1:] == b
	case -1:
		return a == b[1:]
	case 0:
		return a != "" && (a[1:] == b[1:] || len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:])
	default:
		return false
	}
}

// clean joins words without what cannot be seen or turns around how a line is
// read.
func clean(words []string) string {
	joined := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.Join(words, " "), "\uFFFD"))
	return strings.Join(strings.Fields(joined), " ")
}

func letter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
