package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const leastPolicy = `version: 1
gate:
  checks: [{context: scan, creator: scanner-bot}]
post_merge:
  checks: [{context: scan, creator: scanner-bot}]
deploy: {cluster: main, namespace: acme, deployment: app, container: app, health: {port: 8080}}
`

const leastConfig = `store: {path: state}
forges: [{name: gitea, kind: gitea, url: "http://127.0.0.1:3000", login: bot, token: {env: NOT_SET_1}, webhook_secret: {env: NOT_SET_2}}]
registries: [{name: gitea, host: "127.0.0.1:3000"}]
clusters: [{name: main, in_cluster: true}]
identities: {people: [alice, bob]}
organizations: [{owner: acme, floors: {gate: {approvals: 3}}}]
repositories:
  - {repo: acme/app, forge: gitea, registry: gitea, namespaces: {main: [acme]}}
  - {repo: acme/other, forge: gitea, registry: gitea, namespaces: {main: [other]}}
`

// inFolder writes files into a folder and goes there.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestPolicyCommands(t *testing.T) {
	const cases = "version: 1\ncases:\n  - {name: fine, want: merge}\n  - {name: a draft waits, draft: true, want: wait, reasons: [draft]}\n"
	faulty := strings.Replace(leastPolicy, "gate:\n", "gate:\n  approvals: 1\n  hold_label: [x]\n", 1)
	inFolder(t, map[string]string{
		".slipway.yaml": leastPolicy, "faulty.yaml": faulty, "slipway.yaml": leastConfig, "bad-config.yaml": "store: 1\n",
		".slipway.test.yaml": cases, "wrong.yaml": strings.Replace(cases, "want: merge", "want: block, who: [bob]", 1),
		"bad-cases.yaml": "version: 1\ncases: [{name: a}]\n", "three.yaml": "version: 1\ncases: [{name: two are too few, approvals: [alice, bob], want: wait, reasons: [approvals]}]\n",
		"elsewhere.yaml": strings.Replace(cases, "cases:", "repo: acme/gone\ncases:", 1),
	})
	for _, row := range []struct {
		name, args  string
		exit        int
		says, warns string // what is printed there, or a part of it that ends with "…"
	}{
		{"a good policy", "policy check", 0, ".slipway.yaml: no fault; 1 checks and 2 approvals to merge\n", ""},
		{
			"a faulty one says every fault with its line", "policy check faulty.yaml", 2,
			"faulty.yaml:3: gate.approvals: is 1, want 2 to 50\nfaulty.yaml:4: gate.hold_label: unknown key; did you mean \"hold_labels\"?\n", "",
		},
		{"one that is not there", "policy check none.yaml", 2, "", "slipway: open none.yaml: no such file or directory\n"},
		{"under a server its floors hold", "policy check --config slipway.yaml --repo acme/app", 0, ".slipway.yaml: no fault; 1 checks and 3 approvals to merge\n", ""},
		{
			"and its grants", "policy check --config slipway.yaml --repo acme/other", 2,
			".slipway.yaml: deploy: acme/other may not deploy to namespace acme of cluster main; the server allows main/other\n", "",
		},
		{"a server of several repositories wants one of them", "policy check --config slipway.yaml", 2, "", "slipway: which repository is it for? give --repo, one of acme/app, acme/other\n"},
		{"and one that it has", "policy check --config slipway.yaml --repo acme/gone", 2, "", "slipway: acme/gone is not served by slipway.yaml; it serves acme/app, acme/other\n"},
		{"a repository without a server", "policy check --repo acme/app", 2, "", "slipway: --repo names a repository of a server: give --config slipway.yaml as well\n"},
		{"a faulty configuration", "policy check --config bad-config.yaml", 2, "", "slipway: faults in bad-config.yaml, 5 in all\n…"},
		{"too many files", "policy check a b", 2, "", "slipway: slipway policy check wants at most one FILE: `slipway policy check --help` shows an example\n"},
		{"cases that pass", "policy test", 0, "ok    merge  fine\nok    wait   a draft waits\n2 cases, 0 failed\n", ""},
		{
			"a case that fails", "policy test wrong.yaml", 1,
			"FAIL  merge  fine (line 3)\n      it says merge, want block\n      bob cannot act, but nobody\nok    wait   a draft waits\n2 cases, 1 failed\n", "",
		},
		{"a faulty table", "policy test bad-cases.yaml", 2, "", "slipway: faults in bad-cases.yaml, 1 in all\nbad-cases.yaml:2: cases[0].want: is missing\n"},
		{"a table beside a faulty policy", "policy test --policy faulty.yaml", 2, "", "slipway: faults in faulty.yaml, 2 in all\n…"},
		{"a table that is not there", "policy test none.yaml", 2, "", "slipway: faults in none.yaml, 1 in all\n…"},
		{"a table under a server", "policy test three.yaml --config slipway.yaml", 0, "ok    wait   two are too few\n1 cases, 0 failed\n", ""},
		{"a table for a repository that the server has not", "policy test elsewhere.yaml --config slipway.yaml", 2, "", "slipway: acme/gone is not served by…"},
		{"a schema that there is not", "policy schema x.yaml", 2, "", "slipway: there is no schema of \"x.yaml\"; want one of .slipway.yaml, .slipway.test.yaml, slipway.yaml, pools.yaml\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			exit := run(t.Context(), strings.Fields(row.args), &out, &errs)
			if exit != row.exit || !printed(out.String(), row.says) || !printed(errs.String(), row.warns) {
				t.Errorf("exit %d, want %d\nout:\n%s\nerr:\n%s", exit, row.exit, out.String(), errs.String())
			}
		})
	}
}

// printed compares what was printed, up to an ellipsis.
func printed(got, want string) bool {
	if start, open := strings.CutSuffix(want, "…"); open {
		return strings.HasPrefix(got, start)
	}
	return got == want
}

func TestPolicyCommandsInJSON(t *testing.T) {
	inFolder(t, map[string]string{
		".slipway.yaml": leastPolicy, "faulty.yaml": strings.Replace(leastPolicy, "gate:\n", "gate:\n  approvals: 1\n", 1),
		".slipway.test.yaml": "version: 1\ncases:\n  - {name: a draft waits, draft: true, want: block}\n",
	})
	var checked struct {
		File, Hash string
		Faults     []struct {
			File, Message string
			Line          int
		}
	}
	answer(t, "policy check faulty.yaml --json", 2, &checked)
	if len(checked.Faults) != 1 || checked.Faults[0].Line != 3 || checked.Faults[0].File != "faulty.yaml" || len(checked.Hash) != 64 {
		t.Errorf("%+v", checked)
	}
	answer(t, "policy check --json", 0, &checked)
	if checked.Faults == nil || len(checked.Faults) != 0 {
		t.Errorf("no fault is %+v, want an empty list", checked.Faults)
	}
	var tested struct {
		Failed int
		Cases  []struct {
			Name, Want, Got string
			Passed          bool
			Line            int
			Wrong           []string
			Reasons         []struct{ Code, Sentence string }
		}
	}
	answer(t, "policy test --json", 1, &tested)
	if tested.Failed != 1 || len(tested.Cases) != 1 || tested.Cases[0].Got != "wait" || tested.Cases[0].Passed || tested.Cases[0].Reasons[0].Code != "draft" {
		t.Errorf("%+v", tested)
	}
	var schema map[string]any
	for _, file := range []string{"", " .slipway.test.yaml", " slipway.yaml"} {
		answer(t, "policy schema"+file, 0, &schema)
		if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("a schema of %v", schema["$schema"])
		}
	}
}

// answer runs a command and reads the JSON that it prints.
func answer(t *testing.T, args string, exit int, into any) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), strings.Fields(args), &out, &errs); got != exit {
		t.Fatalf("%s: exit %d, want %d: %s", args, got, exit, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out.String())
	}
}
