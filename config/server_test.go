package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/config"
	"slipway/internal/authz"
	"slipway/internal/ref"
)

func TestLoadServerFillsInTheDefaults(t *testing.T) {
	s, faults, dir := loadServer(t, leastServer)
	says(t, faults, nil)
	for what, pair := range map[string][2]any{
		"listen":        {s.Listen, "127.0.0.1:8480"},
		"active":        {s.Resync.Active, 30 * time.Second},
		"idle":          {s.Resync.Idle, 5 * time.Minute},
		"store":         {s.Store.Path, filepath.Join(dir, "state")},
		"forge":         {s.Forges[0].URL, "http://127.0.0.1:3000"},
		"token":         {s.Forges[0].Token.Reveal(), "bot-token"},
		"webhook":       {s.Forges[0].WebhookSecret.Reveal(), "hook-secret"},
		"image":         {s.Repositories[0].Image, "acme/app"},
		"branch":        {s.Repositories[0].Branch, "main"},
		"repository":    {s.Repositories[0].Repo, ref.RepoID{Owner: "Acme", Name: "App"}},
		"namespace":     {strings.Join(s.Repositories[0].Namespaces["main"], ","), "acme"},
		"in cluster":    {s.Clusters[0].InCluster, true},
		"tokens":        {len(s.Tokens), 0},
		"external url":  {s.ExternalURL, ""},
		"registry user": {s.Registries[0].Username, ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestLoadServerReadsEveryKey(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "kubeconfig"), "apiVersion: v1\n")
	write(t, filepath.Join(dir, "password"), "pass word\r\n")
	t.Setenv("T_TOKEN", "bot-token")
	t.Setenv("T_OPS", "ops-token")
	file := filepath.Join(dir, "slipway.yaml")
	write(t, file, `listen: "[::1]:0"
external_url: https://slipway.example/base/
store: {path: /var/lib/slipway}
resync: {active: 1s, idle: 1m}
tokens:
  - {name: ops, role: operator, token: {env: T_OPS}}
forges:
  - {name: gitea, kind: gitea, url: "http://127.0.0.1:3000/", login: slipway-bot, token: {env: T_TOKEN}, webhook_secret: {file: password}}
registries:
  - {name: gitea, host: "127.0.0.1:3000", insecure: true, username: _json_key, password: {file: password}}
clusters:
  - {name: main, kubeconfig: kubeconfig, simulated: true}
identities: {people: [alice, bob]}
build: {goproxy: "https://proxy.example,direct", gosumdb: "off", goprivate: "git.example", gocache: cache, gomodcache: /modules}
repositories:
  - {repo: acme/app, branch: release/1.x, forge: gitea, registry: gitea, image: other/name, namespaces: {main: [acme, acme-test]}}
`)
	s, faults := config.LoadServer(file)
	says(t, faults, nil)
	for what, pair := range map[string][2]any{
		"listen":       {s.Listen, "[::1]:0"},
		"external url": {s.ExternalURL, "https://slipway.example/base"},
		"store":        {s.Store.Path, "/var/lib/slipway"},
		"resync":       {s.Resync, config.Resync{Active: time.Second, Idle: time.Minute, Rate: 5}},
		"role":         {s.Tokens[0].Role, authz.Operator},
		"webhook":      {s.Forges[0].WebhookSecret.Reveal(), "pass word"},
		"url":          {s.Forges[0].URL, "http://127.0.0.1:3000"},
		"insecure":     {s.Registries[0].Insecure, true},
		"username":     {s.Registries[0].Username, "_json_key"},
		"password":     {s.Registries[0].Password.Reveal(), "pass word"},
		"kubeconfig":   {s.Clusters[0].Kubeconfig, filepath.Join(dir, "kubeconfig")},
		"simulated":    {s.Clusters[0].Simulated, true},
		"people":       {strings.Join(s.Identities.People, ","), "alice,bob"},
		"build": {s.Build, config.Build{
			GoProxy: "https://proxy.example,direct", GoSumDB: "off", GoPrivate: "git.example",
			GoCache: filepath.Join(dir, "cache"), GoModCache: "/modules",
		}},
		"image":      {s.Repositories[0].Image, "other/name"},
		"branch":     {s.Repositories[0].Branch, "release/1.x"},
		"namespaces": {strings.Join(s.Repositories[0].Namespaces["main"], ","), "acme,acme-test"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
	if token, found := s.Authorize("ops-token"); !found || token.Name != "ops" {
		t.Errorf("the operator's token finds %v (%v)", token, found)
	}
	if c, found := s.Cluster("main"); !found || !c.Simulated {
		t.Errorf("the cluster finds %v (%v)", c, found)
	}
	if g, found := s.Registry("gitea"); !found || !g.Insecure {
		t.Errorf("the registry finds %v (%v)", g, found)
	}
	if g, found := s.Registry("other"); found {
		t.Errorf("a registry that is not there finds %v", g)
	}
	if token, found := s.Authorize(""); found {
		t.Errorf("no token finds %v", token)
	}
	if repo, found := s.Repository(ref.RepoID{Owner: "ACME", Name: "app"}); !found || repo.Image != "other/name" {
		t.Errorf("the repository in other letters finds %v (%v)", repo, found)
	}
}

func TestServerFaults(t *testing.T) {
	const forge = `  - {name: gitea, kind: gitea, url: "http://127.0.0.1:3000", login: slipway-bot, token: {env: T_TOKEN}, webhook_secret: {env: T_HOOK}}`
	const repo = `  - {repo: Acme/App, forge: gitea, registry: gitea, namespaces: {main: [acme]}}`
	for _, row := range []struct {
		name, part, other string
		want              []string
	}{
		{
			"nothing but a wrong key", leastServer, "database: {}\n",
			[]string{
				"slipway.yaml:1: clusters: is missing",
				`slipway.yaml:1: database: unknown key; known: listen, external_url, store, resync, journal, comments, examine, tokens, roles, forges, registries, clusters, identities, pools, work, organizations, build, canaries, repositories`,
				"slipway.yaml:1: forges: is missing",
				"slipway.yaml:1: registries: is missing",
				"slipway.yaml:1: repositories: is missing",
				"slipway.yaml:1: store: is missing",
			},
		},
		{
			"a bad listen address, address and resync", "store: {path: state}\n", "store: {path: state}\nlisten: localhost\nexternal_url: slipway.example\nresync: {active: 10m, idle: 30}\n",
			[]string{
				`slipway.yaml:2: listen: "localhost" is not HOST:PORT`,
				"slipway.yaml:3: external_url: is not an address that starts with http:// or https:// and names a host",
				`slipway.yaml:4: resync.idle: "30" is not a duration; want one such as 30s, 5m or 24h`,
				"slipway.yaml:4: resync: looks at what is idle (5m) more often than at what is active (10m)",
			},
		},
		{
			"a port that is none", "store: {path: state}\n", "store: {path: state}\nlisten: 127.0.0.1:99999\n",
			[]string{`slipway.yaml:2: listen: "127.0.0.1:99999" is not HOST:PORT`},
		},
		{
			"an empty list of tokens", "store: {path: state}\n", "store: {path: state}\ntokens: []\n",
			[]string{"slipway.yaml:2: tokens: is an empty list"},
		},
		{
			"tokens with one name, one value, and an unknown role", "store: {path: state}\n",
			"store: {path: state}\ntokens:\n  - {name: ops, role: operator, token: {env: T_OPS}}\n  - {name: ops, role: admin, token: {env: T_TOKEN}}\n  - {name: other, role: reader, token: {env: T_OPS}}\n",
			[]string{
				`slipway.yaml:4: tokens[1].name: "ops" stands on line 3 already`,
				`slipway.yaml:4: tokens[1].role: "admin" is none of operator, reader, submitter`,
				"slipway.yaml:5: tokens[2]: other has the same token as ops, so that nobody could tell who acted",
			},
		},
		{
			"a token under Slipway's own name", "store: {path: state}\n", "store: {path: state}\ntokens:\n  - {name: slipway, role: operator, token: {env: T_OPS}}\n",
			[]string{"slipway.yaml:3: tokens[0]: slipway is the name under which the journal has what Slipway does itself"},
		},
		{
			"a secret that is written in the file is not repeated", "token: {env: T_TOKEN}", "token: hunter2",
			[]string{"slipway.yaml:3: forges[0].token: a secret is named, not written here: want {env: NAME} or {file: PATH}"},
		},
		{
			"a secret that is written as a key is not repeated", "token: {env: T_TOKEN}", "token: {hunter2}",
			[]string{"slipway.yaml:3: forges[0].token: a secret is named, not written here: want {env: NAME} or {file: PATH}"},
		},
		{
			"a secret that is written as a list is not repeated", "token: {env: T_TOKEN}", "token: [env, hunter2]",
			[]string{"slipway.yaml:3: forges[0].token: a secret is named, not written here: want {env: NAME} or {file: PATH}"},
		},
		{
			"a secret in place of a variable's name is not repeated", "token: {env: T_TOKEN}", "token: {env: hunter-2}",
			[]string{"slipway.yaml:3: forges[0].token: env wants the name of an environment variable"},
		},
		{
			"a secret from a variable that is not set", "token: {env: T_TOKEN}", "token: {env: T_ABSENT}",
			[]string{"slipway.yaml:3: forges[0].token: the environment variable is not set"},
		},
		{
			"an empty secret", "token: {env: T_TOKEN}", "token: {env: T_EMPTY}",
			[]string{"slipway.yaml:3: forges[0].token: the secret is empty"},
		},
		{
			"a secret from a file that is not there", "token: {env: T_TOKEN}", "token: {file: absent}",
			[]string{"slipway.yaml:3: forges[0].token: the file cannot be read: no such file or directory"},
		},
		{
			"a secret from no file", "token: {env: T_TOKEN}", `token: {file: ""}`,
			[]string{"slipway.yaml:3: forges[0].token: file wants a path"},
		},
		{
			"a secret from both", "token: {env: T_TOKEN}", "token: {env: T_TOKEN, file: x}",
			[]string{"slipway.yaml:3: forges[0].token: a secret is named, not written here: want {env: NAME} or {file: PATH}"},
		},
		{
			"everything wrong in a forge", forge, `  - {name: Gitea_1, kind: gitlab, url: "ftp://x", login: "a b", token: {}, webhook_secret: 7}`,
			[]string{
				`slipway.yaml:3: forges[0].kind: "gitlab" is none of gitea, github`,
				`slipway.yaml:3: forges[0].login: "a b" is not a login`,
				`slipway.yaml:3: forges[0].name: "Gitea_1" is not a DNS label (lower-case letters, digits and -, at most 63)`,
				"slipway.yaml:3: forges[0].token: a secret is named, not written here: want {env: NAME} or {file: PATH}",
				"slipway.yaml:3: forges[0].url: is not an address that starts with http:// or https:// and names a host",
				"slipway.yaml:3: forges[0].webhook_secret: a secret is named, not written here: want {env: NAME} or {file: PATH}",
				`slipway.yaml:9: repositories[0].forge: there is no forge "gitea"`,
			},
		},
		{
			"a forge's address with a password does not repeat it", `"http://127.0.0.1:3000", login`, `"http://u:hunter2@127.0.0.1:3000", login`,
			[]string{"slipway.yaml:3: forges[0].url: must not hold a user or a password"},
		},
		{
			"an address with a query", "store: {path: state}\n", "store: {path: state}\nexternal_url: http://slipway.example/?a=b\n",
			[]string{"slipway.yaml:2: external_url: must not have a query (?)"},
		},
		{
			"a kubeconfig without a path", "{name: main, in_cluster: true}", `{name: main, kubeconfig: ""}`,
			[]string{"slipway.yaml:7: clusters[0].kubeconfig: is empty"},
		},
		{
			"a registry with a scheme, and a user without a password", `  - {name: gitea, host: "127.0.0.1:3000"}`, `  - {name: gitea, host: "http://127.0.0.1:3000", username: u}`,
			[]string{
				"slipway.yaml:5: registries[0].host: is not HOST or HOST:PORT, without a scheme or path",
				"slipway.yaml:5: registries[0]: needs both username and password, or neither",
			},
		},
		{
			"a registry with a port that is none", `  - {name: gitea, host: "127.0.0.1:3000"}`, `  - {name: gitea, host: "127.0.0.1:65536"}`,
			[]string{"slipway.yaml:5: registries[0].host: is not HOST or HOST:PORT, without a scheme or path"},
		},
		{
			"the last port there is", `  - {name: gitea, host: "127.0.0.1:3000"}`, `  - {name: gitea, host: "127.0.0.1:65535"}`,
			nil,
		},
		{
			"a cluster from nowhere", "{name: main, in_cluster: true}", "{name: main}",
			[]string{"slipway.yaml:7: clusters[0]: needs either a kubeconfig or in_cluster: true"},
		},
		{
			"a cluster from a file that is not there", "{name: main, in_cluster: true}", "{name: main, kubeconfig: absent}",
			[]string{"slipway.yaml:7: clusters[0].kubeconfig: cannot be read: no such file or directory"},
		},
		{
			"names that nothing has name the nearest that there is", repo, `  - {repo: acme/app, forge: gitae, registry: hub, namespaces: {mian: [acme]}}`,
			[]string{
				`slipway.yaml:9: repositories[0].forge: there is no forge "gitae"; did you mean "gitea"?`,
				`slipway.yaml:9: repositories[0].namespaces.mian: there is no cluster "mian"; did you mean "main"?`,
				`slipway.yaml:9: repositories[0].registry: there is no registry "hub"; known: gitea`,
			},
		},
		{
			"everything wrong in a repository", repo, `  - {repo: acme, forge: gitea, registry: gitea, image: Acme:v1, namespaces: {main: [kube_system, acme, acme]}}`,
			[]string{
				`slipway.yaml:9: repositories[0].image: "Acme:v1" is not an image name (lower case, without registry and tag)`,
				`slipway.yaml:9: repositories[0].namespaces.main[0]: "kube_system" is not a DNS label (lower-case letters, digits and -, at most 63)`,
				`slipway.yaml:9: repositories[0].namespaces.main[2]: "acme" stands on line 9 already`,
				`slipway.yaml:9: repositories[0].repo: "acme" is not a repository: want OWNER/NAME`,
			},
		},
		{
			"a repository twice, in other letters, and so its image", repo, repo + "\n" + strings.ToLower(repo),
			[]string{
				`slipway.yaml:10: repositories[1].repo: "acme/app" stands on line 9 already`,
			},
		},
		{
			"two repositories with one image, though under two names of the registry",
			"clusters:\n  - {name: main, in_cluster: true}\nrepositories:\n" + repo,
			"  - {name: again, host: \"127.0.0.1:3000\"}\nclusters:\n  - {name: main, in_cluster: true}\nrepositories:\n" + repo +
				"\n  - {repo: acme/tool, forge: gitea, registry: again, image: acme/app, namespaces: {main: [acme]}}",
			[]string{"slipway.yaml:11: repositories[1]: the image 127.0.0.1:3000/acme/app belongs to the repository on line 10"},
		},
		{
			"a repository whose name is no image name", "repo: Acme/App", "repo: acme/App-",
			[]string{`slipway.yaml:9: repositories[0]: "acme/app-" is not an image name: name one (image)`},
		},
		{
			"a branch that would be a flag", "repo: Acme/App", "repo: Acme/App, branch: --upload-pack=x",
			[]string{`slipway.yaml:9: repositories[0].branch: "--upload-pack=x" is not the name of a branch`},
		},
		{
			"a repository without a namespace", "{main: [acme]}", "{}",
			[]string{"slipway.yaml:9: repositories[0].namespaces: grants no namespace"},
		},
		{
			"a module proxy with a password", "store: {path: state}\n", "store: {path: state}\nbuild: {goproxy: \"https://u:hunter2@proxy.example,direct\"}\n",
			[]string{"slipway.yaml:2: build.goproxy: must not hold a user or a password"},
		},
		{
			"a journal's key that is no seed", "store: {path: state}\n", "store: {path: state}\njournal: {key: {env: T_OPS}}\n",
			[]string{"slipway.yaml:2: journal.key: the secret is not 32 bytes in base64"},
		},
		{
			"a forge of GitHub with neither token nor App", forge, `  - {name: gitea, kind: github, login: a, webhook_secret: {env: T_HOOK}}`,
			[]string{"slipway.yaml:3: forges[0]: needs a token or an app"},
		},
		{
			"a forge with both", forge, `  - {name: gitea, kind: github, login: a, token: {env: T_TOKEN}, app: {id: 1, installation: 1, private_key: {env: T_OPS}}, webhook_secret: {env: T_HOOK}}`,
			[]string{"slipway.yaml:3: forges[0]: names a token and an app; Slipway speaks as one of them"},
		},
		{
			"an App of Gitea", forge, `  - {name: gitea, kind: gitea, url: "http://x", login: a, app: {id: 0, installation: x, private_key: {env: T_OPS}}, webhook_secret: {env: T_HOOK}}`,
			[]string{
				"slipway.yaml:3: forges[0].app.id: is 0, want 1 to 9007199254740991",
				"slipway.yaml:3: forges[0].app.installation: want a whole number, not a text",
				"slipway.yaml:3: forges[0]: names an app, which only github has",
			},
		},
		{
			"a Gitea without an address or a token", forge, `  - {name: gitea, kind: gitea, login: a, webhook_secret: {env: T_HOOK}}`,
			[]string{"slipway.yaml:3: forges[0].token: is missing", "slipway.yaml:3: forges[0].url: is missing"},
		},
		{
			"a scope and an expiry that there are not", "store: {path: state}\n", "store: {path: state}\ntokens: [{name: a, role: reader, token: {env: T_OPS}, scopes: [fly], expires: 2027-02-30T00:00:00Z}]\n",
			[]string{
				`slipway.yaml:2: tokens[0].expires: "2027-02-30T00:00:00Z" is a day or an hour that there is not`,
				`slipway.yaml:2: tokens[0].scopes[0]: "fly" is none of ` + verbs(),
			},
		},
		{
			"a role that follows from the pull request, for nobody", "store: {path: state}\n", "store: {path: state}\nroles: [{role: author}]\n",
			[]string{`slipway.yaml:2: roles[0].role: "author" is none of operator, reader, submitter`, "slipway.yaml:2: roles[0]: gives the role to nobody: name people or teams"},
		},
		{
			"a person who is an agent", "store: {path: state}\n", "store: {path: state}\nidentities: {people: [Bob], agents: [{login: bob}]}\n",
			[]string{"slipway.yaml:2: identities: bob is declared a person and an agent"},
		},
		{
			"an agent twice", "store: {path: state}\n", "store: {path: state}\nidentities: {agents: [{login: a}, {login: A}]}\n",
			[]string{`slipway.yaml:2: identities.agents[1].login: "A" stands on line 2 already`},
		},
		{
			"a schedule that is none", "store: {path: state}\n", "store: {path: state}\nexamine: {schedule: \"61 * * * *\"}\n",
			[]string{`slipway.yaml:2: examine.schedule: "61 * * * *" is no schedule of cron: end of range (61) above maximum (59): 61`},
		},
		{
			"a canary elsewhere, by one person", "store: {path: state}\n", "store: {path: state}\ncanaries: [{repo: a/b, schedule: \"0 * * * *\", author: {login: x, token: {env: T_OPS}}, reviewers: [{login: X, token: {env: T_OPS}}]}]\n",
			[]string{
				"slipway.yaml:2: canaries[0]: X stands for more than one of the author and the reviewers",
				"slipway.yaml:2: canaries[0]: a/b is not one of the repositories",
				"slipway.yaml:2: canaries[0]: names one reviewer; two must approve for anything to merge",
			},
		},
		{
			"no people", "store: {path: state}\n", "store: {path: state}\nidentities: {people: []}\n",
			[]string{"slipway.yaml:2: identities.people: is an empty list"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults, _ := loadServer(t, replace(t, leastServer, row.part, row.other))
			says(t, faults, row.want)
			for _, f := range faults {
				if strings.Contains(f.Error(), "hunter") {
					t.Errorf("the fault repeats a secret: %s", f)
				}
			}
		})
	}
}

func TestSecretFiles(t *testing.T) {
	for _, row := range []struct{ name, content, want string }{
		{"the line end is dropped", "s3cret\n", ""},
		{"a blank is part of it", " s3cret", ""},
		{"an empty file", "\n", "slipway.yaml:3: forges[0].token: the secret is empty"},
		{"two lines", "a\nb\n", "slipway.yaml:3: forges[0].token: the secret has more than one line, or a control character"},
		{"more than 64 KiB", strings.Repeat("x", 64<<10+1), "slipway.yaml:3: forges[0].token: the file is larger than 65536 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			secret := filepath.Join(t.TempDir(), "secret")
			write(t, secret, row.content)
			s, faults, _ := loadServer(t, replace(t, leastServer, "token: {env: T_TOKEN}", "token: {file: "+secret+"}"))
			if row.want != "" {
				says(t, faults, []string{row.want})
				return
			}
			says(t, faults, nil)
			if got, want := s.Forges[0].Token.Reveal(), strings.TrimRight(row.content, "\n"); got != want {
				t.Errorf("secret %q, want %q", got, want)
			}
		})
	}
}

func TestLoadServerWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	_, faults := config.LoadServer(filepath.Join(dir, "slipway.yaml"))
	says(t, faults, []string{"slipway.yaml: cannot be read: no such file or directory"})
	if err := os.Mkdir(filepath.Join(dir, "slipway.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, faults = config.LoadServer(filepath.Join(dir, "slipway.yaml"))
	says(t, faults, []string{"slipway.yaml: cannot be read: is a directory"})
}

func TestBind(t *testing.T) {
	s, faults, _ := loadServer(t, leastServer+"identities: {people: [alice]}\n")
	says(t, faults, nil)
	repo := s.Repositories[0]
	good, _ := config.ParsePolicy(config.PolicyFile, []byte(minimal))

	plan := s.Bind(repo, good)
	if plan.Gate.Bot != "slipway-bot" || len(plan.Gate.Principals) != 1 || len(plan.Faults) != 0 || len(plan.Gate.Faults) != 0 {
		t.Errorf("a granted plan came out as %+v", plan)
	}

	elsewhere := good
	elsewhere.Deploy.Namespace = "kube-system"
	want := ".slipway.yaml: deploy: Acme/App may not deploy to namespace kube-system of cluster main; the server allows main/acme"
	plan = s.Bind(repo, elsewhere)
	if len(plan.Faults) != 1 || plan.Faults[0] != want || len(plan.Gate.Faults) != 1 {
		t.Errorf("a namespace that was not granted: %q and %q, want %q", plan.Faults, plan.Gate.Faults, want)
	}

	broken, _ := config.NoPolicy(config.PolicyFile)
	plan = s.Bind(repo, broken)
	if plan.Gate.Bot != "slipway-bot" || len(plan.Faults) != 1 {
		t.Errorf("a faulty plan must know the bot, and get no fault that follows from the first: %+v", plan)
	}

	repo.Forge = "gone"
	if plan = s.Bind(repo, good); len(plan.Gate.Faults) != 1 {
		t.Errorf("a forge that is not there is no fault: %+v", plan)
	}
}
