package config_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"slipway/config"
	"slipway/gate"
)

// fine is the verdict on a pull request on which everything that a policy may
// ask for is there.
func fine(t interface{ Fatalf(string, ...any) }, p gate.Policy) gate.Verdict {
	cases, faults := config.ParseCases(config.CasesFile, []byte("version: 1\ncases:\n  - {name: fine, want: merge}\n"))
	if len(faults) > 0 {
		t.Fatalf("the case has faults: %v", faults)
	}
	return cases.Judge(p)[0].Verdict
}

func merges(t interface{ Fatalf(string, ...any) }, p gate.Policy) bool {
	return fine(t, p).Outcome == gate.Merge
}

// damaged is a good policy file after some edits that nobody meant.
func damaged(t *rapid.T) []byte {
	if rapid.Bool().Draw(t, "long") {
		return damage(t, minimal+"merge: {method: squash}\nrelease: {labels: {major: a}}\ndeadlines: {review: 1h}\n")
	}
	return damage(t, minimal)
}

// damage is a text after some edits that nobody meant.
func damage(t *rapid.T, text string) []byte {
	lines := strings.SplitAfter(text, "\n")
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		switch rapid.IntRange(0, 4).Draw(t, "edit") {
		case 0:
			lines = slices.Delete(lines, i, i+1)
		case 1:
			lines = slices.Insert(lines, i, lines[rapid.IntRange(0, len(lines)-1).Draw(t, "copied")])
		case 2:
			at := rapid.IntRange(0, len(lines[i])).Draw(t, "at")
			lines[i] = lines[i][:at] + rapid.StringOfN(rapid.RuneFrom([]rune(":-[]{}&*!|>'\"%@# \n\tax1\x00é")), 1, 4, -1).Draw(t, "put") + lines[i][at:]
		case 3:
			at := rapid.IntRange(0, len(lines[i])).Draw(t, "from")
			lines[i] = lines[i][:at] + lines[i][min(len(lines[i]), at+rapid.IntRange(1, 8).Draw(t, "cut")):]
		case 4:
			lines[i] = rapid.String().Draw(t, "any") + "\n"
		}
		if len(lines) == 0 {
			break
		}
	}
	return []byte(strings.Join(lines, ""))
}

func TestAFaultyPolicyNeverMerges(t *testing.T) {
	good, bad := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		data := damaged(t)
		plan, faults := config.ParsePolicy(config.PolicyFile, data)
		if len(plan.Faults) != len(faults) || len(plan.Gate.Faults) != len(faults) {
			t.Fatalf("%d faults, of which the plan has %d and its gate %d", len(faults), len(plan.Faults), len(plan.Gate.Faults))
		}
		if merges(t, plan.Gate) != (len(faults) == 0) {
			t.Fatalf("faults %q, and yet it merges: %v\n%s", faults, merges(t, plan.Gate), data)
		}
		lines := strings.Count(string(data), "\n") + 1
		for i, f := range faults {
			if f.Line < 0 || f.Line > lines || f.Message == "" {
				t.Fatalf("fault %+v in a file of %d lines", f, lines)
			}
			if i > 0 && faults[i-1].Line > f.Line {
				t.Fatalf("faults out of order: %q", faults)
			}
		}
		if len(faults) > 0 {
			bad++
			return
		}
		good++
		if len(plan.Gate.Checks) == 0 || len(plan.PostMerge) == 0 || plan.Gate.Approvals < 2 {
			t.Fatalf("a policy without faults that asks for too little: %+v", plan)
		}
	})
	if good == 0 || bad == 0 {
		t.Fatalf("%d good and %d bad files: one kind was not tried", good, bad)
	}
}

// TestAListIsBounded tries lists that would take long to read: a pull request
// may propose any policy.
func TestAListIsBounded(t *testing.T) {
	var conditions, labels strings.Builder
	for i := range 51 {
		fmt.Fprintf(&conditions, "    - {name: c%d, expr: lines < %d}\n", i, i)
	}
	for i := range 1001 {
		fmt.Fprintf(&labels, "    - label-%d\n", i)
	}
	for _, row := range []struct{ key, list, want string }{
		{"conditions", conditions.String(), "has 51 entries, want at most 50"},
		{"hold_labels", labels.String(), "has 1001 entries, want at most 1000"},
	} {
		plan, faults := config.ParsePolicy(config.PolicyFile, withGate("  "+row.key+":\n"+row.list))
		says(t, faults, []string{".slipway.yaml:3: gate." + row.key + ": " + row.want})
		if len(plan.Gate.Conditions) > 0 {
			t.Error("conditions are compiled all the same")
		}
		_, faults = config.ParsePolicy(config.PolicyFile, withGate("  "+row.key+":\n"+row.list[strings.Index(row.list, "\n")+1:]))
		says(t, faults, nil)
	}
}

// FuzzPolicy gives the reader anything. It must end, a file with faults must
// merge nothing, and one without must mean the same whenever it is read and
// judged.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(strictPolicy))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add(withGate("  freeze: [{name: a, cron: \"*/7 2 29 2 *\", for: 25h, time_zone: America/St_Johns}]\n"))
	f.Add(withGate("  conditions: [{name: a, expr: 'files.all(f, paths.exists(p, p == f.path))'}]\n"))
	f.Add(withMerge("  title: '{{range .Labels}}{{.}}{{else}}{{first 3 .Title}}{{end}}'\n  message: x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		plan, faults := config.ParsePolicy(config.PolicyFile, data)
		again, more := config.ParsePolicy(config.PolicyFile, data)
		if !slices.Equal(faults, more) || plan.Gate.Hash != again.Gate.Hash {
			t.Fatalf("read twice it differs: %q and %q", faults, more)
		}
		first := fine(t, plan.Gate)
		if len(faults) > 0 {
			if first.Outcome == gate.Merge {
				t.Fatalf("it merges with the faults %q", faults)
			}
			return
		}
		if second := fine(t, again.Gate); !reflect.DeepEqual(first, second) {
			t.Fatalf("judged twice it differs: %+v and %+v", first, second)
		}
		if len(plan.Gate.Checks) == 0 || len(plan.PostMerge) == 0 || plan.Gate.Approvals < gate.MinApprovals {
			t.Fatalf("no fault, and it asks for too little: %+v", plan.Gate)
		}
		if plan.Merge.Compose != nil {
			title, body, err := plan.Merge.Compose(landed())
			if err == nil && (title == "" || strings.Contains(title, "\n") || utf8.RuneCountInString(title) > 200 || len(body) > 64<<10) {
				t.Fatalf("it composes %q and %d bytes", title, len(body))
			}
		}
	})
}

// FuzzCases gives the reader of cases anything: what it takes can be judged.
func FuzzCases(f *testing.F) {
	f.Add([]byte(strictCases))
	f.Add([]byte("version: 1\ncases: [{name: a, want: merge, lines: 0, commits: 9, authors: [a, b], unmapped: [x]}]\n"))
	plan, faults := config.ParsePolicy(config.PolicyFile, []byte(strictPolicy))
	if len(faults) > 0 {
		f.Fatal(faults)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cases, faults := config.ParseCases(config.CasesFile, data)
		if len(faults) > 0 {
			return
		}
		if results := cases.Judge(plan.Gate); len(results) != len(cases.Cases) {
			t.Fatalf("%d results of %d cases", len(results), len(cases.Cases))
		}
	})
}
