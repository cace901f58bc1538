package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/config"
)

const crewed = leastServer + `external_url: https://slipway.example
pools:
  file: pools.yaml
  forge: gitea
  teams: {builder: builders, reviewer: reviewers}
`

func TestWhatIsMadeForCoordinatesIsReadInFull(t *testing.T) {
	s, faults, _ := loadServer(t, crewed)
	says(t, faults, nil)
	if diff := cmp.Diff(config.Pools{File: s.Pools.File, Forge: "gitea", Teams: map[string]string{"builder": "builders", "reviewer": "reviewers"}, Writers: []string{"builder"}}, s.Pools); diff != "" {
		t.Error(diff)
	}
	s, faults, _ = loadServer(t, crewed+`  writers: [builder, fixer]
  kubernetes:
    cluster: main
    namespace: builders
    image: registry.example:5000/acme/builders:1@sha256:00
    command: [agent, run, run]
    environment: {LANG: C.UTF-8}
    credentials: {PROVIDER_KEY: providers/first.key}
    server: http://slipway.slipway.svc:8480/
    forge: http://gitea.git.svc:3000/
    cpu: 500m
    memory: 4Gi
    egress:
      - {cidr: 2001:db8::/32}
      - {namespace: slipway, ports: [8480, 443]}
`)
	says(t, faults, nil)
	want := &config.PoolCluster{
		Cluster: "main", Namespace: "builders", Image: "registry.example:5000/acme/builders:1@sha256:00", Command: []string{"agent", "run", "run"},
		Environment: map[string]string{"LANG": "C.UTF-8"}, Credentials: map[string]string{"PROVIDER_KEY": "providers/first.key"},
		Server: "http://slipway.slipway.svc:8480", Forge: "http://gitea.git.svc:3000", CPU: "500m", Memory: "4Gi",
		Egress: []config.Egress{{CIDR: "2001:db8::/32"}, {Namespace: "slipway", Ports: []int{8480, 443}}},
	}
	if diff := cmp.Diff(want, s.Pools.Kubernetes); diff != "" || len(s.Pools.Writers) != 2 {
		t.Errorf("writers %q, %s", s.Pools.Writers, diff)
	}
}

func TestFaultsInWhatIsMadeForCoordinates(t *testing.T) {
	const on = "  kubernetes: {cluster: main, namespace: builders, image: a, command: [b]"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"teams are the forge's", leastServer + "pools: {file: p, teams: {builder: b}}\n", []string{"slipway.yaml:LINE: pools: needs both forge and teams, or neither"}},
		{"the forge is one of the forges", leastServer + "pools: {file: p, forge: other, teams: {builder: b}}\n", []string{`slipway.yaml:LINE: pools.forge: there is no forge "other"; known: gitea`}},
		{"a role is a word", leastServer + "pools: {file: p, forge: gitea, teams: {Builder-1: b}}\n", []string{`slipway.yaml:LINE: pools.teams: "Builder-1" is not a role`}},
		{"a team has a name", leastServer + "pools: {file: p, forge: gitea, teams: {builder: acme/b}}\n", []string{`slipway.yaml:LINE: pools.teams.builder: "acme/b" is not a team's name`}},
		{"a variable is not Slipway's", crewed + on + ", environment: {SLIPWAY_TOKEN: x}}\n", []string{"slipway.yaml:LINE: pools.kubernetes.environment.SLIPWAY_TOKEN: is no name for a variable of the command: want letters, digits and _, not beginning with SLIPWAY_"}},
		{"a credential is a key of a Secret", crewed + on + ", credentials: {KEY: secret}}\n", []string{`slipway.yaml:LINE: pools.kubernetes.credentials.KEY: "secret" is not a key of a Secret: want SECRET/KEY`}},
		{"addresses or a namespace", crewed + on + ", egress: [{ports: [1]}]}\n", []string{"slipway.yaml:LINE: pools.kubernetes.egress[0]: needs either a cidr or a namespace"}},
		{"a block of addresses begins where it begins", crewed + on + ", egress: [{cidr: 192.0.2.1/24}]}\n", []string{"slipway.yaml:LINE: pools.kubernetes.egress[0].cidr: is not a block of addresses such as 192.0.2.0/24"}},
		{"a port is named once", crewed + on + ", egress: [{namespace: a, ports: [1, 1]}]}\n", []string{"slipway.yaml:LINE: pools.kubernetes.egress[0].ports: names a port twice"}},
		{"an amount is one", crewed + on + ", memory: lots}\n", []string{`slipway.yaml:LINE: pools.kubernetes.memory: "lots" is not an amount, such as 500m or 2Gi`}},
		{"pods have to reach the server", leastServer + "pools:\n  file: p\n  forge: gitea\n  teams: {builder: b}\n" + on + "}\n",
			[]string{"slipway.yaml:LINE: pools.kubernetes: does not say where pods reach this server: set server here, or external_url"}},
		{"pods want accounts", leastServer + "external_url: https://a\npools:\n  file: p\n" + on + "}\n",
			[]string{"slipway.yaml:LINE: pools.kubernetes: wants the coordinates to have accounts: set pools.forge and pools.teams"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, faults, _ := loadServer(t, c.text)
			for i := range faults {
				faults[i].Line = 0
			}
			for i, w := range c.want {
				c.want[i] = "slipway.yaml: " + w[len("slipway.yaml:LINE: "):]
			}
			says(t, faults, c.want)
		})
	}
}

func TestATeamOfNoRoleIsTold(t *testing.T) {
	s, faults, _ := loadServer(t, leastServer+"pools: {file: p, forge: gitea, teams: {biulder: b}}\n")
	says(t, faults, nil)
	told := s.Disagreements(parsePools(t, leastPools))
	if len(told) != 1 || told[0].Message != `pools.teams.biulder: the pool config has no role "biulder"; did you mean "builder"?` {
		t.Errorf("%v", told)
	}
}
