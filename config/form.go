package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// form is one kind of value: how it is read, and what it looks like. The
// published schemas and the tables of the reference are made from the same
// forms that read the files.
type form struct {
	shape shape
	read  func(node)
}

// field is one known key of a mapping.
type field struct {
	form
	key    string
	doc    string // for the reference and the schema, in Markdown
	needed bool
	why    string // it is needed, when that is not plain
	// absent is what stands in the reference in place of a default.
	absent string
}

func may(key string, f form, doc string) field { return field{form: f, key: key, doc: doc} }

func must(key string, f form, doc string) field {
	return field{form: f, key: key, doc: doc, needed: true}
}

// else says what holds when the key is not there, where the form itself does
// not know.
func (f field) otherwise(absent string) field {
	f.absent = absent
	return f
}

// because says why the key is needed.
func (f field) because(why string) field {
	f.why = why
	return f
}

// then asks about a value, once it is read, if it was of the right kind.
func (f form) then(ask func(node)) form {
	read, kinds := f.read, f.shape.nodes()
	f.read = func(n node) {
		read(n)
		if slices.Contains(kinds, n.Kind) {
			ask(n)
		}
	}
	return f
}

// most bounds a list: what is longer is not read at all.
func (f form) most(items int) form {
	read := f.read
	f.shape.maxItems = items
	f.read = func(n node) {
		n.most = items
		read(n)
	}
	return f
}

// noting learns whether there was any fault in a value, once it is read.
func (f form) noting(r *reader, faulty *bool) form {
	read := f.read
	f.read = func(n node) {
		before := len(r.faults)
		read(n)
		*faulty = len(r.faults) > before
	}
	return f
}

// under is asked first of a value whose key is data.
func (f form) under(ask func()) form {
	read := f.read
	f.read = func(n node) {
		ask()
		read(n)
	}
	return f
}

// keys says for the schema how the keys of a mapping are written that are data.
func (f form) keys(pattern *regexp.Regexp) form {
	f.shape.keys = pattern.String()
	return f
}

// filled refuses a mapping without keys.
func (f form) filled(r *reader) form {
	return f.then(func(n node) {
		if len(n.Content) == 0 {
			r.fault(n, "is empty")
		}
	})
}

// named gives the form a table of its own in the reference.
func (f form) named(name string) form {
	f.shape.name = name
	return f
}

// undivided keeps a mapping's keys together: whoever writes one of them says
// all of it, whatever an organisation's defaults say there.
func (f form) undivided() form {
	read := f.read
	f.shape.undivided = true
	f.read = func(n node) {
		n.partial = false
		read(n)
	}
	return f
}

// oneOf says for the schema that exactly one of these keys is there.
func (f form) oneOf(keys ...string) form {
	f.shape.oneOf = keys
	return f
}

// with says for the schema that key is only there with others.
func (f form) with(key string, others ...string) form {
	f.shape.with = append(f.shape.with, dependency{key, others})
	return f
}

// object is a mapping with known keys. An unknown, repeated or empty key is a
// fault, and so is the lack of a needed one.
func (r *reader) object(fields ...field) form {
	known := make([]string, 0, len(fields))
	for _, f := range fields {
		known = append(known, f.key)
	}
	return form{shape{kind: object, fields: fields}, func(n node) {
		r.entries(n, func(key string, value node) {
			i := slices.Index(known, key)
			if i < 0 {
				r.fault(value, "unknown key%s", meant(key, known))
				return
			}
			fields[i].read(value)
		})
		if n.Kind != yaml.MappingNode || n.partial {
			return
		}
		for _, f := range fields {
			if f.needed && !r.names(n, f.key) {
				r.fault(node{line: n.line, path: join(n.path, f.key), file: n.file}, "is missing%s", f.why)
			}
		}
	}}
}

// mapping is a mapping whose keys are data; into gets it anew.
func mapping[T any](r *reader, into *map[string]T, each func(key node, into *T) form) form {
	sample := each(node{}, new(T)).shape
	return form{shape{kind: object, values: &sample}, func(n node) {
		*into = map[string]T{}
		r.entries(n, func(key string, value node) {
			v := new(T)
			each(node{Node: &yaml.Node{Value: key}, line: value.line, path: value.path, file: value.file}, v).read(value)
			(*into)[key] = *v
		})
	}}
}

// many is a list that is not empty; into gets it anew, each item starting as
// blank.
func many[T any](r *reader, into *[]T, blank T, item func(*T) form) form {
	first := blank
	sample := item(&first).shape
	return form{shape{kind: array, items: &sample}, func(n node) {
		*into = nil
		r.list(n, func(i node) {
			v := blank
			item(&v).read(i)
			*into = append(*into, v)
		})
	}}
}

// list reads a sequence that is not empty.
func (r *reader) list(n node, each func(node)) {
	if n.Kind != yaml.SequenceNode {
		r.wrongKind(n, "a list")
		return
	}
	most := n.most
	if most == 0 {
		most = maxItems
	}
	switch {
	case len(n.Content) == 0:
		r.fault(n, "is an empty list")
	case len(n.Content) > most:
		r.fault(n, "has %d entries, want at most %d", len(n.Content), most)
		return
	}
	for i, item := range n.Content {
		each(node{Node: item, line: item.Line, path: fmt.Sprintf("%s[%d]", n.path, i), file: n.file})
	}
}

// text is one line of text that is not empty.
func (r *reader) text(into *string, checks ...check) form { return r.words(into, false, checks) }

// block is text of any number of lines that is not empty.
func (r *reader) block(into *string, checks ...check) form { return r.words(into, true, checks) }

func (r *reader) words(into *string, block bool, checks []check) form {
	return form{textShape(*into, checks), func(n node) {
		s, ok := r.scalar(n, block)
		if !ok {
			return
		}
		if strings.TrimSpace(s) == "" {
			r.fault(n, "is empty")
			return
		}
		for _, c := range checks {
			if wrong := c.wrong(s); wrong != "" {
				r.fault(n, "%s", wrong)
				return
			}
		}
		*into = s
	}}
}

// textOrNone is text, or "" in quotes.
func (r *reader) textOrNone(into *string, checks ...check) form {
	f := r.text(into, checks...)
	f.shape.pattern, f.shape.blank = "", true
	read := f.read
	f.read = func(n node) {
		if n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!str" {
			*into = ""
			return
		}
		read(n)
	}
	return f
}

// texts is a list of different texts.
func (r *reader) texts(into *[]string, checks ...check) form {
	item := textShape("", checks)
	s := shape{kind: array, items: &item, distinct: true}
	if len(*into) > 0 {
		s.standard = slices.Clone(*into)
	}
	return form{s, func(n node) {
		var all []string
		lines := map[string]int{}
		r.list(n, func(item node) {
			var s string
			r.text(&s, checks...).read(item)
			if s != "" && r.once(item, lines, s) {
				all = append(all, s)
			}
		})
		*into = all
	}}
}

func (r *reader) flag(into *bool) form {
	return form{shape{kind: boolean, standard: *into}, func(n node) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" && n.Value != "false" {
			r.wrongKind(n, "true or false")
			return
		}
		*into = n.Value == "true"
	}}
}

func (r *reader) number(into *int, least, most int) form {
	s := shape{kind: integer, least: int64(least), most: int64(most)}
	if *into != 0 {
		s.standard = *into
	}
	return form{s, func(n node) {
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
			r.wrongKind(n, "a whole number")
			return
		}
		if i < least || i > most {
			r.fault(n, "is %d, want %d to %d", i, least, most)
			return
		}
		*into = i
	}}
}

func (r *reader) duration(into *time.Duration, most time.Duration) form {
	s := shape{kind: text, pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	if *into != 0 {
		s.standard = short(*into)
	}
	return form{s, func(n node) {
		if n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0 || n.ShortTag() == "!!null" {
			r.wrongKind(n, "a duration such as 30s, 5m or 24h")
			return
		}
		d, err := time.ParseDuration(n.Value)
		switch {
		case err != nil || !isText(n):
			r.fault(n, "%q is not a duration; want one such as 30s, 5m or 24h", clip(n.Value))
		case d < minDuration || d > most:
			r.fault(n, "is %s, want %s to %s", n.Value, short(minDuration), short(most))
		default:
			*into = d
		}
	}}
}

// shorthand lets a bare value stand for a mapping with one key.
func (r *reader) shorthand(key string, bare, full form) form {
	full.shape.shorthand = key
	full.shape.bare = &bare.shape
	read := full.read
	full.read = func(n node) {
		if n.Kind == yaml.ScalarNode {
			bare.read(n)
			return
		}
		read(n)
	}
	return full
}
