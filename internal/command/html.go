package command

import (
	"bytes"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
)

// elements are the HTML elements that are open, outermost first. Markdown after
// a blank line is text again, but a browser still shows it within them: hidden
// in <details>, or as a <blockquote>.
type elements []string

// walk takes the HTML below a node into account.
func (e *elements) walk(n ast.Node, source []byte) {
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.HTMLBlock:
			raw := n.Lines().Value(source)
			if n.HasClosure() {
				raw = append(bytes.Clone(raw), n.ClosureLine.Value(source)...)
			}
			e.take(string(raw))
		case *ast.RawHTML:
			e.take(string(n.Segments.Value(source)))
		}
		return ast.WalkContinue, nil
	})
}

// take reads the tags of a piece of HTML. What it is not sure of, it counts as
// left open.
func (e *elements) take(html string) {
	for html != "" {
		i := strings.IndexByte(html, '<')
		if i < 0 {
			return
		}
		html = html[i+1:]
		if rest, comment := strings.CutPrefix(html, "!--"); comment {
			_, html, _ = strings.Cut(rest, "-->")
			continue
		}
		closing := strings.HasPrefix(html, "/")
		rest := strings.TrimPrefix(html, "/")
		if rest == "" || !letter(rest[0]) {
			continue
		}
		name, after := tag(rest)
		html = after
		if closing {
			e.close(name)
		} else if !void(name) {
			*e = append(*e, name)
		}
	}
}

// close ends the innermost element of that name and what it holds.
func (e *elements) close(name string) {
	for i, open := range slices.Backward(*e) {
		if open == name {
			*e = (*e)[:i]
			return
		}
	}
}

// tag reads a tag from its name on, and gives what follows it.
func tag(s string) (name, after string) {
	n := strings.IndexFunc(s, func(r rune) bool { return r == '>' || r == '/' || r == ' ' || r == '\t' || r == '\n' || r == '\f' })
	if n < 0 {
		return strings.ToLower(s), ""
	}
	name = strings.ToLower(s[:n])
	var quote byte
	for i := n; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return name, s[i+1:]
		}
	}
	return name, ""
}

// void are the elements that hold nothing and are never closed (HTML, 13.1.2).
func void(name string) bool {
	switch name {
	case "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr":
		return true
	default:
		return false
	}
}
