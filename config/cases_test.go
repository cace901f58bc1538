package config_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/config"
	"slipway/gate"
)

// strictPolicy uses most of what a gate can ask.
const strictPolicy = `version: 1
gate:
  checks:
    - {context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test}
    - {context: scan, creator: scanner-bot}
    - {context: web, creator: web-bot, paths: ["web/**"]}
    - {context: coverage, creator: coverage-bot, optional: true}
  approvals:
    count: 2
    from: {teams: [acme/staff], pools: [lite]}
    exclude: {people: [mallory], teams: [acme/interns]}
    codeowners: required
    demand:
      - {name: security, paths: ["auth/**"], from: {teams: [acme/security]}}
      - {name: large, lines: 1000, person: true, count: 3}
  vetoes: {people: [grace]}
  hold_labels: [hold]
  freeze:
    - {name: weekend, cron: "0 16 * * 5", for: 62h, time_zone: Europe/Berlin, reason: nobody is there}
  conditions:
    - {name: small, expr: 'lines < 5000 || "large" in pull.labels', otherwise: it is too large to review}
    - {name: own, expr: '!pull.fork'}
  up_to_date: true
  linear: true
  when: asked
  emergency: {by: {teams: [acme/sre]}, waives: [freeze, hold]}
post_merge:
  checks:
    - {context: "ci / test (push)", workflow: .gitea/workflows/ci.yml, job: test}
deploy: {cluster: main, namespace: acme, deployment: app, container: app, health: {port: 8080}}
`

// strictCases says what the strict policy means.
const strictCases = `version: 1
identities:
  agents:
    - {login: lite-0, operator: acme, model: m0, pool: lite}
    - {login: lite-1, operator: acme, model: m1, pool: lite}
    - {login: lite-2, operator: other, model: m0, pool: lite}
    - {login: lite-3, operator: other, model: m3, pool: lite}
    - {login: nameless, pool: lite}
strangers: [nobody-knows]
teams:
  acme/staff: [alice, bob, carol, mallory, nobody-knows]
  acme/interns: [ivan]
  acme/sre: [ada]
  acme/security: [carol]
cases:
  - {name: what says nothing merges, want: merge}
  - {name: a draft waits, draft: true, want: wait, reasons: [draft], who: [author]}
  - {name: a conflict blocks, conflict: true, want: block, reasons: [conflict]}
  - {name: a hold label waits, labels: [Hold], want: wait, reasons: [hold]}
  - {name: a hold by command waits, holds: [bob], want: wait, reasons: [hold], who: [bob]}
  - {name: a veto blocks, vetoes: [grace], want: block, reasons: [veto], who: [grace]}
  - {name: a red check blocks, checks: [{context: scan, state: failure}], want: block, reasons: [check_failed]}
  - {name: a skipped check is not green, checks: [{context: scan, state: skipped}], want: block, reasons: [check_failed]}
  - {name: a running check waits, checks: [{context: scan, state: pending}], want: wait, reasons: [check_pending]}
  - {name: a check that never came waits, checks: [{context: scan, state: missing}], want: wait, reasons: [check_missing]}
  - {name: a check by somebody else does not do, checks: [{context: scan, by: mallory}], want: wait, reasons: [check_wrong_source]}
  - {name: a status in place of the run does not do, checks: [{context: "ci / test (pull_request)", by: author}], want: wait, reasons: [check_wrong_source]}
  - {name: an optional check may be red, checks: [{context: coverage, state: failure}], want: merge}
  - {name: a check for other paths is not asked, checks: [{context: web, state: failure}], want: merge}
  - {name: for its own it is, files: [web/a.js], checks: [{context: web, state: failure}], want: block, reasons: [check_failed]}
  - {name: another check does not matter, checks: [{context: other, state: failure}], want: merge}
  - {name: nobody approved, unapproved: true, want: wait, reasons: [approvals]}
  - {name: one approval is too few, approvals: [alice], want: wait, reasons: [approvals]}
  - {name: two of the staff do, approvals: [alice, bob], want: merge}
  - {name: one from outside does not count, approvals: [alice, zoe], want: wait, reasons: [approvals]}
  - {name: an excluded one does not count, approvals: [alice, mallory], want: wait, reasons: [approvals]}
  - {name: an old approval does not count, approvals: [alice, {by: bob, on_head: false}], want: wait, reasons: [approvals]}
  - {name: one who lost the right does not count, approvals: [alice, {by: bob, eligible: false}], want: wait, reasons: [approvals]}
  - {name: the author's own does not count, author: alice, approvals: [alice, bob], want: wait, reasons: [approvals]}
  - {name: a co-author's does not count, co_authors: [bob], approvals: [alice, bob], want: wait, reasons: [approvals]}
  - {name: that of who pushed does not count, pusher: bob, approvals: [alice, bob], want: wait, reasons: [approvals]}
  - {name: one of unknown kind does not count, approvals: [alice, nobody-knows], want: wait, reasons: [approvals]}
  - {name: two agents of one operator are one, approvals: [lite-0, lite-1], want: wait, reasons: [approvals]}
  - {name: two agents of one model are one, approvals: [lite-0, lite-2], want: wait, reasons: [approvals]}
  - {name: two of different ones are two, approvals: [lite-0, lite-3], want: merge}
  - {name: an agent of no model is none, approvals: [alice, nameless], want: wait, reasons: [approvals]}
  - {name: security is asked for its paths, files: [auth/a.go], approvals: [alice, bob], want: wait, reasons: [demand], who: [acme/security]}
  - {name: a large change wants three persons, lines: 1000, approvals: [alice, bob], want: wait, reasons: [demand]}
  - {name: a very large one is too large, lines: 5000, want: block, reasons: [condition]}
  - {name: unless it says so, lines: 5000, labels: [large], want: merge}
  - {name: a fork is refused, fork: true, want: block, reasons: [condition]}
  - {name: an owner must approve, owners: [carol], approvals: [alice, bob], want: wait, reasons: [owners], who: [carol]}
  - {name: with the owner it merges, owners: [carol], approvals: [alice, carol], want: merge}
  - {name: owners approve by default, owners: [carol], want: merge}
  - {name: an unmapped e-mail blocks, unmapped: [x@example.org], want: block, reasons: [unmapped_identity]}
  - {name: an old base blocks, up_to_date: false, want: block, reasons: [outdated]}
  - {name: a merge commit blocks, merges: true, want: block, reasons: [not_linear]}
  - {name: what nobody asked for waits, asked: false, want: wait, reasons: [not_asked]}
  - {name: nothing merges on a weekend, at: 2026-11-21T12:00:00Z, want: wait, reasons: [freeze]}
  - {name: unless it is an emergency, at: 2026-11-21T12:00:00Z, emergency: ada, want: merge}
  - {name: of somebody who may, at: 2026-11-21T12:00:00Z, emergency: bob, want: wait, reasons: [freeze]}
  - {name: a frozen branch waits, frozen: what landed was not what was judged, want: block, reasons: [frozen]}
  - {name: a change of workflows by agents alone wants a person, files: [.gitea/workflows/ci.yml], approvals: [lite-0, lite-3], want: wait, reasons: [person]}
  - {name: unread files are unknown, unread: [files], want: wait, reasons: [unknown]}
  - {name: unread reviews are unknown, unread: [reviews], want: wait, reasons: [unknown]}
  - {name: unread checks are unknown, unread: [checks], want: wait, reasons: [unknown]}
  - {name: unread commits are unknown, unread: [commits], want: wait, reasons: [unknown]}
`

func judged(t *testing.T, policy, cases string) []config.CaseResult {
	t.Helper()
	plan, faults := config.ParsePolicy(config.PolicyFile, []byte(policy))
	says(t, faults, nil)
	table, faults := config.ParseCases(config.CasesFile, []byte(cases))
	says(t, faults, nil)
	return table.Judge(plan.Gate)
}

func TestCasesSayWhatAPolicyMeans(t *testing.T) {
	results := judged(t, strictPolicy, strictCases)
	for _, r := range results {
		t.Run(r.Name, func(t *testing.T) {
			for _, w := range r.Wrong {
				t.Errorf("%s: %v", w, r.Verdict.Reasons)
			}
		})
	}
	if len(results) < 45 {
		t.Errorf("only %d cases", len(results))
	}
}

func TestACaseThatIsNotAsItSaysFails(t *testing.T) {
	for _, row := range []struct {
		name, wants string
		wrong       []string
	}{
		{"another outcome", "want: block", []string{"it says wait, want block"}},
		{"a reason that is not given", "want: wait, reasons: [draft, hold]", []string{"its reasons are draft, want draft, hold"}},
		{"a reason too few", "labels: [hold], want: wait, reasons: [draft]", []string{"its reasons are draft, hold, want draft"}},
		{"somebody who cannot act", "want: wait, who: [bob]", []string{"bob cannot act, but author"}},
		{"all of it", "want: merge, reasons: [hold], who: [bob]", []string{"it says wait, want merge", "its reasons are draft, want hold", "bob cannot act, but author"}},
		{"nothing", "want: wait, reasons: [draft], who: [Author]", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := judged(t, minimal, "version: 1\ncases:\n  - {name: a, draft: true, "+row.wants+"}\n")[0]
			if !slices.Equal(got.Wrong, row.wrong) {
				t.Errorf("%q, want %q", got.Wrong, row.wrong)
			}
			if got.Line != 3 {
				t.Errorf("it stands on line %d, want 3", got.Line)
			}
		})
	}
}

// What a case says nothing of is a moment without a freeze, however the windows
// lie.
func TestACaseIsJudgedOutsideFreezes(t *testing.T) {
	policy := string(withGate("  freeze:\n    - {name: a, from: 2026-01-01T00:00, to: 2026-02-01T00:00}\n    - {name: b, from: 2026-01-20T00:00, to: 2026-03-01T00:00}\n"))
	got := judged(t, policy, "version: 1\ncases:\n  - {name: a, want: merge}\n")[0]
	if len(got.Wrong) > 0 || !got.At.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("at %s: %v", got.At, got.Wrong)
	}
}

func TestCaseFaults(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"no cases", "version: 1\n", []string{".slipway.test.yaml:1: cases: is missing"}},
		{"no outcome", "version: 1\ncases: [{name: a}]\n", []string{".slipway.test.yaml:2: cases[0].want: is missing"}},
		{"an outcome that there is not", "version: 1\ncases: [{name: a, want: pass}]\n", []string{`.slipway.test.yaml:2: cases[0].want: "pass" is none of wait, block, merge`}},
		{"a reason that there is not", "version: 1\ncases: [{name: a, want: wait, reasons: [holds]}]\n", []string{`.slipway.test.yaml:2: cases[0].reasons[0]: "holds" is none of `}},
		{"a key that there is not", "version: 1\ncases: [{name: a, want: wait, drafts: true}]\n", []string{`.slipway.test.yaml:2: cases[0].drafts: unknown key; did you mean "draft"?`}},
		{"a member that is no coordinate", "version: 1\ncases: [{name: a, want: wait, members: [builder-lite]}]\n", []string{`.slipway.test.yaml:2: cases[0].members[0]: address "builder-lite" is not <role>-<tier>-<replica>`}},
		{"one name twice", "version: 1\ncases:\n  - {name: a, want: wait}\n  - {name: A, want: wait}\n", []string{`.slipway.test.yaml:4: cases[1].name: "A" stands on line 3 already`}},
		{"a time without a zone", "version: 1\ncases: [{name: a, want: wait, at: 2026-01-01T00:00:00}]\n", []string{`.slipway.test.yaml:2: cases[0].at: "2026-01-01T00:00:00" is not a moment such as 2027-01-01T00:00:00Z`}},
		{"approvals and none", "version: 1\ncases: [{name: a, want: wait, approvals: [x], unapproved: true}]\n", []string{".slipway.test.yaml:2: cases[0]: names approvals, and says that nobody approved"}},
		{"an empty file", "", []string{".slipway.test.yaml: is empty"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults := config.ParseCases(config.CasesFile, []byte(row.text))
			if len(faults) != len(row.want) {
				t.Fatalf("faults %v, want %v", faults, row.want)
			}
			for i, f := range faults {
				if !strings.HasPrefix(f.Error(), row.want[i]) {
					t.Errorf("%s, want %s", f, row.want[i])
				}
			}
		})
	}
}

func TestLoadCases(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, config.CasesFile)
	if _, faults := config.LoadCases(file); len(faults) != 1 {
		t.Errorf("a file that is not there has the faults %v", faults)
	}
	write(t, file, "version: 1\npolicy: policies/strict.yaml\nrepo: other/app\ncases: [{name: a, want: merge}]\n")
	cases, faults := config.LoadCases(file)
	says(t, faults, nil)
	if want := filepath.Join(dir, "policies", "strict.yaml"); cases.Policy != want || cases.Repo.Owner != "other" || cases.Cases[0].Want != gate.Merge {
		t.Errorf("%+v, want the policy %s", cases, want)
	}
}
