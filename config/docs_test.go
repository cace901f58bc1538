package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/config"
)

func TestTheDocumentedPolicyIsTheDefault(t *testing.T) {
	text, _ := example(t, "policy.md")
	plan, faults := config.ParsePolicy(config.PolicyFile, []byte(text))
	says(t, faults, nil)
	least, _ := config.ParsePolicy(config.PolicyFile, []byte(minimal))
	least.Gate.Checks = plan.Gate.Checks // the example shows a creator's check, and a path, besides
	least.Deploy.Health.Path = plan.Deploy.Health.Path
	if diff := cmp.Diff(least, plan); diff != "" {
		t.Errorf("what the document shows is not the default (-default +shown):\n%s", diff)
	}
}

func TestTheDocumentedConfigurationLoads(t *testing.T) {
	text, _ := example(t, "configuration.md")
	files := t.TempDir()
	for _, name := range []string{"board-token", "gitea-token", "registry-password", "kubeconfig"} {
		write(t, filepath.Join(files, name), "the "+name)
	}
	text = strings.NewReplacer("/run/secrets", files, "/etc/slipway", files).Replace(text)
	t.Setenv("SLIPWAY_TOKEN", "operator's")
	t.Setenv("SLIPWAY_WEBHOOK_SECRET", "hook's")
	_, faults, _ := loadServer(t, text)
	says(t, faults, nil)
}

// Every key that is known is documented: each mapping of the example is asked
// which keys it knows, by giving it one that it does not.
func TestEveryKeyIsDocumented(t *testing.T) {
	for document, parse := range map[string]func(string) []config.Fault{
		"policy.md": func(text string) []config.Fault {
			_, faults := config.ParsePolicy(config.PolicyFile, []byte(text))
			return faults
		},
		"configuration.md": func(text string) []config.Fault {
			file := filepath.Join(t.TempDir(), "slipway.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, faults := config.LoadServer(file)
			return faults
		},
	} {
		text, whole := example(t, document)
		reference := whole[strings.LastIndex(whole, "```")+3:]
		known := regexp.MustCompile(`qqqqqqqqqqqq: unknown key; known: (.*)$`)
		asked := 0
		for _, probe := range withUnknownKeys(text) {
			for _, f := range parse(probe) {
				m := known.FindStringSubmatch(f.Message)
				if m == nil {
					continue
				}
				asked++
				for _, key := range strings.Split(m[1], ", ") {
					if !regexp.MustCompile(`(?m)(\x60[a-z_.]*\b` + key + `(\.[a-z_.]*)?\x60|^#+ ` + key + `:)`).MatchString(reference) {
						t.Errorf("%s does not explain %q", document, key)
					}
				}
			}
		}
		if asked < 6 {
			t.Errorf("%s: only %d mappings told their keys", document, asked)
		}
	}
}

// withUnknownKeys gives the text once for each block mapping in it, with a key
// that nothing knows put before its first one.
func withUnknownKeys(text string) []string {
	var all []string
	lines := strings.Split(text, "\n")
	opens := regexp.MustCompile(`^( *(?:- )?)[a-z_]+:`)
	for i, line := range lines {
		m := opens.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		indent := strings.Repeat(" ", len(m[1]))
		probe := append(append(append([]string{}, lines[:i]...), m[1]+"qqqqqqqqqqqq: 1", indent+strings.TrimLeft(line, " -")), lines[i+1:]...)
		all = append(all, strings.Join(probe, "\n"))
	}
	return all
}
