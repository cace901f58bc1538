package owners

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"slipway/gate"
)

// giteaLine reads one line as Gitea does (models/issues/pull.go of 1.27): the
// parts are separated by spaces, a backslash takes the next character as it is
// and vanishes, so that a regular expression's own must be doubled. nil is no
// rule.
func giteaLine(line string) (*rule, []string) {
	parts := giteaParts(line)
	if len(parts) == 0 {
		return nil, nil
	}
	if len(parts) == 1 {
		return nil, []string{fmt.Sprintf("the pattern %s has no owner", parts[0])}
	}
	pattern, negative := strings.CutPrefix(parts[0], "!")
	// Paths have no slash in front. The anchors bind closer than |, there as here.
	source := "^" + strings.TrimPrefix(pattern, "/") + "$"
	expression, err := regexp.Compile(source)
	if err != nil {
		return nil, []string{badExpression(parts[0], err)}
	}
	r := &rule{
		Ownership: gate.Ownership{Pattern: parts[0]},
		matches:   func(path string) bool { return expression.MatchString(path) != negative },
		weight:    weight(source),
	}
	var faults []string
	for _, who := range parts[1:] {
		name := strings.TrimPrefix(who, "@")
		switch {
		case strings.Contains(name, "@"):
			r.Unmapped = append(r.Unmapped, name)
			faults = append(faults, fmt.Sprintf("%s is an e-mail address: Gitea takes @USER and @OWNER/TEAM", who))
		case !giteaName(name):
			faults = append(faults, fmt.Sprintf("%s is neither @USER nor @OWNER/TEAM", who))
		default:
			r.Owners = append(r.Owners, name)
		}
	}
	if len(r.Owners)+len(r.Unmapped) == 0 {
		return nil, faults
	}
	return r, faults
}

func giteaParts(line string) []string {
	var parts []string
	var part strings.Builder
	end := func() {
		if part.Len() > 0 {
			parts = append(parts, part.String())
			part.Reset()
		}
	}
	escaped := false
	for _, c := range strings.ReplaceAll(strings.TrimSpace(line), "\t", " ") {
		switch {
		case escaped:
			part.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == '#':
			end()
			return parts
		case c == ' ':
			end()
		default:
			part.WriteRune(c)
		}
	}
	end()
	return parts
}

// weight grows with the program that an expression becomes: each byte of a path
// may have to be held against all of it.
func weight(source string) int {
	const light = 20 // instructions
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return maxWork
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return maxWork
	}
	return 1 + len(program.Inst)/light
}

// badExpression says what is wrong with an expression, and what to write where
// Gitea's own engine would take it.
func badExpression(pattern string, err error) string {
	for _, look := range []string{"(?!", "(?=", "(?<!", "(?<=", "(?>"} {
		if strings.Contains(pattern, look) {
			return fmt.Sprintf("the pattern %s looks around with %s, whose time cannot be bounded: begin the pattern with ! instead, or write it without", pattern, look)
		}
	}
	return fmt.Sprintf("the pattern %s is no regular expression: %v", pattern, err)
}

// giteaName says whether it can be a user or OWNER/TEAM. Gitea looks it up; here
// it only must not be something else.
func giteaName(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) > 2 {
		return false
	}
	for _, p := range parts {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return !nameRune(r) }) {
			return false
		}
	}
	return true
}

// nameRune is true for what logins and the names of teams are made of.
func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
}
