package gate

import (
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"slipway/internal/ref"
)

// scope says which of a policy's rules are about what the change touches.
type scope struct {
	checks  []touch // by check
	demands []touch // by demand
	lines   int
	// faults are globs that cannot be read.
	faults []string

	read  bool
	paths []string
	// folders are runs of paths with the same first element, which most globs
	// name. Forges list files in order, so there are few.
	folders []folder
	seen    map[string]touch // by glob
}

type folder struct {
	first string
	paths []string
}

// touch says whether a rule is about the change, and because of which file.
type touch struct {
	fact ref.Fact
	path string
}

func newScope(s *Snapshot, p *Policy) scope {
	c := scope{
		checks: make([]touch, len(p.Checks)), demands: make([]touch, len(p.Demands)),
		read: s.FilesRead == ref.Yes, paths: make([]string, 0, len(s.Files)),
	}
	globs := 0
	for i := range p.Checks {
		globs += len(p.Checks[i].Paths)
	}
	for i := range p.Demands {
		globs += len(p.Demands[i].Paths)
	}
	c.seen = make(map[string]touch, globs)
	for i := range s.Files {
		f := &s.Files[i]
		c.lines += f.Added + f.Deleted
		c.paths = append(c.paths, f.Path)
		if f.Previous != "" {
			c.paths = append(c.paths, f.Previous)
		}
	}
	c.folders = folders(c.paths)
	for i := range p.Checks {
		c.checks[i] = c.touched(p.Checks[i].Paths)
	}
	for i := range p.Demands {
		d := &p.Demands[i]
		t := c.touched(d.Paths)
		switch {
		case d.Lines <= 0 || t.fact == ref.No:
		case !c.read:
			t.fact = ref.Unknown
		case c.lines < d.Lines:
			t.fact = ref.No
		}
		c.demands[i] = t
	}
	return c
}

// touched says whether a changed file matches one of the globs. Without globs
// every change does; without the files nobody knows.
func (c *scope) touched(globs []string) touch {
	if len(globs) == 0 {
		return touch{fact: ref.Yes}
	}
	found := touch{fact: ref.No}
	for _, g := range globs {
		t, known := c.seen[g]
		if !known {
			t = c.look(g)
			c.seen[g] = t
		}
		if found.fact != ref.Yes && t.fact != ref.No {
			found = t
		}
	}
	return found
}

// look goes through the paths that a glob could match. What is literal at its
// ends rules most of them out without matching.
func (c *scope) look(glob string) touch {
	if !doublestar.ValidatePattern(glob) {
		c.faults = append(c.faults, glob)
		return touch{fact: ref.No} // the fault blocks
	}
	if !c.read {
		return touch{fact: ref.Unknown}
	}
	prefix, suffix := glob, glob
	if i := strings.IndexAny(glob, `*?[{\`); i >= 0 {
		prefix = glob[:i]
	}
	if i := strings.LastIndexAny(glob, `*?]}\`); i >= 0 {
		suffix = glob[i+1:]
	}
	within := literal(glob)
	first, _, limited := strings.Cut(prefix, "/")
	// "a/**" matches "a" as well, and "**/b" matches "b".
	prefix, suffix = strings.TrimSuffix(prefix, "/"), strings.TrimPrefix(suffix, "/")
	for _, f := range c.folders {
		if limited && f.first != first {
			continue
		}
		for _, p := range f.paths {
			if !strings.HasSuffix(p, suffix) || !strings.HasPrefix(p, prefix) || !strings.Contains(p, within) {
				continue
			}
			if doublestar.MatchUnvalidated(glob, p) {
				return touch{ref.Yes, p}
			}
		}
	}
	return touch{fact: ref.No}
}

// literal is the longest part of a glob that every path that matches contains;
// "" for globs with alternatives or classes.
func literal(glob string) string {
	if strings.ContainsAny(glob, `[{\`) {
		return ""
	}
	longest := ""
	for part := range strings.FieldsFuncSeq(glob, func(r rune) bool { return r == '*' || r == '?' }) {
		if part = strings.Trim(part, "/"); len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

func folders(paths []string) []folder {
	out := make([]folder, 0, min(len(paths), 32))
	for i := 0; i < len(paths); {
		first, _, _ := strings.Cut(paths[i], "/")
		end := i + 1
		for end < len(paths) && isIn(paths[end], first) {
			end++
		}
		out, i = append(out, folder{first, paths[i:end]}), end
	}
	return out
}

// isIn says whether a path's first element is first.
func isIn(path, first string) bool {
	return strings.HasPrefix(path, first) && (len(path) == len(first) || path[len(first)] == '/')
}

// judgePolicy asks that the policy can be followed at all.
func (e *evaluation) judgePolicy() {
	w := newWant("policy", "a sound policy")
	for _, f := range e.policy.Faults {
		w.block(CodePolicy, whoOperator, "%s", f)
	}
	if len(e.policy.Faults) == 0 {
		for _, f := range e.HeadPolicyFaults {
			w.block(CodePolicy, whoAuthor, "it would break the policy: %s", f)
			w.do(stepPush, "mend the policy file", whoAuthor)
		}
		e.judgeChecklist(&w)
	}
	for _, f := range e.scope.faults {
		w.block(CodePolicy, whoOperator, "the glob %q cannot be read", f)
	}
	if e.policy.Bot == "" {
		w.block(CodePolicy, whoOperator, "Slipway does not know its own login, so it cannot leave out its own approval")
	}
	if slices.ContainsFunc(w.reasons, func(r Reason) bool { return r.Who[0] == whoOperator }) {
		w.do(stepDo, "mend the policy on "+e.base(), whoOperator)
	}
	e.settle(&w)
}

// judgeChecklist asks that some check is required, and of this very change: a
// change that nothing tested is no green one (M2).
func (e *evaluation) judgeChecklist(w *want) {
	some := false
	for i, r := range e.policy.Checks {
		if r.Optional {
			continue
		}
		if some = true; e.scope.checks[i].fact != ref.No {
			return
		}
	}
	if some {
		w.block(CodePolicy, whoOperator, "the policy requires no check of what it changes (gate.checks)")
		return
	}
	w.block(CodePolicy, whoOperator, "the policy requires no check (gate.checks)")
}
