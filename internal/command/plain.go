package command

import (
	"bytes"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// plainLines gives where the lines begin that a person sees as the start of a
// line of ordinary text, and that begin with a slash. What either forge shows
// as something else (a table, a formula, a footnote, what HTML encloses) is not.
func plainLines(source []byte) []int {
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.Footnote, extension.DefinitionList))
	document := markdown.Parser().Parse(text.NewReader(source))
	formulas := formulas(source)
	var found []int
	var open elements
	for block := document.FirstChild(); block != nil; block = block.NextSibling() {
		paragraph, plain := block.(*ast.Paragraph)
		if !plain {
			open.walk(block, source)
			continue
		}
		for child := paragraph.FirstChild(); child != nil; child = child.NextSibling() {
			// A line that begins within emphasis, a link or a code span has no text
			// of the paragraph's own there.
			t, ok := child.(*ast.Text)
			if !ok {
				open.walk(child, source)
				continue
			}
			at := t.Segment.Start
			if len(open) == 0 && begins(source, at) && !within(formulas, at) {
				found = append(found, at)
			}
		}
	}
	return found
}

// begins says whether a line begins there, without any indent, with a slash.
func begins(source []byte, at int) bool {
	return at < len(source) && source[at] == '/' && (at == 0 || source[at-1] == '\n')
}

// span is a part of the source.
type span struct{ from, to int }

func within(spans []span, at int) bool {
	for _, s := range spans {
		if s.from <= at && at < s.to {
			return true
		}
	}
	return false
}

// formulas are the blocks of mathematics, which both forges show as such and
// CommonMark knows nothing of: from a line that begins with $$ or \[ to one
// that ends it, or to the end of the comment.
func formulas(source []byte) []span {
	var all []span
	end := ""
	from, at := 0, 0
	for line := range bytes.Lines(source) {
		trimmed := bytes.TrimSpace(line)
		switch {
		case end != "":
			if bytes.HasSuffix(trimmed, []byte(end)) {
				all, end = append(all, span{from, at + len(line)}), ""
			}
		case bytes.HasPrefix(trimmed, []byte("$$")) && !closedBy(trimmed, "$$"):
			from, end = at, "$$"
		case bytes.HasPrefix(trimmed, []byte(`\[`)) && !closedBy(trimmed, `\]`):
			from, end = at, `\]`
		}
		at += len(line)
	}
	if end != "" {
		all = append(all, span{from, len(source)})
	}
	return all
}

// closedBy says whether a formula ends on the line that it begins on.
func closedBy(line []byte, end string) bool {
	return len(line) >= 2+len(end) && bytes.HasSuffix(line, []byte(end))
}
