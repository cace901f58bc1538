package test

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^()\s]+)(?: "[^"]*")?\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)
	unsaid  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestEveryLinkLeadsSomewhere follows the links between the module's documents,
// to a file and to a heading in it. What lies elsewhere on the web is not asked.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	faults, read, err := deadLinks(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if read == 0 {
		t.Fatal("no document was found")
	}
	for _, f := range faults {
		t.Error(f)
	}
}

func TestDeadLinksAreFound(t *testing.T) {
	tree := fstest.MapFS{
		"README.md": {Data: []byte("# A house\n[a](docs/a.md#the-first-one) [b](docs/b.md) [c](docs/a.md#none) [d](#a-house) [e](#no)\n" +
			"[f](https://example.org/x) `[g](nowhere)`\n```\n[h](nowhere)\n```\n[i](docs)\n")},
		"docs/a.md": {Data: []byte("## The `first` one\n[up](../README.md)\n")},
	}
	faults, read, err := deadLinks(tree)
	if err != nil || read != 2 {
		t.Fatalf("read %d documents: %v", read, err)
	}
	want := []string{
		"README.md links to docs/b.md, which does not exist",
		"README.md links to docs/a.md#none, and docs/a.md has no such heading",
		"README.md links to #no, and README.md has no such heading",
	}
	if got := strings.Join(faults, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("found:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

// deadLinks finds the links that lead nowhere, and says how many documents it
// read.
func deadLinks(root fs.FS) (faults []string, documents int, err error) {
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		documents++
		for _, found := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(body), ""), -1) {
			if fault := follow(root, name, found[1]); fault != "" {
				faults = append(faults, fault)
			}
		}
		return nil
	})
	return faults, documents, err
}

// follow says why a link leads nowhere, or nothing.
func follow(root fs.FS, from, target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Sprintf("%s links to %s: %v", from, target, err)
	}
	if u.Scheme != "" {
		return ""
	}
	to := from
	if u.Path != "" {
		to = path.Join(path.Dir(from), u.Path)
	}
	if _, err := fs.Stat(root, to); err != nil {
		return fmt.Sprintf("%s links to %s, which does not exist", from, target)
	}
	if u.Fragment == "" || path.Ext(to) != ".md" {
		return ""
	}
	body, err := fs.ReadFile(root, to)
	if err != nil {
		return fmt.Sprintf("%s links to %s: %v", from, target, err)
	}
	for _, h := range heading.FindAllStringSubmatch(string(body), -1) {
		if anchor(h[1]) == u.Fragment {
			return ""
		}
	}
	return fmt.Sprintf("%s links to %s, and %s has no such heading", from, target, to)
}

// anchor is how a forge names a heading in a link.
func anchor(heading string) string {
	return strings.ReplaceAll(unsaid.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}
