package config

import (
	"fmt"
	"strings"
	"testing"
)

// costly is a policy with the patterns in its demands, as a stranger could
// propose it: it is judged by before anybody approved it.
func costly(patterns []string) string {
	var b strings.Builder
	b.WriteString("version: 1\ngate:\n  checks: [{context: ci, creator: ci-bot}]\n  approvals:\n    demand:\n")
	for i := 0; i < len(patterns); i += 900 {
		fmt.Fprintf(&b, "      - {name: d%d, person: true, paths: ['%s']}\n", i, strings.Join(patterns[i:min(i+900, len(patterns))], "', '"))
	}
	b.WriteString("post_merge: {checks: [{context: ci, creator: ci-bot}]}\ndeploy: {cluster: main, namespace: acme, deployment: app, container: app, health: {port: 8080}}\n")
	return b.String()
}

// TestNoPatternOfPathsCanHoldTheGateUp: alternatives in braces multiply, and
// nothing can stop a verdict under way.
func TestNoPatternOfPathsCanHoldTheGateUp(t *testing.T) {
	var many []string
	for i := range 30_000 {
		many = append(many, fmt.Sprintf("**/*a*/{x,y%d}*", i))
	}
	tests := map[string]struct {
		patterns []string
		fault    string
	}{
		"a few alternatives are fine":            {[]string{"{web,api}/**/*.{js,ts,css}"}, ""},
		"a list of them in one place is":         {[]string{"{" + strings.Repeat("abc,", 60) + "x}/**"}, ""},
		"many places with alternatives are not":  {[]string{strings.Repeat("{a*,a*}", 30) + "b"}, "alternatives"},
		"nor are alternatives in alternatives":   {[]string{strings.Repeat("{a,{b,", 12) + "c" + strings.Repeat("}}", 12)}, "alternatives"},
		"as many patterns as a file may have":    {many[:500], ""},
		"more patterns than a file may have are": {many, "patterns"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, faults := ParsePolicy(PolicyFile, []byte(costly(test.patterns)))
			if text := fmt.Sprint(faults); (test.fault == "") != (len(faults) == 0) || !strings.Contains(text, test.fault) {
				t.Fatalf("faults %.300s, want %q", text, test.fault)
			}
		})
	}
}
