//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
	"slipway/internal/worker"
	"slipway/pools"
	"slipway/test/servers/gitea"
)

// counter is a server with one item, as a worker meets it over HTTP.
type counter struct {
	mu    sync.Mutex
	grant *dispatcher.Grant
	said  map[string]json.RawMessage // by the last part of the path
	wrong []string
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer slipway_w_secret" {
		c.wrong = append(c.wrong, r.URL.Path)
	}
	call := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		c.wrong = append(c.wrong, err.Error())
	}
	c.said[call] = body
	switch {
	case call == "claim" && c.grant != nil:
		_ = json.NewEncoder(w).Encode(c.grant) // a client that has gone shows elsewhere
		c.grant = nil
	case call == "heartbeat":
		_ = json.NewEncoder(w).Encode(dispatcher.Pulse{Until: time.Now().Add(time.Minute)})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// TestBuilderProcess has slipway itself, as a process, do one item at a real
// Gitea.
func TestBuilderProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Gitea")
	}
	ctx := deadline(t)
	binaries, err := gitea.FindBinaries("")
	if err != nil {
		t.Fatal(err)
	}
	forge, err := gitea.Start(ctx, gitea.Config{Binaries: binaries, Dir: t.TempDir(), Tuned: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := forge.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	account, err := forge.CreateUser(ctx, "builder-lite-0", gitea.Person)
	for _, step := range []func() error{
		func() error { return err },
		func() error {
			account.Token, err = forge.Token(ctx, account, "write:repository", "read:user")
			return err
		},
		func() error { return forge.CreateOrg(ctx, "acme") },
		func() error { return forge.CreateRepo(ctx, "acme", "app", true) },
		func() error { return forge.SetCollaborator(ctx, "acme", "app", account.Login, gitea.Write) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	repo := ref.RepoID{Owner: "acme", Name: "app"}
	desk := &counter{said: map[string]json.RawMessage{}, grant: &dispatcher.Grant{
		Attempt: 4, Token: 9, Item: 17, Builder: pools.Address{Role: "builder", Tier: "lite"}, Kind: dispatcher.Build, Repo: repo, Base: "main",
		Branch: "work/17-builder-lite-0", Title: "Add a file", Spec: "Add it.", Try: 1, Until: time.Now().Add(time.Minute), Deadline: time.Now().Add(time.Hour), Beat: 20, Lease: 60,
	}}
	api := httptest.NewServer(desk)
	defer api.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, "--server", api.URL, "--json", "builder", "--as", "builder-lite-0", "--forge", forge.URL(), "--dir", t.TempDir(), "--once",
		"--", "/bin/sh", "-euc", `cat "$SLIPWAY_SPEC_FILE" > file; env >> file; echo '{"input_tokens":5}' >> "$SLIPWAY_REPORT_FILE"; git add file; git commit -qm 'feat: add a file'`)
	cmd.Env = []string{"SLIPWAY_TEST_MAIN=1", "SLIPWAY_TOKEN=slipway_w_secret", "SLIPWAY_FORGE_TOKEN=" + account.Token, "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, errs.String())
	}
	var happened []string
	for line := range strings.Lines(string(out)) {
		var e worker.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("it prints %q: %v", line, err)
		}
		happened = append(happened, e.What)
	}
	if got := strings.Join(happened, " "); got != "claimed preparing running ended publishing pushed registered done" {
		t.Errorf("it tells of %s", got)
	}
	var pulls []struct {
		Number int64
		User   struct{ Login string }
		Head   struct{ SHA ref.SHA }
	}
	if err := forge.Call(ctx, account.Token, http.MethodGet, "/repos/acme/app/pulls", nil, &pulls); err != nil || len(pulls) != 1 || pulls[0].User.Login != "builder-lite-0" {
		t.Fatalf("there are %+v, %v", pulls, err)
	}
	var registered dispatcher.Registration
	var completed dispatcher.Completion
	if err := json.Unmarshal(desk.said["register"], &registered); err != nil || registered != (dispatcher.Registration{Token: 9, Pull: ref.PullID{Repo: repo, Number: pulls[0].Number}, Head: pulls[0].Head.SHA}) {
		t.Errorf("it registered %s, %v", desk.said["register"], err)
	}
	if err := json.Unmarshal(desk.said["complete"], &completed); err != nil || completed.Token != 9 || completed.Tokens.Input != 5 {
		t.Errorf("it completed with %s, %v", desk.said["complete"], err)
	}
	if len(desk.wrong) > 0 {
		t.Errorf("it came without its credential: %v", desk.wrong)
	}
	client, err := forge.Client(ctx, account.Token)
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := client.GetFile("acme", "app", "work/17-builder-lite-0", "file")
	if err != nil || !strings.HasPrefix(string(file), "Add it.") || strings.Contains(string(file), "secret") || strings.Contains(string(file), account.Token) {
		t.Errorf("the command saw %s, %v", file, err)
	}
}
