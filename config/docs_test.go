package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/config"
)

var update = flag.Bool("update", false, "write the tables and schemas that the documents hold")

// TestTheDocumentsHoldTheTables holds docs to the code: a table between the
// marks "<!-- keys FILE NAME -->" and "<!-- end of keys -->" is the code's own.
func TestTheDocumentsHoldTheTables(t *testing.T) {
	region := regexp.MustCompile(`(?s)(<!-- keys (\S+) ([^>]*?)-->\n)(.*?)(<!-- end of keys -->)`)
	shown := map[string]bool{}
	for _, document := range []string{"policy.md", "configuration.md", "pools.md"} {
		file := filepath.Join("..", "docs", document)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := region.ReplaceAllStringFunc(string(data), func(found string) string {
			m := region.FindStringSubmatch(found)
			name := strings.TrimSpace(m[3])
			table, err := config.Reference(m[2], name)
			if err != nil {
				t.Errorf("%s: %v", document, err)
			}
			shown[m[2]+" "+name], shown["any "+name] = true, true
			return m[1] + "\n" + table + "\n" + m[5]
		})
		holds(t, file, string(data), want)
	}
	for _, file := range []string{config.PolicyFile, config.ServerFile, config.CasesFile, config.PoolsFile} {
		names, err := config.Mappings(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) < 3 {
			t.Errorf("%s has only the tables %q", file, names)
		}
		for _, name := range names {
			if named := name != "" && !strings.ContainsAny(name, ".[*"); !shown[file+" "+name] && (!named || !shown["any "+name]) {
				t.Errorf("no document has the table %q of %s", name, file)
			}
		}
	}
}

func TestThePublishedSchemasAreWhatTheCodeMakes(t *testing.T) {
	for file, schema := range schemas() {
		path := filepath.Join("..", "docs", "schema", file)
		data, err := os.ReadFile(path)
		if err != nil && !*update {
			t.Fatal(err)
		}
		holds(t, path, string(data), string(schema))
	}
}

// holds asks that a file is as the code makes it, or makes it so.
func holds(t *testing.T, file, is, want string) {
	t.Helper()
	diff := cmp.Diff(want, is)
	switch {
	case diff == "":
	case *update:
		write(t, file, want)
	default:
		t.Errorf("%s is out of date; go test ./config -run 'Documents|Published' -update (-code +file):\n%s", file, diff)
	}
}

func schemas() map[string][]byte {
	return map[string][]byte{
		"slipway-policy.schema.json": config.PolicySchema(),
		"slipway-test.schema.json":   config.CasesSchema(),
		"slipway.schema.json":        config.ServerSchema(),
		"slipway-pools.schema.json":  config.PoolsSchema(),
	}
}

func TestTheDocumentedPolicyIsTheDefault(t *testing.T) {
	text, _ := example(t, "policy.md")
	plan, faults := config.ParsePolicy(config.PolicyFile, []byte(text))
	says(t, faults, nil)
	least, _ := config.ParsePolicy(config.PolicyFile, []byte(minimal))
	least.Gate.Checks = plan.Gate.Checks // the example shows a creator's check, and a path, besides
	least.Deploy.Health.Path = plan.Deploy.Health.Path
	least.Gate.Hash = plan.Gate.Hash
	if diff := cmp.Diff(least, plan); diff != "" {
		t.Errorf("what the document shows is not the default (-default +shown):\n%s", diff)
	}
}

// TestEveryExampleIsFaultless reads every YAML block of the documents that is a
// whole file.
func TestEveryExampleIsFaultless(t *testing.T) {
	files := t.TempDir()
	for _, name := range []string{"board-token", "gitea-token", "registry-password", "kubeconfig", "app.pem", "canary-author", "canary-1", "canary-2", "postgres"} {
		write(t, filepath.Join(files, name), "the="+name)
	}
	t.Setenv("SLIPWAY_TOKEN", "operator's")
	t.Setenv("SLIPWAY_WEBHOOK_SECRET", "hook's")
	t.Setenv("SLIPWAY_JOURNAL_KEY", strings.Repeat("A", 43)+"=")
	read := map[string]int{}
	for _, e := range examples(t) {
		var faults []config.Fault
		switch {
		case strings.HasPrefix(e.text, "# .slipway.yaml") || strings.Contains(e.text, "\npost_merge:"):
			read["policy"]++
			_, faults = config.ParsePolicy(config.PolicyFile, []byte(e.text))
		case strings.Contains(e.text, "\ncases:"):
			read["cases"]++
			_, faults = config.ParseCases(config.CasesFile, []byte(e.text))
		case strings.Contains(e.text, "\nreplicas:"):
			read["pools"]++
			_, faults = config.ParsePools(config.PoolsFile, []byte(e.text), prompted)
		case strings.Contains(e.text, "\nrepositories:"):
			read["server"]++
			_, faults, _ = loadServer(t, strings.NewReplacer("/run/secrets", files, "/etc/slipway", files).Replace(e.text))
		case strings.HasPrefix(e.text, "organizations:"):
			read["part"]++
			_, faults, _ = loadServer(t, leastServer+e.text)
		case strings.HasPrefix(e.text, "gate:"):
			read["part"]++
			_, faults = config.ParsePolicy(config.PolicyFile, []byte(strings.Replace(minimal, "gate:\n", e.text, 1)))
		}
		if len(faults) > 0 {
			t.Errorf("an example of %s has faults: %v\n%s", e.document, faults, e.text)
		}
	}
	if read["policy"] < 2 || read["server"] < 1 || read["cases"] < 1 || read["pools"] < 1 || read["part"] < 1 {
		t.Errorf("too few examples were found: %v", read)
	}
}

// TestTheDocumentedCasesPass judges the cases of the document by the policy that
// it shows before them.
func TestTheDocumentedCasesPass(t *testing.T) {
	var policy, cases string
	for _, e := range examples(t) {
		switch {
		case strings.HasPrefix(e.text, "# .slipway.yaml"):
			policy = e.text
		case strings.Contains(e.text, "\ncases:"):
			cases = e.text
		}
	}
	results := judged(t, policy, cases)
	_, whole := example(t, "policy.md")
	for _, r := range results {
		if len(r.Wrong) > 0 {
			t.Errorf("%s: %v", r.Name, r.Wrong)
		}
		if line := fmt.Sprintf("ok    %-5s  %s\n", r.Verdict.Outcome, r.Name); !strings.Contains(whole, line) {
			t.Errorf("the document does not print %q", line)
		}
	}
	if len(results) != 5 {
		t.Errorf("%d cases", len(results))
	}
}

type documented struct{ document, text string }

// examples are the YAML blocks of the documents.
func examples(t testing.TB) []documented {
	t.Helper()
	var all []documented
	for _, document := range []string{"policy.md", "configuration.md", "pools.md"} {
		_, whole := example(t, document)
		for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(whole, -1) {
			all = append(all, documented{document, m[1]})
		}
	}
	return all
}
