package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/server"
	"slipway/test/servers/gitea"
	cluster "slipway/test/servers/kubernetes"
)

const crewText = `roles: [builder, reviewer]
tiers: [lite, heavy]
currency: USD
assignments:
  quick:   {provider: umbra, model: glimmer-9, prompt: p.md, prices: {input: 1, output: 2}}
  careful: {provider: solace, model: obsidian-7, prompt: p.md, prices: {input: 3, output: 15}}
replicas:
  builder-lite-0: quick
  builder-lite-1: quick
  reviewer-heavy-0: careful
`

const onCluster = `  kubernetes:
    cluster: main
    namespace: builders
    image: registry.example/builders:1
    command: [agent, --quiet]
    environment: {LANG: C.UTF-8}
    credentials: {FIRST_KEY: providers/first, SECOND_KEY: providers/second}
    egress: [{cidr: 192.0.2.0/24, ports: [443]}]`

// shipyard is a Gitea, a server with pools, and a slipway.yaml for both.
type shipyard struct {
	*farm
	forge   *gitea.Server
	config  string
	secrets string
	whole   *testing.T             // of all rules together
	client  **kubernetes.Clientset // of the cluster, once there is one
}

func newShipyard(t *testing.T) *shipyard {
	t.Helper()
	y := &shipyard{farm: newFarm(t, authz.Operator), whole: t, client: new(*kubernetes.Clientset)}
	y.secrets = filepath.Join(t.TempDir(), "secrets")
	binaries, err := gitea.FindBinaries("")
	y.must(err)
	y.forge, err = gitea.Start(t.Context(), gitea.Config{Binaries: binaries, Dir: t.TempDir(), Tuned: true})
	y.must(err)
	t.Cleanup(func() {
		if err := y.forge.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	bot, err := y.forge.CreateUser(t.Context(), "slipway-bot", gitea.Bot)
	y.must(err)
	token, err := y.forge.Token(t.Context(), bot, "write:repository", "write:issue", "read:user")
	y.must(err)
	t.Setenv("YARD_BOT", token)
	t.Setenv("YARD_ADMIN", y.forge.Admin().Token)
	weak, err := y.forge.Token(t.Context(), y.forge.Admin(), "write:admin", "read:user")
	y.must(err)
	t.Setenv("YARD_WEAK", weak)
	y.must(y.forge.CreateOrg(t.Context(), "acme"))
	for _, name := range []string{"app", "lib"} {
		y.admin(http.MethodPost, "/orgs/acme/repos", map[string]any{"name": name, "auto_init": true, "default_branch": "main", "private": true}, nil)
	}
	y.configure("")
	y.pools(crewText)
	return y
}

// configure writes slipway.yaml, with more of what pools says.
func (y *shipyard) configure(more string) {
	y.Helper()
	if _, err := os.Stat(filepath.Join(y.folder(), "kubeconfig")); err != nil {
		y.write("kubeconfig", "")
	}
	y.write("slipway.yaml", fmt.Sprintf(`store: {path: data}
external_url: https://slipway.example
forges: [{name: gitea, kind: gitea, url: %q, login: slipway-bot, token: {env: YARD_BOT}, webhook_secret: {env: YARD_BOT}}]
registries: [{name: images, host: registry.example}]
clusters: [{name: main, kubeconfig: kubeconfig}]
pools:
  file: pools.yaml
  forge: gitea
  teams: {builder: builders, reviewer: reviewers}
%s
repositories:
  - {repo: acme/app, forge: gitea, registry: images, namespaces: {main: [acme]}}
  - {repo: acme/lib, forge: gitea, registry: images, namespaces: {main: [acme]}}
`, y.forge.URL(), more))
	y.config = filepath.Join(y.folder(), "slipway.yaml")
}

// pools puts a pool config in force.
func (y *shipyard) pools(text string) {
	y.Helper()
	y.write("pools.yaml", text)
	y.must(y.Take(y.Context()))
}

func (y *shipyard) apply(args ...string) said {
	y.Helper()
	return y.slipway(append([]string{"pools", "apply", "--config", y.config, "--secrets-dir", y.secrets}, args...)...)
}

// applies has somebody do it who may.
func (y *shipyard) applies(args ...string) said {
	y.Helper()
	return y.apply(append([]string{"--forge-token-env", "YARD_ADMIN", "--yes"}, args...)...)
}

func (y *shipyard) must(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

func (y *shipyard) admin(method, path string, in, out any) {
	y.Helper()
	y.must(y.forge.Call(y.Context(), y.forge.Admin().Token, method, path, in, out))
}

func (y *shipyard) secret(coordinate, name string) string {
	y.Helper()
	data, err := os.ReadFile(filepath.Join(y.secrets, coordinate, name))
	y.must(err)
	return strings.TrimSpace(string(data))
}

// forgeSays is the status of a call with a token.
func (y *shipyard) forgeSays(token, method, path string, in any) int {
	y.Helper()
	err := y.forge.Call(y.Context(), token, method, path, in, nil)
	var refused *gitea.Refusal
	if errors.As(err, &refused) {
		return refused.Status
	}
	y.must(err)
	return http.StatusOK
}

// claims says how the server takes a credential.
func (y *shipyard) claims(secret string) error {
	y.Helper()
	c, err := server.NewClient(y.url, secret)
	y.must(err)
	_, err = c.Claim(y.Context(), dispatcher.ClaimRequest{Request: fmt.Sprint(time.Now().UnixNano())})
	return err
}

func TestCoordinatesAreMadeOnARealForge(t *testing.T) {
	y := newShipyard(t)
	for _, rule := range []struct {
		name string
		test func(*shipyard)
	}{
		{"whoever may not make accounts is told who may", (*shipyard).namesTheRight},
		{"without --yes nothing is written", (*shipyard).onlyShows},
		{"a coordinate gets an account, a team and two secrets, and a second run has nothing to do", (*shipyard).makes},
		{"a token may do its work and no more", (*shipyard).least},
		{"a swap of what it runs touches nothing of it", (*shipyard).outlivesModels},
		{"what somebody changed is set right", (*shipyard).mends},
		{"new secrets are put in place, and the old ones withdrawn after the grace", (*shipyard).rotates},
		{"a cluster gets a pod for each, with the secrets that there are", (*shipyard).runs},
		{"a coordinate goes only when it is told to and has no work", (*shipyard).removes},
	} {
		if !t.Run(rule.name, func(t *testing.T) {
			f := *y.farm
			f.plot = &plot{T: t, poolsFile: y.poolsFile, store: y.store, dispatcher: y.dispatcher}
			in := *y
			in.farm = &f
			rule.test(&in)
		}) {
			return // what follows builds on it
		}
	}
}

func (y *shipyard) namesTheRight() {
	y.apply("--yes").wants(y.T, 1, "slipway-bot does not administer the forge", "--forge-token-env ADMIN_TOKEN", "write:admin")
	y.apply("--yes", "--forge-token-env", "YARD_WEAK").wants(y.T, 1, "lacks the scopes write:organization, write:repository, write:user")
	y.apply("--yes", "--forge-token-env", "YARD_NOTHING").wants(y.T, 2, "there is nothing in YARD_NOTHING")
	if entries, err := os.ReadDir(y.secrets); err == nil {
		y.Errorf("it made %v", entries)
	}
}

func (y *shipyard) onlyShows() {
	y.apply("--forge-token-env", "YARD_ADMIN").wants(y.T, 1, "account builder-lite-0", "none → restricted", "team acme/reviewers", "secrets reviewer-heavy-0", "Nothing was written")
	if got := y.forgeSays(y.forge.Admin().Token, http.MethodGet, "/users/builder-lite-0", nil); got != http.StatusNotFound {
		y.Errorf("the account is there: %d", got)
	}
}

func (y *shipyard) makes() {
	made := y.applies()
	made.wants(y.T, 0, "builder-lite-0", "reviewer-heavy-0", "as it should be now", "old credential builder-lite-0")
	y.applies().wants(y.T, 0, "nothing to do")
	for _, name := range []string{"builder-lite-0", "builder-lite-1", "reviewer-heavy-0"} {
		worker, forge := y.secret(name, workerToken), y.secret(name, forgeToken)
		if strings.Contains(made.out+made.errs, worker) || strings.Contains(made.out+made.errs, forge) {
			y.Error("a secret is printed")
		}
		var user struct {
			Login      string `json:"login"`
			Restricted bool   `json:"restricted"`
		}
		y.must(y.forge.Call(y.Context(), forge, http.MethodGet, "/user", nil, &user))
		if user.Login != name || !user.Restricted {
			y.Errorf("the token of %s is that of %+v", name, user)
		}
		if err := y.claims(worker); err != nil {
			y.Errorf("the credential of %s: %v", name, err)
		}
		for path, mode := range map[string]os.FileMode{"": 0o700 | os.ModeDir, workerToken: 0o600, forgeToken: 0o600} {
			info, err := os.Stat(filepath.Join(y.secrets, name, path))
			y.must(err)
			if info.Mode() != mode {
				y.Errorf("%s/%s is %v", name, path, info.Mode())
			}
		}
	}
}

func (y *shipyard) least() {
	builder, reviewer := y.secret("builder-lite-0", forgeToken), y.secret("reviewer-heavy-0", forgeToken)
	push := func(branch string) any { return map[string]any{"new_branch_name": branch, "old_branch_name": "main"} }
	for _, c := range []struct {
		rule   string
		token  string
		method string
		path   string
		in     any
		want   int
	}{
		{"a builder pushes a branch", builder, http.MethodPost, "/repos/acme/app/branches", push("work/1"), 200},
		{"and opens a pull request", builder, http.MethodPost, "/repos/acme/app/pulls", map[string]any{"head": "work/1", "base": "main", "title": "x"}, 201},
		{"a reviewer reads", reviewer, http.MethodGet, "/repos/acme/lib/pulls", nil, 200},
		{"and pushes nothing", reviewer, http.MethodPost, "/repos/acme/app/branches", push("work/2"), 403},
		{"nobody makes a repository", builder, http.MethodPost, "/user/repos", map[string]any{"name": "own"}, 403},
		{"nobody makes an organisation", builder, http.MethodPost, "/orgs", map[string]any{"username": "own"}, 403},
		{"nobody is let into the settings", builder, http.MethodPost, "/repos/acme/app/branch_protections", map[string]any{"rule_name": "x"}, 403},
	} {
		got := y.forgeSays(c.token, c.method, c.path, c.in)
		if got != c.want && (c.want >= 400 || got >= 400) && !(c.rule == "and opens a pull request" && got == http.StatusConflict) {
			y.Errorf("%s: %d", c.rule, got)
		}
	}
}

// everything is what there is of the coordinates, with all that stays secret.
func (y *shipyard) everything() string {
	y.Helper()
	var all []any
	for _, path := range []string{"/admin/users?limit=50", "/orgs/acme/teams"} {
		var list []map[string]any
		y.admin(http.MethodGet, path, nil, &list)
		for _, row := range list {
			delete(row, "last_login")
			delete(row, "units") // in any order; units_map says the same
		}
		all = append(all, list)
	}
	for _, name := range []string{"builder-lite-0", "builder-lite-1", "reviewer-heavy-0"} {
		all = append(all, name, y.secret(name, workerToken), y.secret(name, forgeToken))
	}
	data, err := json.MarshalIndent(all, "", " ")
	y.must(err)
	return string(data)
}

// outlivesModels is promise P1: what follows from coordinates names no model,
// and a swap changes none of it.
func (y *shipyard) outlivesModels() {
	y.configure(onCluster)
	defer y.configure("")
	manifests := func() string {
		got := y.apply("--manifests")
		got.wants(y.T, 0, `"kind": "StatefulSet"`)
		return got.out
	}
	before, rendered := y.everything(), manifests()
	y.configure("")
	y.pools(strings.Replace(crewText, "builder-lite-0: quick", "builder-lite-0: careful", 1))
	y.applies().wants(y.T, 0, "nothing to do")
	if diff := cmp.Diff(before, y.everything()); diff != "" {
		y.Errorf("identities before and after a swap: %s", diff)
	}
	y.configure(onCluster)
	if diff := cmp.Diff(rendered, manifests()); diff != "" {
		y.Errorf("manifests before and after a swap: %s", diff)
	}
	for _, word := range []string{"umbra", "glimmer", "solace", "obsidian", "quick", "careful"} {
		if strings.Contains(strings.ToLower(before+rendered), word) {
			y.Errorf("%q is named outside the pool config", word)
		}
	}
	y.pools(crewText)
}

func (y *shipyard) mends() {
	y.admin(http.MethodPatch, "/admin/users/builder-lite-1", map[string]any{"login_name": "builder-lite-1", "source_id": 0, "restricted": false}, nil)
	var teams []struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	y.admin(http.MethodGet, "/orgs/acme/teams", nil, &teams)
	for _, team := range teams {
		if team.Name == "reviewers" {
			y.admin(http.MethodPatch, fmt.Sprintf("/teams/%d", team.ID), map[string]any{"name": "reviewers", "permission": "write", "units_map": map[string]string{"repo.code": "write", "repo.pulls": "read"}}, nil)
			y.admin(http.MethodDelete, fmt.Sprintf("/teams/%d/repos/acme/lib", team.ID), nil, nil)
		}
	}
	y.must(os.Remove(filepath.Join(y.secrets, "builder-lite-1", workerToken)))
	y.applies().wants(y.T, 0, "account builder-lite-1: restricted: no → yes", "team acme/reviewers: access: another → read; repositories: acme/app → acme/app, acme/lib",
		"secrets builder-lite-1: worker credential: none → a new one")
	y.applies().wants(y.T, 0, "nothing to do")
	y.admin(http.MethodPatch, "/admin/users/builder-lite-1", map[string]any{"login_name": "builder-lite-1", "source_id": 0, "admin": true}, nil)
	y.applies().wants(y.T, 1, "it administers the whole forge")
	y.admin(http.MethodPatch, "/admin/users/builder-lite-1", map[string]any{"login_name": "builder-lite-1", "source_id": 0, "admin": false}, nil)
}

func (y *shipyard) rotates() {
	y.applies("--grace", "0s").wants(y.T, 0)
	worker, forge, other := y.secret("builder-lite-0", workerToken), y.secret("builder-lite-0", forgeToken), y.secret("builder-lite-1", workerToken)
	y.applies("--rotate", "builder-lite-0").wants(y.T, 0, "secrets builder-lite-0: worker credential: one to be replaced → a new one; forge token: one to be replaced → a new one",
		"old credential builder-lite-0", "old token builder-lite-0", "is good until")
	if y.secret("builder-lite-0", workerToken) == worker || y.secret("builder-lite-0", forgeToken) == forge || y.secret("builder-lite-1", workerToken) != other {
		y.Error("other secrets were replaced than those that were to be")
	}
	if err := y.claims(worker); err != nil {
		y.Errorf("the old credential within the grace: %v", err)
	}
	if got := y.forgeSays(forge, http.MethodGet, "/user", nil); got != http.StatusOK {
		y.Errorf("the old token within the grace: %d", got)
	}
	y.applies("--grace", "0s").wants(y.T, 0, "revoked: no → yes", "old token builder-lite-0")
	if err := y.claims(worker); err == nil {
		y.Error("the old credential is good after the grace")
	}
	if got := y.forgeSays(forge, http.MethodGet, "/user", nil); got != http.StatusUnauthorized {
		y.Errorf("the old token after the grace: %d", got)
	}
	if err := y.claims(y.secret("builder-lite-0", workerToken)); err != nil {
		y.Errorf("the new credential: %v", err)
	}
	y.applies("--rotate", "builder-lite-7").wants(y.T, 2, "no coordinate of the pool config")
}

// runs has the pools on a cluster, beside the folder with their secrets.
func (y *shipyard) runs() {
	y.write("kubeconfig", y.cluster())
	y.configure(onCluster)
	before := y.everything()
	y.apply().wants(y.T, 1, "StatefulSet builder-lite  (cluster main; takes an administrator of the cluster)")
	y.applies().wants(y.T, 0, "set Namespace builders: there: no → yes", "set StatefulSet reviewer-heavy", "secrets builder-lite-0: in the namespace builders of cluster main: none that is good → as in the folder")
	y.applies().wants(y.T, 0, "nothing to do")
	if diff := cmp.Diff(before, y.everything()); diff != "" {
		y.Errorf("who has an identity gets another: %s", diff)
	}
	secret, err := (*y.client).CoreV1().Secrets("builders").Get(y.Context(), "reviewer-heavy-0", metav1.GetOptions{})
	y.must(err)
	if got := string(secret.Data[workerToken]); got != y.secret("reviewer-heavy-0", workerToken) {
		y.Errorf("the pod is given another credential than the folder")
	}
	y.replicas(2)
}

// cluster starts one, and returns its kubeconfig's text.
func (y *shipyard) cluster() string {
	y.Helper()
	binaries, err := cluster.Find("", cluster.Kwok)
	y.must(err)
	started, err := cluster.Start(context.Background(), cluster.Config{Level: cluster.Kwok, Dir: filepath.Join(y.folder(), "kwok"), Binaries: binaries})
	y.must(err)
	y.whole.Cleanup(func() {
		if err := started.Stop(context.Background()); err != nil {
			y.whole.Error(err)
		}
	})
	admin, err := clientcmd.BuildConfigFromFlags("", started.Kubeconfig)
	y.must(err)
	*y.client, err = kubernetes.NewForConfig(admin)
	y.must(err)
	text, err := os.ReadFile(started.Kubeconfig)
	y.must(err)
	return string(text)
}

func (y *shipyard) replicas(want int32) {
	y.Helper()
	set, err := (*y.client).AppsV1().StatefulSets("builders").Get(y.Context(), "builder-lite", metav1.GetOptions{})
	y.must(err)
	if *set.Spec.Replicas != want {
		y.Errorf("builder-lite has %d replicas, want %d", *set.Spec.Replicas, want)
	}
}

func (y *shipyard) removes() {
	a := seat("builder-lite-1")
	worker, forge := y.secret("builder-lite-1", workerToken), y.secret("builder-lite-1", forgeToken)
	y.applies("--remove", "builder-lite-1").wants(y.T, 1, "it stands in the pool config")
	y.slipway("work", "submit", "acme/app", "--title", "x", "--selector", "builder-lite-1").wants(y.T, 0)
	client, err := server.NewClient(y.url, worker)
	y.must(err)
	g, err := client.Claim(y.Context(), dispatcher.ClaimRequest{Request: "removes", Wait: 20})
	if err != nil || g == nil {
		y.Fatalf("%v, %v", g, err)
	}
	y.pools(strings.Replace(crewText, "  builder-lite-1: quick\n", "", 1))
	y.applies().wants(y.T, 0, "builder-lite-1 is left over", "--remove builder-lite-1 --yes", "StatefulSet builder-lite keeps the pod of builder-lite-1", "nothing to do")
	y.applies("--remove", "builder-lite-1").wants(y.T, 1, "it is at work", "slipway pools drain builder-lite-1")
	y.replicas(2)
	y.must(client.Fail(y.Context(), g.Attempt, dispatcher.Failure{Beat: dispatcher.Beat{Token: g.Token, Phase: dispatcher.Running}, Reason: "enough", Final: true}))
	y.applies("--remove", "builder-lite-1").wants(y.T, 0, "remove builder-lite-1: account", "remove builder-lite-1: secrets in the namespace builders")
	y.replicas(1)
	if err := y.claims(worker); err == nil {
		y.Error("its credential is good still")
	}
	if got := y.forgeSays(forge, http.MethodGet, "/user", nil); got != http.StatusUnauthorized && got != http.StatusForbidden {
		y.Errorf("its token: %d", got)
	}
	if _, err := os.Stat(filepath.Join(y.secrets, a.String())); err == nil {
		y.Error("its secrets are there still")
	}
	y.applies("--remove", "builder-lite-1").wants(y.T, 0, "nothing to do")
	y.applies().wants(y.T, 0, "nothing to do")
}
