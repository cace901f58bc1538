package test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// rule is one thing that every package is held to.
type rule struct {
	name  string
	check func(h house, p pack) []string
}

func rules() []rule {
	return []rule{
		{"every package has a floor", placed},
		{"arrows between floors point down only", downwards},
		{"what proves the product is no part of it", proving},
		{"a foreign system has one home", housed},
		{"the pure floors do nothing but compute", computing},
		{"the pure floors have no clock", clockless},
		{"no package keeps state", stateless},
		{"what the pure floors export is explained", explained},
		{"tests wait for signals and do not sleep", awake},
		{"files can be read in one sitting", readable},
	}
}

func (h house) proves(p pack) bool { return within(p.path, h.proofs) }

func (h house) isPure(p pack) bool {
	_, f, ok := h.unit(p.path)
	return ok && f <= pureRecord
}

func placed(h house, p pack) []string {
	onlyTests := !slices.ContainsFunc(p.files, func(s source) bool { return !s.test() })
	if _, _, ok := h.unit(p.path); ok || h.proves(p) || onlyTests {
		return nil
	}
	return []string{fmt.Sprintf("%s has no floor: give it one in slipway()", p.path)}
}

func downwards(h house, p pack) (faults []string) {
	unit, mine, ok := h.unit(p.path)
	if !ok {
		return nil
	}
	p.imports(false, func(at, imported string) {
		name, own := h.own(imported)
		if !own || h.mayImport(unit, mine, name) {
			return
		}
		to, theirs, placed := h.unit(name)
		switch {
		case !placed: // the rules of proofs and of places have it
		case theirs > mine:
			faults = append(faults, fmt.Sprintf("%s: %s (F%d) imports %s (F%d): arrows point down", at, unit, mine, to, theirs))
		default:
			faults = append(faults, fmt.Sprintf("%s: %s imports %s on its own floor F%d: what they share belongs lower", at, unit, to, mine))
		}
	})
	return faults
}

// mayImport says whether a unit may import a package of the module: what lies
// below it, itself, and on the ground floor also the leaves and its parent.
func (h house) mayImport(unit string, mine floor, name string) bool {
	to, theirs, _ := h.unit(name)
	switch {
	case to == unit, theirs < mine:
		return true
	case theirs > mine || mine != pureFacts:
		return false
	}
	return slices.Contains(h.leaves, to) || within(unit, to)
}

func proving(h house, p pack) (faults []string) {
	if h.proves(p) || oneOf(p.path, h.provers) {
		return nil
	}
	p.imports(false, func(at, imported string) {
		if name, own := h.own(imported); own && within(name, h.proofs) {
			faults = append(faults, fmt.Sprintf("%s: %s imports %s, which is for tests and the demo alone", at, p.path, imported))
		}
	})
	return faults
}

func housed(h house, p pack) (faults []string) {
	if h.proves(p) {
		return nil
	}
	p.imports(false, func(at, imported string) {
		for _, home := range h.homes {
			if within(imported, home.library) && !oneOf(p.path, home.in) {
				faults = append(faults, fmt.Sprintf("%s: %s imports %s, which only %s may: %s",
					at, p.path, imported, strings.Join(home.in, ", "), home.reason))
			}
		}
	})
	return faults
}

func computing(h house, p pack) (faults []string) {
	if !h.isPure(p) {
		return nil
	}
	p.imports(false, func(at, imported string) {
		for _, b := range h.banned {
			if within(imported, b.path) {
				faults = append(faults, fmt.Sprintf("%s: %s is pure and imports %s: %s", at, p.path, imported, b.reason))
			}
		}
		if h.foreign(imported) && !oneOf(imported, h.pure) {
			faults = append(faults, fmt.Sprintf("%s: %s is pure and imports %s, which is not listed as computing only", at, p.path, imported))
		}
	})
	p.imports(true, func(at, imported string) {
		if h.foreign(imported) && !oneOf(imported, h.pure) && !oneOf(imported, h.checkers) {
			faults = append(faults, fmt.Sprintf("%s: a test of %s, which is pure, imports %s", at, p.path, imported))
		}
	})
	return faults
}

func clockless(h house, p pack) (faults []string) {
	if !h.isPure(p) {
		return nil
	}
	for _, s := range p.files {
		if s.test() {
			continue
		}
		for _, use := range uses(s.tree, "time", h.clocks) {
			faults = append(faults, fmt.Sprintf("%s: %s is pure and uses time.%s: the time is a parameter", p.at(use), p.path, use.Sel.Name))
		}
	}
	return faults
}

func awake(_ house, p pack) (faults []string) {
	for _, s := range p.files {
		if !s.test() {
			continue
		}
		for _, use := range uses(s.tree, "time", []string{"Sleep"}) {
			faults = append(faults, fmt.Sprintf("%s: a test sleeps: wait for a signal, or poll with a deadline", p.at(use)))
		}
	}
	return faults
}

func readable(h house, p pack) (faults []string) {
	for _, s := range p.files {
		if s.lines > h.lines {
			faults = append(faults, fmt.Sprintf("%s has %d lines, more than %d", s.name, s.lines, h.lines))
		}
	}
	return faults
}

// uses finds the selectors of an imported package that have one of the names.
// A dot import hides them, so it counts as a use itself.
func uses(tree *ast.File, imported string, names []string) (found []*ast.SelectorExpr) {
	local := ""
	for _, i := range tree.Imports {
		if i.Path.Value != `"`+imported+`"` {
			continue
		}
		local = imported[strings.LastIndex(imported, "/")+1:]
		if i.Name != nil {
			local = i.Name.Name
		}
		if local == "." {
			return []*ast.SelectorExpr{{X: i.Name, Sel: i.Name}}
		}
	}
	if local == "" {
		return nil
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(names, sel.Sel.Name) {
			found = append(found, sel)
		}
		return true
	})
	return found
}
