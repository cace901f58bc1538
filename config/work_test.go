package config_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/config"
	"slipway/pools"
)

func TestWorkHasDefaults(t *testing.T) {
	s, faults, _ := loadServer(t, leastServer)
	says(t, faults, nil)
	want := config.Work{Lease: time.Minute, Heartbeat: 20 * time.Second, Deadline: time.Hour, Attempts: 3}
	if diff := cmp.Diff(want, s.Work); diff != "" || s.Pools.File != "" || !s.Store.Postgres.IsZero() {
		t.Errorf("pools in %q, and %s", s.Pools.File, diff)
	}
	s, faults, dir := loadServer(t, leastServer+"pools: {file: p/pools.yaml}\nwork: {labels: [{label: do it}], reviews: {}}\n")
	says(t, faults, nil)
	want.Labels = []config.WorkLabel{{Label: "do it", Selector: pools.Selector{Role: "builder"}, Priority: "normal"}}
	want.Reviews = &config.WorkReviews{Selector: pools.Selector{Role: "reviewer"}, Priority: "normal"}
	if diff := cmp.Diff(want, s.Work); diff != "" || s.Pools.File != filepath.Join(dir, "p", "pools.yaml") {
		t.Errorf("pools in %q, and %s", s.Pools.File, diff)
	}
}

func TestWorkIsReadInFull(t *testing.T) {
	zero := 0
	s, faults, _ := loadServer(t, leastServer+`pools: {file: pools.yaml}
work:
  lease: 10s
  heartbeat: 5s
  deadline: 2h
  attempts: 7
  labels:
    - {label: slipway/bug, selector: "builder-*-0", shape: bug, priority: high}
    - {label: any, selector: "*", priority: lowest}
  reviews: {selector: reviewer-heavy, priority: highest}
tokens: [{name: board, role: submitter, token: {env: T_OPS}}]
roles: [{role: submitter, people: [ada]}]
`)
	says(t, faults, nil)
	want := config.Work{
		Lease: 10 * time.Second, Heartbeat: 5 * time.Second, Deadline: 2 * time.Hour, Attempts: 7,
		Labels: []config.WorkLabel{
			{Label: "slipway/bug", Selector: pools.Selector{Role: "builder", Replica: &zero}, Shape: "bug", Priority: "high"},
			{Label: "any", Priority: "lowest"},
		},
		Reviews: &config.WorkReviews{Selector: pools.Selector{Role: "reviewer", Tier: "heavy"}, Priority: "highest"},
	}
	if diff := cmp.Diff(want, s.Work); diff != "" {
		t.Error(diff)
	}
	if s.Tokens[0].Role != "submitter" || s.Roles[0].Role != "submitter" {
		t.Errorf("%v, %v", s.Tokens[0].Role, s.Roles[0].Role)
	}
}

func TestWorkFaults(t *testing.T) {
	const fine = "pools: {file: pools.yaml}\n"
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"work without pools", "work: {attempts: 2}\n", []string{"slipway.yaml:10: work: there are no pools to give work to: name their config under pools.file"}},
		{"pools without a file", "pools: {}\n", []string{"slipway.yaml:10: pools.file: is missing"}},
		{"a heartbeat too seldom for its lease", fine + "work: {lease: 30s}\n",
			[]string{"slipway.yaml:11: work: a heartbeat each 20s is too seldom for a lease of 30s: want at most half of it"}},
		{"too many attempts", fine + "work: {attempts: 21}\n", []string{"slipway.yaml:11: work.attempts: is 21, want 1 to 20"}},
		{"a selector that is none", fine + "work: {labels: [{label: a, selector: builder lite}]}\n",
			[]string{`slipway.yaml:11: work.labels[0].selector: selector "builder lite" is not <role>, <role>-<tier> or <role>-<tier>-<replica> with * for what is free, such as builder-lite`}},
		{"a label twice", fine + "work: {labels: [{label: a}, {label: A}]}\n", []string{`slipway.yaml:11: work.labels[1].label: "A" stands on line 11 already`}},
		{"a label without a name", fine + "work: {labels: [{shape: bug}]}\n", []string{"slipway.yaml:11: work.labels[0].label: is missing"}},
		{"a priority that there is not", fine + "work: {reviews: {priority: soon}}\n",
			[]string{`slipway.yaml:11: work.reviews.priority: "soon" is none of lowest, low, normal, high, highest`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults, _ := loadServer(t, leastServer+row.text)
			says(t, faults, row.want)
		})
	}
}

func TestDisagreementsOfTheServerWithItsPools(t *testing.T) {
	set := parsePools(t, strings.Replace(leastPools, "currency:", "shapes: [bug]\ncurrency:", 1)+"  reviewer-heavy-0: careful\n")
	const fine = "pools: {file: pools.yaml}\n"
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"none without work", "", nil},
		{"none where all is there", fine + "work: {labels: [{label: a, selector: builder-lite, shape: bug}], reviews: {}}\n", nil},
		{"a role that there is not", fine + "work:\n  labels:\n    - label: a\n      selector: tester\n",
			[]string{`slipway.yaml:14: work.labels[0].selector: selector "tester": there is no role "tester"; the roles are builder, reviewer`}},
		{"a pool without coordinates", fine + "work: {labels: [{label: a, selector: builder-heavy}]}\n",
			[]string{`slipway.yaml:11: work.labels[0].selector: the selector "builder-heavy" matches no coordinate; the pools are builder-lite, reviewer-heavy`}},
		{"a coordinate that there is not", fine + "work: {reviews: {selector: reviewer-heavy-1}}\n",
			[]string{`slipway.yaml:11: work.reviews.selector: the selector "reviewer-heavy-1" matches no coordinate; the pools are builder-lite, reviewer-heavy`}},
		{"a shape that is not declared", fine + "work: {labels: [{label: a, shape: bugg}]}\n",
			[]string{`slipway.yaml:11: work.labels[0].shape: the pool config has no shape "bugg"; did you mean "bug"?`}},
		{"a coordinate that is declared an agent", "identities:\n  agents:\n    - {login: other}\n    - {login: Builder-Lite-0, model: m}\n",
			[]string{"slipway.yaml:13: identities.agents[1].login: Builder-Lite-0 is a coordinate of the pool config, which alone says what it is: take it out here"}},
		{"a coordinate that is declared a person", "identities: {people: [ada, builder-lite-0]}\n",
			[]string{"slipway.yaml:10: identities.people: builder-lite-0 is a coordinate of the pool config, which alone says what it is: take it out here"}},
		{"a replica that is none of the set is nobody's", "identities: {agents: [{login: builder-lite-1}]}\n", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, faults, _ := loadServer(t, leastServer+row.text)
			says(t, faults, nil)
			says(t, s.Disagreements(set), row.want)
		})
	}
	s, _, _ := loadServer(t, strings.Replace(leastServer, "login: slipway-bot", "login: builder-lite-0", 1))
	says(t, s.Disagreements(set), []string{"slipway.yaml:3: forges[0].login: builder-lite-0 is a coordinate of the pool config, which alone says what it is: take it out here"})
}

// A selector that nobody wrote has no line of its own.
func TestADefaultThatDoesNotFitIsToldWhereItWouldStand(t *testing.T) {
	set := parsePools(t, strings.ReplaceAll(leastPools, "builder", "maker"))
	s, faults, _ := loadServer(t, leastServer+"pools: {file: pools.yaml}\nwork: {labels: [{label: a}], reviews: {}}\n")
	says(t, faults, nil)
	says(t, s.Disagreements(set), []string{
		`slipway.yaml:11: work.labels[0].selector: selector "builder": there is no role "builder"; the roles are maker, reviewer`,
		`slipway.yaml:11: work.reviews.selector: the selector "reviewer" matches no coordinate; the pools are maker-lite`,
	})
}

func TestTheDatabaseIsASecret(t *testing.T) {
	const stored = "store: {path: state, postgres: {env: T_DSN}}\n"
	text := strings.Replace(leastServer, "store: {path: state}\n", stored, 1)
	for _, row := range []struct {
		name, value string
		want        []string
	}{
		{"an address", "postgres://me:hunter2@db/slipway", nil},
		{"words", "host=db password=hunter2", nil},
		{"another thing", "hunter2", []string{"slipway.yaml:1: store.postgres: the secret is no connection string of PostgreSQL, such as postgres://USER:PASSWORD@HOST/DATABASE or host=HOST dbname=DATABASE"}},
		{"nothing", "", []string{"slipway.yaml:1: store.postgres: the secret is empty"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("T_DSN", row.value)
			s, faults, dir := loadServer(t, text)
			says(t, faults, row.want)
			// Whoever reads beside the server reads this secret and no other.
			file := filepath.Join(dir, "other.yaml")
			write(t, file, strings.Replace(text, "T_TOKEN", "NOT_SET_1", 1))
			store, beside := config.LoadStore(file)
			if len(beside) != len(row.want) {
				t.Errorf("beside the server: %v", beside)
			}
			if want := s.Store.Postgres.Reveal(); row.want == nil && (want != row.value || store.Postgres.Reveal() != want || store.Path == "") {
				t.Errorf("%q, and beside the server %q", want, store.Postgres.Reveal())
			}
		})
	}
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	write(t, file, text)
	if s, faults := config.InspectServer(file); len(faults) > 0 || !s.Store.Postgres.IsZero() {
		t.Errorf("who only looks reads a secret: %v", faults)
	}
}
