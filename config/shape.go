package config

import (
	"cmp"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is what a value is in YAML and JSON.
type kind string

const (
	object  kind = "object"
	array   kind = "array"
	text    kind = "string"
	integer kind = "integer"
	number  kind = "number"
	boolean kind = "boolean"
)

// shape is what a value looks like.
type shape struct {
	kind kind
	name string // of its table in the reference; "" for none of its own
	// Of an object: its known keys, or the values under keys that are data, or
	// anything.
	fields    []field
	values    *shape
	keys      string // the pattern of keys that are data
	free      bool
	oneOf     []string
	with      []dependency
	undivided bool
	// shorthand is the key that a bare value stands for.
	shorthand string
	bare      *shape
	// Of a list.
	items    *shape
	distinct bool
	maxItems int // 0: the general bound
	// Of a text or number.
	pattern     string
	enum        []string
	blank       bool // may be ""
	least, most int64
	above       bool // more than least
	// standard is the default; nil for none.
	standard any
}

// dependency is a key that is only there with others.
type dependency struct {
	key    string
	others []string
}

// nodes are the kinds of YAML nodes in which the shape is written.
func (s shape) nodes() []yaml.Kind {
	switch s.kind {
	case object:
		return []yaml.Kind{yaml.MappingNode}
	case array:
		return []yaml.Kind{yaml.SequenceNode}
	}
	return []yaml.Kind{yaml.ScalarNode}
}

// partial is the shape with no key needed, as far as defaults reach into it.
func (s shape) partial() shape {
	if s.kind != object || s.undivided {
		return s
	}
	fields := make([]field, len(s.fields))
	for i, f := range s.fields {
		f.needed = false
		f.shape = f.shape.partial()
		fields[i] = f
	}
	s.fields, s.oneOf, s.with = fields, nil, nil
	return s
}

func textShape(standard string, checks []check) shape {
	s := shape{kind: text}
	if standard != "" {
		s.standard = standard
	}
	for _, c := range checks {
		if c.pattern != "" {
			s.pattern = c.pattern
		}
		if len(c.enum) > 0 {
			s.enum = c.enum
		}
	}
	return s
}

const dialect = "https://json-schema.org/draft/2020-12/schema"

// schemaOf is the published JSON Schema of a file.
func schemaOf(title string, s shape) []byte {
	top := s.schema()
	top["$schema"] = dialect
	top["title"] = title
	data, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		return nil // maps of texts and numbers always encode
	}
	return append(data, '\n')
}

// schema is the shape in JSON Schema's words.
func (s shape) schema() map[string]any {
	m := map[string]any{"type": string(s.kind)}
	if s.standard != nil {
		m["default"] = s.standard
	}
	switch s.kind {
	case object:
		s.objectSchema(m)
	case array:
		m["items"], m["minItems"], m["maxItems"] = s.items.schema(), 1, cmp.Or(s.maxItems, maxItems)
		if s.distinct {
			m["uniqueItems"] = true
		}
	case text:
		if !s.blank {
			m["minLength"] = 1
		}
		if s.pattern != "" {
			m["pattern"] = s.pattern
		}
		if len(s.enum) > 0 {
			m["enum"] = s.enum
		}
	case integer, number:
		m["minimum"], m["maximum"] = s.least, s.most
		if s.above {
			delete(m, "minimum")
			m["exclusiveMinimum"] = s.least
		}
	case boolean:
	}
	if s.bare != nil {
		return map[string]any{"anyOf": []any{s.bare.schema(), m}}
	}
	return m
}

func (s shape) objectSchema(m map[string]any) {
	switch {
	case s.free:
		return
	case s.values != nil:
		m["additionalProperties"], m["minProperties"] = s.values.schema(), 1
		if s.keys != "" {
			m["propertyNames"] = map[string]any{"pattern": s.keys}
		}
		return
	}
	properties, required := map[string]any{}, []string{}
	for _, f := range s.fields {
		p := f.shape.schema()
		p["description"] = strings.ReplaceAll(f.doc, "`", "")
		properties[f.key] = p
		if f.needed {
			required = append(required, f.key)
		}
	}
	m["properties"], m["additionalProperties"] = properties, false
	if len(required) > 0 {
		m["required"] = required
	}
	var choices []any
	for _, key := range s.oneOf {
		choices = append(choices, map[string]any{"required": []string{key}})
	}
	if len(choices) > 0 {
		m["oneOf"] = choices
	}
	together := map[string]any{}
	for _, d := range s.with {
		together[d.key] = d.others
	}
	if len(together) > 0 {
		m["dependentRequired"] = together
	}
}
