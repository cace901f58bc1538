package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/config"
	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
)

func TestParsePolicyFillsInTheDefaults(t *testing.T) {
	plan, faults := config.ParsePolicy(config.PolicyFile, []byte(minimal))
	says(t, faults, nil)
	want := change.Plan{
		Gate: gate.Policy{
			Checks:    []gate.CheckRule{{Context: "ci / test (pull_request)", Workflow: ".gitea/workflows/ci.yml", Job: "test", Event: "pull_request"}},
			Approvals: 2, OperatorOnce: true, HoldLabels: []string{"hold"},
		},
		Merge:     change.MergePlan{Method: "squash", Unjudged: "hold"},
		PostMerge: []gate.CheckRule{{Context: "ci / test (push)", Workflow: ".gitea/workflows/ci.yml", Job: "test", Event: "push"}},
		Release:   change.ReleasePlan{Prefix: "v", First: "0.1.0", Major: "release/major", Minor: "release/minor", Patch: "release/patch"},
		Build:     change.BuildPlan{Main: ".", Platform: "linux/amd64"},
		Deploy: deployer.Spec{
			Environment: "production", Cluster: "main", Namespace: "acme", Deployment: "app", Container: "app",
			Health: deployer.Health{Port: 8080, Path: "/", Field: "revision"}, Deadline: 5 * time.Minute,
		},
		Deadlines: change.Deadlines{
			Review: 24 * time.Hour, Merge: 15 * time.Minute, PostMergeCI: 30 * time.Minute,
			Image: 15 * time.Minute, Rollout: 10 * time.Minute, Health: 5 * time.Minute,
		},
	}
	want.Gate.Hash = plan.Gate.Hash
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestParsePolicyReadsEveryKey(t *testing.T) {
	plan, faults := config.ParsePolicy(config.PolicyFile, []byte(`version: 1
gate:
  checks:
    - {context: build, workflow: .gitea/workflows/b.yaml, job: b, event: push}
    - {context: scan, creator: scanner-bot}
  approvals: 3
  hold_labels: [wait, freeze]
merge: {method: rebase, delete_branch: true, unjudged: deploy}
post_merge:
  checks:
    - {context: scan, creator: scanner-bot}
release: {prefix: "", first: 1.2.3, labels: {major: a, minor: b, patch: c}}
build: {main: ./cmd/app, platform: linux/arm64}
deploy:
  environment: test
  cluster: c1
  namespace: n1
  deployment: d1
  container: k1
  deadline: 90s
  health: {url: "https://app.example/version?full=1", field: git.commit}
deadlines: {review: 1h, merge: 2m, post_merge_ci: 3m, image: 4m, rollout: 5m, health: 6m}
`))
	says(t, faults, nil)
	want := change.Plan{
		Gate: gate.Policy{
			Checks: []gate.CheckRule{
				{Context: "build", Workflow: ".gitea/workflows/b.yaml", Job: "b", Event: "push"},
				{Context: "scan", Creator: "scanner-bot"},
			},
			Approvals: 3, OperatorOnce: true, HoldLabels: []string{"wait", "freeze"},
		},
		Merge:     change.MergePlan{Method: "rebase", DeleteBranch: true, Unjudged: "deploy"},
		PostMerge: []gate.CheckRule{{Context: "scan", Creator: "scanner-bot"}},
		Release:   change.ReleasePlan{First: "1.2.3", Major: "a", Minor: "b", Patch: "c"},
		Build:     change.BuildPlan{Main: "./cmd/app", Platform: "linux/arm64"},
		Deploy: deployer.Spec{
			Environment: "test", Cluster: "c1", Namespace: "n1", Deployment: "d1", Container: "k1",
			Health: deployer.Health{URL: "https://app.example/version?full=1", Field: "git.commit"}, Deadline: 90 * time.Second,
		},
		Deadlines: change.Deadlines{
			Review: time.Hour, Merge: 2 * time.Minute, PostMergeCI: 3 * time.Minute,
			Image: 4 * time.Minute, Rollout: 5 * time.Minute, Health: 6 * time.Minute,
		},
	}
	want.Gate.Hash = plan.Gate.Hash
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestPolicyFaults(t *testing.T) {
	for _, row := range []struct {
		name, part, other string // part of the minimal file, and what stands there instead
		want              []string
	}{
		{
			"an unknown key names the one that was meant", "post_merge:", "postmerge:",
			[]string{
				".slipway.yaml:1: post_merge: is missing; without a check on the merge commit nothing may be released",
				`.slipway.yaml:5: postmerge: unknown key; did you mean "post_merge"?`,
			},
		},
		{
			"an unknown key that is near to none lists those that there are", "health: {port: 8080}", "health: {port: 8080, zzzzzzzz: 1}",
			[]string{".slipway.yaml:13: deploy.health.zzzzzzzz: unknown key; known: port, path, url, field"},
		},
		{
			"a key that stands twice", "  cluster: main", "  cluster: main\n  cluster: other",
			[]string{".slipway.yaml:10: deploy.cluster: stands on line 9 already"},
		},
		{
			"another version of the file", "version: 1", "version: 2",
			[]string{".slipway.yaml:1: version: is 2, want 1 to 1"},
		},
		{
			"no required check", `    - {context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test}` + "\n", "    []\n",
			[]string{".slipway.yaml:3: gate.checks: is an empty list"},
		},
		{
			"no list of required checks", "gate:\n  checks:\n    - {context: \"ci / test (pull_request)\", workflow: .gitea/workflows/ci.yml, job: test}", "gate: {approvals: 2}",
			[]string{".slipway.yaml:2: gate.checks: is missing; without a required check nothing may merge"},
		},
		{
			"no check after the merge", `    - {context: "ci / test (push)", workflow: .gitea/workflows/ci.yml, job: test}` + "\n", "    []\n",
			[]string{".slipway.yaml:6: post_merge.checks: is an empty list"},
		},
		{
			"an empty value", "gate:\n  checks:\n    - {context: \"ci / test (pull_request)\", workflow: .gitea/workflows/ci.yml, job: test}", "gate:",
			[]string{".slipway.yaml:2: gate: is empty"},
		},
		{
			"fewer than two approvals", "gate:\n", "gate:\n  approvals: 1\n",
			[]string{".slipway.yaml:3: gate.approvals: is 1, want 2 to 50"},
		},
		{
			"approvals that are no number", "gate:\n", "gate:\n  approvals: two\n",
			[]string{".slipway.yaml:3: gate.approvals: want a whole number, not a text"},
		},
		{
			"an empty list of hold labels", "gate:\n", "gate:\n  hold_labels: []\n",
			[]string{".slipway.yaml:3: gate.hold_labels: is an empty list"},
		},
		{
			"a hold label twice", "gate:\n", "gate:\n  hold_labels: [hold, Hold]\n",
			[]string{`.slipway.yaml:3: gate.hold_labels[1]: "Hold" stands on line 3 already`},
		},
		{
			"one label for a hold and a version", "gate:\n", "gate:\n  hold_labels: [release/Major]\n",
			[]string{`.slipway.yaml:3: gate.hold_labels: the label "release/major" stands for gate.hold_labels and for release.labels.major`},
		},
		{
			"one label for two levels", "version: 1\n", "version: 1\nrelease: {labels: {major: big, minor: big}}\n",
			[]string{`.slipway.yaml:2: release.labels: the label "big" stands for release.labels.major and for release.labels.minor`},
		},
		{
			"Slipway's own status as a check", `"ci / test (push)"`, "slipway/gate",
			[]string{`.slipway.yaml:7: post_merge.checks[0].context: "slipway/gate" is Slipway's own status and cannot be required`},
		},
		{
			"a wildcard in a context", `"ci / test (push)"`, `"ci / *"`,
			[]string{`.slipway.yaml:7: post_merge.checks[0].context: "ci / *" has a wildcard; a context is compared exactly`},
		},
		{
			"blanks around a context", `"ci / test (push)"`, `"ci / test (push) "`,
			[]string{".slipway.yaml:7: post_merge.checks[0].context: has blanks around it or a character that cannot be printed"},
		},
		{
			"a context that is required twice", "post_merge:", "    - {context: \"ci / test (pull_request)\", creator: bot}\npost_merge:",
			[]string{`.slipway.yaml:5: gate.checks[1].context: "ci / test (pull_request)" is required on line 4 already`},
		},
		{
			"a check without a source", "post_merge:", "    - {context: scan}\npost_merge:",
			[]string{".slipway.yaml:5: gate.checks[1]: does not say where the check comes from: name a workflow and its job, or a creator"},
		},
		{
			"a check with two sources", "post_merge:", "    - {context: scan, creator: bot, workflow: a.yml, job: j}\npost_merge:",
			[]string{".slipway.yaml:5: gate.checks[1]: names a creator and a workflow; a check comes from one of them"},
		},
		{
			"a workflow without its job", "post_merge:", "    - {context: scan, workflow: a.yml}\npost_merge:",
			[]string{".slipway.yaml:5: gate.checks[1]: does not name the job of its workflow (job)"},
		},
		{
			"a creator with an event", "post_merge:", "    - {context: scan, creator: bot, event: push}\npost_merge:",
			[]string{".slipway.yaml:5: gate.checks[1]: names a job or an event, which only a workflow has"},
		},
		{
			"a check that is no mapping", "post_merge:", "    - scan\npost_merge:",
			[]string{".slipway.yaml:5: gate.checks[1]: want keys with values, not a text"},
		},
		{
			"an absolute workflow path", "post_merge:", "    - {context: scan, workflow: /etc/ci.yml, job: j}\npost_merge:",
			[]string{`.slipway.yaml:5: gate.checks[1].workflow: "/etc/ci.yml" must be a path inside the repository`},
		},
		{
			"a workflow path that leaves the repository", "post_merge:", "    - {context: scan, workflow: a/../../ci.yml, job: j}\npost_merge:",
			[]string{`.slipway.yaml:5: gate.checks[1].workflow: "a/../../ci.yml" must be a path inside the repository`},
		},
		{
			"a workflow that is no YAML file", "post_merge:", "    - {context: scan, workflow: ci.sh, job: j}\npost_merge:",
			[]string{`.slipway.yaml:5: gate.checks[1].workflow: "ci.sh" is no workflow file (.yml or .yaml)`},
		},
		{
			"a path that is written in a roundabout way", "post_merge:", "    - {context: scan, workflow: a//b/./ci.yml, job: j}\npost_merge:",
			[]string{`.slipway.yaml:5: gate.checks[1].workflow: "a//b/./ci.yml" is written more simply "a/b/ci.yml"`},
		},
		{
			"an event that is none", "post_merge:", "    - {context: scan, workflow: ci.yml, job: j, event: Pull Request}\npost_merge:",
			[]string{`.slipway.yaml:5: gate.checks[1].event: "Pull Request" is not a workflow event such as pull_request`},
		},
		{
			"everything wrong in merge", "version: 1\n", "version: 1\nmerge:\n  method: fast\n  delete_branch: maybe\n  unjudged: ignore\n",
			[]string{
				`.slipway.yaml:3: merge.method: "fast" is none of squash, merge, rebase`,
				".slipway.yaml:4: merge.delete_branch: want true or false, not a text",
				`.slipway.yaml:5: merge.unjudged: "ignore" is none of hold, deploy`,
			},
		},
		{
			"everything wrong in release", "version: 1\n", "version: 1\nrelease:\n  prefix: \"v 1\"\n  first: v1.0\n  labels: [a]\n",
			[]string{
				`.slipway.yaml:3: release.prefix: "v 1" cannot start a git tag and an image tag`,
				`.slipway.yaml:4: release.first: "v1.0" is not a version such as 0.1.0, without a prefix`,
				".slipway.yaml:5: release.labels: want keys with values, not a list",
			},
		},
		{
			"a prefix that runs into the version, and a first version that is a pre-release", "version: 1\n", "version: 1\nrelease:\n  prefix: v1\n  first: 1.0.0-rc.1\n",
			[]string{
				`.slipway.yaml:3: release.prefix: "v1" ends in a digit, which would run into the version`,
				`.slipway.yaml:4: release.first: "1.0.0-rc.1" is not a version such as 0.1.0, without a prefix`,
			},
		},
		{
			"a prefix that ends in nought", "version: 1\n", "version: 1\nrelease: {prefix: v0}\n",
			[]string{`.slipway.yaml:2: release.prefix: "v0" ends in a digit, which would run into the version`},
		},
		{
			"a prefix that ends in nine", "version: 1\n", "version: 1\nrelease: {prefix: v9}\n",
			[]string{`.slipway.yaml:2: release.prefix: "v9" ends in a digit, which would run into the version`},
		},
		{
			"a build that leaves the repository", "version: 1\n", "version: 1\nbuild:\n  main: ../other\n  platform: linux/amd65\n",
			[]string{
				`.slipway.yaml:3: build.main: "../other" must be a path inside the repository`,
				`.slipway.yaml:4: build.platform: "linux/amd65" is no platform; did you mean "linux/amd64"?`,
			},
		},
		{
			"a package path that is a command-line flag", "version: 1\n", "version: 1\nbuild:\n  main: -toolexec=x\n",
			[]string{`.slipway.yaml:3: build.main: "-toolexec=x" must not start with -`},
		},
		{
			"a package path that means many", "version: 1\n", "version: 1\nbuild:\n  main: ./...\n",
			[]string{`.slipway.yaml:3: build.main: "./..." is not the path of one Go package`},
		},
		{
			"names that Kubernetes refuses", "  cluster: main\n  namespace: acme\n  deployment: app\n  container: app\n", "  cluster: Main\n  namespace: acme_1\n  deployment: -app\n  container: " + strings.Repeat("a", 64) + "\n",
			[]string{
				`.slipway.yaml:9: deploy.cluster: "Main" is not a DNS label (lower-case letters, digits and -, at most 63)`,
				`.slipway.yaml:10: deploy.namespace: "acme_1" is not a DNS label (lower-case letters, digits and -, at most 63)`,
				`.slipway.yaml:11: deploy.deployment: "-app" is not a DNS label (lower-case letters, digits and -, at most 63)`,
				`.slipway.yaml:12: deploy.container: "` + strings.Repeat("a", 64) + `" is not a DNS label (lower-case letters, digits and -, at most 63)`,
			},
		},
		{
			"nothing said about the deployment", "deploy:\n  cluster: main\n  namespace: acme\n  deployment: app\n  container: app\n  health: {port: 8080}", "deploy: {}",
			[]string{
				".slipway.yaml:8: deploy.cluster: is missing",
				".slipway.yaml:8: deploy.container: is missing",
				".slipway.yaml:8: deploy.deployment: is missing",
				".slipway.yaml:8: deploy.health: is missing; no signal is not healthy",
				".slipway.yaml:8: deploy.namespace: is missing",
			},
		},
		{
			"nothing to ask", "{port: 8080}", "{field: revision}",
			[]string{".slipway.yaml:13: deploy.health: does not say what to ask: name a port of the pods (and a path), or a url"},
		},
		{
			"two things to ask", "{port: 8080}", `{port: 8080, url: "http://app.example"}`,
			[]string{".slipway.yaml:13: deploy.health: names a port and a url; one of them is asked"},
		},
		{
			"everything wrong in health", "{port: 8080}", `{port: 99999, path: version, field: "a b"}`,
			[]string{
				`.slipway.yaml:13: deploy.health.field: "a b" is not the name of a field`,
				`.slipway.yaml:13: deploy.health.path: "version" is not a path such as /version`,
				".slipway.yaml:13: deploy.health.port: is 99999, want 1 to 65535",
			},
		},
		{
			"a health address with a password does not repeat it", "{port: 8080}", `{url: "http://u:geheim@app.example"}`,
			[]string{".slipway.yaml:13: deploy.health.url: must not hold a user or a password"},
		},
		{
			"a path beside an address", "{port: 8080}", `{url: "http://app.example", path: /x}`,
			[]string{".slipway.yaml:13: deploy.health: names a path beside the url, which has its own"},
		},
		{
			"an address with a port that is none", "{port: 8080}", `{url: "http://app.example:99999/"}`,
			[]string{".slipway.yaml:13: deploy.health.url: has no valid port"},
		},
		{
			"an address with a fragment", "{port: 8080}", `{url: "http://app.example/#x"}`,
			[]string{".slipway.yaml:13: deploy.health.url: must not have a fragment (#)"},
		},
		{
			"health that says nothing of itself", "{port: 8080}", "yes",
			[]string{".slipway.yaml:13: deploy.health: want keys with values, not a text"},
		},
		{
			"a context that no forge could hold", `"ci / test (push)"`, strings.Repeat("x", 256),
			[]string{".slipway.yaml:7: post_merge.checks[0].context: is longer than 255 bytes"},
		},
		{
			"an empty name", "cluster: main", `cluster: ""`,
			[]string{".slipway.yaml:9: deploy.cluster: is empty"},
		},
		{
			"a list with nothing in it", "gate:\n", "gate:\n  hold_labels: [hold, ]\n  approvals: [2]\n",
			[]string{".slipway.yaml:4: gate.approvals: want keys with values, not a list"},
		},
		{
			"an item with nothing in it", "gate:\n", "gate:\n  hold_labels:\n    - hold\n    -\n",
			[]string{".slipway.yaml:5: gate.hold_labels[1]: want text, not nothing"},
		},
		{
			"durations", "version: 1\n", "version: 1\ndeadlines:\n  review: 24\n  merge: 1d\n  image: 1ms\n  rollout: 9999h\n  health: [5m]\n",
			[]string{
				`.slipway.yaml:3: deadlines.review: "24" is not a duration; want one such as 30s, 5m or 24h`,
				`.slipway.yaml:4: deadlines.merge: "1d" is not a duration; want one such as 30s, 5m or 24h`,
				".slipway.yaml:5: deadlines.image: is 1ms, want 1s to 2160h",
				".slipway.yaml:6: deadlines.rollout: is 9999h, want 1s to 2160h",
				".slipway.yaml:7: deadlines.health: want a duration such as 30s, 5m or 24h, not a list",
			},
		},
		{
			"faults all over the file are told together, by line", "  health: {port: 8080}\n", "  helth: {port: 8080}\nmerge: {method: fast}\nbuild: now\n",
			[]string{
				".slipway.yaml:8: deploy.health: is missing; no signal is not healthy",
				`.slipway.yaml:13: deploy.helth: unknown key; did you mean "health"?`,
				`.slipway.yaml:14: merge.method: "fast" is none of squash, merge, rebase`,
				".slipway.yaml:15: build: want keys with values, not a text",
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan, faults := config.ParsePolicy(config.PolicyFile, []byte(replace(t, minimal, row.part, row.other)))
			says(t, faults, row.want)
			if len(plan.Faults) != len(row.want) || len(plan.Gate.Faults) != len(row.want) {
				t.Errorf("the plan carries %d faults and its gate %d, want %d", len(plan.Faults), len(plan.Gate.Faults), len(row.want))
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 9) + "]\n"
	}
	for _, row := range []struct{ name, text, want string }{
		{"nothing", "", ".slipway.yaml: is empty"},
		{"a remark alone", "# to come\n", ".slipway.yaml: is empty"},
		{"a list", "- a\n", ".slipway.yaml:1: want keys with values, not a list"},
		{"broken YAML", "version: 1\ngate: [\n", ".slipway.yaml:2: is not YAML: did not find expected node content"},
		{"a tab", "version: 1\ngate:\n\tchecks: 1\n", ".slipway.yaml:3: is not YAML: found character that cannot start any token"},
		{"bytes that are no text", "version: \xff\xfe\n", ".slipway.yaml: is not YAML: invalid leading UTF-8 octet"},
		{"more than one MiB", minimal + strings.Repeat("#", 1<<20), ".slipway.yaml: is larger than 1048576 bytes"},
		{"two documents", minimal + "---\nversion: 1\n", ".slipway.yaml:14: a second document; one is read"},
		{"a merge key", minimal + "<<: {version: 1}\n", ".slipway.yaml:14: <<: unknown key; known: version, gate, merge, post_merge, release, build, deploy, deadlines"},
		{"a tag", replace(t, minimal, "cluster: main", "cluster: !!binary bWFpbg=="), ".slipway.yaml:9: deploy.cluster: want text, not a value with a tag"},
		{"an alias", replace(t, replace(t, minimal, "cluster: main", "cluster: &m main"), "namespace: acme", "namespace: *m"), ".slipway.yaml:10: an alias (*m) is not read here: write the value out"},
		{"an alias bomb", bomb, ".slipway.yaml:2: an alias (*a) is not read here: write the value out"},
		{"a list as a key", "[a, b]: 1\n" + minimal, ".slipway.yaml:1: a key must be plain text"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults := config.ParsePolicy(config.PolicyFile, []byte(row.text))
			for _, f := range faults {
				if f.Error() == row.want {
					return
				}
			}
			t.Errorf("faults %q, want %q among them", faults, row.want)
		})
	}
}

func TestNoPolicyMergesNothing(t *testing.T) {
	plan, faults := config.NoPolicy(config.PolicyFile)
	says(t, faults, []string{".slipway.yaml: is missing on the base branch"})
	if len(plan.Faults) != 1 || len(plan.Gate.Faults) != 1 {
		t.Errorf("the plan does not carry the fault: %+v", plan)
	}
}
