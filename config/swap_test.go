package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipway/config"
	"slipway/pools"
)

// swapped is a pool config in which a builder's line is written in one way.
func swapped(replicas string) string {
	return `# who runs what
roles: [builder, reviewer]
tiers: [lite, heavy]
currency: USD

assignments:   # the records
  quick: {provider: acme, model: m-1, prompt: p.md, prices: {input: 1, output: 2}}
  careful: {provider: acme, model: m-2, prompt: p.md, prices: {input: 3, output: 15}}
  "null": {provider: else, model: m-2, prompt: p.md, prices: {input: 3, output: 15}}

` + replicas
}

func TestSwapChangesOneNameAndNoOtherByte(t *testing.T) {
	for _, row := range []struct {
		name, before, after string
		to                  string
	}{
		{"plain", "replicas:\n  builder-lite-0: quick\n", "replicas:\n  builder-lite-0: careful\n", "careful"},
		{"with a comment after it", "replicas:\n  builder-lite-0: quick   # quick\n", "replicas:\n  builder-lite-0: careful   # quick\n", "careful"},
		{"in double quotes", "replicas:\n  builder-lite-0: \"quick\" # \"\n", "replicas:\n  builder-lite-0: \"careful\" # \"\n", "careful"},
		{"in single quotes", "replicas:\n  builder-lite-0: 'quick'\n", "replicas:\n  builder-lite-0: 'careful'\n", "careful"},
		{"with a key in quotes", "replicas:\n  'builder-lite-0': quick\n", "replicas:\n  'builder-lite-0': careful\n", "careful"},
		{"in braces", "replicas: {builder-lite-0: quick, reviewer-lite-0: quick}\n", "replicas: {builder-lite-0: careful, reviewer-lite-0: quick}\n", "careful"},
		{"in braces over lines", "replicas: {\n  reviewer-lite-0: quick,\n\tbuilder-lite-0: quick}\n", "replicas: {\n  reviewer-lite-0: quick,\n\tbuilder-lite-0: careful}\n", "careful"},
		{"with blanks before it", "replicas:\n  builder-lite-0:     quick\n", "replicas:\n  builder-lite-0:     careful\n", "careful"},
		{"on the line below", "replicas:\n  builder-lite-0:\n    quick\n", "replicas:\n  builder-lite-0:\n    careful\n", "careful"},
		{"beside others that say the same", "replicas:\n  reviewer-lite-0: quick\n  # builder-lite-0: quick\n  builder-lite-0: quick\n", "replicas:\n  reviewer-lite-0: quick\n  # builder-lite-0: quick\n  builder-lite-0: careful\n", "careful"},
		{"with line ends of Windows", "replicas:\r\n  builder-lite-0: quick\r\n", "replicas:\r\n  builder-lite-0: careful\r\n", "careful"},
		{"with line ends of old", "replicas:\r  builder-lite-0: quick\r", "replicas:\r  builder-lite-0: careful\r", "careful"},
		{"without a line end", "replicas:\n  builder-lite-0: quick", "replicas:\n  builder-lite-0: careful", "careful"},
		{"after characters of many bytes", "# é…😀\u2028# x\nreplicas: {reviewer-lite-0: quick, builder-lite-0: quick} # é\n", "# é…😀\u2028# x\nreplicas: {reviewer-lite-0: quick, builder-lite-0: careful} # é\n", "careful"},
		{"to a name that YAML reads otherwise", "replicas:\n  builder-lite-0: quick\n", "replicas:\n  builder-lite-0: \"null\"\n", "null"},
		{"to such a name in quotes", "replicas:\n  builder-lite-0: 'quick'\n", "replicas:\n  builder-lite-0: 'null'\n", "null"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before, after := swapped(row.before), swapped(row.after)
			got, diff, err := config.Swap([]byte(before), address("builder-lite-0"), row.to)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != after {
				t.Fatalf("edited to\n%q\nwant\n%q", got, after)
			}
			if patched := applied(t, before, diff); patched != after {
				t.Errorf("the patch\n%s\nmakes %q of it", diff, patched)
			}
			back, _, err := config.Swap(got, address("builder-lite-0"), "quick")
			if want := parsePools(t, before); err != nil || len(pools.Diff(want, parsePools(t, string(back)))) > 0 {
				t.Errorf("and back: %v\n%s", err, back)
			}
		})
	}
}

func TestTheWholeConfigMayBeginWithAMark(t *testing.T) {
	before := "\uFEFF" + `{roles: [builder], tiers: [lite], currency: USD, assignments: {"a": {provider: p, model: m, prompt: p.md, prices: {input: 1, output: 1}}, b: {provider: p, model: m, prompt: p.md, prices: {input: 1, output: 1}}}, replicas: {builder-lite-0: a}}`
	got, _, err := config.Swap([]byte(before), address("builder-lite-0"), "b")
	if want := strings.Replace(before, "builder-lite-0: a", "builder-lite-0: b", 1); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestSwapRefusesWhatItCannotKeepAsItIs(t *testing.T) {
	const quick = "replicas:\n  builder-lite-0: quick\n"
	for _, row := range []struct {
		name, text, address, to, fault string
	}{
		{"a coordinate that there is not", swapped(quick), "builder-lite-1", "careful", `there is no such coordinate; did you mean "builder-lite-0"?`},
		{"an assignment that there is not", swapped(quick), "builder-lite-0", "carefull", `there is no such assignment; did you mean "careful"?`},
		{"a name that would be more than a name", swapped(quick), "builder-lite-0", "quick\n  builder-lite-1: careful", "there is no such assignment"},
		{"a text with faults, all of them", swapped(quick) + "x: 1\ny: 2\n", "builder-lite-0", "careful", "y: unknown key"},
		{"a text that is no YAML", "a: [", "builder-lite-0", "careful", "is not YAML"},
		{"a name with an anchor", swapped("replicas:\n  builder-lite-0: &a quick\n"), "builder-lite-0", "careful", "line 12: the name has an anchor"},
		{"a name with escapes", swapped("replicas:\n  builder-lite-0: \"qu\\x69ck\"\n"), "builder-lite-0", "careful", "written with escapes"},
		{"a name in a block", swapped("replicas:\n  builder-lite-0: |-\n    quick\n"), "builder-lite-0", "careful", "line 12: the name is neither plain nor in quotes"},
		{"a name with a tag", swapped("replicas:\n  builder-lite-0: !!str quick\n"), "builder-lite-0", "careful", "want text, not a value with a tag"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, diff, err := config.Swap([]byte(row.text), address(row.address), row.to)
			if err == nil || !strings.Contains(err.Error(), row.fault) || got != nil || diff != "" {
				t.Errorf("%v, want %q; edited to %q", err, row.fault, got)
			}
		})
	}
	got, diff, err := config.Swap([]byte(swapped(quick)), address("builder-lite-0"), "quick")
	if err != nil || diff != "" || string(got) != swapped(quick) {
		t.Errorf("what is so already: %v, %q", err, diff)
	}
}

func TestAPatchShowsTheLineWithItsNeighbours(t *testing.T) {
	_, diff, err := config.Swap([]byte(swapped("replicas:\n  builder-lite-0: quick\n  builder-lite-1: quick\n")), address("builder-lite-0"), "careful")
	want := `--- a/pools.yaml
+++ b/pools.yaml
@@ -9,5 +9,5 @@
   "null": {provider: else, model: m-2, prompt: p.md, prices: {input: 3, output: 15}}
 
 replicas:
-  builder-lite-0: quick
+  builder-lite-0: careful
   builder-lite-1: quick
`
	if err != nil || diff != want {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestASwapIsOneChange swaps in texts that are laid out at random.
func TestASwapIsOneChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"quick", "careful", `"null"`, `'quick'`, `"careful"`})
		gaps := rapid.SampledFrom([]string{" ", "   ", "\n    ", "\n  # é\n      "})
		ends := rapid.SampledFrom([]string{"\n", "\r\n", " # quick\n", "\n\n# builder-lite-0: quick\n"})
		order := rapid.Permutation([]string{"builder-lite-0", "builder-lite-1", "reviewer-heavy-0"}).Draw(t, "order")
		var b strings.Builder
		b.WriteString("replicas:\n")
		for _, a := range order {
			b.WriteString("  " + a + ":" + gaps.Draw(t, "gap") + names.Draw(t, "name") + ends.Draw(t, "end"))
		}
		text := swapped(b.String())
		before := parsePools(t, text)
		a := address(rapid.SampledFrom(order).Draw(t, "address"))
		to := rapid.SampledFrom([]string{"quick", "careful", "null"}).Draw(t, "to")
		edited, diff, err := config.Swap([]byte(text), a, to)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		changes := pools.Diff(before, parsePools(t, string(edited)))
		if so := before.Replicas[a] == to; so != (diff == "") || so != (len(changes) == 0) || !so && (len(changes) != 1 || changes[0].Name != a.String()) {
			t.Fatalf("%v\n%s", changes, diff)
		}
		old, now := strings.Split(text, "\n"), strings.Split(string(edited), "\n")
		differ := 0
		for i := range old {
			if len(now) != len(old) || now[i] != old[i] {
				differ++
			}
		}
		if differ > 1 {
			t.Fatalf("%d lines differ:\n%s", differ, edited)
		}
	})
}

func TestMatchAssignmentWantsExactlyOne(t *testing.T) {
	s := parsePools(t, swapped("replicas: {builder-lite-0: quick}\n"))
	for _, row := range []struct {
		name, provider, model, want, fault string
	}{
		{"the one", "acme", "m-2", "careful", ""},
		{"another provider's", "else", "m-2", "null", ""},
		{"the only one of a provider", "else", "", "null", ""},
		{"the only one of a model", "", "m-1", "quick", ""},
		{"none", "acme", "m-3", "", "no assignment runs m-3 of acme; there are careful (m-2 of acme), null (m-2 of else), quick (m-1 of acme)"},
		{"several of a model", "", "m-2", "", "2 assignments run m-2: name one of careful, null"},
		{"several of a provider", "acme", "", "", "2 assignments run anything of acme: name one of careful, quick"},
		{"nothing said", "", "", "", "3 assignments run anything: name one of careful, null, quick"},
		{"in another case", "acme", "M-2", "", "no assignment runs M-2 of acme"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := config.MatchAssignment(s, row.provider, row.model)
			if got != row.want || (err == nil) != (row.fault == "") || err != nil && !strings.Contains(err.Error(), row.fault) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// applied is a text to which git applied a patch.
func applied(t *testing.T, text, diff string) string {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, config.PoolsFile)
	write(t, file, text)
	c := exec.CommandContext(t.Context(), "git", "apply", "--whitespace=nowarn", "-")
	c.Dir, c.Stdin = folder, strings.NewReader(diff)
	c.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(folder), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v: %s\n%s", err, out, diff)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
