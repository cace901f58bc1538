// Package owners reads CODEOWNERS in the dialects of the two forges and says
// which rules own the changed files. It knows nobody: whether an owner exists
// or approved, others find out.
package owners

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"slipway/gate"
)

// Dialect is whose CODEOWNERS it is.
type Dialect string

// The dialects.
const (
	// Gitea: each pattern is a regular expression over the whole path, and every
	// rule that matches counts.
	Gitea Dialect = "gitea"
	// GitHub: each pattern is a glob, and for each path the last rule that
	// matches counts.
	GitHub Dialect = "github"
)

// Limits on what is read; beyond them the whole file is a fault.
const (
	MaxSize  = 1 << 20 // bytes
	MaxRules = 3000
	MaxLine  = 4000 // bytes
)

// maxWork bounds one answer: the bytes of all paths, once for each rule, and
// more for rules that are long. What is beyond is owned by every rule that has
// owners: a change too large to be told apart needs them all.
const maxWork = 500_000_000

// Fault is what is wrong with a line, in a sentence. Line counts from 1; 0 is
// the whole file.
type Fault struct {
	Line    int
	Message string
}

// String names the line.
func (f Fault) String() string {
	if f.Line == 0 {
		return f.Message
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Message)
}

// Rules are those of one file, ready to be asked. The zero value owns nothing.
type Rules struct {
	list []rule
	last bool // the last rule that matches is the only one that counts
	work int  // how much one answer may cost
}

// rule is one line.
type rule struct {
	gate.Ownership                        // without Paths
	matches        func(path string) bool // for one path of the repository
	weight         int                    // what a byte of a path costs
}

// Files are where the forge looks for the file, in its order: the first that is
// there is the one that counts.
func Files(d Dialect) []string {
	switch d {
	case Gitea:
		return []string{"CODEOWNERS", "docs/CODEOWNERS", ".gitea/CODEOWNERS"}
	case GitHub:
		return []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"}
	default:
		return nil
	}
}

// Parse reads a file. A line with a fault is left out, or keeps the owners that
// are good; the others count.
func Parse(d Dialect, data []byte) (Rules, []Fault) {
	var line func(string) (*rule, []string)
	switch d {
	case Gitea:
		line = giteaLine
	case GitHub:
		line = gitHubLine
	default:
		return Rules{}, []Fault{{0, fmt.Sprintf("there is no dialect %q of CODEOWNERS", d)}}
	}
	switch {
	case len(data) > MaxSize:
		return Rules{}, []Fault{{0, fmt.Sprintf("it has %d bytes; no more than %d are read", len(data), MaxSize)}}
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return Rules{}, []Fault{{1, "it begins with a byte order mark, which the forge takes for a part of the pattern"}}
	}
	rules := Rules{last: d == GitHub, work: maxWork}
	var faults []Fault
	number := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		number++
		r, wrong := checked(text, line)
		for _, w := range wrong {
			faults = append(faults, Fault{number, w})
		}
		if r == nil {
			continue
		}
		r.Line = number
		rules.list = append(rules.list, *r)
		if len(rules.list) > MaxRules {
			return Rules{}, []Fault{{number, fmt.Sprintf("there are more than %d rules", MaxRules)}}
		}
	}
	return rules, faults
}

// checked refuses what neither dialect is made for.
func checked(text string, line func(string) (*rule, []string)) (*rule, []string) {
	switch {
	case len(text) > MaxLine:
		return nil, []string{fmt.Sprintf("it has %d bytes; no more than %d are read", len(text), MaxLine)}
	case !utf8.ValidString(text):
		return nil, []string{"it is not UTF-8"}
	default:
		return line(text)
	}
}

// Of gives the rules that own one of the files, in the order of the file of
// rules, each with the paths it owns in the order of the files. A renamed file
// is owned at both of its paths.
func (r Rules) Of(files []gate.File) []gate.Ownership {
	owned := make([][]string, len(r.list))
	work := 0
	for _, path := range pathsOf(files) {
		for i := len(r.list) - 1; i >= 0; i-- {
			work += r.list[i].weight * len(path)
			if work > r.work {
				owned[i] = append(owned[i], path)
				continue
			}
			if !r.list[i].matches(path) {
				continue
			}
			owned[i] = append(owned[i], path)
			if r.last {
				break
			}
		}
	}
	var all []gate.Ownership
	for i, paths := range owned {
		o := r.list[i].Ownership
		if len(paths) == 0 || len(o.Owners)+len(o.Unmapped) == 0 {
			continue // a rule of nobody takes the paths out of those before it
		}
		o.Paths = paths
		o.Owners, o.Unmapped = append([]string(nil), o.Owners...), append([]string(nil), o.Unmapped...)
		all = append(all, o)
	}
	return all
}

// Teams are the teams (OWNER/TEAM) that the rules name, each once.
func (r Rules) Teams() []string {
	var all []string
	seen := map[string]bool{}
	for _, one := range r.list {
		for _, o := range one.Owners {
			if key := strings.ToLower(o); strings.Contains(o, "/") && !seen[key] {
				seen[key] = true
				all = append(all, o)
			}
		}
	}
	return all
}

// pathsOf are all paths that the files have or had, each once.
func pathsOf(files []gate.File) []string {
	var all []string
	seen := map[string]bool{}
	for _, f := range files {
		for _, path := range []string{f.Path, f.Previous} {
			if path != "" && !seen[path] {
				seen[path] = true
				all = append(all, path)
			}
		}
	}
	return all
}
