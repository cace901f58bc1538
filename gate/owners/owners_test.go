package owners

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"slipway/gate"
)

// own is what a rule is expected to own: "PATTERN OWNER… < EMAIL…: PATH…".
func own(o gate.Ownership) string {
	s := strings.Join(append([]string{fmt.Sprint(o.Line), o.Pattern}, o.Owners...), " ")
	if len(o.Unmapped) > 0 {
		s += " <" + strings.Join(o.Unmapped, " ")
	}
	return s + ": " + strings.Join(o.Paths, " ")
}

func paths(list ...string) []gate.File {
	var files []gate.File
	for _, p := range list {
		files = append(files, gate.File{Path: p})
	}
	return files
}

type ownersCase struct {
	rule   string
	file   string
	paths  []gate.File
	want   []string
	faults []string // "LINE words", in order
}

func check(t *testing.T, d Dialect, tests []ownersCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			rules, faults := Parse(d, []byte(test.file))
			var got []string
			for _, o := range rules.Of(test.paths) {
				got = append(got, own(o))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
			if len(faults) != len(test.faults) {
				t.Fatalf("faults %v, want %v", faults, test.faults)
			}
			for i, f := range faults {
				line, words, _ := strings.Cut(test.faults[i], " ")
				if fmt.Sprint(f.Line) != line || !strings.Contains(f.Message, words) {
					t.Errorf("fault %q, want line %s with %q", f, line, words)
				}
			}
		})
	}
}

func TestGitea(t *testing.T) {
	check(t, Gitea, []ownersCase{
		{rule: "a pattern is an expression over the whole path", file: `docs/.* @ann`, paths: paths("docs/a.md", "docs/b/c.md", "old/docs/a.md", "docs"),
			want: []string{"1 docs/.* ann: docs/a.md docs/b/c.md"}},
		{rule: "every rule that matches counts, not the last alone", file: ".* @ann\n.*\\\\.go @bob @acme/go\n", paths: paths("a.go", "b.md"),
			want: []string{"1 .* ann: a.go b.md", `2 .*\.go bob acme/go: a.go`}},
		{rule: "an exclamation mark turns the pattern round", file: "!docs/.* @ann", paths: paths("docs/a", "main.go"), want: []string{"1 !docs/.* ann: main.go"}},
		{rule: "a single backslash vanishes, so that the dot is any character", file: `.*\.js @ann`, paths: paths("a.js", "a_js"), want: []string{"1 .*.js ann: a.js a_js"}},
		{rule: "a double backslash stays one", file: `.*\\.js @ann`, paths: paths("a.js", "a_js"), want: []string{`1 .*\.js ann: a.js`}},
		{rule: "an escaped # is one", file: `\#x @ann # not @bob`, paths: paths("#x", "x"), want: []string{"1 #x ann: #x"}},
		{rule: "an escaped space is one", file: `a\ b @ann`, paths: paths("a b", "a"), want: []string{"1 a b ann: a b"}},
		{rule: "tabs separate", file: "a\t\t@ann\t@bob", paths: paths("a"), want: []string{"1 a ann bob: a"}},
		{rule: "a slash in front is nothing", file: "/a @ann\n!/a @bob", paths: paths("a", "b"), want: []string{"1 /a ann: a", "2 !/a bob: b"}},
		{rule: "an owner without @ is one", file: "a ann", paths: paths("a"), want: []string{"1 a ann: a"}},
		{rule: "comments, empty lines and line ends of Windows", file: "# x\r\n\r\n  # y\r\na @ann\r\n", paths: paths("a"), want: []string{"4 a ann: a"}},
		{rule: "alternatives bind weaker than the anchors, as in Gitea", file: "a|b @ann", paths: paths("ax", "xb", "x"), want: []string{"1 a|b ann: ax xb"}},
		{rule: "alternatives in brackets", file: "(a|b) @ann", paths: paths("ax", "b"), want: []string{"1 (a|b) ann: b"}},
		{rule: "a renamed file is owned at both paths", file: "secret/.* @ann\npublic/.* @bob", paths: []gate.File{{Path: "public/a", Previous: "secret/a"}},
			want: []string{"1 secret/.* ann: secret/a", "2 public/.* bob: public/a"}},
		{rule: "an exclamation mark alone owns everything", file: "! @ann", paths: paths("a"), want: []string{"1 ! ann: a"}},
		{rule: "an empty file", file: "", paths: paths("a")},
		{rule: "no files", file: ".* @ann"},
		{rule: "a pattern without an owner is a fault", file: "a\n.* @ann", paths: paths("a"), want: []string{"2 .* ann: a"}, faults: []string{"1 no owner"}},
		{rule: "a bad expression is a fault, and the rest counts", file: "( @ann\n.* @bob", paths: paths("a"), want: []string{"2 .* bob: a"}, faults: []string{"1 no regular expression"}},
		{rule: "a look-ahead is a fault that says what to write", file: "(?!docs/).* @ann", paths: paths("a"), faults: []string{"1 begin the pattern with !"}},
		{rule: "an e-mail address is nobody's and a fault", file: "a ann@example.com", paths: paths("a"), want: []string{"1 a <ann@example.com: a"}, faults: []string{"1 e-mail"}},
		{rule: "what is no owner is a fault, and the others stay", file: "a @ann @a/b/c @/x @y! @", paths: paths("a"), want: []string{"1 a ann: a"},
			faults: []string{"1 @a/b/c", "1 @/x", "1 @y!", "1 @ is neither"}},
		{rule: "no owner left is no rule", file: "a @a/b/c", paths: paths("a"), faults: []string{"1 @a/b/c"}},
		{rule: "a byte order mark", file: "\ufeff.* @ann", paths: paths("a"), faults: []string{"1 byte order"}},
		{rule: "what is not UTF-8", file: "a\xff @ann\nb @bob", paths: paths("b"), want: []string{"2 b bob: b"}, faults: []string{"1 UTF-8"}},
		{rule: "an expression that would be too large", file: "((a{1000}){1000}){1000} @ann", paths: paths("a"), faults: []string{"1 expression"}},
	})
}

func TestGitHub(t *testing.T) {
	check(t, GitHub, []ownersCase{
		{rule: "the last rule that matches is the only one", file: "* @ann\n*.go @bob @acme/go\n", paths: paths("a.go", "b.md"),
			want: []string{"1 * ann: b.md", "2 *.go bob acme/go: a.go"}},
		{rule: "a later, wider rule takes it all", file: "/secret @ann\n* @bob", paths: paths("secret"), want: []string{"2 * bob: secret"}},
		{rule: "a rule without owners takes the path out", file: "* @ann\n/docs/\n", paths: paths("docs/a", "b"), want: []string{"1 * ann: b"}},
		{rule: "an e-mail address is an owner that is not mapped", file: "* ann@example.com @bob", paths: paths("a"), want: []string{"1 * bob <ann@example.com: a"}},
		{rule: "a folder from the root", file: "/docs/ @ann", paths: paths("docs/a", "docs/b/c", "x/docs/a", "docs"), want: []string{"1 /docs/ ann: docs/a docs/b/c"}},
		{rule: "a folder anywhere", file: "docs/ @ann", paths: paths("docs/a", "x/docs/a"), want: []string{"1 docs/ ann: docs/a x/docs/a"}},
		{rule: "a star stops at a slash", file: "/docs/* @ann", paths: paths("docs/a", "docs/b/c"), want: []string{"1 /docs/* ann: docs/a"}},
		{rule: "two stars do not", file: "/docs/**/a @ann", paths: paths("docs/a", "docs/b/c/a", "docs/b"), want: []string{"1 /docs/**/a ann: docs/a docs/b/c/a"}},
		{rule: "an inline comment", file: "* @ann # and @bob", paths: paths("a"), want: []string{"1 * ann: a"}},
		{rule: "line ends of Windows", file: "# x\r\n* @ann\r\n", paths: paths("a"), want: []string{"2 * ann: a"}},
		{rule: "a renamed file is owned at both paths", file: "/secret/ @ann\n/public/ @bob", paths: []gate.File{{Path: "public/a", Previous: "secret/a"}},
			want: []string{"1 /secret/ ann: secret/a", "2 /public/ bob: public/a"}},
		{rule: "a section is GitLab's", file: "[Docs] @ann\n* @bob\n^[Opt]", paths: paths("a"), want: []string{"2 * bob: a"}, faults: []string{"1 GitLab", "3 GitLab"}},
		{rule: "a negation is nobody's", file: "!a @ann", paths: paths("b"), faults: []string{"1 without owners"}},
		{rule: "a faulty owner leaves the line out, and the rest counts", file: "* @ann\n*.go bob\n", paths: paths("a.go"), want: []string{"1 * ann: a.go"}, faults: []string{"2 bob"}},
		{rule: "a slash alone matches nothing", file: "/ @ann\n// @bob", paths: paths("a"), faults: []string{"1 nothing", "2 nothing"}},
		{rule: "three stars are a fault", file: "*** @ann", paths: paths("a"), faults: []string{"1 three"}},
		{rule: "a byte order mark", file: "\ufeff* @ann", paths: paths("a"), faults: []string{"1 byte order"}},
	})
}

func TestParseIsLimited(t *testing.T) {
	for _, d := range []Dialect{Gitea, GitHub} {
		t.Run(string(d), func(t *testing.T) {
			for rule, test := range map[string]struct {
				file  string
				words string
			}{
				"a file that is too large": {strings.Repeat("# x\n", MaxSize/4+1), "bytes"},
				"too many rules":           {strings.Repeat("a @b\n", MaxRules+1), "rules"},
				"a line that is too long":  {strings.Repeat("a", MaxLine) + " @b", "bytes"},
			} {
				rules, faults := Parse(d, []byte(test.file))
				if len(faults) != 1 || !strings.Contains(faults[0].String(), test.words) || len(rules.Of(paths("a"))) != 0 {
					t.Errorf("%s: %v", rule, faults)
				}
			}
			if _, faults := Parse(d, []byte(strings.Repeat("a @b\n", MaxRules))); len(faults) != 0 {
				t.Errorf("as many rules as may be: %v", faults)
			}
		})
	}
	if _, faults := Parse("gitlab", nil); len(faults) != 1 || Files("gitlab") != nil {
		t.Errorf("an unknown dialect: %v", faults)
	}
}

func TestFilesInTheForgesOrder(t *testing.T) {
	for d, want := range map[Dialect][]string{
		Gitea:  {"CODEOWNERS", "docs/CODEOWNERS", ".gitea/CODEOWNERS"},
		GitHub: {".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"},
	} {
		if diff := cmp.Diff(want, Files(d)); diff != "" {
			t.Errorf("%s: %s", d, diff)
		}
	}
}

// TestWhatCostsTooMuchIsOwnedByAll: neither long paths nor heavy expressions
// keep the gate from answering, and what was not looked at has all owners.
func TestWhatCostsTooMuchIsOwnedByAll(t *testing.T) {
	heavy := strings.Repeat(".", 2000) + "(x*y*){200}"
	for d, line := range map[Dialect]string{Gitea: heavy + " @a\n", GitHub: "/**/" + strings.Repeat("*x/**/", 300) + "y @a\n"} {
		t.Run(string(d), func(t *testing.T) {
			rules, faults := Parse(d, []byte(strings.Repeat(line, 20)+"nobody\n"))
			if len(faults) > 1 {
				t.Fatal(faults)
			}
			files := paths(strings.Repeat("xy/", 1300))
			for i := range 300 {
				files = append(files, gate.File{Path: strings.Repeat("x", 4000) + fmt.Sprint(i)})
			}
			rules.work /= 1000
			owned := rules.Of(files)
			if len(owned) != 20 || owned[0].Paths[len(owned[0].Paths)-1] != files[300].Path {
				t.Errorf("%d rules own", len(owned))
			}
		})
	}
}

func TestTeamsAreNamedOnce(t *testing.T) {
	rules, _ := Parse(Gitea, []byte("a @acme/one @ann\nb @Acme/One @acme/two"))
	if diff := cmp.Diff([]string{"acme/one", "acme/two"}, rules.Teams()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsGivenIsTheCallersOwn(t *testing.T) {
	rules, _ := Parse(Gitea, []byte(".* @ann @bob"))
	rules.Of(paths("a"))[0].Owners[0] = "eve"
	if got := rules.Of(paths("a"))[0].Owners[0]; got != "ann" {
		t.Errorf("it became %s", got)
	}
}

// TestGitHubsLastRuleCounts: each path has at most one rule, and none after it
// matches alone.
func TestGitHubsLastRuleCounts(t *testing.T) {
	line := rapid.SampledFrom([]string{"* @a", "*.go @b", "/x/ @c", "x/", "a.go", "**/a.go @d", "/x/a.go @e e@example.com", "# @f", ""})
	path := rapid.SampledFrom([]string{"a.go", "x/a.go", "y/x/a.go", "b", "x/b", "y/z"})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(line, 0, 8).Draw(t, "lines")
		changed := rapid.SliceOfN(path, 0, 4).Draw(t, "paths")
		rules, faults := Parse(GitHub, []byte(strings.Join(lines, "\n")))
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		owner := map[string]int{}
		for _, o := range rules.Of(paths(changed...)) {
			for _, p := range o.Paths {
				if owner[p] != 0 {
					t.Fatalf("%s has two rules", p)
				}
				owner[p] = o.Line
			}
		}
		for _, p := range changed {
			last := 0
			for i, l := range lines {
				one, _ := Parse(GitHub, []byte(l+" @everybody"))
				if !strings.HasPrefix(l, "#") && l != "" && len(one.Of(paths(p))) > 0 {
					last = i + 1
					if !strings.Contains(l, "@") {
						last = 0
					}
				}
			}
			if owner[p] != last {
				t.Fatalf("%s is owned by line %d, want %d of %q", p, owner[p], last, lines)
			}
		}
	})
}

func FuzzGitea(f *testing.F) {
	for _, seed := range []string{".* @a", `.*\\.go @a/b #x`, "!(a|b) c", "\\", "(?i)A @b", "a{1000}{1000} @b", "[ @a", "\\  @a", "(a*)*b @a"} {
		f.Add(seed, "a/b.go")
	}
	f.Fuzz(func(t *testing.T, file, path string) { fuzz(t, Gitea, file, path) })
}

func FuzzGitHub(f *testing.F) {
	for _, seed := range []string{"* @a", "/", "//", "/a/ @b", "**/x @c/d", "a\\ b @c", "\\", "\\ ", "/** a@b.cd", "[x]", "*?*?* @a", "a #b"} {
		f.Add(seed, "a/b.go")
	}
	f.Fuzz(func(t *testing.T, file, path string) { fuzz(t, GitHub, file, path) })
}

// fuzz wants no panic, lines that exist, and owners that are names.
func fuzz(t *testing.T, d Dialect, file, path string) {
	lines := strings.Count(file, "\n") + 1
	rules, faults := Parse(d, []byte(file))
	for _, f := range faults {
		if f.Line < 0 || f.Line > lines || f.Message == "" {
			t.Fatalf("fault %+v of %d lines", f, lines)
		}
	}
	name := regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$`)
	for _, o := range rules.Of([]gate.File{{Path: path, Previous: "old/" + path}}) {
		if o.Line < 1 || o.Line > lines || len(o.Paths) == 0 || len(o.Owners)+len(o.Unmapped) == 0 {
			t.Fatalf("%+v", o)
		}
		for _, who := range o.Owners {
			if !name.MatchString(who) {
				t.Fatalf("owner %q", who)
			}
		}
	}
}

// BenchmarkOf asks as many rules as a file may have about as many files as a
// pull request of GitHub shows.
func BenchmarkOf(b *testing.B) {
	var files []gate.File
	for i := range 3000 {
		files = append(files, gate.File{Path: fmt.Sprintf("services/part%d/internal/handler/file%d.go", i%97, i)})
	}
	for d, line := range map[Dialect]string{Gitea: "services/part%d/.*\\\\.ts @owner%d\n", GitHub: "/services/part%d/**/*.ts @owner%d\n"} {
		b.Run(string(d), func(b *testing.B) {
			var text strings.Builder
			for i := range MaxRules {
				fmt.Fprintf(&text, line, i, i)
			}
			rules, faults := Parse(d, []byte(text.String()))
			if len(faults) > 0 {
				b.Fatal(faults[0])
			}
			for b.Loop() {
				rules.Of(files)
			}
		})
	}
}
