package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/config"
	"slipway/gate"
	"slipway/internal/ref"
)

func condition(t testing.TB, expr string) gate.Condition {
	t.Helper()
	plan, faults := config.ParsePolicy(config.PolicyFile, withGate("  conditions:\n    - name: c\n      expr: |\n        "+expr+"\n"))
	if len(faults) > 0 || len(plan.Gate.Conditions) != 1 {
		t.Fatalf("%s: %v", expr, faults)
	}
	return plan.Gate.Conditions[0]
}

func conditioned() gate.Snapshot {
	repo := ref.RepoID{Owner: "acme", Name: "app"}
	return gate.Snapshot{
		Pull: gate.PullRequest{
			ID: ref.PullID{Repo: repo, Number: 7}, Title: "WIP: anchor", Body: "because", Author: "alice", Base: "main",
			HeadBranch: "anchor", HeadRepo: repo, Draft: ref.No, Labels: []string{"big", "docs"},
		},
		Files:       []gate.File{{Path: "docs/a.md", Added: 10, Deleted: 2}, {Path: "b.go", Previous: "c.go", Added: 1}},
		FilesRead:   ref.Yes,
		Commits:     []gate.Commit{{}, {}},
		CommitsRead: ref.Yes,
	}
}

func TestConditions(t *testing.T) {
	for _, row := range []struct {
		name, expr string
		want       ref.Fact
		why        string
		differ     func(*gate.Snapshot)
	}{
		{"the lines are those added and deleted", `lines == 13`, ref.Yes, "", nil},
		{"labels can be asked for", `lines < 10 || "big" in pull.labels`, ref.Yes, "", nil},
		{"no labels are an empty list", `size(pull.labels) == 0`, ref.Yes, "", func(s *gate.Snapshot) { s.Pull.Labels = nil }},
		{"what is false does not hold", `pull.author == "bob"`, ref.No, "", nil},
		{"texts can be matched", `pull.title.matches("(?i)^wip") && pull.body.contains("cause")`, ref.Yes, "", nil},
		{"branches are known", `pull.base == "main" && pull.head_branch.startsWith("anc")`, ref.Yes, "", nil},
		{"each file can be asked", `files.exists(f, f.path.startsWith("docs/") && f.added > 9 && f.deleted == 2)`, ref.Yes, "", nil},
		{"a rename counts with both paths", `"c.go" in paths && size(paths) == 3 && files[1].previous == "c.go"`, ref.Yes, "", nil},
		{"commits are counted", `commits == 2`, ref.Yes, "", nil},
		{"a pull request from the repository itself is no fork", `pull.fork`, ref.No, "", nil},
		{"one from another is", `pull.fork`, ref.Yes, "", func(s *gate.Snapshot) { s.Pull.HeadRepo.Owner = "bob" }},
		{"one from nobody knows where is unknown", `pull.fork`, ref.Unknown, "the repository it comes from could not be read", func(s *gate.Snapshot) { s.Pull.HeadRepo = ref.RepoID{} }},
		{"a draft is known", `!pull.draft`, ref.Yes, "", nil},
		{"a draft that is not known is unknown", `!pull.draft`, ref.Unknown, "whether it is a draft could not be read", func(s *gate.Snapshot) { s.Pull.Draft = ref.Unknown }},
		{"unread files are unknown", `lines < 10`, ref.Unknown, "the changed files could not be read", func(s *gate.Snapshot) { s.FilesRead = ref.Unknown }},
		{"files that are said not to be read are unknown too", `paths.all(p, p != "x")`, ref.Unknown, "the changed files could not be read", func(s *gate.Snapshot) { s.FilesRead = ref.No }},
		{"unread commits are unknown", `commits < 10`, ref.Unknown, "the commits could not be read", func(s *gate.Snapshot) { s.CommitsRead = ref.Unknown }},
		{"what is not named need not be read", `pull.author == "alice"`, ref.Yes, "", func(s *gate.Snapshot) { s.FilesRead, s.CommitsRead = ref.Unknown, ref.Unknown }},
		{"what cannot be evaluated is unknown", `files[9].added > 1`, ref.Unknown, "it cannot be evaluated: index out of bounds: 9", nil},
		{"a division by nothing is unknown", `lines / (commits - 2) > 1`, ref.Unknown, "it cannot be evaluated: division by zero", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := conditioned()
			if row.differ != nil {
				row.differ(&s)
			}
			got, why := condition(t, row.expr).Holds(s)
			if got != row.want || why != row.why {
				t.Errorf("%s (%q), want %s (%q)", got, why, row.want, row.why)
			}
		})
	}
}

func TestConditionFaults(t *testing.T) {
	for _, row := range []struct{ name, expr, want string }{
		{"a name that there is not", "line < 3", "undeclared reference to 'line'"},
		{"a part that there is not", `pull.titel == "x"`, "undeclared reference to 'pull'"},
		{"a part of a file that there is not", "files.all(f, f.size > 1)", "undefined field 'size'"},
		{"what is neither true nor false", "lines + 1", "is of type int; want one that is true or false"},
		{"a text compared with a number", `pull.title > 3`, "found no matching overload"},
		{"no expression", "lines <", "Syntax error"},
		{"the time of day", `timestamp("2026-01-01T00:00:00Z") < now`, "undeclared reference to 'now'"},
		{"a very long one", `"` + strings.Repeat("x", 5000) + `" == pull.title`, "is longer than 4096 characters"},
		{"a very deep one", strings.Repeat("!(", 300) + "true" + strings.Repeat(")", 300), "does not compile"},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan, faults := config.ParsePolicy(config.PolicyFile, withGate("  conditions:\n    - name: c\n      expr: |\n        "+row.expr+"\n"))
			if len(faults) != 1 || faults[0].Line != 5 || !strings.Contains(faults[0].Message, row.want) {
				t.Errorf("faults %v, want one on line 5 with %q", faults, row.want)
			}
			if len(plan.Gate.Conditions) != 0 {
				t.Error("a faulty condition is asked all the same")
			}
		})
	}
}

// TestAConditionCannotRunForLong tries what loops in loops: the cost is bounded,
// and what was stopped is unknown.
func TestAConditionCannotRunForLong(t *testing.T) {
	s := conditioned()
	s.Files = nil
	for i := range 3000 {
		s.Files = append(s.Files, gate.File{Path: fmt.Sprintf("file-%d", i)})
	}
	for _, expr := range []string{
		`files.all(a, files.all(b, files.all(c, files.all(d, a.path != "x"))))`,
		`size(paths.map(a, paths.map(b, a + b))) >= 0`,
		`paths.map(a, paths.map(b, paths.filter(c, c != a))).size() > 0`,
	} {
		c := condition(t, expr)
		begun := time.Now()
		got, why := c.Holds(s)
		t.Logf("%s: stopped after %s", expr, time.Since(begun))
		if got != ref.Unknown || !strings.Contains(why, "cost limit exceeded") {
			t.Errorf("%s: %s (%s)", expr, got, why)
		}
	}
	if got, why := condition(t, `files.all(f, f.path.startsWith("file-") && f.added >= 0 && !f.path.matches("^x"))`).Holds(s); got != ref.Yes {
		t.Errorf("an honest one over many files: %s (%s)", got, why)
	}
}

func BenchmarkCondition(b *testing.B) {
	c, s := condition(b, `lines < 1000 || "big" in pull.labels`), conditioned()
	for b.Loop() {
		if f, why := c.Holds(s); f != ref.Yes {
			b.Fatal(why)
		}
	}
}
