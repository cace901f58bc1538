package e2e_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/test/servers/github"
	"slipway/test/servers/process"
	"slipway/test/stage"
)

// hub is a repository on a stand-in for GitHub whose Slipway is an App there.
// Its images and its Deployment are on the stage.
type hub struct {
	*place
	*github.Server
	people map[string]*github.Account
	id     ref.RepoID
	config string // the path of slipway.yaml
	env    []string
}

// TestGitHub sets a repository on GitHub up with the command, and takes a
// change from its pull request to its (simulated) health.
func TestGitHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var done change.Change
	for _, step := range []struct {
		rule string
		do   func(*hub)
	}{
		{"onboard shows, does, and has nothing left to do", (*hub).onboards},
		{"serve comes up, and the doctor finds no fault", (*hub).serves},
		{"a check that any job could have reported does not count", (*hub).forges},
		{"a change is merged at the judged head and ends simulated", func(h *hub) { done = h.ships() }},
		{"its tag, its page, its status and its receipt are on GitHub", func(h *hub) { h.left(done) }},
		{"an approval of somebody who lost the right does not count", (*hub).rights},
		{"what was set up and is changed by hand is found", (*hub).drifts},
	} {
		if !t.Run(step.rule, func(t *testing.T) { q := *h; q.place = h.in(t); step.do(&q) }) {
			return // what follows builds on it
		}
	}
}

func newHub(t *testing.T) *hub {
	t.Helper()
	api, err := github.Describe("", true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shared.stage()
	if err != nil {
		t.Fatalf("set up the stage: %v", err)
	}
	h := &hub{place: &place{T: t, stage: s, up: new(atomic.Pointer[stage.Slipway])}, people: map[string]*github.Account{},
		id: ref.RepoID{Owner: stage.Org, Name: fmt.Sprintf("hub-%d", shared.places.Add(1))}}
	var mu sync.Mutex
	if h.Server, err = github.Start(t.Context(), github.Config{Dir: t.TempDir(), API: api, OnViolation: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		t.Errorf("against GitHub's description: %v", err)
	}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if h.log, err = os.Create(filepath.Join(t.TempDir(), "slipway.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.tidy)
	h.settle()
	h.configure()
	return h
}

// settle makes the repository with the files of a project of the stage, and
// its people.
func (h *hub) settle() {
	h.Helper()
	files := map[string]string{}
	onGitHub := strings.NewReplacer(".gitea/", ".github/")
	ctx, cancel := context.WithTimeout(h.Context(), upLimit)
	defer cancel()
	var err error
	h.project, err = h.stage.NewProject(ctx, stage.Draft{Name: h.id.Name, Hook: "http://127.0.0.1:1/none", Edit: func(name, content string) string {
		files[onGitHub.Replace(name)] = onGitHub.Replace(content)
		return content
	}})
	if err != nil {
		h.Fatal(err)
	}
	org := h.CreateOrg(stage.Org)
	h.must(h.CreateRepo(h.id, false))
	for login, right := range map[string]string{"alice": "write", "bob": "write", "carol": "write", "olga": "admin"} {
		h.people[login] = h.CreateUser(login)
		h.SetCollaborator(h.id, login, right)
	}
	_, err = h.Push(h.id, org.Login, "main", github.Commit{Message: "chore: begin", Files: files})
	h.must(err)
}

// configure makes the App and writes slipway.yaml.
func (h *hub) configure() {
	h.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	h.must(err)
	app := h.CreateApp("slipway", stage.Org, map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "statuses": "write",
		"checks": "read", "actions": "read", "administration": "write", "repository_hooks": "read",
	}, &key.PublicKey)
	listen, err := stage.FreeAddress(h.Context())
	h.must(err)
	dir := h.TempDir()
	h.config = filepath.Join(dir, "slipway.yaml")
	pemFile := filepath.Join(dir, "app.pem")
	h.must(os.WriteFile(pemFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	cache, err := os.UserCacheDir()
	h.must(err)
	h.must(os.WriteFile(h.config, fmt.Appendf(nil, `listen: %s
external_url: http://%s
store: {path: %q}
resync: {active: 20s, idle: 5m}
tokens:
  - {name: operator, role: operator, token: {env: SLIPWAY_TOKEN}}
forges:
  - name: github
    kind: github
    url: %s
    login: slipway[bot]
    app: {id: %d, installation: %d, private_key: {file: %q}}
    webhook_secret: {env: WEBHOOK_SECRET}
registries:
  - {name: gitea, host: %q, insecure: true, username: %s, password: {env: REGISTRY_TOKEN}}
clusters:
  - {name: main, kubeconfig: %q, simulated: true}
identities: {people: [alice, bob, carol]}
build: {gocache: %q}
repositories:
  - {repo: %s, forge: github, registry: gitea, image: %s, namespaces: {main: [%s]}}
`, listen, listen, filepath.Join(dir, "data"), h.URL(), app.ID, app.Installation, pemFile, h.stage.Forge.Registry(), h.stage.Bot.Login,
		h.stage.Kubeconfig, filepath.Join(cache, "slipway", "build"), h.id, h.id, stage.Org), 0o600))
	h.serving.Listen = listen
	h.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SLIPWAY_TOKEN=" + h.stage.Token(), "WEBHOOK_SECRET=" + h.stage.Secret(),
		"REGISTRY_TOKEN=" + h.stage.Bot.Token}
}

func (h *hub) onboards() {
	asOwner := append([]string{"OWNER_TOKEN=" + h.people["olga"].Token}, h.env...)
	onboard := func(more ...string) ran {
		return runSlipway(h.T, asOwner, append([]string{"onboard", h.id.String(), "--config", h.config, "--forge-token-env", "OWNER_TOKEN",
			"--kubeconfig", h.stage.Cluster.Kubeconfig}, more...)...)
	}
	onboard("--dry-run").wants(h.T, 1, "Nothing was written", "branch main", "webhook")
	var hooks []any
	h.must(h.Call(h.Context(), h.people["olga"].Token, http.MethodGet, "/repos/"+h.id.String()+"/hooks", nil, &hooks))
	if len(hooks) != 0 {
		h.Errorf("a dry run made a webhook: %v", hooks)
	}
	onboard("--yes").wants(h.T, 0, "is as it should be now")
	onboard("--yes").wants(h.T, 0, "there is nothing to do")
}

func (h *hub) serves() {
	p, err := process.Start(process.Spec{Name: "slipway", Path: shared.binary, Args: []string{"serve", "--config", h.config},
		Dir: filepath.Dir(h.config), Log: h.log, Env: h.env})
	h.must(err)
	address := "http://" + h.serving.Listen
	client, err := server.NewClient(address, h.stage.Token())
	h.must(err)
	h.up.Store(&stage.Slipway{Process: p, Client: client, Config: h.config, Address: address, Env: h.env})
	h.until(time.Minute, "slipway to be ready", func(ctx context.Context) error {
		select {
		case <-p.Done():
			h.Fatalf("slipway ended: %v\n%s", p.Ended(), h.said())
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return errors.Join(fmt.Errorf("it answers %s", response.Status), response.Body.Close())
		}
		return response.Body.Close()
	})
	h.adopt()
	h.command("doctor").wants(h.T, 0, "no faults found")
}

// proposes opens alice's pull request, and gives its head.
func (h *hub) proposes(branch, title string) (ref.PullID, ref.SHA) {
	h.Helper()
	head, err := h.Push(h.id, "alice", branch, github.Commit{Message: title, Files: map[string]string{branch + ".txt": title + "\n"}})
	h.must(err)
	var made struct{ Number int64 }
	h.as("alice", http.MethodPost, "/pulls", map[string]any{"title": title, "head": branch, "base": "main"}, &made)
	return ref.PullID{Repo: h.id, Number: made.Number}, head
}

func (h *hub) reviews(id ref.PullID, event string, who ...string) {
	h.Helper()
	for _, login := range who {
		h.as(login, http.MethodPost, fmt.Sprintf("/pulls/%d/reviews", id.Number), map[string]any{"event": event, "body": "Reads well."}, nil)
	}
}

// ci runs the project's workflow on a commit.
func (h *hub) ci(sha ref.SHA, branch, event, conclusion string) {
	h.RunCI(h.id, github.Run{Workflow: "ci", Path: ".github/workflows/ci.yml", Event: event, Branch: branch, SHA: sha,
		Jobs: []github.Job{{Name: "test", Conclusion: conclusion}}})
}

func (h *hub) as(login, method, path string, in, out any) {
	h.Helper()
	h.must(h.Call(h.Context(), h.people[login].Token, method, "/repos/"+h.id.String()+path, in, out))
}

// forges posts the required check as somebody who may write, and as a job of
// another workflow.
func (h *hub) forges() {
	id, head := h.proposes("forged", "feat: forged")
	h.as("alice", http.MethodPost, "/statuses/"+string(head), map[string]any{"state": "success", "context": stage.Check}, nil)
	h.RunCI(h.id, github.Run{Workflow: "ci", Path: ".github/workflows/mine.yml", Event: "pull_request", Branch: "forged", SHA: head,
		Jobs: []github.Job{{Name: "test", Conclusion: "success"}}})
	h.reviews(id, "APPROVE", "bob", "carol")
	c := h.wait(id, lookLimit, "the approvals to count and the check not to", func(c change.Change) error {
		codes := []gate.Code{}
		for _, r := range c.Verdict {
			codes = append(codes, r.Code)
		}
		if c.Head != head || slices.Contains(codes, gate.CodeApprovals) || !slices.ContainsFunc(codes, func(code gate.Code) bool {
			return code == gate.CodeCheckForeign || code == gate.CodeCheckMissing
		}) {
			return errors.New(standing(c))
		}
		return nil
	})
	if c.MergeSHA != "" {
		h.Errorf("it was merged: %s", standing(c))
	}
	h.as("alice", http.MethodPatch, fmt.Sprintf("/pulls/%d", id.Number), map[string]any{"state": "closed"}, nil)
}

func (h *hub) ships() change.Change {
	id, head := h.proposes("greet", "feat: greet people by name")
	h.ci(head, "greet", "pull_request", "success")
	h.reviews(id, "APPROVE", "bob", "carol")
	c := h.wait(id, changeLimit, "its merge", func(c change.Change) error {
		if c.MergeSHA == "" {
			return errors.New(standing(c))
		}
		return nil
	})
	if c.Head != head {
		h.Errorf("the judged head is %s, not %s", c.Head, head)
	}
	h.ci(c.MergeSHA, "main", "push", "success")
	return h.ended(id, change.OutcomeSimulated)
}

func (h *hub) left(c change.Change) {
	evidenced(h.T, c)
	var tag struct{ Object struct{ SHA, Type string } }
	h.as("olga", http.MethodGet, "/git/ref/tags/"+string(c.Tag), nil, &tag)
	if tag.Object.Type != "tag" {
		h.Errorf("the tag is not an annotated one: %+v", tag)
	}
	var page struct{ Body string }
	h.as("olga", http.MethodGet, "/releases/tags/"+string(c.Tag), nil, &page)
	if !strings.Contains(page.Body, "greet people by name") {
		h.Errorf("the release page: %q", page.Body)
	}
	var status struct {
		Statuses []struct{ Context, State, Description string }
	}
	h.as("olga", http.MethodGet, "/commits/"+string(c.Head)+"/status", nil, &status)
	if len(status.Statuses) != 1 || status.Statuses[0].Context != gate.StatusContext || status.Statuses[0].State != "success" {
		h.Errorf("the statuses of the head: %+v", status)
	}
	note := h.git("notes", "--ref", "slipway", "show", string(c.MergeSHA))
	for _, want := range []string{string(c.Head), "bob", "carol", "signature"} {
		if !strings.Contains(note, want) {
			h.Errorf("the receipt does not name %q:\n%s", want, note)
		}
	}
	h.command("explain", c.ID.String()).wants(h.T, 0, c.Version, "approved by bob")
	h.command("journal", "verify").wants(h.T, 0, "whole: ")
}

// git runs git on a copy of the repository as anybody can fetch it.
func (h *hub) git(args ...string) string {
	h.Helper()
	dir := h.TempDir()
	run := func(args ...string) string {
		cmd := exec.CommandContext(h.Context(), "git", append([]string{"-C", dir}, args...)...) //nolint:gosec // the test names them
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			h.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("clone", "-q", "--mirror", h.URL()+"/"+h.id.String()+".git", ".")
	return run(args...)
}

// rights takes an approver's right away while nothing else happens.
func (h *hub) rights() {
	id, head := h.proposes("removed", "feat: removed")
	h.reviews(id, "APPROVE", "bob", "carol")
	lacks := func(c change.Change, code gate.Code) bool {
		return slices.ContainsFunc(c.Verdict, func(r change.Reason) bool { return r.Code == code })
	}
	h.wait(id, lookLimit, "both approvals to count", func(c change.Change) error {
		if c.Head != head || lacks(c, gate.CodeApprovals) || !lacks(c, gate.CodeCheckMissing) {
			return errors.New(standing(c))
		}
		return nil
	})
	h.SetCollaborator(h.id, "carol", "")
	h.ci(head, "removed", "pull_request", "success")
	c := h.wait(id, lookLimit, "one approval to count no more", func(c change.Change) error {
		if lacks(c, gate.CodeCheckMissing) || !lacks(c, gate.CodeApprovals) {
			return errors.New(standing(c))
		}
		return nil
	})
	if c.MergeSHA != "" {
		h.Errorf("it was merged: %s", standing(c))
	}
}

// drifts takes the protection away by hand.
func (h *hub) drifts() {
	var sets []struct {
		ID   int64
		Name string
	}
	h.as("olga", http.MethodGet, "/rulesets", nil, &sets)
	for _, s := range sets {
		h.as("olga", http.MethodDelete, fmt.Sprintf("/rulesets/%d", s.ID), nil, nil)
	}
	if len(sets) < 3 {
		h.Errorf("onboarding left the rulesets %v", sets)
	}
	h.command("doctor").wants(h.T, 1, "set-up of "+h.id.String(), "branch main")
}

func (h *hub) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}
