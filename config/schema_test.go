package config_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"slipway/config"
)

// compiled is a schema that the library for it accepts, as draft 2020-12.
func compiled(t testing.TB, data []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("https://slipway.example/schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("https://slipway.example/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// decoded is a YAML text as an editor hands it to a schema: dates are texts.
func decoded(t testing.TB, text string) any {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return inJSON(t, n.Content[0])
}

func inJSON(t testing.TB, n *yaml.Node) any {
	t.Helper()
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = inJSON(t, n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		l := []any{}
		for _, c := range n.Content {
			l = append(l, inJSON(t, c))
		}
		return l
	}
	if n.ShortTag() == "!!timestamp" {
		return n.Value
	}
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheSchemasAcceptEveryExample(t *testing.T) {
	policy, cases, server := compiled(t, config.PolicySchema()), compiled(t, config.CasesSchema()), compiled(t, config.ServerSchema())
	pools := compiled(t, config.PoolsSchema())
	tried := 0
	for _, e := range append(examples(t), documented{"the tests", minimal}, documented{"the tests", leastServer + "tokens: [{name: a, role: reader, token: {env: X}}]\n"}) {
		schema := policy
		switch {
		case strings.Contains(e.text, "\ncases:"):
			schema = cases
		case strings.Contains(e.text, "\nrepositories:"):
			schema = server
		case strings.Contains(e.text, "\nreplicas:"):
			schema = pools
		case !strings.Contains(e.text, "version: 1"):
			continue
		}
		tried++
		if err := schema.Validate(decoded(t, e.text)); err != nil {
			t.Errorf("an example of %s: %v", e.document, err)
		}
	}
	if tried < 7 {
		t.Errorf("only %d examples", tried)
	}
}

// TestTheSchemasRefuseWhatTheReaderRefuses takes files that are wrong in shape:
// the reader refuses each, and so does the schema.
func TestTheSchemasRefuseWhatTheReaderRefuses(t *testing.T) {
	policy, server := compiled(t, config.PolicySchema()), compiled(t, config.ServerSchema())
	inGate := func(line string) string { return strings.Replace(minimal, "gate:\n", "gate:\n  "+line+"\n", 1) }
	check := func(c string) string { return strings.Replace(minimal, "post_merge:", "    - "+c+"\npost_merge:", 1) }
	for name, text := range map[string]string{
		"nothing but a version":           "version: 1\n",
		"another version":                 strings.Replace(minimal, "version: 1", "version: 2", 1),
		"a version in quotes":             strings.Replace(minimal, "version: 1", `version: "1"`, 1),
		"an unknown key":                  minimal + "extra: 1\n",
		"an unknown key deep down":        strings.Replace(minimal, "port: 8080", "port: 8080, prt: 1", 1),
		"a list in place of a mapping":    "[]\n",
		"a text in place of a mapping":    strings.Replace(minimal, "{port: 8080}", "here", 1),
		"a mapping in place of a list":    inGate("hold_labels: {a: b}"),
		"an empty list":                   inGate("hold_labels: []"),
		"a thing twice in a list":         inGate("hold_labels: [a, a]"),
		"a number in place of a text":     inGate("hold_labels: [1]"),
		"a text in place of a number":     inGate("approvals: two"),
		"too small a number":              inGate("approvals: 1"),
		"too small a number, in full":     inGate("approvals: {count: 1}"),
		"too large a number":              inGate("approvals: 51"),
		"half a number":                   inGate("approvals: 2.5"),
		"a text in place of a flag":       inGate("linear: 'true'"),
		"a flag in place of a mapping":    inGate("vetoes: true"),
		"a word that is none of a few":    inGate("when: never"),
		"a word in a list of a few":       inGate("emergency: {by: {people: [a]}, waives: [checks]}"),
		"pools in an emergency":           inGate("emergency: {by: {pools: [a]}}"),
		"an emergency by nobody":          inGate("emergency: {waives: [freeze]}"),
		"a login that is none":            inGate("vetoes: {people: ['a b']}"),
		"a team without an owner":         inGate("vetoes: {teams: [sre]}"),
		"a pool that is no label":         inGate("vetoes: {pools: [A_b]}"),
		"a demand without a name":         inGate("approvals: {demand: [{person: true}]}"),
		"a freeze without a time":         inGate("freeze: [{name: a}]"),
		"a freeze with two times":         inGate("freeze: [{name: a, cron: '0 0 * * *', for: 1h, from: 2026-01-01T00:00, to: 2026-01-02T00:00}]"),
		"a cron without its length":       inGate("freeze: [{name: a, cron: '0 0 * * *'}]"),
		"a cron of six fields":            inGate("freeze: [{name: a, cron: '0 0 0 * * *', for: 1h}]"),
		"a freeze from a date alone":      inGate("freeze: [{name: a, from: 2026-01-01, to: 2026-01-02T00:00}]"),
		"a duration without a unit":       inGate("freeze: [{name: a, cron: '0 0 * * *', for: 60}]"),
		"a condition without its words":   inGate("conditions: [{name: a}]"),
		"an empty condition":              inGate("conditions: [{name: a, expr: ''}]"),
		"a check without a source":        check("{context: a}"),
		"a check with two sources":        check("{context: a, creator: b, workflow: c.yml, job: d}"),
		"a workflow without a job":        check("{context: a, workflow: c.yml}"),
		"a creator with a job":            check("{context: a, creator: b, job: d}"),
		"an optional check after a merge": strings.Replace(minimal, "job: test}\ndeploy", "job: test, optional: true}\ndeploy", 1),
		"a health of two kinds":           strings.Replace(minimal, "{port: 8080}", "{port: 8080, url: 'http://x'}", 1),
		"a health of nothing":             strings.Replace(minimal, "{port: 8080}", "{field: a}", 1),
		"a path without a port":           strings.Replace(minimal, "{port: 8080}", "{url: 'http://x', path: /a}", 1),
		"a platform that there is not":    minimal + "build: {platform: plan9/mips}\n",
		"a deadline that is a list":       minimal + "deadlines: {review: [1h]}\n",
	} {
		if _, faults := config.ParsePolicy(config.PolicyFile, []byte(text)); len(faults) == 0 {
			t.Errorf("%s: the reader takes it", name)
		}
		if policy.Validate(decoded(t, text)) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
	for name, part := range map[string]string{
		"an unknown key":                      "extra: 1\n",
		"a secret that is written out":        "journal: {key: hunter2}\n",
		"a secret from two places":            "journal: {key: {env: A, file: b}}\n",
		"a secret from nowhere":               "journal: {key: {}}\n",
		"a scope that there is not":           "tokens: [{name: a, role: reader, token: {env: T_OPS}, scopes: [fly]}]\n",
		"a role that is not given":            "roles: [{role: author, people: [a]}]\n",
		"an expiry without a zone":            "tokens: [{name: a, role: reader, token: {env: T_OPS}, expires: 2027-01-01T00:00:00}]\n",
		"a schedule that is none":             "examine: {schedule: hourly}\n",
		"a budget of nothing":                 "comments: {budget: 0}\n",
		"an agent without a login":            "identities: {agents: [{model: m}]}\n",
		"an organisation without an owner":    "organizations: [{defaults: {gate: {linear: true}}}]\n",
		"an unknown key in defaults":          "organizations: [{owner: a, defaults: {gat: {}}}]\n",
		"half a check in defaults":            "organizations: [{owner: a, defaults: {gate: {checks: [{context: x}]}}}]\n",
		"approvals by some as a floor":        "organizations: [{owner: a, floors: {gate: {approvals: {from: {people: [b]}}}}}]\n",
		"a canary without reviewers":          "canaries: [{repo: acme/app, schedule: '0 * * * *', author: {login: a, token: {env: T_OPS}}}]\n",
		"a registry's user without password":  strings.Replace(leastServer, `host: "127.0.0.1:3000"}`, `host: "127.0.0.1:3000", username: u}`, 1),
		"a forge with a token and an app":     strings.Replace(leastServer, "token: {env: T_TOKEN}", "token: {env: T_TOKEN}, app: {id: 1, installation: 2, private_key: {env: T_OPS}}", 1),
		"a forge that there is not":           strings.Replace(leastServer, "kind: gitea", "kind: gitlab", 1),
		"an App without its installation":     strings.Replace(leastServer, "kind: gitea", "kind: github", 1) + "x: {app: {id: 1}}\n",
		"a namespace that is no list":         strings.Replace(leastServer, "{main: [acme]}", "{main: acme}", 1),
		"no namespace at all":                 strings.Replace(leastServer, "{main: [acme]}", "{}", 1),
		"a number of looks that is a text":    "resync: {rate: fast}\n",
		"no repositories":                     strings.Split(leastServer, "repositories:")[0],
		"a list in place of the whole":        "[]\n",
		"a repository's branch that is a map": strings.Replace(leastServer, "repo: Acme/App", "repo: Acme/App, branch: {a: b}", 1),
	} {
		text := part
		if !strings.Contains(part, "store:") && part != "[]\n" {
			text = leastServer + part
		}
		if _, faults, _ := loadServer(t, text); len(faults) == 0 {
			t.Errorf("%s: the reader takes it", name)
		}
		if server.Validate(decoded(t, text)) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// TestTheSchemasTakeWhatTheReaderTakes tries damaged files: what the reader
// finds no fault in, the schema finds none in either.
func TestTheSchemasTakeWhatTheReaderTakes(t *testing.T) {
	policy := compiled(t, config.PolicySchema())
	for name, text := range map[string]string{
		"a bare number of approvals": strings.Replace(minimal, "gate:\n", "gate:\n  approvals: 3\n", 1),
		"approvals in full":          strings.Replace(minimal, "gate:\n", "gate:\n  approvals: {count: 3, codeowners: \"off\"}\n", 1),
		"a prefix of nothing":        minimal + "release: {prefix: \"\"}\n",
		"a moment without quotes":    strings.Replace(minimal, "gate:\n", "gate:\n  freeze: [{name: a, from: 2026-01-01T00:00:00, to: 2026-01-02T00:00:00}]\n", 1),
		"a duration of parts":        minimal + "deadlines: {review: 1h30m}\n",
		"a message of many lines":    minimal + "merge:\n  message: |\n    a\n\n    {{.Body}}\n",
	} {
		if _, faults := config.ParsePolicy(config.PolicyFile, []byte(text)); len(faults) > 0 {
			t.Errorf("%s: the reader says %v", name, faults)
		}
		if err := policy.Validate(decoded(t, text)); err != nil {
			t.Errorf("%s: the schema says %v", name, err)
		}
	}
}
