package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"slipway/pools"
)

// Swap gives a coordinate another assignment in the text of a pool config. It
// changes that name and no other byte: comments, order, quotes and line ends
// stay. diff is the change as a patch of pools.yaml; with the assignment that is
// there already it is empty, and edited is data. A text that has faults or that
// cannot be changed so is refused, and nothing is edited.
func Swap(data []byte, a pools.Address, assignment string) (edited []byte, diff string, err error) {
	fail := func(err error) ([]byte, string, error) {
		return nil, "", fmt.Errorf("swap %s to %s: %w", a, clip(assignment), err)
	}
	before, err := outline(data)
	if err != nil {
		return fail(err)
	}
	now, known := before.Replicas[a]
	if !known {
		return fail(fmt.Errorf("there is no such coordinate%s", meant(a.String(), texts(before.Addresses()))))
	}
	if _, known := before.Assignments[assignment]; !known {
		return fail(fmt.Errorf("there is no such assignment%s", meant(assignment, slices.Sorted(maps.Keys(before.Assignments)))))
	}
	if now == assignment {
		return data, "", nil
	}
	from, to, err := placeOf(data, a)
	if err != nil {
		return fail(err)
	}
	edited = slices.Concat(data[:from], written(data[from:to], assignment), data[to:])
	if err := onlySwapped(edited, before, a, assignment); err != nil {
		return fail(err)
	}
	return edited, patch(PoolsFile, data, edited), nil
}

// MatchAssignment is the name of the one assignment that runs a provider's
// model. Either may be "", which says nothing of it. With none or several, the
// error lists what there is.
func MatchAssignment(s pools.Set, provider, model string) (name string, err error) {
	var fitting, all []string
	for _, name := range slices.Sorted(maps.Keys(s.Assignments)) {
		a := s.Assignments[name]
		all = append(all, fmt.Sprintf("%s (%s of %s)", name, a.Model, a.Provider))
		if (provider == "" || provider == a.Provider) && (model == "" || model == a.Model) {
			fitting = append(fitting, name)
		}
	}
	switch len(fitting) {
	case 1:
		return fitting[0], nil
	case 0:
		return "", fmt.Errorf("no assignment runs %s; there are %s", sought(provider, model), strings.Join(all, ", "))
	}
	return "", fmt.Errorf("%d assignments run %s: name one of %s", len(fitting), sought(provider, model), strings.Join(fitting, ", "))
}

func sought(provider, model string) string {
	switch {
	case model == "" && provider == "":
		return "anything"
	case model == "":
		return "anything of " + provider
	case provider == "":
		return model
	}
	return model + " of " + provider
}

// outline is the set of a text alone: whatever its prompts hold.
func outline(data []byte) (pools.Set, error) {
	set, faults := ParsePools(PoolsFile, data, func(file string) ([]byte, error) { return []byte(file), nil })
	if len(faults) == 0 {
		return set, nil
	}
	all := make([]error, len(faults))
	for i, f := range faults {
		all[i] = f
	}
	return pools.Set{}, errors.Join(all...)
}

// placeOf is where in a text the assignment of a coordinate is written, with
// its quotes.
func placeOf(data []byte, a pools.Address) (from, to int, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return 0, 0, err
	}
	n := &doc
	for _, key := range []string{"", "replicas", a.String()} {
		if key == "" {
			n = n.Content[0] // of a document without faults
			continue
		}
		n = n.Content[at(n, key)] // a coordinate of that document
	}
	raw := n.Value
	switch n.Style {
	case 0:
	case yaml.DoubleQuotedStyle:
		raw = `"` + raw + `"`
	case yaml.SingleQuotedStyle:
		raw = `'` + raw + `'`
	default:
		return 0, 0, fmt.Errorf("line %d: the name is neither plain nor in quotes: write it so, and on the line of its coordinate", n.Line)
	}
	from = offset(data, n.Line, n.Column)
	if n.Anchor != "" || !bytes.HasPrefix(data[from:], []byte(raw)) {
		return 0, 0, fmt.Errorf("line %d: the name has an anchor or is written with escapes: write it plainly", n.Line)
	}
	return from, from + len(raw), nil
}

// offset is where a line and column of YAML begin, both from 1; columns are
// characters.
func offset(data []byte, line, column int) int {
	at := 0
	if bytes.HasPrefix(data, []byte("\uFEFF")) {
		at = len("\uFEFF")
	}
	for ; line > 1 && at < len(data); line-- {
		at += lineLength(data[at:])
	}
	for ; column > 1 && at < len(data); column-- {
		_, size := utf8.DecodeRune(data[at:])
		at += size
	}
	return at
}

// lineLength is that of the first line, with its end: YAML has more ends than
// one.
func lineLength(data []byte) int {
	i := bytes.IndexAny(data, "\r\n\u0085\u2028\u2029")
	if i < 0 {
		return len(data)
	}
	if bytes.HasPrefix(data[i:], []byte("\r\n")) {
		return i + 2
	}
	_, size := utf8.DecodeRune(data[i:])
	return i + size
}

// written is a name in the quotes that the old one had. A plain one gets quotes
// where YAML would read another thing than a text.
func written(old []byte, name string) []byte {
	quote := ""
	if old[0] == '"' || old[0] == '\'' {
		quote = string(old[:1])
	} else if n := (yaml.Node{Kind: yaml.ScalarNode, Value: name}); n.ShortTag() != "!!str" {
		quote = `"`
	}
	return []byte(quote + name + quote)
}

// onlySwapped asks that a text means what it meant, but for one coordinate.
func onlySwapped(edited []byte, before pools.Set, a pools.Address, assignment string) error {
	after, err := outline(edited)
	if err != nil {
		return fmt.Errorf("the text could not be edited: %w", err)
	}
	changes := pools.Diff(before, after)
	if len(changes) != 1 || changes[0].Name != a.String() || after.Replicas[a] != assignment {
		return fmt.Errorf("the text could not be edited in one place: %d things would change", len(changes))
	}
	return nil
}

// patch is the difference of two texts of which one line is another, in the
// unified format. Lines end at \n here, whatever YAML takes for an end.
func patch(name string, before, after []byte) string {
	const around = 3
	old, edited := bytes.SplitAfter(before, []byte("\n")), bytes.SplitAfter(after, []byte("\n"))
	if last := len(old) - 1; len(old[last]) == 0 {
		old, edited = old[:last], edited[:last]
	}
	i := 0
	for bytes.Equal(old[i], edited[i]) {
		i++
	}
	first, end := max(0, i-around), min(len(old), i+around+1)
	var b strings.Builder
	fmt.Fprintf(&b, "--- a/%s\n+++ b/%s\n@@ -%d,%d +%d,%d @@\n", name, name, first+1, end-first, first+1, end-first)
	line := func(mark byte, l []byte) {
		b.WriteByte(mark)
		b.Write(l)
		if !bytes.HasSuffix(l, []byte("\n")) {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
	for j := first; j < end; j++ {
		if j == i {
			line('-', old[j])
			line('+', edited[j])
			continue
		}
		line(' ', old[j])
	}
	return b.String()
}

func texts[T fmt.Stringer](all []T) []string {
	out := make([]string, len(all))
	for i, x := range all {
		out[i] = x.String()
	}
	return out
}
