package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/internal/store"
)

// TestMain is slipway itself where a test starts it as a process of its own.
func TestMain(m *testing.M) {
	supervisor := slices.Contains(os.Args, "--supervise") // which has no environment
	if os.Getenv("SLIPWAY_TEST_MAIN") != "" || supervisor {
		main()
		return
	}
	os.Exit(m.Run())
}

// said is what a command printed, and how it ended.
type said struct {
	code      int
	out, errs string
}

// command runs slipway with an environment that names no server.
func command(t *testing.T, args ...string) said {
	t.Helper()
	t.Setenv("SLIPWAY_SERVER", "")
	t.Setenv("SLIPWAY_TOKEN", "secret")
	var out, errs bytes.Buffer
	code := run(t.Context(), args, &out, &errs)
	return said{code, out.String(), errs.String()}
}

func (s said) wants(t *testing.T, code int, words ...string) {
	t.Helper()
	if s.code != code {
		t.Errorf("it ended with %d, want %d: %s%s", s.code, code, s.out, s.errs)
	}
	for _, w := range words {
		if !strings.Contains(s.out+s.errs, w) {
			t.Errorf("it does not say %q: %s%s", w, s.out, s.errs)
		}
	}
}

func TestBadUsage(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "slipway.yaml")
	nobody := "--server=http://127.0.0.1:1"
	for _, c := range []struct {
		rule string
		args []string
		code int
		says string
	}{
		{"an unknown command", []string{"launch"}, 2, `no command "launch"`},
		{"an unknown flag", []string{"changes", "--all"}, 2, "--all"},
		{"an unknown flag of slipway itself", []string{"--all"}, 2, "--all"},
		{"an unknown command of deploy", []string{"deploy", "launch"}, 2, "slipway deploy wants one of its commands"},
		{"an unknown command of journal", []string{"journal", "edit"}, 2, "slipway journal wants one of its commands"},
		{"an argument to changes", []string{"changes", "acme/app"}, 2, "slipway changes wants no arguments"},
		{"an argument to serve", []string{"serve", "now"}, 2, "slipway serve wants no arguments"},
		{"an argument to doctor", []string{"doctor", "all"}, 2, "slipway doctor wants no arguments"},
		{"an argument to demo", []string{"demo", "ship"}, 2, "slipway demo wants no arguments"},
		{"an argument to completion", []string{"completion", "bash", "now"}, 2, "now"},
		{"explain of nothing", []string{"explain"}, 2, "OWNER/REPO#N"},
		{"explain of what is no pull request", []string{"explain", "acme/app"}, 2, "acme/app"},
		{"the status of two targets", []string{"deploy", "status", "a", "b"}, 2, "slipway deploy status wants at most one target"},
		{"a hold of what is no target", []string{"deploy", "hold", "acme/app", "--reason=x"}, 2, "acme/app"},
		{"a hold of two targets", []string{"deploy", "hold", "a", "b"}, 2, "slipway deploy hold wants one target"},
		{"a hold without a reason", []string{nobody, "deploy", "hold", "acme/app/production"}, 2, "wants --reason"},
		{"a rollback without a reason", []string{nobody, "deploy", "rollback", "acme/app/production", "--reason= "}, 2, "wants --reason"},
		{"changes of what is no repository", []string{nobody, "changes", "--repo=acme"}, 2, "acme"},
		{"nothing to read from", []string{"changes"}, 2, "nothing to read from"},
		{"nobody to order from", []string{"deploy", "hold", "acme/app/production", "--reason=x"}, 2, "no server"},
		{"a server that is no address", []string{"--server=localhost", "doctor"}, 2, `"localhost" is not a server's address`},
		{"serve without a configuration", []string{"serve"}, 2, "--config"},
		{"a configuration that is not there", []string{"serve", "--config", missing}, 2, "cannot be read"},
		{"the same beside a store", []string{"changes", "--config", missing}, 2, "cannot be read"},
		{"a scenario that there is not", []string{"demo", "--scenario=race"}, 2, `no scenario "race"`},
		{"a Kubernetes that there is not", []string{"demo", "--kubernetes=minikube"}, 2, `"minikube"`},
		{"a server that does not answer", []string{nobody, "changes"}, 1, "no answer from the server at http://127.0.0.1:1"},
		{"a journal that could not be asked for is not called broken", []string{nobody, "journal", "verify"}, 1, "no answer from the server"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := command(t, c.args...)
			got.wants(t, c.code, c.says)
			if got.out != "" || !strings.HasPrefix(got.errs, "slipway: ") || strings.Contains(got.errs, "broken") {
				t.Errorf("it prints %q and %q", got.out, got.errs)
			}
		})
	}
}

func TestEveryCommandShowsItsUse(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		args := append(strings.Fields(cmd.CommandPath())[1:], "-h")
		got := command(t, args...)
		got.wants(t, 0, "Usage:")
		if got.errs != "" {
			t.Errorf("%s writes to standard error: %s", cmd.CommandPath(), got.errs)
		}
		ofCobra := strings.HasPrefix(cmd.CommandPath(), "slipway completion")
		if !ofCobra && !strings.Contains(got.out, "Examples:\n  slipway ") {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(io.Discard, io.Discard))
}

func TestWhatNeedsNothing(t *testing.T) {
	command(t).wants(t, 0, "Usage:")
	command(t, "--version").wants(t, 0, "slipway version "+version)
	command(t, "deploy").wants(t, 0, "takeover")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		command(t, "completion", shell).wants(t, 0, "slipway")
	}
	command(t, "__complete", "deploy", "h").wants(t, 0, "hold")
}

func TestErrorsCannotMoveTheCursor(t *testing.T) {
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no\x1b[2J\u202e such\nthing", http.StatusTeapot)
	}))
	t.Cleanup(hostile.Close)
	got := command(t, "changes", "--server", hostile.URL)
	got.wants(t, 1, "slipway: no[2J such\nthing\n")
	path := filepath.Join(t.TempDir(), "slipway.yaml")
	write(t, path, "stores: {}\nclusterz: {}\n")
	got = command(t, "serve", "--config", path)
	got.wants(t, 2, "\n"+path+":1: stores: unknown key", "\n"+path+":2: clusterz: unknown key")
}

// besideStore is the slipway.yaml of a store with n changes. What else it
// names is not there: no secret, no kubeconfig.
func besideStore(t *testing.T, n int64) (config string) {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "slipway.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i := range n {
		c := change.Change{ID: ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: i + 1}, Title: "feat: a"}
		if err := st.Commit(t.Context(), reconcile.Write{Change: &c}); err != nil {
			t.Fatal(err)
		}
	}
	entry := journal.Entry{At: time.Now(), Actor: "ops", Action: "order.hold", Subject: "acme/app/production", Reason: "\x1b[2J"}
	if err := st.Commit(t.Context(), reconcile.Write{Journal: []journal.Entry{entry}}); err != nil {
		t.Fatal(err)
	}
	config = filepath.Join(dir, "slipway.yaml")
	write(t, config, `store: {path: .}
tokens:
  - {name: ops, role: operator, token: {env: NOT_SET_1}}
  - {name: board, role: reader, token: {file: not-there}}
forges:
  - {name: gitea, kind: gitea, url: "http://127.0.0.1:3000", login: bot, token: {env: NOT_SET_2}, webhook_secret: {env: NOT_SET_3}}
registries:
  - {name: gitea, host: "127.0.0.1:3000", username: bot, password: {file: not-there}}
clusters:
  - {name: main, kubeconfig: not-there}
repositories:
  - {repo: acme/app, forge: gitea, registry: gitea, namespaces: {main: [acme]}}
`)
	return config
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadingBesideTheStoreNeedsNoSecrets(t *testing.T) {
	config := besideStore(t, 2)
	got := command(t, "changes", "--config", config)
	got.wants(t, 0, "acme/app#1", "acme/app#2")
	if got.errs != "" {
		t.Errorf("it says %q", got.errs)
	}
	command(t, "explain", "acme/app#1", "--config", config, "--json").wants(t, 0, `"acme/app#1"`)
	command(t, "explain", "acme/app#9", "--config", config).wants(t, 1, "acme/app#9 is not known here")
	command(t, "deploy", "status", "--config", config, "--json").wants(t, 0, "[]\n")
	command(t, "journal", "verify", "--config", config).wants(t, 0, "whole: 1 entries")
	if got := command(t, "journal", "list", "--config", config); strings.Contains(got.out, "\x1b") {
		t.Errorf("it prints %q", got.out)
	}
	command(t, "serve", "--config", config).wants(t, 2, "the environment variable is not set", "clusters[0].kubeconfig: cannot be read")
	command(t, "deploy", "hold", "acme/app/production", "--reason=x", "--config", config).wants(t, 2, "--config reads a store")

	data, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(data)+"databases: {}\n")
	command(t, "changes", "--config", config).wants(t, 2, "databases: unknown key")
}

func TestAListThatIsCutSaysSo(t *testing.T) {
	if got := command(t, "changes", "--config", besideStore(t, 3)); got.errs != "" {
		t.Errorf("of three it says %q", got.errs)
	}
	got := command(t, "changes", "--json", "--config", besideStore(t, server.MostChanges+1))
	got.wants(t, 0)
	if n := strings.Count(got.out, `"feat: a"`); n != server.MostChanges || !strings.Contains(got.errs, "there may be more") {
		t.Errorf("it shows %d and says %q", n, got.errs)
	}
}

// deadline is long enough for anything that is not stuck.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
