package gate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

const (
	workflow   = ".gitea/workflows/ci.yml"
	ciContext  = "ci / test (pull_request)"
	apiContext = "scan"
)

var (
	head  = sha("a")
	older = sha("b")
	now   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func sha(digit string) ref.SHA { return ref.SHA(strings.Repeat(digit, 40)) }

// policy asks for one check of CI and one of a named creator.
func policy() gate.Policy {
	return gate.Policy{
		Checks: []gate.CheckRule{
			{Context: ciContext, Workflow: workflow, Job: "test", Event: "pull_request"},
			{Context: apiContext, Creator: "scanner"},
		},
		Approvals:  2,
		HoldLabels: []string{"hold"},
		Principals: persons("alice", "bob", "carol", "dave", "erin", "paula"),
		Bot:        "slipway-bot",
	}
}

func persons(logins ...string) map[string]gate.Principal {
	out := map[string]gate.Principal{}
	for _, who := range logins {
		out[who] = gate.Principal{Kind: gate.KindPerson}
	}
	return out
}

func agent(model, operator, pool string) gate.Principal {
	return gate.Principal{Kind: gate.KindAgent, Model: model, Operator: operator, Pool: pool}
}

// ready is a pull request by carol that alice and bob approved and that is
// green: it merges under policy().
func ready() gate.Snapshot {
	return gate.Snapshot{
		Pull: gate.PullRequest{
			ID:     ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: 1},
			Author: "carol", Head: head, Base: "main",
			Open: ref.Yes, Merged: ref.No, Draft: ref.No, Mergeable: ref.Yes,
		},
		Commits: []gate.Commit{
			{SHA: older, Author: "carol", AuthorEmail: "carol@acme.example", Committer: "carol", CommitterEmail: "carol@acme.example", Parents: 1},
			{SHA: head, Author: "carol", AuthorEmail: "carol@acme.example", Committer: "carol", CommitterEmail: "carol@acme.example", Parents: 1},
		},
		CommitsRead: ref.Yes,
		Checks: gate.Checks{
			SHA: head,
			Statuses: []gate.Status{
				{ID: 10, Context: ciContext, State: gate.StateSuccess, URL: "/runs/1/jobs/0"},
				{ID: 11, Context: apiContext, State: gate.StateSuccess, Creator: "scanner", URL: "https://scan.example/1"},
			},
			StatusesRead: ref.Yes,
			Jobs: []gate.Job{
				{RunID: 1, Attempt: 1, Workflow: workflow, Event: "pull_request", Head: head, Name: "test", State: gate.StateSuccess, URL: "/runs/1/jobs/0"},
			},
			JobsRead: ref.Yes,
		},
		Reviews:          []gate.Review{approval(1, "alice"), approval(2, "bob")},
		ReviewsRead:      ref.Yes,
		WorkflowsChanged: ref.No,
		Files:            []gate.File{{Path: "app/main.go", Added: 10, Deleted: 2}},
		FilesRead:        ref.Yes,
		FrozenRead:       ref.Yes,
		Crew:             gate.Crew{Read: ref.No},
	}
}

func approval(id int64, who string) gate.Review {
	return gate.Review{
		ID: id, Reviewer: who, State: gate.ReviewApproved, Commit: head, ObservedHead: head,
		Official: ref.Yes, Eligible: ref.Yes, At: now.Add(-time.Hour),
	}
}

func review(id int64, who string, state gate.ReviewState) gate.Review {
	r := approval(id, who)
	r.State = state
	return r
}

// situation is one row: what differs from a pull request that merges, and what
// the gate must say then.
type situation struct {
	name   string
	differ func(s *gate.Snapshot, p *gate.Policy)
	want   gate.Outcome
	codes  []gate.Code // of the reasons, in their order
	says   string      // a part of the first reason's sentence
	who    string      // the first reason's
}

func judge(t *testing.T, rows []situation) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s, p := ready(), policy()
			row.differ(&s, &p)
			v := gate.Evaluate(s, p, now)
			if v.Outcome != row.want {
				t.Errorf("outcome %s, want %s: %v", v.Outcome, row.want, v.Reasons)
			}
			if got := codes(v); !slices.Equal(got, row.codes) {
				t.Errorf("codes %q, want %q: %v", got, row.codes, v.Reasons)
			}
			if v.Head != s.Pull.Head {
				t.Errorf("the verdict is about %q, not about the head %q", v.Head, s.Pull.Head)
			}
			if len(v.Reasons) == 0 {
				return
			}
			first := v.Reasons[0]
			if !strings.Contains(first.Sentence, row.says) {
				t.Errorf("it says %q, want %q in it", first.Sentence, row.says)
			}
			if got := strings.Join(first.Who, ","); row.who != "" && got != row.who {
				t.Errorf("who can act: %q, want %q", got, row.who)
			}
		})
	}
}

func codes(v gate.Verdict) []gate.Code {
	var out []gate.Code
	for _, r := range v.Reasons {
		out = append(out, r.Code)
	}
	return out
}

// whole is a pull request that merges under a policy that asks for everything
// it can.
func whole() (gate.Snapshot, gate.Policy) {
	s, p := ready(), policy()
	p.Principals["rob"] = agent("m1", "acme", "red")
	p.Checks = append(p.Checks,
		gate.CheckRule{Context: "docs", Creator: "docs-bot", Paths: []string{"docs/**"}},
		gate.CheckRule{Context: "lint", Creator: "linter", Optional: true},
	)
	p.Approvers = gate.Who{People: []string{"rob", "bob"}, Teams: []string{"acme/core"}}
	p.Excluded = gate.Who{Teams: []string{"acme/new"}}
	p.OperatorOnce = true
	p.Demands = []gate.Demand{
		{Name: "security", Paths: []string{"app/**"}, From: gate.Who{Teams: []string{"acme/core"}}, Count: 1},
		{Name: "a person", Lines: 10, Person: true},
	}
	p.Owners.Required = true
	p.Vetoers = gate.Who{People: []string{"vera"}}
	p.Freezes = []gate.Freeze{window(now.Add(-time.Hour))}
	p.Conditions = []gate.Condition{{Name: "small", Sentence: "it is too large", Holds: func(s gate.Snapshot) (ref.Fact, string) {
		return ref.Known(len(s.Files) < 300), ""
	}}}
	p.UpToDate, p.Linear, p.OnRequest = true, true, true
	p.PeopleTeams = []string{"acme/people"}
	s.Teams = map[string][]string{"acme/core": {"alice", "dave"}, "acme/new": {"newt"}, "acme/people": {"erin"}}
	s.Owned, s.OwnedRead = []gate.Ownership{{Pattern: "/app/", Line: 2, Paths: []string{"app/main.go"}, Owners: []string{"bob"}}}, ref.Yes
	s.UpToDate, s.Asked = ref.Yes, &gate.Asked{By: "carol", Head: head}
	s.Pusher, s.PusherRead = "carol", ref.Yes
	s.Approvers, s.ApproversRead = []string{"alice", "bob", "dave", "rob"}, ref.Yes
	s.WorkflowsChanged = ref.Yes
	return s, p
}
