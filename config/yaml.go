package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/cel-go/cel"
	"go.yaml.in/yaml/v3"

	"slipway/gate"
)

const (
	// maxFile is how large a file may be, in bytes.
	maxFile = 1 << 20
	// maxItems is how many entries a list may have, where nothing less is said.
	maxItems = 1000
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
	// origin names the file of keys that stand in another one.
	origin map[*yaml.Node]string
	// cel is where conditions are compiled, once one is.
	cel *cel.Env
	// lines are those of values that are asked about later, by path.
	lines map[string]int
	// globs is how many patterns of paths there were so far.
	globs int
}

// node is a value in the document, with the line and path of its key.
type node struct {
	*yaml.Node
	line int
	path string
	// file is where it stands, if not in the reader's own.
	file string
	// partial asks for no needed key: it is a part of something that is completed
	// elsewhere.
	partial bool
	// most is how many entries a list may have; 0: maxItems.
	most int
}

// document parses data and reads its top value.
func (r *reader) document(data []byte, f form) {
	if root, ok := r.parse(data); ok {
		r.whole(root, f)
	}
}

// whole reads the top value, and asks what needs all of it.
func (r *reader) whole(root node, f form) {
	f.read(root)
	for _, ask := range r.after {
		ask()
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
	file := n.file
	if file == "" {
		file = r.file
	}
	r.faults = append(r.faults, Fault{File: file, Line: n.line, Message: message})
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
		value := node{Node: v, line: k.Line, path: join(n.path, k.Value), file: n.file, partial: n.partial}
		if from, foreign := r.origin[k]; foreign {
			value.file = from
		}
		switch first := lines[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			r.fault(node{line: k.Line, path: n.path, file: n.file}, "a key must be plain text")
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

// scalar is text as written; one line of it, unless it may be a block.
func (r *reader) scalar(n node, block bool) (string, bool) {
	strange := func(c rune) bool { return !unicode.IsPrint(c) && (!block || c != '\n' && c != '\t') }
	switch {
	case !isText(n):
		r.wrongKind(n, "text")
	case !block && strings.TrimSpace(n.Value) != n.Value || strings.ContainsFunc(n.Value, strange):
		r.fault(n, "has blanks around it or a character that cannot be printed")
	default:
		return n.Value, true
	}
	return "", false
}

// isText says whether YAML reads a text there. A date is one here.
func isText(n node) bool {
	if n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0 {
		return false
	}
	tag := n.ShortTag()
	return tag == "!!str" || tag == "!!timestamp"
}

func (r *reader) wrongKind(n node, want string) {
	is := "a text"
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
	case !isText(n):
		is = "the bare value " + clip(n.Value)
		if want == "text" {
			is += " (put it in quotes)"
		}
	}
	r.fault(n, "want %s, not %s", want, is)
}

// clip is a value short enough to be repeated.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
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
