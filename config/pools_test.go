package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/config"
	"slipway/pools"
)

// leastPools is the least that a pool config may say.
const leastPools = `roles: [builder, reviewer]
tiers: [lite, heavy]
currency: USD
assignments:
  careful:
    provider: acme
    model: some-model-2
    prompt: prompts/builder.md
    prices: {input: 3, output: 15}
replicas:
  builder-lite-0: careful
`

const (
	prompt     = "Do it well.\n"
	promptHash = "39deaec363edb2ee2dc06d4cbd983b81945ae0ed941ae64c6db726b4873e345e"
)

// prompted has a prompt in every file but a few.
func prompted(file string) ([]byte, error) {
	switch file {
	case "gone.md":
		return nil, &os.PathError{Op: "openat", Path: file, Err: errors.New("no such file or directory")}
	case "blank.md":
		return []byte(" \n"), nil
	case "binary.md":
		return []byte("a\x00b"), nil
	case "latin.md":
		return []byte("caf\xe9"), nil
	case "large.md":
		return make([]byte, 256<<10+1), nil
	}
	return []byte(prompt), nil
}

// parsePools reads a text that has no faults.
func parsePools(t interface{ Fatalf(string, ...any) }, text string) pools.Set {
	s, faults := config.ParsePools(config.PoolsFile, []byte(text), prompted)
	if len(faults) > 0 {
		t.Fatalf("%v in\n%s", faults, text)
	}
	return s
}

func address(s string) pools.Address {
	a, err := pools.ReadAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestTheLeastPoolConfigHasTheDefaults(t *testing.T) {
	want := pools.Set{
		Vocabulary: pools.Vocabulary{Roles: []string{"builder", "reviewer"}, Tiers: []string{"lite", "heavy"}}, Currency: "USD",
		Pools: []pools.Pool{{Name: pools.PoolName{Role: "builder", Tier: "lite"}, Replicas: 1}},
		Assignments: map[string]pools.Assignment{"careful": {
			Name: "careful", Provider: "acme", Model: "some-model-2",
			Prompt: pools.Prompt{File: "prompts/builder.md", Hash: promptHash, Text: prompt},
			// What is not said of a cache costs as much as input.
			Prices: pools.Prices{Input: 3_000_000, Output: 15_000_000, CacheRead: 3_000_000, CacheWrite: 3_000_000},
		}},
		Replicas: map[pools.Address]string{address("builder-lite-0"): "careful"},
		Source:   leastPools,
	}
	if diff := cmp.Diff(want, parsePools(t, leastPools)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThePoolConfigReadsEveryKey(t *testing.T) {
	text, _ := example(t, "pools.md")
	got := parsePools(t, text)
	if diff := cmp.Diff([]string{"bug", "feature", "refactoring"}, got.Shapes); diff != "" {
		t.Error(diff)
	}
	wantPools := []pools.Pool{
		{Name: pools.PoolName{Role: "builder", Tier: "heavy"}, Replicas: 1},
		{
			Name: pools.PoolName{Role: "builder", Tier: "lite"}, Replicas: 2, Operator: "acme", Limit: 2, Daily: 40_000_000,
			Deadline: 45 * time.Minute, Canary: &pools.Canary{Assignment: "careful", Share: 0.1},
		},
		{Name: pools.PoolName{Role: "reviewer", Tier: "standard"}, Replicas: 1, Operator: "elsewhere"},
	}
	if diff := cmp.Diff(wantPools, got.Pools); diff != "" {
		t.Error(diff)
	}
	wantQuick := pools.Assignment{
		Name: "quick", Provider: "acme", Model: "small-model-1", Prompt: pools.Prompt{File: "prompts/builder.md", Hash: promptHash, Text: prompt},
		Prices: pools.Prices{Input: 250_000, Output: 1_250_000, CacheRead: 25_000, CacheWrite: 300_000}, Budget: 500_000,
	}
	if diff := cmp.Diff(wantQuick, got.Assignments["quick"]); diff != "" {
		t.Error(diff)
	}
	if p := got.Assignments["careful"].Parameters; p != `{"max_tokens":8192,"stop":["END"],"temperature":0.2}` {
		t.Errorf("parameters %s", p)
	}
	wantReplicas := map[pools.Address]string{
		address("builder-lite-0"): "quick", address("builder-lite-1"): "quick",
		address("builder-heavy-0"): "careful", address("reviewer-standard-0"): "second-look",
	}
	if diff := cmp.Diff(wantReplicas, got.Replicas); diff != "" {
		t.Error(diff)
	}
	if got.Source != text || got.Number != 0 {
		t.Errorf("set %d of %q", got.Number, got.Source)
	}
}

func TestPoolFaults(t *testing.T) {
	in := func(part, other string) string { return replace(t, leastPools, part, other) }
	assignment := func(key string) string {
		return in("prices: {input: 3, output: 15}\n", "prices: {input: 3, output: 15}\n    "+key+"\n")
	}
	pool := func(keys string) string { return leastPools + "pools: {builder-lite: {" + keys + "}}\n" }
	const secret = "looks like a secret, and none stands in this file: the worker has its provider's credentials in its own environment"
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"nothing at all", "", []string{"pools.yaml: is empty"}},
		{"nothing but a key", "roles: [builder]\n", []string{
			"pools.yaml:1: assignments: is missing", "pools.yaml:1: currency: is missing",
			"pools.yaml:1: replicas: is missing", "pools.yaml:1: tiers: is missing"}},
		{"an unknown key", leastPools + "budgets: 1\n",
			[]string{"pools.yaml:12: budgets: unknown key; known: roles, tiers, currency, shapes, assignments, pools, replicas"}},
		{"a role outside the vocabulary", in("builder-lite-0", "tester-lite-0"),
			[]string{`pools.yaml:11: replicas.tester-lite-0: address "tester-lite-0": there is no role "tester"; the roles are builder, reviewer`}},
		{"a tier outside the vocabulary", in("builder-lite-0", "builder-huge-0"),
			[]string{`pools.yaml:11: replicas.builder-huge-0: address "builder-huge-0": there is no tier "huge"; the tiers are lite, heavy`}},
		{"an address that is none", in("builder-lite-0", "builder-lite-00"),
			[]string{`pools.yaml:11: replicas.builder-lite-00: address "builder-lite-00" is not <role>-<tier>-<replica>, such as builder-lite-0`}},
		{"a duplicate coordinate", leastPools + "  'builder-lite-0': careful\n",
			[]string{"pools.yaml:12: replicas.builder-lite-0: stands on line 11 already"}},
		{"replicas with a gap", leastPools + "  builder-lite-2: careful\n",
			[]string{"pools.yaml:12: replicas.builder-lite-2: there is no builder-lite-1: the replicas of a pool are numbered from 0 without a gap"}},
		{"replicas from 1", in("builder-lite-0", "builder-lite-1"),
			[]string{"pools.yaml:11: replicas.builder-lite-1: there is no builder-lite-0: the replicas of a pool are numbered from 0 without a gap"}},
		{"a replica that is mistyped makes no gap besides", leastPools + "  builder-lit-1: careful\n  builder-lite-2: careful\n",
			[]string{`pools.yaml:12: replicas.builder-lit-1: address "builder-lit-1": there is no tier "lit"; the tiers are lite, heavy`}},
		{"an assignment that there is not", in("builder-lite-0: careful", "builder-lite-0: carefull"),
			[]string{`pools.yaml:11: replicas.builder-lite-0: there is no assignment "carefull"; did you mean "careful"?`}},
		{"a coordinate without an assignment", in("builder-lite-0: careful", "builder-lite-0:"),
			[]string{"pools.yaml:11: replicas.builder-lite-0: is empty"}},
		{"a list of assignments", in("builder-lite-0: careful", "builder-lite-0: [careful]"),
			[]string{"pools.yaml:11: replicas.builder-lite-0: want text, not a list"}},
		{"no replicas", in("replicas:\n  builder-lite-0: careful\n", "replicas: {}\n"), []string{"pools.yaml:10: replicas: is empty"}},
		{"roles that are no words say it once", in("[builder, reviewer]", "[Builder]"),
			[]string{`pools.yaml:1: roles[0]: "Builder" is not a word (lower-case letters and digits, a letter first, at most 20)`}},
		{"a role twice", in("[builder, reviewer]", "[builder, builder]"), []string{`pools.yaml:1: roles[1]: "builder" stands on line 1 already`}},
		{"a currency that is none", in("USD", "dollars"), []string{`pools.yaml:3: currency: "dollars" is not a currency of ISO 4217 such as USD`}},
		{"a shape that is none", leastPools + "shapes: [a b]\n",
			[]string{`pools.yaml:12: shapes[0]: "a b" is not a shape (lower-case letters, digits and -, at most 40)`}},
		{"a price below nought", in("input: 3", "input: -3"),
			[]string{`pools.yaml:9: assignments.careful.prices.input: "-3" is not an amount: want a decimal such as 2.5, not below 0, with at most 6 decimals`}},
		{"a price that is too fine", in("input: 3", "input: 0.1234567"),
			[]string{`pools.yaml:9: assignments.careful.prices.input: "0.1234567" is not an amount: want a decimal such as 2.5, not below 0, with at most 6 decimals`}},
		{"a price with an exponent", in("input: 3", "input: 1e9"),
			[]string{`pools.yaml:9: assignments.careful.prices.input: "1e9" is not an amount: want a decimal such as 2.5, not below 0, with at most 6 decimals`}},
		{"a price beyond measure", in("input: 3", "input: 1000000001"),
			[]string{"pools.yaml:9: assignments.careful.prices.input: is 1000000001, want at most 1000000000"}},
		{"a price that is no number", in("input: 3", "input: .inf"),
			[]string{`pools.yaml:9: assignments.careful.prices.input: ".inf" is not an amount: want a decimal such as 2.5, not below 0, with at most 6 decimals`}},
		{"a price in quotes", in("input: 3", "input: '3'"), []string{"pools.yaml:9: assignments.careful.prices.input: want an amount such as 2.5, not a text"}},
		{"a price that is missing", in("input: 3, ", ""), []string{"pools.yaml:9: assignments.careful.prices.input: is missing"}},
		{"a budget of nothing", assignment("budget: 0"), []string{"pools.yaml:10: assignments.careful.budget: is 0; leave it out for no bound"}},
		{"no model", in("    model: some-model-2\n", ""), []string{"pools.yaml:5: assignments.careful.model: is missing"}},
		{"an empty model", in("model: some-model-2", "model: ''"), []string{"pools.yaml:7: assignments.careful.model: is empty"}},
		{"a model with blanks", in("some-model-2", "some model"),
			[]string{`pools.yaml:7: assignments.careful.model: "some model" is not a model's name (no blanks, at most 200 characters)`}},
		{"an empty provider", in("provider: acme", "provider: ''"), []string{"pools.yaml:6: assignments.careful.provider: is empty"}},
		{"an assignment's name that is none", strings.ReplaceAll(leastPools, "careful", "Care_ful"),
			[]string{`pools.yaml:5: assignments.Care_ful: "Care_ful" is no name for an assignment: want a DNS label`}},
		{"a prompt that is gone", in("prompts/builder.md", "gone.md"),
			[]string{"pools.yaml:8: assignments.careful.prompt: gone.md cannot be read: no such file or directory; want a file in the folder of the pool config"}},
		{"a prompt above the folder", in("prompts/builder.md", "../builder.md"),
			[]string{`pools.yaml:8: assignments.careful.prompt: "../builder.md" must be a path in the folder of this file`}},
		{"a prompt on the way above the folder", in("prompts/builder.md", "a/../../b.md"),
			[]string{`pools.yaml:8: assignments.careful.prompt: "a/../../b.md" must be a path in the folder of this file`}},
		{"a prompt with an absolute path", in("prompts/builder.md", "/etc/passwd"),
			[]string{`pools.yaml:8: assignments.careful.prompt: "/etc/passwd" must be a path in the folder of this file`}},
		{"a prompt written in a roundabout way", in("prompts/builder.md", "./builder.md"),
			[]string{`pools.yaml:8: assignments.careful.prompt: "./builder.md" is no plain path of a file, such as prompts/builder.md`}},
		{"a prompt of blanks", in("prompts/builder.md", "blank.md"), []string{"pools.yaml:8: assignments.careful.prompt: blank.md is empty"}},
		{"a prompt with a NUL", in("prompts/builder.md", "binary.md"), []string{"pools.yaml:8: assignments.careful.prompt: binary.md is not text in UTF-8"}},
		{"a prompt in another encoding", in("prompts/builder.md", "latin.md"), []string{"pools.yaml:8: assignments.careful.prompt: latin.md is not text in UTF-8"}},
		{"a prompt that is too large", in("prompts/builder.md", "large.md"), []string{"pools.yaml:8: assignments.careful.prompt: large.md is larger than 262144 bytes"}},
		{"parameters that are no mapping", assignment("parameters: [1]"), []string{"pools.yaml:10: assignments.careful.parameters: want keys with values, not a list"}},
		{"a parameter that JSON has not", assignment("parameters: {a: .nan, b: 0x10, c: 1_000}"), []string{
			"pools.yaml:10: assignments.careful.parameters.a: .nan is no number in JSON",
			"pools.yaml:10: assignments.careful.parameters.b: 0x10 is no number in JSON",
			"pools.yaml:10: assignments.careful.parameters.c: 1_000 is no number in JSON"}},
		{"a parameter without a value", assignment("parameters: {a: }"), []string{"pools.yaml:10: assignments.careful.parameters.a: is empty"}},
		{"parameters nested without end", assignment("parameters: {a: " + strings.Repeat("[", 30) + strings.Repeat("]", 30) + "}"),
			[]string{"pools.yaml:10: assignments.careful.parameters.a" + strings.Repeat("[0]", 20) + ": is nested deeper than 20"}},
		{"secrets among the parameters", assignment("parameters: {api_key: hunter2, auth: {Token: hunter2}, list: [sk-hunter2hunter2], url: 'https://me:hunter2@host'}"), []string{
			"pools.yaml:10: assignments.careful.parameters.api_key: " + secret,
			"pools.yaml:10: assignments.careful.parameters.auth.Token: " + secret,
			"pools.yaml:10: assignments.careful.parameters.list[0]: " + secret,
			"pools.yaml:10: assignments.careful.parameters.url: " + secret}},
		{"a secret in place of a model", in("some-model-2", "sk-hunter2hunter2"), []string{"pools.yaml:7: assignments.careful.model: " + secret}},
		{"secrets in every other place", strings.NewReplacer("some-model-2", "Bearer hunter2", "provider: acme", "provider: sk-hunter2", "prompts/builder.md", "https://me:hunter2@host/../p.md", "lite-0: careful", "lite-0: sk-hunter2").Replace(leastPools), []string{
			"pools.yaml:6: assignments.careful.provider: " + secret,
			"pools.yaml:7: assignments.careful.model: " + secret,
			"pools.yaml:8: assignments.careful.prompt: " + secret,
			"pools.yaml:11: replicas.builder-lite-0: " + secret}},
		{"a secret beside the model", assignment("api_key: hunter2"),
			[]string{"pools.yaml:10: assignments.careful.api_key: unknown key; known: provider, model, prompt, parameters, prices, budget"}},
		{"a pool without replicas", leastPools + "pools: {builder-heavy: {limit: 1}}\n",
			[]string{"pools.yaml:12: pools.builder-heavy: the pool has no coordinate: give it one under replicas, such as builder-heavy-0, or take it out"}},
		{"a pool outside the vocabulary", leastPools + "pools: {builder-huge: {limit: 1}}\n",
			[]string{`pools.yaml:12: pools.builder-huge: pool "builder-huge": there is no tier "huge"; the tiers are lite, heavy`}},
		{"a pool that is a coordinate", leastPools + "pools: {builder-lite-0: {limit: 1}}\n",
			[]string{`pools.yaml:12: pools.builder-lite-0: pool "builder-lite-0" is not <role>-<tier>, such as builder-lite`}},
		{"a limit of nothing", pool("limit: 0"), []string{"pools.yaml:12: pools.builder-lite.limit: is 0, want 1 to 10000"}},
		{"a deadline that is too long", pool("deadline: 169h"), []string{"pools.yaml:12: pools.builder-lite.deadline: is 169h, want 1s to 168h"}},
		{"a daily budget below nought", pool("daily_budget: -1"),
			[]string{`pools.yaml:12: pools.builder-lite.daily_budget: "-1" is not an amount: want a decimal such as 2.5, not below 0, with at most 6 decimals`}},
		{"a day that is less than an attempt", assignment("budget: 3") + "pools: {builder-lite: {daily_budget: 2.5}}\n",
			[]string{"pools.yaml:13: pools.builder-lite.daily_budget: is 2.5, less than the 3 that one attempt of careful may cost: it could never begin"}},
		{"a canary that names nothing", pool("canary: {assignment: quick, share: 0.1}"),
			[]string{`pools.yaml:12: pools.builder-lite.canary.assignment: there is no assignment "quick"; known: careful`}},
		{"a canary without a share", pool("canary: {assignment: careful}"), []string{"pools.yaml:12: pools.builder-lite.canary.share: is missing"}},
		{"a share of nothing", pool("canary: {assignment: careful, share: 0}"),
			[]string{"pools.yaml:12: pools.builder-lite.canary.share: is 0, want a share above 0 and up to 1, such as 0.1"}},
		{"a share above everything", pool("canary: {assignment: careful, share: 1.5}"),
			[]string{"pools.yaml:12: pools.builder-lite.canary.share: is 1.5, want a share above 0 and up to 1, such as 0.1"}},
		{"a share in per cent", pool("canary: {assignment: careful, share: 10%}"),
			[]string{"pools.yaml:12: pools.builder-lite.canary.share: want a share such as 0.1, not a text"}},
		{"an alias", in("builder-lite-0: careful", "builder-lite-0: &a careful\n  builder-lite-1: *a"),
			[]string{"pools.yaml:12: an alias (*a) is not read here: write the value out"}},
		{"everything at once, in the order of the lines", in("input: 3", "input: -3") + "  builder-lite-2: quick\npools: {builder-heavy: {}}\n", []string{
			`pools.yaml:9: assignments.careful.prices.input: "-3" is not an amount: want a decimal such as 2.5, not below 0, with at most 6 decimals`,
			`pools.yaml:12: replicas.builder-lite-2: there is no assignment "quick"; known: careful`,
			"pools.yaml:12: replicas.builder-lite-2: there is no builder-lite-1: the replicas of a pool are numbered from 0 without a gap",
			"pools.yaml:13: pools.builder-heavy: the pool has no coordinate: give it one under replicas, such as builder-heavy-0, or take it out"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults := config.ParsePools("dir/pools.yaml", []byte(row.text), prompted)
			says(t, faults, row.want)
			for _, f := range faults {
				if strings.Contains(f.Message, "hunter2") {
					t.Errorf("a fault repeats the secret: %v", f)
				}
			}
		})
	}
}

func TestAParameterThatOnlySoundsLikeASecretIsFine(t *testing.T) {
	s := parsePools(t, leastPools+"  reviewer-lite-0: careful\n")
	if len(s.Pools) != 2 {
		t.Fatalf("%+v", s.Pools)
	}
	text := strings.Replace(leastPools, "15}\n", "15}\n    parameters: {max_tokens: 10, token_limit: 2, tokenizer: x, secretary: y, note: \"a\\nb <&> é\", deep: {on: true, off: False, list: [1.50, -2e3]}}\n", 1)
	want := `{"deep":{"list":[1.50,-2e3],"off":false,"on":true},"max_tokens":10,"note":"a\nb <&> é","secretary":"y","token_limit":2,"tokenizer":"x"}`
	if got := parsePools(t, text).Assignments["careful"].Parameters; got != want {
		t.Errorf("parameters %s\nwant       %s", got, want)
	}
}

func TestPromptsTogetherAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(strings.Split(leastPools, "assignments:")[0] + "assignments:\n")
	for i := range 20 {
		name := string(rune('a' + i))
		b.WriteString("  " + name + ": {provider: p, model: m, prompt: " + name + ".md, prices: {input: 1, output: 1}}\n")
	}
	b.WriteString("replicas: {builder-lite-0: a}\n")
	_, faults := config.ParsePools(config.PoolsFile, []byte(b.String()), func(string) ([]byte, error) {
		return []byte(strings.Repeat("x", 256<<10)), nil
	})
	if len(faults) != 4 || !strings.Contains(faults[0].Message, "all prompts together are larger than 4194304 bytes") {
		t.Errorf("faults %v", faults)
	}
}

func TestLoadPoolsStaysInItsFolder(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret.md"), "of somebody else")
	for _, row := range []struct {
		name  string
		place func(t *testing.T, folder string)
		fault string
	}{
		{"a file in the folder", func(t *testing.T, folder string) { write(t, filepath.Join(folder, "p.md"), prompt) }, ""},
		{"a link within the folder", func(t *testing.T, folder string) {
			write(t, filepath.Join(folder, "q.md"), prompt)
			link(t, "q.md", filepath.Join(folder, "p.md"))
		}, ""},
		{"a link out of the folder", func(t *testing.T, folder string) {
			link(t, filepath.Join(outside, "secret.md"), filepath.Join(folder, "p.md"))
		}, "cannot be read"},
		{"a relative link out of the folder", func(t *testing.T, folder string) {
			away, err := filepath.Rel(folder, filepath.Join(outside, "secret.md"))
			if err != nil {
				t.Fatal(err)
			}
			link(t, away, filepath.Join(folder, "p.md"))
		}, "cannot be read"},
		{"a link to nothing", func(t *testing.T, folder string) { link(t, "none", filepath.Join(folder, "p.md")) }, "no such file"},
		{"a folder", func(t *testing.T, folder string) {
			if err := os.Mkdir(filepath.Join(folder, "p.md"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "no regular file"},
		{"nothing", func(*testing.T, string) {}, "no such file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			folder := t.TempDir()
			file := filepath.Join(folder, config.PoolsFile)
			write(t, file, strings.Replace(leastPools, "prompts/builder.md", "p.md", 1))
			row.place(t, folder)
			s, faults := config.LoadPools(file)
			if row.fault == "" {
				says(t, faults, nil)
				if s.Assignments["careful"].Prompt.Text != prompt {
					t.Errorf("%+v", s.Assignments)
				}
				return
			}
			if len(faults) != 1 || !strings.Contains(faults[0].Error(), row.fault) || !strings.HasPrefix(faults[0].Error(), file+":8: ") {
				t.Errorf("faults %v, want %q", faults, row.fault)
			}
		})
	}
	if _, faults := config.LoadPools(filepath.Join(outside, "none.yaml")); len(faults) != 1 || faults[0].Message != "cannot be read: no such file or directory" {
		t.Errorf("faults %v", faults)
	}
}

func link(t *testing.T, to, file string) {
	t.Helper()
	if err := os.Symlink(to, file); err != nil {
		t.Fatal(err)
	}
}
