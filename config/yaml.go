package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"slipway/gate"
)

const (
	// maxFile is how large a file may be, in bytes.
	maxFile = 1 << 20
	// minDuration is the least that any duration in a file may be: what comes
	// oftener, or is over sooner, is a slip of the unit.
	minDuration = time.Second
)

var yamlError = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// reader walks one YAML document and gathers everything that is wrong.
type reader struct {
	file   string
	faults []Fault
	// after are the questions that need the whole file, such as whether a name
	// that is referred to exists.
	after []func()
}

// node is a value in the document, with the line and path of its key.
type node struct {
	*yaml.Node
	line int
	path string
}

// field is one known key of a mapping.
type field struct {
	key    string
	needed bool
	why    string // it is needed, when that is not plain
	read   func(node)
}

// check says what is wrong with a text, or "".
type check func(string) string

func may(key string, read func(node)) field  { return field{key: key, read: read} }
func must(key string, read func(node)) field { return field{key: key, needed: true, read: read} }

// document parses data and reads its top mapping.
func (r *reader) document(data []byte, fields ...field) {
	root, ok := r.parse(data)
	if !ok {
		return
	}
	r.object(root, fields...)
	for _, f := range r.after {
		f()
	}
}

func (r *reader) parse(data []byte) (node, bool) {
	top := node{line: 1}
	if len(data) > maxFile {
		r.fault(node{}, "is larger than %d bytes", maxFile)
		return top, false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if err == nil {
		if more := decoder.Decode(&second); more == nil {
			r.fault(node{line: second.Line}, "a second document; one is read")
		} else if !errors.Is(more, io.EOF) {
			err = more
		}
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		r.fault(node{}, "is empty")
		return top, false
	case err != nil:
		r.syntax(err)
		return top, false
	}
	r.refuseAliases(&doc)
	top.Node = doc.Content[0]
	return top, true
}

func (r *reader) syntax(err error) {
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1]) // the pattern has digits only
		r.fault(node{line: line}, "is not YAML: %s", m[2])
		return
	}
	r.fault(node{}, "is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
}

// refuseAliases keeps values where they are read: an alias can make a small
// file mean a huge one.
func (r *reader) refuseAliases(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		r.fault(node{line: n.Line}, "an alias (*%s) is not read here: write the value out", n.Value)
	}
	for _, c := range n.Content {
		r.refuseAliases(c)
	}
}

func (r *reader) fault(n node, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if n.path != "" {
		message = n.path + ": " + message
	}
	r.faults = append(r.faults, Fault{File: r.file, Line: n.line, Message: message})
}

// object reads a mapping with known keys. An unknown, repeated or empty key is
// a fault, and so is the lack of a needed one. It answers whether there was a
// mapping at all.
func (r *reader) object(n node, fields ...field) bool {
	var known []string
	for _, f := range fields {
		known = append(known, f.key)
	}
	r.entries(n, func(key string, value node) {
		i := slices.Index(known, key)
		if i < 0 {
			r.fault(value, "unknown key%s", meant(key, known))
			return
		}
		fields[i].read(value)
	})
	if n.Kind != yaml.MappingNode {
		return false
	}
	for _, f := range fields {
		if f.needed && !r.names(n, f.key) {
			r.fault(node{line: n.line, path: join(n.path, f.key)}, "is missing%s", f.why)
		}
	}
	return true
}

// names says whether a mapping has the key, whatever its value.
func (r *reader) names(n node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// entries reads a mapping whose keys are data.
func (r *reader) entries(n node, each func(key string, value node)) {
	if n.Kind != yaml.MappingNode {
		r.wrongKind(n, "keys with values")
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		value := node{Node: v, line: k.Line, path: join(n.path, k.Value)}
		switch first := lines[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			r.fault(node{line: k.Line, path: n.path}, "a key must be plain text")
		case first > 0:
			r.fault(value, "stands on line %d already", first)
		case v.Kind == yaml.ScalarNode && v.ShortTag() == "!!null":
			r.fault(value, "is empty")
		default:
			each(k.Value, value)
		}
		lines[k.Value] = k.Line
	}
}

// list reads a sequence that is not empty.
func (r *reader) list(each func(node)) func(node) {
	return func(n node) {
		if n.Kind != yaml.SequenceNode {
			r.wrongKind(n, "a list")
			return
		}
		if len(n.Content) == 0 {
			r.fault(n, "is an empty list")
		}
		for i, item := range n.Content {
			each(node{Node: item, line: item.Line, path: fmt.Sprintf("%s[%d]", n.path, i)})
		}
	}
}

// text reads one line of text that is not empty.
func (r *reader) text(into *string, checks ...check) func(node) {
	return func(n node) {
		s, ok := r.scalar(n)
		if !ok {
			return
		}
		if s == "" {
			r.fault(n, "is empty")
			return
		}
		for _, c := range checks {
			if wrong := c(s); wrong != "" {
				r.fault(n, "%s", wrong)
				return
			}
		}
		*into = s
	}
}

// textOrNone reads text as text does, but "" in quotes is an answer too.
func (r *reader) textOrNone(into *string, checks ...check) func(node) {
	return func(n node) {
		if n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!str" {
			*into = ""
			return
		}
		r.text(into, checks...)(n)
	}
}

// texts reads a list of different texts.
func (r *reader) texts(into *[]string, checks ...check) func(node) {
	return func(n node) {
		var all []string
		lines := map[string]int{}
		r.list(func(item node) {
			var s string
			r.text(&s, checks...)(item)
			if s != "" && r.once(item, lines, s) {
				all = append(all, s)
			}
		})(n)
		*into = all
	}
}

func (r *reader) oneOf(into *string, allowed ...string) func(node) {
	return r.text(into, func(s string) string {
		if slices.Contains(allowed, s) {
			return ""
		}
		return fmt.Sprintf("%q is none of %s", s, strings.Join(allowed, ", "))
	})
}

func (r *reader) flag(into *bool) func(node) {
	return func(n node) {
		if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
			r.wrongKind(n, "true or false")
			return
		}
		*into = n.Value == "true"
	}
}

func (r *reader) number(into *int, least, most int) func(node) {
	return func(n node) {
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			r.wrongKind(n, "a whole number")
			return
		}
		if i < least || i > most {
			r.fault(n, "is %d, want %d to %d", i, least, most)
			return
		}
		*into = i
	}
}

func (r *reader) duration(into *time.Duration, most time.Duration) func(node) {
	return func(n node) {
		s, ok := r.scalar(n)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			r.fault(n, "%q is not a duration; want one such as 30s, 5m or 24h", s)
		case d < minDuration || d > most:
			r.fault(n, "is %s, want %s to %s", s, short(minDuration), short(most))
		default:
			*into = d
		}
	}
}

// scalar is a line of text as written, whatever YAML would make of it.
func (r *reader) scalar(n node) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0 || n.ShortTag() == "!!null":
		r.wrongKind(n, "text")
	case strings.TrimSpace(n.Value) != n.Value || strings.ContainsFunc(n.Value, func(c rune) bool { return !unicode.IsPrint(c) }):
		r.fault(n, "has blanks around it or a character that cannot be printed")
	default:
		return n.Value, true
	}
	return "", false
}

func (r *reader) wrongKind(n node, want string) {
	is := "a text or number"
	switch {
	case n.Kind == yaml.MappingNode:
		is = "keys with values"
	case n.Kind == yaml.SequenceNode:
		is = "a list"
	case n.Kind == yaml.AliasNode:
		return // said already
	case n.Style&yaml.TaggedStyle != 0:
		is = "a value with a tag"
	case n.ShortTag() == "!!null":
		is = "nothing"
	case want == "true or false" || want == "a whole number":
		is = "something else"
	}
	r.fault(n, "want %s, not %s", want, is)
}

// once says whether key was not met before, without regard to case.
func (r *reader) once(n node, lines map[string]int, key string) bool {
	folded := strings.ToLower(key)
	if first, met := lines[folded]; met {
		r.fault(n, "%q stands on line %d already", key, first)
		return false
	}
	lines[folded] = n.line
	return true
}

// meant ends a fault about an unknown name with the one that was meant, or
// with all there are.
func meant(name string, known []string) string {
	if best, edits, ok := gate.Nearest(name, known); ok && edits <= 1+len(best)/4 {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	if len(known) == 0 {
		return ""
	}
	return "; known: " + strings.Join(known, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// short is a duration without its zero parts: 5m and not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
