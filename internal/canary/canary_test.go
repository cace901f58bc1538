package canary_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"slipway/gate"
	"slipway/internal/canary"
	"slipway/internal/ref"
)

// all are the canaries of a repository that lends everything.
func all() []string {
	return []string{"control", "one-approval", "stale-approval", "change-request", "held", "draft", "unmapped-commit", "red-check", "forged-check"}
}

func without(names ...string) []string {
	return slices.DeleteFunc(all(), func(s string) bool { return slices.Contains(names, s) })
}

// found says findings as RULE: SENTENCE, with a ! before what escaped.
func found(list []canary.Finding) []string {
	var out []string
	for _, f := range list {
		s := f.Rule + ": " + f.Says
		if f.Escaped {
			s = "!" + s
		}
		out = append(out, s)
	}
	return out
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestRound(t *testing.T) {
	nothing := "nothing would keep it from merging, though it breaks the rule "
	for _, test := range []struct {
		name      string
		reviewers []string // "" is bob, carl and dora
		set       func(*forge)
		held      []string
		found     []string
		untried   []string
	}{
		{name: "each rule holds, and what breaks none is free", held: all()},
		{
			name: "a gate to which one approval is enough lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
					if len(s.Reviews) == 1 {
						second := s.Reviews[0]
						second.ID, second.Reviewer = 9, "mallory"
						s.Reviews = append(s.Reviews, second)
					}
				}
			},
			held: without("one-approval"), found: []string{"!one-approval: " + nothing + "one-approval"},
		},
		{
			name: "a gate that counts approvals of an older head lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
					for i := range s.Reviews {
						s.Reviews[i].Commit, s.Reviews[i].ObservedHead = s.Pull.Head, s.Pull.Head
					}
				}
			},
			held: without("stale-approval"), found: []string{"!stale-approval: " + nothing + "stale-approval"},
		},
		{
			name: "a gate that hears no veto lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
					s.Reviews = slices.DeleteFunc(s.Reviews, func(r gate.Review) bool { return r.State == gate.ReviewChangesRequested })
				}
			},
			held: without("change-request"), found: []string{"!change-request: " + nothing + "change-request"},
		},
		{
			name: "a gate that sees no label lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Labels = nil }
			},
			held: without("held"), found: []string{"!held: " + nothing + "held"},
		},
		{
			name: "a gate that takes a draft for ready lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) { s.Pull.Draft = ref.No }
			},
			held: without("draft"), found: []string{"!draft: " + nothing + "draft"},
		},
		{
			name: "a gate that maps every e-mail to the author lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
					s.Commits[0].Author, s.Commits[0].Committer = s.Pull.Author, s.Pull.Author
				}
			},
			held: without("unmapped-commit"), found: []string{"!unmapped-commit: " + nothing + "unmapped-commit"},
		},
		{
			name: "a gate that takes red for green lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
					for i := range s.Checks.Statuses {
						s.Checks.Statuses[i].State = gate.StateSuccess
					}
				}
			},
			held: without("red-check"), found: []string{"!red-check: " + nothing + "red-check"},
		},
		{
			name: "a gate to which anybody's status is good lets its canary out, and no other",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
					for i := range s.Checks.Statuses {
						if s.Checks.Statuses[i].Context == "scan" {
							s.Checks.Statuses[i].Creator = "bob"
						}
					}
				}
			},
			held: without("forged-check"), found: []string{"!forged-check: " + nothing + "forged-check"},
		},
		{
			name: "where the same thing blocks all, they prove nothing, and that is told",
			set: func(f *forge) {
				f.policy.Conditions = []gate.Condition{{Name: "never", Sentence: "never", Holds: func(gate.Snapshot) (ref.Fact, string) { return ref.No, "" }}}
			},
			found: []string{
				"control: the canaries prove nothing: the one that breaks no rule would not merge either: condition",
				"one-approval: it is blocked, but not by its rule alone: condition", "stale-approval: it is blocked, but not by its rule alone: condition",
				"change-request: it is blocked, but not by its rule alone: condition", "held: it is blocked, but not by its rule alone: condition",
				"draft: it is blocked, but not by its rule alone: condition", "unmapped-commit: it is blocked, but not by its rule alone: condition",
				"red-check: it is blocked, but not by its rule alone: condition", "forged-check: it is blocked, but not by its rule alone: condition",
			},
		},
		{
			name: "one that is blocked by another rule than its own does not count as held",
			set: func(f *forge) {
				f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
					if len(s.Pull.Labels) > 0 {
						s.Pull.Labels, s.Pull.Draft = nil, ref.Yes
					}
				}
			},
			held: without("held"), found: []string{"held: it is not blocked by hold: draft"},
		},
		{
			name:      "with two reviewers nobody is left to ask for changes, and that is told",
			reviewers: []string{"bob", "carl"},
			held:      without("change-request"), untried: []string{"change-request: it wants 3 reviewers, and there are 2"},
		},
		{
			name: "as many approve as the policy wants",
			set:  func(f *forge) { f.policy.Approvals = 3 },
			held: without("change-request"), untried: []string{"change-request: it wants 4 reviewers, and there are 3"},
		},
		{
			name: "where no reviewer reports a check, none is red or forged, and that is told",
			set:  func(f *forge) { f.policy.Checks = f.policy.Checks[:1] },
			held: without("red-check", "forged-check"),
			untried: []string{"red-check: no required check of the policy has one of the reviewers as its creator",
				"forged-check: no required check of the policy has one of the reviewers as its creator"},
		},
		{
			name: "a check that is not asked of every change proves nothing when it is red",
			set:  func(f *forge) { f.policy.Checks[1].Optional = true },
			held: without("red-check", "forged-check"),
			untried: []string{"red-check: no required check of the policy has one of the reviewers as its creator",
				"forged-check: no required check of the policy has one of the reviewers as its creator"},
		},
		{
			name: "without a hold label none is held, and that is told",
			set:  func(f *forge) { f.policy.HoldLabels = nil },
			held: without("held"), untried: []string{"held: the policy has no hold label"},
		},
		{
			name: "one that cannot be let out keeps no other back",
			set: func(f *forge) {
				f.refuse = func(_, call string) error {
					if call == "label" {
						return errors.New("403")
					}
					return nil
				}
			},
			held: without("held"), found: []string{"held: it could not be let out: 403"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newForge()
			if test.set != nil {
				test.set(f)
			}
			if test.reviewers == nil {
				test.reviewers = []string{"bob", "carl", "dora"}
			}
			report, err := canary.Round(t.Context(), f.config(t, test.reviewers...))
			if err != nil {
				t.Fatal(err)
			}
			if !sameSet(report.Held, test.held) {
				t.Errorf("held %q, want %q", report.Held, test.held)
			}
			if got := found(report.Findings); !sameSet(got, test.found) {
				t.Errorf("found %q, want %q", got, test.found)
			}
			if got := found(report.Untried); !slices.Equal(got, test.untried) {
				t.Errorf("untried %q, want %q", got, test.untried)
			}
			if left := f.left(); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			for _, p := range f.pulls {
				if !p.Canary() {
					t.Errorf("%s comes from %s, which no gate knows for a canary's", p.ID, p.HeadBranch)
				}
			}
		})
	}
}

// TestVerdictsThatSayNothing are verdicts as they come one after another on one
// canary: which of them settle it.
func TestVerdictsThatSayNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		rule   string
		alter  func(j canary.Judged) canary.Judged
		settle string // "" for held
	}{
		{"a verdict on an older head settles nothing", "held", func(j canary.Judged) canary.Judged {
			j.Head = ref.SHA(strings.Repeat("e", 40))
			return j
		}, "held: it was not judged in time"},
		{"no verdict settles nothing", "control", func(canary.Judged) canary.Judged { return canary.Judged{} }, "control: it was not judged in time"},
		{"one from before the approvals came settles nothing", "one-approval", func(j canary.Judged) canary.Judged {
			j.Approvals = 0
			return j
		}, "one-approval: it is blocked, but 0 of its 1 approvals count"},
		{"a check that never comes makes the control prove nothing", "control", func(j canary.Judged) canary.Judged {
			j.Reasons = []gate.Code{gate.CodeCheckMissing}
			return j
		}, "control: the canaries prove nothing: the one that breaks no rule would not merge either: check_missing"},
		{"an unknown fact beside its own reason settles nothing", "draft", func(j canary.Judged) canary.Judged {
			j.Reasons = append(j.Reasons, gate.CodeUnknown)
			return j
		}, "draft: it is blocked, but not by its rule alone: unknown"},
		{"one that is free on an older head alone has not escaped", "stale-approval", func(j canary.Judged) canary.Judged {
			return canary.Judged{Head: ref.SHA(strings.Repeat("e", 40)), Reasons: []gate.Code{gate.CodeCanary}}
		}, "stale-approval: it was not judged in time"},
		{"one that was merged has escaped, whatever the verdict says", "held", func(j canary.Judged) canary.Judged {
			j.Merged = true
			return j
		}, "!held: it was merged"},
		{"the control, too, must not be merged", "control", func(j canary.Judged) canary.Judged {
			j.Merged = true
			return j
		}, "!control: it was merged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newForge()
			c := f.config(t, "bob", "carl", "dora")
			c.Judged = func(ctx context.Context, id ref.PullID) (canary.Judged, error) {
				j, err := f.judged(ctx, id)
				if strings.HasPrefix(f.pulls[id.Number].HeadBranch, canary.Prefix+test.rule) {
					j = test.alter(j)
				}
				return j, err
			}
			report, err := canary.Round(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got := found(report.Findings); !slices.Equal(got, []string{test.settle}) {
				t.Errorf("found %q, want %q", got, test.settle)
			}
			if !sameSet(report.Held, without(test.rule)) {
				t.Errorf("held %q", report.Held)
			}
		})
	}
}

// TestALateVerdictIsWaitedFor: a canary that is first blocked by what goes by
// itself is judged by what remains.
func TestALateVerdictIsWaitedFor(t *testing.T) {
	f := newForge()
	looks := 0
	f.weak = func(s *gate.Snapshot, _ *gate.Policy) {
		if looks++; looks < 20 {
			s.Checks.Jobs[0].State = gate.StatePending
			s.Pull.Mergeable = ref.Unknown
		}
	}
	report, err := canary.Round(t.Context(), f.config(t, "bob", "carl", "dora"))
	if err != nil || !sameSet(report.Held, all()) || len(report.Findings) > 0 {
		t.Errorf("held %q, found %q, %v", report.Held, found(report.Findings), err)
	}
	if took := report.Ended.Sub(report.Began); took <= 0 {
		t.Errorf("it took %s, though it had to wait", took)
	}
}

func TestRoundThatCannotBeMade(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   func(*forge, *canary.Config)
		wants string
	}{
		{"a policy that cannot be read", func(_ *forge, c *canary.Config) {
			c.Policy = func(context.Context) (gate.Policy, error) { return gate.Policy{}, errors.New("503") }
		}, "the policy of acme/canary: 503"},
		{"a faulty policy blocks all alike", func(f *forge, _ *canary.Config) { f.policy.Faults = []string{"line 3: no"} }, "faulty: line 3: no"},
		{"leftovers that cannot be taken back", func(f *forge, _ *canary.Config) {
			f.refuse = func(_, call string) error {
				if call == "take back" {
					return errors.New("403")
				}
				return nil
			}
		}, "take back the canaries of acme/canary: 403"},
		{"verdicts that cannot be read", func(_ *forge, c *canary.Config) {
			c.Judged = func(context.Context, ref.PullID) (canary.Judged, error) {
				return canary.Judged{}, errors.New("disk full")
			}
		}, "disk full"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newForge()
			c := f.config(t, "bob", "carl", "dora")
			test.set(f, &c)
			report, err := canary.Round(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), test.wants) {
				t.Errorf("got %v, want %q", err, test.wants)
			}
			if len(report.Held) > 0 {
				t.Errorf("it says that %q held", report.Held)
			}
			if left := f.left(); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestARoundThatIsCancelledCleansUp(t *testing.T) {
	for _, at := range []string{"propose", "review", "label", "status", "push"} {
		t.Run("at the first "+at, func(t *testing.T) {
			f := newForge()
			ctx, cancel := context.WithCancel(t.Context())
			f.refuse = func(_, call string) error {
				if call == at {
					cancel()
				}
				return nil
			}
			report, err := canary.Round(ctx, f.config(t, "bob", "carl", "dora"))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if len(report.Findings) > 0 {
				t.Errorf("that it was told to stop is alarming: %q", found(report.Findings))
			}
			if left := f.left(); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestWhatAKilledRoundLeftIsTakenBack(t *testing.T) {
	f := newForge()
	c := f.config(t, "bob", "carl", "dora")
	killed, dead := errors.New("killed"), false
	f.refuse = func(_, call string) error { // nothing works any more, its own cleaning up included
		if dead = dead || len(f.pulls) == 2 && call == "review"; dead {
			return killed
		}
		return nil
	}
	if _, err := canary.Round(t.Context(), c); err == nil {
		t.Fatal("it was not cut off")
	}
	if left := f.left(); len(left) != 4 {
		t.Fatalf("left by the killed round: %q; want two pull requests and their branches", left)
	}
	f.branches[canary.Prefix+"branch-alone-1"] = true // killed before it was proposed
	f.refuse = func(string, string) error { return nil }
	other := hand{f, "mallory"}
	id, _, err := other.Propose(t.Context(), canary.Proposal{Repo: lent, Base: "main", Branch: canary.Prefix + "not-ours", Title: "feat: not ours"})
	if err != nil {
		t.Fatal(err)
	}
	c = f.config(t, "bob", "carl", "dora")
	report, err := canary.Round(t.Context(), c)
	if err != nil || !sameSet(report.Held, all()) {
		t.Errorf("the next round: held %q, found %q, %v", report.Held, found(report.Findings), err)
	}
	if left := f.left(); !slices.Equal(left, []string{"branch " + canary.Prefix + "not-ours", "open feat: not ours"}) {
		t.Errorf("left: %q", left)
	}
	if f.pulls[id.Number].Open != ref.Yes {
		t.Error("somebody else's pull request was closed")
	}
}
