package test

import (
	"strings"
	"testing"
	"testing/fstest"
)

// check runs every rule over sources that are given in place, and returns what
// it found by the rule's name.
func check(t *testing.T, sources map[string]string) map[string][]string {
	t.Helper()
	tree := fstest.MapFS{"go.mod": {Data: []byte("module slipway\n")}}
	for name, body := range sources {
		tree[name] = &fstest.MapFile{Data: []byte(body)}
	}
	h := slipway()
	packages, err := read(tree, h.module)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, r := range rules() {
		for _, p := range packages {
			if faults := r.check(h, p); len(faults) > 0 {
				found[r.name] = append(found[r.name], faults...)
			}
		}
	}
	return found
}

// TestTheRulesAreNotBlind shows each rule something that breaks it, and that
// it says so, and no other rule does.
func TestTheRulesAreNotBlind(t *testing.T) {
	const doc = "// Package x is an example.\n"
	for name, c := range map[string]struct {
		file, body string
		rule, says string
	}{
		"a package without a floor": {
			"helpers/a.go", "package helpers\n",
			"every package has a floor", "helpers has no floor",
		},
		"the ground floor importing the loop": {
			"gate/a.go", doc + "package gate\nimport _ \"slipway/internal/reconcile\"\n",
			"arrows between floors point down only", "gate (F0) imports internal/reconcile (F2)",
		},
		"the ground floor importing its neighbour": {
			"gate/a.go", doc + "package gate\nimport _ \"slipway/deployer\"\n",
			"arrows between floors point down only", "gate imports deployer on its own floor F0",
		},
		"the ground floor importing a leaf that is not for it": {
			"pools/a.go", doc + "package pools\nimport _ \"slipway/internal/fault\"\n",
			"arrows between floors point down only", "pools imports internal/fault on its own floor F0",
		},
		"the statistics importing the dispatcher above them": {
			"dispatcher/compare/a.go", doc + "package compare\nimport _ \"slipway/dispatcher\"\n",
			"arrows between floors point down only", "dispatcher/compare (F0) imports dispatcher (F2)",
		},
		"siblings of the loops' floor importing each other": {
			"dispatcher/a.go", "package dispatcher\nimport _ \"slipway/internal/reconcile\"\n",
			"arrows between floors point down only", "dispatcher imports internal/reconcile on its own floor F2",
		},
		"one adapter importing another": {
			"internal/chat/a.go", "package chat\nimport _ \"slipway/internal/store\"\n",
			"arrows between floors point down only", "internal/chat imports internal/store on its own floor F3",
		},
		"a folder below an adapter importing another": {
			"internal/store/storetest/a.go", "package storetest\nimport _ \"slipway/internal/git\"\n",
			"arrows between floors point down only", "internal/store imports internal/git",
		},
		"an adapter importing the command": {
			"internal/server/a.go", "package server\nimport _ \"slipway/cmd/slipway/internal/board\"\n",
			"arrows between floors point down only", "internal/server (F3) imports cmd (F4)",
		},
		"the product importing a test server": {
			"internal/kube/a.go", "package kube\nimport _ \"slipway/test/servers/kubernetes\"\n",
			"what proves the product is no part of it", "for tests and the demo alone",
		},
		"a forge's library away from home": {
			"internal/server/a.go", "package server\nimport _ \"code.gitea.io/sdk/gitea\"\n",
			"a foreign system has one home", "only internal/forge/gitea may",
		},
		"a library's subpackage away from home": {
			"internal/reconcile/a.go", "package reconcile\nimport _ \"k8s.io/client-go/kubernetes\"\n",
			"a foreign system has one home", "only internal/kube may",
		},
		"rows away from the store": {
			"internal/server/a.go", "package server\nimport _ \"database/sql\"\n",
			"a foreign system has one home", "database rows never cross",
		},
		"a context on a pure floor": {
			"deployer/a.go", doc + "package deployer\nimport _ \"context\"\n",
			"the pure floors do nothing but compute", "there is nothing to cancel",
		},
		"the network on a pure floor": {
			"internal/change/a.go", doc + "package change\nimport _ \"net/http\"\n",
			"the pure floors do nothing but compute", "the shell brings the facts",
		},
		"the system on a pure floor": {
			"internal/ref/a.go", doc + "package ref\nimport _ \"os/exec\"\n",
			"the pure floors do nothing but compute", "no process",
		},
		"a logger on a pure floor": {
			"gate/queue/a.go", doc + "package queue\nimport _ \"log/slog\"\n",
			"the pure floors do nothing but compute", "stands in what it returns",
		},
		"a library that is not listed on a pure floor": {
			"gate/a.go", doc + "package gate\nimport _ \"example.org/rules\"\n",
			"the pure floors do nothing but compute", "not listed as computing only",
		},
		"a server's library in the test of a pure package": {
			"gate/a_test.go", "package gate\nimport _ \"example.org/server\"\n",
			"the pure floors do nothing but compute", "a test of gate, which is pure, imports example.org/server",
		},
		"the clock on a pure floor": {
			"gate/a.go", doc + "package gate\nimport \"time\"\nfunc now() time.Time { return time.Now() }\n",
			"the pure floors have no clock", "gate/a.go:4: gate is pure and uses time.Now",
		},
		"the clock as a value, under another name": {
			"gate/a.go", doc + "package gate\nimport clock \"time\"\nfunc now() func() clock.Time { return clock.Now }\n",
			"the pure floors have no clock", "uses time.Now",
		},
		"the clock hidden by a dot": {
			"gate/a.go", doc + "package gate\nimport . \"time\"\nfunc now() Time { return Now() }\n",
			"the pure floors have no clock", "the time is a parameter",
		},
		"a variable": {
			"internal/store/a.go", "package store\nvar count int\n",
			"no package keeps state", "keeps state in the variable count",
		},
		"a variable among others": {
			"config/a.go", "package config\nimport \"errors\"\nvar (\n\terrA = errors.New(\"a\")\n\tseen = make(map[string]bool)\n)\n",
			"no package keeps state", "the variable seen",
		},
		"a table that is written to": {
			"config/a.go", "package config\nvar known = map[string]bool{}\nfunc learn(s string) { known[s] = true }\n",
			"no package keeps state", "the variable known",
		},
		"a table that is emptied": {
			"config/a.go", "package config\nvar known = map[string]bool{}\nfunc forget() { clear(known) }\n",
			"no package keeps state", "the variable known",
		},
		"a table that others can write to": {
			"config/a.go", "package config\nvar Known = map[string]bool{}\n",
			"no package keeps state", "the variable Known",
		},
		"a table whose address is taken": {
			"config/a.go", "package config\nvar zero = struct{ n int }{}\nfunc share() *int { return &zero.n }\n",
			"no package keeps state", "the variable zero",
		},
		"an init function": {
			"internal/image/a.go", "package image\nfunc init() {}\n",
			"no package keeps state", "has an init function",
		},
		"an init function in a test": {
			"internal/image/a_test.go", "package image\nfunc init() {}\n",
			"no package keeps state", "has an init function",
		},
		"an exported function without a word": {
			"deployer/a.go", doc + "package deployer\nfunc Next() {}\n",
			"what the pure floors export is explained", "exports Next without a word",
		},
		"an exported method without a word": {
			"deployer/a.go", doc + "package deployer\n// T is a type.\ntype T struct{}\nfunc (*T) Next() {}\n",
			"what the pure floors export is explained", "exports Next",
		},
		"an exported type without a word": {
			"deployer/a.go", doc + "package deployer\ntype T struct{}\n",
			"what the pure floors export is explained", "exports T",
		},
		"an exported constant without a word": {
			"internal/change/a.go", doc + "package change\nconst Most = 3\n",
			"what the pure floors export is explained", "exports Most",
		},
		"a pure package without a comment": {
			"internal/change/a.go", "package change\n",
			"what the pure floors export is explained", "internal/change has no package comment",
		},
		"a test that sleeps": {
			"internal/server/a_test.go", "package server\nimport \"time\"\nfunc wait() { time.Sleep(1) }\n",
			"tests wait for signals and do not sleep", "internal/server/a_test.go:3: a test sleeps",
		},
		"a file that is too long": {
			"internal/server/a.go", "package server\n" + strings.Repeat("\n", 450),
			"files can be read in one sitting", "internal/server/a.go has 451 lines",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := check(t, map[string]string{c.file: c.body})
			faults := found[c.rule]
			if len(faults) != 1 || !strings.Contains(faults[0], c.says) {
				t.Errorf("found %q, want one fault that says %q", faults, c.says)
			}
			for rule, others := range found {
				if rule != c.rule {
					t.Errorf("the rule %q took offence too: %q", rule, others)
				}
			}
		})
	}
}

// TestTheRulesLetGoodCodePass shows the rules what they must allow.
func TestTheRulesLetGoodCodePass(t *testing.T) {
	const doc = "// Package x is an example.\n"
	for name, sources := range map[string]map[string]string{
		"what lies below": {
			"internal/server/a.go": "package server\nimport (\n\t_ \"slipway/internal/reconcile\"\n\t_ \"slipway/internal/change\"\n\t_ \"slipway/gate\"\n)\n",
		},
		"the identities, and the parent, on the ground floor": {
			"gate/queue/a.go": doc + "package queue\nimport (\n\t_ \"slipway/gate\"\n\t_ \"slipway/internal/ref\"\n)\n",
		},
		"a folder of the same package": {
			"internal/store/storetest/a.go": "package storetest\nimport _ \"slipway/internal/store\"\n",
		},
		"everything, for the command": {
			"cmd/slipway/demo/a.go": "package demo\nimport (\n\t_ \"github.com/spf13/cobra\"\n\t_ \"slipway/internal/kube\"\n\t_ \"slipway/test/servers\"\n)\n",
		},
		"everything, for what proves the product": {
			"test/e2e/a.go":               "package e2e\nimport (\n\t_ \"k8s.io/client-go/kubernetes\"\n\t_ \"slipway/internal/kube\"\n)\n",
			"internal/kube/kube_test.go":  "package kube\nimport _ \"slipway/test/servers/kubernetes\"\n",
			"manifests/manifests_test.go": "package manifests\n",
		},
		"a library at home": {
			"internal/forge/gitea/a.go": "package gitea\nimport _ \"code.gitea.io/sdk/gitea\"\n",
		},
		"libraries that compute, and rapid in the tests": {
			"gate/a.go":      doc + "package gate\nimport _ \"github.com/Masterminds/semver/v3\"\n",
			"gate/a_test.go": "package gate\nimport _ \"pgregory.net/rapid\"\n",
		},
		"times that are handed in": {
			"gate/a.go": doc + "package gate\nimport \"time\"\nfunc later(now time.Time) time.Time { return now.Add(time.Second) }\n",
		},
		"a method called Now of something else": {
			"gate/a.go": doc + "package gate\nimport \"time\"\ntype c struct{ d time.Duration }\nfunc (c) Now() {}\nfunc f(x c) { x.Now() }\n",
		},
		"errors, patterns, embedded files and assertions": {
			"config/a.go": "package config\nimport (\n\t\"errors\"\n\t\"regexp\"\n)\n" +
				"var (\n\terrA = errors.New(\"a\")\n\tword = regexp.MustCompile(`a`)\n\t_ error = errA\n)\n//go:embed a.txt\nvar text string\n",
		},
		"a table that is only read": {
			"config/a.go": "package config\nvar known = map[string]bool{\"a\": true}\nfunc is(s string) bool { return known[s] }\n",
		},
		"a group with one comment, and a method everybody knows": {
			"gate/a.go": doc + "package gate\n// The outcomes.\nconst (\n\tWait = iota\n\tMerge\n)\n// T is a type.\ntype T int\nfunc (T) String() string { return \"\" }\n" +
				"type hidden int\nfunc (hidden) Exported() {}\n",
		},
		"what is generated": {
			"internal/server/a.go": "// Code generated by a tool. DO NOT EDIT.\n\npackage server\nvar state int\n",
		},
		"modules of their own, and test data": {
			"test/servers/tools/x/go.mod": "module x\n",
			"test/servers/tools/x/a.go":   "package main\nfunc init() {}\n",
			"gate/testdata/a.go":          "this is no Go\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for rule, faults := range check(t, sources) {
				t.Errorf("%s: %q", rule, faults)
			}
		})
	}
}
