package git

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// read lists a folder as name to content; folders end with a slash, links begin
// with an arrow, executables with an asterisk.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			found[name+"/"] = ""
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			found[name] = "->" + target
			return err
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if info.Mode()&0o100 != 0 {
				name = "*" + name
			}
			found[name] = string(content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestExport(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	long := strings.Repeat("long-name-", 20)
	files := map[string]string{
		"main.go":              "package main\n",
		"run.sh":               "100755:#!/bin/sh\n",
		"empty":                "",
		"a/b/c/deep":           "x",
		"-rf":                  "a name like a flag",
		"line\nend":            "a name with a line end",
		"été/\u202e":           "a name beyond ASCII",
		`back\slash`:           "b",
		"\xff\xfe":             "a name that is no text",
		long + "/" + long:      "a long path",
		"link":                 "120000:a/b/c/deep",
		"a/up":                 "120000:../main.go",
		"dangling":             "120000:nowhere/at/all",
		"round":                "120000:round",
		"crlf.txt":             "one\r\ntwo\n",
		"hidden/secret.txt":    "left out of archives",
		"subst.txt":            "$Format:%H$ $Id$\n",
		".gitattributes":       "hidden export-ignore\nsubst.txt export-subst ident\n*.txt text eol=crlf working-tree-encoding=UTF-16\n*.go filter=evil diff=evil merge=evil\n",
		"sub/.gitattributes":   "* export-ignore\n",
		"sub/kept":             "kept",
		"slipway.json":         "{}",
		".gitignore":           "main.go\n",
		"a.git/not-git-s-own":  "x",
		"vendor/x/.gitmodules": "",
	}
	b.branch("main", b.commit("files", files))
	g := f.mirrors()
	dir := t.TempDir()
	at, err := g.Export(deadline(t), app, b.tip("main"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if !at.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("the commit's time is %s", at)
	}
	got := read(t, dir)
	for name, content := range files {
		mode, rest, _ := strings.Cut(content, ":")
		switch mode {
		case "100755":
			name, content = "*"+name, rest
		case "120000":
			content = "->" + rest
		}
		if found, ok := got[name]; !ok || found != content {
			t.Errorf("%q holds %q (there: %t); want %q", name, found, ok, content)
		}
		delete(got, name)
	}
	for name := range got {
		if !strings.HasSuffix(name, "/") {
			t.Errorf("%q is not in the tree", name)
		}
	}
	if _, err := g.Export(deadline(t), app, b.tip("main"), dir); fault.KindOf(err) != fault.Permanent {
		t.Errorf("into a folder that is not empty: %v; want a permanent error", err)
	}
	if again := read(t, dir); again["main.go"] != files["main.go"] {
		t.Error("what was in the folder is gone")
	}
}

func TestExportRefusesToLeaveTheTree(t *testing.T) {
	f := newForge(t)
	tests := map[string]map[string]string{
		"an absolute link":                      {"x": "120000:/etc/passwd"},
		"a link above the tree":                 {"a/x": "120000:../../x"},
		"a link to the folder above":            {"x": "120000:.."},
		"a link that leaves through nothing":    {"x": "120000:nothing/../../x"},
		"a link that leaves and comes back":     {"a/x": "120000:../../x/a/y", "a/y": "1"},
		"a link that leaves through other ones": {"a/b/c/top": "120000:../../..", "x": "120000:a/b/c/top/../secret"},
		"a link that leaves through a chain":    {"d/e/f": "1", "s": "120000:d/e", "t": "120000:s/../../../etc"},
	}
	for rule, files := range tests {
		t.Run(rule, func(t *testing.T) {
			repo := ref.RepoID{Owner: "acme", Name: strings.ReplaceAll(rule, " ", "-")}
			b := f.create(repo)
			b.branch("main", b.commit("files", files))
			_, err := f.mirrors().Export(deadline(t), repo, b.tip("main"), t.TempDir())
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("got %v; want a permanent error that names the link", err)
			}
		})
	}
}

// TestEvilTrees has trees that git itself would not make: the forge's git is
// told not to check, ours finds them when it fetches.
func TestEvilTrees(t *testing.T) {
	f := newForge(t)
	for rule, name := range map[string]string{
		"a path with two dots":         "..",
		"git's own folder":             ".git",
		"git's own folder, upper case": ".GIT",
		"a path with a slash":          "a/b",
	} {
		t.Run(rule, func(t *testing.T) {
			repo := ref.RepoID{Owner: "acme", Name: strings.ReplaceAll(strings.ReplaceAll(rule, " ", "-"), ",", "")}
			b := f.create(repo)
			id, err := hex.DecodeString(b.blob("evil"))
			if err != nil {
				t.Fatal(err)
			}
			tree := b.gitIn("100644 "+name+"\x00"+string(id), "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
			b.branch("main", ref.SHA(b.git("commit-tree", "-m", "evil", tree)))
			dir := t.TempDir()
			_, err = f.mirrors().Export(deadline(t), repo, b.tip("main"), dir)
			if fault.KindOf(err) != fault.Permanent {
				t.Errorf("got %v; want a permanent error", err)
			}
			if got := read(t, dir); len(got) != 0 {
				t.Errorf("it wrote %v", got)
			}
		})
	}
}

func TestUnpack(t *testing.T) {
	plenty := limits{files: 100, bytes: 1 << 20}
	file := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}
	}
	tests := []struct {
		rule   string
		header []tar.Header
		limit  limits
		ok     bool
	}{
		{"a file", []tar.Header{file("a")}, plenty, true},
		{"as many files as the limit", []tar.Header{file("a"), file("b")}, limits{files: 2, bytes: 2}, true},
		{"more files than the limit", []tar.Header{file("a"), file("b")}, limits{files: 1, bytes: 100}, false},
		{"more bytes than the limit", []tar.Header{file("a"), file("b")}, limits{files: 9, bytes: 1}, false},
		{"an absolute path", []tar.Header{file("/a")}, plenty, false},
		{"a path above", []tar.Header{file("../a")}, plenty, false},
		{"a path above in the middle", []tar.Header{file("a/../../b")}, plenty, false},
		{"git's own folder", []tar.Header{file("a/.Git/config")}, plenty, false},
		{"a hard link", []tar.Header{file("a"), {Name: "b", Typeflag: tar.TypeLink, Linkname: "a"}}, plenty, false},
		{"a device", []tar.Header{{Name: "a", Typeflag: tar.TypeChar}}, plenty, false},
		{"a pipe", []tar.Header{{Name: "a", Typeflag: tar.TypeFifo}}, plenty, false},
		{"the same file twice", []tar.Header{file("a"), file("a")}, plenty, false},
		{"a file below a link", []tar.Header{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "."}, file("l/a")}, plenty, false},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			for _, h := range test.header {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(w, strings.NewReader("x"), h.Size); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			parent := t.TempDir()
			dir := filepath.Join(parent, "dir")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if err := unpack(root, &archive, test.limit); (err == nil) != test.ok {
				t.Errorf("got %v; want success: %t", err, test.ok)
			}
			if got, err := os.ReadDir(parent); err != nil || len(got) != 1 {
				t.Errorf("beside the folder stands %v, %v", got, err)
			}
		})
	}
}
