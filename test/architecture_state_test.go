package test

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// stateless finds package-level variables and init functions. Allowed are what
// Go cannot write as a constant and nobody can change: errors to compare with,
// compiled patterns, embedded files, tables that are only read, and the
// assertion that a type implements an interface.
func stateless(h house, p pack) (faults []string) {
	written := p.written()
	for _, s := range p.files {
		for _, d := range s.tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					faults = append(faults, fmt.Sprintf("%s: %s has an init function: let main call what must be done first", p.at(d), p.path))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR && !s.test() {
					faults = append(faults, p.variables(h, d, written)...)
				}
			}
		}
	}
	return faults
}

func (p pack) variables(h house, d *ast.GenDecl, written map[string]bool) (faults []string) {
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok || embedded(d.Doc) || embedded(v.Doc) {
			continue
		}
		for i, name := range v.Names {
			var value ast.Expr
			if i < len(v.Values) {
				value = v.Values[i]
			}
			_, listed := h.state[p.path+"."+name.Name]
			fixed := constant(value) || table(value) && !name.IsExported() && !written[name.Name]
			if name.Name == "_" || listed || fixed {
				continue
			}
			faults = append(faults, fmt.Sprintf("%s: %s keeps state in the variable %s: hand it in instead", p.at(name), p.path, name.Name))
		}
	}
	return faults
}

// embedded says whether a comment carries a go:embed directive.
func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// constant says whether a value is an error or a pattern, made once.
func constant(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := f.X.(*ast.Ident)
	return ok && slices.Contains([]string{"errors.New", "regexp.MustCompile", "template.Must"}, x.Name+"."+f.Sel.Name)
}

// table says whether a value is a literal list, map or struct.
func table(value ast.Expr) bool {
	_, ok := value.(*ast.CompositeLit)
	return ok
}

// written are the names that anything in the package assigns to, in whole or
// in part, takes the address of, or hands to a builtin that changes it.
func (p pack) written() map[string]bool {
	names := map[string]bool{}
	for _, s := range p.files {
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, left := range n.Lhs {
						names[root(left)] = true
					}
				}
			case *ast.IncDecStmt:
				names[root(n.X)] = true
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					names[root(n.X)] = true
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) {
					names[root(n.Args[0])] = true
				}
			}
			return true
		})
	}
	return names
}

// root is the name that an expression starts from: x of x.f[i].
func root(e ast.Expr) string {
	for {
		switch at := e.(type) {
		case *ast.Ident:
			return at.Name
		case *ast.SelectorExpr:
			e = at.X
		case *ast.IndexExpr:
			e = at.X
		case *ast.StarExpr:
			e = at.X
		case *ast.ParenExpr:
			e = at.X
		default:
			return ""
		}
	}
}

// explained finds exported declarations of pure packages without a comment. A
// comment on a group speaks for all of it.
func explained(h house, p pack) (faults []string) {
	if !h.isPure(p) {
		return nil
	}
	say := func(n ast.Node, name string) {
		faults = append(faults, fmt.Sprintf("%s: %s exports %s without a word on what it means", p.at(n), p.path, name))
	}
	about, product := false, false
	for _, s := range p.files {
		if s.test() {
			continue
		}
		about, product = about || s.tree.Doc != nil, true
		for _, d := range s.tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && d.Name.IsExported() && !h.spoken(d) {
					say(d, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, name := range unspoken(d) {
					say(name, name.Name)
				}
			}
		}
	}
	if product && !about {
		faults = append(faults, fmt.Sprintf("%s has no package comment: say what it decides", p.path))
	}
	return faults
}

// spoken says whether a method needs no comment: it is of an interface that
// everybody knows, or of a type that nobody outside can name.
func (h house) spoken(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	return slices.Contains(h.mute, d.Name.Name) || !ast.IsExported(receiver(d.Recv.List[0].Type))
}

func receiver(e ast.Expr) string {
	switch at := e.(type) {
	case *ast.StarExpr:
		return receiver(at.X)
	case *ast.IndexExpr:
		return receiver(at.X)
	case *ast.IndexListExpr:
		return receiver(at.X)
	case *ast.Ident:
		return at.Name
	default:
		return ""
	}
}

func unspoken(d *ast.GenDecl) (names []*ast.Ident) {
	if d.Doc != nil {
		return nil
	}
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if s.Doc == nil && s.Comment == nil && name.IsExported() {
					names = append(names, name)
				}
			}
		}
	}
	return names
}
