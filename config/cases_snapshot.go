package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// facts are what a case says of its pull request. What it does not say is as it
// should be.
type facts struct {
	at                            time.Time
	title, body, author           string
	base, headBranch              string
	fork, draft, conflict         bool
	upToDate, merges, asked       bool
	labels                        []string
	files                         []gate.File
	lines, commits                int
	authors, coAuthors, unmapped  []string
	pusher                        string
	approved                      bool // the approvals are given
	approvals                     []approval
	unapproved                    bool
	vetoes, owners, holds, unread []string
	checks                        []caseCheck
	members                       []caseMember
	registered                    bool
	emergency, frozen             string
}

type approval struct {
	by               string
	onHead, eligible bool
}

type caseCheck struct{ context, state, by string }

// scene is a case on its way to a snapshot.
type scene struct {
	facts
	policy *gate.Policy
	cases  Cases
	at     time.Time
	s      gate.Snapshot
}

// snapshot makes the facts of a case complete. It declares to the policy who
// approves by default.
func (c Cases) snapshot(f facts, p *gate.Policy) (gate.Snapshot, time.Time) {
	b := &scene{facts: f, policy: p, cases: c, at: quiet(f.at, p.Freezes)}
	if p.Bot == "" {
		p.Bot = caseBot
	}
	b.pull()
	b.content()
	b.commitsOf()
	b.people()
	b.crew()
	b.reports()
	b.forget()
	return b.s, b.at
}

// quiet is the moment that is asked for, or one in which nothing is frozen.
func quiet(at time.Time, freezes []gate.Freeze) time.Time {
	if !at.IsZero() {
		return at
	}
	at = caseMoment()
	for range 1000 {
		i := slices.IndexFunc(freezes, func(f gate.Freeze) bool {
			active, _ := f.Active(at)
			return active
		})
		if i < 0 {
			break
		}
		_, next := freezes[i].Active(at)
		if next.IsZero() {
			break
		}
		at = next
	}
	return at
}

func (b *scene) head() ref.SHA { return ref.SHA(strings.Repeat("a", 40)) }

func (b *scene) pull() {
	from := b.cases.Repo
	if b.fork {
		from.Owner += "-fork"
	}
	b.s.Pull = gate.PullRequest{
		ID: ref.PullID{Repo: b.cases.Repo, Number: 1}, Title: b.title, Body: b.body, Author: b.author,
		Head: b.head(), HeadBranch: b.headBranch, HeadRepo: from, Base: b.base, BaseHead: ref.SHA(strings.Repeat("b", 40)),
		Open: ref.Yes, Merged: ref.No, Draft: ref.Known(b.draft), Mergeable: ref.Known(!b.conflict),
		Labels: b.labels, Opened: b.at.Add(-time.Hour), Updated: b.at,
	}
	b.s.UpToDate = ref.Known(b.upToDate)
	b.s.Frozen, b.s.FrozenRead = b.frozen, ref.Yes
	for _, who := range b.holds {
		b.s.Holds = append(b.s.Holds, gate.Hold{By: who, At: b.at})
	}
	if b.asked {
		b.s.Asked = &gate.Asked{By: b.author, Head: b.head(), At: b.at}
	}
	if b.emergency != "" {
		b.s.Emergency = &gate.Emergency{By: b.emergency, Reason: "a case", Head: b.head(), At: b.at}
	}
}

func (b *scene) content() {
	files := slices.Clone(b.files)
	if len(files) == 0 {
		files = []gate.File{{Path: "main.go", Added: 1}}
	}
	if b.lines > 0 {
		have := 0
		for _, f := range files {
			have += f.Added + f.Deleted
		}
		files[0].Added = max(files[0].Added+b.lines-have, 0)
	}
	b.s.Files, b.s.FilesRead = files, ref.Yes
	b.s.WorkflowsChanged = ref.Known(slices.ContainsFunc(files, func(f gate.File) bool {
		return b.workflow(f.Path) || b.workflow(f.Previous)
	}))
	b.s.OwnedRead = ref.Known(len(b.owners) > 0)
	if len(b.owners) > 0 {
		var paths []string
		for _, f := range files {
			paths = append(paths, f.Path)
		}
		b.s.Owned = []gate.Ownership{{Pattern: "*", Line: 1, Paths: paths, Owners: b.owners}}
	}
}

// workflow says whether a file defines CI workflows.
func (b *scene) workflow(file string) bool {
	for _, c := range b.policy.Checks {
		if c.Workflow != "" && (file == c.Workflow || path.Dir(file) == path.Dir(c.Workflow)) {
			return true
		}
	}
	return strings.HasPrefix(file, ".gitea/workflows/") || strings.HasPrefix(file, ".github/workflows/")
}

func (b *scene) commitsOf() {
	authors := b.authors
	if len(authors) == 0 {
		authors = []string{b.author}
	}
	total := max(b.commits, len(authors), len(b.unmapped))
	for i := range total {
		who := authors[i%len(authors)]
		c := gate.Commit{SHA: ref.SHA(fmt.Sprintf("%040x", i+1)), Author: who, AuthorEmail: who + "@example.org", Committer: who, CommitterEmail: who + "@example.org", Parents: 1}
		if i < len(b.unmapped) {
			c.Author, c.Committer, c.AuthorEmail, c.CommitterEmail = "", "", b.unmapped[i], b.unmapped[i]
		}
		b.s.Commits = append(b.s.Commits, c)
	}
	last := &b.s.Commits[total-1]
	last.SHA = b.head()
	for _, who := range b.coAuthors {
		last.CoAuthors = append(last.CoAuthors, gate.CoAuthor{Login: who, Email: who + "@example.org"})
	}
	if b.merges {
		b.s.Commits[0].Parents = 2
	}
	b.s.CommitsRead = ref.Yes
	b.s.Pusher, b.s.PusherRead = b.pusher, ref.Yes
	if b.pusher == "" {
		b.s.Pusher = b.author
	}
}

// people brings in the reviews, the teams, and what everybody is.
func (b *scene) people() {
	standing := b.enough()
	if !b.approved && !b.unapproved {
		b.approvals = standing
	}
	for _, a := range b.approvals {
		r := b.review(a.by, gate.ReviewApproved)
		if !a.onHead {
			r.Commit, r.ObservedHead = ref.SHA(strings.Repeat("c", 40)), ref.SHA(strings.Repeat("c", 40))
		}
		r.Official, r.Eligible = ref.Known(a.eligible), ref.Known(a.eligible)
		b.s.Reviews = append(b.s.Reviews, r)
	}
	for _, who := range b.vetoes {
		b.s.Reviews = append(b.s.Reviews, b.review(who, gate.ReviewChangesRequested))
	}
	b.s.ReviewsRead = ref.Yes
	b.s.Teams = map[string][]string{}
	for _, t := range b.teams() {
		members := []string{}
		for _, a := range standing {
			// Whoever a case names is in no team that it does not say.
			if !b.apart(t) && (!b.approved || strings.HasPrefix(a.by, caseApprover)) {
				members = append(members, a.by)
			}
		}
		b.s.Teams[strings.ToLower(t)] = members
	}
	for t, members := range b.cases.Teams {
		b.s.Teams[strings.ToLower(t)] = members
	}
	b.persons(standing)
}

// persons makes everybody a person who is neither declared nor a stranger.
func (b *scene) persons(standing []approval) {
	p := b.policy
	all := slices.Concat([]string{b.author, b.s.Pusher, b.emergency}, b.authors, b.coAuthors, b.vetoes, b.holds, b.owners,
		p.Approvers.People, p.Vetoers.People, p.Emergency.By.People)
	for _, d := range p.Demands {
		all = append(all, d.From.People...)
	}
	for _, members := range b.cases.Teams {
		all = append(all, members...)
	}
	for _, a := range standing {
		all = append(all, a.by)
	}
	for _, r := range b.s.Reviews {
		all = append(all, r.Reviewer)
	}
	for _, who := range all {
		key := strings.ToLower(who)
		if _, declared := p.Principals[key]; who == "" || declared || strings.Contains(who, "/") ||
			slices.ContainsFunc(b.cases.Strangers, func(s string) bool { return strings.EqualFold(s, who) }) {
			continue
		}
		p.Principals[key] = gate.Principal{Kind: gate.KindPerson}
	}
}

func (b *scene) review(who string, state gate.ReviewState) gate.Review {
	return gate.Review{
		ID: int64(len(b.s.Reviews) + 1), Reviewer: who, State: state, Commit: b.head(), ObservedHead: b.head(),
		Official: ref.Yes, Eligible: ref.Yes, At: b.at,
	}
}

// enough are approvals that meet whatever the policy may ask: by persons who
// are in every team that is not declared, by everybody whom it names, and by
// agents of every pool it names, each of a model and an operator of its own.
func (b *scene) enough() []approval {
	count := max(b.policy.Approvals, gate.MinApprovals)
	chosen := []gate.Who{b.policy.Approvers, {People: b.owners}}
	for _, d := range b.policy.Demands {
		count = max(count, d.Count)
		chosen = append(chosen, d.From)
	}
	var who []string
	for i := range count {
		who = append(who, fmt.Sprintf("%s%d", caseApprover, i+1))
	}
	for _, w := range chosen {
		for _, p := range w.People {
			if !strings.Contains(p, "/") {
				who = more(who, []string{p})
			}
		}
		for _, t := range w.Teams {
			who = more(who, b.cases.Teams[t])
		}
		for _, pool := range w.Pools {
			for i := range count {
				agent := fmt.Sprintf("%s-approver-%d", pool, i+1)
				who = more(who, []string{agent})
				b.policy.Principals[agent] = gate.Principal{Kind: gate.KindAgent, Pool: pool, Model: agent, Operator: agent}
			}
		}
	}
	var all []approval
	for _, w := range who {
		if !strings.EqualFold(w, b.author) {
			all = append(all, approval{w, true, true})
		}
	}
	return all
}

// teams are those that the policy and the case name.
func (b *scene) teams() []string {
	p := b.policy
	all := slices.Concat(p.PeopleTeams, p.Approvers.Teams, p.Excluded.Teams, p.Vetoers.Teams, p.Emergency.By.Teams)
	for _, d := range p.Demands {
		all = append(all, d.From.Teams...)
	}
	for _, o := range b.owners {
		if strings.Contains(o, "/") {
			all = append(all, o)
		}
	}
	return all
}

// apart says whether a team is one in which nobody is by default.
func (b *scene) apart(team string) bool {
	return slices.Contains(slices.Concat(b.policy.Excluded.Teams, b.policy.Emergency.By.Teams), team)
}

// reports are the statuses and jobs: green, but where the case says otherwise.
func (b *scene) reports() {
	b.s.Checks = gate.Checks{SHA: b.head(), StatusesRead: ref.Yes, JobsRead: ref.Yes}
	said := map[string]caseCheck{}
	for _, c := range b.checks {
		said[c.context] = c
	}
	for _, rule := range b.policy.Checks {
		c, other := said[rule.Context]
		if !other {
			c = caseCheck{rule.Context, "success", ""}
		}
		delete(said, rule.Context)
		b.report(rule, c)
	}
	for _, c := range b.checks {
		if _, more := said[c.context]; more {
			b.report(gate.CheckRule{Context: c.context, Creator: "somebody"}, c)
		}
	}
}

func (b *scene) report(rule gate.CheckRule, c caseCheck) {
	if c.state == "missing" {
		return
	}
	id := int64(len(b.s.Checks.Statuses) + 1)
	url := fmt.Sprintf("/runs/%d", id)
	creator := rule.Creator
	if c.by != "" {
		creator = c.by
	}
	state := gate.State(c.state)
	b.s.Checks.Statuses = append(b.s.Checks.Statuses, gate.Status{ID: id, Context: rule.Context, State: state, Creator: creator, URL: url, At: b.at})
	if rule.Workflow == "" || c.by != "" {
		return
	}
	b.s.Checks.Jobs = append(b.s.Checks.Jobs, gate.Job{
		RunID: id, Attempt: 1, Workflow: rule.Workflow, Event: rule.Event, Head: b.head(), Name: rule.Job, State: state, URL: url, At: b.at,
	})
}

// forget leaves out what the case says was not read.
func (b *scene) forget() {
	for _, what := range b.unread {
		switch what {
		case "files":
			b.s.Files, b.s.FilesRead, b.s.WorkflowsChanged = nil, ref.Unknown, ref.Unknown
		case "commits":
			b.s.Commits, b.s.CommitsRead = nil, ref.Unknown
		case "reviews":
			b.s.Reviews, b.s.ReviewsRead = nil, ref.Unknown
		case "checks":
			b.s.Checks.StatusesRead, b.s.Checks.JobsRead = ref.Unknown, ref.Unknown
		case "teams":
			b.s.Teams = nil
		case "owners":
			b.s.Owned, b.s.OwnedRead = nil, ref.Unknown
		case "crew":
			b.s.Crew = gate.Crew{}
		case "pusher":
			b.s.Pusher, b.s.PusherRead = "", ref.Unknown
		case "mergeable":
			b.s.Pull.Mergeable = ref.Unknown
		}
	}
}
