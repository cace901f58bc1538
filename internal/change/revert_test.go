package change

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipway/internal/ref"
)

func TestReverts(t *testing.T) {
	a, b := ref.SHA(strings.Repeat("a1", 20)), ref.SHA(strings.Repeat("b2", 32))
	tests := []struct {
		rule string
		body string
		want []ref.SHA
	}{
		{"git's line counts", "This reverts commit " + string(a) + ".", []ref.SHA{a}},
		{"among other lines, with CRLF", "Why not.\r\n\r\nThis reverts commit " + string(a) + ".\r\nBye", []ref.SHA{a}},
		{"git's line for a merge commit counts", "This reverts commit " + string(a) + ", reversing\nchanges made to " + string(b) + ".", []ref.SHA{a}},
		{"a SHA-256 name counts", "This reverts commit " + string(b) + ".", []ref.SHA{b}},
		{"without the full stop it counts", "This reverts commit " + string(a), []ref.SHA{a}},
		{"two reverts in order, each once", RevertLine(b) + "\n" + RevertLine(a) + "\n" + RevertLine(b), []ref.SHA{b, a}},
		{"an abbreviation does not count", "This reverts commit a1a1a1a1.", nil},
		{"upper case is no commit id", "This reverts commit " + strings.ToUpper(string(a)) + ".", nil},
		{"a quoted line does not count", "> This reverts commit " + string(a) + ".", nil},
		{"an indented line does not count", "    This reverts commit " + string(a) + ".", nil},
		{"within a sentence it does not count", "I think This reverts commit " + string(a) + ".", nil},
		{"with more text after it it does not count", "This reverts commit " + string(a) + ". Not.", nil},
		{"an empty body", "", nil},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			if got := Reverts(test.body); !slices.Equal(got, test.want) {
				t.Errorf("Reverts(%q) = %v; want %v", test.body, got, test.want)
			}
		})
	}
}

func TestRevertLineIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sha := ref.SHA(rapid.StringMatching(`[0-9a-f]{40}([0-9a-f]{24})?`).Draw(t, "sha"))
		before := strings.ReplaceAll(rapid.String().Draw(t, "before"), revertPhrase, "")
		got := Reverts(before + "\n" + RevertLine(sha) + "\n")
		if !slices.Equal(got, []ref.SHA{sha}) {
			t.Errorf("got %v; want %s", got, sha)
		}
	})
}
