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
// pull request from such a branch, and say gate.CodeCanary instead.
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
	// TakeBack closes the account's open pull requests whose head branch has the
	// prefix, and removes the branches that have it and are nobody else's pull
	// request. What is closed or gone already is no error.
	TakeBack(ctx context.Context, repo ref.RepoID, prefix string) error
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
	// Approvals is how many counted.
	Approvals int
	Merged    bool
}

// Finding is a rule that was not seen to hold, and why.
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
	Held []string `json:"held"`
	// Untried are those that could not be tried with what was lent: no alarm, but
	// no proof either.
	Untried []Finding `json:"untried,omitempty"`
	// Findings are alarming: a rule that no longer holds, or canaries that prove
	// nothing.
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
	err = errors.Join(err, TakeBack(context.WithoutCancel(ctx), r.Author, r.Repo))
	r.report.Ended = c.Now()
	return r.report, err
}

// TakeBack takes back every canary that the author let out, those of a round
// that was cut off among them.
func TakeBack(ctx context.Context, author Hand, repo ref.RepoID) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := author.TakeBack(ctx, repo, Prefix); err != nil {
		return fmt.Errorf("take back the canaries of %s: %w", repo, err)
	}
	return nil
}

func (r *round) run(ctx context.Context) error {
	if err := TakeBack(ctx, r.Author, r.Repo); err != nil {
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
			r.report.Untried = append(r.report.Untried, Finding{Rule: one.name, Says: missing})
			continue
		}
		if err := r.letOut(ctx, one); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil { // the others may fly all the same
			r.find(one.name, ref.PullID{}, false, "it could not be let out: "+err.Error())
		}
	}
	return r.watch(ctx)
}

func (r *round) letOut(ctx context.Context, one rule) error {
	b := &bird{rule: one, branch: Prefix + r.stamped(one.name), approvers: r.wanted()}
	title := one.title
	if title == "" {
		title = "test: canary " + one.name
	}
	var err error
	b.id, b.head, err = r.Author.Propose(ctx, Proposal{
		Repo: r.Repo, Base: r.Base, Branch: b.branch, Title: title, Path: r.path(one.name),
		Content: r.report.Began.UTC().Format(time.RFC3339) + "\n", Mail: one.mail,
	})
	if err != nil {
		return err
	}
	if one.breaks != nil {
		if err := one.breaks(ctx, r, b); err != nil {
			return err
		}
	}
	if err := r.approve(ctx, b); err != nil {
		return err
	}
	if err := r.reportChecks(ctx, b); err != nil {
		return err
	}
	r.birds = append(r.birds, b)
	return nil
}

// stamped makes a name this round's own.
func (r *round) stamped(name string) string {
	return fmt.Sprintf("%s-%d", name, r.report.Began.Unix())
}

// path is a file that no other canary touches, nor one of another round.
func (r *round) path(name string) string { return "canary/" + r.stamped(name) + ".txt" }

// wanted is how many approvals the policy wants.
func (r *round) wanted() int { return max(gate.MinApprovals, r.policy.Approvals) }

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
