package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway/dispatcher"
)

// maxPoolsFile is how much of a file is read that a rollback replaces.
const maxPoolsFile = 4 << 20

// written is a file of the pool config's folder with what it is to hold.
type written struct {
	name string // relative to the folder
	text string
}

// prepared are files that lie beside those that they replace.
type prepared struct {
	root  *os.Root
	files []written
	// beside are their names until they are put in place.
	beside []string
}

func (p *poolsFile) folder() string { return filepath.Dir(p.path) }

func (p *poolsFile) name() string { return filepath.Base(p.path) }

// restoring is what has to be written so that the folder holds a set of the
// past, and the same as a patch. now is the text of the file as it is.
func (p *poolsFile) restoring(now string, target dispatcher.StoredSet) ([]written, string, error) {
	want := map[string]string{}
	for _, a := range target.Assignments {
		want[a.Prompt.File] = a.Prompt.Text
	}
	root, err := os.OpenRoot(p.folder())
	if err != nil {
		return nil, "", fmt.Errorf("the pool config's folder: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing was written
	var files []written
	var diff strings.Builder
	add := func(name, before, after string) {
		if before != after {
			files = append(files, written{name, after})
			diff.WriteString(unified(name, before, after))
		}
	}
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		before, err := readIn(root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
		add(name, before, want[name])
	}
	if now == "" { // it has faults, or is gone
		if now, err = readIn(root, p.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	add(p.name(), now, target.Source) // last: it names the others
	return files, diff.String(), nil
}

// prepare writes files beside those that they are to replace. It fails where
// one cannot be replaced in one step: a link, as a ConfigMap has them, a file or
// folder that may not be written.
func prepare(folder string, files []written) (_ *prepared, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	out := &prepared{root: root, files: files}
	defer func() {
		if err != nil {
			out.drop()
		}
	}()
	for _, f := range files {
		mode, err := replaceable(root, f.name)
		if err != nil {
			return nil, err
		}
		beside := path.Join(path.Dir(f.name), ".slipway-"+rand.Text()+".tmp")
		out.beside = append(out.beside, beside)
		if err := writeIn(root, beside, f.text, mode); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// put puts the files in place, in their order.
func (p *prepared) put() error {
	for i, f := range p.files {
		if err := p.root.Rename(p.beside[i], f.name); err != nil {
			return err
		}
	}
	p.beside = nil
	folder, err := p.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// drop takes away what was not put in place.
func (p *prepared) drop() {
	for _, name := range p.beside {
		_ = p.root.Remove(name) // perhaps it is in place already
	}
	_ = p.root.Close()
}

// replaceable is the mode of a file that may be replaced, or of a new one.
func replaceable(root *os.Root, name string) (fs.FileMode, error) {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0o644, nil
	case err != nil:
		return 0, err
	case info.Mode()&fs.ModeSymlink != 0:
		return 0, fmt.Errorf("%s is a link, as a mounted ConfigMap has it: change what it is made of", name)
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is no regular file", name)
	}
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	return info.Mode().Perm(), f.Close()
}

func writeIn(root *os.Root, name, text string, mode fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	// The mode is that of the file it replaces, whatever the process's mask.
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

func readIn(root *os.Root, name string) (string, error) {
	info, err := root.Stat(name)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxPoolsFile:
		return "", fmt.Errorf("%s is no regular file, or too large", name)
	}
	data, err := root.ReadFile(name)
	return string(data), err
}

// unified is the difference of two texts as a patch: one hunk from the first
// line that differs to the last.
func unified(name, before, after string) string {
	const around = 3
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	a, b = slices.DeleteFunc(a, empty), slices.DeleteFunc(b, empty)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	from := max(0, head-around)
	keep := min(tail, around)
	toA, toB := len(a)-tail+keep, len(b)-tail+keep
	var out strings.Builder
	old := "a/" + name
	if len(a) == 0 {
		old = "/dev/null"
	}
	fmt.Fprintf(&out, "--- %s\n+++ b/%s\n@@ -%s +%s @@\n", old, name, span(from, toA), span(from, toB))
	write := func(mark string, lines []string) {
		for _, l := range lines {
			out.WriteString(mark + l)
			if !strings.HasSuffix(l, "\n") {
				out.WriteString("\n\\ No newline at end of file\n")
			}
		}
	}
	write(" ", a[from:head])
	write("-", a[head:len(a)-tail])
	write("+", b[head:len(b)-tail])
	write(" ", a[len(a)-tail:toA])
	return out.String()
}

// span is how a hunk says which lines it is about: from the first, counted from
// 1, and how many; before line 1 when there are none.
func span(from, to int) string {
	if to == from {
		return fmt.Sprintf("%d,0", from)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

func empty(s string) bool { return s == "" }

// lines are the ones of a patch that change something.
func lines(diff string) string {
	var out []string
	for line := range strings.Lines(diff) {
		changes := strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+")
		if changes && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "+++") {
			out = append(out, strings.TrimRight(line, "\r\n"))
		}
	}
	return short(strings.Join(out, "\n")) // of a rollback, the whole is in the set that it names
}

// short is as much of a text as the journal keeps.
func short(s string) string {
	const most = 4000 // characters
	if text := []rune(s); len(text) > most {
		return string(text[:most]) + "…"
	}
	return s
}
