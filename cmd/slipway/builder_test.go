package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
