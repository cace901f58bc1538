package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/config"
	"slipway/test/servers/gitea"
	cluster "slipway/test/servers/kubernetes"
)

const onboardedPolicy = `version: 1
gate:
  approvals: {count: 2, from: {people: [carol, dave]}}
  checks:
    - {context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test}
  hold_labels: [hold]
post_merge:
  checks:
    - {context: "ci / test (push)", workflow: .gitea/workflows/ci.yml, job: test}
build: {main: .}
deploy:
  environment: production
  cluster: main
  namespace: harbour
  deployment: app
  container: app
  health: {port: 8080, path: /version, field: revision}
`

// quay is a Gitea and a cluster in which nobody has set anything up for
// Slipway, with people who could.
type quay struct {
	*testing.T
	forge      *gitea.Server
	cluster    *cluster.Cluster
	owner      gitea.Account
	config     string
	listen     string
	kubernetes kubernetes.Interface
}

func newQuay(t *testing.T) *quay {
	t.Helper()
	q := &quay{T: t}
	binaries, err := gitea.FindBinaries("")
	q.must(err)
	q.forge, err = gitea.Start(t.Context(), gitea.Config{Binaries: binaries, Dir: t.TempDir(), Tuned: true})
	q.must(err)
	t.Cleanup(func() {
		if err := q.forge.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	nodes, err := cluster.Find("", cluster.Kwok)
	q.must(err)
	q.cluster, err = cluster.Start(context.WithoutCancel(t.Context()), cluster.Config{Level: cluster.Kwok, Dir: filepath.Join(t.TempDir(), "kwok"), Binaries: nodes})
	q.must(err)
	t.Cleanup(func() {
		if err := q.cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	q.people()
	q.configure()
	return q
}

func (q *quay) must(err error) {
	q.Helper()
	if err != nil {
		q.Fatal(err)
	}
}

// people makes an organisation with its owner, a repository with a policy, and
// accounts that have no right to it yet.
func (q *quay) people() {
	q.Helper()
	for _, login := range []string{"owen", "carol", "dave"} {
		account, err := q.forge.CreateUser(q.Context(), login, gitea.Person)
		q.must(err)
		if login == "owen" {
			q.owner = account
		}
	}
	var err error
	q.owner.Token, err = q.forge.Token(q.Context(), q.owner)
	q.must(err)
	bot, err := q.forge.CreateUser(q.Context(), "slipway-bot", gitea.Bot)
	q.must(err)
	token, err := q.forge.Token(q.Context(), bot, "write:repository", "write:issue", "write:package", "read:user")
	q.must(err)
	q.Setenv("QUAY_FORGE_TOKEN", token)
	q.Setenv("QUAY_HOOK_SECRET", "a-hook-secret")
	q.Setenv("QUAY_OWNER_TOKEN", q.owner.Token)
	q.Setenv("SLIPWAY_TEST_TOKEN", "secret")
	q.asOwner(http.MethodPost, "/orgs", map[string]any{"username": "harbour", "visibility": "public"}, nil)
	q.asOwner(http.MethodPost, "/orgs/harbour/repos", map[string]any{"name": "app", "auto_init": true, "default_branch": "main"}, nil)
	q.asOwner(http.MethodPost, "/repos/harbour/app/contents/.slipway.yaml", map[string]any{
		"branch": "main", "message": "chore: a policy", "content": base64.StdEncoding.EncodeToString([]byte(onboardedPolicy)),
	}, nil)
}

// configure writes slipway.yaml, with an account of the cluster that may
// nothing yet.
func (q *quay) configure() {
	q.Helper()
	admin, err := clientcmd.BuildConfigFromFlags("", q.cluster.Kubeconfig)
	q.must(err)
	q.kubernetes, err = kubernetes.NewForConfig(admin)
	q.must(err)
	_, err = q.kubernetes.CoreV1().Namespaces().Create(q.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "slipway"}}, metav1.CreateOptions{})
	q.must(err)
	_, err = q.kubernetes.CoreV1().ServiceAccounts("slipway").Create(q.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "slipway"}}, metav1.CreateOptions{})
	q.must(err)
	kubeconfig, err := q.cluster.ServiceAccountKubeconfig(q.Context(), "slipway", "slipway")
	q.must(err)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	q.must(err)
	q.listen = free.Addr().String()
	q.must(free.Close())
	q.config = filepath.Join(q.TempDir(), "slipway.yaml")
	q.must(os.WriteFile(q.config, fmt.Appendf(nil, `listen: %s
external_url: http://%s
store: {path: %q}
tokens:
  - {name: ops, role: operator, token: {env: SLIPWAY_TEST_TOKEN}}
  - {name: dash, role: reader, token: {env: SLIPWAY_TEST_TOKEN_2}, scopes: [read], expires: 2036-01-01T00:00:00Z}
roles:
  - {role: operator, people: [owen], teams: [harbour/sre]}
forges:
  - {name: gitea, kind: gitea, url: %q, login: slipway-bot, token: {env: QUAY_FORGE_TOKEN}, webhook_secret: {env: QUAY_HOOK_SECRET}}
registries:
  - {name: gitea, host: %q, insecure: true, username: slipway-bot, password: {env: QUAY_FORGE_TOKEN}}
clusters:
  - {name: main, kubeconfig: %q, simulated: true}
identities: {people: [carol, dave]}
repositories:
  - {repo: harbour/app, forge: gitea, registry: gitea, namespaces: {main: [harbour]}}
`, q.listen, q.listen, filepath.Join(q.TempDir(), "data"), q.forge.URL(), q.forge.Registry(), kubeconfig), 0o600))
	q.Setenv("SLIPWAY_TEST_TOKEN_2", "another")
}

func (q *quay) asOwner(method, path string, in, out any) {
	q.Helper()
	if err := q.forge.Call(q.Context(), q.owner.Token, method, path, in, out); err != nil {
		q.Fatal(err)
	}
}

// everything is what onboarding could write, but for what a server is free to
// order as it likes.
func (q *quay) everything() map[string]int {
	q.Helper()
	all := map[string]int{}
	for _, path := range []string{
		"/repos/harbour/app/branch_protections", "/repos/harbour/app/tag_protections", "/repos/harbour/app/hooks",
		"/repos/harbour/app/labels", "/repos/harbour/app/collaborators", "/orgs/harbour/teams", "/orgs/harbour/members",
	} {
		var rows []json.RawMessage
		q.asOwner(http.MethodGet, path, nil, &rows)
		all[path] = len(rows)
	}
	namespaces, err := q.kubernetes.CoreV1().Namespaces().List(q.Context(), metav1.ListOptions{})
	q.must(err)
	roles, err := q.kubernetes.RbacV1().Roles("harbour").List(q.Context(), metav1.ListOptions{})
	q.must(err)
	all["namespaces"], all["roles"] = len(namespaces.Items), len(roles.Items)
	return all
}

// onboard runs the command, with everybody's rights if asked.
func (q *quay) onboard(t *testing.T, rights bool, args ...string) said {
	t.Helper()
	args = append([]string{"onboard", "harbour/app", "--config", q.config}, args...)
	if rights {
		args = append(args, "--forge-token-env", "QUAY_OWNER_TOKEN", "--kubeconfig", q.cluster.Kubeconfig)
	}
	s := command(t, args...)
	for _, secret := range []string{q.owner.Token, os.Getenv("QUAY_FORGE_TOKEN"), "a-hook-secret"} {
		if strings.Contains(s.out+s.errs, secret) {
			t.Error("a secret is printed")
		}
	}
	return s
}

func TestOnboardingOnARealGiteaAndCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Gitea and a cluster")
	}
	q := newQuay(t)
	before := q.everything()

	t.Run("without rights, all is listed for those who have them", func(t *testing.T) {
		s := q.onboard(t, false, "--yes")
		s.wants(t, exitRefused, "--forge-token-env", "--kubeconfig FILE", "branch main", "role main/harbour", "left to be done")
		if strings.Contains(s.out, "✔") {
			t.Errorf("something was done: %s", s.out)
		}
	})
	t.Run("a dry run shows it and writes nothing", func(t *testing.T) {
		q.onboard(t, true, "--dry-run").wants(t, exitRefused, "Nothing was written", "who may merge: whoever may write → slipway-bot",
			"required checks: none → ci / test (pull_request)", "team reviewers-app", "role main/harbour")
		q.onboard(t, true).wants(t, exitRefused, "Nothing was written")
		if diff := cmp.Diff(before, q.everything()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("killed in the middle, it is continued", func(t *testing.T) {
		q.killed(t)
		q.onboard(t, true, "--yes").wants(t, exitDone, "owen set", "is as it should be now")
	})
	t.Run("a second run has nothing to do", func(t *testing.T) {
		after := q.everything()
		q.onboard(t, true, "--yes").wants(t, exitDone, "there is nothing to do")
		q.onboard(t, false, "--yes").wants(t, exitDone, "there is nothing to do")
		if diff := cmp.Diff(after, q.everything()); diff != "" {
			t.Error(diff)
		}
		var r report
		if err := json.Unmarshal([]byte(q.onboard(t, true, "--json").out), &r); err != nil || r.Actor != "owen" || len(r.Steps)+len(r.Left) > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("the doctor finds what was changed by hand, and onboard mends it", q.doctored)
}

// killed runs the command as a process of its own and kills it at its first
// step.
func (q *quay) killed(t *testing.T) {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), me, "onboard", "harbour/app", "--config", q.config, "--yes",
		"--forge-token-env", "QUAY_OWNER_TOKEN", "--kubeconfig", q.cluster.Kubeconfig)
	cmd.Env = append(os.Environ(), "SLIPWAY_TEST_MAIN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	reached := false
	for lines.Scan() && !reached {
		reached = strings.HasPrefix(lines.Text(), "✔")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !reached {
		t.Errorf("it was not killed in the middle: %v", err)
	}
}

// doctored changes things by hand while a server runs.
func (q *quay) doctored(t *testing.T) {
	conf, faults := config.LoadServer(q.config)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, conf, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	doctor := func() said { return command(t, "doctor", "--server", "http://"+q.listen) }
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		if s := doctor(); !strings.Contains(s.errs, "refused") || limit.Err() != nil {
			tick.Stop()
			break
		}
	}
	if s := doctor(); strings.Contains(s.out, "set-up of") {
		t.Fatalf("before anything was changed: %s%s", s.out, s.errs)
	}
	repo := "/repos/harbour/app"
	q.asOwner(http.MethodDelete, repo+"/branch_protections/main", nil, nil)
	var hooks []struct {
		ID int64 `json:"id"`
	}
	q.asOwner(http.MethodGet, repo+"/hooks", nil, &hooks)
	q.asOwner(http.MethodDelete, fmt.Sprintf("%s/hooks/%d", repo, hooks[0].ID), nil, nil)
	var labels []struct {
		ID int64 `json:"id"`
	}
	q.asOwner(http.MethodGet, repo+"/labels", nil, &labels)
	for _, l := range labels {
		q.asOwner(http.MethodDelete, fmt.Sprintf("%s/labels/%d", repo, l.ID), nil, nil)
	}
	doctor().wants(t, exitRefused, "set-up of harbour/app: branch main", "set-up of harbour/app: webhook: address: no webhook",
		"set-up of harbour/app: label hold", "mend: slipway onboard harbour/app --config slipway.yaml --yes")
	q.onboard(t, false, "--yes").wants(t, exitDone, "slipway-bot set branch main")
	if s := doctor(); strings.Contains(s.out, "set-up of") {
		t.Errorf("after it was mended: %s", s.out)
	}

	q.asOwner(http.MethodPut, repo+"/collaborators/slipway-bot", map[string]string{"permission": "write"}, nil)
	doctor().wants(t, exitRefused, "collaborator slipway-bot: access: write (should be admin)", "--forge-token-env ADMIN_TOKEN")
	q.onboard(t, true, "--yes").wants(t, exitDone)
	if s := doctor(); strings.Contains(s.out, "set-up of") {
		t.Errorf("after the bot was given its right: %s", s.out)
	}
}

func TestDoctorPrintsTheAuthorisationTable(t *testing.T) {
	command(t, "doctor", "--table").wants(t, exitDone, "deploy.rollback", "emergency", "lift a hold", "--config slipway.yaml")
	t.Setenv("SLIPWAY_TEST_TOKEN", "one")
	path := filepath.Join(t.TempDir(), "slipway.yaml")
	if err := os.WriteFile(path, []byte(`listen: 127.0.0.1:8480
store: {path: data}
tokens:
  - {name: dash, role: reader, token: {env: SLIPWAY_TEST_TOKEN}, scopes: [read], expires: 2036-01-01T00:00:00Z}
roles:
  - {role: operator, people: [ada], teams: [acme/sre]}
forges:
  - {name: gitea, kind: gitea, url: "http://127.0.0.1:1", login: slipway, token: {env: SLIPWAY_TEST_TOKEN}, webhook_secret: {env: SLIPWAY_TEST_TOKEN}}
registries:
  - {name: gitea, host: "127.0.0.1:1"}
clusters:
  - {name: main, in_cluster: true}
repositories:
  - {repo: acme/app, forge: gitea, registry: gitea, namespaces: {main: [acme]}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "doctor", "--table", "--config", path).wants(t, exitDone,
		"the API token dash, for read only, until 2036-01-01T00:00:00Z", "operator  ada", "operator  the team acme/sre")
}

func TestOnboardWantsToKnowWhatIsAskedOfIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"no repository", []string{"onboard"}, "wants one repository"},
		{"no configuration", []string{"onboard", "acme/app"}, "it wants --config slipway.yaml"},
		{"no file", []string{"onboard", "acme/app", "--config", path}, "cannot be read"},
		{"done and not done", []string{"onboard", "acme/app", "--config", path, "--dry-run", "--yes"}, "either --dry-run or --yes"},
		{"a server", []string{"onboard", "acme/app", "--config", path, "--server", "http://127.0.0.1:1"}, "and no --server"},
		{"no repository's name", []string{"onboard", "app", "--config", path}, "app"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { command(t, test.args...).wants(t, exitUsage, test.says) })
	}
}
