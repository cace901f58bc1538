package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"

	"slipway/internal/change"
	"slipway/internal/ref"
)

const (
	defaultTitle   = "{{.Title}} (#{{.Number}})"
	defaultMessage = "{{.Body}}"
	maxTitle       = 200      // characters
	maxMessage     = 64 << 10 // bytes
	maxTemplate    = 16 << 10 // bytes
)

// errFull ends a template that writes more than is taken.
var errFull = errors.New("full")

// compose makes the function that says a merge's commit. Both templates are
// known to be good; "" is the default.
func compose(title, message string) func(change.MessageData) (string, string, error) {
	if title == "" {
		title = defaultTitle
	}
	if message == "" {
		message = defaultMessage
	}
	titles, titleErr := parseTemplate(title)
	messages, messageErr := parseTemplate(message)
	return func(d change.MessageData) (string, string, error) {
		if err := errors.Join(titleErr, messageErr); err != nil {
			return "", "", err
		}
		head, err := execute(titles, d)
		if err != nil {
			return "", "", fmt.Errorf("merge.title: %w", err)
		}
		body, err := execute(messages, d)
		if err != nil {
			return "", "", fmt.Errorf("merge.message: %w", err)
		}
		head = firstCharacters(maxTitle, line(head))
		if head == "" {
			return "", "", errors.New("merge.title makes nothing of this pull request")
		}
		return head, strings.TrimSpace(printable(body)), nil
	}
}

// templateFault says what is wrong with a template: what it may not do, and
// what fails on a pull request that has everything, or nothing.
func templateFault(s string) string {
	if len(s) > maxTemplate {
		return fmt.Sprintf("is longer than %d bytes", maxTemplate)
	}
	t, err := parseTemplate(s)
	if err != nil {
		return "is no template: " + templateError(err)
	}
	for _, sample := range []change.MessageData{sampleMessage(), {}} {
		if _, err := execute(t, sample); err != nil {
			return "does not work: " + templateError(err)
		}
	}
	if out, _ := execute(t, sampleMessage()); strings.TrimSpace(out) == "" {
		return "makes nothing of a pull request that has everything"
	}
	return ""
}

func sampleMessage() change.MessageData {
	return change.MessageData{
		Title: "Weigh the anchor", Body: "Because the tide turns.", Number: 12, Author: "alice",
		Head: ref.SHA(strings.Repeat("a", 40)), Base: "main", Labels: []string{"release/minor"}, Approvers: []string{"bob", "carol"},
	}
}

func parseTemplate(s string) (*template.Template, error) {
	t, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"join": strings.Join, "lower": strings.ToLower, "upper": strings.ToUpper, "trim": strings.TrimSpace,
		"first": firstCharacters,
	}).Parse(s)
	if err != nil {
		return nil, err
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("define and block are not for these templates")
	}
	if t.Tree == nil || t.Root == nil {
		return nil, errors.New("it is empty")
	}
	return t, harmless(t.Root, false)
}

// harmless refuses what could run long or reach further than the data: loops
// over anything but the two lists, loops in loops, and functions that are not
// known here.
func harmless(n parse.Node, looping bool) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Nodes {
			if err := harmless(c, looping); err != nil {
				return err
			}
		}
		return nil
	case *parse.ActionNode:
		return harmless(n.Pipe, looping)
	case *parse.IfNode:
		return errors.Join(harmless(n.Pipe, looping), harmless(n.List, looping), harmless(n.ElseList, looping))
	case *parse.WithNode:
		return errors.Join(harmless(n.Pipe, looping), harmless(n.List, looping), harmless(n.ElseList, looping))
	case *parse.RangeNode:
		over := strings.TrimPrefix(n.Pipe.Cmds[0].String(), "$")
		if looping || len(n.Pipe.Cmds) != 1 || over != ".Labels" && over != ".Approvers" {
			return errors.New("range goes over .Labels or .Approvers alone, and not within another range")
		}
		return errors.Join(harmless(n.List, true), harmless(n.ElseList, looping))
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			for _, a := range c.Args {
				if err := harmless(a, looping); err != nil {
					return err
				}
			}
		}
		return nil
	case *parse.IdentifierNode:
		known := []string{"join", "lower", "upper", "trim", "first", "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "print"}
		if !slices.Contains(known, n.Ident) {
			return fmt.Errorf("there is no function %q here%s", n.Ident, meant(n.Ident, known))
		}
		return nil
	case *parse.TemplateNode:
		return errors.New("template is not for these templates")
	case *parse.BreakNode, *parse.ContinueNode, *parse.CommentNode, *parse.TextNode, *parse.FieldNode, *parse.VariableNode,
		*parse.ChainNode, *parse.DotNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode:
		return nil
	}
	return fmt.Errorf("%s is not for these templates", n)
}

// execute runs a template, and cuts what it makes.
func execute(t *template.Template, d change.MessageData) (string, error) {
	out := &limited{}
	if err := t.Execute(out, d); err != nil && !errors.Is(err, errFull) {
		return "", errors.New(templateError(err))
	}
	return strings.ToValidUTF8(out.String(), ""), nil
}

// templateError is what a template's error says, without its own name for the
// place.
func templateError(err error) string {
	s := oneLine(err.Error())
	s = strings.TrimPrefix(s, "template: ")
	return strings.TrimPrefix(s, ":1: ")
}

// limited takes as much as a message may have.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxMessage - l.Len(); len(p) > room {
		n, _ := l.Buffer.Write(p[:room]) // a buffer takes everything
		return n, errFull
	}
	return l.Buffer.Write(p)
}

// firstCharacters cuts a text.
func firstCharacters(n int, s string) string {
	if n < 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	if n == 0 {
		return ""
	}
	return strings.TrimSpace(string([]rune(s)[:n-1])) + "…"
}

// line is a text brought to one line.
func line(s string) string { return oneLine(printable(s)) }

// printable drops what no terminal should be sent.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || unicode.IsPrint(c) {
			return c
		}
		if unicode.IsSpace(c) {
			return ' '
		}
		return -1
	}, s)
}
