package reconcile

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipway/internal/change"
	"slipway/internal/ref"
)

func TestCommitLevel(t *testing.T) {
	tests := []struct {
		rule          string
		subject, body string
		want          change.Level
	}{
		{"a feature is minor", "feat: sign in", "", change.LevelMinor},
		{"a feature with a scope is minor", "feat(api): sign in (#12)", "", change.LevelMinor},
		{"the type is read in any case", "Feat: sign in", "", change.LevelMinor},
		{"a fix is a patch", "fix: crash", "", change.LevelPatch},
		{"any other type is a patch", "chore(deps): update", "", change.LevelPatch},
		{"an exclamation mark is major", "fix!: drop the old flag", "", change.LevelMajor},
		{"an exclamation mark after the scope is major", "refactor(cli)!: drop the old flag", "", change.LevelMajor},
		{"a breaking footer is major", "fix: a", "Why.\n\nBREAKING CHANGE: the flag is gone", change.LevelMajor},
		{"a breaking footer with a hyphen is major", "fix: a", "BREAKING-CHANGE: the flag is gone", change.LevelMajor},
		{"a breaking footer below another is major", "docs: a", "Co-authored-by: A <a@example.com>\nBREAKING CHANGE: gone", change.LevelMajor},
		{"a breaking footer before more text is major", "feat: a", "BREAKING CHANGE: gone\n\nAnd so on, at length", change.LevelMajor},
		{"a breaking footer with CRLF is major", "fix: a", "Why.\r\n\r\nBREAKING CHANGE: gone\r\n", change.LevelMajor},
		{"the footer in lower case is none", "fix: a", "breaking change: not so", change.LevelPatch},
		{"the footer within a sentence is none", "fix: a", "This is no BREAKING CHANGE: it is a fix", change.LevelPatch},
		{"types in the body of a squashed change are none", "fix: a", "* feat: one\n* feat!: two", change.LevelPatch},
		{"a subject without a type is a patch", "Update things", "", change.LevelPatch},
		{"a subject without a space after the colon is a patch", "feat!:x", "", change.LevelPatch},
		{"a subject without a description is a patch", "feat: ", "", change.LevelPatch},
		{"a sentence before the colon is no type", "Make it fast!: now", "", change.LevelPatch},
		{"a revert is a patch, whatever it reverts", `Revert "feat: x"`, "This reverts commit " + strings.Repeat("a", 40) + ".", change.LevelPatch},
		{"a revert of a breaking change is a patch", `Revert "feat!: x"`, "", change.LevelPatch},
		{"a revert by type is a patch", "revert: feat: x", "", change.LevelPatch},
		{"a merge is a patch", "Merge branch 'feat!: x'", "", change.LevelPatch},
		{"nothing is a patch", "", "", change.LevelPatch},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			if got := commitLevel(Commit{Subject: test.subject, Body: test.body}); got != test.want {
				t.Errorf("commitLevel(%q, %q) = %s; want %s", test.subject, test.body, got, test.want)
			}
		})
	}
}

func TestCommitLevelReadsAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commitLevel(Commit{Subject: rapid.String().Draw(t, "subject"), Body: rapid.String().Draw(t, "body")})
	})
}

func TestReleaseNotes(t *testing.T) {
	sha := func(digit string) ref.SHA { return ref.SHA(strings.Repeat(digit, 40)) }
	plain := []Commit{
		{SHA: sha("1"), Subject: "fix: crash on start"},
		{SHA: sha("2"), Subject: "feat(web): sign in"},
		{SHA: sha("3"), Subject: "fix: gone", Body: "BREAKING CHANGE: gone"},
		{SHA: sha("4"), Subject: "Tidy up"},
		{SHA: sha("5"), Subject: "feat: sign out"},
	}
	tests := []struct {
		rule    string
		commits []Commit
		want    string
	}{
		{"no commits, no notes", nil, ""},
		{"commits stand by kind, in their order", plain, "### Breaking changes\n\n- `fix: gone` (333333333333)\n\n" +
			"### Features\n\n- `feat(web): sign in` (222222222222)\n- `feat: sign out` (555555555555)\n\n" +
			"### Fixes\n\n- `fix: crash on start` (111111111111)\n\n" +
			"### Other changes\n\n- `Tidy up` (444444444444)\n"},
		{"a merge commit is left out beside the commits that it brings",
			[]Commit{{SHA: sha("1"), Subject: "fix: a"}, {SHA: sha("2"), Subject: "Merge x", Parents: []ref.SHA{sha("3"), sha("1")}}},
			"### Fixes\n\n- `fix: a` (111111111111)\n"},
		{"a merge commit alone is named",
			[]Commit{{SHA: sha("2"), Subject: "Merge x", Parents: []ref.SHA{sha("3"), sha("1")}}},
			"### Other changes\n\n- `Merge x` (222222222222)\n"},
		{"a subject is text only: no mention, link, heading or HTML",
			[]Commit{{SHA: sha("1"), Subject: "fix: @acme/owners see #1 <img src=x> [a](http://b) **c**"}},
			"### Fixes\n\n- `fix: @acme/owners see #1 <img src=x> [a](http://b) **c**` (111111111111)\n"},
		{"backticks in a subject do not end the code",
			[]Commit{{SHA: sha("1"), Subject: "fix: ``x` @all"}},
			"### Fixes\n\n- ``` fix: ``x` @all ``` (111111111111)\n"},
		{"line ends and invisible characters in a subject are gone",
			[]Commit{{SHA: sha("1"), Subject: "fix: a\n\n# b\r\x00\u202ec\u200b"}},
			"### Fixes\n\n- `fix: a # b c` (111111111111)\n"},
		{"a commit without a subject is named",
			[]Commit{{SHA: sha("1")}},
			"### Other changes\n\n- (no subject) (111111111111)\n"},
		{"a long subject is cut between characters",
			[]Commit{{SHA: sha("1"), Subject: "fix: " + strings.Repeat("é", 500)}},
			"### Fixes\n\n- `fix: " + strings.Repeat("é", 195) + "…` (111111111111)\n"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			if got := releaseNotes(test.commits); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestCodeSpanHoldsAnyText follows CommonMark 0.31 section 6.1: a code span
// ends at the next run of exactly as many backticks as began it.
func TestCodeSpanHoldsAnyText(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("`a @#<\\\n")), 1, 40, -1)
	rapid.Check(t, func(t *rapid.T) {
		span := codeSpan(text.Draw(t, "subject"))
		if span == "(no subject)" {
			return
		}
		if strings.ContainsAny(span, "\r\n") {
			t.Fatalf("%q has more than one line", span)
		}
		fence := len(span) - len(strings.TrimLeft(span, "`"))
		run := 0
		for i := fence; i < len(span); i++ {
			if span[i] == '`' {
				run++
				continue
			}
			if run == fence {
				t.Fatalf("%q ends before its end", span)
			}
			run = 0
		}
		if fence == 0 || run != fence {
			t.Fatalf("%q is not one code span", span)
		}
	})
}
