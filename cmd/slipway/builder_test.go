package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/worker"
	"slipway/pools"
)

func TestBuilderUsage(t *testing.T) {
	t.Setenv("SLIPWAY_FORGE_TOKEN", "secret")
	t.Setenv("SLIPWAY_FORGE", "")
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, "\n")
	base := []string{"--server=http://127.0.0.1:1", "builder"}
	for _, c := range []struct {
		rule string
		args []string
		says string
	}{
		{"no command", []string{"--as=builder-lite-0"}, "wants a command after --"},
		{"no coordinate", []string{"--", "true"}, "wants --as ADDRESS"},
		{"what is no coordinate", []string{"--as=builder-lite", "--", "true"}, "not <role>-<tier>-<replica>"},
		{"no forge", []string{"--as=builder-lite-0", "--", "true"}, "wants --forge URL"},
		{"a forge that is no address", []string{"--as=builder-lite-0", "--forge=git.example", "--dir=" + t.TempDir(), "--", "true"}, "http:// or https://"},
		{"a command that is not there", []string{"--as=builder-lite-0", "--forge=http://127.0.0.1:1", "--dir=" + t.TempDir(), "--", "no-such-command"}, "no-such-command"},
		{"a secret's file that is not there", []string{"--as=builder-lite-0", "--forge=http://127.0.0.1:1", "--token-file=/nowhere", "--", "true"}, "the file in place of SLIPWAY_TOKEN"},
		{"a secret's file that is empty", []string{"--as=builder-lite-0", "--forge=http://127.0.0.1:1", "--forge-token-file=" + empty, "--", "true"}, "set SLIPWAY_FORGE_TOKEN"},
		{"a secret for the command", []string{"--as=builder-lite-0", "--forge=http://127.0.0.1:1", "--env=SLIPWAY_TOKEN", "--", "true"}, "the worker's own"},
		{"a value on the command line", []string{"--as=builder-lite-0", "--forge=http://127.0.0.1:1", "--env=A=b", "--", "true"}, "no variable's name"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			command(t, append(slices.Clone(base), c.args...)...).wants(t, exitUsage, c.says)
		})
	}
}

func TestASecondBuilderIsRefused(t *testing.T) {
	t.Setenv("SLIPWAY_FORGE_TOKEN", "secret")
	dir := t.TempDir()
	room, err := worker.OpenRoom(dir, pools.Address{Role: "builder", Tier: "lite"})
	if err != nil {
		t.Fatal(err)
	}
	defer room.Close()
	command(t, "--server=http://127.0.0.1:1", "builder", "--as=builder-lite-0", "--forge=http://127.0.0.1:1", "--dir="+dir, "--", "true").
		wants(t, exitRefused, "another worker of this coordinate")
}

func TestABuilderThatIsAnotherThanItsCredentialSaysSo(t *testing.T) {
	t.Setenv("SLIPWAY_FORGE_TOKEN", "secret")
	for _, c := range []struct {
		rule, answer string
		status       int
	}{
		{"refused by the server", `{"error":"the credential is that of builder-lite-0","code":"foreign"}`, http.StatusForbidden},
		{"granted another's work", `{"attempt":4,"token":9,"item":17,"builder":"builder-lite-0","kind":"build"}`, http.StatusOK},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var asked []string
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if asked = append(asked, r.URL.Path+" "+string(body)); err != nil || len(asked) > 1 {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer) // a client that has gone shows elsewhere
			}))
			defer api.Close()
			got := command(t, "--server="+api.URL, "builder", "--as=builder-heavy-0", "--forge=http://127.0.0.1:1", "--dir="+t.TempDir(), "--", "true")
			got.wants(t, exitUsage, "builder-heavy-0")
			got.wants(t, exitUsage, "builder-lite-0")
			if !strings.Contains(asked[0], `"builder":"builder-heavy-0"`) {
				t.Errorf("it claims with %s", asked[0])
			}
			if back := asked[1:]; c.status == http.StatusOK && (len(back) != 1 || !strings.Contains(back[0], "/4/fail ") || !strings.Contains(back[0], `"returned":true`)) || c.status != http.StatusOK && len(back) > 0 {
				t.Errorf("after the claim it calls %q", back)
			}
		})
	}
}

func TestABuilderWithoutItsCredentialGivesUpAfterAWhile(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer api.Close()
	file := filepath.Join(t.TempDir(), "token")
	b := &builder{from: &source{server: api.URL}, token: credential{name: "SLIPWAY_TOKEN", file: file}}
	for _, step := range []struct {
		rule   string
		differ func()
		said   bool
		kind   fault.Kind
	}{
		{"it waits for one that is gone", func() {}, true, fault.Later},
		{"until a minute has passed", func() { b.unread = b.unread.Add(-unreadFor) }, true, fault.Permanent},
		{"one that is there again is taken", func() { write(t, file, "slipway_w_secret\n") }, false, fault.Later},
		{"and the minute begins anew", func() { b.token.file = file + ".gone" }, true, fault.Later},
	} {
		step.differ()
		_, err := desk{b}.Claim(t.Context(), dispatcher.ClaimRequest{Request: "r"})
		if (err != nil) != step.said || err != nil && (fault.KindOf(err) != step.kind || !strings.Contains(err.Error(), file)) {
			t.Errorf("%s: %v", step.rule, err)
		}
	}
}

func TestPassed(t *testing.T) {
	t.Setenv("AGENT_KEY", "k")
	t.Setenv("LANG", "C")
	got, err := passed([]string{"AGENT_KEY", "NOT_SET_ANYWHERE"})
	want := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C", "AGENT_KEY=k"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTeller(t *testing.T) {
	e := worker.Event{What: "failed", Builder: "builder-lite-0", Item: 17, Attempt: 3, Reason: "no\ncommit", Output: "one\ntwo"}
	var lines, objects bytes.Buffer
	teller(&lines, false)(e)
	if got := lines.String(); !strings.HasSuffix(got, " builder-lite-0 failed item 17 attempt 3: no commit\n  | one\n  | two\n") {
		t.Errorf("it prints %q", got)
	}
	teller(&objects, true)(e)
	var back worker.Event
	if err := json.Unmarshal(objects.Bytes(), &back); err != nil || back != e || strings.Count(objects.String(), "\n") != 1 {
		t.Errorf("it prints %s, %v", objects.String(), err)
	}
}
