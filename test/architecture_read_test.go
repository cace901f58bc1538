package test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pack is one folder of Go files.
type pack struct {
	path  string // below the module's root; "" is the root
	files []source
	set   *token.FileSet
}

// source is one Go file.
type source struct {
	name  string
	lines int
	tree  *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// read parses every Go file of the module at the root of a file system, except
// test data and modules of their own.
func read(root fs.FS, module string) ([]pack, error) {
	found := map[string]*pack{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name != "." && (apart(root, name) || strings.HasPrefix(d.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".go":
			return nil
		}
		return parse(root, name, found)
	})
	if err != nil {
		return nil, fmt.Errorf("read the module %s: %w", module, err)
	}
	var list []pack
	for _, p := range found {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b pack) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

// apart says whether a folder is not part of the module.
func apart(root fs.FS, dir string) bool {
	if path.Base(dir) == "testdata" {
		return true
	}
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err == nil
}

func parse(root fs.FS, name string, into map[string]*pack) error {
	body, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	dir := strings.TrimPrefix(path.Dir(name), ".")
	p, ok := into[dir]
	if !ok {
		p = &pack{path: dir, set: token.NewFileSet()}
		into[dir] = p
	}
	tree, err := parser.ParseFile(p.set, name, body, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(tree) {
		return nil
	}
	p.files = append(p.files, source{name: name, lines: bytes.Count(body, []byte("\n")), tree: tree})
	return nil
}

// at is where a node stands, for a message.
func (p pack) at(n ast.Node) string {
	pos := p.set.Position(n.Pos())
	return pos.Filename + ":" + strconv.Itoa(pos.Line)
}

// imports calls f with every import of the package's files.
func (p pack) imports(tests bool, f func(at, imported string)) {
	for _, s := range p.files {
		if s.test() != tests {
			continue
		}
		for _, i := range s.tree.Imports {
			if imported, err := strconv.Unquote(i.Path.Value); err == nil {
				f(p.at(i), imported)
			}
		}
	}
}

// within says whether a path is a folder or lies below it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// unit is the longest entry of the floors that the package lies within.
func (h house) unit(name string) (string, floor, bool) {
	best, found := "", false
	for u := range h.floors {
		if within(name, u) && len(u) >= len(best) {
			best, found = u, true
		}
	}
	return best, h.floors[best], found
}

// own is the path of an import below the module's root.
func (h house) own(imported string) (string, bool) {
	return strings.CutPrefix(imported, h.module+"/")
}

// foreign says whether an import is neither of the module nor of Go itself.
func (h house) foreign(imported string) bool {
	_, own := h.own(imported)
	first, _, _ := strings.Cut(imported, "/")
	return !own && strings.Contains(first, ".")
}

func oneOf(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return within(name, f) })
}
