// Package canary proves that the gate still holds: on a schedule it opens, in a
// repository of the operator's choice, pull requests that each break one rule,
// and one that breaks none, and sees what becomes of them. It decides what is
// alarming; it judges no pull request itself and merges nothing.
package canary

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// Prefix begins the head branch of every canary. Whoever merges must stop at a
// pull request from such a branch in a repository of canaries, and say
// gate.CodeCanary instead.
const Prefix = gate.CanaryPrefix

// Hand acts on the forge as one account.
type Hand interface {
	// Login is the account's.
	Login() string
	// Propose puts one file on a new branch, on top of base, and opens a pull
	// request. mail, if not "", is the commit author's instead of the account's.
	Propose(ctx context.Context, p Proposal) (ref.PullID, ref.SHA, error)
	// Push adds one commit to a branch and gives the new head.
	Push(ctx context.Context, repo ref.RepoID, branch, path, content string) (ref.SHA, error)
	// Review approves a head, or asks for changes.
	Review(ctx context.Context, id ref.PullID, head ref.SHA, approve bool) error
	// Label sets a label, which is made if it is not there.
	Label(ctx context.Context, id ref.PullID, label string) error
	// Status posts a commit status.
	Status(ctx context.Context, repo ref.RepoID, head ref.SHA, context string, s gate.State) error
	// Open lists the open pull requests whose head branch has the prefix.
	Open(ctx context.Context, repo ref.RepoID, prefix string) (map[ref.PullID]string, error)
	// Close closes a pull request and removes its head branch. What is closed or
	// gone already is no error.
	Close(ctx context.Context, id ref.PullID, branch string) error
}

// Proposal is what a hand proposes.
type Proposal struct {
	Repo          ref.RepoID
	Base, Branch  string
	Title         string
	Path, Content string
	Mail          string
}

// Config is what a Round works with. Everything is required.
type Config struct {
	Repo ref.RepoID
	Base string
	// Author opens the canaries; Reviewers, at least two, approve them.
	Author    Hand
	Reviewers []Hand
	// Policy is the one in force on the base.
	Policy func(ctx context.Context) (gate.Policy, error)
	// Judged is what Slipway made of a pull request last: about which head, and
	// why it is not merged. A head of "" is no verdict yet.
	Judged func(ctx context.Context, id ref.PullID) (Judged, error)
	// Patience is how long a verdict may take to come to rest.
	Patience time.Duration
	// Wait pauses between two looks, or returns ctx's error.
	Wait func(ctx context.Context) error
	Now  func() time.Time
}

// Judged is one verdict as it was recorded.
type Judged struct {
	Head    ref.SHA
	Reasons []gate.Code
	Merged  bool
}

// Finding is something alarming: a rule that no longer holds, or canaries that
// prove nothing.
type Finding struct {
	// Rule is the canary's name.
	Rule string `json:"rule"`
	// Pull is the canary, if it came to be.
	Pull ref.PullID `json:"pull_request,omitzero"`
	// Escaped says that it would have merged, or did: the gate does not hold.
	Escaped bool `json:"escaped"`
	// Says is what is wrong, in a sentence.
	Says string `json:"says"`
}

// Report is what one round found.
type Report struct {
	Repo ref.RepoID `json:"repo"`
	// Held are the rules that held.
	Held     []string  `json:"held"`
	Findings []Finding `json:"findings,omitempty"`
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
}

// rule is one canary: what it breaks, and the reason that must be given.
type rule struct {
	name  string
	code  gate.Code // "" for the one that breaks nothing
	title string    // "" for the usual
	mail  string
	// needs says what must be there for it, "" when nothing is missing.
	needs func(c Config, p gate.Policy) string
	// breaks does what breaks the rule, on top of approve and report.
	breaks func(ctx context.Context, r *round, b *bird) error
}

// bird is one canary that was let out.
type bird struct {
	rule
	id        ref.PullID
	head      ref.SHA
	branch    string
	noReports bool // its checks are left to what breaks it
	approvers int  // how many approve it
}

// round is one run of all canaries.
type round struct {
	Config
	policy gate.Policy
	birds  []*bird
	report Report
}

// Round lets out one canary for each rule, waits until each is judged, and
// takes all back. An error is a round that could not be made; what it found
// until then stands in the report.
func Round(ctx context.Context, c Config) (Report, error) {
	r := &round{Config: c, report: Report{Repo: c.Repo, Began: c.Now(), Held: []string{}}}
	err := r.run(ctx)
	// They are taken back whatever happened, and whoever told us to stop.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err = errors.Join(err, r.takeBack(clean))
	r.report.Ended = c.Now()
	return r.report, err
}

func (r *round) run(ctx context.Context) error {
	if err := r.takeBack(ctx); err != nil { // of a round that was cut off
		return err
	}
	var err error
	if r.policy, err = r.Policy(ctx); err != nil {
		return fmt.Errorf("the policy of %s: %w", r.Repo, err)
	}
	if len(r.policy.Faults) > 0 {
		return fmt.Errorf("the policy of %s is faulty: %s", r.Repo, r.policy.Faults[0])
	}
	for _, one := range rules() {
		if missing := one.needs(r.Config, r.policy); missing != "" {
			r.find(one.name, ref.PullID{}, false, "not tried: "+missing)
			continue
		}
		if err := r.letOut(ctx, one); err != nil {
			return fmt.Errorf("canary %s: %w", one.name, err)
		}
	}
	return r.watch(ctx)
}

func (r *round) letOut(ctx context.Context, one rule) error {
	b := &bird{rule: one, branch: fmt.Sprintf("%s%s-%d", Prefix, one.name, r.report.Began.Unix()), approvers: max(gate.MinApprovals, r.policy.Approvals)}
	title := one.title
	if title == "" {
		title = "test: canary " + one.name
	}
	var err error
	b.id, b.head, err = r.Author.Propose(ctx, Proposal{
		Repo: r.Repo, Base: r.Base, Branch: b.branch, Title: title, Path: "canary/" + one.name + ".txt",
		Content: r.report.Began.UTC().Format(time.RFC3339) + "\n", Mail: one.mail,
	})
	if err != nil {
		return err
	}
	r.birds = append(r.birds, b)
	if one.breaks != nil {
		if err := one.breaks(ctx, r, b); err != nil {
			return err
		}
	}
	if err := r.approve(ctx, b); err != nil {
		return err
	}
	return r.reportChecks(ctx, b)
}

// approve has as many reviewers approve the head as the canary wants.
func (r *round) approve(ctx context.Context, b *bird) error {
	for _, h := range r.Reviewers[:b.approvers] {
		if err := h.Review(ctx, b.id, b.head, true); err != nil {
			return err
		}
	}
	return nil
}

// reportChecks posts, as their own reporter, the checks that one of the accounts
// reports. Those of a workflow come from CI.
func (r *round) reportChecks(ctx context.Context, b *bird) error {
	if b.noReports {
		return nil
	}
	for _, c := range r.policy.Checks {
		if h := r.hand(c.Creator); h != nil {
			if err := h.Status(ctx, r.Repo, b.head, c.Context, gate.StateSuccess); err != nil {
				return err
			}
		}
	}
	return nil
}

// hand is the account of that login, or nil.
func (r *round) hand(login string) Hand { return handOf(r.Config, login) }

func handOf(c Config, login string) Hand {
	if login == "" {
		return nil
	}
	for _, h := range append([]Hand{c.Author}, c.Reviewers...) {
		if strings.EqualFold(h.Login(), login) {
			return h
		}
	}
	return nil
}

// watch looks until every canary is where it must be, or patience ends.
func (r *round) watch(ctx context.Context) error {
	left := r.birds
	end := r.Now().Add(r.Patience)
	for {
		var waiting []*bird
		for _, b := range left {
			j, err := r.Judged(ctx, b.id)
			if err != nil {
				return fmt.Errorf("what became of canary %s: %w", b.id, err)
			}
			done := r.judge(b, j, r.Now().After(end))
			if !done {
				waiting = append(waiting, b)
			}
		}
		if left = waiting; len(left) == 0 {
			return nil
		}
		if err := r.Wait(ctx); err != nil {
			return err
		}
	}
}

// judge says whether a canary has come to rest, and notes how.
func (r *round) judge(b *bird, j Judged, late bool) bool {
	escaped, expected, moving := false, false, false
	var others []string
	for _, c := range j.Reasons {
		switch {
		case c == gate.CodeCanary:
			escaped = true
		case c == b.code:
			expected = true
		case c == gate.CodeUnknown || c == gate.CodeCheckPending || c == gate.CodeCheckMissing:
			moving = true
		default:
			others = append(others, string(c))
		}
	}
	current := j.Head == b.head
	switch {
	case j.Merged:
		r.find(b.name, b.id, true, "it was merged")
	case b.code == "" && current && escaped:
		r.report.Held = append(r.report.Held, b.name)
	case escaped && current:
		r.find(b.name, b.id, true, fmt.Sprintf("nothing would keep it from merging, though it breaks the rule %s", b.name))
	case current && expected && !moving && len(others) == 0:
		r.report.Held = append(r.report.Held, b.name)
	case !late:
		return false
	case b.code == "":
		r.find(b.name, b.id, false, "the canaries prove nothing: the one that breaks no rule would not merge either"+because(j, others))
	case !current:
		r.find(b.name, b.id, false, "it was not judged in time")
	case expected:
		r.find(b.name, b.id, false, "it is blocked, but not by its rule alone"+because(j, others))
	default:
		r.find(b.name, b.id, false, fmt.Sprintf("it is not blocked by %s", b.code)+because(j, others))
	}
	return true
}

func because(j Judged, others []string) string {
	switch {
	case len(others) > 0:
		return ": " + strings.Join(others, ", ")
	case len(j.Reasons) > 0:
		return fmt.Sprintf(": %s", j.Reasons)
	}
	return ""
}

func (r *round) find(rule string, id ref.PullID, escaped bool, says string) {
	r.report.Findings = append(r.report.Findings, Finding{Rule: rule, Pull: id, Escaped: escaped, Says: says})
}

// takeBack closes every canary there is.
func (r *round) takeBack(ctx context.Context) error {
	open, err := r.Author.Open(ctx, r.Repo, Prefix)
	if err != nil {
		return fmt.Errorf("open canaries of %s: %w", r.Repo, err)
	}
	for id, branch := range open {
		if err := r.Author.Close(ctx, id, branch); err != nil {
			return fmt.Errorf("close canary %s: %w", id, err)
		}
	}
	return nil
}
