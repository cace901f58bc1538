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

// minimal is the least that a policy file may say.
const minimal = `version: 1
gate:
  checks:
    - {context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test}
post_merge:
  checks:
    - {context: "ci / test (push)", workflow: .gitea/workflows/ci.yml, job: test}
deploy:
  cluster: main
  namespace: acme
  deployment: app
  container: app
  health: {port: 8080}
`

// leastServer is the least that slipway.yaml may say.
const leastServer = `store: {path: state}
forges:
  - {name: gitea, kind: gitea, url: "http://127.0.0.1:3000", login: slipway-bot, token: {env: T_TOKEN}, webhook_secret: {env: T_HOOK}}
registries:
  - {name: gitea, host: "127.0.0.1:3000"}
clusters:
  - {name: main, in_cluster: true}
repositories:
  - {repo: Acme/App, forge: gitea, registry: gitea, namespaces: {main: [acme]}}
`

// loadServer writes slipway.yaml with its secrets' environment and loads it.
func loadServer(t *testing.T, text string) (config.Server, []config.Fault, string) {
	t.Helper()
	t.Setenv("T_TOKEN", "bot-token")
	t.Setenv("T_HOOK", "hook-secret")
	t.Setenv("T_OPS", "ops-token")
	t.Setenv("T_EMPTY", "")
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	write(t, file, text)
	server, faults := config.LoadServer(file)
	return server, faults, filepath.Dir(file)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says compares the faults, as printed, without the directory.
func says(t *testing.T, faults []config.Fault, want []string) {
	t.Helper()
	var got []string
	for _, f := range faults {
		f.File = filepath.Base(f.File)
		got = append(got, f.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// replace puts other text in the place of a part that must stand there once.
func replace(t *testing.T, text, part, other string) string {
	t.Helper()
	if strings.Count(text, part) != 1 {
		t.Fatalf("%q stands %d times in the text", part, strings.Count(text, part))
	}
	return strings.Replace(text, part, other, 1)
}

// example is the first YAML block of a document.
func example(t testing.TB, document string) (block, whole string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "docs", document))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(data)
	if m == nil {
		t.Fatalf("%s has no example", document)
	}
	return string(m[1]), string(data)
}
