package config

import (
	"fmt"
	"strings"
)

// Reference is the table of one mapping's keys, in Markdown: as one finds it by
// a path such as "gate.checks[]" from the top of the file, or by its name. The
// documents hold these tables, and a test holds the documents to them.
func Reference(file, of string) (string, error) {
	top, err := topShape(file)
	if err != nil {
		return "", err
	}
	s, found := top.find("", of)
	if !found {
		return "", fmt.Errorf("%s has no mapping %q", file, of)
	}
	var b strings.Builder
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	s.rows(&b, "")
	return b.String(), nil
}

// Mappings are the names of all tables that a file's reference needs.
func Mappings(file string) ([]string, error) {
	top, err := topShape(file)
	if err != nil {
		return nil, err
	}
	var all []string
	met := map[string]bool{}
	top.mappings("", func(name string) {
		if !met[name] {
			all, met[name] = append(all, name), true
		}
	})
	return all, nil
}

func topShape(file string) (shape, error) {
	switch file {
	case PolicyFile:
		return policyShape(), nil
	case ServerFile:
		return serverShape(), nil
	case CasesFile:
		return casesShape(), nil
	case PoolsFile:
		return poolsShape(), nil
	}
	return shape{}, fmt.Errorf("there is no file %q: want %s, %s, %s or %s", file, PolicyFile, ServerFile, CasesFile, PoolsFile)
}

// inner is the mapping within lists, and the path to it.
func (s shape) inner(path string) (shape, string) {
	for s.kind == array && s.items != nil {
		s, path = *s.items, path+"[]"
	}
	if s.kind == object && s.values != nil {
		return s.values.inner(path + ".*")
	}
	return s, path
}

// find looks for a mapping by its path or name.
func (s shape) find(path, want string) (shape, bool) {
	s, path = s.inner(path)
	if s.kind != object {
		return shape{}, false
	}
	if path == want || s.name == want && want != "" {
		return s, true
	}
	for _, f := range s.fields {
		if found, ok := f.shape.find(join(path, f.key), want); ok {
			return found, true
		}
	}
	return shape{}, false
}

// elsewhere says whether a mapping is explained in a place of its own.
func (s shape) elsewhere() bool { return s.name == "policy" || s.name == "secret" }

// mappings tells each mapping that needs a table: the named ones, and those in
// lists. The others stand in the table of what holds them.
func (s shape) mappings(path string, tell func(string)) {
	in, at := s.inner(path)
	if in.kind != object || in.elsewhere() {
		return
	}
	switch {
	case in.name != "":
		tell(in.name)
	case path == "" || s.kind == array:
		tell(at)
	}
	for _, f := range in.fields {
		f.shape.mappings(join(at, f.key), tell)
	}
}

// rows writes one row for each key, and those of the mappings within that have
// no table of their own.
func (s shape) rows(b *strings.Builder, prefix string) {
	for _, f := range s.fields {
		if f.shape.kind == object && f.shape.name == "" && f.shape.values == nil && !f.shape.free {
			f.shape.rows(b, prefix+f.key+".")
			continue
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, f.key, f.standing(), f.doc)
	}
}

// standing is what holds when the key is not there.
func (f field) standing() string {
	switch {
	case f.absent != "":
		return f.absent
	case f.needed:
		return "needed"
	case f.shape.standard != nil && f.shape.kind == array:
		return fmt.Sprintf("`[%s]`", strings.Join(f.shape.standard.([]string), ", "))
	case f.shape.standard != nil:
		return fmt.Sprintf("`%v`", f.shape.standard)
	}
	return ""
}
