package canary_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/canary"
	"slipway/internal/ref"
)

var lent = ref.RepoID{Owner: "acme", Name: "canary"}

// pull is a pull request in memory.
type pull struct {
	gate.PullRequest
	mail     string
	reviews  []gate.Review
	statuses []gate.Status
	merged   bool
}

// forge keeps the pull requests and branches of one repository. It judges them
// as the real gate does, so that what holds or escapes here does so by it.
type forge struct {
	policy gate.Policy
	// weak alters what the gate is given: a gate that does not hold.
	weak func(*gate.Snapshot, *gate.Policy)
	now  time.Time

	mutex    sync.Mutex
	pulls    map[int64]*pull
	branches map[string]bool
	count    int64
	// refuse fails a call of an account.
	refuse func(login, call string) error
}

// hand is an account of that forge.
type hand struct {
	*forge
	login string
}

func newForge() *forge {
	f := &forge{
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), pulls: map[int64]*pull{}, branches: map[string]bool{"main": true},
		refuse: func(string, string) error { return nil },
		weak:   func(*gate.Snapshot, *gate.Policy) {},
	}
	principals := map[string]gate.Principal{}
	for _, login := range []string{"ann", "bob", "carl", "dora", "mallory"} {
		principals[login] = gate.Principal{Kind: gate.KindPerson}
	}
	f.policy = gate.Policy{
		Checks: []gate.CheckRule{
			{Context: "ci / test", Workflow: "ci.yml", Job: "test", Event: "pull_request"},
			{Context: "scan", Creator: "bob"},
		},
		Approvals: 2, HoldLabels: []string{"hold"}, Principals: principals, Bot: "slipway-bot",
	}
	return f
}

func (f *forge) config(t *testing.T, reviewers ...string) canary.Config {
	t.Helper()
	c := canary.Config{
		Repo: lent, Base: "main", Author: hand{f, "ann"}, Patience: time.Minute, Judged: f.judged,
		Policy: func(context.Context) (gate.Policy, error) { return f.policy, nil },
		Wait: func(ctx context.Context) error {
			f.mutex.Lock()
			defer f.mutex.Unlock()
			f.now = f.now.Add(10 * time.Second)
			return ctx.Err()
		},
		Now: func() time.Time {
			f.mutex.Lock()
			defer f.mutex.Unlock()
			return f.now
		},
	}
	for _, login := range reviewers {
		c.Reviewers = append(c.Reviewers, hand{f, login})
	}
	return c
}

func (h hand) Login() string { return h.login }

// call begins a call of an account.
func (h hand) call(ctx context.Context, name string) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := h.refuse(h.login, name); err != nil {
		return nil, err
	}
	h.mutex.Lock()
	return h.mutex.Unlock, nil
}

func (h hand) Propose(ctx context.Context, p canary.Proposal) (ref.PullID, ref.SHA, error) {
	done, err := h.call(ctx, "propose")
	if err != nil {
		return ref.PullID{}, "", err
	}
	defer done()
	if h.branches[p.Branch] {
		return ref.PullID{}, "", fmt.Errorf("there is a branch %s already", p.Branch)
	}
	h.branches[p.Branch] = true
	h.count++
	id, head := ref.PullID{Repo: p.Repo, Number: h.count}, h.commit()
	h.pulls[id.Number] = &pull{mail: p.Mail, PullRequest: gate.PullRequest{
		ID: id, Title: p.Title, Author: h.login, Head: head, HeadBranch: p.Branch, HeadRepo: p.Repo, Base: p.Base,
		Open: ref.Yes, Merged: ref.No, Draft: ref.Known(strings.HasPrefix(p.Title, "WIP:")), Mergeable: ref.Yes,
	}}
	return id, head, nil
}

func (f *forge) commit() ref.SHA {
	f.count++
	return ref.SHA(fmt.Sprintf("%040x", f.count))
}

func (h hand) Push(ctx context.Context, _ ref.RepoID, branch, _, _ string) (ref.SHA, error) {
	done, err := h.call(ctx, "push")
	if err != nil {
		return "", err
	}
	defer done()
	for _, p := range h.pulls {
		if p.HeadBranch == branch {
			p.Head, p.statuses = h.commit(), nil
			return p.Head, nil
		}
	}
	return "", fmt.Errorf("no pull request comes from %s", branch)
}

func (h hand) Review(ctx context.Context, id ref.PullID, head ref.SHA, approve bool) error {
	done, err := h.call(ctx, "review")
	if err != nil {
		return err
	}
	defer done()
	p, state := h.pulls[id.Number], gate.ReviewApproved
	if !approve {
		state = gate.ReviewChangesRequested
	}
	p.reviews = append(p.reviews, gate.Review{
		ID: int64(len(p.reviews) + 1), Reviewer: h.login, State: state, Commit: head, ObservedHead: head, Official: ref.Yes, Eligible: ref.Yes, At: h.now,
	})
	return nil
}

func (h hand) Label(ctx context.Context, id ref.PullID, label string) error {
	done, err := h.call(ctx, "label")
	if err != nil {
		return err
	}
	defer done()
	h.pulls[id.Number].Labels = append(h.pulls[id.Number].Labels, label)
	return nil
}

func (h hand) Status(ctx context.Context, _ ref.RepoID, head ref.SHA, name string, s gate.State) error {
	done, err := h.call(ctx, "status")
	if err != nil {
		return err
	}
	defer done()
	for _, p := range h.pulls {
		if p.Head == head {
			p.statuses = append(p.statuses, gate.Status{ID: int64(len(p.statuses) + 1), Context: name, State: s, Creator: h.login, At: h.now})
		}
	}
	return nil
}

func (h hand) TakeBack(ctx context.Context, _ ref.RepoID, prefix string) error {
	done, err := h.call(ctx, "take back")
	if err != nil {
		return err
	}
	defer done()
	kept := map[string]bool{}
	for _, p := range h.pulls {
		if p.Open == ref.Yes && strings.HasPrefix(p.HeadBranch, prefix) {
			if p.Author == h.login {
				p.Open = ref.No
			} else {
				kept[p.HeadBranch] = true
			}
		}
	}
	maps.DeleteFunc(h.branches, func(name string, _ bool) bool { return strings.HasPrefix(name, prefix) && !kept[name] })
	return nil
}

// left are the open pull requests and the branches beside the base.
func (f *forge) left() []string {
	var out []string
	for _, p := range f.pulls {
		if p.Open == ref.Yes {
			out = append(out, "open "+p.Title)
		}
	}
	for name := range f.branches {
		if name != "main" {
			out = append(out, "branch "+name)
		}
	}
	slices.Sort(out)
	return out
}

// judged is the gate's verdict on what a pull request is now.
func (f *forge) judged(ctx context.Context, id ref.PullID) (canary.Judged, error) {
	if err := ctx.Err(); err != nil {
		return canary.Judged{}, err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	p := f.pulls[id.Number]
	if p == nil {
		return canary.Judged{}, errors.New("no such pull request")
	}
	who, mail := p.Author, p.Author+"@acme.example"
	if p.mail != "" {
		who, mail = "", p.mail
	}
	s := gate.Snapshot{
		Pull: p.PullRequest, CommitsRead: ref.Yes, ReviewsRead: ref.Yes, FilesRead: ref.Yes, FrozenRead: ref.Yes, WorkflowsChanged: ref.No,
		Crew:    gate.Crew{Read: ref.No},
		Commits: []gate.Commit{{SHA: p.Head, Author: who, AuthorEmail: mail, Committer: who, CommitterEmail: mail, Parents: 1}},
		Reviews: slices.Clone(p.reviews), Files: []gate.File{{Path: "canary/x.txt", Added: 1}},
		Checks: gate.Checks{
			SHA: p.Head, StatusesRead: ref.Yes, JobsRead: ref.Yes,
			Statuses: append([]gate.Status{{ID: 100, Context: "ci / test", State: gate.StateSuccess, URL: "/runs/1/jobs/0"}}, p.statuses...),
			Jobs:     []gate.Job{{RunID: 1, Attempt: 1, Workflow: "ci.yml", Event: "pull_request", Head: p.Head, Name: "test", State: gate.StateSuccess, URL: "/runs/1/jobs/0"}},
		},
	}
	policy := f.policy
	f.weak(&s, &policy)
	v := gate.Evaluate(s, policy, f.now)
	if s.Pull.Canary() {
		v = v.Caught()
	}
	j := canary.Judged{Head: v.Head, Approvals: len(v.Approvals), Merged: p.merged}
	for _, r := range v.Reasons {
		j.Reasons = append(j.Reasons, r.Code)
	}
	return j, nil
}
