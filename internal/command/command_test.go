package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	merge := func(line int) Command { return Command{Name: Merge, Args: "when ready", Line: line} }
	for _, test := range []struct {
		rule, body string
		want       []Command
	}{
		// What is a command.
		{"a command alone", "/merge when ready", []Command{merge(1)}},
		{"every command", "/hold\n/unhold\n/merge when ready\n/retry\n/explain\n/emergency the site is down", []Command{
			{Name: Hold, Line: 1}, {Name: Unhold, Line: 2}, merge(3), {Name: Retry, Line: 4}, {Name: Explain, Line: 5},
			{Name: Emergency, Args: "the site is down", Line: 6},
		}},
		{"a hold with its reason", "/hold until the release is out", []Command{{Name: Hold, Args: "until the release is out", Line: 1}}},
		{"a command below text", "Looks good.\n/merge when ready\nThanks!", []Command{merge(2)}},
		{"a command in a later paragraph", "Looks good.\n\n\n/merge when ready", []Command{merge(4)}},
		{"a command after a quote and a blank line", "> What do you think?\n\n/merge when ready", []Command{merge(3)}},
		{"a command after a list and a heading", "- one\n- two\n\n# So\n/merge when ready", []Command{merge(5)}},
		{"a command after code", "```\nx\n```\n/merge when ready", []Command{merge(4)}},
		{"a command after HTML that is closed", "<details><summary>why</summary>\n\nso\n\n</details>\n\n/merge when ready", []Command{merge(7)}},
		{"a command after a formula that is closed", "$$\nx\n$$\n/merge when ready", []Command{merge(4)}},
		{"a command after a comment in HTML", "<!-- a template -->\n\n/merge when ready", []Command{merge(3)}},
		{"line ends of Windows", "Good.\r\n/merge when ready\r\n", []Command{merge(2)}},
		{"line ends of old", "Good.\r/merge when ready", []Command{merge(2)}},
		{"tabs and spaces between words", "/merge \t when\tready  ", []Command{merge(1)}},
		{"spaces that are no ASCII, as keyboards make them", "/merge\u00a0when\u202fready", []Command{merge(1)}},
		{"capital letters", "/Merge When Ready", []Command{{Name: Merge, Args: "When Ready", Line: 1}}},
		{"the same twice", "/retry\n/retry", []Command{{Name: Retry, Line: 1}, {Name: Retry, Line: 2}}},
		{"marks in the reason are kept as they are", "/hold `x` *y* <!-- z -->", []Command{{Name: Hold, Args: "`x` *y* <!-- z -->", Line: 1}}},
		{"signs that are not seen are taken out of the reason", "/hold a\u202eb\x07c\u200b", []Command{{Name: Hold, Args: "abc", Line: 1}}},
		{"bytes that are no text", "/hold a\xffb", []Command{{Name: Hold, Args: "a\uFFFDb", Line: 1}}},

		// What is wrong and must be answered.
		{"merge and no more", "/merge", []Command{{Name: Merge, Line: 1, Fault: "x"}}},
		{"merge now", "/merge now", []Command{{Name: Merge, Args: "now", Line: 1, Fault: "x"}}},
		{"merge when ready, and more", "/merge when ready please", []Command{{Name: Merge, Args: "when ready please", Line: 1, Fault: "x"}}},
		{"an emergency without a reason", "/emergency", []Command{{Name: Emergency, Line: 1, Fault: "x"}}},
		{"an emergency whose reason is not seen", "/emergency \u200b", []Command{{Name: Emergency, Line: 1, Fault: "x"}}},
		{"retry with words", "/retry it", []Command{{Name: Retry, Args: "it", Line: 1, Fault: "x"}}},
		{"unhold with words", "/unhold mine", []Command{{Name: Unhold, Args: "mine", Line: 1, Fault: "x"}}},
		{"explain with words", "/explain why", []Command{{Name: Explain, Args: "why", Line: 1, Fault: "x"}}},
		{"a letter too many", "/holdd please", []Command{{Name: "holdd", Args: "please", Line: 1, Fault: "x"}}},
		{"a letter too few", "/hod", []Command{{Name: "hod", Line: 1, Fault: "x"}}},
		{"another letter", "/Merhe when ready", []Command{{Name: "merhe", Args: "when ready", Line: 1, Fault: "x"}}},
		{"two letters swapped", "/hodl", []Command{{Name: "hodl", Line: 1, Fault: "x"}}},
		{"two letters swapped at the start", "/nuhold", []Command{{Name: "nuhold", Line: 1, Fault: "x"}}},
		{"a colon after it", "/hold: not yet", []Command{{Name: "hold:", Args: "not yet", Line: 1, Fault: "x"}}},

		// What is no command.
		{"a word two letters away", "/haldd", nil},
		{"a folder named like a command", "/hold/", nil},
		{"a letter that only looks like it", "/h\u043eld", nil},
		{"what resembles a command, in a quote", "> /holdd", nil},
		{"nothing", "", nil},
		{"a slash", "/", nil},
		{"a slash and a space", "/ merge when ready", nil},
		{"a path", "/etc/passwd", nil},
		{"a path that begins like a command", "/hold/on", nil},
		{"a word that begins like a command", "/holding", nil},
		{"an unknown word", "/deploy now", nil},
		{"in the middle of a line", "please /merge when ready", nil},
		{"with an indent", "  /merge when ready", nil},
		{"with an indent on a further line", "so\n  /merge when ready", nil},
		{"after a space that is no ASCII", "\u00a0/merge when ready", nil},
		{"after a mark that is not seen", "\u200b/merge when ready", nil},
		{"after a byte order mark", "\ufeff/merge when ready", nil},
		{"after a line separator, which ends no line", "so\u2028/merge when ready", nil},
		{"with a slash of another kind", "\uff0fmerge when ready", nil},
		{"with the slash escaped", `\/merge when ready`, nil},
		{"with the slash as an entity", "&#47;merge when ready", nil},

		// Quotes, code, lists, links, HTML.
		{"in a quote", "> /merge when ready", nil},
		{"on a line that lazily continues a quote", "> She said:\n/merge when ready", nil},
		{"on a line that lazily continues a quote in a quote", ">> She said:\n/merge when ready", nil},
		{"on a line that lazily continues a list item", "- item\n/merge when ready", nil},
		{"on a line that lazily continues a quote in a list", "1. > item\n/merge when ready", nil},
		{"in a list", "* /merge when ready", nil},
		{"in a paragraph of a list item", "- item\n\n  /merge when ready", nil},
		{"in an indented block of code", "so:\n\n    /merge when ready", nil},
		{"in a block of code indented by a tab", "so:\n\n\t/merge when ready", nil},
		{"in a fenced block of code", "```\n/merge when ready\n```", nil},
		{"in a fenced block that is not closed", "```sh\n/merge when ready", nil},
		{"in a block fenced with tildes, which back-ticks do not close", "~~~\n```\n/merge when ready\n~~~", nil},
		{"in a block with a longer fence, which a shorter one does not close", "````\n```\n/merge when ready\n````", nil},
		{"in a code span over lines", "so `code\n/merge when ready\n` is it", nil},
		{"in a quoted fence, lazily continued in sight of a person", "> ```\n> x\n> ```\n> so\n/merge when ready", nil},
		{"as a heading", "# /merge when ready", nil},
		{"as an underlined heading", "/merge when ready\n===", nil},
		{"as a heading underlined with dashes", "so\n/merge when ready\n---", nil},
		{"as the title of a link", "[x](/url '\n/merge when ready\n')", nil},
		{"as the text of a link", "[x\n/merge when ready\n](/url)", nil},
		{"as the target of a link", "[foo]:\n/unhold\n\n[foo]", nil},
		{"as an automatic link", "</merge>", nil},
		{"in emphasis", "*so\n/merge when ready\nit is*", nil},
		{"struck out", "~~so\n/merge when ready\nit is~~", nil},
		{"in a comment of HTML", "<!--\n/merge when ready\n-->", nil},
		{"in a comment of HTML over blank lines", "<!--\n\n/merge when ready\n\n-->", nil},
		{"in a comment of HTML within a line", "so <!-- x\n/merge when ready\n--> it is", nil},
		{"in a block of HTML", "<div>\n/merge when ready\n</div>", nil},
		{"in an attribute of HTML", "so <a title='\n/merge when ready\n'>x</a>", nil},
		{"in a quote of HTML, as text again after a blank line", "<blockquote>\n\n/merge when ready\n\n</blockquote>", nil},
		{"in what is folded away", "<details>\n<summary>log</summary>\n\n/merge when ready\n\n</details>", nil},
		{"in what is folded away behind a wrong end", "<details>\n\n</div>\n\n/merge when ready\n\n</details>", nil},
		{"in an element within a line", "so <b>is\n/merge when ready\n</b>", nil},
		{"in preformatted HTML", "<pre>\n\n/merge when ready\n\n</pre>", nil},
		{"in an element named again in an attribute", "<details title=\"</details>\">\n\n/merge when ready\n\n</details>", nil},
		{"in a table", "a | b\n--|--\n/merge when ready", nil},
		{"in a formula", "$$\n/merge when ready\n$$", nil},
		{"in a formula over blank lines", "$$\n\n/merge when ready\n\n$$", nil},
		{"in a formula of the other kind", "\\[\n/merge when ready\n\\]", nil},
		{"in a footnote", "so[^1]\n\n[^1]: it is\n/merge when ready", nil},
		{"in the definition of a term", "term\n: meaning\n/merge when ready", nil},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got := Parse(test.body)
			for i := range got {
				if got[i].Fault != "" {
					got[i].Fault = "x"
				}
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", test.body, d)
			}
		})
	}
}

func TestWhatResemblesACommandIsAskedAfter(t *testing.T) {
	for word, want := range map[string]string{"/holdd": "/hold", "/unhol": "/unhold", "/mrege": "/merge", "/rerty": "/retry", "/explian": "/explain", "/emergancy x": "/emergency"} {
		if got := Parse(word); len(got) != 1 || !strings.Contains(got[0].Fault, "did you mean `"+want+"`?") {
			t.Errorf("%s: %+v", word, got)
		}
	}
}

// TestResemblesIsOneEdit: whatever one edit makes of a name resembles it, and
// nothing does whose length differs by more.
func TestResemblesIsOneEdit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{Hold, Unhold, Merge, Retry, Explain, Emergency}).Draw(t, "name")
		i := rapid.IntRange(0, len(name)-1).Draw(t, "at")
		sign := string(rune(rapid.IntRange('a', 'z').Draw(t, "sign")))
		for _, word := range []string{name[:i] + sign + name[i:], name[:i] + sign + name[i+1:], name[:i] + name[i+1:]} {
			if !resembles(word, name) && word != name {
				t.Fatalf("%s does not resemble %s", word, name)
			}
		}
		if two := name + sign + sign; resembles(two, name) {
			t.Fatalf("%s resembles %s", two, name)
		}
	})
}

func TestParseIsLimited(t *testing.T) {
	t.Run("a comment that is too long holds no command", func(t *testing.T) {
		if got := Parse("/retry\n" + strings.Repeat("x", MaxBody)); got != nil {
			t.Errorf("got %v", got)
		}
	})
	t.Run("only the first commands count", func(t *testing.T) {
		if got := Parse(strings.Repeat("/retry\n", 50)); len(got) != MaxCommands || got[MaxCommands-1].Line != MaxCommands {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a reason that is too long is a fault", func(t *testing.T) {
		got := Parse("/hold " + strings.Repeat("ä", MaxArgs))
		if len(got) != 1 || got[0].Fault == "" || len(got[0].Args) > MaxArgs {
			t.Errorf("got %v", got)
		}
	})
}

// BenchmarkParse parses the longest comments that are made to be hard to parse.
func BenchmarkParse(b *testing.B) {
	for name, unit := range map[string]string{
		"quotes": ">", "quoted lists": "> - ", "nested lists": "- + ", "links": "[a](", "brackets": "[", "stars": "*a ", "tags": "<a ",
		"slashes": "/hold x\n", "tables": "a|b\n-|-\n", "plain": "words and words\n",
	} {
		b.Run(name, func(b *testing.B) {
			body := "/retry\n\n" + strings.Repeat(unit, (MaxBody-10)/len(unit))
			for b.Loop() {
				Parse(body)
			}
		})
	}
}

// TestNothingWithinAQuoteIsObeyed: whatever is quoted line by line holds no
// command, with anything before it.
func TestNothingWithinAQuoteIsObeyed(t *testing.T) {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{
		"/merge when ready", "/hold x", "", "text", "```", "~~~", "<details>", "</details>", "<!--", "-->", "- item", "    code", "$$", "`", "# h", "===", "---", "*", "[a]:", "a | b", "--|--",
	}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		quoted := ""
		for _, line := range lines.Draw(t, "lines") {
			quoted += "> " + line + "\n"
		}
		if got := Parse(quoted); len(got) != 0 {
			t.Fatalf("obeyed %v of %q", got, quoted)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"/merge when ready", "> q\n/merge when ready", "```\n/hold\n```", "<b>\n/retry", "a\r\n/hold x\u00a0y", "$$\n/hold\n$$", "[a]:\n/unhold", "a | b\n--|--\n/hold"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		lines := strings.Split(normal(body), "\n")
		before := 0
		for _, c := range Parse(body) {
			if c.Line <= before || c.Line > len(lines) {
				t.Fatalf("%q: line %d after %d", body, c.Line, before)
			}
			before = c.Line
			if want := "/" + c.Name; !strings.EqualFold(lines[c.Line-1][:len(want)], want) {
				t.Fatalf("%q: %s is not at the start of line %q", body, c.Name, lines[c.Line-1])
			}
			if again, ok := read(fmt.Sprintf("/%s %s", c.Name, c.Args)); !ok || again.Args != c.Args {
				t.Fatalf("%q: %v is read as %v", body, c, again)
			}
		}
		if quoted := Parse("> " + strings.ReplaceAll(normal(body), "\n", "\n> ")); len(quoted) != 0 {
			t.Fatalf("%q is obeyed in a quote: %v", body, quoted)
		}
	})
}
