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
}

// touch says whether a rule is about the change, and because of which file.
type touch struct {
	fact ref.Fact
	path string
}

// glob is a pattern with what is literal at its ends, which rules most paths
// out without matching.
type glob struct{ pattern, prefix, suffix string }

func newScope(s *Snapshot, p *Policy) scope {
	c := scope{checks: make([]touch, len(p.Checks)), demands: make([]touch, len(p.Demands))}
	for _, f := range s.Files {
		c.lines += f.Added + f.Deleted
	}
	for i, r := range p.Checks {
		c.checks[i] = c.touched(s, r.Paths)
	}
	for i, d := range p.Demands {
		t := c.touched(s, d.Paths)
		if d.Lines > 0 && t.fact == ref.Yes {
			t.fact = atLeast(s, c.lines, d.Lines)
		}
		c.demands[i] = t
	}
	return c
}

func atLeast(s *Snapshot, lines, limit int) ref.Fact {
	if s.FilesRead != ref.Yes {
		return ref.Unknown
	}
	return ref.Known(lines >= limit)
}

// touched says whether a changed file matches one of the globs. Without globs
// every change does; without the files nobody knows.
func (c *scope) touched(s *Snapshot, patterns []string) touch {
	if len(patterns) == 0 {
		return touch{fact: ref.Yes}
	}
	globs := make([]glob, 0, len(patterns))
	for _, p := range patterns {
		if !doublestar.ValidatePattern(p) {
			c.faults = append(c.faults, p)
			continue
		}
		globs = append(globs, newGlob(p))
	}
	if s.FilesRead != ref.Yes {
		return touch{fact: ref.Unknown}
	}
	for i := range s.Files {
		f := &s.Files[i]
		for j := range globs {
			switch {
			case globs[j].match(f.Path):
				return touch{ref.Yes, f.Path}
			case f.Previous != "" && globs[j].match(f.Previous):
				return touch{ref.Yes, f.Previous}
			}
		}
	}
	return touch{fact: ref.No}
}

func newGlob(pattern string) glob {
	g := glob{pattern: pattern, prefix: pattern, suffix: pattern}
	if i := strings.IndexAny(pattern, `*?[{\`); i >= 0 {
		g.prefix = pattern[:i]
	}
	if i := strings.LastIndexAny(pattern, `*?]}\`); i >= 0 {
		g.suffix = pattern[i+1:]
	}
	// "a/**" matches "a" as well, and "**/b" matches "b".
	g.prefix, g.suffix = strings.TrimSuffix(g.prefix, "/"), strings.TrimPrefix(g.suffix, "/")
	return g
}

func (g *glob) match(path string) bool {
	return strings.HasPrefix(path, g.prefix) && strings.HasSuffix(path, g.suffix) && doublestar.MatchUnvalidated(g.pattern, path)
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
