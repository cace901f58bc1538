package gate_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"slipway/gate"
	"slipway/internal/ref"
)

func TestStatus(t *testing.T) {
	for _, row := range []struct {
		name   string
		differ func(*gate.Snapshot, *gate.Policy)
		state  gate.State
		text   string
	}{
		{
			"what merges is a success",
			func(*gate.Snapshot, *gate.Policy) {},
			gate.StateSuccess, "2 of 2 required checks are green, 2 approvals count",
		},
		{
			"what waits says for what, and for whom",
			func(s *gate.Snapshot, _ *gate.Policy) { s.Reviews = nil },
			gate.StatePending, "0 of 2 approvals on aaaaaaaaaaaa (up to reviewers)",
		},
		{
			"what is blocked is a failure",
			func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Mergeable = ref.No },
			gate.StateFailure, "it does not merge cleanly into main (up to author)",
		},
		{
			"two reasons that fit stand in one sentence",
			func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft, s.Reviews = ref.Yes, nil },
			gate.StatePending, "it is a draft (up to author); 0 of 2 approvals on aaaaaaaaaaaa (up to reviewers)",
		},
		{
			"reasons that do not fit are counted",
			func(s *gate.Snapshot, _ *gate.Policy) {
				s.Pull.Draft, s.Reviews, s.Checks.Statuses, s.Pull.Labels = ref.Yes, nil, nil, []string{"hold"}
			},
			gate.StatePending, `it is a draft (up to author); the label "hold" holds it (up to whoever set the label); 3 more`,
		},
		{
			"a sentence that is too long ends at a word",
			func(_ *gate.Snapshot, p *gate.Policy) {
				p.Faults = []string{strings.Repeat("word ", 40)}
			},
			gate.StateFailure, strings.TrimSpace(strings.Repeat("word ", 28)) + "…",
		},
		{
			"a line break in a fault stays out of the forge",
			func(_ *gate.Snapshot, p *gate.Policy) { p.Faults = []string{"a\nb\x00c"} },
			gate.StateFailure, "a b c (up to operator)",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, p := ready(), policy()
			row.differ(&s, &p)
			state, text := gate.Evaluate(s, p, now).Status()
			if state != row.state || text != row.text {
				t.Errorf("got %q %q\nwant %q %q", state, text, row.state, row.text)
			}
		})
	}
	for _, row := range []struct {
		name      string
		sentences []string
		want      string
	}{
		{"140 characters are not too long", []string{strings.Repeat("é", 140)}, strings.Repeat("é", 140)},
		{"141 are", []string{strings.Repeat("é", 141)}, strings.Repeat("é", 139) + "…"},
		{"two that come to 140 both stand", []string{strings.Repeat("a", 69), strings.Repeat("b", 69)}, strings.Repeat("a", 69) + "; " + strings.Repeat("b", 69)},
		{"two that come to 141 do not", []string{strings.Repeat("a", 69), strings.Repeat("b", 70)}, strings.Repeat("a", 69) + "; 1 more"},
	} {
		v := gate.Verdict{}
		for _, s := range row.sentences {
			v.Reasons = append(v.Reasons, gate.Reason{Sentence: s})
		}
		if _, text := v.Status(); text != row.want {
			t.Errorf("%s: %q, want %q", row.name, text, row.want)
		}
	}
	if state, text := (gate.Verdict{}).Status(); state != gate.StatePending || text != "not judged yet" {
		t.Errorf("the zero verdict says %q %q", state, text)
	}
}

func TestStatusIsShortAndPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v gate.Verdict
		v.Outcome = rapid.SampledFrom([]gate.Outcome{gate.Wait, gate.Block}).Draw(t, "outcome")
		for range rapid.IntRange(1, 8).Draw(t, "reasons") {
			v.Reasons = append(v.Reasons, gate.Reason{
				Sentence: rapid.String().Draw(t, "sentence") + strings.Repeat("x", rapid.IntRange(0, 200).Draw(t, "tail")),
				Who:      rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "who"),
			})
		}
		state, text := v.Status()
		if n := utf8.RuneCountInString(text); n > 140 {
			t.Fatalf("%d characters: %q", n, text)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("unprintable: %q", text)
		}
		if state == gate.StateSuccess || state == gate.StateUnknown {
			t.Fatalf("state %q of a verdict that does not merge", state)
		}
	})
}

func TestOutcomesHaveNames(t *testing.T) {
	for outcome, want := range map[gate.Outcome]string{gate.Wait: "wait", gate.Block: "block", gate.Merge: "merge", 9: "wait"} {
		if outcome.String() != want {
			t.Errorf("outcome %d is called %q, want %q", outcome, outcome, want)
		}
	}
}
