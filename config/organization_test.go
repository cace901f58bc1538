package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"slipway/config"
	"slipway/gate"
)

// organized reads a policy under what an organisation says, which is indented
// by four blanks.
func organized(t *testing.T, part, policy string) (gate.Policy, config.Server, []config.Fault) {
	t.Helper()
	s, faults, _ := loadServer(t, leastServer+"organizations:\n  - owner: acme\n"+part)
	says(t, faults, nil)
	plan, found := s.ParsePolicy(s.Repositories[0], config.PolicyFile, []byte(policy))
	return plan.Gate, s, found
}

func TestAnOrganisationsDefaultsStandWhereAFileIsSilent(t *testing.T) {
	const defaults = `    defaults:
      gate:
        checks: [{context: scan, creator: scanner}]
        approvals: {count: 4, from: {teams: [acme/staff], people: [zoe]}, codeowners: required}
        hold_labels: [stop]
        up_to_date: true
      merge: {method: rebase, title: "{{.Title}}!"}
      deploy: {environment: staging, deadline: 9m, health: {url: "http://x.example/"}}
      deadlines: {review: 8h}
`
	s, faults, _ := loadServer(t, leastServer+"organizations:\n  - owner: ACME\n"+defaults)
	says(t, faults, nil)
	read := func(policy string) (p struct {
		gate.Policy
		method, environment, url string
		port                     int
		review, deadline         time.Duration
	},
	) {
		plan, faults := s.ParsePolicy(s.Repositories[0], config.PolicyFile, []byte(policy))
		says(t, faults, nil)
		p.Policy, p.method, p.environment = plan.Gate, plan.Merge.Method, plan.Deploy.Environment
		p.url, p.port, p.review, p.deadline = plan.Deploy.Health.URL, plan.Deploy.Health.Port, plan.Deadlines.Review, plan.Deploy.Deadline
		return p
	}

	p := read(minimal)
	for what, pair := range map[string][2]any{
		"approvals":              {p.Approvals, 4},
		"from":                   {fmt.Sprint(p.Approvers), "{[zoe] [acme/staff] []}"},
		"owners":                 {p.Owners.Required, true},
		"hold labels":            {fmt.Sprint(p.HoldLabels), "[stop]"},
		"up to date":             {p.UpToDate, true},
		"the file's own checks":  {p.Checks[0].Context, "ci / test (pull_request)"},
		"method":                 {p.method, "rebase"},
		"environment":            {p.environment, "staging"},
		"review":                 {p.review, 8 * time.Hour},
		"deadline":               {p.deadline, 9 * time.Minute},
		"the file's own health":  {p.port, 8080},
		"nothing of the other's": {p.url, ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}

	p = read(strings.Replace(minimal, "gate:\n", "gate:\n  approvals: 2\n  up_to_date: false\n  hold_labels: [mine]\n", 1) + "merge: {method: merge}\n")
	if p.Approvals != 2 || p.UpToDate || fmt.Sprint(p.HoldLabels) != "[mine]" || p.method != "merge" || !p.Owners.Required {
		t.Errorf("the file's own keys do not win: %+v", p)
	}
	p = read(strings.Replace(minimal, "gate:\n", "gate:\n  approvals: {from: {people: [bob]}}\n", 1))
	if fmt.Sprint(p.Approvers) != "{[bob] [] []}" || p.Approvals != 4 {
		t.Errorf("a choice of people is not taken as a whole: %+v", p.Approvers)
	}

	none := strings.Replace(minimal, "gate:\n  checks:\n    - {context: \"ci / test (pull_request)\", workflow: .gitea/workflows/ci.yml, job: test}\n", "", 1)
	if p = read(none); len(p.Checks) != 1 || p.Checks[0].Creator != "scanner" {
		t.Errorf("a file without a gate has the checks %+v", p.Checks)
	}
}

func TestAnOrganisationsPartIsReadAsStrictly(t *testing.T) {
	for _, row := range []struct {
		name, part string
		want       []string
	}{
		{
			"an unknown key in the defaults", "    defaults: {gate: {aprovals: 3}}\n",
			[]string{`slipway.yaml:12: organizations[0].defaults.gate.aprovals: unknown key; did you mean "approvals"?`},
		},
		{
			"what is whole is wanted whole", "    defaults: {gate: {checks: [{context: x}]}, deploy: {health: {path: /x}}}\n",
			[]string{
				"slipway.yaml:12: organizations[0].defaults.deploy.health: does not say what to ask: name a port of the pods (and a path), or a url",
				"slipway.yaml:12: organizations[0].defaults.gate.checks[0]: does not say where the check comes from: name a workflow and its job, or a creator",
			},
		},
		{
			"what is no floor", "    floors: {gate: {approvals: {from: {people: [bob]}}, checks: [{context: x, creator: y, optional: true}]}}\n",
			[]string{
				"slipway.yaml:12: organizations[0].floors.gate.approvals.from: unknown key; known: count, exclude, operator_once, codeowners, demand",
				"slipway.yaml:12: organizations[0].floors.gate.checks[0].optional: unknown key; known: context, workflow, job, event, creator, paths",
			},
		},
		{
			"a condition that does not compile", "    floors:\n      gate:\n        conditions:\n          - {name: a, expr: 'nothing > 1'}\n",
			[]string{"slipway.yaml:15: organizations[0].floors.gate.conditions[0].expr: does not compile: undeclared reference to 'nothing' (line 1, column 1 of the expression)"},
		},
		{
			"one owner twice", "  - owner: Acme\n", []string{`slipway.yaml:12: organizations[1].owner: "Acme" stands on line 11 already`},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults, _ := loadServer(t, leastServer+"organizations:\n  - owner: acme\n"+row.part)
			says(t, faults, row.want)
		})
	}
}

func TestFloorsAreAdded(t *testing.T) {
	const floors = `    floors:
      gate:
        checks:
          - {context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test}
          - {context: licences, creator: lawyer, paths: ["vendor/**"]}
        approvals: {count: 3, exclude: {people: [mallory]}, operator_once: true, codeowners: required, demand: [{name: staff, from: {teams: [acme/staff]}}]}
        vetoes: {people: [grace]}
        hold_labels: [stop]
        freeze: [{name: weekend, cron: "0 16 * * 5", for: 62h}]
        conditions: [{name: small, expr: lines < 100}]
        up_to_date: true
        linear: true
        when: asked
`
	own := strings.Replace(minimal, "    - {context: \"ci / test (pull_request)\", workflow: .gitea/workflows/ci.yml, job: test}\n", `    - {context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test, optional: true, paths: ["x/**"]}
    - {context: licences, creator: Lawyer, paths: ["lib/**"]}
    - {context: mine, creator: me}
  approvals: {count: 2, operator_once: false, demand: [{name: staff, person: true}]}
  vetoes: {teams: [acme/sec]}
  hold_labels: [STOP, hold]
  conditions: [{name: small, expr: lines < 5000}]
  emergency: {by: {people: [mallory]}, waives: [freeze, condition, demand, owners, base, hold]}
`, 1)
	p, _, faults := organized(t, floors, own)
	says(t, faults, nil)
	want := map[string]string{
		"checks":     `[{ci / test (pull_request)  .gitea/workflows/ci.yml test pull_request false []} {licences Lawyer    false [lib/** vendor/**]} {mine me    false []}]`,
		"approvals":  "3",
		"excluded":   "{[mallory] [] []}",
		"flags":      "true true true true true",
		"vetoers":    "{[grace] [acme/sec] []}",
		"labels":     "[STOP hold]",
		"demands":    "staff acme/staff",
		"freezes":    "weekend",
		"conditions": "small acme/small",
		"waives":     "[]",
	}
	got := map[string]string{
		"checks": fmt.Sprint(p.Checks), "approvals": fmt.Sprint(p.Approvals), "excluded": fmt.Sprint(p.Excluded),
		"flags":   fmt.Sprint(p.OperatorOnce, p.Owners.Required, p.UpToDate, p.Linear, p.OnRequest),
		"vetoers": fmt.Sprint(p.Vetoers), "labels": fmt.Sprint(p.HoldLabels),
		"demands": p.Demands[0].Name + " " + p.Demands[1].Name, "freezes": p.Freezes[0].Name,
		"conditions": p.Conditions[0].Name + " " + p.Conditions[1].Name, "waives": fmt.Sprint(p.Emergency.Waives),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

func TestAnEmergencyWaivesOnlyWhatTheFloorsLeave(t *testing.T) {
	const own = "  emergency: {by: {people: [mallory]}, waives: [freeze, demand, hold]}\n"
	policy := strings.Replace(minimal, "gate:\n", "gate:\n"+own, 1)
	for _, row := range []struct{ name, floors, by, waives string }{
		{"without floors all of it stays", "{gate: {linear: true}}", "[mallory]", "[freeze demand hold]"},
		{"what the floors ask for is out of its reach", `{gate: {freeze: [{name: a, cron: "0 0 * * *", for: 1h}], hold_labels: [x]}}`, "[mallory]", "[demand]"},
		{"unless they say who may, and then those alone", "{gate: {hold_labels: [x], emergency: {by: {people: [ada]}, waives: [hold, base]}}}", "[ada]", "[hold]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, _, faults := organized(t, "    floors: "+row.floors+"\n", policy)
			says(t, faults, nil)
			if by, waives := fmt.Sprint(p.Emergency.By.People), fmt.Sprint(p.Emergency.Waives); by != row.by || waives != row.waives {
				t.Errorf("%s may waive %s, want %s and %s", by, waives, row.by, row.waives)
			}
		})
	}
	p, _, faults := organized(t, "    floors: {gate: {emergency: {by: {people: [ada]}}}}\n", minimal)
	says(t, faults, nil)
	if len(p.Emergency.Waives) != 0 || len(p.Emergency.By.People) != 0 {
		t.Errorf("a floor gives an emergency to a repository that has none: %+v", p.Emergency)
	}
}

func TestAFloorsCheckFromElsewhereIsAFault(t *testing.T) {
	p, _, faults := organized(t, "    floors: {gate: {checks: [{context: \"ci / test (pull_request)\", creator: ci-bot}]}}\n", minimal)
	says(t, faults, []string{`.slipway.yaml: gate.checks: "ci / test (pull_request)" comes from job test of .gitea/workflows/ci.yml (pull_request) here, and acme wants it from ci-bot: take it out of this file`})
	if len(p.Faults) != 1 {
		t.Errorf("the gate has the faults %v", p.Faults)
	}
}

func TestAFaultBetweenTheTwoNamesTheFile(t *testing.T) {
	_, _, faults := organized(t, "    defaults:\n      release:\n        labels: {major: hold}\n", minimal)
	says(t, faults, []string{`slipway.yaml:14: release.labels: the label "hold" stands for gate.hold_labels and for release.labels.major`})
}

func TestThePolicysHashCoversBothParts(t *testing.T) {
	hashes := map[string]string{}
	for name, at := range map[string][2]string{
		"as it is": {"    floors: {gate: {linear: true}}\n", minimal}, "another file": {"    floors: {gate: {linear: true}}\n", minimal + "\n"},
		"another floor": {"    floors: {gate: {up_to_date: true}}\n", minimal}, "another default": {"    defaults: {gate: {linear: true}}\n", minimal},
	} {
		p, _, _ := organized(t, at[0], at[1])
		again, _, _ := organized(t, at[0], at[1])
		if p.Hash != again.Hash || len(p.Hash) != 64 {
			t.Errorf("%s: hash %q, then %q", name, p.Hash, again.Hash)
		}
		if other, taken := hashes[p.Hash]; taken {
			t.Errorf("%s has the hash of %s", name, other)
		}
		hashes[p.Hash] = name
	}
}

// TestFloorsAreNeverWeakened gives random policy files to random floors:
// whatever the file says, the policy asks at least what the floors do, and at
// least what it asks without them.
func TestFloorsAreNeverWeakened(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		floorText, floorChecks := section(rt, "floor", "")
		own, ownChecks := section(rt, "own", ", optional: true")
		floorSection := floorText
		if floorChecks != "" {
			floorSection += "  checks:\n" + floorChecks
		}
		s, faults, _ := loadServer(t, leastServer+"organizations:\n  - owner: acme\n    floors:\n      gate:\n        linear: false\n"+indent(floorSection, "      "))
		if len(faults) > 0 {
			rt.Fatalf("floors: %v\n%s", faults, floorSection)
		}
		policy := gated(own, ownChecks)
		alone, faults := config.ParsePolicy(config.PolicyFile, []byte(policy))
		if len(faults) > 0 {
			rt.Fatalf("policy: %v\n%s", faults, policy)
		}
		bare, faults := config.ParsePolicy(config.PolicyFile, []byte(gated(floorText, floorChecks)))
		if len(faults) > 0 {
			rt.Fatalf("the floors as a policy: %v\n%s", faults, floorText)
		}
		both, faults := s.ParsePolicy(s.Repositories[0], config.PolicyFile, []byte(policy))
		if len(faults) > 0 {
			return // a faulty policy merges nothing
		}
		floor := bare.Gate
		floor.Checks = floor.Checks[1:] // without that of the minimal file
		if !strings.Contains(floorText, "hold_labels") {
			floor.HoldLabels = nil
		}
		if !strings.Contains(floorText, "operator_once") {
			floor.OperatorOnce = false
		}
		strict(rt, "floor", floor, both.Gate)
		strict(rt, "file", alone.Gate, both.Gate)
		for _, w := range both.Gate.Emergency.Waives {
			if !slices.Contains(alone.Gate.Emergency.Waives, w) {
				rt.Fatalf("the floors let an emergency waive %s", w)
			}
			if asks(floor, w) && !slices.Contains(floor.Emergency.Waives, w) {
				rt.Fatalf("an emergency waives %s, which the floors ask for\n%s\n%s", w, floorText, own)
			}
		}
		if len(floor.Emergency.Waives) > 0 && len(both.Gate.Emergency.Waives) > 0 && !slices.Equal(floor.Emergency.By.People, both.Gate.Emergency.By.People) {
			rt.Fatalf("%v may waive, where the floors say %v", both.Gate.Emergency.By, floor.Emergency.By)
		}
	})
}

func asks(p gate.Policy, kind string) bool {
	return map[string]bool{
		"freeze": len(p.Freezes) > 0, "condition": len(p.Conditions) > 0, "demand": len(p.Demands) > 0,
		"owners": p.Owners.Required, "base": p.UpToDate, "hold": len(p.HoldLabels) > 0,
	}[kind]
}

// strict asks that a policy asks at least what another does.
func strict(t *rapid.T, what string, least, got gate.Policy) {
	if got.Approvals < least.Approvals || least.OperatorOnce && !got.OperatorOnce || least.Owners.Required && !got.Owners.Required ||
		least.UpToDate && !got.UpToDate || least.Linear && !got.Linear || least.OnRequest && !got.OnRequest {
		t.Fatalf("less than the %s asks: %+v, want at least %+v", what, got, least)
	}
	for _, c := range least.Checks {
		i := slices.IndexFunc(got.Checks, func(g gate.CheckRule) bool {
			return g.Context == c.Context && strings.EqualFold(g.Creator, c.Creator) && g.Workflow == c.Workflow && g.Job == c.Job && g.Event == c.Event
		})
		if i < 0 || got.Checks[i].Optional && !c.Optional || !covers(got.Checks[i].Paths, c.Paths) {
			t.Fatalf("the %s's check %+v is weaker in %+v", what, c, got.Checks)
		}
	}
	for _, pair := range [][2][]string{
		{least.Excluded.People, got.Excluded.People}, {least.Vetoers.People, got.Vetoers.People}, {least.HoldLabels, got.HoldLabels},
		{demanded(least), demanded(got)}, {sentences(least), sentences(got)}, {reasons(least), reasons(got)},
	} {
		for _, w := range pair[0] {
			if !slices.ContainsFunc(pair[1], func(g string) bool { return strings.EqualFold(g, w) }) {
				t.Fatalf("the %s's %q is not in %q", what, w, pair[1])
			}
		}
	}
	if fmt.Sprint(least.Approvers) != "{[] [] []}" && fmt.Sprint(got.Approvers) != fmt.Sprint(least.Approvers) {
		t.Fatalf("the %s's choice of approvers is lost", what)
	}
}

// covers says whether a check that is for got is required wherever one that is
// for least is. None is every path.
func covers(got, least []string) bool {
	return len(got) == 0 || len(least) > 0 && !slices.ContainsFunc(least, func(p string) bool { return !slices.Contains(got, p) })
}

func demanded(p gate.Policy) (all []string) {
	for _, d := range p.Demands {
		all = append(all, fmt.Sprint(d.Paths, d.Lines, d.From, d.Person, d.Count))
	}
	return all
}

func sentences(p gate.Policy) (all []string) {
	for _, c := range p.Conditions {
		all = append(all, c.Sentence)
	}
	return all
}

func reasons(p gate.Policy) (all []string) {
	for _, f := range p.Freezes {
		all = append(all, f.Reason)
	}
	return all
}

// gated is the minimal policy with more in its gate.
func gated(text, checks string) string {
	policy := strings.Replace(minimal, "gate:\n", "gate:\n"+text, 1)
	return strings.Replace(policy, "post_merge:\n", checks+"post_merge:\n", 1)
}

// section is a random gate section, indented by two blanks, and its checks.
func section(t *rapid.T, name, optional string) (text, checks string) {
	pick := func(what string, from ...string) {
		text += rapid.SampledFrom(append(from, "")).Draw(t, name+" "+what)
	}
	pick("flags", "  linear: true\n", "  when: asked\n", "  linear: true\n  when: ready\n")
	if name == "floor" {
		text = strings.ReplaceAll(text, "  linear: true\n", "") // it stands there already
	}
	pick("approvals", "  approvals: 2\n", "  approvals: 3\n", "  approvals: 4\n",
		"  approvals: {count: 3, exclude: {people: [mallory]}, operator_once: true, codeowners: required}\n",
		"  approvals: {operator_once: false, demand: [{name: a, lines: 10, person: true}], exclude: {people: [eve]}}\n",
		"  approvals: {demand: [{name: a, paths: [x], count: 3}], codeowners: \"off\"}\n")
	pick("vetoes", "  vetoes: {people: [grace]}\n", "  vetoes: {people: [Grace, joan]}\n")
	pick("labels", "  hold_labels: [hold]\n", "  hold_labels: [stop, Hold]\n")
	pick("freeze", "  freeze: [{name: w, cron: \"0 16 * * 5\", for: 2h, reason: "+name+"-week}]\n",
		"  freeze: [{name: w, from: 2026-01-01T00:00, to: 2026-01-02T00:00, reason: "+name+"-once}]\n")
	pick("conditions", "  conditions: [{name: c, expr: lines < 10, otherwise: "+name+"-lines}]\n")
	pick("up to date", "  up_to_date: true\n", "  up_to_date: false\n")
	pick("emergency", "  emergency: {by: {people: [ada]}}\n", "  emergency: {by: {people: ["+name+"]}, waives: [hold, base, freeze, owners, demand, condition]}\n")
	checks = rapid.SampledFrom([]string{
		"", "    - {context: a, creator: x}\n", "    - {context: a, creator: x, paths: [\"p/**\"]}\n", "    - {context: a, creator: x" + optional + "}\n",
		"    - {context: a, creator: X, paths: [\"q/**\"]" + optional + "}\n", "    - {context: a, creator: y}\n",
	}).Draw(t, name+" checks")
	return text, checks
}

func indent(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(by + line)
	}
	return b.String()
}
