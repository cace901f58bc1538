package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"slipway/config"
)

func TestLoadStore(t *testing.T) {
	named := strings.NewReplacer("T_TOKEN", "NOT_SET_1", "{env: T_HOOK}", "{file: not-there}", "in_cluster: true", "kubeconfig: not-there").Replace(leastServer)
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"nothing that the file names need be there", named, nil},
		{"a secret that is written there is a fault", strings.Replace(named, "{env: NOT_SET_1}", "secret", 1),
			[]string{"slipway.yaml:3: forges[0].token: a secret is named, not written here: want {env: NAME} or {file: PATH}"}},
		{"a secret that names nothing is a fault", strings.Replace(named, "{env: NOT_SET_1}", "{env: 1x}", 1),
			[]string{"slipway.yaml:3: forges[0].token: env wants the name of an environment variable"}},
		{"an unknown key is a fault", named + "anything: {}\n",
			[]string{"slipway.yaml:10: anything: unknown key; known: listen, external_url, store, resync, journal, comments, examine, tokens, roles, forges, registries, clusters, identities, pools, work, organizations, build, canaries, repositories"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "slipway.yaml")
			write(t, file, row.text)
			s, faults := config.LoadStore(file)
			says(t, faults, row.want)
			if want := filepath.Join(filepath.Dir(file), "state"); s.Path != want {
				t.Errorf("the store is at %s, want %s", s.Path, want)
			}
			if _, faults := config.LoadServer(file); len(faults) <= len(row.want) {
				t.Errorf("the server itself goes without: %v", faults)
			}
		})
	}
	if _, faults := config.LoadStore(filepath.Join(t.TempDir(), "none")); len(faults) != 1 {
		t.Errorf("a file that is not there has the faults %v", faults)
	}
}
