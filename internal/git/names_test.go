package git

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

func TestBranchNames(t *testing.T) {
	for _, name := range []string{"main", "slipway/revert-12", "a.b", "feature/@x", "été", "a-b_c+d=e,f%g", "HEAD2", "refs/heads/main", "{x}", "$(x)", "a;b", "a'b\"c"} {
		if err := checkBranch(name); err != nil {
			t.Errorf("%q: %v; want it accepted", name, err)
		}
	}
	for _, name := range []string{
		"", "-", "--upload-pack=touch", "-x", "HEAD", "@", "a b", "a\nb", "a\x00b", "a\x7fb", "a~1", "a^", "a:b", "a?", "a*", "a[b", `a\b`,
		"a..b", "a@{b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "/a", "a/", "a//b", strings.Repeat("x", 300),
	} {
		if err := checkBranch(name); fault.KindOf(err) != fault.Permanent {
			t.Errorf("%q: %v; want a permanent error", name, err)
		}
	}
}

// TestBranchNamesAgreeWithGit asks git about names made of the parts that its
// rules speak of.
func TestBranchNamesAgreeWithGit(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "-", ".", "..", "/", "@", "{", "@{", "HEAD", ".lock", "lock", "~", "^", ":", " ", "é", "\\", "[", "*", "\x01", "main"})
	rapid.Check(t, func(t *rapid.T) {
		name := strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "parts"), "")
		err := exec.Command("git", "check-ref-format", "refs/heads/"+name).Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		stricter := strings.HasPrefix(name, "-") || name == "HEAD" || name == "@"
		if got, want := badBranch(name) == "", err == nil && !stricter; got != want {
			t.Errorf("%q: accepted %t (%s), by git %t", name, got, badBranch(name), want)
		}
	})
}

func TestRemoteAddresses(t *testing.T) {
	for _, test := range []struct {
		rule   string
		remote Remote
		ok     bool
	}{
		{"https", Remote{URL: "https://forge.example/a/b.git", Username: "u", Token: "t"}, true},
		{"http", Remote{URL: "http://127.0.0.1:3000/a/b.git", Username: "u", Token: "t"}, true},
		{"a folder", Remote{URL: "file:///srv/a/b.git"}, true},
		{"a folder takes no token", Remote{URL: "file:///srv/a/b.git", Token: "t"}, false},
		{"a user in the address", Remote{URL: "https://u:secret@forge.example/a/b.git"}, false},
		{"a query in the address", Remote{URL: "https://forge.example/a/b.git?token=secret"}, false},
		{"another protocol", Remote{URL: "ssh://forge.example/secret/b.git"}, false},
		{"git's ext protocol", Remote{URL: "ext::sh -c secret"}, false},
		{"a bare path", Remote{URL: "/srv/secret/b.git"}, false},
		{"an option", Remote{URL: "--upload-pack=secret"}, false},
		{"no host", Remote{URL: "https:///secret"}, false},
		{"no URL at all", Remote{URL: "https://[secret"}, false},
		{"nothing", Remote{}, false},
		{"a token that would end the header", Remote{URL: "https://forge.example/a.git", Token: "secret\r\nX: y"}, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			g := &Mirrors{config: Config{Remote: func(ref.RepoID) (Remote, error) { return test.remote, nil }}}
			_, err := g.remote(app)
			if (err == nil) != test.ok {
				t.Errorf("got %v; want success: %t", err, test.ok)
			}
			if err != nil && (fault.KindOf(err) != fault.Permanent || strings.Contains(err.Error(), "secret")) {
				t.Errorf("got %v; want a permanent error that repeats nothing", err)
			}
		})
	}
}

func TestRepositoryNamesStayBelowTheFolder(t *testing.T) {
	f := newForge(t)
	g := f.mirrors()
	for _, repo := range []ref.RepoID{{}, {Owner: "..", Name: "x"}, {Owner: ".home", Name: "x"}, {Owner: "a", Name: "../../x"}, {Owner: "a/b", Name: "c"}} {
		if err := g.Fetch(deadline(t), repo); fault.KindOf(err) != fault.Permanent {
			t.Errorf("%+v: %v; want a permanent error", repo, err)
		}
	}
	if requests, _ := f.seen(); len(requests) != 0 {
		t.Errorf("the forge was asked: %v", requests)
	}
}
